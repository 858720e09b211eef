"""The risk rules over the orders of the desk, and the two buttons: halt and flatten."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from .account_view import AccountView
from .clock import SECOND
from .model import Direction
from .order_price import Wish
from .risk import RiskGuard
from .risk_limits import GuardState, OrderIntent, OwnOrder, RiskContext, RiskLimits
from .ticket import Effect, Ticket

logger = logging.getLogger(__name__)

#: Market time between two attempts to close what is held, and how many there are.
FLATTEN_AGAIN, FLATTEN_TRIES = 2 * SECOND, 30


class RiskDesk:
    """Shows the guard what an order meets.

    Args:
        store: Time, calendar and gateway.
        account: Positions and the day's profit.
        limits: None switches every limit off.
        live: Gives the working legs of a contract.
    """

    def __init__(
        self,
        store: Any,
        account: AccountView,
        limits: RiskLimits | None,
        live: Callable[[str], list[Any]],
    ) -> None:
        self._store, self._account, self._live = store, account, live
        self.guard = RiskGuard(limits)
        self._watches = limits is not None

    def check(self, ticket: Ticket, volume: int, terms: Wish, orders: int) -> None:
        """Let an order pass that becomes so many exchange orders.

        Raises:
            RiskRefused: It breaks a limit.
        """
        if not self._watches and self.guard.state is GuardState.ACTIVE:
            return
        price = terms.limit_price if isinstance(terms.limit_price, int | float) else None
        if ticket.wish.is_market:
            price = None  # a limit at the day's limit is a market order all the same
        intent = OrderIntent(
            ticket.symbol, ticket.direction, volume, price, ticket.effect is Effect.CLOSE, orders,
            taken=ticket.has_been_taken,
        )  # fmt: skip
        self.guard.check(intent, self._context(ticket.symbol))

    def admit(self, volume: int) -> None:
        """Refuse what could never be sent; see ``RiskGuard.admit``."""
        self.guard.admit(volume)

    def passed_by(self, symbol: str, orders: int) -> None:
        """Count exchange orders that the rules do not look at."""
        if self._watches:
            self.guard.passed_by(symbol, orders, self._context(symbol))

    def cancelled(self, symbol: str) -> None:
        """Count a cancel."""
        if self._watches:
            self.guard.cancelled(symbol, self._context(symbol))

    def meets_loss(self) -> bool:
        """Every round: whether the day's loss has just reached its limit, order or no order."""
        guard, store = self.guard, self._store
        if guard.limits.max_daily_loss is None:
            return False
        # Between two days the account may show the loss of the one before.
        if guard.state is GuardState.ACTIVE and store.hours.trading:
            day = store.calendar.trading_day_at(store.now())
            profit = self._account.day_profit()
            guard.watch(RiskContext(store.clock.now_ns(), day, day_profit=profit))
        met, guard.loss_met = guard.loss_met, False
        return met

    def _context(self, symbol: str) -> RiskContext:
        store = self._store
        working = tuple(
            OwnOrder(
                leg.direction,
                leg.volume - leg.filled,
                leg.limit_price if isinstance(leg.limit_price, int | float) else None,
            )
            for leg in self._live(symbol)
        )
        return RiskContext(
            now=store.clock.now_ns(),
            trading_day=store.calendar.trading_day_at(store.now()),
            position=int(self._account.position(symbol).size),
            working=working,
            last_price=float(store.gateway.quote(symbol).last_price),
            day_profit=self._account.day_profit(),
        )


class Flattener:
    """Closes all that the account holds, one attempt after the other, until it is flat.

    Args:
        store: Time and notifications.
        account: What is held.
        close: Sends a market order that closes (symbol, direction, lots); returns it.

    Attributes:
        changed: Called when it begins and when it ends.
    """

    def __init__(
        self, store: Any, account: AccountView, close: Callable[[str, Direction, int], Any]
    ) -> None:
        self._store, self._account, self._close = store, account, close
        self._tries = 0
        self._next = 0
        self.changed: Callable[[], None] = lambda: None

    @property
    def busy(self) -> bool:
        """Whether it is still at work."""
        return self._tries > 0

    def begin(self) -> None:
        """From now on, until nothing is held."""
        self._tries, self._next = FLATTEN_TRIES, 0
        self.changed()

    def end(self) -> None:
        """Close nothing more; what is out stays out."""
        self._tries = 0
        self.changed()

    def tend(self, *, working: bool) -> None:
        """See what is left.

        Args:
            working: Whether orders are still out; nothing is sent beside them.
        """
        if not self.busy or working or not self._store.trading_up:
            return
        held = self._account.account_positions()
        if not held:
            self.end()
            self._store.put_notification("flatten: nothing is held any more")
            return
        now = self._store.clock.now_ns()
        trading = {symbol: one for symbol, one in held.items() if self._store.may_trade(symbol)}
        if now < self._next or not trading:
            return
        self._next, self._tries = now + FLATTEN_AGAIN, self._tries - 1
        if not self._tries:
            self.changed()
            text = f"flatten: given up, still held: {', '.join(held)}"
            logger.error("%s", text)
            self._store.put_notification(text)
            return
        for symbol, position in trading.items():
            for side, direction in (("long", Direction.SELL), ("short", Direction.BUY)):
                lots = int(position[f"pos_{side}"])
                if lots:
                    self._close(symbol, direction, lots)
