"""The engine: makes market steps, matches orders, and sends their news to the clients.

With ``speed=None`` the market runs as fast as its clients: a step is made when every market data
connection that has subscriptions has been sent everything and has peeked for more, and every
account report has been read. So the same client program always meets the same market.

If packs carry no time, programs use the sandbox's clock (``clock_lines``): time advances while all
of them wait, to the next step or to the moment until which one of them waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count

from ..core.clock import MINUTE, SECOND, monotonic, passed_ns
from ..core.shared_clock import NO_END
from .exchange.ledger import Notice
from .exchange.views import Parcel
from .venue import Venue
from .wire.clock_lines import ClockLines
from .wire.connection import Connection
from .wire.instrument_query import InstrumentQuery
from .wire.md import MdContext, MdSession
from .wire.send_queue import Diff
from .wire.series import SeriesBook
from .wire.td import TdSession

logger = logging.getLogger(__name__)

END_CODE = 2026112101
END_TEXT = "sandbox: the last trading day has ended"

# Turns of the event loop between a peek and the step. What the client wrote to its other socket
# before is read in the first turn and handled in the second; the step is made in the third.
_PASSES = 2
# After a request other than a peek the client may send more at once.
_GRACE_SECONDS = 0.002
# Steps without anything to send, before the event loop gets a turn.
_SILENT_STEPS = 200
_LONGEST_SLEEP = 0.02
# Seconds between two packs that carry only the time.
_TELL_SECONDS = 0.1
# If no connection subscribes, a handshake may be under way, which takes more turns.
_QUIET_SECONDS, _QUIET_PASSES = 0.001, 10
# A program that waits on the sandbox's clock sleeps through a long break except for these parts.
_AFTER_CLOSE, _BEFORE_OPEN = MINUTE, 4 * MINUTE


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How the engine runs.

    Attributes:
        speed: Multiple of real time; ``None`` is as fast as the clients ask.
        ticks_per_pack: Steps gathered into one pack.
        virtual: Whether packs carry the market's time. If not, seconds are those of the clock
            that the clients share.
        balance: Opening balance of a new account, yuan.
    """

    speed: float | None = None
    ticks_per_pack: int = 1
    virtual: bool = True
    balance: float = 1_000_000.0


class Engine:
    """Runs timeline, exchange and connections. Not thread safe: one event loop owns it."""

    def __init__(self, floor: Venue, options: EngineOptions) -> None:
        self.floor, self.options = floor, options
        self.timeline = floor.timeline
        self.connections: list[Connection] = []
        self.batch_next = 0
        self.on_step: Callable[[], None] = lambda: None
        self._pump_handle: asyncio.Handle | None = None
        self._told = monotonic()
        self._wall_start, self._market_start = passed_ns(), self.timeline.now_ns
        self.lines = ClockLines(self._shared_time, self._on_wait)
        self._last_step = self.timeline.now_ns
        self._later: list[tuple[int, int, Callable[[], object]]] = []
        self._laters = count()
        query = InstrumentQuery(
            floor.market.instruments,
            day_facts=floor.day_facts,
            main_contract=floor.main_contract,
            now=lambda: self.timeline.now_ns,
            trading_day=lambda: f"{self.timeline.trading_day:%Y%m%d}",
        )
        book = SeriesBook(floor.market, floor.calendar)
        self.context = MdContext(
            floor.market.instruments, self.timeline, book, query, self._clock_head
        )

    # Connections

    def of_kind(self, kind: str) -> list[Connection]:
        """The open connections of a kind (``"md"`` or ``"td"``)."""
        return [link for link in self.connections if link.kind == kind]

    def add(self, link: Connection) -> None:
        """Register a connection that has been made."""
        self.connections.append(link)
        if self.timeline.finished:
            self._tell_end(link)
        link.greet()

    def remove(self, link: Connection) -> None:
        """Remove a connection that has closed."""
        self.connections.remove(link)
        if isinstance(link.session, MdSession):
            link.session.close()
        self.kick()

    def receive(self, link: Connection, pack: dict[str, object]) -> None:
        """Handle a pack that has arrived."""
        self._follow_wall_clock()
        link.hear(pack)
        if link.latency is not None and not link.frozen:
            self.later(link.latency.into(), lambda: self._hand_over(link, pack))
        else:
            self._hand_over(link, pack)

    def _hand_over(self, link: Connection, pack: dict[str, object]) -> None:
        if link in self.connections and link.receive(pack):
            self.collect()
            self.kick(grace=link.kind == "md" and pack.get("aid") != "peek_message")

    # Time

    def _shared_time(self) -> tuple[int, int, float]:
        if self.options.speed is None:
            return self.timeline.now_ns, 0, 0.0
        return self._market_start, self._wall_start, self.options.speed

    @property
    def seconds(self) -> float:
        """Seconds of the clock that faults and time-outs use."""
        if self.options.virtual or not (self.lines or self.options.speed):
            return monotonic()
        self._follow_wall_clock()
        return self.timeline.now_ns / SECOND

    def later(self, seconds: float, act: Callable[[], object]) -> None:
        """Call ``act`` after so many seconds of that clock."""
        if self.lines and self.options.speed is None:
            moment = self.timeline.now_ns + int(seconds * SECOND)
            heappush(self._later, (moment, next(self._laters), act))
            self.kick()
        else:
            if not self.options.virtual and self.options.speed:
                seconds /= self.options.speed
            asyncio.get_running_loop().call_later(seconds, act)

    # Requests of trading connections

    def login(self, session: TdSession, user_id: str) -> list[Parcel]:
        """Open the account if needed and return the answer to the login."""
        self.collect()
        return self.floor.login(user_id, self.options.balance)

    def login_refusal(self, user_id: str) -> list[Notice]:
        """The answer to a login that is refused; empty if it is accepted."""
        return self.floor.front.login_refusal(user_id)

    def insert(self, user_id: str, pack: dict[str, object]) -> None:
        """Insert an order."""
        self.floor.insert(user_id, pack)

    def cancel(self, user_id: str, order_id: str) -> None:
        """Cancel an order."""
        self.floor.cancel(user_id, order_id)

    # Steps

    def kick(self, *, grace: bool = False) -> None:
        """Check after a few turns of the event loop whether the market may step."""
        loop = asyncio.get_running_loop()
        if grace and not self.lines:  # those tell when they wait
            self._send_due()
            if self._pump_handle is not None:
                self._pump_handle.cancel()
            self._pump_handle = loop.call_later(_GRACE_SECONDS, self._pump, 0)
        elif self._pump_handle is None:
            self._pump_handle = loop.call_soon(self._pump, _PASSES)

    def _pump(self, passes: int) -> None:
        if passes > 0:
            loop = asyncio.get_running_loop()
            self._pump_handle = loop.call_soon(self._pump, passes - 1)
            return
        self._pump_handle = None
        for _ in range(_SILENT_STEPS):
            self._send_due()
            if self.options.speed is not None:
                return
            if self.lines:
                if not self._pass_time():
                    return
                continue
            if not self._may_step():
                self._release_at_rest()
                return
            if self._release(self.timeline.next_time(), once=True):
                continue
            for _ in range(max(self.options.ticks_per_pack, self.batch_next)):
                if not self.timeline.finished:
                    self.step()
            self.batch_next = 0
        self.kick()

    # Programs that use the sandbox's clock

    def _on_wait(self) -> None:
        """A program waits: what it has sent before is read first."""
        loop = asyncio.get_running_loop()
        if self._pump_handle is not None:
            self._pump_handle.cancel()
        if self._drivers():
            self._pump_handle = loop.call_soon(self._pump, _PASSES)
        else:
            self._pump_handle = loop.call_later(_QUIET_SECONDS, self._pump, _QUIET_PASSES)

    def _pass_time(self) -> bool:
        """Advance to the next event; False while a program works."""
        wake = self.lines.next_wake
        if wake is None or not all(map(self._has_taken, self.connections)):
            return False
        later = self._later[0][0] if self._later else NO_END
        told, step = (
            NO_END if moment is None else moment
            for moment in (self.floor.due_ns(), self.timeline.next_time())
        )
        moment = min(later, told, step, wake)
        if moment == NO_END:
            return False
        if moment == later:
            self.timeline.advance_clock(later)
            _, _, act = heappop(self._later)
            act()
        elif moment == told:
            self.timeline.advance_clock(told)
            self.collect(told)
        elif moment == step:
            self.step()
        else:
            self.timeline.advance_clock(self._slept_through(wake))
            self.lines.wake()
        return True

    def _has_taken(self, link: Connection) -> bool:
        """Whether a client has read what has been sent to it."""
        if link.frozen or not self.lines.hears(link.port):
            return True
        if link.is_slow:  # its next request may be under way for long
            return not link.untaken
        session = link.session
        if isinstance(session, TdSession):
            return not (session.unread or session.outbox)
        return session.peek_open and not session.outbox

    def _slept_through(self, moment: int) -> int:
        """A later moment to wake at if ``moment`` is in the middle of a long break."""
        following = self.timeline.next_time()
        if following is None or moment < self._last_step + _AFTER_CLOSE:
            return moment
        awake = following - _BEFORE_OPEN
        return awake if awake > moment and not self.timeline.in_session(moment) else moment

    # Account reports that are due by time alone

    def _release(self, until_ns: int | None, *, once: bool = False) -> bool:
        """Advance time through the account reports due until then; False if there are none."""
        released = False
        while (due := self.floor.due_ns()) is not None and until_ns is not None and due <= until_ns:
            self.timeline.advance_clock(due)
            self.collect(due)
            released = True
            if once:
                break
        return released

    def _release_at_rest(self) -> None:
        """Deliver all due reports if no client drives the market: time does not pass then."""
        if self.timeline.finished or not self._drivers():
            while (due := self.floor.due_ns()) is not None:
                self.collect(due)
            self._send_due()

    def _drivers(self) -> list[Connection]:
        """The market data connections that the market waits for."""
        return [
            link
            for link in self.connections
            if isinstance(link.session, MdSession) and link.session.subscribed and not link.frozen
        ]

    def _may_step(self) -> bool:
        if self.timeline.finished:
            return False
        clients = set()
        for link in self._drivers():
            if link.session.outbox or not link.session.peek_open:
                return False
            clients.add(link.client)
        if not clients:
            return False
        for link in self.connections:
            session = link.session
            if isinstance(session, TdSession) and link.client in clients and not link.frozen:
                if session.unread or session.outbox:
                    return False
        return True

    def _send_due(self) -> None:
        """Answer open peeks; an account report waits until its client has read the ticks before."""
        for link in self.connections:
            if link.kind == "md" and link.can_send:
                link.send_due()
            elif link.kind == "td":
                link.send_unasked()
        busy = set()
        if self.options.speed is None:
            busy = {
                link.client
                for link in self._drivers()
                if not link.is_slow and (link.session.outbox or not link.session.peek_open)
            }
        for link in self.connections:
            if link.kind == "td" and link.can_send and link.client not in busy:
                link.send_due()

    def step(self) -> None:
        """Make one market step."""
        self._release(self.timeline.next_time())
        step = self.floor.step()
        self._last_step = step.time_ns
        clock: Diff = {"_tqsdk_backtest": {"current_dt": step.time_ns}}
        for link in self.connections:
            if isinstance(link.session, MdSession):
                news = link.session.on_step(step)
                if self.options.virtual and (news or (not step.ticks and link.session.subscribed)):
                    link.session.outbox.add(clock)
        if step.settles:
            self._settle()
        self.collect()
        self.on_step()

    def advance(self, *, until_ns: int | None = None, steps: int | None = None) -> int:
        """Advance the market without waiting for its clients; returns the number of steps."""
        made = 0
        while steps is None or made < steps:
            moment = self.timeline.next_time()
            if moment is None or (until_ns is not None and moment > until_ns):
                break
            self.step()
            made += 1
        if until_ns is not None:
            self.timeline.advance_clock(until_ns)
        self._market_start, self._wall_start = self.timeline.now_ns, passed_ns()
        self.lines.tell()
        self.lines.wake()
        self.kick()
        return made

    async def run_by_wall_clock(self) -> None:
        """Make steps when their time comes (``speed`` is a number); runs until cancelled."""
        while True:
            self._follow_wall_clock()
            self._tell_time()
            self._send_due()
            moment = self.timeline.next_time()
            wait = _LONGEST_SLEEP
            if moment is not None and self.options.speed:
                wait = (moment - self.timeline.now_ns) / SECOND / self.options.speed
            await asyncio.sleep(min(max(wait, 0.0), _LONGEST_SLEEP))

    def _tell_time(self) -> None:
        """Send the time in breaks, too, when it passes by itself."""
        now = monotonic()
        if not self.options.virtual or now - self._told < _TELL_SECONDS:
            return
        self._told = now
        for link in self.connections:
            session = link.session
            if isinstance(session, MdSession) and session.subscribed and not session.outbox:
                session.outbox.add({"_tqsdk_backtest": {"current_dt": self.timeline.now_ns}})

    def _follow_wall_clock(self) -> None:
        if self.options.speed is None:
            return
        passed = (passed_ns() - self._wall_start) * self.options.speed
        now = self._market_start + int(passed)
        while (moment := self.timeline.next_time()) is not None and moment <= now:
            self.step()
        self._release(now)
        self.timeline.advance_clock(now)

    # Parts of a step

    def collect(self, now_ns: int | None = None) -> None:
        """Deliver account reports to the connections of their users."""
        for user_id, parcels in self.floor.take_news(now_ns):
            for link in self.connections:
                if isinstance(link.session, TdSession) and link.session.user_id == user_id:
                    link.session.deliver(parcels)

    def _settle(self) -> None:
        for link in self.connections:
            if isinstance(link.session, MdSession):
                link.session.settle()
        if not self.floor.settle():
            self.collect()
            for link in self.connections:
                self._tell_end(link)
            logger.info("the last trading day has ended")

    def _tell_end(self, link: Connection) -> None:
        message = {"type": "MESSAGE", "level": "INFO", "code": END_CODE, "content": END_TEXT}
        link.session.outbox.add({"notify": {f"end_{link.kind}": message}})

    def _clock_head(self) -> list[Diff]:
        if not self.options.virtual:
            return []
        timeline = self.timeline
        times = {
            "start_dt": timeline.start_ns,
            "current_dt": timeline.now_ns,
            "end_dt": timeline.end_ns,
        }
        return [{"_tqsdk_backtest": times}]
