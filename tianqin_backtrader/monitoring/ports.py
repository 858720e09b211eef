"""The parts of a session that observers read: link, feeds, account and orders.

``halt`` and ``flatten`` are the exception: they are commands of the live page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Protocol

from ..core.fields import Fields
from ..feeds.live_bars import Certificate
from ..gateway.supervisor import State
from ..orders.leg import OrderLeg
from ..risk.engine import RiskEngine


class LinkView(Protocol):
    """The state of the connection; ``Reconnector``."""

    reconnects_today: int
    last_error: str

    @property
    def last_ok(self) -> datetime | None: ...

    @property
    def state(self) -> State: ...
    @property
    def market_data_up(self) -> bool: ...
    @property
    def trading_up(self) -> bool: ...
    @property
    def no_trading(self) -> str: ...
    @property
    def trading_rests(self) -> str: ...
    @property
    def backoff(self) -> float: ...


class HoursView(Protocol):
    """The trading hours of the subscribed contracts; ``MarketHours``."""

    @property
    def trading(self) -> bool: ...
    @property
    def boundary(self) -> datetime | None: ...
    def awake(self) -> bool: ...


class AccountView(Protocol):
    """Account and positions, fields with TqSdk's names; ``Trading``."""

    def account(self) -> Fields: ...
    def positions(self) -> Mapping[str, Fields]: ...


class FeedParams(Protocol):
    """Parameters of a feed."""

    @property
    def lookback(self) -> int: ...


class FeedView(Protocol):
    """A live feed; ``LiveFeed``."""

    symbol: str
    p: FeedParams

    @property
    def current(self) -> bool: ...
    @property
    def finished(self) -> bool: ...
    @property
    def last_tick(self) -> int: ...
    def certificate(self) -> Certificate: ...
    def __len__(self) -> int: ...


class Traded(Protocol):
    """The data feed of an order."""

    _dataname: str


class OrderAmount(Protocol):
    """The ordered or executed part of an order: signed lots, quote units."""

    size: float
    price: float | None


class OrderView(Protocol):
    """A ``bt.Order`` as the broker makes them."""

    Rejected: int
    Margin: int
    ref: int
    status: int
    data: Traded
    created: OrderAmount
    executed: OrderAmount
    info: Mapping[str, object]

    @property
    def legs(self) -> Iterable[OrderLeg]: ...
    def isbuy(self) -> bool: ...
    def alive(self) -> bool: ...
    def getordername(self) -> str: ...
    def getstatusname(self) -> str: ...


class BrokerView(Protocol):
    """Orders and risk rules; ``MyBroker``."""

    @property
    def risk(self) -> RiskEngine: ...
    @property
    def records_folder(self) -> str: ...
    def get_all_orders(self) -> Iterable[OrderView]: ...
    def halt(self, reason: str) -> None: ...
    def flatten(self, reason: str) -> None: ...
