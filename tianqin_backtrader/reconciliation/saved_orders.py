"""Read an earlier run from the journal: orders with legs and fills, groups, targets."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Protocol

from ..core.clock import MINUTE, from_ns, to_backtrader
from ..core.model import Fill, OrderReport
from ..execution.order_manager import OrderManager
from ..orders.conditional import Status
from ..orders.contingency import OrderGroup
from ..orders.leg import OrderLeg
from ..orders.ticket import Stage, Ticket, ticket_of
from ..orders.ticket_codec import dump, ticket_from
from ..records.journal import Journal
from ..records.journal_queries import Plan, RecordedLeg
from ..records.journal_values import Origin

logger = logging.getLogger(__name__)

#: The kind of a plan and its key.
Place = tuple[str, str]

MARKET_GONE = "its market is gone: the account is new"


class Orders(Protocol):
    """What the broker does for a restart."""

    def order_of_plan(self, fields: dict[str, Any]) -> Any:
        """Make a ``bt.Order`` again from its recorded plan."""
        ...

    def tell(self, order: Any) -> None:
        """Queue a clone for ``notify_order``."""
        ...


@dataclass(slots=True)
class Found:
    """What the journal contains of an earlier run."""

    tickets: dict[str, Ticket] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)  # statuses not yet notified, by key
    groups: list[tuple[Plan, list[Ticket]]] = field(default_factory=list)
    targets: list[Plan] = field(default_factory=list)
    recorded: dict[str, RecordedLeg] = field(default_factory=dict)
    untold: list[tuple[Ticket, Fill]] = field(default_factory=list)


class SavedOrders:
    """Reads an earlier run from the journal, once, before anything may trade.

    Args:
        manager: Takes the orders over.
        make: Makes the ``bt.Order`` objects.
    """

    def __init__(self, manager: OrderManager, make: Orders) -> None:
        self._manager, self._make = manager, make
        self._context, self._trading = manager.context, manager.trading
        self._account, self._write_ahead = manager.account, manager.write_ahead

    def close_all(self, journal: Journal) -> None:
        """Record that everything on record is over: this account did not exist before."""
        plans, orders = journal.plans(date.max), journal.open_orders()

        def write(book: Journal) -> None:
            for plan in plans:
                book.plan(plan.kind, plan.key, dump(plan.fields), over=True, **self._when())
            for one in orders:
                book.report_refusal(
                    one.order_id, one.symbol, one.direction, one.volume, MARKET_GONE,
                    **self._when(),
                )  # fmt: skip

        self._write_ahead.add(write)

    def _when(self) -> dict[str, Any]:
        now = self._context.now()
        day = self._context.calendar.trading_day_at(now)
        return {"trading_day": day, "exchange_time": self._context.now_ns()}

    def look_at_clock(self, journal: Journal) -> None:
        """Warn if the newest record is later than now."""
        newest = max(
            (row["exchange_time"] for table in ("intents", "reports", "equity")
             if (row := journal.last(table))), default=0,
        )  # fmt: skip
        now = self._context.now_ns()
        if now + MINUTE < newest:
            text = (
                f"the clock shows {from_ns(now):%F %T}, but the newest record is of "
                f"{from_ns(newest):%F %T}: was the clock set back?"
            )
            logger.warning("%s", text)
            self._write_ahead.note(text, "WARNING")
            self._context.notify(text)

    def read(self, journal: Journal, today: date) -> Found:
        """Return everything that is not over, and today's orders that are over."""
        found = Found()
        for order in (*journal.numbered_since(today), *journal.unanswered_since(today)):
            self._trading.recognise(order)
        plans = {(plan.kind, plan.key): plan for plan in journal.plans(today)}
        self._write_down_unwritten(journal, plans, today)
        groups = [plan for plan in plans.values() if plan.kind == "group" and not plan.over]
        for plan in groups:  # add members that were over before today
            for member in OrderGroup.from_dict(plan.fields).members:
                place = ("order", member.order_id)
                if place not in plans and (other := journal.plan_of(*place)):
                    plans[place] = other
        for (kind, key), plan in plans.items():
            if kind == "order":
                found.tickets[key] = self._revive(journal, plan, found)
            elif kind == "target" and not plan.over:
                found.targets.append(plan)
        for plan in plans.values():
            if plan.kind == "order":
                after = [found.tickets.get(key) for key in plan.fields["after"]]
                found.tickets[plan.key].after = [one for one in after if one is not None]
        for plan in groups:
            keys = [member.order_id for member in OrderGroup.from_dict(plan.fields).members]
            if all(key in found.tickets for key in keys):
                found.groups.append((plan, [found.tickets[key] for key in keys]))
        return found

    def _write_down_unwritten(
        self, journal: Journal, plans: Mapping[Place, Plan], today: date
    ) -> None:
        """Record exits that were sent while the journal failed; the account lists them."""
        found: dict[str, list[OrderReport]] = {}
        for report in self._trading.all_reports():
            plan = plans.get(("order", ticket_of(report.order_id)))
            if plan is None or not isinstance(report, OrderReport):
                continue
            if report.order_id not in plan.fields["legs"]:
                found.setdefault(plan.key, []).append(report)
        for key, reports in found.items():
            fields = plans["order", key].fields
            legs, owner = fields["legs"], fields["owner"]
            origin = journal.origin(legs[0]) if legs else Origin(owner[0] if owner else "")
            for number, report in enumerate(reports, len(legs)):
                journal.intent(
                    report.order_id, report.symbol, report.direction, report.offset,
                    report.volume_orign, report.limit_price,
                    origin=replace(origin, leg=number), **self._when(),
                )  # fmt: skip
                text = f"{report.order_id} was sent without being recorded; it is recorded now"
                logger.warning("%s", text)
                self._write_ahead.note(text, "WARNING")
            fields |= _as_sent(fields, [report.order_id for report in reports], today)

    def _revive(self, journal: Journal, plan: Plan, found: Found) -> Ticket:
        """Restore an order with its recorded legs and fills."""
        fields = plan.fields
        ticket = ticket_from(plan.key, fields, self._make.order_of_plan(fields))
        fills: list[Fill] = []
        for place, order_id in enumerate(fields["legs"]):
            recorded = journal.leg(order_id)
            if recorded is None:  # it could not be written, so it was not sent
                ticket.wave -= place < fields["wave"]
                continue
            found.recorded[order_id] = recorded
            ticket.legs.append(leg_of(recorded))
            fills += recorded.fills
        ticket.order.addcomminfo(self._account.comminfo(ticket.symbol))
        lots = 0
        for fill in sorted(fills, key=lambda fill: fill.time):
            lots += fill.volume
            if lots <= ticket.told[1]:
                _execute_silently(ticket.order, fill)
            else:
                found.untold.append((ticket, fill))
        if ticket.over and not ticket.end_told:
            found.ends[ticket.key] = fields["status"]
        self._manager.adopt(ticket)
        return ticket


def _as_sent(fields: Mapping[str, Any], order_ids: list[str], day: date) -> dict[str, Any]:
    """Return the changes that its plan would have, had it been written when it was sent."""
    condition = fields["condition"]
    return {
        "legs": [*fields["legs"], *order_ids],
        "wave": len(fields["legs"]),
        "unsent": [],
        "stage": str(Stage.WORKING),
        "sent_day": day.isoformat(),
        "condition": condition and condition | {"status": str(Status.TRIGGERED)},
        "triggered": fields["triggered"] or condition is not None,
    }


def leg_of(recorded: RecordedLeg) -> OrderLeg:
    """Make a leg from its record; without a report its state is UNKNOWN."""
    leg = OrderLeg(
        recorded.order_id, recorded.symbol, recorded.direction, recorded.offset, recorded.volume,
        recorded.limit_price,
    )  # fmt: skip
    leg.be_unknown()
    report = recorded.report
    if report is not None and report.rejected:  # it may also be a given-up leg that still lives
        leg.last_msg = report.last_msg
        leg.not_found()
    elif report is not None:
        leg.take_report(report)
    for fill in recorded.fills:
        leg.take_fill(fill)
    return leg


def _execute_silently(order: Any, fill: Fill) -> None:
    """Book a fill that the strategy was notified of in an earlier run."""
    told, size = order.status, fill.direction.sign * fill.volume
    order.execute(
        to_backtrader(fill.time), size, fill.price, 0, 0.0, 0.0, size,
        order.comminfo.getvaluesize(size, fill.price), fill.commission, order.comminfo.margin,
        0.0, 0, 0.0,
    )  # fmt: skip
    order.executed.markpending()
    order.executed.markpending()
    order.status = told
