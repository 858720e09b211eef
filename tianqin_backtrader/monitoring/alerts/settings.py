"""What the owner of a program wants to be told, and where."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, time
from enum import StrEnum

from ...errors import ConfigError


class AlertEvent(StrEnum):
    """What an alert can be about; the names are those of ``AlertSettings.events``."""

    LINK = "link"
    REJECTED = "rejected"
    EXPOSED = "exposed"
    DIFFERENCE = "difference"
    RISK = "risk"
    DAY = "day"
    ALIVE = "alive"
    CHECK = "check"
    FAILED = "failed"
    STOPPED = "stopped"


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
