"""``Reconnector``: keeps one session alive, and reports its state.

``supervisor`` decides what to do; this module does it.
"""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from typing import Protocol

from .calendars.market_hours import Edge, MarketHours
from .core.clock import (
    OVER,
    SECOND,
    Instants,
    WallClock,
    beijing_now,
    from_ns,
    instants,
    monotonic,
    pause,
    seconds_until,
)
from .core.login_words import Refusal, Why, front_lost, front_there, is_good, refusal_in
from .core.model import CONNECTED, LOST, RESTORED, Notice
from .errors import (
    ConfigError,
    CounterAway,
    LinkError,
    LinkLost,
    LinkTimeout,
    LoginRefused,
    TradingLoginRefused,
)
from .gateway.refusal_notices import RefusalNotices
from .gateway.supervisor import WORKS, Action, Event, State, Supervisor
from .gateway.trading_login import Login, Seen, TradingLogin

logger = logging.getLogger(__name__)

#: The type of a notice with a settlement statement.
STATEMENT = "SETTLEMENT"
#: Seconds of one wait while the server is being probed.
STEP = 0.05
#: States in which the session is checked after each such wait.
_RESTLESS = (
    State.DOWN, State.BACKOFF, State.OVERDUE, State.OVERDUE_BACKOFF, State.UNSTABLE, State.BUILDING,
    State.RENEWING,
)  # fmt: skip
#: States in which a session is made as soon as a probe is answered.
_MAKING = (State.BUILDING, State.RENEWING)
#: States in which market data may still work, because only trading is lost.
_TRADING_LOST = (State.DOWN, State.BACKOFF, State.BUILDING, State.RENEWING)
#: Seconds in which a healthy line answers.
PROMPT = 1.0
#: The longest absence, in seconds, that TqSdk bridges by itself: charts have 600 minutes or more.
RESTORABLE = 600 * 60.0
#: The time at which the day's count of reconnects restarts.
COUNT_RESET = timedelta(hours=21, minutes=20)


class Answer(Protocol):
    """The answer of a probe."""

    def answer(self, timeout: float = 0.0) -> bool | None: ...


class Link(Protocol):
    """The session that is kept alive: the gateway."""

    @property
    def connected(self) -> bool: ...
    @property
    def renewable(self) -> bool: ...
    @property
    def opened(self) -> int: ...
    def connect(self) -> None: ...
    def renew(self, away: float, patience: float, *, trading: bool = True) -> None: ...
    def pump(self, timeout: float) -> bool: ...
    def new_notices(self) -> list[Notice]: ...
    def probe(self, patience: float) -> Answer: ...
    def ask(self) -> Callable[[], bool]: ...


class Reconnector:
    """Keeps one session alive.

    Args:
        link: The gateway.
        hours: The trading hours of the subscribed contracts; None means always.
        jitter: Returns random factors around 1 for the delays between attempts.

    Raises:
        ConfigError: ``link`` is a str, such as the user of an account.

    Attributes:
        last_ok: When the last wait brought news, naive Beijing time of this machine; or None.
        last_error: The text of the last failure, "" if there was none.
        reconnects_today: New sessions since 21:20.
        sessions, answers, losses: Their numbers so far; answers are those to requests on a silent
            line, losses those of market data.
        kept: How often the renewal of a working session failed and the session was kept.
        refusals: The counter's notices that refuse orders without a report.
        counter_words: Why the counter accepts no orders though its link may be up; or "".
        no_trading: Why orders would not reach a logged-in session, "" if they would.
        trading_up: Whether they would.
        doubts: Rounds in which the line may have been dead, or something of it was lost.
    """

    def __init__(
        self,
        link: Link,
        hours: MarketHours | None = None,
        jitter: Callable[[], float] = lambda: random.uniform(0.75, 1.25),
    ) -> None:
        if isinstance(link, str):
            raise ConfigError(
                "a Reconnector manages the session of a store and opens none by itself: "
                "use MyStore(key, value).reconnector"
            )
        self._link, self._hours = link, hours
        self._supervisor = Supervisor(jitter)
        self._last_ok = 0  # by the machine's clock, nanoseconds
        self.last_error = ""
        self.reconnects_today = self.sessions = self.answers = self.losses = self.kept = 0
        self._lines_lost = 0
        self._counted_day = date.min
        self._last_data = instants(WallClock())
        self._data_until: Instants | None = None  # the beginning of the present gap in the data
        self._away: set[str] = set()
        self._connected: set[str] = set()
        self._probe: Answer | None = None
        self._answered: Callable[[], bool] | None = None
        self._heard = False
        self._notices: deque[Notice] = deque()
        self.refusals = RefusalNotices()
        self._login = TradingLogin()
        self._opened = 0
        self.no_trading, self.trading_up = "the trading link is down", False
        self.doubts = self._breaks = 0
        self.counter_words = ""

    # -- as in earlier versions ---------------------------------------------------------------

    def connect(self) -> None:
        """Open the first session.

        Raises:
            As for the gateway's ``connect``; nothing is tried again.
        """
        self._link.connect()
        self._logged_in()
        self._supervisor.observe(Event.BUILT, monotonic())
        self.sessions += 1
        self._succeeded()
        self._note_trading()

    def wait(self, deadline: float) -> bool:
        """Wait for news until ``deadline``, and manage the session meanwhile.

        Args:
            deadline: A time of ``time.time()``.

        Returns:
            Whether there was news.

        Raises:
            LoginRefused: The password is no longer valid, or the client cannot continue.
        """
        end = monotonic() + seconds_until(deadline)  # the machine's clock may be set meanwhile
        while True:
            left = end - monotonic()
            news = self._step(max(0.0, left))
            self._look_around()
            if news or left <= OVER:
                return news

    def on_timeout(self) -> None:
        """Manage the session after a wait of the caller's own without news."""
        self._look_around()

    def healthy(self, max_idle: float = 30) -> bool:
        """Whether the session works and there was news within ``max_idle`` seconds."""
        if self.last_ok is None or self.doubtful:
            return False
        return beijing_now() - self.last_ok <= timedelta(seconds=max_idle)

    @property
    def last_ok(self) -> datetime | None:
        """When the last wait brought news; see ``Reconnector``."""
        return from_ns(self._last_ok) if self._last_ok else None

    @property
    def backoff(self) -> float:
        """Seconds until the next attempt, 0 if the session works."""
        return self._supervisor.backoff

    # -- for the store ------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The state of the session."""
        return self._supervisor.state

    @property
    def market_data_up(self) -> bool:
        """Whether ticks can arrive."""
        return self._link.connected and "md" not in self._away

    def _note_trading(self) -> None:
        """Update what orders ask for again and again, after anything that may have changed it."""
        lost = self._trading_link_lost or not self._link.connected
        self.counter_words = "" if self._login.state is Login.IN else self._login.words
        self.no_trading = self.counter_words or ("the trading link is down" if lost else "")
        self.trading_up = not self.no_trading
        if self.breaks != self._breaks or not self.trading_up or self.doubtful:
            self._breaks = self.breaks
            self.doubts += 1

    @property
    def trading_rests(self) -> str:
        """The same if the login was refused and only the owner can resolve that; or ""."""
        refusal = self._login.refusal
        return self._login.words if refusal is not None and refusal.why is not Why.AWAY else ""

    @property
    def _trading_link_lost(self) -> bool:
        return any(conn.startswith("td") for conn in self._away)

    @property
    def breaks(self) -> int:
        """How often a part of the connection to the exchange was lost.

        The parts are market data, the trading link, and the trading login with the counter's line
        to the front.
        """
        return self._lines_lost + self._login.losses

    def resume_trading(self) -> None:
        """Try a refused login once more with the next wait, on the owner's request."""
        self._login.observe(Seen.ASKED, monotonic())
        self._note_trading()

    def heard(self) -> None:
        """Note that market data has come."""
        self._heard = True
        self._last_data = instants(WallClock())

    def take_notices(self) -> list[Notice]:
        """The notices of server and client since the last call."""
        notices = list(self._notices)
        self._notices.clear()
        return notices

    def trading_silent(self) -> None:
        """Note that an order is not answered: the trading link may be dead."""
        if self._link.renewable:
            logger.warning("an order is not answered: a new session is needed")
            self._do(self._supervisor.observe(Event.TD_LOST, monotonic()))

    def doubt(self) -> bool:
        """Send a request on the line now; False if one is open already, or the line is down."""
        if self._answered is not None:
            return False
        if self._supervisor.state is State.UP:
            self._do(self._supervisor.observe(Event.MD_RESTORED, monotonic()))
            return True
        if self._supervisor.state not in _TRADING_LOST or not self.market_data_up:
            return False
        self._supervisor.asked(monotonic())
        self._answered = self._link.ask()
        return True

    @property
    def doubtful(self) -> bool:
        """Whether the line may be dead: it is down, or takes long to answer.

        An open request alone is no sign of that: a contract without trades is silent, and at the
            end
        of a bar the time is requested.
        """
        state, asked = self._supervisor.state, monotonic() - self._supervisor.since
        return state not in WORKS and not (state is State.SUSPECT and asked < PROMPT)

    # -- inside -------------------------------------------------------------------------------

    def _step(self, timeout: float) -> bool:
        """Wait once, no longer than until the next action is due."""
        if self._supervisor.state in _RESTLESS:
            timeout = min(timeout, STEP)
        elif self._link.renewable:
            change = min(self._supervisor.next_change(), self._login.due)
            timeout = min(timeout, max(0.0, change - monotonic()) + 0.001)
        if not self._link.connected:
            if self._probe is not None:
                self._probe.answer(timeout)
            else:
                pause(timeout)
            return False
        try:
            news = self._link.pump(timeout)
        except LinkLost as error:
            if not self._link.renewable:
                raise
            self.last_error = str(error)
            self._lost("md")
            self._do(self._supervisor.observe(Event.BROKEN, monotonic()))
            pause(min(timeout, STEP))
            return False
        if news:
            self._succeeded()
        return news

    def _look_around(self) -> None:
        """Handle notices and other events."""
        try:
            self._take_news()
        finally:
            self._note_trading()

    def _take_news(self) -> None:
        sessions, notices = self.sessions, self._link.new_notices()
        self._notices += notices
        # Notices about the connection come first: if the client has connected by itself and its
        # login was refused, the refusal belongs to a session that is over, and is tried once more.
        for notice in sorted(notices, key=lambda one: not one.conn_id):
            self.refusals.hear(notice, WallClock().now_ns())
            if self.sessions == sessions:  # otherwise they are of a session that is over
                self._take_notice(notice)
                self._take_login_notice(notice)
        now, renewable = monotonic(), self._link.renewable
        hours = self._hours
        awake = hours is None or hours.lead is None or hours.awake()
        self._supervisor.awake = renewable and awake
        for event in self._events():
            if event is Event.AHEAD:
                self._login.observe(Seen.AHEAD, now)
            if event is Event.BOUNDARY and self._supervisor.state is State.RENEWING:
                self._failed(LinkTimeout("TianQin has not answered before the open"), Event.FAILED)
            if renewable or event is Event.ANSWERED:
                self._do(self._supervisor.observe(event, now))
        self._take_answer()  # last: a line that has answered meanwhile needs no new session
        if not self._away:
            self._opened = self._link.opened
        now = monotonic()
        if now >= self._login.due:
            self._login.observe(Seen.DUE, now)
        if renewable:
            self._do(self._supervisor.observe(Event.TIME, now))
        if renewable and self._login.state is Login.TRYING:
            self._do(self._supervisor.observe(Event.TRADING, now))

    def _events(self) -> list[Event]:
        """What has been seen since the last look, but that time passes."""
        events = [Event(edge) for edge in self._edges()]
        if self._heard:
            self._heard = False
            events.append(Event.DATA)
        if self._answered is not None and self._link.connected and self._answered():
            self._answered = None
            self.answers += 1
            events.append(Event.ANSWERED)
        return events

    def _edges(self) -> Iterable[Edge]:
        """The opens and closes that have come, nearly always none."""
        hours = self._hours
        if hours is None:
            return ()
        same = hours.counted == len(hours.feeds) + len(hours.recorded)
        return () if same and hours.now_ns() < hours.next_ns else hours.events()

    def _take_answer(self) -> None:
        """Make the session that has waited for the probe's answer; TianQin's login is done."""
        there = self._probe.answer() if self._probe is not None else None
        if there is None:
            return
        self._probe = None
        if not there:
            self.last_error = "the server accepts no connections"
        if self._supervisor.state not in _MAKING:
            event = Event.SERVER_THERE if there else Event.SERVER_AWAY
            self._supervisor.observe(event, monotonic())
        if self._supervisor.state in _MAKING:
            if there:
                self._build()
            else:
                self._failed(LinkLost(self.last_error), Event.FAILED)

    def _take_notice(self, notice: Notice) -> None:
        conn, market_data = notice.conn_id, notice.conn_id == "md"
        if not market_data and not conn.startswith("td"):
            return
        event = None
        if notice.code == LOST:
            self.last_error = notice.content
            self._lost(conn)
            event = Event.MD_LOST if market_data else Event.TD_LOST
        elif notice.code == RESTORED:
            self._away.discard(conn)
            event = Event.MD_RESTORED if market_data and not self._away else None
            if market_data and self._link.renewable and self._seconds_away() > RESTORABLE:
                event = Event.DEAF
            elif market_data:
                self._data_until = None
            if not self._away and self._supervisor.state in (State.DOWN, State.BACKOFF):
                event = Event.SERVER_THERE
            if market_data and event is Event.DEAF:
                self._away.add(conn)  # no request on a line that may have lost data
        elif notice.code == CONNECTED and conn in self._connected:
            self._lost(conn)
            event = Event.DEAF
        elif notice.code == CONNECTED:
            self._connected.add(conn)
        if event is not None and (self._link.renewable or event is Event.MD_RESTORED):
            logger.warning("%s: %s", conn, event)
            self._do(self._supervisor.observe(event, monotonic()))
        elif event is Event.DEAF:
            raise LinkLost(
                "the server closed the connection and tqsdk does not subscribe again; what it "
                "simulates would be lost with a new session: end the program and start it again"
            )

    def _take_login_notice(self, notice: Notice) -> None:
        """Handle the counter's notices about its line and the login while the connection is up."""
        now, refusal = monotonic(), refusal_in(notice)
        if notice.type == STATEMENT:
            self._login.observe(Seen.STATEMENT, now)
        elif front_lost(notice):
            self.last_error = notice.content
            self._login.observe(Seen.FRONT_LOST, now)
        elif front_there(notice):
            self._login.observe(Seen.FRONT_THERE, now)
        elif is_good(notice):
            self._login.observe(Seen.LOGGED_IN, now)
        elif refusal is not None and refusal.why is Why.AWAY:
            self._login.observe(Seen.FRONT_LOST, now)
        elif refusal is not None and refusal.why is Why.ENDED:
            # Its connection would log in again by itself, and end the other login.
            self._refused(refusal, tries=1)
            self._do(self._supervisor.observe(Event.TRADING, now))
        elif refusal is not None and self._supervisor.state not in _MAKING:
            # The counter's own login at the front; a new session would not make it try again.
            self._refused(refusal, tries=2)

    def _refused(self, refusal: Refusal, tries: int) -> None:
        self.last_error = refusal.words
        self._login.refused(refusal, monotonic(), tries)
        logger.error("%s. %s", self._login.words, refusal.advice)

    def _logged_in(self) -> None:
        self._login.observe(Seen.LOGGED_IN, monotonic())

    def _lost(self, conn: str) -> None:
        self._lines_lost += conn not in self._away
        if conn == "md" and conn not in self._away:
            self.losses += 1
            self._data_until = self._data_until or self._last_data
        self._away.add(conn)

    def _do(self, action: Action) -> None:
        if action is Action.ASK:
            self._answered = self._link.ask()
        elif action is Action.PROBE:
            self._probe = self._link.probe(self._supervisor.answer_within)
        elif action is Action.BUILD:  # the old session is kept until the answer
            self._probe = self._probe or self._link.probe(self._supervisor.answer_within)
        elif action is Action.GIVE_UP:
            raise LoginRefused(f"TianQin has refused the login repeatedly: {self.last_error}")

    def _build(self) -> None:
        self._probe = self._answered = None
        away = self._seconds_away()
        try:
            self._renew(away)
        except LoginRefused as error:
            self._failed(error, Event.REFUSED)
        except LinkError as error:
            self._failed(error, Event.FAILED)
        except BaseException:  # Ctrl-C in a notebook, which may go on: an attempt is due
            self._supervisor.observe(Event.FAILED, monotonic())
            raise
        else:
            self._away.clear()
            self._connected.clear()
            self._data_until = None
            self._count()
            self.sessions += 1
            self._supervisor.observe(Event.BUILT, monotonic())
            self._succeeded()
            logger.info("a new session after %.1f s without data", away)

    def _seconds_away(self) -> float:
        """Seconds since the last data, including those in which the machine was suspended."""
        return instants(WallClock()).since(self._data_until or self._last_data) / SECOND

    def _renew(self, away: float) -> None:
        """Make a session with the account, or with market data only while trading is paused."""
        # After a lost connection TqSdk has logged in, too, if it has opened another one.
        reopened = self._trading_link_lost and self._link.opened > self._opened
        tries, patience = 2 if reopened else 1, self._supervisor.answer_within
        if not self._login.rests:
            try:
                self._link.renew(away, patience)
            except TradingLoginRefused as error:
                self._refused(error.refusal, tries)
            except CounterAway as error:
                self.last_error = error.refusal.words
                self._login.counter_away(error.refusal, monotonic())
                logger.warning("%s", self._login.words)
            except LinkTimeout:
                # A counter that has refused a login sometimes does not answer the next one.
                refusal = self._login.refusal
                if refusal is None:
                    raise
                if refusal.why is Why.AWAY:
                    self._login.counter_away(refusal, monotonic())
                else:
                    self._refused(refusal, tries=2)
            else:
                self._logged_in()
                return
        self._link.renew(away, patience, trading=False)

    def _failed(self, error: LinkError, event: Event) -> None:
        self.last_error = str(error)
        now, works = monotonic(), self._link.connected and not self._away
        if works and self._supervisor.state is State.RENEWING:
            self.kept += 1
            self._supervisor.observe(Event.KEPT, now)
            logger.error("the session was not renewed and continues until the next open: %s", error)
            return
        if works and not self._supervisor.overdue(now):
            event = Event.FAILED  # a refusal does not end a program that has market data
        action = self._supervisor.observe(event, now)
        logger.error("no new session, next attempt in %.0f s: %s", self.backoff, error)
        self._do(action)

    def _succeeded(self) -> None:
        self._last_ok = WallClock().now_ns()

    def _count(self) -> None:
        day = (beijing_now() - COUNT_RESET).date()
        if day != self._counted_day:
            self._counted_day, self.reconnects_today = day, 0
        self.reconnects_today += 1
