"""How a store is, in one frozen value that any thread may read.

Only the store's own thread takes one; nothing in it lives.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..contracts.odd_prices import price_of
from .health import Health

if TYPE_CHECKING:
    from ..store import MyStore

#: Of the account, as TqSdk names them; yuan.
ACCOUNT = (
    "balance", "static_balance", "available", "margin", "float_profit", "position_profit",
    "close_profit", "commission",
)  # fmt: skip
#: Of a feed's certificate.
CHECKED = ("delivered", "equal", "repaired", "corrected", "missing", "pending")


@dataclass(frozen=True, slots=True)
class Holding:
    """Lots of one side of a contract. ``price`` is what they were opened at, ``profit`` in yuan.

    Both are nan while the counter has not told them.
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
    """A store at a moment.

    Attributes:
        at: The exchange's time, naive Beijing; None before the market was heard of.
        taken: When it was taken, seconds of ``clock.monotonic``.
        trading: Whether one of the subscribed contracts trades.
        account: The fields ``ACCOUNT`` of the account; nan where not known.
        bars: By name of the feed, how many bars were ``CHECKED`` how.
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


def take_snapshot(store: MyStore, taken: float, counts: Mapping[str, int]) -> Snapshot:
    """Look at a store; in its own thread only.

    Args:
        store: A ``MyStore``.
        taken: Seconds of ``clock.monotonic``.
        counts: What has been counted so far.
    """
    account = store.gateway.trading.account()
    guard = store.broker.risk if store.broker is not None else None
    return Snapshot(
        at=store.now() if store.clock.now_ns() else None,
        taken=taken,
        strategy=store.strategy_name,
        health=store.health(),
        trading=store.hours.trading,
        risk_state=str(guard.state) if guard is not None else "",
        risk_reason=guard.reason if guard is not None else "",
        account={name: float(account.get(name, math.nan)) for name in ACCOUNT},
        positions=_holdings(store.gateway.trading.positions()),
        bars={
            name: {what: getattr(one, what) for what in CHECKED}
            for name, one in store.certificate().items()
        },
        counts=dict(counts),
    )


def _holdings(positions: Mapping[str, Mapping[str, Any]]) -> tuple[Holding, ...]:
    return tuple(
        Holding(
            symbol,
            side,
            int(one[f"pos_{side}"]),
            int(one.get(f"pos_{side}_today", 0)),
            price_of(one, f"open_price_{side}"),
            price_of(one, "last_price"),
            float(one.get(f"float_profit_{side}", math.nan)),
        )
        for symbol, one in positions.items()
        for side in ("long", "short")
        if one[f"pos_{side}"]
    )


def plain(value: Any) -> Any:
    """A value as JSON can hold it: dataclasses as objects, moments as texts, nan as null."""
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
    return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
