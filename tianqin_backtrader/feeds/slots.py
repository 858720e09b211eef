"""Slots: when bars begin and end, by the sessions.

Every slot of trading time has its bar, flat where nothing traded. Source: measured on recorded
TianQin data (262 000 minute bars, 200 ten-second bars with ticks).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from ..calendars.auctions import AUCTION
from ..core.clock import BEIJING_OFFSET, DAY, HOUR, from_ns, to_ns
from ..session_calendar import Interval, SessionCalendar


class Slot(NamedTuple):
    """One bar's time; ``certain`` is when its trading ends, before ``end`` if a break cuts it."""

    start: int
    end: int
    certain: int
    opens_segment: bool


def day_slots(intervals: Sequence[Interval], period_ns: int) -> tuple[Slot, ...]:
    """All slots of a trading day, at multiples of the period in Beijing time.

    Args:
        intervals: The day's sessions in order.
        period_ns: Length of a bar in nanoseconds, at most one hour.
    """
    slots: list[Slot] = []
    for opened, closed in intervals:
        open_ns, close_ns = to_ns(opened), to_ns(closed)
        start = (open_ns + BEIJING_OFFSET) // period_ns * period_ns - BEIJING_OFFSET
        first = True
        while start < close_ns:
            certain = min(start + period_ns, close_ns)
            if slots and slots[-1].start == start:  # one slot spans a break: 10:00 of hour bars
                slots[-1] = slots[-1]._replace(certain=certain)
            else:
                slots.append(Slot(start, start + period_ns, certain, first))
            first = False
            start += period_ns
    return tuple(slots)


class SlotTable:
    """Slots of one symbol by trading day, computed on request."""

    def __init__(self, calendar: SessionCalendar, symbol: str, period_ns: int) -> None:
        self.calendar = calendar
        self.symbol = symbol
        self.period_ns = period_ns
        self._hour, self._day = -1, date.min
        self.of_day: Callable[[date], tuple[Slot, ...]] = lru_cache(maxsize=8)(self._find)

    def _find(self, day: date) -> tuple[Slot, ...]:
        return day_slots(self.calendar.sessions(self.symbol, day), self.period_ns)

    def trading_day(self, ns: int) -> date:
        """The trading day of an instant."""
        hour = ns // HOUR
        if hour != self._hour:  # days begin with an hour
            self._hour, self._day = hour, self.calendar.trading_day_at(from_ns(ns))
        return self._day

    def after(self, day: date) -> date:
        """The next trading day."""
        return self.calendar.next_trading_day(day)

    def locate(self, ns: int) -> tuple[date, int]:
        """(trading day, index of the slot) that a tick of this time counts to.

        A tick outside every slot counts to the next one if it is of the auction shortly before
        its open, otherwise to the slot before.
        """
        day = self.trading_day(ns)
        slots = self.of_day(day)
        index = bisect_left(slots, ns, key=_start) - 1  # the last slot with start < ns
        if index >= 0 and ns <= slots[index].certain:
            return day, index
        following = index + 1
        if following < len(slots) and (index < 0 or slots[following].start - ns <= AUCTION):
            return day, following
        return day, index


class MidnightSlotTable(SlotTable):
    """Slots as Backtrader cuts bars: at multiples of the period from each midnight on.

    A slot that spans a break stays one slot; slots of up to six hours never span two days.
    """

    def _find(self, day: date) -> tuple[Slot, ...]:
        slots: list[Slot] = []
        for opened, closed in self.calendar.sessions(self.symbol, day):
            at, close = to_ns(opened), to_ns(closed)
            while at < close:
                midnight = (at + BEIJING_OFFSET) // DAY * DAY - BEIJING_OFFSET
                start = midnight + (at - midnight) // self.period_ns * self.period_ns
                end = min(start + self.period_ns, midnight + DAY)
                if slots and slots[-1].start == start:
                    slots[-1] = slots[-1]._replace(certain=min(end, close))
                else:
                    slots.append(Slot(start, end, min(end, close), at == to_ns(opened)))
                at = end
        return tuple(slots)

    def locate(self, ns: int) -> tuple[date, int]:
        """As ``SlotTable.locate``; a break within a slot belongs to it: bars are stamped there."""
        day = self.trading_day(ns)
        slots = self.of_day(day)
        index = bisect_left(slots, ns, key=_start) - 1
        if index >= 0 and ns <= slots[index].end:
            return day, index
        return super().locate(ns)

    def goes_on(self, day: date, index: int) -> bool:
        """Whether the next slot begins where trading in this one ends."""
        slots = self.of_day(day)
        return index + 1 < len(slots) and slots[index + 1].start == slots[index].certain


class DaySlotTable(SlotTable):
    """One slot per trading day: from before the first opening's auction to the last close."""

    def __init__(self, calendar: SessionCalendar, symbol: str) -> None:
        super().__init__(calendar, symbol, DAY)

    def _find(self, day: date) -> tuple[Slot, ...]:
        intervals = self.calendar.sessions(self.symbol, day)
        close = to_ns(intervals[-1][1])
        return (Slot(to_ns(intervals[0][0]) - AUCTION, close, close, True),)


def _start(slot: Slot) -> int:
    return slot.start


class SlotCursor:
    """Goes through the slots of one symbol in their order.

    Args:
        slots: Where bars begin and end.
        after: Right edge of the last known bar, nanoseconds; it begins with the slot after it.
    """

    def __init__(self, slots: SlotTable, after: int) -> None:
        self._table = slots
        self._day, self._index = slots.trading_day(after), 0
        self._slots = slots.of_day(self._day)
        self.begin_after(after)

    def begin_after(self, end: int) -> None:
        """Go to the slot after the bar that ended at ``end``."""
        day = self._table.trading_day(end)
        index = bisect_left(self._table.of_day(day), end, key=_start)
        self._enter(day, index)

    def _enter(self, day: date, index: int) -> None:
        self._day, self._slots, self._index = day, self._table.of_day(day), index
        if index == len(self._slots):
            self._enter(self._table.after(day), 0)

    @property
    def slot(self) -> Slot:
        """The slot that is running."""
        return self._slots[self._index]

    @property
    def day(self) -> date:
        """Its trading day."""
        return self._day

    def day_of(self, ns: int) -> date:
        """The trading day of an instant."""
        return self._table.trading_day(ns)

    def step(self) -> None:
        """Go on to the next slot."""
        self._enter(self._day, self._index + 1)
