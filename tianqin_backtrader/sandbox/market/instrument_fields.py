"""The instrument service's data on one instrument: its types in the schema, its fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...core.clock import to_ns

if TYPE_CHECKING:
    from .listing import Instrument

#: The schema types that an instrument of a class belongs to.
TYPES = {
    "FUTURE": frozenset({"basic", "tradeable", "future"}),
    "CONT": frozenset({"basic", "tradeable", "derivative", "cont"}),
    "INDEX": frozenset({"basic", "index"}),
    "OPTION": frozenset({"basic", "tradeable", "derivative", "option"}),
    "COMBINE": frozenset({"basic", "combine"}),
}
#: The classes that expire; main contracts and indexes do not.
_EXPIRING = frozenset({"FUTURE", "OPTION", "COMBINE"})


@dataclass(frozen=True, slots=True)
class DayFacts:
    """The service's figures of a contract's day; ``None`` where there is no value yet."""

    settlement_price: float | None = None
    pre_close: float | None = None
    upper_limit: float | None = None
    lower_limit: float | None = None
    pre_open_interest: int | None = None


#: Fields that depend on the instrument alone.
PLAIN_FIELDS: dict[str, Callable[[Instrument], object]] = {
    "instrument_id": lambda ins: ins.symbol,
    "ins_id": lambda ins: ins.code,
    "class": lambda ins: ins.ins_class,
    "exchange_id": lambda ins: ins.exchange_id,
    "product_id": lambda ins: ins.product_id,
    "instrument_name": lambda ins: ins.name,
    "product_short_name": lambda ins: ins.product_id,
    "price_tick": lambda ins: ins.price_tick,
    "price_decs": lambda ins: ins.price_decs,
    "volume_multiple": lambda ins: float(ins.volume_multiple),
    "index_multiple": lambda ins: float(ins.volume_multiple),
    "max_limit_order_volume": lambda ins: ins.max_limit_order_volume,
    "max_market_order_volume": lambda ins: ins.max_market_order_volume,
    "open_min_limit_order_volume": lambda ins: ins.open_least,
    "open_min_market_order_volume": lambda ins: ins.open_least,
    "min_limit_order_volume": lambda ins: 1,
    "min_market_order_volume": lambda ins: 1 if ins.max_market_order_volume else 0,
    "trading_time": lambda ins: ins.trading_time,
    "expire_datetime": lambda ins: to_ns(ins.expire),
    "last_exercise_datetime": lambda ins: to_ns(ins.expire),
    "last_exercise_day": lambda ins: to_ns(ins.expire),
    "exercise_type": lambda ins: "A",
    "strike_price": lambda ins: ins.strike_price,
    "call_or_put": lambda ins: ins.option_class,
    "english_name": lambda ins: ins.code,
    "delivery_year": lambda ins: ins.delivery_year,
    "delivery_month": lambda ins: ins.delivery_month,
    "categories": lambda ins: [{"id": ins.category[0], "name": ins.category[1]}],
    "mmsa": lambda ins: True,
}


def is_expired(ins: Instrument, at: int) -> bool:
    """Whether the last trading day has ended at the instant (ns)."""
    return ins.ins_class in _EXPIRING and to_ns(ins.expire) < at


def margin_per_lot(ins: Instrument, price: float | None) -> float | None:
    """Margin in yuan at a settlement price; ``None`` if there is no price yet."""
    return None if price is None else round(price * ins.volume_multiple * ins.margin_ratio, 2)


def commission_per_lot(ins: Instrument, price: float | None) -> float | None:
    """Commission in yuan for opening at a settlement price; ``None`` if there is no price yet."""
    if price is None:
        return None
    return round(ins.fees.per_lot + price * ins.volume_multiple * ins.fees.ratio, 2)
