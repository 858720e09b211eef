"""What a roll needs of the session and of the account's broker."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from ..core.context import Context
from ..core.ports import LinkPort, MarketDataPort, TradingPort
from ..orders.leg import OrderLeg
from ..risk.engine import RiskEngine
from .roll_carrier import ExitCarrier
from .roll_state import RollPlan, RollState


class Cost(Protocol):
    """What an order takes of the funds, yuan."""

    commission: float


class OrderCommands(Protocol):
    """Orders of a roll, and what is held; ``MyBroker``. Orders are Backtrader's."""

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

    def buy_open(self, instrument: str, size: int, limit_price: Any, **options: Any) -> Any: ...
    def sell_open(self, instrument: str, size: int, limit_price: Any, **options: Any) -> Any: ...
    def buy_close(self, instrument: str, size: int, limit_price: Any, **options: Any) -> Any: ...
    def sell_close(self, instrument: str, size: int, limit_price: Any, **options: Any) -> Any: ...
    def cancel(self, order: Any) -> Any: ...
    def get_order(self, order_id: str) -> Any: ...
    def mark(self, order: Any, name: str, value: Any) -> None: ...
    def takes_orders(self, instrument: str) -> bool: ...
    def reserve(self, instrument: str, reason: str | None) -> None: ...
    def reserved_for_us(self, instrument: str) -> AbstractContextManager[None]: ...
    def drop_target(self, instrument: str) -> None: ...
    def exit_carrier(self, plan: RollPlan, save: Callable[[RollState], None]) -> ExitCarrier: ...
    def get_account_position(self, instrument: str) -> dict[str, Any]: ...
    def order_cost(
        self, instrument: str, size: int, price: float | None, *, closes: bool
    ) -> Cost: ...


@dataclass(frozen=True, slots=True)
class RollPorts:
    """All of it.

    Attributes:
        context: Contracts, time and notifications.
        trading: The account's orders and trades.
        market: Books of both contracts.
        link: To the exchange.
        broker: Places the orders.
    """

    context: Context
    trading: TradingPort
    market: MarketDataPort
    link: LinkPort
    broker: OrderCommands
