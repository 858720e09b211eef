"""The exchange's checks of an order, in their order, with its words for each refusal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite

from ..market.listing import Instrument
from . import counter as said
from .account import Account, commission_fen, fen_per_tick
from .counter import CLOSES_TODAY_APART, PLAIN, Counter, Refusal

#: The order types other than LIMIT, by exchange.
MARKET_TYPES = {
    "DCE": frozenset({"ANY"}),
    "CZCE": frozenset({"ANY"}),
    "GFEX": frozenset({"ANY"}),
    "CFFEX": frozenset({"BEST", "FIVELEVEL"}),
}
#: Refusals of orders in classes that are shown but not traded. Options would need premiums frozen
#: and paid, positions at market value and a margin formula of their own; combinations two legs.
NOT_TRADED = {"OPTION": said.NO_OPTIONS, "COMBINE": said.NO_COMBINATIONS}
#: The refusal of orders in anything else that cannot be traded.
NOT_FOUND = said.NOT_FOUND
_NO_TYPES: frozenset[str] = frozenset()
#: The pairs (time_condition, volume_condition) of this protocol: good for day, FAK, FOK.
_CONDITIONS = frozenset({("GFD", "ANY"), ("IOC", "ANY"), ("IOC", "ALL")})
_NUMBER = (int, float)


@dataclass(slots=True, eq=False)
class Order:
    """An order at the exchange. Prices are in ticks; ``limit`` is None for market orders."""

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
    today_first: bool = False
    trades: int = 0
    seqno: int = 0
    refusal: Refusal | None = None

    @property
    def buys(self) -> bool:
        """Whether it is a buy."""
        return self.direction == "BUY"

    @property
    def opens(self) -> bool:
        """Whether it opens lots; otherwise it closes."""
        return self.offset == "OPEN"

    @property
    def long(self) -> bool:
        """Whether it concerns long lots."""
        return self.buys == self.opens

    @property
    def closes(self) -> str:
        """Which lots it closes: ``"today"``, ``"earlier"`` or ``"any"``; "" if it opens."""
        if self.opens:
            return ""
        if self.instrument.exchange_id not in CLOSES_TODAY_APART:
            return "any"
        return "today" if self.offset == "CLOSETODAY" else "earlier"


@dataclass(frozen=True, slots=True)
class Situation:
    """What an order is checked against: account, limits in ticks, whether the market is open.

    ``open_now`` is also True if the counter lets orders wait for the open.
    """

    account: Account
    upper: int
    lower: int
    open_now: bool
    expired: bool
    counter: Counter = PLAIN


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


def _known_offset(order: Order, at: Situation) -> bool:
    if order.offset == "CLOSETODAY":
        apart = order.instrument.exchange_id in CLOSES_TODAY_APART
        return apart or at.counter.closetoday_everywhere
    return order.offset in ("OPEN", "CLOSE")


def _closable(order: Order, at: Situation, *, today: bool) -> int:
    return at.account.closable(order.instrument, long=order.long, today=today)


def _enough_today(order: Order, at: Situation) -> bool:
    return order.closes != "today" or order.volume <= _closable(order, at, today=True)


def _enough_of_yesterday(order: Order, at: Situation) -> bool:
    return order.closes != "earlier" or order.volume <= _closable(order, at, today=False)


def _enough_held(order: Order, at: Situation) -> bool:
    if order.closes != "any":
        return True
    both = _closable(order, at, today=False) + _closable(order, at, today=True)
    return order.volume <= both


def _enough_funds(order: Order, at: Situation) -> bool:
    if not order.opens:
        return True
    margin, fee = frozen_per_lot(order, at.upper)
    return (margin + fee) * order.volume <= at.account.available


def frozen_per_lot(order: Order, upper: int) -> tuple[int, int]:
    """(margin, commission) in fen that one lot of a working opening order freezes."""
    ticks = order.limit if order.limit is not None else upper
    worth = ticks * fen_per_tick(order.instrument)
    fee = commission_fen(order.instrument, ticks, 1, closes_today=False)
    return round(worth * order.instrument.margin_ratio), fee


Rule = Callable[[Order, Situation], bool]

#: (condition that must hold, refusal if it does not), in the order of the checks.
RULES: tuple[tuple[Rule, str], ...] = (
    (lambda _, at: not at.expired, said.EXPIRED),
    (lambda _, at: at.open_now, said.CLOSED),
    (_known_type, said.BAD_TYPE),
    (_most_lots, said.TOO_MANY),
    (_least_lots, said.TOO_FEW),
    (_on_tick, said.OFF_TICK),
    (lambda order, at: order.limit is None or order.limit <= at.upper, said.ABOVE_LIMIT),
    (lambda order, at: order.limit is None or order.limit >= at.lower, said.BELOW_LIMIT),
    (_known_offset, said.BAD_OFFSET),
    (_enough_today, said.NOT_ENOUGH_TODAY),
    (_enough_of_yesterday, said.NOT_ENOUGH_HIS),
    (_enough_held, said.NOT_ENOUGH_HELD),
    (_enough_funds, said.NO_FUNDS),
)


def refusal(order: Order, situation: Situation) -> str:
    """The reason for refusing the order, in the plain counter's words; "" if it is accepted."""
    return next((words for holds, words in RULES if not holds(order, situation)), "")


def field_error(pack: Mapping[str, object]) -> str:
    """The reason why an insert pack cannot be read as an order; "" if it can.

    TqSdk sends no such packs, except with a ``limit_price`` of infinity.
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
    return "" if readable else said.UNREADABLE
