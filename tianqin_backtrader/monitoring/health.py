"""How a session is, in one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Health:
    """A session's state; moments are naive Beijing time.

    Attributes:
        market_data_up, trading_up: Whether ticks can come, and orders go out.
        no_trading: Why orders would not reach the exchange, "" if they would.
        state: Of the supervisor: ``UP``, ``RENEWING`` (works, and another is made ahead of an
            open), ``SUSPECT`` (silent, has been asked), ``OVERDUE`` and ``OVERDUE_BACKOFF`` (the
            answer is), ``UNSTABLE``, ``DOWN`` (the server is probed), ``BUILDING``,
            ``BACKOFF``, ``FATAL``.
        last_data: By name of the feed, the exchange's stamp of its newest tick; None before one.
        last_ok: When the last wait brought news, by the machine's clock.
        backoff: Seconds until the next attempt, 0 while all is well.
        reconnects_today: New sessions since 21:20.
        last_error: What the last failure said.
        next_boundary: The next open or close of any subscribed contract; None without feeds.
        lag: Seconds by which the newest tick is behind the exchange's clock; nan before one.
    """

    market_data_up: bool
    trading_up: bool
    state: str
    last_data: Mapping[str, datetime | None]
    last_ok: datetime | None
    backoff: float
    reconnects_today: int
    last_error: str
    next_boundary: datetime | None
    lag: float
    no_trading: str = ""
