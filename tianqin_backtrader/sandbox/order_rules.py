"""What the exchange refuses, in the order it looks, with its own words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from .account import Account, commission_fen, fen_per_tick
from .instruments import Instrument

#: Where today's lots are closed with an offset of their own.
CLOSES_TODAY_APART = frozenset({"SHFE", "INE"})
#: What orders other than LIMIT an exchange knows.
MARKET_TYPES = {
    "DCE": frozenset({"ANY"}),
    "CZCE": frozenset({"ANY"}),
    "GFEX": frozenset({"ANY"}),
    "CFFEX": frozenset({"BEST", "FIVELEVEL"}),
}
#: What is said to orders in what is shown but not traded here. Options would need premiums frozen
#: and paid, positions at market value and a margin formula of their own; combinations two legs.
NOT_TRADED = {"OPTION": "CTP:没有期权交易权限", "COMBINE": "CTP:不支持组合合约"}
#: What is said to orders in all else that cannot be traded.
NOT_FOUND = "CTP:找不到合约"
_NO_TYPES: frozenset[str] = frozenset()
#: (time_condition, volume_condition) that exist on this wire: good for day, FAK, FOK.
_CONDITIONS = frozenset({("GFD", "ANY"), ("IOC", "ANY"), ("IOC", "ALL")})
_NUMBER = (int, float)


@dataclass(slots=True, eq=False)
class Order:
    """An order at the exchange. Prices in ticks; ``limit`` is None for market orders."""

    user_id: str
    order_id: str
    instrument: Instrument
    direction: str
    offset: str
    volume: int
    price_type: str
    limit: int | None
    limit_price: float | None
    time_condition: str
    volume_condition: str
    insert_ns: int
    volume_left: int = 0
    status: str = "ALIVE"
    exchange_order_id: str = ""
    last_msg: str = ""
    queue_ahead: int = 0
    frozen_margin_per_lot: int = 0
    frozen_fee_per_lot: int = 0
    frozen_today: int = 0
    trades: int = 0

    @property
    def buys(self) -> bool:
        """Whether it buys."""
        return self.direction == "BUY"

    @property
    def opens(self) -> bool:
        """Whether it opens lots; else it closes."""
        return self.offset == "OPEN"

    @property
    def long(self) -> bool:
        """Whether it is about long lots."""
        return self.buys == self.opens


@dataclass(frozen=True, slots=True)
class Situation:
    """What an order meets: the account, the day's limits in ticks, whether the market trades."""

    account: Account
    upper: int
    lower: int
    open_now: bool
    expired: bool


def _known_type(order: Order, _: Situation) -> bool:
    exchange_id, fok = order.instrument.exchange_id, order.volume_condition == "ALL"
    if (order.time_condition, order.volume_condition) not in _CONDITIONS:
        return False
    if fok and (exchange_id == "CZCE" or order.price_type in ("BEST", "FIVELEVEL")):
        return False
    if order.price_type == "LIMIT":
        return True
    types = MARKET_TYPES.get(exchange_id, _NO_TYPES)
    return order.price_type in types and order.time_condition == "IOC"


def _most_lots(order: Order, _: Situation) -> bool:
    ins = order.instrument
    most = ins.max_limit_order_volume if order.limit is not None else ins.max_market_order_volume
    return 0 < order.volume <= (most or order.volume)


def _least_lots(order: Order, _: Situation) -> bool:
    return not order.opens or order.volume >= order.instrument.open_least


def _on_tick(order: Order, _: Situation) -> bool:
    if order.limit_price is None or order.limit is None:
        return True
    return abs(order.limit_price / order.instrument.price_tick - order.limit) < 1e-6


def _known_offset(order: Order, _: Situation) -> bool:
    if order.offset == "CLOSETODAY":
        return order.instrument.exchange_id in CLOSES_TODAY_APART
    return order.offset in ("OPEN", "CLOSE")


def _closable(order: Order, at: Situation, *, today: bool) -> int:
    return at.account.closable(order.instrument, long=order.long, today=today)


def _enough_today(order: Order, at: Situation) -> bool:
    return order.offset != "CLOSETODAY" or order.volume <= _closable(order, at, today=True)


def _enough_of_yesterday(order: Order, at: Situation) -> bool:
    if order.offset != "CLOSE" or order.instrument.exchange_id not in CLOSES_TODAY_APART:
        return True
    return order.volume <= _closable(order, at, today=False)


def _enough_held(order: Order, at: Situation) -> bool:
    if order.offset != "CLOSE" or order.instrument.exchange_id in CLOSES_TODAY_APART:
        return True
    both = _closable(order, at, today=False) + _closable(order, at, today=True)
    return order.volume <= both


def _enough_funds(order: Order, at: Situation) -> bool:
    if not order.opens:
        return True
    margin, fee = frozen_per_lot(order, at.upper)
    return (margin + fee) * order.volume <= at.account.available


def frozen_per_lot(order: Order, upper: int) -> tuple[int, int]:
    """(margin, commission) in fen that one lot of a working opening order binds."""
    ticks = order.limit if order.limit is not None else upper
    worth = ticks * fen_per_tick(order.instrument)
    fee = commission_fen(order.instrument, ticks, 1, closes_today=False)
    return round(worth * order.instrument.margin_ratio), fee


Rule = Callable[[Order, Situation], bool]

#: (what must hold, what is said if it does not), in the order they are looked at.
RULES: tuple[tuple[Rule, str], ...] = (
    (lambda _, at: not at.expired, "CTP:合约已到期,不允许交易"),
    (lambda _, at: at.open_now, "CTP:当前状态禁止此项操作"),
    (_known_type, "CTP:不支持的报单类型"),
    (_most_lots, "CTP:报单手数超出最大手数限制"),
    (_least_lots, "CTP:开仓手数小于最小开仓手数"),
    (_on_tick, "CTP:报单价格不是最小单位的倍数"),
    (
        lambda order, at: order.limit is None or order.limit <= at.upper,
        "已撤单报单被拒绝价格超出涨停板",
    ),
    (
        lambda order, at: order.limit is None or order.limit >= at.lower,
        "已撤单报单被拒绝价格跌破跌停板",
    ),
    (_known_offset, "CTP:报单的开平标志错误"),
    (_enough_today, "CTP:平今仓位不足"),
    (_enough_of_yesterday, "CTP:平昨仓位不足"),
    (_enough_held, "CTP:平仓量超过持仓量"),
    (_enough_funds, "CTP:资金不足"),
)


def refusal(order: Order, situation: Situation) -> str:
    """Why the exchange does not take the order; "" if it does."""
    return next((words for holds, words in RULES if not holds(order, situation)), "")


def field_error(pack: Mapping[str, Any]) -> str:
    """Why an insert pack cannot even be read as an order; "" if it can.

    TqSdk sends no such packs, but for a ``limit_price`` of infinity.
    """
    volume, price = pack.get("volume"), pack.get("limit_price")
    readable = (
        pack.get("direction") in ("BUY", "SELL")
        and isinstance(volume, int)
        and not isinstance(volume, bool)
        and (
            pack.get("price_type", "LIMIT") != "LIMIT"
            or (isinstance(price, _NUMBER) and not isinstance(price, bool) and isfinite(price))
        )
    )
    return "" if readable else "CTP:报单字段有误"
