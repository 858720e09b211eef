"""The health of a session as one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Health:
    """A session's health; times are naive Beijing time.

    Attributes:
        market_data_up, trading_up: Whether ticks can arrive, and orders can be sent.
        no_trading: Why orders would not reach the exchange, "" if they would.
        state: The supervisor's state: ``UP``, ``RENEWING`` (works, and a new session is made
            before an open), ``SUSPECT`` (silent; a request was sent), ``OVERDUE`` and
            ``OVERDUE_BACKOFF`` (the answer is late), ``UNSTABLE``, ``DOWN`` (the server is
            probed), ``BUILDING``, ``BACKOFF``, ``FATAL``.
        last_data: By feed name, the exchange's stamp of its newest tick; None if there is none.
        last_ok: When the last wait brought data, by the machine's clock.
        backoff: Seconds until the next attempt, 0 if the session works.
        reconnects_today: New sessions since 21:20.
        last_error: The text of the last failure.
        next_boundary: The next open or close of any subscribed contract; None without feeds.
        lag: Seconds by which the newest tick is behind the exchange's clock; NaN if there is none.
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
