"""The rules of alerts: facts in, alerts out; sending is done elsewhere.

An equal alert is not repeated within ``repeat_after`` seconds; the next one says how many were
suppressed. Times are naive Beijing time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from .facts import (
    Alert,
    Alive,
    Checked,
    DayOver,
    Differs,
    Exposed,
    Fact,
    Failed,
    Level,
    LinkSeen,
    LoginSeen,
    Rejected,
    RiskSaid,
    RiskSeen,
    Stopped,
)
from .settings import AlertEvent, AlertSettings

#: The number of remembered alerts; the oldest are forgotten first.
_REMEMBERED = 500
_NUMBERS = re.compile(r"\d[\d.:\-]*")


# -- the link's states ------------------------------------------------------------------------


class _Link(StrEnum):
    UP = "UP"
    DOWN = "DOWN"
    TOLD = "TOLD"


class _Seen(StrEnum):
    UP = "UP"
    DOWN = "DOWN"
    TOO_LONG = "TOO_LONG"  # down for longer than ``link_lost_after``
    IDLE = "IDLE"  # down while nobody trades
    GIVEN_UP = "GIVEN_UP"


_LOST, _BACK, _ENDED = "Link lost", "Link is back", "Link given up"
#: state -> observation -> (next state, the alert's title or None); for every pair.
LINK: Mapping[_Link, Mapping[_Seen, tuple[_Link, str | None]]] = MappingProxyType(
    {
        _Link.UP: {
            _Seen.UP: (_Link.UP, None),
            _Seen.DOWN: (_Link.DOWN, None),
            _Seen.TOO_LONG: (_Link.TOLD, _LOST),
            _Seen.IDLE: (_Link.UP, None),
            _Seen.GIVEN_UP: (_Link.TOLD, _ENDED),
        },
        _Link.DOWN: {
            _Seen.UP: (_Link.UP, None),
            _Seen.DOWN: (_Link.DOWN, None),
            _Seen.TOO_LONG: (_Link.TOLD, _LOST),
            _Seen.IDLE: (_Link.UP, None),
            _Seen.GIVEN_UP: (_Link.TOLD, _ENDED),
        },
        _Link.TOLD: {
            _Seen.UP: (_Link.UP, _BACK),
            _Seen.DOWN: (_Link.TOLD, None),
            _Seen.TOO_LONG: (_Link.TOLD, None),
            _Seen.IDLE: (_Link.TOLD, None),
            _Seen.GIVEN_UP: (_Link.TOLD, _ENDED),
        },
    }
)
_LINK_LEVELS = {_LOST: Level.FAILURE, _BACK: Level.SUCCESS, _ENDED: Level.FAILURE}


class AlertRules:
    """Turns facts into alerts.

    Args:
        settings: Which alerts are sent, and when.
    """

    def __init__(self, settings: AlertSettings) -> None:
        self.settings = settings
        self._link, self._down_since = _Link.UP, 0.0
        self._risk: str | None = None
        self._rests = ""
        self._told: dict[tuple[str, ...], tuple[datetime, int]] = {}

    def observe(self, fact: Fact, now: datetime) -> list[Alert]:
        """Observe a fact.

        Args:
            fact: One of the facts of this module.
            now: The exchange's time.

        Returns:
            The alerts to send; usually none.
        """
        event = _EVENTS[type(fact)]
        if not self.settings.wants(event):
            return []
        found = self._judge(fact)
        if found is None:
            return []
        level, title, text, key = found
        more = self._more(key, now) if key else 0
        if more is None:
            return []
        if more:
            text += f"\n({more} more of these since the last alert)"
        return [Alert(event, level, title, text, now)]

    def _more(self, key: tuple[str, ...], now: datetime) -> int | None:
        """How many were suppressed since the last one sent; None: suppress this one, too."""
        told_at, held_back = self._told.get(key, (datetime.min, 0))
        if told_at != datetime.min and now - told_at < timedelta(
            seconds=self.settings.repeat_after
        ):
            self._told[key] = (told_at, held_back + 1)
            return None
        self._told.pop(key, None)  # the newest come last
        self._told[key] = (now, 0)
        if len(self._told) > _REMEMBERED:
            del self._told[next(iter(self._told))]
        return held_back

    # -- one method per fact: (level, title, text, key of equal alerts; () if none are equal)
    # --------

    def _judge(self, fact: Fact) -> _Found | None:
        match fact:
            case LinkSeen():
                return self._judge_link(fact)
            case LoginSeen():
                return self._judge_login(fact)
            case Rejected():
                return self._judge_rejected(fact)
            case Exposed():
                return self._judge_exposed(fact)
            case Differs():
                return self._judge_difference(fact)
            case RiskSeen():
                return self._judge_risk(fact)
            case RiskSaid():
                return self._judge_risk_words(fact)
            case Failed():
                return self._judge_failed(fact)
            case Stopped():
                return self._judge_stopped(fact)
            case DayOver():
                return self._judge_day(fact)
            case Alive():
                return self._judge_alive(fact)
            case Checked():
                return self._judge_check(fact)

    def _judge_link(self, fact: LinkSeen) -> _Found | None:
        if fact.up and self._link is _Link.UP and not fact.given_up:
            return None  # the usual case
        if fact.given_up:
            seen = _Seen.GIVEN_UP
        elif fact.up:
            seen = _Seen.UP
        elif not fact.wanted:
            seen = _Seen.IDLE
        else:
            if self._link is _Link.UP:
                self._down_since = fact.seconds
            away = fact.seconds - self._down_since
            seen = _Seen.TOO_LONG if away >= self.settings.link_lost_after else _Seen.DOWN
        self._link, title = LINK[self._link][seen]
        if title is None:
            return None
        text = f"down for {fact.seconds - self._down_since:.0f} s" if title != _ENDED else ""
        if fact.error and title != _BACK:
            text = f"{text}: {fact.error}" if text else fact.error
        return _LINK_LEVELS[title], title, text, ()

    def _judge_login(self, fact: LoginSeen) -> _Found | None:
        before, self._rests = self._rests, fact.words
        if fact.words == before:
            return None
        if not fact.words:
            return Level.SUCCESS, "Trading goes on", f"it was: {before}", ()
        return Level.FAILURE, "Trading rests", fact.words, ()

    def _judge_rejected(self, fact: Rejected) -> _Found:
        key = ("rejected", fact.symbol, _NUMBERS.sub("#", fact.reason))
        return Level.WARNING, "Order rejected", f"{fact.what}: {fact.reason}", key

    def _judge_exposed(self, fact: Exposed) -> _Found:
        title = "Lots without protection" if fact.lots > 0 else "Too many lots were closed"
        return Level.FAILURE, title, fact.text, ()

    def _judge_difference(self, fact: Differs) -> _Found:
        text = f"{fact.symbol}: the bar of {fact.end} differs in {', '.join(fact.columns)}"
        return Level.WARNING, "Bar differs from the official one", text, ("differs", fact.symbol)

    def _judge_risk(self, fact: RiskSeen) -> _Found | None:
        before, self._risk = self._risk, fact.state
        if before is None or fact.state == before:
            return None
        level = Level.SUCCESS if fact.state == "ACTIVE" else Level.FAILURE
        text = f"{before} -> {fact.state}" + (f": {fact.reason}" if fact.reason else "")
        return level, f"Risk state is {fact.state}", text, ("risk", before, fact.state)

    def _judge_risk_words(self, fact: RiskSaid) -> _Found:
        return Level.WARNING, "Risk", fact.text, ("said", fact.text)

    def _judge_failed(self, fact: Failed) -> _Found:
        return Level.FAILURE, "The program has failed", "\n".join((fact.error, *fact.left)), ()

    def _judge_stopped(self, fact: Stopped) -> _Found:
        text = "\n".join((f"by {fact.by}", *fact.left))
        return Level.WARNING, "The program was stopped", text, ()

    def _judge_day(self, fact: DayOver) -> _Found:
        return Level.INFO, f"Trading day {fact.day}", "\n".join(fact.figures), ()

    def _judge_alive(self, fact: Alive) -> _Found:
        return Level.INFO, "Still alive", "\n".join(fact.figures), ()

    def _judge_check(self, fact: Checked) -> _Found:
        bad = [name for name, wrong in fact.findings.items() if wrong]
        title = f"{'NO GO' if bad else 'Go'} for {fact.opens:%H:%M}"
        lines = [f"{name}: {wrong or 'ok'}" for name, wrong in fact.findings.items()]
        return Level.FAILURE if bad else Level.SUCCESS, title, "\n".join(lines), ()


_Found = tuple[Level, str, str, tuple[str, ...]]
#: The event of each fact, and its method.
_EVENTS: Mapping[type[Fact], AlertEvent] = MappingProxyType(
    {
        LinkSeen: AlertEvent.LINK,
        LoginSeen: AlertEvent.LINK,
        Rejected: AlertEvent.REJECTED,
        Exposed: AlertEvent.EXPOSED,
        Differs: AlertEvent.DIFFERENCE,
        RiskSeen: AlertEvent.RISK,
        RiskSaid: AlertEvent.RISK,
        Failed: AlertEvent.FAILED,
        Stopped: AlertEvent.STOPPED,
        DayOver: AlertEvent.DAY,
        Alive: AlertEvent.ALIVE,
        Checked: AlertEvent.CHECK,
    }
)
