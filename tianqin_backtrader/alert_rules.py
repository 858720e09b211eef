"""What is worth an alert: facts in, alerts out; nothing here knows how they are sent.

The same is not told again within ``repeat_after`` seconds; how often it came is told with the
next one. Moments are naive Beijing time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from .errors import ConfigError

#: Keys of what was told that are kept; beyond, the oldest are forgotten.
_REMEMBERED = 500
_NUMBERS = re.compile(r"\d[\d.:\-]*")


class AlertEvent(StrEnum):
    """What an alert can be about; the names are those of ``AlertSettings.events``."""

    LINK = "link"
    REJECTED = "rejected"
    DIFFERENCE = "difference"
    RISK = "risk"
    DAY = "day"
    ALIVE = "alive"
    CHECK = "check"


class Level(StrEnum):
    """How bad it is; the words of apprise."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """Where alerts go, and about what.

    Attributes:
        urls: As apprise has them: ``dingtalk://``, ``wecombot://``, ``feishu://``, ``tgram://``,
            ``mailto://``, ``json://`` for any webhook, ... They hold secrets.
        events: Names of ``AlertEvent``; () is all.
        link_lost_after: Seconds that the link must be down while the market trades.
        repeat_after: Seconds of market time in which the same is not told again.
        alive_at: When "still alive" is told, ``"HH:MM"``, every day.
        check_ahead: Seconds before the open of the day (9:00) and of the night (21:00) at which
            all is looked at. The session is made anew 180 s ahead; this comes after it.

    Raises:
        ConfigError: A value that cannot be meant; it names the setting, never a URL.
    """

    urls: tuple[str, ...] = field(default=(), repr=False)
    events: tuple[str, ...] = ()
    link_lost_after: float = 30.0
    repeat_after: float = 3600.0
    alive_at: tuple[str, ...] = ("12:00", "18:00")
    check_ahead: float = 120.0

    def __post_init__(self) -> None:
        for name in ("urls", "events", "alive_at"):
            value = getattr(self, name)
            if isinstance(value, str):
                raise ConfigError(f"{name} of the alerts is a tuple of texts, not one text")
            object.__setattr__(self, name, tuple(value))
        unknown = set(self.events) - set(AlertEvent)
        if unknown:
            there = ", ".join(AlertEvent)
            raise ConfigError(f"no alerts on {', '.join(sorted(unknown))}; there are {there}")
        for name in ("link_lost_after", "repeat_after", "check_ahead"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} of the alerts is a number of seconds from 0 on")
        for text in self.alive_at:
            clock_time(text)

    def wants(self, event: AlertEvent) -> bool:
        """Whether alerts on an event are told."""
        return not self.events or event in self.events


def clock_time(text: str) -> time:
    """``"12:00"``.

    Raises:
        ConfigError: Not such a text.
    """
    try:
        return datetime.strptime(text, "%H:%M").time()
    except (TypeError, ValueError) as error:
        raise ConfigError(f'alive_at has times such as "12:00", not {text!r}') from error


@dataclass(frozen=True, slots=True)
class Alert:
    """One message."""

    event: AlertEvent
    level: Level
    title: str
    text: str
    at: datetime


# -- facts ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LinkSeen:
    """The link, every round. ``seconds`` run on whatever the market's clock does; ``wanted`` is
    whether the market trades or is about to; ``given_up`` whether nothing is tried any more.
    """

    up: bool
    wanted: bool
    seconds: float
    given_up: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """An order that the exchange, or our own rules, did not take."""

    symbol: str
    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Differs:
    """A delivered bar that is not the official one."""

    symbol: str
    end: datetime
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RiskSeen:
    """The state of the risk rules, every round."""

    state: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RiskSaid:
    """What the flattening of positions has to say."""

    text: str


@dataclass(frozen=True, slots=True)
class DayOver:
    """A trading day has ended; ``figures`` are lines of text."""

    day: date
    figures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Alive:
    """The time to say so has come."""

    figures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """What was looked at before an open: what it is called -> what is wrong, "" for nothing."""

    opens: datetime
    findings: Mapping[str, str]


# -- the link's states ------------------------------------------------------------------------


class _Link(StrEnum):
    UP = "UP"
    DOWN = "DOWN"
    TOLD = "TOLD"


class _Seen(StrEnum):
    UP = "UP"
    DOWN = "DOWN"
    TOO_LONG = "TOO_LONG"  # down, and longer than the owner waits
    IDLE = "IDLE"  # down while nobody trades
    GIVEN_UP = "GIVEN_UP"


_LOST, _BACK, _ENDED = "Link lost", "Link is back", "Link given up"
#: state -> seen -> (next state, the alert's title or None); every pair.
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
    """Takes facts, gives alerts.

    Args:
        settings: What is told and when.
    """

    def __init__(self, settings: AlertSettings) -> None:
        self.settings = settings
        self._link, self._down_since = _Link.UP, 0.0
        self._risk: str | None = None
        self._told: dict[tuple[str, ...], tuple[datetime, int]] = {}

    def observe(self, fact: Any, now: datetime) -> list[Alert]:
        """Take a fact.

        Args:
            fact: One of the facts of this module.
            now: The exchange's time.

        Returns:
            What is to be told; mostly nothing.
        """
        event, judge = _JUDGES[type(fact)]
        if not self.settings.wants(event):
            return []
        found = judge(self, fact)
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
        """How many have been held back since the last one told; None: hold this one back, too."""
        told_at, held_back = self._told.get(key, (datetime.min, 0))
        if told_at != datetime.min and now - told_at < timedelta(
            seconds=self.settings.repeat_after
        ):
            self._told[key] = (told_at, held_back + 1)
            return None
        self._told.pop(key, None)  # the newest are last
        self._told[key] = (now, 0)
        if len(self._told) > _REMEMBERED:
            del self._told[next(iter(self._told))]
        return held_back

    # -- one judge a fact: (level, title, text, key of what counts as the same; () for never) ----

    def _judge_link(self, fact: LinkSeen) -> _Found | None:
        if fact.up and self._link is _Link.UP and not fact.given_up:
            return None  # nearly always
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

    def _judge_rejected(self, fact: Rejected) -> _Found:
        key = ("rejected", fact.symbol, _NUMBERS.sub("#", fact.reason))
        return Level.WARNING, "Order rejected", f"{fact.what}: {fact.reason}", key

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
#: Which fact is about what, and who judges it.
_JUDGES: Mapping[type, tuple[AlertEvent, Any]] = MappingProxyType(
    {
        LinkSeen: (AlertEvent.LINK, AlertRules._judge_link),
        Rejected: (AlertEvent.REJECTED, AlertRules._judge_rejected),
        Differs: (AlertEvent.DIFFERENCE, AlertRules._judge_difference),
        RiskSeen: (AlertEvent.RISK, AlertRules._judge_risk),
        RiskSaid: (AlertEvent.RISK, AlertRules._judge_risk_words),
        DayOver: (AlertEvent.DAY, AlertRules._judge_day),
        Alive: (AlertEvent.ALIVE, AlertRules._judge_alive),
        Checked: (AlertEvent.CHECK, AlertRules._judge_check),
    }
)
