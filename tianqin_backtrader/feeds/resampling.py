"""Longer bars from shorter ones, by the sessions of their contract.

``cerebro.resampledata`` and ``cerebro.replaydata`` of our feeds take these in place of Backtrader's
own, which cut days at midnight and close bars by the machine's clock, before the last minute of
them has been delivered. Here a bar is closed by bars alone: by the last one in it, which may be
the last one before a break, or by the first one after it. A bar made of ticks is closed by a later
tick, or by the proof that none is on its way any more. A calendar that was given to the feed or to
Cerebro is obeyed.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import backtrader as bt
from backtrader.dataseries import _Bar
from backtrader.resamplerfilter import Replayer, Resampler

from ..core.clock import HOUR, MINUTE, SECOND, to_backtrader, to_ns
from ..gateway.liveness import NEVER
from ..session_calendar import CALENDAR
from .bar_builder import MidnightSlotTable, Slot
from .live_bars import FINAL_AFTER

_UNITS = {bt.TimeFrame.Minutes: MINUTE, bt.TimeFrame.Seconds: SECOND}
#: Longer ones could reach from one trading day into the next.
_LONGEST = 6 * HOUR


def _ns(stamp: float) -> int:
    return to_ns(bt.num2date(stamp))


class NotCounted:
    """What a feed says to Cerebro when it asks for ``resampling``: no.

    Cerebro takes no time from feeds that are only resampled, and stops with an error in a round
    in which nothing else has a bar. Each of our bars has a time of its own.
    """

    def __get__(self, _feed: Any, _kind: Any = None) -> int:
        return 0

    def __set__(self, _feed: Any, _value: int) -> None:
        """Backtrader's resampler says so of its feed."""


class _TradedBar(_Bar):
    """The bar that is being made: it opens with the day's first trade, as the exchange's own.

    Before it a contract's minutes are flat at the close of the day before.
    """

    def __init__(self) -> None:
        super().__init__(maxdate=True)
        self.__dict__["_day"] = date.min  # the day that was seen last, and whether it has a trade
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
        """Whether it is about trading days, and nobody has said otherwise."""
        return self.p.timeframe >= bt.TimeFrame.Days and self.data._calendar is None

    def _period(self, day: date) -> tuple[int, ...]:
        """Day, week, month or year of a trading day."""
        if self.p.timeframe == bt.TimeFrame.Weeks:
            return day.isocalendar()[:2]
        fields = (day.year, day.month, day.day)
        return fields[: {bt.TimeFrame.Days: 3, bt.TimeFrame.Months: 2}.get(self.p.timeframe, 1)]

    def _close(self, day: date) -> int:
        """The close of a trading day."""
        return to_ns(CALENDAR.sessions(self.data._dataname, day)[-1][1])

    def _is_last(self, day: date) -> bool:
        """Whether the bar is over with this trading day: the period is, and enough of them."""
        over = self._period(CALENDAR.next_trading_day(day)) != self._period(day)
        return over and (self.compcount + 1) % int(self.p.compression) == 0

    # -- minutes and seconds ------------------------------------------------------------------

    @property
    def _slots(self) -> MidnightSlotTable | None:
        """Where bars begin and end; None where Backtrader knows better, for it was asked to."""
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
        """Minutes of history before them are whole bars."""
        in_history = getattr(self.data, "history_phase", False)
        return bool(self.data.p.timeframe == bt.TimeFrame.Ticks and not in_history)

    # -- what Backtrader asks -----------------------------------------------------------------

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
        """Whether nothing more comes into the bar; it is stamped with its edge then."""
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
        """That of the open bar, and whether the next one begins where its trading ends."""
        day, index = slots.locate(_ns(self.bar.datetime))
        return slots.of_day(day)[index], slots.goes_on(day, index)

    # -- bars of ticks that no tick closes ----------------------------------------------------

    @property
    def due(self) -> int:
        """When the open bar is over if all ticks until then are here, nanoseconds."""
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
        """Cerebro's question in rounds without a bar. The clock and other feeds prove nothing."""
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
    """The bars of one of our feeds again, for another place in the same run."""

    resampling = NotCounted()

    @property
    def heard_until(self) -> int:
        """As of the feed: until when every tick has been delivered; of bars nothing is said."""
        return 0

    def qbuffer(self, savemem: int = 0, replaying: bool = False) -> None:
        """As of every Backtrader feed; resamplers need one more place."""
        super().qbuffer(savemem=savemem, replaying=replaying or bool(self._filters))

    def rewind(self, size: int = 1) -> None:
        """Cerebro puts a bar back that is later than those of other feeds, and advances again.

        Backtrader counts only the latter, and would leave out a bar of the feed each time.
        """
        super().rewind(size)
        self._dlen -= size

    def resample(self, **kwargs: Any) -> None:
        """As of every Backtrader feed, by sessions."""
        self.addfilter(DayResampler, **kwargs)

    def replay(self, **kwargs: Any) -> None:
        """As of every Backtrader feed, by sessions."""
        self.addfilter(DayReplayer, **kwargs)
