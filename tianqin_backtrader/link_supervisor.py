"""Decides when a session must be looked after: a table of states and events, and no clock.

tqsdk reconnects by itself, but its timer may sleep from ten seconds to twenty minutes, after a
clean close it can stay deaf, a frozen line is silent for three quarters of a minute, and a chart
without data holds everything back. So the supervisor watches notices and silence, has a silent
line asked, knocks at the server while it is away, and has the session built anew when it is back.
"""

from __future__ import annotations

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
#: Seconds between knocks at a server that is away.
KNOCK_EVERY = 1.0
#: Seconds without market data, in trading hours, after which the line is asked; twice as many
#: after each answer, for a contract that nobody trades, at most the last.
SILENCE, LONGEST_SILENCE = 5.0, 40.0
#: Seconds that the answer may take.
ANSWER = 5.0
#: Seconds that a session must be old before it is renewed ahead of an open.
DEBOUNCE = 60.0
_NEVER = float("inf")


class State(StrEnum):
    """How the session is."""

    UP = "UP"
    DOUBT = "DOUBT"  # silent, or restored by tqsdk: it has been asked
    SHAKEN = "SHAKEN"  # market data is lost, tqsdk may restore it
    LOST = "LOST"  # the server is knocked at
    BUILDING = "BUILDING"
    RESTING = "RESTING"  # between attempts
    FATAL = "FATAL"


class Event(StrEnum):
    """What is seen."""

    DATA = "DATA"
    TIME = "TIME"  # passes
    ANSWERED = "ANSWERED"
    MD_LOST = "MD_LOST"
    TD_LOST = "TD_LOST"
    MD_RESTORED = "MD_RESTORED"
    DEAF = "DEAF"  # connected anew as if for the first time: nothing was subscribed again
    BROKEN = "BROKEN"  # the client has given up
    SERVER_THERE = "SERVER_THERE"
    SERVER_AWAY = "SERVER_AWAY"
    BUILT = "BUILT"
    FAILED = "FAILED"
    REFUSED = "REFUSED"
    AHEAD = "AHEAD"  # of an open
    BOUNDARY = "BOUNDARY"  # an open or a close
    TRADING = "TRADING"  # is to be tried, or left alone, by a session of its own


class Action(StrEnum):
    """What is to be done."""

    WAIT = "WAIT"
    ASK = "ASK"
    KNOCK = "KNOCK"
    BUILD = "BUILD"
    GIVE_UP = "GIVE_UP"


_UP, _DOUBT, _SHAKEN = State.UP, State.DOUBT, State.SHAKEN
_LOST, _BUILDING, _RESTING = State.LOST, State.BUILDING, State.RESTING

#: What is not here changes nothing. TIME counts when the state's patience is over.
TRANSITIONS: dict[tuple[State, Event], tuple[State, Action]] = {
    (_UP, Event.DATA): (_UP, Action.WAIT),
    (_UP, Event.BUILT): (_UP, Action.WAIT),
    (_UP, Event.TIME): (_DOUBT, Action.ASK),
    (_UP, Event.MD_RESTORED): (_DOUBT, Action.ASK),
    (_UP, Event.MD_LOST): (_SHAKEN, Action.WAIT),
    (_UP, Event.TD_LOST): (_LOST, Action.KNOCK),
    (_UP, Event.DEAF): (_BUILDING, Action.BUILD),
    (_UP, Event.AHEAD): (_BUILDING, Action.BUILD),
    (_UP, Event.TRADING): (_LOST, Action.KNOCK),
    (_DOUBT, Event.DATA): (_UP, Action.WAIT),
    (_DOUBT, Event.ANSWERED): (_UP, Action.WAIT),
    (_DOUBT, Event.MD_RESTORED): (_DOUBT, Action.ASK),
    (_DOUBT, Event.TIME): (_LOST, Action.KNOCK),
    (_DOUBT, Event.MD_LOST): (_SHAKEN, Action.WAIT),
    (_DOUBT, Event.TD_LOST): (_LOST, Action.KNOCK),
    (_DOUBT, Event.DEAF): (_BUILDING, Action.BUILD),
    (_DOUBT, Event.TRADING): (_LOST, Action.KNOCK),
    (_SHAKEN, Event.MD_RESTORED): (_DOUBT, Action.ASK),
    (_SHAKEN, Event.TIME): (_LOST, Action.KNOCK),
    (_SHAKEN, Event.TD_LOST): (_LOST, Action.KNOCK),
    (_SHAKEN, Event.DEAF): (_BUILDING, Action.BUILD),
    (_UP, Event.BROKEN): (_LOST, Action.KNOCK),
    (_DOUBT, Event.BROKEN): (_LOST, Action.KNOCK),
    (_SHAKEN, Event.BROKEN): (_LOST, Action.KNOCK),
    (_LOST, Event.SERVER_THERE): (_BUILDING, Action.BUILD),
    (_LOST, Event.SERVER_AWAY): (_RESTING, Action.WAIT),
    (_BUILDING, Event.BUILT): (_UP, Action.WAIT),
    (_BUILDING, Event.FAILED): (_RESTING, Action.WAIT),
    (_BUILDING, Event.REFUSED): (_RESTING, Action.WAIT),
    (_RESTING, Event.SERVER_THERE): (_BUILDING, Action.BUILD),
    (_RESTING, Event.TIME): (_LOST, Action.KNOCK),
    (_RESTING, Event.AHEAD): (_LOST, Action.KNOCK),
    (_RESTING, Event.BOUNDARY): (_LOST, Action.KNOCK),
}


class Supervisor:
    """Takes events, gives actions.

    Args:
        jitter: Gives factors around 1 for delays, so that many programs do not come at once.

    Attributes:
        state: How the session is.
        awake: Whether the market trades or is about to: silence means something, and a server
            that is away is knocked at.
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

    def observe(self, event: Event, now: float) -> Action:
        """Take an event at ``now`` (seconds, never going back)."""
        if event is Event.TIME and now - self.since < self._patience():
            return Action.WAIT
        if event is Event.AHEAD and self.state is State.UP and now - self._built_at < DEBOUNCE:
            return Action.WAIT
        found = TRANSITIONS.get((self.state, event))
        if found is None:
            return Action.WAIT
        self._learn(event, now)
        self.state, action = found
        self.since = now
        if self._refusals >= REFUSALS:
            self.state, action = State.FATAL, Action.GIVE_UP
        return action

    def _learn(self, event: Event, now: float) -> None:
        """What an event says about the next ones."""
        if event is Event.DATA:
            self._silence = SILENCE
        elif event is Event.ANSWERED:
            self._silence = min(2 * self._silence, LONGEST_SILENCE)
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

    def _patience(self) -> float:
        """Seconds after which time alone changes the state."""
        if self.state is State.UP:
            return self._silence if self.awake else _NEVER
        if self.state is State.RESTING:
            if not self.awake:
                return _NEVER
            return self.backoff if self._failures < ATTEMPTS else LONG_REST
        return {State.DOUBT: ANSWER, State.SHAKEN: OWN_ATTEMPT}.get(self.state, _NEVER)

    def next_change(self) -> float:
        """When time alone will change the state, on the scale of ``observe``'s ``now``."""
        return self.since + self._patience()
