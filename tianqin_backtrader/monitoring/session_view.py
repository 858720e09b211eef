"""``SessionView``: the parts of a session that monitoring, alerts and the live page get."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ..core.clock import SECOND, MarketClock, from_ns, present_ns
from ..core.ports import Calendar
from ..feeds.feed_list import FeedList
from ..feeds.live_bars import Certificate
from ..feeds.names import named
from .health import Health
from .observers import Observers
from .ports import AccountView, BrokerView, FeedView, HoursView, LinkView


@dataclass(slots=True)
class SessionView:
    """The observable parts of a session.

    Attributes:
        clock: The exchange's time.
        calendar: Trading days and sessions.
        strategy_name: The name of the program's records.
        link: The state of the connection.
        hours: The trading hours of the subscribed contracts.
        account: Funds and positions.
        feeds: The feeds of the run.
        observers: The observers, to which one can be added.
        broker: Orders and risk, once there is a broker.
    """

    clock: MarketClock
    calendar: Calendar
    strategy_name: str
    link: LinkView
    hours: HoursView
    account: AccountView
    feeds: FeedList
    observers: Observers
    broker: BrokerView | None = None

    def now(self) -> datetime:
        """The exchange's time, naive Beijing; the machine's while nothing is known of it."""
        return from_ns(present_ns(self.clock))

    def now_ns(self) -> int:
        """The exchange's time, nanoseconds since 1970 UTC; 0 while nothing is known of it."""
        return self.clock.now_ns()

    def named_feeds(self) -> dict[str, FeedView]:
        """The feeds by unique names."""
        return named(self.feeds)

    def certificate(self) -> dict[str, Certificate]:
        """By feed name, how the live bars so far compare with the official ones."""
        return {name: feed.certificate() for name, feed in self.named_feeds().items()}

    def health(self) -> Health:
        """The present health; sends no request and raises nothing."""
        link, now = self.link, self.now_ns()
        stamps = {name: feed.last_tick for name, feed in self.named_feeds().items()}
        newest = max(stamps.values(), default=0)
        return Health(
            market_data_up=link.market_data_up,
            trading_up=link.trading_up,
            state=str(link.state),
            last_data={name: from_ns(ns) if ns else None for name, ns in stamps.items()},
            last_ok=link.last_ok,
            backoff=link.backoff,
            reconnects_today=link.reconnects_today,
            last_error=link.last_error,
            next_boundary=self.hours.boundary,
            no_trading=link.no_trading,
            lag=(now - newest) / SECOND if newest else float("nan"),
        )
