"""Decides when a session must be renewed: a table of states and events, without a clock.

TqSdk reconnects by itself, but its timer may sleep from ten seconds to twenty minutes, after a
clean close it may receive nothing any more, a frozen line is silent for three quarters of a minute,
and a chart without data holds everything back. So the supervisor observes notices and silence,
requests an answer on a silent line, probes the server while it is down, and has the session built
anew when it is back.

A line may be slow and alive. A new line would be as slow, so the probe takes as long, too: an
answer that arrives before the probe's shows that the line lives, and how long answers take.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import StrEnum

#: Seconds between failed attempts; the last value is repeated.
DELAYS = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
#: Failed attempts in a row after which the next open or close is waited for; while the market
#: trades, or is about to, at most so many seconds, because nobody manages open positions meanwhile.
ATTEMPTS, LONG_REST = 10, 120.0
#: Refused logins in a row after which the password counts as wrong.
REFUSALS = 3
#: Seconds in which TqSdk may restore market data by itself.
OWN_ATTEMPT = 0.5
#: Seconds between probes of a server that is down.
KNOCK_EVERY = 1.0
#: Seconds without market data, in trading hours, after which an answer is requested; doubled
#: after each answer, up to the last value, for contracts that rarely trade.
SILENCE, LONGEST_SILENCE = 5.0, 40.0
#: The least and the most seconds for an answer; within these, a multiple of the slowest of the
#: last answers.
ANSWER, LONGEST_ANSWER, TIMES, ANSWERS_KEPT = 5.0, 15.0, 2.0, 5
#: The most seconds after sessions that were renewed in vain, doubled after each: a session begins
#: with many packs, and every one of them takes as long as an answer.
LONGEST_IN_VAIN = 60.0
#: The minimum age in seconds of a session that is renewed before an open.
DEBOUNCE = 60.0
_NEVER = float("inf")


class State(StrEnum):
    """The state of the session."""

    UP = "UP"
    SUSPECT = "SUSPECT"  # silent, or restored by TqSdk: an answer was requested
    OVERDUE = "OVERDUE"  # the answer is late: the server is probed, and may still answer
    OVERDUE_BACKOFF = "OVERDUE_BACKOFF"  # the same between two probes
    UNSTABLE = "UNSTABLE"  # market data is lost, TqSdk may restore it
    DOWN = "DOWN"  # the server is probed
    RENEWING = "RENEWING"  # before an open: the session works, and continues if this fails
    BUILDING = "BUILDING"
    BACKOFF = "BACKOFF"  # between attempts
    FATAL = "FATAL"


class Event(StrEnum):
    """An observation."""

    DATA = "DATA"
    TIME = "TIME"  # time passes
    ANSWERED = "ANSWERED"
    MD_LOST = "MD_LOST"
    TD_LOST = "TD_LOST"
    MD_RESTORED = "MD_RESTORED"
    DEAF = "DEAF"  # reconnected, but some subscriptions are missing
    BROKEN = "BROKEN"  # the client has given up
    SERVER_THERE = "SERVER_THERE"
    SERVER_AWAY = "SERVER_AWAY"
    BUILT = "BUILT"
    FAILED = "FAILED"
    REFUSED = "REFUSED"
    KEPT = "KEPT"  # the old session continues: it works, and no new one was made
    AHEAD = "AHEAD"  # an open is near
    BOUNDARY = "BOUNDARY"  # an open or a close
    TRADING = "TRADING"  # a new session must try the trading login, or leave it out


class Action(StrEnum):
    """What the caller must do."""

    WAIT = "WAIT"
    ASK = "ASK"
    PROBE = "PROBE"
    BUILD = "BUILD"
    GIVE_UP = "GIVE_UP"


_UP, _SUSPECT, _UNSTABLE = State.UP, State.SUSPECT, State.UNSTABLE
_OVERDUE, _PAUSE = State.OVERDUE, State.OVERDUE_BACKOFF
_DOWN, _BUILDING, _BACKOFF = State.DOWN, State.BUILDING, State.BACKOFF
_RENEWING = State.RENEWING
#: The states of a session that works.
WORKS = frozenset({_UP, _RENEWING})

#: Other pairs change nothing. TIME counts when the state's time has run out.
TRANSITIONS: dict[tuple[State, Event], tuple[State, Action]] = {
    (_UP, Event.DATA): (_UP, Action.WAIT),
    (_UP, Event.BUILT): (_UP, Action.WAIT),
    (_UP, Event.TIME): (_SUSPECT, Action.ASK),
    (_UP, Event.MD_RESTORED): (_SUSPECT, Action.ASK),
    (_UP, Event.MD_LOST): (_UNSTABLE, Action.WAIT),
    (_UP, Event.TD_LOST): (_DOWN, Action.PROBE),
    (_UP, Event.DEAF): (_BUILDING, Action.BUILD),
    (_UP, Event.AHEAD): (_RENEWING, Action.BUILD),
    (_UP, Event.TRADING): (_DOWN, Action.PROBE),
    (_SUSPECT, Event.DATA): (_UP, Action.WAIT),
    (_SUSPECT, Event.ANSWERED): (_UP, Action.WAIT),
    (_SUSPECT, Event.MD_RESTORED): (_SUSPECT, Action.ASK),
    (_SUSPECT, Event.TIME): (_OVERDUE, Action.PROBE),
    (_SUSPECT, Event.MD_LOST): (_UNSTABLE, Action.WAIT),
    (_SUSPECT, Event.TD_LOST): (_DOWN, Action.PROBE),
    (_SUSPECT, Event.DEAF): (_BUILDING, Action.BUILD),
    (_SUSPECT, Event.TRADING): (_DOWN, Action.PROBE),
    (_OVERDUE, Event.ANSWERED): (_UP, Action.WAIT),
    (_OVERDUE, Event.DATA): (_UP, Action.WAIT),
    (_OVERDUE, Event.SERVER_THERE): (_BUILDING, Action.BUILD),
    (_OVERDUE, Event.SERVER_AWAY): (_PAUSE, Action.WAIT),
    (_OVERDUE, Event.MD_LOST): (_DOWN, Action.WAIT),  # it is being probed already
    (_OVERDUE, Event.TD_LOST): (_DOWN, Action.WAIT),
    (_OVERDUE, Event.BROKEN): (_DOWN, Action.WAIT),
    (_OVERDUE, Event.TRADING): (_DOWN, Action.WAIT),
    (_OVERDUE, Event.DEAF): (_BUILDING, Action.BUILD),
    (_PAUSE, Event.ANSWERED): (_UP, Action.WAIT),
    (_PAUSE, Event.DATA): (_UP, Action.WAIT),
    (_PAUSE, Event.TIME): (_OVERDUE, Action.PROBE),
    (_PAUSE, Event.AHEAD): (_OVERDUE, Action.PROBE),
    (_PAUSE, Event.BOUNDARY): (_OVERDUE, Action.PROBE),
    (_PAUSE, Event.MD_LOST): (_BACKOFF, Action.WAIT),
    (_PAUSE, Event.TD_LOST): (_BACKOFF, Action.WAIT),
    (_PAUSE, Event.BROKEN): (_BACKOFF, Action.WAIT),
    (_PAUSE, Event.TRADING): (_BACKOFF, Action.WAIT),
    (_PAUSE, Event.DEAF): (_BUILDING, Action.BUILD),
    (_UNSTABLE, Event.MD_RESTORED): (_SUSPECT, Action.ASK),
    (_UNSTABLE, Event.TIME): (_DOWN, Action.PROBE),
    (_UNSTABLE, Event.TD_LOST): (_DOWN, Action.PROBE),
    (_UNSTABLE, Event.DEAF): (_BUILDING, Action.BUILD),
    (_UP, Event.BROKEN): (_DOWN, Action.PROBE),
    (_SUSPECT, Event.BROKEN): (_DOWN, Action.PROBE),
    (_UNSTABLE, Event.BROKEN): (_DOWN, Action.PROBE),
    (_DOWN, Event.SERVER_THERE): (_BUILDING, Action.BUILD),
    (_DOWN, Event.SERVER_AWAY): (_BACKOFF, Action.WAIT),
    (_RENEWING, Event.BUILT): (_UP, Action.WAIT),
    (_RENEWING, Event.KEPT): (_UP, Action.WAIT),
    (_RENEWING, Event.FAILED): (_BACKOFF, Action.WAIT),
    (_RENEWING, Event.REFUSED): (_BACKOFF, Action.WAIT),
    (_RENEWING, Event.MD_LOST): (_BUILDING, Action.BUILD),
    (_RENEWING, Event.TD_LOST): (_BUILDING, Action.BUILD),
    (_RENEWING, Event.DEAF): (_BUILDING, Action.BUILD),
    (_RENEWING, Event.BROKEN): (_BUILDING, Action.BUILD),
    (_RENEWING, Event.TRADING): (_BUILDING, Action.BUILD),
    (_BUILDING, Event.BUILT): (_UP, Action.WAIT),
    (_BUILDING, Event.FAILED): (_BACKOFF, Action.WAIT),
    (_BUILDING, Event.REFUSED): (_BACKOFF, Action.WAIT),
    (_BACKOFF, Event.SERVER_THERE): (_BUILDING, Action.BUILD),
    (_BACKOFF, Event.TIME): (_DOWN, Action.PROBE),
    (_BACKOFF, Event.AHEAD): (_DOWN, Action.PROBE),
    (_BACKOFF, Event.BOUNDARY): (_DOWN, Action.PROBE),
}


class Supervisor:
    """Turns events into actions.

    Args:
        jitter: Returns random factors around 1 for delays, so that programs do not reconnect
            together.

    Attributes:
        state: The state of the session.
        awake: Whether the market trades or is about to: then silence is suspicious, and a server
            that is down is probed.
        backoff: Seconds until the next attempt, 0 if the session works.
        since: When the last relevant event came, by the clock of ``observe``'s ``now``.
    """

    def __init__(self, jitter: Callable[[], float]) -> None:
        self.state = State.UP
        self.awake = False
        self.backoff = 0.0
        self._jitter = jitter
        self.since = 0.0
        self._built_at = -_NEVER
        self._failures = self._refusals = 0
        self._silence = SILENCE
        self._asked: float | None = None  # when the open request was sent
        self._took: deque[float] = deque(maxlen=ANSWERS_KEPT)
        self._vain = 0  # sessions renewed because of a missing answer, since the last answer

    def observe(self, event: Event, now: float) -> Action:
        """Observe an event at ``now`` (seconds, never going back)."""
        if event is Event.TIME and now - self.since < self._patience():
            return Action.WAIT
        if event is Event.AHEAD and self.state is State.UP and now - self._built_at < DEBOUNCE:
            return Action.WAIT
        self._learn_answer(event, now)
        found = TRANSITIONS.get((self.state, event))
        if found is None:
            return Action.WAIT
        self._learn(event, now)
        self.state, action = found
        self.since = now
        if action is Action.ASK:
            action = self._ask(event, now)
        if self._refusals >= REFUSALS:
            self.state, action = State.FATAL, Action.GIVE_UP
        return action

    def _ask(self, event: Event, now: float) -> Action:
        """Send a request, unless one may still be answered: another would replace it."""
        longest = max(LONGEST_ANSWER, self.answer_within)
        out = self._asked is not None and now - self._asked < longest
        if out and event is Event.TIME:
            return Action.WAIT
        self.asked(now)
        return Action.ASK

    def asked(self, now: float) -> None:
        """Note that a request was sent, in any state."""
        self._asked = now

    def overdue(self, now: float) -> bool:
        """Whether the answer to the last request is late."""
        return self._asked is not None and now - self._asked >= self.answer_within

    def _learn_answer(self, event: Event, now: float) -> None:
        """Learn how long answers take, in any state."""
        if event is Event.ANSWERED and self._asked is not None:
            self._took.append(now - self._asked)
            self._asked, self._vain = None, 0
        elif event in (Event.MD_LOST, Event.BROKEN, Event.BUILT):
            self._asked = None  # the request is lost with its line

    def _learn(self, event: Event, now: float) -> None:
        """Update what later decisions depend on."""
        if event is Event.DATA:
            self._silence, self.backoff = SILENCE, 0.0
        elif event is Event.ANSWERED:
            self._silence, self.backoff = min(2 * self._silence, LONGEST_SILENCE), 0.0
        elif event is Event.SERVER_THERE:
            self._vain += self.state is State.OVERDUE
        elif event in (Event.AHEAD, Event.BOUNDARY):
            self._failures = 0
        elif event is Event.SERVER_AWAY:
            self.backoff = KNOCK_EVERY * self._jitter()
        elif event is Event.BUILT:
            self._failures = self._refusals = 0
            self.backoff, self._built_at = 0.0, now
        elif event in (Event.FAILED, Event.REFUSED):
            self._refusals += event is Event.REFUSED
            self.backoff = DELAYS[min(self._failures, len(DELAYS) - 1)] * self._jitter()
            self._failures += 1

    @property
    def answer_within(self) -> float:
        """Seconds in which an answer arrives on a line that lives."""
        learnt = min(TIMES * max(self._took, default=0.0), LONGEST_ANSWER)
        return max(learnt, min(ANSWER * 2.0**self._vain, LONGEST_IN_VAIN))

    def _patience(self) -> float:
        """Seconds after which time alone changes the state."""
        if self.state is State.UP:
            return self._silence if self.awake else _NEVER
        if self.state in (State.BACKOFF, State.OVERDUE_BACKOFF):
            if not self.awake:
                return _NEVER
            return self.backoff if self._failures < ATTEMPTS else LONG_REST
        if self.state is State.SUSPECT:
            return self.answer_within
        return OWN_ATTEMPT if self.state is State.UNSTABLE else _NEVER

    def next_change(self) -> float:
        """When time alone will change the state, by the clock of ``observe``'s ``now``."""
        return self.since + self._patience()
