"""When the market of the subscribed contracts trades; checked once a round."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from ..core.clock import from_ns, to_ns
from .trading_calendar import SessionCalendar

#: Breaks up to this long (10:15) do not renew the session.
SHORT_BREAK = timedelta(minutes=30)


class Edge(StrEnum):
    """What happens as time passes."""

    BOUNDARY = "BOUNDARY"  # an open or a close
    AHEAD = "AHEAD"  # an open is near, after a long break


class Subscribed(Protocol):
    """A feed."""

    @property
    def symbol(self) -> str: ...


class MarketHours:
    """The opens and closes of a set of contracts.

    Args:
        calendar: Sessions.
        feeds: The feeds whose contracts are meant.
        now_ns: Returns the exchange's time, nanoseconds since 1970 UTC.
        lead: How long before an open the market counts as awake and the session is renewed; None
            for a market whose time is not the machine's: it is always awake and never renewed.

    Attributes:
        recorded: Contracts beside those of the feeds.
        trading: Whether any of the contracts trades.
        counted: Feeds and recorded contracts at the last look.
        next_ns: Before this instant there are no events, unless there are more contracts, or fewer.
    """

    def __init__(
        self,
        calendar: SessionCalendar,
        feeds: Collection[Subscribed],
        now_ns: Callable[[], int],
        lead: timedelta | None,
    ) -> None:
        self._calendar, self.feeds, self.now_ns = calendar, feeds, now_ns
        self.lead = lead
        self.recorded: tuple[str, ...] = ()
        self._boundary = datetime.min
        self._closed_since = datetime.min
        self.trading = False
        self._announced = datetime.min
        self._count = self.counted = self.next_ns = 0

    def renew_before(self, lead: timedelta | None) -> None:
        """Set ``lead`` anew."""
        self.lead, self.next_ns = lead, 0

    @property
    def boundary(self) -> datetime | None:
        """The next open or close of any contract; None without contracts."""
        return self._boundary if self._count else None

    def awake(self) -> bool:
        """Whether any contract trades, or will within ``lead``."""
        if self.lead is None:
            return True
        return self.trading or self._boundary - from_ns(self.now_ns()) <= self.lead

    def events(self) -> Iterator[Edge]:
        """The events since the last call: BOUNDARY, and AHEAD before an open."""
        symbols = {*self.recorded, *(feed.symbol for feed in self.feeds)}
        self.counted = len(self.recorded) + len(self.feeds)
        if not symbols:
            return
        now = from_ns(self.now_ns())
        if now >= self._boundary or len(symbols) != self._count:
            self._count = len(symbols)
            self._cross(now, symbols)
            yield Edge.BOUNDARY
        self.next_ns = to_ns(self._boundary)
        if self.lead is None:
            return
        if not self.trading and self._boundary - now > self.lead:
            self.next_ns = to_ns(self._boundary - self.lead)
        ahead = not self.trading and self._boundary - now <= self.lead
        if ahead and self._announced != self._boundary:
            self._announced = self._boundary
            if self._boundary - self._closed_since > SHORT_BREAK:
                yield Edge.AHEAD

    def _cross(self, now: datetime, symbols: set[str]) -> None:
        was_trading = self.trading
        self.trading = any(self._calendar.is_trading_now(one, now) for one in symbols)
        self._boundary = min(self._calendar.next_session_boundary(one, now) for one in symbols)
        if was_trading and not self.trading:
            self._closed_since = now
