"""``EventLoop``: one wait for the server per round of Cerebro, and the handling of its news.

Feeds are updated first, then the account's reports, then everything that is checked every round: so
all of them see the same moment. Only minutes that are not over may be updated a round later, if
ticks are to be delivered at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence

from ..calendars.doubted_stamps import phase_at
from ..core.clock import NEVER, OVER, Phase, WallClock, deadline_in, monotonic
from ..core.model import Notice, OrderReport
from ..errors import LinkError, LinkTimeout
from .liveness import Liveness
from .loop_ports import LoopBroker, LoopFeed, LoopPorts, LoopRecorder, LoopRolls

logger = logging.getLogger(__name__)

#: The code of the sandbox's notice at the end of its market.
MARKET_OVER = 2026112101


class EventLoop:
    """Runs the rounds of a session.

    Args:
        ports: The connected session, and the objects that it updates.
        on_new_session: Called when there is a new session.

    Attributes:
        liveness: Proves that market data are complete.
        broker, recorder: Set once they exist.
        closed: Whether the session was closed for good: then nothing is waited for.
        polled: Whether this round of Cerebro has waited.
        rolls: Checked last, once there is a broker.
        now_ns: The exchange's time as of the last round, nanoseconds since 1970 UTC.
    """

    def __init__(self, ports: LoopPorts, on_new_session: Callable[[], None]) -> None:
        self._context, self._clock = ports.context, ports.context.clock
        self._gateway, self._link, self._hours = ports.gateway, ports.link, ports.hours
        self._instruments, self._feeds = ports.instruments, ports.feeds
        self._listeners, self._keepers = ports.listeners, ports.keepers
        self._on_new_session = on_new_session
        self.liveness = Liveness(self._clock, self._link)
        self.broker: LoopBroker | None = None
        self.recorder: LoopRecorder | None = None
        self.rolls: LoopRolls | None = None
        self.closed = self.polled = self._trading = self._was_over = False
        #: Feeds whose new ticks are taken after the strategies have seen those of others.
        self._put_off: list[LoopFeed] = []
        self.now_ns = 0
        self._links_over = self._losses = self._kept = 0
        self._sessions = self._link.sessions
        self._counter_words = self._link.counter_words

    def begin(self) -> None:
        """Cerebro begins a round: allow one wait."""
        self.polled = False

    def poll(self, timeout: float) -> None:
        """Wait until there is something to deliver, at most once a round."""
        if self.closed or self.polled:
            return
        self.polled = True
        self._take_put_off()
        if self._has_news():
            return
        deadline = monotonic() + timeout
        while True:
            left = deadline - monotonic()
            due = self.liveness.seconds_until_due(self._dues(), self._first_due())
            self.pump(min(left, due))
            if self._has_news() or (self._take_put_off() and self._has_news()) or left <= OVER:
                return

    def pump(self, timeout: float) -> None:
        """Wait once, and handle the news."""
        self._take_put_off()
        try:
            self._link.wait(deadline_in(max(0.0, timeout)))
        except LinkError:
            self._listeners.round()  # observers see the end, too
            raise
        with self._gateway.trading.sent_together():
            self._handle_news()

    def _handle_news(self) -> None:
        self.follow_clock()
        self._follow_session()
        self._take_market_data()
        for notice in self._link.take_notices():
            self._take_notice(notice)
        self._take_reports()
        if self.broker is not None:  # after the reports, so that the state of orders is known
            for keeper in self._keepers:
                keeper()
            if self.rolls is not None and self.rolls.rolls:
                self.rolls.on_round()
        if self._listeners.listening:
            self._listeners.round()

    def _take_reports(self) -> None:
        if not self._gateway.trading.changed():
            return
        reports = self._gateway.trading.new_reports()
        for report in reports:
            if isinstance(report, OrderReport) and report.volume_left and report.rejected:
                self._link.refusals.answered(report.last_msg, WallClock().now_ns())
        if self.broker is not None:
            self.broker.take_reports(reports)

    def _take_market_data(self) -> None:
        feeds, news = self._feeds, self._gateway.take_news()
        fresh = list(feeds) if news is None else [feed for feed in feeds if feed.symbol in news]
        first = [feed for feed in fresh if feed.delivers_ticks]
        others = [feed for feed in fresh if not feed.delivers_ticks]
        if news:
            self._link.heard()
        newest = self._take_ticks(first)
        if self.recorder is not None:
            self._hear(self.recorder.take())
        over = self.market_over
        # Bars of the others that are not due before these ticks can wait until after them.
        if newest and others and not over and newest < min(feed.first_due for feed in others):
            fresh, self._put_off = first, others
        else:
            self._take_ticks(others)
        self._complete(feeds if news is None else fresh, over=over)

    def _take_put_off(self) -> bool:
        """Take the ticks that were left when others were delivered; False if there are none."""
        feeds, self._put_off = self._put_off, []
        if feeds:
            self._take_ticks(feeds)
            self._complete(feeds, over=self.market_over)
            self._follow_orders()  # stops may wait for these prices
        return bool(feeds)

    def _take_ticks(self, feeds: Iterable[LoopFeed]) -> int:
        """Build bars from new ticks; return the newest stamp, nanoseconds, 0 if there is none."""
        stamps = [(feed.symbol, stamp) for feed in feeds if (stamp := feed.take())]
        self._hear(stamps)
        return max((stamp for _, stamp in stamps), default=0)

    def _hear(self, stamps: Sequence[tuple[str, int]]) -> None:
        clock = self._clock
        for symbol, stamp in stamps:
            # Before the first trusted time, a tick before an open may have any stamp.
            if clock.trusted or self._is_in_session(symbol, stamp):
                clock.stamp(stamp)
            self.liveness.heard(symbol, stamp)
        if stamps:
            self._link.heard()

    def _is_in_session(self, symbol: str, stamp: int) -> bool:
        return phase_at(self._context.calendar, symbol, stamp) is Phase.TRADING

    def _complete(self, fresh: Iterable[LoopFeed], *, over: bool) -> None:
        """Prove what is over, and complete the bars of all feeds but those that are put off."""
        feeds, came = self._feeds, {id(feed) for feed in fresh}
        whole = over and all(feed.current for feed in feeds)
        self.liveness.prove(self._dues(), self._first_due(), over=whole)
        alive_at, later = self.liveness.alive_at, {id(feed) for feed in self._put_off}
        every = over or self._was_over
        self._was_over = over
        for feed in feeds:
            if id(feed) not in later:
                until, has_news = alive_at(feed.symbol), id(feed) in came
                if has_news or every or feed.delivers_ticks or feed.first_due <= until:
                    feed.on_round(until, over=over, came=has_news)
        self.now_ns = self._context.present_ns()

    def catch_up(self, deadline: float) -> None:
        """Wait until everything that market data has sent so far has arrived.

        Args:
            deadline: By ``clock.monotonic``.

        Raises:
            LinkTimeout: Market data does not answer.
        """
        gateway = self._gateway
        if self._clock.virtual:
            return
        asked, answered = self.liveness.passed(), gateway.ask()
        while not answered():
            if monotonic() >= deadline:
                raise LinkTimeout("market data does not answer: call again when it does")
            gateway.pump(max(0.0, deadline - monotonic()))
        self.liveness.answered(asked)

    def alive_at(self, symbol: str) -> int:
        """Until when market data of a contract are complete, nanoseconds."""
        return self.liveness.alive_at(symbol)

    def follow_clock(self) -> None:
        """Set the clock by a server that sends the time."""
        clock, now = self._clock, self._gateway.told_now
        if now is not None:
            if not clock.virtual:
                logger.info("the server sends the time: using the market's clock")
            clock.virtual = True
            clock.stamp(now)

    def _follow_session(self) -> None:
        """Tell feeds and broker about changes of the connection."""
        link, notify = self._link, self._context.notify
        specs = self._instruments
        if specs.wanted or specs.due or specs.day != self._context.trading_day():
            specs.follow()
        self._follow_hours()
        if link.losses != self._losses:
            self._losses = link.losses
            for feed in self._feeds:
                if not feed.finished:
                    feed.put_notification(feed.DISCONNECTED)
        if link.kept != self._kept:
            self._kept = link.kept
            notify(f"the session was not renewed and continues: {link.last_error}")
        if link.sessions != self._sessions:
            self._sessions = link.sessions
            self._links_over = 0
            self._on_new_session()
            self._instruments.ask()
            done = "everything is subscribed and compared"
            if not link.trading_up:
                done = "everything is subscribed; market data only"
            notify(f"connected again: {done}")
        if link.counter_words != self._counter_words:
            self._counter_words = link.counter_words
            notify(link.counter_words or "trading goes on")
        self._follow_orders()

    def _follow_orders(self) -> None:
        if self.broker is not None:
            self.broker.follow_session(self._sessions, self._link)

    def _follow_hours(self) -> None:
        hours = self._hours
        if hours.trading == self._trading:
            return
        self._trading = hours.trading
        if self._trading:
            self._instruments.ask()  # in the evening the first answer may have been the old day's
        word, until = "open" if self._trading else "closed", hours.boundary
        logger.info("the market is %s until %s", word, until)
        self._context.notify(f"the market is {word} until {until}", until=until)

    def _take_notice(self, notice: Notice) -> None:
        level = logging.WARNING if notice.level == "WARNING" else logging.INFO
        logger.log(level, "notice %s: %s", notice.code, notice.content)
        if self.broker is not None and not notice.conn_id:  # the client's own have one
            self.broker.heard()
        if notice.code == MARKET_OVER:
            self._links_over += 1
        else:
            self._context.notify(notice.content, notice=notice)

    def _dues(self) -> Iterator[tuple[str, int]]:
        """Contracts, and the instants that must have passed there before a decision."""
        for feed in self._feeds:
            for due in feed.dues:
                yield feed.symbol, due
        if self.recorder is not None:
            yield from self.recorder.dues

    def _first_due(self) -> int:
        """No instant of ``_dues`` is earlier; 0 if that is not known at a glance."""
        if self.recorder is not None:
            return 0
        return min((feed.first_due for feed in self._feeds), default=NEVER)

    def _has_news(self) -> bool:
        feeds = self._feeds
        if self.broker is not None and self.broker.has_news:
            return True
        if self._context.unsaid or (feeds and all(feed.finished for feed in feeds)):
            return True
        waiting = [feed for feed in feeds if feed.waits]
        if not waiting:
            return False
        if any(feed.has_history or feed.put_back for feed in waiting):
            return True  # do not wait for the reports behind it
        horizon = self.horizon()
        return any(feed.has_bar(horizon) for feed in waiting)

    def horizon(self) -> int:
        """Bars that end by this instant are complete for every contract."""
        return min((feed.complete_until for feed in self._feeds), default=0)

    @property
    def market_over(self) -> bool:
        """Whether a market of finite days has ended and every connection has reported it."""
        return self._gateway.history_over or self._links_over >= self._gateway.links
