"""TianQin's day bars, as rows of trading days."""

from __future__ import annotations

from ..calendars.auctions import AUCTION
from ..core.clock import from_ns, to_ns
from ..core.model import Bar, Tick
from ..core.ports import Rows
from ..session_calendar import SessionCalendar


class DayRows:
    """TianQin's day bars, stamped with 00:00 of the trading day, as what they cover.

    Args:
        series: The day bars.
        calendar: Sessions.
        symbol: The contract.
    """

    def __init__(self, series: Rows, calendar: SessionCalendar, symbol: str) -> None:
        self._series, self._calendar, self._symbol = series, calendar, symbol
        self.symbol, self.seconds = series.symbol, series.seconds

    @property
    def ready(self) -> bool:
        """As of the series."""
        return self._series.ready

    @property
    def last_id(self) -> int:
        """As of the series."""
        return self._series.last_id

    @property
    def left_id(self) -> int:
        """As of the series."""
        return self._series.left_id

    @property
    def path(self) -> list[str]:
        """As of the series."""
        return self._series.path

    def release(self, keep: int) -> None:
        """As of the series."""
        self._series.release(keep)

    def ticks(self, first_id: int, last_id: int) -> list[Tick]:
        """Days hold none."""
        raise TypeError("rows of days hold no ticks")

    def bars(self, first_id: int, last_id: int) -> list[Bar]:
        """The days of a range of ids, from before their night to their last close."""
        return [self._spanned(bar) for bar in self._series.bars(first_id, last_id)]

    def _spanned(self, bar: Bar) -> Bar:
        sessions = self._calendar.sessions(self._symbol, from_ns(bar.start).date())
        start, end = to_ns(sessions[0][0]) - AUCTION, to_ns(sessions[-1][1])
        return bar._replace(start=start, end=end)
