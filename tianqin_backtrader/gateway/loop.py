"""``EventLoop``: one wait for the server in a round of Cerebro, and everything it brought.

Feeds come first, then the account's reports, then those who look after things: what they see is of
one moment.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from ..calendars.doubted_stamps import phase_at
from ..core.clock import OVER, Phase, WallClock, deadline_in, monotonic
from ..core.model import Notice, OrderReport
from ..errors import LinkError, LinkTimeout
from .liveness import Liveness
from .loop_ports import EveryRound, LoopBroker, LoopPorts, LoopRecorder

logger = logging.getLogger(__name__)

#: What the sandbox says when its days are over.
MARKET_OVER = 2026112101


class EventLoop:
    """What is done in each round of a session.

    Args:
        ports: The session, which has been connected, and what it feeds.
        on_new_session: Called when there is another session.

    Attributes:
        liveness: The proof that nothing is missing.
        broker, recorder: Take part as soon as there is one.
        rolls: Looked after last, once there is a broker.
    """

    def __init__(self, ports: LoopPorts, on_new_session: Callable[[], None]) -> None:
        self._context, self._clock = ports.context, ports.context.clock
        self._gateway, self._link, self._hours = ports.gateway, ports.link, ports.hours
        self._instruments, self._feeds = ports.instruments, ports.feeds
        self._listeners, self._keepers = ports.listeners, ports.keepers
        self._on_new_session = on_new_session
        self.liveness = Liveness(self._clock, self._link, self._dues)
        self.broker: LoopBroker | None = None
        self.recorder: LoopRecorder | None = None
        self.rolls: EveryRound | None = None
        self._polled = self._trading = False
        self._links_over = self._losses = self._kept = 0
        self._sessions = self._link.sessions
        self._counter_words = self._link.counter_words

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
        try:
            self._link.wait(deadline_in(max(0.0, timeout)))
        except LinkError:
            self._listeners.round()  # they see the end, too
            raise
        self.follow_clock()
        self._follow_session()
        self._take_market_data()
        for notice in self._link.take_notices():
            self._take_notice(notice)
        self._take_reports()
        if self.broker is not None:  # after the reports: what orders have become of them is known
            for keeper in self._keepers:
                keeper()
            if self.rolls is not None:
                self.rolls.on_round()
        self._listeners.round()

    def _take_reports(self) -> None:
        if not self._gateway.trading.changed():
            return
        reports = self._gateway.trading.new_reports()
        for report in reports:
            if isinstance(report, OrderReport) and report.rejected:
                self._link.refusals.answered(report.last_msg, WallClock().now_ns())
        if self.broker is not None:
            self.broker.take_reports(reports)

    def _take_market_data(self) -> None:
        feeds, clock = self._feeds, self._clock
        stamps = [(feed.symbol, stamp) for feed in feeds if (stamp := feed.take_ticks())]
        if self.recorder is not None:
            stamps += self.recorder.take()
        for symbol, stamp in stamps:
            # Before the market has been heard, what comes before an open may have any stamp.
            calendar = self._context.calendar
            if clock.trusted or phase_at(calendar, symbol, stamp) is Phase.TRADING:
                clock.stamp(stamp)
            self.liveness.heard(symbol, stamp)
        if stamps:
            self._link.heard()
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
        gateway = self._gateway
        if self._clock.virtual:
            return
        asked, answered = self.liveness.passed(), gateway.ask()
        while not answered():
            if monotonic() >= deadline:
                raise LinkTimeout("market data does not answer: call again when it is there")
            gateway.pump(max(0.0, deadline - monotonic()))
        self.liveness.answered(asked)

    def alive_at(self, symbol: str) -> int:
        """Until when nothing can be missing of what the market sent of a contract, nanoseconds."""
        return self.liveness.alive_at(symbol)

    def follow_clock(self) -> None:
        """A server that tells the time tells it to us."""
        clock, now = self._clock, self._gateway.virtual_now()
        if now is not None:
            if not clock.virtual:
                logger.info("the server tells the time: market clock")
            clock.virtual = True
            clock.stamp(now)

    def _follow_session(self) -> None:
        """Tell feeds and broker what has become of the connection."""
        link, notify = self._link, self._context.notify
        self._instruments.follow()
        self._follow_hours()
        if link.losses != self._losses:
            self._losses = link.losses
            for feed in self._feeds:
                feed.put_notification(feed.DISCONNECTED)
        if link.kept != self._kept:
            self._kept = link.kept
            notify(f"the session is not renewed and goes on: {link.last_error}")
        if link.sessions != self._sessions:
            self._sessions = link.sessions
            self._links_over = 0
            self._on_new_session()
            self._instruments.ask()
            done = "everything is subscribed and compared"
            if not link.trading_up:
                done = "everything is subscribed; market data alone"
            notify(f"connected again: {done}")
        if link.counter_words != self._counter_words:
            self._counter_words = link.counter_words
            notify(link.counter_words or "trading goes on")
        if self.broker is not None:
            self.broker.follow_session(self._sessions, link)

    def _follow_hours(self) -> None:
        hours = self._hours
        if hours.trading == self._trading:
            return
        self._trading = hours.trading
        if self._trading:
            self._instruments.ask()  # the evening's first answer may have been the old day's
        word, until = "open" if self._trading else "closed", hours.boundary
        logger.info("the market is %s until %s", word, until)
        self._context.notify(f"the market is {word} until {until}", until=until)

    def _take_notice(self, notice: Notice) -> None:
        level = logging.WARNING if notice.level == "WARNING" else logging.INFO
        logger.log(level, "notice %s: %s", notice.code, notice.content)
        if self.broker is not None and not notice.conn_id:  # the client's own name one
            self.broker.heard()
        if notice.code == MARKET_OVER:
            self._links_over += 1
        else:
            self._context.notify(notice.content, notice=notice)

    def _dues(self) -> Iterator[tuple[str, int]]:
        """Contracts, and what must have passed there before something is decided."""
        for feed in self._feeds:
            for due in feed.dues:
                yield feed.symbol, due
        if self.recorder is not None:
            yield from self.recorder.dues

    def _has_news(self) -> bool:
        feeds = self._feeds
        if self._context.unsaid or (feeds and all(feed.finished for feed in feeds)):
            return True
        if any(feed.has_history for feed in feeds):
            return True  # what waits behind it is not waited for
        if self.broker is not None and self.broker.has_news:
            return True
        horizon = self.horizon()
        return any(feed.has_bar(horizon) for feed in feeds)

    def horizon(self) -> int:
        """Bars that end by this instant are complete for every contract."""
        return min((feed.complete_until for feed in self._feeds), default=0)

    @property
    def market_over(self) -> bool:
        """Whether a market of finite days has ended and every connection has said so."""
        return self._gateway.history_over or self._links_over >= self._gateway.links
