"""The settings of alerts: which ones, when, and to which targets."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, time
from enum import StrEnum

from ...errors import ConfigError


class AlertEvent(StrEnum):
    """The events of alerts; the names are used in ``AlertSettings.events``."""

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
    """Targets, events and times of alerts.

    Attributes:
        urls: In apprise's format: ``dingtalk://``, ``wecombot://``, ``feishu://``, ``tgram://``,
            ``mailto://``, ``json://`` for any webhook, ... They contain secrets.
        events: Names of ``AlertEvent``; () means all.
        link_lost_after: Seconds that the link must be down while the market trades.
        repeat_after: Seconds of market time in which an equal alert is not repeated.
        alive_at: Times of the daily "still alive", ``"HH:MM"``.
        check_ahead: Seconds before the open of the day (9:00) and of the night (21:00) at which
            the check runs. The session is renewed 180 s before; this should come after it.

    Raises:
        ConfigError: A value is invalid; the message names the setting, never a URL.
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
                raise ConfigError(f"{name} of the alerts must be a tuple of texts, not one text")
            object.__setattr__(self, name, tuple(value))
        unknown = set(self.events) - set(AlertEvent)
        if unknown:
            there = ", ".join(AlertEvent)
            raise ConfigError(f"unknown events {', '.join(sorted(unknown))}; there are {there}")
        for name in ("link_lost_after", "repeat_after", "check_ahead"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} of the alerts must be a number of seconds of at least 0")
        for text in self.alive_at:
            clock_time(text)

    def wants(self, event: AlertEvent) -> bool:
        """Whether alerts of an event are sent."""
        return not self.events or event in self.events


def clock_time(text: str) -> time:
    """Parse ``"12:00"``.

    Raises:
        ConfigError: The text does not have this form.
    """
    try:
        return datetime.strptime(text, "%H:%M").time()
    except (TypeError, ValueError) as error:
        raise ConfigError(f'alive_at must have times such as "12:00", not {text!r}') from error
