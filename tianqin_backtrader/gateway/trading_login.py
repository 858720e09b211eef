"""Whether orders would reach the exchange over a working connection: a table, without a clock.

A counter may refuse a login, end it, or lose its own line to the broker's front while market data
and connection go on. Brokers lock an account after a few refused logins: a refused login is tried
once more at most; then trading is paused until the owner requests it or, if the refusal allows it,
the next session is near.
"""

from __future__ import annotations

from enum import StrEnum

from ..core.login_words import Refusal, Why

#: Seconds until a refused login is tried once more.
ONCE_MORE = 30.0
#: Seconds between attempts, without limit, at a counter that accepts no logins now.
AWAY_AGAIN = 60.0
#: Seconds that a front which is back may take for its own login.
FRONT_LOGIN = 30.0
#: Seconds for which a login must have been good before a refusal counts as a first one.
HEALTHY = 600.0
_NEVER = float("inf")


class Login(StrEnum):
    """The state of the trading login."""

    IN = "IN"
    FRONT_LOST = "FRONT_LOST"  # the counter has lost the front
    FRONT_BACK = "FRONT_BACK"  # the front is back, and the counter must log in there
    AGAIN = "AGAIN"  # refused, will be tried once more
    TRYING = "TRYING"  # the next session is one with the account
    RESTS = "RESTS"


class Seen(StrEnum):
    """An observation of it."""

    LOGGED_IN = "LOGGED_IN"
    FRONT_LOST = "FRONT_LOST"
    FRONT_THERE = "FRONT_THERE"
    REFUSED = "REFUSED"
    REFUSED_FOR_GOOD = "REFUSED_FOR_GOOD"  # it is not tried again automatically
    COUNTER_AWAY = "COUNTER_AWAY"  # it accepts no logins now, from anybody
    DUE = "DUE"  # the time of the next attempt has come
    AHEAD = "AHEAD"  # an open is near
    ASKED = "ASKED"  # the owner has requested it
    STATEMENT = "STATEMENT"  # a new day's statement is confirmed with a login


_IN, _LOST, _BACK = Login.IN, Login.FRONT_LOST, Login.FRONT_BACK
_AGAIN, _TRYING, _RESTS = Login.AGAIN, Login.TRYING, Login.RESTS

#: Other pairs change nothing.
TRANSITIONS: dict[tuple[Login, Seen], Login] = {
    (_IN, Seen.FRONT_LOST): _LOST,
    (_IN, Seen.REFUSED): _AGAIN,
    (_IN, Seen.REFUSED_FOR_GOOD): _RESTS,
    (_IN, Seen.COUNTER_AWAY): _AGAIN,
    (_LOST, Seen.COUNTER_AWAY): _AGAIN,
    (_BACK, Seen.COUNTER_AWAY): _AGAIN,
    (_TRYING, Seen.COUNTER_AWAY): _AGAIN,
    (_LOST, Seen.FRONT_THERE): _BACK,
    (_LOST, Seen.LOGGED_IN): _IN,
    (_LOST, Seen.STATEMENT): _TRYING,
    (_LOST, Seen.REFUSED): _AGAIN,
    (_LOST, Seen.REFUSED_FOR_GOOD): _RESTS,
    (_BACK, Seen.FRONT_LOST): _LOST,
    (_BACK, Seen.LOGGED_IN): _IN,
    (_BACK, Seen.STATEMENT): _TRYING,
    (_BACK, Seen.REFUSED): _AGAIN,
    (_BACK, Seen.REFUSED_FOR_GOOD): _RESTS,
    (_BACK, Seen.DUE): _TRYING,
    (_AGAIN, Seen.DUE): _TRYING,
    (_AGAIN, Seen.AHEAD): _TRYING,
    (_AGAIN, Seen.ASKED): _TRYING,
    (_TRYING, Seen.LOGGED_IN): _IN,
    (_TRYING, Seen.REFUSED): _RESTS,
    (_TRYING, Seen.REFUSED_FOR_GOOD): _RESTS,
    (_RESTS, Seen.AHEAD): _TRYING,
    (_RESTS, Seen.ASKED): _TRYING,
    (_RESTS, Seen.LOGGED_IN): _IN,
}
#: Refusals that another attempt cannot change.
_HOPELESS = frozenset({Why.CHANGE, Why.LOCKED})
#: Refusals that the next session cannot change either: brokers lock an account after a few
#: attempts.
_STAYS = frozenset({Why.PASSWORD, Why.CHANGE, Why.LOCKED, Why.OTHER})


class TradingLogin:
    """Follows the state of a trading login.

    Attributes:
        state: The state.
        refusal: Why it was refused; None if it was not.
        losses: How often a good login was lost.
    """

    def __init__(self) -> None:
        self.state = Login.IN
        self.refusal: Refusal | None = None
        self.losses = 0
        self.due = _NEVER
        self._in_since = -_NEVER
        self._refused_before = False
        self._once_more = False  # until that attempt has been made

    def observe(self, seen: Seen, now: float) -> None:
        """Observe an event at ``now`` (seconds, never going back)."""
        stays = self.refusal is not None and self.refusal.why in _STAYS
        if seen is Seen.DUE and now < self.due:
            return
        if seen is Seen.AHEAD and self.state is Login.RESTS and stays:
            return
        state = TRANSITIONS.get((self.state, seen))
        if state is None:
            return
        self.losses += self.state is Login.IN
        self.state = state
        self.due = _NEVER
        self._once_more = state is Login.AGAIN or (state is Login.TRYING and self._once_more)
        if state is Login.IN:
            self.refusal, self._in_since = None, now
        elif state is Login.AGAIN:
            self.due = now + (AWAY_AGAIN if seen is Seen.COUNTER_AWAY else ONCE_MORE)
        elif state is Login.FRONT_BACK:
            self.due = now + FRONT_LOGIN

    def counter_away(self, refusal: Refusal, now: float) -> None:
        """Note that the counter is out of service; ``refusal`` has its words."""
        self.refusal = refusal
        self.observe(Seen.COUNTER_AWAY, now)

    def refused(self, refusal: Refusal, now: float, tries: int = 1) -> None:
        """Note that the login was refused, or ended.

        Args:
            refusal: The reason.
            now: As for ``observe``.
            tries: Attempts with this result so far; from two on there are no more.
        """
        again = self._refused_before and now - self._in_since < HEALTHY
        self.refusal, self._refused_before = refusal, True
        hopeless = refusal.why in _HOPELESS or tries > 1 or again
        self.observe(Seen.REFUSED_FOR_GOOD if hopeless else Seen.REFUSED, now)

    @property
    def up(self) -> bool:
        """Whether an order would reach the broker."""
        return self.state is Login.IN

    @property
    def rests(self) -> bool:
        """Whether it was refused, so that a session has market data only."""
        return self.state in (Login.AGAIN, Login.RESTS)

    @property
    def words(self) -> str:
        """Why no order would reach the broker, "" if one would."""
        if self.state is Login.IN:
            return ""
        if self.refusal is None:
            return "the counter has lost its line to the exchange's front"
        if self.refusal.why is Why.AWAY:
            return f"the counter accepts no logins: {self.refusal.words}"
        text = f"trading is paused: {self.refusal.words}"
        if self._once_more:
            return f"{text} (will be tried once more in {ONCE_MORE:.0f} s)"
        return text
