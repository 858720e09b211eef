"""Decides when a session must be looked after: a table of states and events, and no clock.

tqsdk reconnects by itself, but its timer may sleep from ten seconds to twenty minutes, after a
clean close it can stay deaf, a frozen line is silent for three quarters of a minute, and a chart
without data holds everything back. So the supervisor watches notices and silence, has a silent
line asked, probes the server while it is away, and has the session built anew when it is back.

A line may be late and alive. What is late on it is as late on a new one, so the probe takes as
long, too: an answer that comes before it says that the line lives, and how long answers take.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import StrEnum

#: Seconds between attempts that fail; the last one goes on.
DELAYS = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
#: Failed attempts in a row after which the next open or close is waited for; while the market
#: trades, or is about to, at most so many seconds: what is held is guarded by nobody meanwhile.
ATTEMPTS, LONG_REST = 10, 120.0
#: Refused logins in a row after which the password is taken for wrong.
REFUSALS = 3
#: Seconds that tqsdk gets to restore market data by itself.
OWN_ATTEMPT = 0.5
#: Seconds between probes a server that is away.
KNOCK_EVERY = 1.0
#: Seconds without market data, in trading hours, after which the line is asked; twice as many
#: after each answer, for a contract that nobody trades, at most the last.
SILENCE, LONGEST_SILENCE = 5.0, 40.0
#: Seconds that the answer may take at least, and at most: so many times as long as the slowest of
#: the last ones.
ANSWER, LONGEST_ANSWER, TIMES, ANSWERS_KEPT = 5.0, 15.0, 2.0, 5
#: The same after sessions that were made anew in vain, twice as long after each: a session begins
#: with many packs, and every one of them takes as long as an answer.
LONGEST_IN_VAIN = 60.0
#: Seconds that a session must be old before it is renewed ahead of an open.
DEBOUNCE = 60.0
_NEVER = float("inf")


class State(StrEnum):
    """How the session is."""

    UP = "UP"
    SUSPECT = "SUSPECT"  # silent, or restored by tqsdk: it has been asked
    OVERDUE = "OVERDUE"  # the answer is: the server is probed, and may still answer
    OVERDUE_BACKOFF = "OVERDUE_BACKOFF"  # the same between two probes
    UNSTABLE = "UNSTABLE"  # market data is lost, tqsdk may restore it
    DOWN = "DOWN"  # the server is probed
    RENEWING = "RENEWING"  # ahead of an open: the session works, and lives on if this fails
    BUILDING = "BUILDING"
    BACKOFF = "BACKOFF"  # between attempts
    FATAL = "FATAL"


class Event(StrEnum):
    """What is seen."""

    DATA = "DATA"
    TIME = "TIME"  # passes
    ANSWERED = "ANSWERED"
    MD_LOST = "MD_LOST"
    TD_LOST = "TD_LOST"
    MD_RESTORED = "MD_RESTORED"
    DEAF = "DEAF"  # connected anew, and not all was subscribed again that is needed
    BROKEN = "BROKEN"  # the client has given up
    SERVER_THERE = "SERVER_THERE"
    SERVER_AWAY = "SERVER_AWAY"
    BUILT = "BUILT"
    FAILED = "FAILED"
    REFUSED = "REFUSED"
    KEPT = "KEPT"  # the old session, as nothing was wrong with it and no new one was made
    AHEAD = "AHEAD"  # of an open
    BOUNDARY = "BOUNDARY"  # an open or a close
    TRADING = "TRADING"  # is to be tried, or left alone, by a session of its own


class Action(StrEnum):
    """What is to be done."""

    WAIT = "WAIT"
    ASK = "ASK"
    PROBE = "PROBE"
    BUILD = "BUILD"
    GIVE_UP = "GIVE_UP"


_UP, _SUSPECT, _UNSTABLE = State.UP, State.SUSPECT, State.UNSTABLE
_OVERDUE, _PAUSE = State.OVERDUE, State.OVERDUE_BACKOFF
_DOWN, _BUILDING, _BACKOFF = State.DOWN, State.BUILDING, State.BACKOFF
_RENEWING = State.RENEWING
#: States of a session that works.
WORKS = frozenset({_UP, _RENEWING})

#: What is not here changes nothing. TIME counts when the state's patience is over.
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
    (_OVERDUE, Event.MD_LOST): (_DOWN, Action.WAIT),  # it is being probed
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
    """Takes events, gives actions.

    Args:
        jitter: Gives factors around 1 for delays, so that many programs do not come at once.

    Attributes:
        state: How the session is.
        awake: Whether the market trades or is about to: silence means something, and a server
            that is away is probed.
        backoff: Seconds until the next attempt, 0 while all is well.
        since: When the last event came that counted, on the scale of ``observe``'s ``now``.
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
        self._asked: float | None = None  # since when an answer is waited for
        self._took: deque[float] = deque(maxlen=ANSWERS_KEPT)
        self._vain = 0  # sessions made anew because no answer came, since the last one that came

    def observe(self, event: Event, now: float) -> Action:
        """Take an event at ``now`` (seconds, never going back)."""
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
        """Ask, unless a question is out that may still be answered: another would replace it."""
        longest = max(LONGEST_ANSWER, self.answer_within)
        out = self._asked is not None and now - self._asked < longest
        if out and event is Event.TIME:
            return Action.WAIT
        self.asked(now)
        return Action.ASK

    def asked(self, now: float) -> None:
        """The line has been asked, whatever the state."""
        self._asked = now

    def overdue(self, now: float) -> bool:
        """Whether an answer has not come that should have."""
        return self._asked is not None and now - self._asked >= self.answer_within

    def _learn_answer(self, event: Event, now: float) -> None:
        """How long answers take, in whatever state one comes."""
        if event is Event.ANSWERED and self._asked is not None:
            self._took.append(now - self._asked)
            self._asked, self._vain = None, 0
        elif event in (Event.MD_LOST, Event.BROKEN, Event.BUILT):
            self._asked = None  # the question has gone with its line

    def _learn(self, event: Event, now: float) -> None:
        """What an event says about the next ones."""
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
        """Seconds in which an answer comes on a line that lives."""
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
        """When time alone will change the state, on the scale of ``observe``'s ``now``."""
        return self.since + self._patience()
