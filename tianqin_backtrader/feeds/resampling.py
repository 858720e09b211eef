"""Longer bars from shorter ones, by the sessions of their contract.

``cerebro.resampledata`` and ``cerebro.replaydata`` of our feeds use these instead of Backtrader's
own, which cut days at midnight and close bars by the machine's clock, before their last minute has
been delivered. Here only bars close a bar: the last one in it, which may be the last one before a
break, or the first one after it. A bar made of ticks is closed by a later tick, or when it is
proved that no more ticks will arrive. A calendar that was given to the feed or to Cerebro is
respected.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import backtrader as bt
from backtrader.dataseries import _Bar
from backtrader.resamplerfilter import Replayer, Resampler

from ..core.clock import HOUR, MINUTE, NEVER, SECOND, to_backtrader, to_ns
from ..session_calendar import CALENDAR
from .live_bars import FINAL_AFTER
from .slots import MidnightSlotTable, Slot

_UNITS = {bt.TimeFrame.Minutes: MINUTE, bt.TimeFrame.Seconds: SECOND}
#: Longer ones could reach from one trading day into the next.
_LONGEST = 6 * HOUR


def _ns(stamp: float) -> int:
    return to_ns(bt.num2date(stamp))


class NotCounted:
    """A feed's attribute ``resampling``, which is always 0 for Cerebro.

    Cerebro takes no time from feeds that are only resampled, and stops with an error in a round
    in which nothing else has a bar. Each of our bars has a time of its own.
    """

    def __get__(self, _feed: Any, _kind: Any = None) -> int:
        return 0

    def __set__(self, _feed: Any, _value: int) -> None:
        """Ignore the value, which Backtrader's resampler sets."""


class _TradedBar(_Bar):
    """The bar that is being made; it opens with the day's first trade, like the exchange's own.

    Before that trade a contract's minutes are flat at the previous close.
    """

    def __init__(self) -> None:
        super().__init__(maxdate=True)
        self.__dict__["_day"] = date.min  # the newest trading day, and whether it has a trade
        self.__dict__["_traded"] = False

    def bupdate(self, data: Any, reopen: bool = False) -> bool:
        day = CALENDAR.trading_day_at(bt.num2date(data.datetime[0]))
        same_day = day == self._day
        traded_before = same_day and self._traded
        if same_day and not traded_before and not reopen and data.volume[0] and not self.volume:
            self.open, self.high, self.low = float("nan"), float("-inf"), float("inf")
        self.__dict__["_day"] = day
        self.__dict__["_traded"] = bool(traded_before or data.volume[0])
        opened: bool = super().bupdate(data, reopen=reopen)
        return opened


class _BySessions:
    """What the resampler and the replayer have in common: where a bar ends."""

    p: Any
    bar: Any
    data: Any
    compcount: int
    doadjusttime: bool

    def __init__(self, data: Any) -> None:
        super().__init__(data)  # type: ignore[call-arg]
        self.bar = _TradedBar()
        self._cut: MidnightSlotTable | None = None

    # -- days and longer ----------------------------------------------------------------------

    @property
    def _of_days(self) -> bool:
        """Whether bars are of days or longer, and no calendar was given."""
        return self.p.timeframe >= bt.TimeFrame.Days and self.data._calendar is None

    def _period(self, day: date) -> tuple[int, ...]:
        """Return the day, week, month or year of a trading day."""
        if self.p.timeframe == bt.TimeFrame.Weeks:
            return day.isocalendar()[:2]
        fields = (day.year, day.month, day.day)
        return fields[: {bt.TimeFrame.Days: 3, bt.TimeFrame.Months: 2}.get(self.p.timeframe, 1)]

    def _close(self, day: date) -> int:
        """Return the close of a trading day."""
        return to_ns(CALENDAR.sessions(self.data._dataname, day)[-1][1])

    def _is_last(self, day: date) -> bool:
        """Whether the bar ends with this trading day: its last period does."""
        over = self._period(CALENDAR.next_trading_day(day)) != self._period(day)
        return over and (self.compcount + 1) % int(self.p.compression) == 0

    # -- minutes and seconds ------------------------------------------------------------------

    @property
    def _slots(self) -> MidnightSlotTable | None:
        """Where bars begin and end; None if Backtrader's own rules apply."""
        period = _UNITS.get(self.p.timeframe, 0) * self.p.compression
        if not 0 < period <= _LONGEST or not self.p.bar2edge or self.p.boundoff:
            return None
        if self.data._calendar is not None:
            return None
        if self._cut is None:
            self._cut = MidnightSlotTable(CALENDAR, self.data._dataname, period)
        return self._cut

    @property
    def _of_ticks(self) -> bool:
        """Whether bars are made of ticks; history before the ticks consists of minutes."""
        in_history = getattr(self.data, "history_phase", False)
        return bool(self.data.p.timeframe == bt.TimeFrame.Ticks and not in_history)

    # -- what Backtrader calls ----------------------------------------------------------------

    def _barover(self, data: Any) -> Any:
        if not self.bar.isopen():
            return False
        if self._of_days:
            before, now = self.bar.datetime, data.datetime[0]
            return self._period(_day(now)) > self._period(_day(before))
        if (slots := self._slots) is not None:
            return slots.locate(_ns(data.datetime[0])) > slots.locate(_ns(self.bar.datetime))
        return super()._barover(data)  # type: ignore[misc]

    def _dataonedge(self, data: Any) -> Any:
        if self._of_days:
            now = data.datetime[0]
            day = _day(now)
            edge = not self._of_ticks and _ns(now) >= self._close(day) and self._is_last(day)
            self.compcount += edge
            return edge, True
        if (slots := self._slots) is not None:
            return self._is_on_edge(data, slots), True
        return super()._dataonedge(data)  # type: ignore[misc]

    def _is_on_edge(self, data: Any, slots: MidnightSlotTable) -> bool:
        """Whether the bar is complete; if so, stamp it with its edge."""
        now = _ns(data.datetime[0])
        place = slots.locate(now)
        slot = slots.of_day(place[0])[place[1]]
        if now < slot.certain or (self._of_ticks and not slots.goes_on(*place)):
            return False  # ticks may come shortly after a close
        if self.doadjusttime and self.p.rightedge:
            data.lines.datetime[0] = to_backtrader(slot.end)  # Backtrader takes it from there
        return True

    def _calcadjtime(self, greater: bool = False) -> Any:
        if self.p.timeframe == bt.TimeFrame.Ticks:
            return self.bar.datetime
        if self._of_days:
            return to_backtrader(self._close(_day(self.bar.datetime)))
        if (slots := self._slots) is not None:
            slot = self._slot_of_bar(slots)[0]
            return to_backtrader(slot.end if self.p.rightedge else slot.start)
        return super()._calcadjtime(greater=greater)  # type: ignore[misc]

    def _slot_of_bar(self, slots: MidnightSlotTable) -> tuple[Slot, bool]:
        """Return the open bar's slot, and whether the next begins where its trading ends."""
        day, index = slots.locate(_ns(self.bar.datetime))
        return slots.of_day(day)[index], slots.goes_on(day, index)

    # -- bars of ticks that no later tick closes ----------------------------------------------

    @property
    def due(self) -> int:
        """When the open bar ends if all ticks until then have arrived, nanoseconds."""
        if not self._of_ticks or not self.bar.isopen():
            return NEVER
        if self._of_days:
            day = _day(self.bar.datetime)
            return self._close(day) + FINAL_AFTER if self._is_last(day) else NEVER
        if (slots := self._slots) is None:
            return NEVER
        slot, goes_on = self._slot_of_bar(slots)
        return slot.certain if goes_on else slot.certain + FINAL_AFTER

    def check(self, data: Any, _forcedata: Any = None) -> None:
        """Close the bar if it is proved complete; Cerebro calls this in rounds without a bar.

        The clock and other feeds prove nothing.
        """
        if self.due <= data.heard_until:
            if self._of_days:
                self.compcount += 1
            self(data, fromcheck=True)  # type: ignore[operator]

    def _checkbarover(self, data: Any, fromcheck: bool = False, forcedata: Any = None) -> Any:
        return fromcheck or super()._checkbarover(data)  # type: ignore[misc]


def _day(stamp: float) -> date:
    return CALENDAR.trading_day_at(bt.num2date(stamp))


class DayResampler(_BySessions, Resampler):
    """Backtrader's resampler, by sessions."""


class DayReplayer(_BySessions, Replayer):
    """Backtrader's replayer, by sessions."""


class DayClone(bt.feed.DataClone):
    """The bars of one of our feeds again, for a second use in the same run."""

    resampling = NotCounted()

    @property
    def heard_until(self) -> int:
        """Until when every tick has been delivered, nanoseconds; 0 for feeds of bars."""
        return 0

    def qbuffer(self, savemem: int = 0, replaying: bool = False) -> None:
        """Set the buffers, as in Backtrader; resamplers need one more value."""
        super().qbuffer(savemem=savemem, replaying=replaying or bool(self._filters))

    def rewind(self, size: int = 1) -> None:
        """Put bars back; Cerebro does so if a bar is later than those of other feeds.

        Backtrader does not reduce its count then, so it would leave out a bar of the feed.
        """
        super().rewind(size)
        self._dlen -= size

    def resample(self, **kwargs: Any) -> None:
        """Resample as in Backtrader, but by sessions."""
        self.addfilter(DayResampler, **kwargs)

    def replay(self, **kwargs: Any) -> None:
        """Replay as in Backtrader, but by sessions."""
        self.addfilter(DayReplayer, **kwargs)
