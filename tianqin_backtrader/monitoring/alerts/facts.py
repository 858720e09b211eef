"""The facts that alert rules observe, and the alert itself. Times are Beijing time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from .settings import AlertEvent


class Level(StrEnum):
    """Severity, in apprise's words."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert message."""

    event: AlertEvent
    level: Level
    title: str
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class LinkSeen:
    """The state of the link, observed every round.

    ``seconds`` are of a clock that runs independently of the market's; ``wanted`` is whether the
    market trades or is about to; ``given_up`` is whether reconnecting has ended.
    """

    up: bool
    wanted: bool
    seconds: float
    given_up: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """An order that the exchange, or the library, has refused."""

    symbol: str
    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Exposed:
    """Lots that have lost their stop; negative: lots that were closed beyond the position."""

    symbol: str
    lots: int
    text: str


@dataclass(frozen=True, slots=True)
class Differs:
    """A delivered bar that differs from the official one."""

    symbol: str
    end: datetime
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RiskSeen:
    """The state of the risk rules, observed every round."""

    state: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RiskSaid:
    """A message about flattening positions."""

    text: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The program ends with an error; ``left`` are lines on remaining positions and orders."""

    error: str
    left: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stopped:
    """A signal ends the program; ``by`` is its name, ``left`` as in ``Failed``."""

    by: str
    left: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LoginSeen:
    """The trading login, observed every round: why trading is paused, "" if it is not."""

    words: str


@dataclass(frozen=True, slots=True)
class DayOver:
    """A trading day has ended; ``figures`` are lines of text."""

    day: date
    figures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Alive:
    """It is time to report that the program is alive."""

    figures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """The check before an open: name of each check -> its problem, "" if there is none."""

    opens: datetime
    findings: Mapping[str, str]


#: Any fact that alert rules observe.
Fact = (
    LinkSeen | Rejected | Exposed | Differs | RiskSeen | RiskSaid | Failed | Stopped | LoginSeen
    | DayOver | Alive | Checked
)  # fmt: skip
