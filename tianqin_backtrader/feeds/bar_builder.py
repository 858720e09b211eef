"""Bars from ticks, by TianQin's rule.

A bar covers the ticks with start < time <= end. Inside a trading segment it opens at the price in
force at its start (the close of the bar before); the first bar of a segment opens at the
segment's first price, and until the day's first trade bars are flat at the previous close.
Volume is the growth of the day's cumulative volume, so the call auction counts to the day's
first bar. Every slot of trading time has its bar, flat where nothing traded.

Source: measured on recorded TianQin data (262 000 minute bars, 200 ten-second bars with ticks).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from ..calendars.auctions import AUCTION
from ..core.clock import BEIJING_OFFSET, DAY, HOUR, from_ns, to_ns
from ..core.model import NAN, Bar, Tick
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


class BarBuilder:
    """Builds the bars of one symbol from its ticks.

    Pass every tick in order to ``push``, and the time to ``flush``; both return the bars that
    have become complete. Before the first live bar call ``begin_after`` for the last bar that is
    known to be final, then push the ticks of the recent past; ticks of bars that are already
    known only set the price and the volume in force.

    Args:
        slots: Where bars begin and end.

    Attributes:
        late_ticks: Ticks that came after their bar was closed by the clock.
    """

    def __init__(self, slots: SlotTable) -> None:
        self._table = slots
        self._day: date = date.min
        self._slots: tuple[Slot, ...] = ()
        self._index = 0
        self._known_until = 0
        self.late_ticks = 0
        self._price = NAN
        self._open = self._high = self._low = NAN
        self._open_pending = True
        self._volume = 0  # cumulative, of the trading day _volume_day
        self._volume_at_start = 0
        self._volume_day: date = date.min
        self._oi = self._oi_at_start = 0
        self._last: Tick | None = None

    def begin_after(self, end: int, close: float, close_oi: int) -> None:
        """Begin with the slot after the bar that ended at ``end``.

        Args:
            end: Right edge of the last known bar, nanoseconds.
            close: Its close, nan if there is none.
            close_oi: Its open interest.
        """
        day = self._table.trading_day(end)
        slots = self._table.of_day(day)
        index = bisect_left(slots, end, key=_start)
        if index == len(slots):
            day, index = self._table.after(day), 0
        self._enter(day, index)
        self._known_until = slots[index].start if index else end
        self._price, self._oi, self._oi_at_start = close, close_oi, close_oi
        self._start_slot()

    def resume(self, bar: Bar) -> None:
        """Continue the server's unfinished bar.

        This is for bars that are too long to be built again from the ticks of the recent past.
        """
        self._open, self._high, self._low, self._price = bar.open, bar.high, bar.low, bar.close
        self._oi_at_start, self._oi = bar.open_oi, bar.close_oi
        self._volume, self._volume_day = self._volume_at_start + bar.volume, self._day
        self._open_pending = bar.volume == 0

    def go_on_from(self, close: float, close_oi: int) -> None:
        """Set the price and open interest in force to the last official bar's, before any tick."""
        if close == close:
            self._price = close
        self._oi = close_oi
        self._start_slot()

    @property
    def slot(self) -> Slot:
        """The slot that is being built."""
        return self._slots[self._index]

    @property
    def day(self) -> date:
        """The trading day of the slot that is being built."""
        return self._day

    def day_of(self, bar: Bar) -> date:
        """The trading day in which a bar ends."""
        return self._table.trading_day(bar.end - 1)

    def knows_volume_from(self, first: int) -> bool:
        """Whether the running bar's volume follows from the ticks since ``first``.

        They must include the cumulative volume at its start; a day's first bar starts at zero.
        """
        return self._index == 0 or first <= self.slot.start

    def push(self, tick: Tick) -> list[Bar]:
        """Take the next tick; return the bars it completes, oldest first."""
        slot = self._slots[self._index]
        done: list[Bar] = []
        if not slot.start < tick.time <= slot.certain:
            day, index = self._table.locate(tick.time)
            if (day, index) < (self._day, self._index):
                self._before(tick, day)
                return done
            done = self._advance_to(day, index)
        self._take(tick)
        return done

    def flush(self, now: int) -> list[Bar]:
        """Complete every bar whose trading ended at or before ``now``."""
        done = []
        while self._slots[self._index].certain <= now:
            done.append(self._close())
        return done

    def _before(self, tick: Tick, day: date) -> None:
        """Take a tick of a bar that is closed: of the past at the start, a late one afterwards."""
        if tick.time > self._known_until:
            self.late_ticks += 1
        if day == self._day or tick.volume >= self._volume or day != self._volume_day:
            self._in_force(tick, day)
            self._start_slot()

    def _in_force(self, tick: Tick, day: date) -> None:
        self._volume_day, self._volume = day, tick.volume
        self._oi = tick.open_interest
        if tick.last_price == tick.last_price:
            self._price = tick.last_price
            if day == self._day and not self._slots[self._index].opens_segment:
                self._open_pending = False
        self._last = tick

    def _take(self, tick: Tick) -> None:
        if self._volume_day != self._day:
            self._volume_day = self._day
            self._volume_at_start = 0
        self._volume = tick.volume
        self._oi = tick.open_interest
        self._last = tick
        price = tick.last_price
        if price != price:
            return
        self._price = price
        if self._open_pending:
            self._open = self._high = self._low = price
            self._open_pending = False
        elif price > self._high:
            self._high = price
        elif price < self._low:
            self._low = price

    def _advance_to(self, day: date, index: int) -> list[Bar]:
        done = []
        while (self._day, self._index) < (day, index):
            done.append(self._close())
        return done

    def _close(self) -> Bar:
        """Return the bar of the current slot, and go on to the next slot."""
        slot = self._slots[self._index]
        last = self._last
        book = last[6:12] if last is not None else (NAN, NAN, 0, 0, NAN, NAN)
        same_day = self._volume_day == self._day
        volume = self._volume - self._volume_at_start if same_day else 0
        bar = Bar(
            slot.start, slot.end, self._open, self._high, self._low, self._price,
            volume, self._oi_at_start, self._oi, *book,
        )  # fmt: skip
        if self._index + 1 < len(self._slots):
            self._index += 1
        else:
            self._enter(self._table.after(self._day), 0)
        self._start_slot()
        return bar

    def _enter(self, day: date, index: int) -> None:
        self._day, self._slots, self._index = day, self._table.of_day(day), index
        self._open_pending = True

    def _start_slot(self) -> None:
        self._open = self._high = self._low = self._price
        self._oi_at_start = self._oi
        self._volume_at_start = self._volume if self._volume_day == self._day else 0
        if self._slots[self._index].opens_segment:
            self._open_pending = True
        elif self._volume_day == self._day and self._volume > 0:
            self._open_pending = False
