"""What alerts are made of: the facts that are seen, and the message. Moments are Beijing time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from .settings import AlertEvent


class Level(StrEnum):
    """How bad it is; the words of apprise."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Alert:
    """One message."""

    event: AlertEvent
    level: Level
    title: str
    text: str
    at: datetime


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
class Exposed:
    """Lots that have lost their protection; negative: that were closed beyond what was open."""

    symbol: str
    lots: int
    text: str


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
class Failed:
    """The program ends with an error; ``left`` are lines of text: what it leaves behind."""

    error: str
    left: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stopped:
    """A signal ends the program; ``by`` is its name, ``left`` as of ``Failed``."""

    by: str
    left: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LoginSeen:
    """The trading login, every round: why trading rests, "" if it does not."""

    words: str


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


#: What alert rules are told.
Fact = (
    LinkSeen | Rejected | Exposed | Differs | RiskSeen | RiskSaid | Failed | Stopped | LoginSeen
    | DayOver | Alive | Checked
)  # fmt: skip
