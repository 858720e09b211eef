"""Restore the orders, groups and targets of an earlier run before anything may trade.

The journal has what was intended and reported, the account the present state. Orders that were
sent continue, unseen fills are notified, orders that were never sent end as Expired (or are sent
now), and unexplained lots refuse the start.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import backtrader as bt

from ..contracts.time_in_force import day_is_over
from ..core.clock import SECOND, instants
from ..core.model import Fill, OrderReport
from ..errors import StartRefused
from ..execution.contingent_orders import ContingentOrders
from ..execution.engine import ExecutionEngine
from ..execution.execution_reports import ReportHandler
from ..execution.foreign_fills import LotBaseline
from ..execution.order_manager import OrderManager
from ..execution.saved_risk import SavedRisk
from ..execution.target_positions import TargetPositions
from ..orders.contingency import Role
from ..orders.leg import OrderLeg
from ..orders.ticket import Ending, Stage, Ticket
from ..orders.ticket_codec import owner_name
from ..records.journal import Journal
from ..records.journal_queries import RecordedLeg
from .after_reconnect import SETTLED, day_end, expired, unseen_fills
from .position_diff import PositionDiff, compare
from .saved_orders import Found, Orders, SavedOrders

logger = logging.getLogger(__name__)

#: An order that the exchange does not know this long after its intent was never sent.
UNKNOWN = 3 * SECOND
NEVER_LEFT = "it was never sent: the program ended before"

#: How long to wait for positions that the account does not show, though margin is in use.
UNSHOWN = 60 * SECOND
NOT_SHOWN = (
    "the account has shown no positions for a minute, though margin is in use: whether orders of "
    "an earlier day were filled is not known, and nothing was sent. Start again when another "
    "terminal shows the positions"
)

Report = OrderReport | Fill


class StartupReconciler:
    """Reconciles journal and account, once.

    Args:
        engine, manager, reports, contingent, targets: Continue the orders and targets.
        make: Makes orders and queues their notifications.
        lots: The baseline of the records.
        memory: The recorded state of the risk rules.
        pump: Waits for the server for a number of seconds.
        newborn: Whether the account is new with this program, so that nothing can continue.
        resend: Send orders that were never sent, instead of reporting them as Expired.
        accept: Start even if nothing explains what the account holds.

    Attributes:
        adopted: Orders of earlier runs that are still to be assigned to strategies.
    """

    def __init__(
        self,
        engine: ExecutionEngine,
        manager: OrderManager,
        reports: ReportHandler,
        contingent: ContingentOrders,
        targets: TargetPositions,
        make: Orders,
        *,
        lots: LotBaseline,
        memory: SavedRisk,
        pump: Callable[[float], object],
        newborn: bool,
        resend: bool,
        accept: bool,
    ) -> None:
        self._engine, self._manager, self._reports = engine, manager, reports
        self._contingent, self._targets, self._make = contingent, targets, make
        self._context, self._trading = manager.context, manager.trading
        self._account, self._write_ahead = manager.account, manager.write_ahead
        self._past = SavedOrders(manager, make)
        self._memory, self._pump = memory, pump
        self._newborn = newborn or not manager.trading.renewable
        self._resend, self._accept = resend, accept
        self._lots = lots
        self.adopted: list[Ticket] = []
        #: Net lots and prices before pending notifications, by symbol; given to strategies once.
        self.begun_with: dict[str, tuple[int, float]] = {}

    def run(self, equity: Callable[[], float]) -> None:
        """Take over the account's positions and the recorded orders.

        Args:
            equity: Returns the account's equity; called when its positions are taken over.

        Raises:
            StartRefused: Account and records differ, and nothing explains it, or the account does
                not show its positions; nothing was sent.
            JournalError: The records cannot be read.
        """
        journal = self._write_ahead.journal
        today = self._context.trading_day()
        found = Found()
        if journal is not None:
            self._past.look_at_clock(journal)
            if self._newborn:
                self._past.close_all(journal)
            else:
                found = self._past.read(journal, today)
                self._memory.recall(journal)
        self._wait_for_answers(found)
        mine = set() if journal is None else journal.orders_since(today)
        began = instants(self._context.clock)
        while True:
            reports = self._trading.all_reports()
            lost = self._unanswered(found)
            ended = [leg for leg in lost if self._day_over(leg)]
            picture = self._compare(journal, reports, mine, ended)
            # A counter may show positions later than everything else.
            waited = instants(self._context.clock).since(began)
            if self._is_settled(picture, waited):
                break
            self._pump(0.1)
        self._must_be_explained(journal, picture)
        unseen = unseen_fills(self._context, ended, picture.filled, self._account.open_prices())
        ours = [one for one in reports if one.order_id in self._manager.legs]
        others = [one for one in reports if one.order_id not in mine | set(self._manager.legs)]
        news = [one for one in ours if isinstance(one, Fill) and not self._counted(one)]
        self._account.begin(equity(), [fill for _, fill in found.untold] + news + unseen)
        self.begun_with = self._account.net_lots()
        self._engine.apply(others)
        self._lots.foreign |= {one.identity for one in others if isinstance(one, Fill)}
        self._manager.pre_trade.reconciled = True
        self._go_on(found, [*unseen, *ours], ended, [leg for leg in lost if leg not in ended])
        self._write_ahead.touch_plan(self._lots)
        self._write_ahead.flush()

    def begin_again(self) -> None:
        """Prepare live orders and positions for another run on the same account."""
        self.begun_with = self._account.net_lots()
        self.adopted = [ticket for ticket in self._manager.tickets.values() if not ticket.over]
        for ticket in self.adopted:
            ticket.owner_name = owner_name(ticket.order.owner) or ticket.owner_name

    # -- the account --------------------------------------------------------------------------

    def _unanswered(self, found: Found) -> list[RecordedLeg]:
        """Return orders whose end is not recorded and which the account does not list."""
        known = self._trading.known_orders()
        return [
            leg
            for order_id, leg in found.recorded.items()
            if not leg.over and order_id not in known
        ]

    def _day_over(self, leg: RecordedLeg) -> bool:
        context = self._context
        return day_is_over(leg.symbol, leg.trading_day, context.now(), context.calendar)

    def _wait_for_answers(self, found: Found) -> None:
        """Wait for orders that were sent just before the program ended; they may still arrive."""
        clock = self._context.clock
        began = instants(clock)
        while True:
            young = [leg for leg in self._unanswered(found) if not self._day_over(leg)]
            waited = instants(clock).since(began)
            if young and not clock.virtual:
                waited = max(waited, clock.now_ns() - max(leg.meant_at for leg in young))
            if not young or waited >= UNKNOWN:
                return
            self._pump(min(0.1, (UNKNOWN - waited) / SECOND))

    def _counted(self, fill: Fill) -> bool:
        ticket_leg = self._manager.legs.get(fill.order_id)
        return ticket_leg is not None and fill.trade_id in ticket_leg[1].fills

    def _compare(
        self,
        journal: Journal | None,
        reports: Iterable[Report],
        mine: set[str],
        ended: list[RecordedLeg],
    ) -> PositionDiff:
        base = None if journal is None else journal.plan_of("held", "account")
        if journal is None or base is None or self._newborn:
            return PositionDiff()
        recorded = {(symbol, side): lots for symbol, side, lots in base.fields["lots"]}
        for place, lots in journal.lots_since(base.seq).items():
            recorded[place] = recorded.get(place, 0) + lots
        known = set(base.fields["foreign"])
        news = [
            one
            for one in reports
            if isinstance(one, Fill) and not self._counted(one)
            and one.identity not in known and one.trade_id not in known  # the id of older journals
            and (one.order_id in self._manager.legs or one.order_id not in mine)
        ]  # fmt: skip
        gone = [
            symbol
            for symbol in {symbol for symbol, _ in recorded}
            if expired(self._context, symbol, waits=True)
        ]
        held, costs = self._account.held_lots(), self._account.open_prices()
        return compare(recorded, held, news, ended, costs, gone)

    def _is_settled(self, picture: PositionDiff, waited: float) -> bool:
        """Return whether the account has shown all that is to be compared.

        If it shows no positions while margin is in use, they are not closed but late.

        Raises:
            StartRefused: It has not shown any for a minute.
        """
        if not (picture.filled and self._account.lacks_positions()):
            return not picture.differences or waited >= SETTLED
        if waited < UNSHOWN:
            return False
        raise StartRefused("", picture.differences, NOT_SHOWN)

    def _must_be_explained(self, journal: Journal | None, picture: PositionDiff) -> None:
        if journal is None or not picture.differences:
            return
        error = StartRefused(journal.path, picture.differences)
        if not self._accept:
            raise error
        logger.warning("accepted: %s", error)
        self._write_ahead.note(f"accepted: {error}", "WARNING")

    # -- going on -----------------------------------------------------------------------------

    def _go_on(
        self, found: Found, reports: list[Report], ended: list[RecordedLeg],
        never: list[RecordedLeg],
    ) -> None:  # fmt: skip
        self.adopted = [ticket for ticket in found.tickets.values() if not ticket.over]
        for plan, tickets in found.groups:
            self._contingent.adopt_group(plan.key, plan.fields, tickets)
        for ticket in self.adopted:
            self._contingent.adopt(ticket)
            self._tell_again(ticket)
        for ticket, fill in found.untold:
            self._reports.tell_fill(ticket, fill)
        for key, status in found.ends.items():
            order = found.tickets[key].order
            if order.status != status:
                order.status = status
                self._make.tell(order)
        self._engine.apply(reports)
        self._engine.apply([day_end(self._manager.legs[leg.order_id][1]) for leg in ended])
        for leg in never:
            self._never_left(*self._manager.legs[leg.order_id])
            self._engine.follow_up()
        self._contingent.complete_groups()
        for ticket in self.adopted:
            self._send_rest(ticket)
            self._reports.settle(ticket)
            self._engine.follow_up()
        for plan in found.targets:
            working = [
                ticket for ticket in self.adopted
                if ticket.for_target and ticket.symbol == plan.key and not ticket.over
            ]  # fmt: skip
            self._targets.recall(plan.fields, working)
        if self.adopted:
            text = f"{len(self.adopted)} orders of an earlier run go on"
            logger.info("%s", text)
            self._write_ahead.note(text)
        # Finished orders are included: their pending notifications need their strategies.
        self.adopted = list(found.tickets.values())

    def _tell_again(self, ticket: Ticket) -> None:
        """Send the notifications that the program did not send before it ended."""
        order = ticket.order
        if order.status == bt.Order.Created:
            order.submit(order.broker)
            self._make.tell(order)
        waits = ticket.condition is not None or ticket.stage is Stage.DORMANT
        if waits and order.status == bt.Order.Submitted:
            order.accept(order.broker)
            self._make.tell(order)

    def _never_left(self, ticket: Ticket, leg: OrderLeg) -> None:
        """End or resend an order that the exchange still does not know after the wait."""
        while leg.not_found():
            pass  # the leg had been reported before
        if not leg.exchange_order_id:
            leg.last_msg = NEVER_LEFT
        self._manager.live[leg.symbol].pop(leg.order_id, None)
        self._write_ahead.ended(leg)
        logger.warning("%s %s", leg, leg.last_msg)
        if ticket.over or ticket.live_legs:
            return
        if any(one.exchange_order_id or one.fills for one in ticket.out) or ticket.ending not in (
            Ending.NONE, Ending.RESIZE,
        ):  # fmt: skip
            self._reports.settle(ticket)
        elif ticket.protects and ticket.closing <= 0 and not self._resend:
            self._reports.settle(ticket)  # its closing part is done; the rest would be an entry
        elif self._resend or self._protects(ticket) or self._was_taken(ticket):
            ticket.unsent.clear()
            ticket.ending = Ending.NONE
            self._manager.release(ticket)
        else:
            self._manager.finish(ticket, bt.Order.Expired, NEVER_LEFT)

    def _protects(self, ticket: Ticket) -> bool:
        """Return whether an order is a bracket's child or another exit that has triggered.

        Such an order is always sent, or lots would have no protection.
        """
        role = self._contingent.role(ticket)
        exit_of_a_group = role is Role.PEER and ticket.may_open == 0  # its end would end the group
        return ticket.protects or role is Role.CHILD or exit_of_a_group

    def _was_taken(self, ticket: Ticket) -> bool:
        """Return whether its strategy was notified that it works, so that it must be sent again.

        A triggered entry is excluded: its price has passed.
        """
        worked = any(leg.exchange_order_id for leg in ticket.legs)
        return ticket.has_been_taken and (worked or ticket.may_open == 0)

    def _send_rest(self, ticket: Ticket) -> None:
        """Send closing legs that belong together with legs already sent."""
        closing = [leg for leg in ticket.unsent if str(leg.offset) != "OPEN"]
        if ticket.stage is Stage.WORKING and closing and not ticket.ending:
            if self._manager.pre_trade.open(ticket.symbol):
                self._manager.send_next(ticket)
