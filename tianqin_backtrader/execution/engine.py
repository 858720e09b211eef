"""``ExecutionEngine``: what is done with orders in a round and by the owner's commands.

Reports of the exchange come first, then their consequences. What was recorded meanwhile is on disk
before strategies are notified.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sized
from typing import Any, Protocol

from ..account.allocation import LotsChange
from ..account.ledger import PositionLedger
from ..core.clock import monotonic
from ..core.context import Context
from ..core.model import Fill, OrderReport
from ..errors import IllegalTransition, JournalError
from ..orders.ticket import OF_A_ROLL, PositionEffect, Ticket
from ..risk.check import RiskCheck
from ..risk.kill_switch import KillSwitch
from ..risk.limits import GuardState
from .contingent_orders import ContingentOrders
from .execution_reports import Applied, ReportHandler
from .foreign_fills import LotBaseline
from .notifications import OrderNotifications
from .order_factory import OrderFactory
from .order_manager import OrderManager
from .target_positions import TargetPositions

logger = logging.getLogger(__name__)


class Reconciles(Protocol):
    """Compares the account with our orders and fills."""

    due: bool
    given_up: dict[tuple[str, str], int]

    def follow_session(self, session: int) -> bool: ...

    def reports(self) -> Iterable[OrderReport | Fill]: ...

    def on_round(self) -> str: ...


class Expires(Protocol):
    """Settles lots of expired contracts; ``on_round`` returns whether there were any."""

    expiring: set[str]

    def on_round(self) -> bool: ...


class Keeper(Protocol):
    """Keeps the records of the account up to date."""

    def heard(self) -> None: ...

    def traded(self) -> None: ...


class ExecutionEngine:
    """Calls everything that handles orders, in the right sequence.

    Args:
        context: Notifications and contracts.
        account: Positions.
        manager: Sends and cancels orders.
        reports: Applies order reports and fills.
        contingent: Orders that wait for a price, a time or another order.
        targets: Position targets.
        risk: The rules.
        kill_switch: Decides what a flatten has to close.
        factory: Makes the orders that close it.
        news: Notifications for strategies.
        keeper: Keeps the records of the account.
        lots: The baseline of the records.
        reconciler: Compares orders and lots with the account.
        expiry: Settles expired contracts.

    Attributes:
        begun: Whether the account was taken over; until then only the start applies reports.
    """

    def __init__(
        self,
        context: Context,
        account: PositionLedger,
        manager: OrderManager,
        reports: ReportHandler,
        contingent: ContingentOrders,
        targets: TargetPositions,
        risk: RiskCheck,
        kill_switch: KillSwitch,
        factory: OrderFactory,
        news: OrderNotifications,
        keeper: Keeper,
        lots: LotBaseline,
        reconciler: Reconciles,
        expiry: Expires,
    ) -> None:
        self._context, self._account = context, account
        self._manager, self._reports, self._factory = manager, reports, factory
        self._contingent, self._targets, self._risk = contingent, targets, risk
        self._kill_switch, self._write_ahead = kill_switch, manager.write_ahead
        self._news, self._keeper, self._lots = news, keeper, lots
        self._reconciler, self._expiry = reconciler, expiry
        self.begun = self._halting = False
        self._halted_for: JournalError | None = None
        self._seen: tuple[object, ...] = ()
        #: Everything that waits; if all are empty, nothing can become due.
        self._waiting: tuple[Sized, ...] = (
            manager.queued, manager.withdrawn, manager.expiries, manager.unanswered,
            reports.missing, reports.others.waiting, contingent.watched,
            targets.targets, targets.returning, reconciler.given_up, expiry.expiring,
            manager.ended, manager.unsettled,
            self._write_ahead.rows, self._write_ahead.touched, self._write_ahead.plans,
        )  # fmt: skip

    def begin(self) -> None:
        """Start after the account was taken over; an earlier run's cancels may be unfinished."""
        self._halting = self._kill_switch.busy or self._risk.guard.state is GuardState.HALTED
        self.begun = True

    # -- a round ----------------------------------------------------------------------------------

    def take_reports(self, reports: list[OrderReport | Fill]) -> None:
        """Apply order reports and fills, and queue the notifications for strategies."""
        self._manager.heard_at = monotonic()
        if self.begun:
            self.apply(reports)
            self._reconcile()
            self.follow_up()

    def apply(self, reports: Iterable[OrderReport | Fill]) -> None:
        """Apply reports one by one, each with all its consequences."""
        for report in reports:
            try:
                done = self._reports.take(report)
                if done is not None:
                    self._follow_fill(done)
                    self._reports.settle_leg(done)
                    self._settle()
            except IllegalTransition as error:
                self._reports.read_again(report, error)
        self._reports.tell_without_order()

    def follow_up(self) -> None:
        """Handle the consequences of a command, write them down, check that, and send orders."""
        self._settle()
        self._write_ahead.flush()
        self._look_at_records()
        self._manager.trading.send()

    def _settle(self) -> None:
        """Handle the consequences of ended orders and of legs that could not be sent."""
        manager = self._manager
        while manager.ended or manager.unsettled:
            self._contingent.take_ends()
            if manager.unsettled:
                self._reports.settle(manager.unsettled.popleft())

    def _follow_fill(self, done: Applied) -> None:
        """Apply a fill to dependent orders, targets and records."""
        fill, ticket = done.report, done.ticket
        if not isinstance(fill, Fill):
            return
        if ticket is not None:
            if ticket.followed:
                self._contingent.take_fill(ticket, fill)
            if self._targets.targets:
                self._targets.take_fill(ticket, fill)
            if self._write_ahead.journal is not None:
                self._keeper.heard()
            return
        self._lots.foreign.add(fill.identity)
        self._write_ahead.touch_plan(self._lots)
        self._targets.take_other(fill)
        if self._context.known_instrument(fill.symbol) is not None:
            fill = self._account.priced(fill)
        size = fill.direction.sign * fill.volume
        self._news.put_change(LotsChange(fill.symbol, size, fill.price, fill.commission))
        self._keeper.traded()

    def _reconcile(self) -> None:
        if not (self._reconciler.due or self._reconciler.given_up):
            return
        self.apply(self._reconciler.reports())
        differences = self._reconciler.on_round()
        if differences:
            self._take_differences(differences)

    def on_round(self, session: int, reconnector: Any) -> None:
        """Check unanswered orders and everything that waits on our side."""
        if self._is_idle(session):
            return
        self._reports.follow_session(session, reconnector)
        self._settle()
        if not self.begun:
            return
        self._reports.on_round()
        if not self._reconciler.follow_session(session):
            self._reconcile()
        self._account.settle_fees()
        self._look_at_halting()
        self._look_at_loss()
        for _ in self._manager.on_round():
            self._settle()
        self._contingent.on_round()
        self._targets.on_round()
        if self._kill_switch.busy:
            working = {symbol for symbol, legs in self._manager.live.items() if legs}
            for close in self._kill_switch.on_round(working):
                self._factory.close_unguarded(close)
        if self._expiry.on_round():
            self._write_ahead.touch_plan(self._lots)
        self.follow_up()

    def _is_idle(self, session: int) -> bool:
        """Return whether nothing has changed since the last call and nothing can be due."""
        guard, write_ahead = self._risk.guard, self._write_ahead
        seen, self._seen = self._seen, (
            session, self._context.trading_day(), self._manager.link.doubts, guard.changes,
        )  # fmt: skip
        if seen != self._seen or not self.begun or any(self._waiting):
            return False
        busy = self._halting or self._kill_switch.busy or self._reconciler.due
        watches = guard.limits.max_daily_loss is not None or not self._account.fees.all_named
        return not (busy or watches or write_ahead.broken)

    # -- the owner's commands ---------------------------------------------------------------------

    def halt(self, reason: str) -> None:
        """Cancel every order and send no other until ``resume``, also in later runs."""
        self._risk.guard.halt(reason)
        self._kill_switch.end()
        self._targets.drop_all()
        self._withdraw_for(lambda ticket: True)
        self.follow_up()

    def resume(self) -> None:
        """Accept orders again after ``halt``, ``flatten`` or a breached risk limit."""
        self._write_ahead.mend()
        self._risk.resume()
        self._kill_switch.end()
        self._withdraw(lambda ticket: not ticket.guarded)
        self.follow_up()

    def flatten(self, reason: str) -> None:
        """Cancel every order and close all that the account holds, at the market."""
        self._risk.guard.reduce(reason)
        self._targets.drop_all()
        self._withdraw(lambda ticket: ticket.guarded)  # an earlier flatten's orders stay
        self._kill_switch.begin()
        self.follow_up()

    def cancel_all(self) -> None:
        """Cancel every order of this broker that is not over, also those not sent yet."""
        self._withdraw(lambda ticket: True)
        self.follow_up()

    # -- consequences -----------------------------------------------------------------------------

    def _withdraw(self, which: Callable[[Ticket], bool]) -> None:
        for ticket in [*self._manager.tickets.values(), *self._contingent.drafts]:
            if not ticket.over and which(ticket):
                self._contingent.cancel(ticket)

    def _withdraw_for(self, which: Callable[[Ticket], bool]) -> None:
        """Cancel orders because of the rules, and report lots that lose their stop by it."""
        self._contingent.settle_stops()
        tickets = [ticket for ticket in self._manager.tickets.values() if not ticket.over]
        words = f"trading is {self._risk.guard.state}: {self._risk.guard.reason}"
        self._contingent.withdraw([ticket for ticket in tickets if which(ticket)], words)

    def _withdraw_openings(self, which: Callable[[Ticket], bool]) -> None:
        """Cancel orders that may open; a reversing stop keeps its closing part."""
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
        """Halt trading after a failed write: cancel orders that may open; exits stay."""
        self._write_ahead.fail(error)
        self._look_at_records()

    def _look_at_records(self) -> None:
        """Halt trading once when the records can no longer be written."""
        error = self._write_ahead.broken
        if error is self._halted_for:
            return
        self._halted_for = error
        if error is None:
            return
        text = f"HALTED: {error}; exits continue; free disk space, then call broker.resume()"
        logger.error("%s", text)
        self._context.notify(text)
        self._risk.guard.halt(str(error), keeps_exits=True)
        self._halting = True

    def _look_at_loss(self) -> None:
        """At the daily loss limit, cancel everything that could increase a position."""
        if not self._risk.meets_loss():
            return
        guard = self._risk.guard
        text = f"{guard.state}: {guard.reason}; orders that add to positions are cancelled"
        logger.error("%s", text)
        self._context.notify(text)
        self._targets.drop_all()
        halted = guard.state is GuardState.HALTED
        goes = self._is_no_exit if halted else self._adds
        self._withdraw_openings(lambda ticket: ticket.guarded and goes(ticket))
        guard.answered_loss()

    def _adds(self, ticket: Ticket) -> bool:
        """Return whether an order is for more lots than are held on the side that it reduces."""
        held = -self._account.position(ticket.symbol).size * ticket.direction.sign
        return ticket.effect is not PositionEffect.CLOSE and ticket.left > held

    def _is_no_exit(self, ticket: Ticket) -> bool:
        """Return whether an order may open, or belongs to a target or a roll."""
        return _works_for_us(ticket) or not ticket.exits or ticket.opening > 0

    def _look_at_halting(self) -> None:
        """Cancel what the state does not allow; a flatten's working orders stay."""
        if not self._halting:
            return
        self._halting = False
        self._targets.drop_all()
        if self._risk.guard.state is not GuardState.HALTED:
            self._withdraw(lambda ticket: ticket.guarded)
        elif self._risk.guard.keeps_exits:
            self._withdraw_openings(self._is_no_exit)
        else:
            self._withdraw_for(lambda ticket: True)

    def _take_differences(self, text: str) -> None:
        """Allow only reducing orders after an unexplained change of positions."""
        text = f"{text}; only orders that reduce are sent until broker.resume()"
        logger.error("%s", text)
        self._context.notify(text)
        self._write_ahead.note(text, "ERROR")
        self._risk.guard.reduce(text)


def _works_for_us(ticket: Ticket) -> bool:
    """Return whether an order belongs to a target or a roll, not directly to a strategy."""
    return ticket.for_target or OF_A_ROLL in ticket.order.info


def _closes_first(ticket: Ticket) -> bool:
    """Return whether a waiting or triggered conditional order of a strategy protects lots."""
    waits = ticket.condition is not None or bool(ticket.order.triggered)
    return waits and ticket.closing > 0 and not _works_for_us(ticket)
