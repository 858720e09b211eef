"""TianQin's day bars, with the times that they cover."""

from __future__ import annotations

from ..calendars.auctions import AUCTION
from ..core.clock import from_ns, to_ns
from ..core.model import Bar, Tick
from ..core.ports import Rows
from ..session_calendar import SessionCalendar


class DayRows:
    """Rows of day bars: TianQin stamps them with 00:00, here they have their actual times.

    Args:
        series: TianQin's day bars.
        calendar: Knows the sessions.
        symbol: The contract.
    """

    def __init__(self, series: Rows, calendar: SessionCalendar, symbol: str) -> None:
        self._series, self._calendar, self._symbol = series, calendar, symbol
        self.symbol, self.seconds = series.symbol, series.seconds

    @property
    def ready(self) -> bool:
        """As in the series."""
        return self._series.ready

    @property
    def last_id(self) -> int:
        """As in the series."""
        return self._series.last_id

    @property
    def left_id(self) -> int:
        """As in the series."""
        return self._series.left_id

    @property
    def path(self) -> list[str]:
        """As in the series."""
        return self._series.path

    def release(self, keep: int) -> None:
        """As in the series."""
        self._series.release(keep)

    def ticks(self, first_id: int, last_id: int) -> list[Tick]:
        """Raise TypeError: day bars contain no ticks."""
        raise TypeError("rows of day bars contain no ticks")

    def bars(self, first_id: int, last_id: int) -> list[Bar]:
        """Return the bars of a range of ids, from before their night session to the last close."""
        return [self._spanned(bar) for bar in self._series.bars(first_id, last_id)]

    def _spanned(self, bar: Bar) -> Bar:
        sessions = self._calendar.sessions(self._symbol, from_ns(bar.start).date())
        start, end = to_ns(sessions[0][0]) - AUCTION, to_ns(sessions[-1][1])
        return bar._replace(start=start, end=end)
