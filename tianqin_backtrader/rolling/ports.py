"""The parts of the session and of the account's broker that a roll needs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import backtrader as bt

from ..core.context import Context
from ..core.fields import Fields
from ..core.ports import LinkPort, MarketDataPort, TradingPort
from ..orders.leg import OrderLeg
from ..risk.engine import RiskEngine
from .roll_carrier import ExitCarrier
from .roll_state import RollPlan, RollState


class Cost(Protocol):
    """The funds that an order needs, yuan."""

    commission: float


class SendsOrders(Protocol):
    """A method that sends a limit order."""

    def __call__(
        self, instrument: str, size: int, limit_price: float | None, **options: object
    ) -> bt.Order: ...


class OrderCommands(Protocol):
    """Orders of a roll, and the positions; ``MyBroker``. Orders are Backtrader's."""

    @property
    def begun(self) -> bool: ...
    @property
    def risk(self) -> RiskEngine: ...
    @property
    def foreign_orders(self) -> dict[str, OrderLeg]: ...
    @property
    def closes_first(self) -> str: ...
    @property
    def records_folder(self) -> str: ...

    @property
    def buy_open(self) -> SendsOrders: ...
    @property
    def sell_open(self) -> SendsOrders: ...
    @property
    def buy_close(self) -> SendsOrders: ...
    @property
    def sell_close(self) -> SendsOrders: ...
    def cancel(self, order: bt.Order) -> object: ...
    def get_order(self, order_id: str) -> bt.Order | None: ...
    def mark(self, order: bt.Order, name: str, value: object) -> None: ...
    def takes_orders(self, instrument: str) -> bool: ...
    def reserve(self, instrument: str, reason: str | None) -> None: ...
    def reserved_for_us(self, instrument: str) -> AbstractContextManager[None]: ...
    def drop_target(self, instrument: str) -> None: ...
    def exit_carrier(self, plan: RollPlan, save: Callable[[RollState], None]) -> ExitCarrier: ...
    def get_account_position(self, instrument: str) -> Fields: ...
    def order_cost(
        self, instrument: str, size: int, price: float | None, *, closes: bool
    ) -> Cost: ...


@dataclass(frozen=True, slots=True)
class RollPorts:
    """All parts.

    Attributes:
        context: Contracts, time and notifications.
        trading: The account's orders and trades.
        market: Order books of both contracts.
        link: The connection to the exchange.
        broker: Places the orders.
    """

    context: Context
    trading: TradingPort
    market: MarketDataPort
    link: LinkPort
    broker: OrderCommands
