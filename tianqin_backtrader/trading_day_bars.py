"""Days and longer from shorter bars, by trading days: the night belongs to the day after it.

Backtrader cuts days at midnight. ``cerebro.resampledata`` and ``cerebro.replaydata`` of our feeds
take these in place of its own; a calendar that was given to the feed or to Cerebro is obeyed.
"""

from __future__ import annotations

from typing import Any

import backtrader as bt
from backtrader.resamplerfilter import Replayer, Resampler

from .clock import to_backtrader, to_ns
from .session_calendar import CALENDAR


class _ByTradingDays:
    """What the resampler and the replayer have in common: where a bar of days or longer ends."""

    p: Any
    bar: Any
    data: Any

    @property
    def _ours(self) -> bool:
        """Whether it is about trading days, and nobody has said otherwise."""
        return self.p.timeframe >= bt.TimeFrame.Days and self.data._calendar is None

    def _period(self, stamp: float) -> tuple[int, ...]:
        """Day, week, month or year of an instant."""
        day = CALENDAR.trading_day_at(bt.num2date(stamp))
        if self.p.timeframe == bt.TimeFrame.Weeks:
            return day.isocalendar()[:2]
        fields = (day.year, day.month, day.day)
        return fields[: {bt.TimeFrame.Days: 3, bt.TimeFrame.Months: 2}.get(self.p.timeframe, 1)]

    def _close(self, stamp: float) -> float:
        """The close of an instant's trading day."""
        day = CALENDAR.trading_day_at(bt.num2date(stamp))
        return to_backtrader(to_ns(CALENDAR.sessions(self.data._dataname, day)[-1][1]))

    def _barover(self, data: Any) -> Any:
        if not self._ours:
            return super()._barover(data)  # type: ignore[misc]
        before = self.bar.datetime
        return self.bar.isopen() and self._period(data.datetime[0]) > self._period(before)

    def _dataonedge(self, data: Any) -> Any:
        if not self._ours:
            return super()._dataonedge(data)  # type: ignore[misc]
        one_day = self.p.timeframe == bt.TimeFrame.Days and self.p.compression == 1
        return one_day and data.datetime[0] == self._close(data.datetime[0]), True

    def _calcadjtime(self, greater: bool = False) -> Any:
        if not self._ours:
            return super()._calcadjtime(greater=greater)  # type: ignore[misc]
        return self._close(self.bar.datetime)


class DayResampler(_ByTradingDays, Resampler):
    """Backtrader's resampler, with trading days."""


class DayReplayer(_ByTradingDays, Replayer):
    """Backtrader's replayer, with trading days."""


class DayClone(bt.feed.DataClone):
    """The bars of one of our feeds again, for another place in the same run."""

    def rewind(self, size: int = 1) -> None:
        """Cerebro puts a bar back that is later than those of other feeds, and advances again.

        Backtrader counts only the latter, and would leave out a bar of the feed each time.
        """
        super().rewind(size)
        self._dlen -= size

    def resample(self, **kwargs: Any) -> None:
        """As of every Backtrader feed; days and longer are made of trading days."""
        self.addfilter(DayResampler, **kwargs)

    def replay(self, **kwargs: Any) -> None:
        """As of every Backtrader feed; days and longer are made of trading days."""
        self.addfilter(DayReplayer, **kwargs)
