"""The immutable values that rooms pass to each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from .clock import from_ns

NAN = float("nan")


class Counter(StrEnum):
    """Which kind of counter keeps the account."""

    KQ = "kq"  # TianQin's paper account, 快期模拟
    CTP = "ctp"  # a futures company, behind TianQin's gateway
    SIM = "sim"  # TqSim, in the client


class Direction(StrEnum):
    """The side of an order or of a fill."""

    #: +1 for BUY, -1 for SELL.
    sign: int

    BUY = "BUY"
    SELL = "SELL"


Direction.BUY.sign, Direction.SELL.sign = 1, -1


class Offset(StrEnum):
    """What an order does to positions. CLOSETODAY exists at SHFE and INE only."""

    OPEN = "OPEN"
    CLOSE = "CLOSE"
    CLOSETODAY = "CLOSETODAY"


class MarketPhase(StrEnum):
    """Whether a contract's market takes orders."""

    CLOSED = "CLOSED"
    AUCTION = "AUCTION"  # orders are gathered, and matched at one price
    TRADING = "TRADING"


@dataclass(frozen=True, slots=True)
class PhaseSpan:
    """A contract's market phase, and how long it lasts.

    Attributes:
        phase: The phase.
        trading: Whether it is in a session; a closing auction is within one.
        until: When it may change, naive Beijing time.
    """

    phase: MarketPhase
    trading: bool
    until: datetime


#: The id of a tick that a session's quote begins with: it may have come hours ago.
OLD_TICK = -1


class Tick(NamedTuple):
    """One row of TianQin's tick serial; or what a quote shows, whose ``id`` is 0 or ``OLD_TICK``.

    ``time`` is nanoseconds since 1970 UTC. ``volume`` (lots) and ``amount`` (yuan) are
    cumulative over the trading day. A side without a quote has price nan and volume 0.
    A tuple, not a dataclass: one is made for every tick of every contract.
    """

    id: int
    time: int
    last_price: float
    volume: int
    amount: float
    open_interest: int
    bid_price1: float = NAN
    ask_price1: float = NAN
    bid_volume1: int = 0
    ask_volume1: int = 0
    bid_price2: float = NAN
    ask_price2: float = NAN


class Bar(NamedTuple):
    """One bar. It covers the ticks with ``start`` < time <= ``end`` (nanoseconds since 1970 UTC).

    ``volume`` is the bar's lots; ``id`` is TianQin's number of the bar, or -1 if unknown. Bid and
    ask are those at the bar's end, nan in history.
    """

    start: int
    end: int
    open: float
    high: float
    low: float
    close: float
    volume: int
    open_oi: int
    close_oi: int
    bid_price1: float = NAN
    ask_price1: float = NAN
    bid_volume1: float = NAN
    ask_volume1: float = NAN
    bid_price2: float = NAN
    ask_price2: float = NAN
    id: int = -1


@dataclass(frozen=True, slots=True)
class Instrument:
    """A contract's specification for the trading day, from TianQin.

    Prices are in quote units, ``margin`` and ``commission`` in yuan per lot; nan if TianQin has
    none. ``underlying_symbol`` is the underlying contract of a main contract (``KQ.m@``), else "".
    """

    symbol: str
    ins_class: str
    exchange_id: str
    product_id: str
    price_tick: float
    price_decs: int
    volume_multiple: int
    expired: bool
    expire_datetime: datetime | None
    upper_limit: float = NAN
    lower_limit: float = NAN
    pre_settlement: float = NAN
    margin: float = NAN
    commission: float = NAN
    max_limit_order_volume: int = 0
    max_market_order_volume: int = 0
    open_min_limit_order_volume: int = 0
    open_min_market_order_volume: int = 0
    underlying_symbol: str = ""
    trading_time: dict[str, list[list[str]]] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class OrderReport:
    """The complete present state of one order at the exchange.

    ``status`` is ``"ALIVE"`` or ``"FINISHED"``; an order without ``exchange_order_id`` that is
    FINISHED was rejected, for the reason ``last_msg``. ``insert_date_time`` is nanoseconds since
    1970 UTC, 0 if it is unknown.
    """

    order_id: str
    symbol: str
    direction: Direction
    offset: Offset
    volume_orign: int
    volume_left: int
    limit_price: float
    status: str
    exchange_order_id: str
    last_msg: str
    insert_date_time: int = 0

    @property
    def rejected(self) -> bool:
        """Whether the exchange (or the broker) never accepted it."""
        return self.status == "FINISHED" and not self.exchange_order_id


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution. ``time`` is nanoseconds since 1970 UTC.

    ``commission`` is in yuan, nan if the counter does not state it. ``exchange_trade_id`` is "" if
    it is unknown.
    """

    trade_id: str
    order_id: str
    symbol: str
    direction: Direction
    offset: Offset
    price: float
    volume: int
    time: int
    commission: float
    exchange_trade_id: str = ""

    @property
    def identity(self) -> str:
        """An identity that does not depend on the ids under which a gateway lists the fill.

        Exchanges number their trades anew every day, and both sides of a trade have one number.
        """
        if not self.exchange_trade_id:
            return self.trade_id
        day = from_ns(self.time).date()
        return f"{self.symbol} {day} {self.exchange_trade_id} {self.direction} {self.offset}"


#: tqsdk's notices about a connection: made, made again, and lost or not made.
CONNECTED, RESTORED, LOST = 2019112901, 2019112902, 2019112911


@dataclass(frozen=True, slots=True)
class Notice:
    """A notification of the server, or of the client about a connection (``conn_id``).

    ``type`` is the server's: ``"MESSAGE"``, or ``"SETTLEMENT"`` for a statement, whose text is left
    out.
    """

    code: int
    level: str
    content: str
    conn_id: str = ""
    type: str = ""
