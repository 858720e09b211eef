"""``ExecutionEngine``: what happens to orders in a round, in which order, and at the owner's word.

Reports of the exchange come first, then what they leave to be done; what was written meanwhile is
on disk before strategies are told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from ..account.ledger import PositionLedger
from ..core.clock import monotonic
from ..core.context import Context
from ..core.model import Fill, OrderReport
from ..errors import JournalError
from ..orders.ticket import OF_A_ROLL, PositionEffect, Ticket
from ..risk.kill_switch import KillSwitch, RiskCheck
from ..risk.limits import GuardState
from .contingent_orders import ContingentOrders
from .execution_reports import ReportHandler
from .order_manager import OrderManager
from .target_positions import TargetPositions
from .write_ahead import Planned

logger = logging.getLogger(__name__)


class SavedState(Protocol):
    """What an earlier run has left."""

    @property
    def lots(self) -> Planned: ...

    def hand_targets(self, adopt: Callable[..., Any], symbol: str | None = None) -> None: ...


class Reconciles(Protocol):
    """Holds what the account shows against what we know."""

    def follow_session(self, session: int) -> None: ...

    def on_round(self) -> None: ...


class Expires(Protocol):
    """Settles lots of contracts that have expired; True if there were any."""

    def on_round(self) -> bool: ...


class ExecutionEngine:
    """All that looks after orders, in its order.

    Args:
        context: Whom to tell.
        account: Positions.
        manager: Sends and withdraws.
        report_handler: Takes reports.
        contingent: Orders that wait for a price, a time or another order.
        targets: Positions that are worked to.
        risk: The rules.
        kill_switch: Closes everything.

    Attributes:
        begun: Whether the account was taken over: before that, a start looks at all there is.
    """

    def __init__(
        self,
        context: Context,
        account: PositionLedger,
        manager: OrderManager,
        report_handler: ReportHandler,
        contingent: ContingentOrders,
        targets: TargetPositions,
        risk: RiskCheck,
        kill_switch: KillSwitch,
    ) -> None:
        self._context, self._account = context, account
        self._manager, self._report_handler = manager, report_handler
        self._contingent, self._targets, self._risk = contingent, targets, risk
        self._kill_switch, self._write_ahead = kill_switch, manager.write_ahead
        self.begun = self._halting = False

    def looks_after(self, saved: SavedState, reconciler: Reconciles, expiry: Expires) -> None:
        """Name what compares orders and lots with the account."""
        self._saved, self._reconciler, self._expiry = saved, reconciler, expiry

    def begin(self) -> None:
        """The account was taken over; an earlier run may have died before all was withdrawn."""
        self._halting = self._kill_switch.busy or self._risk.guard.state is GuardState.HALTED
        self.begun = True

    # -- a round ----------------------------------------------------------------------------------

    def take_reports(self, reports: list[OrderReport | Fill]) -> None:
        """Apply what the exchange says, and queue what strategies are to be told."""
        self._manager.heard_at = monotonic()
        if self.begun:
            self._report_handler.take(reports)
            self._reconciler.on_round()
            self._write_ahead.flush()

    def on_round(self, session: int, reconnector: Any) -> None:
        """Look after unanswered orders, and after all that waits with us."""
        self._report_handler.follow_session(session, reconnector)
        if not self.begun:
            return
        self._report_handler.on_round()
        self._reconciler.follow_session(session)
        self._account.settle_fees()
        self._look_at_halting()
        self._look_at_loss()
        self._manager.on_round()
        self._contingent.on_round()
        self._targets.on_round()
        if self._kill_switch.busy:
            self._kill_switch.on_round(
                {symbol for symbol, legs in self._manager.live.items() if legs}
            )
        if self._expiry.on_round():
            self._write_ahead.touch_plan(self._saved.lots)
        self._write_ahead.flush()

    # -- the owner's word -------------------------------------------------------------------------

    def halt(self, reason: str) -> None:
        """Withdraw every order and send no other until ``resume``, in later runs, too."""
        self._risk.guard.halt(reason)
        self._kill_switch.end()
        self.drop_targets()
        self._withdraw_for(lambda ticket: True)
        self._write_ahead.flush()

    def resume(self) -> None:
        """Take orders again after ``halt``, ``flatten`` or a limit."""
        self._write_ahead.mend()
        self._risk.resume()
        self._kill_switch.end()
        self._withdraw(lambda ticket: not ticket.guarded)
        self._write_ahead.flush()

    def flatten(self, reason: str) -> None:
        """Withdraw every order and close all that the account holds, at the market."""
        self._risk.guard.reduce(reason)
        self.drop_targets()
        self._withdraw(lambda ticket: ticket.guarded)  # of a flatten before: it has its place
        self._kill_switch.begin()
        self._write_ahead.flush()

    def cancel_all(self) -> None:
        """Withdraw every order of this broker that is not over, those that wait with us, too."""
        self._withdraw(lambda ticket: True)

    # -- what follows from it ---------------------------------------------------------------------

    def drop_targets(self) -> None:
        """Work to no target any more, nor to one that an earlier run has begun."""
        self._saved.hand_targets(self._targets.adopt)
        self._targets.drop_all()

    def _withdraw(self, which: Callable[[Ticket], bool]) -> None:
        for ticket in list(self._manager.tickets.values()):
            if not ticket.over and which(ticket):
                self._manager.cancel(ticket)

    def _withdraw_for(self, which: Callable[[Ticket], bool]) -> None:
        """Withdraw orders for what the rules say; lots that lose their stop by it are told."""
        self._contingent.settle_stops()
        tickets = [ticket for ticket in self._manager.tickets.values() if not ticket.over]
        words = f"trading is {self._risk.guard.state}: {self._risk.guard.reason}"
        self._contingent.withdraw([ticket for ticket in tickets if which(ticket)], words)

    def _withdraw_openings(self, which: Callable[[Ticket], bool]) -> None:
        """Withdraw orders that may open; of stops and the like that reverse, what closes stays."""
        self._contingent.settle_stops()
        for ticket in list(self._manager.tickets.values()):
            if not ticket.over and which(ticket) and _closes_first(ticket):
                self._contingent.keep_closing(ticket)
                text = (
                    f"order {ticket.order.ref} on {ticket.symbol} only closes from now on: trading "
                    f"is {self._risk.guard.state}"
                )
                logger.warning("%s", text)
                self._context.notify(text, order=ticket.order)
        self._withdraw_for(which)

    @property
    def records_broken(self) -> bool:
        """Whether records cannot be written at the moment."""
        return self._write_ahead.broken is not None

    def records_failed(self, error: JournalError) -> None:
        """What cannot be written halts trading: what may open is withdrawn, and not sent."""
        if not self.records_broken:
            self._write_ahead.fail(error)  # which comes back here
            return
        text = f"HALTED: {error}; exits go on; make room, then broker.resume()"
        logger.error("%s", text)
        self._context.notify(text)
        self._risk.guard.halt(str(error), keeps_exits=True)
        self._halting = True

    def _look_at_loss(self) -> None:
        """At the limit of the day's loss nothing stays out that could make a position larger."""
        if not self._risk.meets_loss():
            return
        guard = self._risk.guard
        text = f"{guard.state}: {guard.reason}; what adds to positions is withdrawn"
        logger.error("%s", text)
        self._context.notify(text)
        self.drop_targets()
        halted = guard.state is GuardState.HALTED
        goes = self._is_no_exit if halted else self._adds
        self._withdraw_openings(lambda ticket: ticket.guarded and goes(ticket))
        guard.answered_loss()

    def _adds(self, ticket: Ticket) -> bool:
        """Whether an order is for more lots than are held on the side that it reduces."""
        held = -self._account.position(ticket.symbol).size * ticket.direction.sign
        return ticket.effect is not PositionEffect.CLOSE and ticket.left > held

    def _is_no_exit(self, ticket: Ticket) -> bool:
        """Whether an order may open, or closes for a target or a roll, and not for a strategy."""
        return _works_for_us(ticket) or not ticket.exits or ticket.opening > 0

    def _look_at_halting(self) -> None:
        """Withdraw what the state does not allow; of a flatten what it has out stays."""
        if not self._halting:
            return
        self._halting = False
        self.drop_targets()
        if self._risk.guard.state is not GuardState.HALTED:
            self._withdraw(lambda ticket: ticket.guarded)
        elif self._risk.guard.keeps_exits:
            self._withdraw_openings(self._is_no_exit)
        else:
            self._withdraw_for(lambda ticket: True)

    def take_differences(self, text: str) -> None:
        """Somebody or something else has changed what is held: the owner has to look."""
        text = f"{text}; only orders that reduce are sent until broker.resume()"
        logger.error("%s", text)
        self._context.notify(text)
        self._write_ahead.note(text, "ERROR")
        self._risk.guard.reduce(text)


def _works_for_us(ticket: Ticket) -> bool:
    """Whether an order is for a target or a roll, and not for a strategy."""
    return ticket.for_target or OF_A_ROLL in ticket.order.info


def _closes_first(ticket: Ticket) -> bool:
    """Whether lots rely on a part of an order that waits for a price or time, or has fired."""
    waits = ticket.condition is not None or bool(ticket.order.triggered)
    return waits and ticket.closing > 0 and not _works_for_us(ticket)
