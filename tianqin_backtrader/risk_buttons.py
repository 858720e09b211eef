"""The broker's buttons: halt, resume, flatten, cancel everything."""

from __future__ import annotations

import logging
from collections.abc import Callable

import backtrader as bt

from .errors import JournalError
from .four_way import FourWay
from .held_orders import HeldOrders
from .model import Direction
from .order_state import OrderLeg
from .restart import Restart
from .risk import RiskGuard
from .risk_desk import Flattener, RiskDesk
from .risk_limits import GuardState
from .roll_carrier import MARK
from .target_desk import TargetDesk
from .ticket import Effect, Ticket

logger = logging.getLogger(__name__)


class RiskButtons(FourWay):
    """What the owner can press; a part of ``MyBroker``."""

    _risk: RiskDesk
    _held: HeldOrders
    _targets: TargetDesk
    _flattener: Flattener
    _restart: Restart
    _halting = False

    @property
    def risk(self) -> RiskGuard:
        """The rules over all orders: their ``state``, its ``reason``, their ``limits``."""
        return self._risk.guard

    @property
    def risk_state(self) -> GuardState:
        """ACTIVE, REDUCING or HALTED."""
        return self._risk.guard.state

    def halt(self, reason: str = "halted by the owner") -> None:
        """Withdraw every order and send no other until ``resume``, in later runs, too.

        Positions stay; a ``flatten`` that is not done goes no further. Exits are withdrawn, too:
        lots that lose their stop are told to ``notify_store``, and to an alert.

        Args:
            reason: Shown in the log, in ``risk.reason`` and in what is refused meanwhile.
        """
        self._risk.guard.halt(reason)
        self._flattener.end()
        self._drop_targets()
        self._withdraw_for(lambda ticket: True)
        self._scribe.flush()

    def resume(self) -> None:
        """Take orders again after ``halt``, ``flatten`` or a limit.

        A ``flatten`` that is not done goes no further; what it has out is withdrawn.

        Raises:
            JournalError: The records still cannot be written; trading stays halted.
        """
        self._scribe.mend()
        self._risk.resume()
        self._flattener.end()
        self._withdraw(lambda ticket: not ticket.guarded)
        self._scribe.flush()

    def flatten(self, reason: str = "flattened by the owner") -> None:
        """Withdraw every order and close all that the account holds, at the market.

        Returns at once; what happens is told in ``notify_order``. What a market does not take now,
        as one that is locked at its limit, stays there as a limit order, on the next trading day
        as another one; what is refused is tried again. Other orders may only reduce until
        ``resume``.

        Args:
            reason: Shown in the log, in ``risk.reason`` and in what is refused meanwhile.
        """
        self._risk.guard.reduce(reason)
        self._drop_targets()
        self._withdraw(lambda ticket: ticket.guarded)  # of a flatten before: it has its place
        self._flattener.begin()
        self._scribe.flush()

    def cancel_all(self) -> None:
        """Withdraw every order of this broker that is not over, those that wait with us, too."""
        self._withdraw(lambda ticket: True)

    def _drop_targets(self) -> None:
        """Work to no target any more, nor to one that an earlier run has begun."""
        self._restart.hand_targets(self._targets.adopt)
        self._targets.drop_all()

    def _withdraw(self, which: Callable[[Ticket], bool]) -> None:
        for ticket in list(self._desk.tickets.values()):
            if not ticket.over and which(ticket):
                self._desk.cancel(ticket)

    def _withdraw_for(self, which: Callable[[Ticket], bool]) -> None:
        """Withdraw orders for what the rules say; lots that lose their stop by it are told."""
        self._held.settle_stops()
        tickets = [ticket for ticket in self._desk.tickets.values() if not ticket.over]
        words = f"trading is {self.risk_state}: {self.risk.reason}"
        self._held.withdraw([ticket for ticket in tickets if which(ticket)], words)

    def _withdraw_openings(self, which: Callable[[Ticket], bool]) -> None:
        """Withdraw orders that may open; of stops and the like that reverse, what closes stays."""
        self._held.settle_stops()
        for ticket in list(self._desk.tickets.values()):
            if not ticket.over and which(ticket) and _closes_first(ticket):
                self._held.keep_closing(ticket)
                text = (
                    f"order {ticket.order.ref} on {ticket.symbol} only closes from now on: trading "
                    f"is {self.risk_state}"
                )
                logger.warning("%s", text)
                self.store.put_notification(text, order=ticket.order)
        self._withdraw_for(which)

    def _close_unguarded(self, symbol: str, direction: Direction, volume: int, stays: bool) -> None:
        kind = bt.BuyOrder if direction is Direction.BUY else bt.SellOrder
        self._four_way(
            kind, Effect.CLOSE, symbol, volume, None, guarded=False, allow_partial=True, stays=stays
        )

    def _live_legs(self, symbol: str) -> list[OrderLeg]:
        return list(self._desk.live.get(symbol, {}).values())

    @property
    def records_broken(self) -> bool:
        """Whether records cannot be written at the moment."""
        return self._scribe.broken is not None

    def records_failed(self, error: JournalError) -> None:
        """What cannot be written halts trading: what may open is withdrawn, and not sent."""
        if not self.records_broken:
            self._scribe.fail(error)  # which comes back here
            return
        text = f"HALTED: {error}; exits go on; make room, then broker.resume()"
        logger.error("%s", text)
        self.store.put_notification(text)
        self._risk.guard.halt(str(error), keeps_exits=True)
        self._halting = True

    def _tend_loss(self) -> None:
        """At the limit of the day's loss nothing stays out that could make a position larger."""
        if not self._risk.meets_loss():
            return
        text = f"{self.risk_state}: {self.risk.reason}; what adds to positions is withdrawn"
        logger.error("%s", text)
        self.store.put_notification(text)
        self._drop_targets()
        halted = self.risk_state is GuardState.HALTED
        goes = self._is_no_exit if halted else self._adds
        self._withdraw_openings(lambda ticket: ticket.guarded and goes(ticket))
        self.risk.answered_loss()

    def _adds(self, ticket: Ticket) -> bool:
        """Whether an order is for more lots than are held on the side that it reduces."""
        held = -self._account.position(ticket.symbol).size * ticket.direction.sign
        return ticket.effect is not Effect.CLOSE and ticket.left > held

    def _is_no_exit(self, ticket: Ticket) -> bool:
        """Whether an order may open, or closes for a target or a roll, and not for a strategy."""
        return _works_for_us(ticket) or not ticket.exits or ticket.opening > 0

    def _tend_halting(self) -> None:
        """Withdraw what the state does not allow; of a flatten what it has out stays."""
        if not self._halting:
            return
        self._halting = False
        self._drop_targets()
        if self.risk_state is not GuardState.HALTED:
            self._withdraw(lambda ticket: ticket.guarded)
        elif self.risk.keeps_exits:
            self._withdraw_openings(self._is_no_exit)
        else:
            self._withdraw_for(lambda ticket: True)


def _works_for_us(ticket: Ticket) -> bool:
    """Whether an order is for a target or a roll, and not for a strategy."""
    return ticket.for_target or MARK in ticket.order.info


def _closes_first(ticket: Ticket) -> bool:
    """Whether lots rely on a part of an order that waits for a price or time, or has fired."""
    waits = ticket.condition is not None or bool(ticket.order.triggered)
    return waits and ticket.closing > 0 and not _works_for_us(ticket)
