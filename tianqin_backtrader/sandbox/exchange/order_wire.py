"""Orders in the wire format: reading insert packs, writing rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..market.listing import Instrument
from .account import to_price, to_ticks
from .ledger import Diff, OrderReport
from .order_rules import Order


def read_order(
    user_id: str, order_id: str, instrument: Instrument, pack: Mapping[str, Any], now_ns: int
) -> Order:
    price_type = str(pack.get("price_type", "LIMIT"))
    price = pack.get("limit_price") if price_type == "LIMIT" else None
    limit = None if price is None else to_ticks(float(price), instrument)
    if limit is not None and instrument.exchange_id == "CZCE":
        limit = int(float(price or 0) / instrument.price_tick + 1e-6)  # truncated, not refused
        price = to_price(limit, instrument)
    volume = int(pack.get("volume", 0))
    return Order(
        user_id=user_id,
        order_id=order_id,
        instrument=instrument,
        direction=str(pack.get("direction")),
        offset=str(pack.get("offset")),
        volume=volume,
        price_type=price_type,
        limit=limit,
        limit_price=price,
        time_condition=str(pack.get("time_condition", "GFD")),
        volume_condition=str(pack.get("volume_condition", "ANY")),
        insert_ns=now_ns,
        volume_left=volume,
    )


def wire_order(order: Order) -> Diff:
    ins = order.instrument
    return {
        "user_id": order.user_id,
        "order_id": order.order_id,
        "exchange_order_id": order.exchange_order_id,
        "exchange_id": ins.exchange_id,
        "instrument_id": ins.code,
        "direction": order.direction,
        "offset": order.offset,
        "volume_orign": order.volume,
        "volume_left": order.volume_left,
        "price_type": order.price_type,
        "limit_price": order.limit_price or 0.0,
        "time_condition": order.time_condition,
        "volume_condition": order.volume_condition,
        "insert_date_time": order.insert_ns,
        "status": order.status,
        "last_msg": order.last_msg,
        "frozen_margin": order.frozen_margin_per_lot * order.volume_left / 100
        if order.status == "ALIVE"
        else 0.0,
        "frozen_premium": 0.0,
    }


def report(order: Order) -> OrderReport:
    """Report an order as it is now."""
    return OrderReport(
        wire_order(order),
        order.frozen_margin_per_lot * order.volume_left / 100,
        order.frozen_fee_per_lot * order.volume_left / 100,
        order.seqno,
        order.refusal,
    )


def refused_order(user_id: str, pack: Mapping[str, Any], words: str) -> Diff:
    """The row of a rejected order in an unknown or untradable contract."""
    names = (
        "order_id", "exchange_id", "instrument_id", "direction", "offset", "price_type",
        "limit_price", "time_condition", "volume_condition",
    )  # fmt: skip
    volume = int(pack.get("volume", 0))
    return {name: pack.get(name) for name in names} | {
        "user_id": user_id,
        "exchange_order_id": "",
        "volume_orign": volume,
        "volume_left": volume,
        "status": "FINISHED",
        "last_msg": words,
    }
