"""``SessionView``: what monitoring, alerts and the live page are handed of a session."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.clock import SECOND, from_ns
from ..core.context import Context
from ..feeds.feed_list import FeedList
from ..feeds.live_bars import Certificate
from ..feeds.names import named
from .health import Health
from .observers import Observers
from .ports import AccountView, BrokerView, FeedView, HoursView, LinkView


@dataclass(slots=True)
class SessionView:
    """The parts that are looked at.

    Attributes:
        context: Time, calendar, the strategy's name.
        link: How the connection is.
        hours: When what is subscribed trades.
        account: Funds and positions.
        feeds: Those of the run.
        observers: Where one who listens is added.
        broker: Orders and risk, as soon as there is a broker.
    """

    context: Context
    link: LinkView
    hours: HoursView
    account: AccountView
    feeds: FeedList
    observers: Observers
    broker: BrokerView | None = None

    def named_feeds(self) -> dict[str, FeedView]:
        """The feeds by names that differ."""
        return named(self.feeds)

    def certificate(self) -> dict[str, Certificate]:
        """How the live bars so far compare with the official ones, by name of the feed."""
        return {name: feed.certificate() for name, feed in self.named_feeds().items()}

    def health(self) -> Health:
        """How the session is now; asks nobody, raises nothing."""
        link, now = self.link, self.context.now_ns()
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
