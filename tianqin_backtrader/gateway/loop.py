"""``EventLoop``: one wait for the server in a round of Cerebro, and everything it brought.

Feeds come first, then the account's reports, then those who look after things: what they see is of
one moment.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sized
from typing import TYPE_CHECKING, Protocol

from ..calendars.doubted_stamps import phase_at
from ..contracts.instrument_provider import InstrumentProvider
from ..core.clock import OVER, Phase, WallClock, deadline_in, monotonic
from ..core.model import Notice, OrderReport
from ..errors import LinkError, LinkTimeout
from .liveness import Liveness

if TYPE_CHECKING:
    from ..store import MyStore

logger = logging.getLogger(__name__)

#: What the sandbox says when its days are over.
MARKET_OVER = 2026112101


class EveryRound(Protocol):
    """What is looked after once a round."""

    def on_round(self) -> None: ...


class EventLoop:
    """What a ``MyStore`` does in each round.

    Args:
        store: The ``MyStore``, with a session.
        instruments: Specifications, renewed by the way.
        unsaid: What ``notify_store`` is still to be told.
        on_new_session: Called when there is another session.

    Attributes:
        lifeline: The proof that nothing is missing.
        rolls: Looked after last, once there is a broker.
    """

    def __init__(
        self,
        store: MyStore,
        instruments: InstrumentProvider,
        unsaid: Sized,
        on_new_session: Callable[[], None],
    ) -> None:
        self._store, self._instruments = store, instruments
        self._unsaid, self._on_new_session = unsaid, on_new_session
        self.liveness = Liveness(store.clock, store.reconnector, self._dues)
        self.rolls: EveryRound | None = None
        self._polled = self._trading = False
        self._links_over = self._losses = self._kept = 0
        self._sessions: int = store.reconnector.sessions
        self._counter_words: str = store.reconnector.counter_words

    def begin(self) -> None:
        """Cerebro begins a round: it may be waited once."""
        self._polled = False

    def poll(self, timeout: float) -> None:
        """Wait until something is there to deliver, at most once a round."""
        if self._polled or self._has_news():
            return
        self._polled = True
        deadline = monotonic() + timeout
        while True:
            left = deadline - monotonic()
            self.pump(min(left, self.liveness.seconds_until_due()))
            if left <= OVER or self._has_news():
                return

    def pump(self, timeout: float) -> None:
        """One wait, and what it brought to where it belongs."""
        store = self._store
        try:
            store.reconnector.wait(deadline_in(max(0.0, timeout)))
        except LinkError:
            store.observers.round()  # they see the end, too
            raise
        self.follow_clock()
        self._follow_session()
        self._take_market_data()
        for notice in store.reconnector.take_notices():
            self._take_notice(notice)
        if store.gateway.trading.changed():
            reports = store.gateway.trading.new_reports()
            for report in reports:
                if isinstance(report, OrderReport) and report.rejected:
                    store.reconnector.refusals.answered(report.last_msg, WallClock().now_ns())
            if store.broker is not None:
                store.broker.take_reports(reports)
        if store.broker is not None:  # after the reports: what orders have become of them is known
            for keeper in store.keepers:
                keeper()
            if self.rolls is not None:
                self.rolls.on_round()
        store.observers.round()

    def _take_market_data(self) -> None:
        store, feeds = self._store, self._store.feeds
        stamps = [(feed.symbol, stamp) for feed in feeds if (stamp := feed.take_ticks())]
        if store.recorder is not None:
            stamps += store.recorder.take()
        for symbol, stamp in stamps:
            # Before the market has been heard, what comes before an open may have any stamp.
            if store.clock.trusted or phase_at(store.calendar, symbol, stamp) is Phase.TRADING:
                store.clock.stamp(stamp)
            self.liveness.heard(symbol, stamp)
        if stamps:
            store.reconnector.heard()
        self.liveness.prove(over=self.market_over and all(feed.current for feed in feeds))
        for feed in feeds:
            feed.flush(self.liveness.bars_close_until(feed.symbol))
        for feed in feeds:
            feed.check()
        for feed in feeds:
            feed.release()

    def catch_up(self, deadline: float) -> None:
        """Wait until all that market data has sent until now is here: it answers in its order.

        Args:
            deadline: By ``clock.monotonic``.

        Raises:
            LinkTimeout: It does not answer.
        """
        gateway = self._store.gateway
        if self._store.clock.virtual:
            return
        asked, answered = self.liveness.passed(), gateway.ask()
        while not answered():
            if monotonic() >= deadline:
                raise LinkTimeout("market data does not answer: call again when it is there")
            gateway.pump(max(0.0, deadline - monotonic()))
        self.liveness.answered(asked)

    def follow_clock(self) -> None:
        """A server that tells the time tells it to us."""
        clock, now = self._store.clock, self._store.gateway.virtual_now()
        if now is not None:
            if not clock.virtual:
                logger.info("the server tells the time: market clock")
            clock.virtual = True
            clock.stamp(now)

    def _follow_session(self) -> None:
        """Tell feeds and broker what has become of the connection."""
        store, link, hours = self._store, self._store.reconnector, self._store.hours
        self._instruments.follow()
        if hours.trading != self._trading:
            self._trading = hours.trading
            if self._trading:
                self._instruments.ask()  # the evening's first answer may have been the old day's
            word, until = "open" if self._trading else "closed", hours.boundary
            logger.info("the market is %s until %s", word, until)
            store.put_notification(f"the market is {word} until {until}", until=until)
        if link.losses != self._losses:
            self._losses = link.losses
            for feed in store.feeds:
                feed.put_notification(feed.DISCONNECTED)
        if link.kept != self._kept:
            self._kept = link.kept
            store.put_notification(f"the session is not renewed and goes on: {link.last_error}")
        if link.sessions != self._sessions:
            self._sessions = link.sessions
            self._links_over = 0
            self._on_new_session()
            self._instruments.ask()
            done = "everything is subscribed and compared"
            if not link.trading_up:
                done = "everything is subscribed; market data alone"
            store.put_notification(f"connected again: {done}")
        if link.counter_words != self._counter_words:
            self._counter_words = link.counter_words
            store.put_notification(link.counter_words or "trading goes on")
        if store.broker is not None:
            store.broker.follow_session(self._sessions, link)

    def _take_notice(self, notice: Notice) -> None:
        level = logging.WARNING if notice.level == "WARNING" else logging.INFO
        logger.log(level, "notice %s: %s", notice.code, notice.content)
        if self._store.broker is not None and not notice.conn_id:  # the client's own name one
            self._store.broker.heard()
        if notice.code == MARKET_OVER:
            self._links_over += 1
        else:
            self._store.put_notification(notice.content, notice=notice)

    def _dues(self) -> Iterator[tuple[str, int]]:
        """Contracts, and what must have passed there before something is decided."""
        for feed in self._store.feeds:
            for due in feed.dues:
                yield feed.symbol, due
        if self._store.recorder is not None:
            yield from self._store.recorder.dues

    def _has_news(self) -> bool:
        feeds, broker = self._store.feeds, self._store.broker
        if self._unsaid or (feeds and all(feed.finished for feed in feeds)):
            return True
        if any(feed.has_history for feed in feeds):
            return True  # what waits behind it is not waited for
        if broker is not None and broker.has_news:
            return True
        horizon = self.horizon()
        return any(feed.has_bar(horizon) for feed in feeds)

    def horizon(self) -> int:
        """Bars that end by this instant are complete for every contract."""
        until: int = min((feed.complete_until for feed in self._store.feeds), default=0)
        return until

    @property
    def market_over(self) -> bool:
        """Whether a market of finite days has ended and every connection has said so."""
        gateway = self._store.gateway
        return bool(gateway.history_over or self._links_over >= gateway.links)
