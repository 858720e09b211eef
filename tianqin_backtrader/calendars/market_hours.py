"""When the market of the subscribed contracts trades; checked once a round."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from enum import StrEnum

from .trading_calendar import SessionCalendar

#: Breaks up to this long (10:15) do not renew the session.
SHORT_BREAK = timedelta(minutes=30)


class Edge(StrEnum):
    """What happens as time passes."""

    BOUNDARY = "BOUNDARY"  # an open or a close
    AHEAD = "AHEAD"  # an open is near, after a long break


class MarketHours:
    """The opens and closes of a set of contracts.

    Args:
        calendar: Sessions.
        symbols: Returns the present set of contracts.
        now: Returns the exchange's time.
        lead: How long before an open the market counts as awake and the session is renewed; None
            for a market whose time is not the machine's: it is always awake and never renewed.
    """

    def __init__(
        self,
        calendar: SessionCalendar,
        symbols: Callable[[], Iterable[str]],
        now: Callable[[], datetime],
        lead: timedelta | None,
    ) -> None:
        self._calendar, self._symbols, self._now = calendar, symbols, now
        self.lead = lead
        self._boundary = datetime.min
        self._closed_since = datetime.min
        self._trading = False
        self._announced = datetime.min
        self._count = 0

    @property
    def trading(self) -> bool:
        """Whether any of the contracts trades."""
        return self._trading

    @property
    def boundary(self) -> datetime | None:
        """The next open or close of any contract; None without contracts."""
        return self._boundary if self._count else None

    def awake(self) -> bool:
        """Whether any contract trades, or will within ``lead``."""
        if self.lead is None:
            return True
        return self._trading or self._boundary - self._now() <= self.lead

    def events(self) -> Iterator[Edge]:
        """The events since the last call: BOUNDARY, and AHEAD before an open."""
        symbols = list(self._symbols())
        if not symbols:
            return
        now = self._now()
        if now >= self._boundary or len(symbols) != self._count:
            self._count = len(symbols)
            self._cross(now, symbols)
            yield Edge.BOUNDARY
        if self.lead is None:
            return
        ahead = not self._trading and self._boundary - now <= self.lead
        if ahead and self._announced != self._boundary:
            self._announced = self._boundary
            if self._boundary - self._closed_since > SHORT_BREAK:
                yield Edge.AHEAD

    def _cross(self, now: datetime, symbols: list[str]) -> None:
        was_trading = self._trading
        self._trading = any(self._calendar.is_trading_now(one, now) for one in symbols)
        self._boundary = min(self._calendar.next_session_boundary(one, now) for one in symbols)
        if was_trading and not self._trading:
            self._closed_since = now
