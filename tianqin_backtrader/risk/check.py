"""``RiskCheck`` gives the risk rules the facts about an order."""

from __future__ import annotations

from typing import Protocol

from ..account.ledger import PositionLedger
from ..contracts.order_terms import OrderTerms
from ..core.context import Context
from ..core.ports import LastPrice
from ..orders.leg import LiveLegs
from ..orders.ticket import PositionEffect, Stage, Ticket
from .engine import RiskEngine
from .limits import GuardState, OrderIntent, OwnOrder, RiskContext, RiskLimits


class Hours(Protocol):
    """Whether any subscribed contract trades."""

    @property
    def trading(self) -> bool: ...


class RiskCheck:
    """Gives the risk rules the facts about an order.

    Args:
        context: Time and calendar.
        last_price: Returns a contract's last price.
        hours: Whether any contract trades.
        account: Positions and the day's profit.
        limits: The limits; None switches all of them off.
        live: Legs at the exchange, by contract and id.

    Attributes:
        guard: The rules.
        watches: Whether there are limits.
    """

    def __init__(
        self,
        context: Context,
        last_price: LastPrice,
        hours: Hours,
        account: PositionLedger,
        limits: RiskLimits | None,
        live: LiveLegs,
    ) -> None:
        self._context, self._last_price, self._hours = context, last_price, hours
        self._account, self._live = account, live
        self.guard = RiskEngine(limits)
        self.watches = limits is not None

    def check(
        self, ticket: Ticket, volume: int, terms: OrderTerms, orders: int, *, closes: bool = False
    ) -> None:
        """Check an order that becomes ``orders`` exchange orders, all closing or not.

        Raises:
            RiskRefused: It exceeds a limit.
        """
        price = terms.limit_price if isinstance(terms.limit_price, int | float) else None
        if ticket.terms.is_market:
            price = None  # a limit order at the day's limit is still a market order
        intent = OrderIntent(
            ticket.symbol, ticket.direction, volume, price,
            closes or ticket.effect is PositionEffect.CLOSE, orders,
            taken=ticket.has_been_taken or (ticket.exits and ticket.stage is not Stage.DRAFT),
        )  # fmt: skip
        self.guard.check(intent, self._facts(ticket.symbol))

    def admit(self, volume: int) -> None:
        """Refuse an order that could never be sent; see ``RiskEngine.admit``."""
        self.guard.admit(volume)

    def passed_by(self, symbol: str, orders: int) -> None:
        """Count exchange orders that the rules do not check."""
        if self.watches:
            self.guard.passed_by(symbol, orders, self._facts(symbol))

    def cancelled(self, symbol: str) -> None:
        """Count a cancel."""
        if self.watches:
            self.guard.cancelled(symbol, self._facts(symbol))

    def meets_loss(self) -> bool:
        """Whether the day's loss has reached its limit, and this is not handled; every round."""
        guard = self.guard
        if guard.limits.max_daily_loss is None:
            return False
        if guard.state is GuardState.ACTIVE:
            self._look_at_profit()
        return guard.loss_met

    def resume(self) -> None:
        """Resume; the loss until now no longer counts, also that after the limit was reached."""
        if self.guard.limits.max_daily_loss is not None:
            self._look_at_profit()
        self.guard.resume()

    def _look_at_profit(self) -> None:
        context = self._context
        if self._hours.trading:  # between two days the account may show the previous loss
            day, profit = context.trading_day(), self._account.day_profit()
            self.guard.watch(RiskContext(context.now_ns(), day, day_profit=profit))

    def _facts(self, symbol: str) -> RiskContext:
        context = self._context
        working = tuple(
            OwnOrder(
                leg.direction,
                leg.volume - leg.filled,
                leg.limit_price if isinstance(leg.limit_price, int | float) else None,
            )
            for leg in self._live.get(symbol, {}).values()
        )
        return RiskContext(
            now=context.now_ns(),
            trading_day=context.trading_day(),
            position=int(self._account.position(symbol).size),
            working=working,
            last_price=self._last_price(symbol),
            day_profit=self._account.day_profit(),
        )
