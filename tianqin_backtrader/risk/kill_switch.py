"""``RiskCheck`` shows the rules what an order meets; ``KillSwitch`` closes all that is held."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

from ..account.ledger import PositionLedger
from ..contracts.order_terms import OrderTerms
from ..core.clock import SECOND
from ..core.context import Context
from ..core.model import Direction
from ..core.ports import LastPrice, LinkPort
from ..orders.ticket import PositionEffect, Stage, Ticket
from .engine import RiskEngine
from .limits import GuardState, OrderIntent, OwnOrder, RiskContext, RiskLimits

logger = logging.getLogger(__name__)

#: Market time between two attempts to close a contract, and how many may come to nothing.
FLATTEN_AGAIN, FLATTEN_TRIES = 2 * SECOND, 30


class Hours(Protocol):
    """When the market of what is subscribed trades."""

    @property
    def trading(self) -> bool: ...


class RiskCheck:
    """Shows the guard what an order meets.

    Args:
        context: Time and calendar.
        last_price: Of a contract.
        hours: Whether anything trades.
        account: Positions and the day's profit.
        limits: None switches every limit off.
        live: Gives the working legs of a contract.
    """

    def __init__(
        self,
        context: Context,
        last_price: LastPrice,
        hours: Hours,
        account: PositionLedger,
        limits: RiskLimits | None,
        live: Callable[[str], list[Any]],
    ) -> None:
        self._context, self._last_price, self._hours = context, last_price, hours
        self._account, self._live = account, live
        self.guard = RiskEngine(limits)
        self._watches = limits is not None

    def check(
        self, ticket: Ticket, volume: int, terms: OrderTerms, orders: int, *, closes: bool = False
    ) -> None:
        """Let an order pass that becomes so many exchange orders, all closing or not.

        Raises:
            RiskRefused: It breaks a limit.
        """
        if not self._watches and self.guard.state is GuardState.ACTIVE:
            return
        price = terms.limit_price if isinstance(terms.limit_price, int | float) else None
        if ticket.terms.is_market:
            price = None  # a limit at the day's limit is a market order all the same
        intent = OrderIntent(
            ticket.symbol, ticket.direction, volume, price,
            closes or ticket.effect is PositionEffect.CLOSE, orders,
            taken=ticket.has_been_taken or (ticket.exits and ticket.stage is not Stage.DRAFT),
        )  # fmt: skip
        self.guard.check(intent, self._facts(ticket.symbol))

    def admit(self, volume: int) -> None:
        """Refuse what could never be sent; see ``RiskEngine.admit``."""
        self.guard.admit(volume)

    def passed_by(self, symbol: str, orders: int) -> None:
        """Count exchange orders that the rules do not look at."""
        if self._watches:
            self.guard.passed_by(symbol, orders, self._facts(symbol))

    def cancelled(self, symbol: str) -> None:
        """Count a cancel."""
        if self._watches:
            self.guard.cancelled(symbol, self._facts(symbol))

    def meets_loss(self) -> bool:
        """Every round: whether the day's loss has reached its limit, and none has answered it."""
        guard = self.guard
        if guard.limits.max_daily_loss is None:
            return False
        if guard.state is GuardState.ACTIVE:
            self._look_at_profit()
        return guard.loss_met

    def resume(self) -> None:
        """Go on; the loss so far is forgiven, also what has come since the limit was met."""
        if self.guard.limits.max_daily_loss is not None:
            self._look_at_profit()
        self.guard.resume()

    def _look_at_profit(self) -> None:
        context = self._context
        if self._hours.trading:  # between two days the account may show the loss of the one before
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
            for leg in self._live(symbol)
        )
        return RiskContext(
            now=context.now_ns(),
            trading_day=context.trading_day(),
            position=int(self._account.position(symbol).size),
            working=working,
            last_price=self._last_price(symbol),
            day_profit=self._account.day_profit(),
        )


@dataclass(slots=True)
class _Attempts:
    """To close one contract: how many are left, and what they have met."""

    day: date
    lots: tuple[int, int]
    left: int = FLATTEN_TRIES
    not_before: int = 0

    def follow(self, day: date, lots: tuple[int, int]) -> None:
        """A fill or another trading day begins the count anew, if it has not run out."""
        if self.left and (day, lots) != (self.day, self.lots):
            self.day, self.lots, self.left = day, lots, FLATTEN_TRIES


class KillSwitch:
    """Closes all that the account holds, one attempt after the other, until it is flat.

    An order that finds no other side, as in a market locked at its limit, stays there until the
    trading day ends; the next day has one of its own. Only attempts that come to nothing otherwise
    are counted, for each contract.

    Args:
        context: Time, calendar and notifications.
        link: To the exchange.
        account: What is held.
        close: Sends a market order that closes (symbol, direction, lots, whether its rest stays at
            the day's limit).

    Attributes:
        busy: Whether it is still at work.
        changed: Called when it begins and when it ends.
    """

    def __init__(
        self,
        context: Context,
        link: LinkPort,
        account: PositionLedger,
        close: Callable[[str, Direction, int, bool], object],
    ) -> None:
        self._context, self._link = context, link
        self._account, self._close = account, close
        self._attempts: dict[str, _Attempts] = {}
        self.busy = False
        self.changed: Callable[[], None] = lambda: None

    def begin(self) -> None:
        """From now on, until nothing is held."""
        self.busy = True
        self._attempts.clear()
        self.changed()

    def end(self) -> None:
        """Close nothing more; what is out stays out."""
        self.busy = False
        self.changed()

    def on_round(self, working: Collection[str]) -> None:
        """See what is left.

        Args:
            working: Contracts in which orders are still out; nothing is sent beside them.
        """
        if not self.busy or not self._link.trading_up:
            return
        held = self._account.account_positions()
        if not held:
            if not working:
                self.end()
                self._context.notify("flatten: nothing is held any more")
            return
        for symbol, position in held.items():
            if symbol not in working and self._context.may_trade(symbol):
                self._try(symbol, int(position["pos_long"]), int(position["pos_short"]))
        if not any(symbol not in self._attempts or self._attempts[symbol].left for symbol in held):
            self.end()

    def _try(self, symbol: str, longs: int, shorts: int) -> None:
        context = self._context
        now, day = context.now_ns(), context.trading_day()
        attempts = self._attempts.setdefault(symbol, _Attempts(day, (longs, shorts)))
        attempts.follow(day, (longs, shorts))
        if not attempts.left or now < attempts.not_before:
            return
        attempts.left, attempts.not_before = attempts.left - 1, now + FLATTEN_AGAIN
        if not attempts.left:
            text = f"flatten: given up, still held: {symbol}"
            logger.error("%s", text)
            context.notify(text)
            return
        stays = not (longs and shorts)  # two that stay at the limits could trade with each other
        if longs:
            self._close(symbol, Direction.SELL, longs, stays)
        if shorts:
            self._close(symbol, Direction.BUY, shorts, stays)
