"""The state of a session as one frozen value that any thread may read.

Only the session's own thread takes one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime

from ..contracts.odd_prices import price_of
from ..core.fields import Fields, number
from ..core.json_values import Json
from .health import Health
from .session_view import SessionView

#: Fields of the account, with TqSdk's names; yuan.
ACCOUNT = (
    "balance", "static_balance", "available", "margin", "float_profit", "position_profit",
    "close_profit", "commission",
)  # fmt: skip
#: Fields of a feed's certificate.
CHECKED = ("delivered", "equal", "corrected", "missing", "pending")


@dataclass(frozen=True, slots=True)
class Holding:
    """Lots of one side of a contract; ``price`` is the open price, ``profit`` is in yuan.

    Both are NaN until the counter has sent them.
    """

    symbol: str
    side: str
    lots: int
    today: int
    price: float
    last_price: float
    profit: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a session at a moment.

    Attributes:
        at: The exchange's time, naive Beijing; None before any data of the market.
        taken: When it was taken, seconds of ``clock.monotonic``.
        trading: Whether any subscribed contract trades.
        account: The fields ``ACCOUNT`` of the account; NaN if unknown.
        bars: By feed name, the numbers ``CHECKED`` of bars.
        counts: ``rounds``, ``orders``, ``rejected`` and ``fills`` so far.
    """

    at: datetime | None
    taken: float
    strategy: str
    health: Health
    trading: bool
    risk_state: str
    risk_reason: str
    account: Mapping[str, float]
    positions: tuple[Holding, ...]
    bars: Mapping[str, Mapping[str, int]]
    counts: Mapping[str, int]


def take_snapshot(view: SessionView, taken: float, counts: Mapping[str, int]) -> Snapshot:
    """Take a snapshot of a session, in its own thread.

    Args:
        view: The session.
        taken: Seconds of ``clock.monotonic``.
        counts: The counts so far.
    """
    account = view.account.account()
    guard = view.broker.risk if view.broker is not None else None
    return Snapshot(
        at=view.now() if view.now_ns() else None,
        taken=taken,
        strategy=view.strategy_name,
        health=view.health(),
        trading=view.hours.trading,
        risk_state=str(guard.state) if guard is not None else "",
        risk_reason=guard.reason if guard is not None else "",
        account={name: number(account, name) for name in ACCOUNT},
        positions=_holdings(view.account.positions()),
        bars={
            name: {what: getattr(one, what) for what in CHECKED}
            for name, one in view.certificate().items()
        },
        counts=dict(counts),
    )


def _holdings(positions: Mapping[str, Fields]) -> tuple[Holding, ...]:
    return tuple(
        Holding(
            symbol,
            side,
            int(number(one, f"pos_{side}", 0)),
            int(number(one, f"pos_{side}_today", 0)),
            price_of(one, f"open_price_{side}"),
            price_of(one, "last_price"),
            number(one, f"float_profit_{side}"),
        )
        for symbol, one in positions.items()
        for side in ("long", "short")
        if one[f"pos_{side}"]
    )


def plain(value: object) -> Json:
    """Convert a value for JSON: dataclasses to objects, times to texts, NaN to null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, int | str):
        return value
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="milliseconds")
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    if isinstance(value, Health | Holding):
        return plain_fields(value)
    raise TypeError(f"JSON cannot represent {type(value).__name__}")


def plain_fields(value: Health | Holding) -> dict[str, Json]:
    """Convert each field with ``plain``."""
    return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
