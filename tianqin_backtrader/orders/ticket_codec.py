"""Converts a ticket to plain values for the journal, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from ..contracts.offsets import Leg
from ..contracts.order_terms import OrderTerms
from ..contracts.time_in_force import TimeInForce
from ..core.model import Direction, Offset
from .conditional import ConditionalOrder
from .ticket import Ending, PositionEffect, Stage, Ticket

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str)


def dump(fields: Mapping[str, Any]) -> str:
    """Return values as JSON text; types that JSON does not have become text."""
    return _ENCODER.encode(fields)


def ticket_fields(ticket: Ticket) -> dict[str, Any]:
    """Return what a restart must know of an order, except the states of its legs."""
    order, validity = ticket.order, ticket.validity
    created = order.created
    return {
        "symbol": ticket.symbol,
        "direction": str(ticket.direction),
        "volume": ticket.volume,
        "wish": [ticket.terms.limit_price, ticket.terms.advanced],
        "effect": str(ticket.effect),
        "allow_partial": ticket.allow_partial,
        "until": validity.until and validity.until.isoformat(),
        "over_days": validity.over_days,
        "condition": ticket.condition and ticket.condition.to_dict(),
        "stage": str(ticket.stage),
        "ending": str(ticket.ending),
        "legs": [leg.order_id for leg in ticket.legs],
        "wave": ticket.wave,
        "unsent": [[str(leg.offset), leg.volume] for leg in ticket.unsent],
        "terms": [ticket.sent_terms.limit_price, ticket.sent_terms.advanced],
        "sent_day": ticket.sent_day and ticket.sent_day.isoformat(),
        "after": [other.key for other in ticket.after if not other.over],
        "guarded": ticket.guarded,
        "spares": sorted(ticket.spares),
        "next_day": ticket.next_day,
        "told": list(ticket.told),
        "status": order.status,
        "owner": owner_name(order.owner) or ticket.owner_name,
        "for_target": ticket.for_target,
        "may_open": ticket.may_open,
        "close_only": ticket.close_only,
        "withdrawn_for": ticket.withdrawn_for,
        "info": dict(order.info),
        "order": {
            "exectype": order.exectype, "price": order.p.price, "pricelimit": order.p.pricelimit,
            "trailamount": order.p.trailamount, "trailpercent": order.p.trailpercent,
            "tradeid": order.tradeid,
        },
        "created": [created.dt, created.price, created.pclose],
        "triggered": order.triggered,
    }  # fmt: skip


def owner_name(owner: Any) -> tuple[str, int] | None:
    """Return by what a strategy is known after a restart: its class and its number in the run."""
    return None if owner is None else (type(owner).__name__, getattr(owner, "_id", 0))


def ticket_from(key: str, fields: Mapping[str, Any], order: Any) -> Ticket:
    """Restore the ticket that ``ticket_fields`` wrote, without legs.

    Args:
        key: Its name in the records.
        fields: As written.
        order: A ``bt.Order`` made from ``fields["order"]``; its other values are restored here.
    """
    until, day, condition = fields["until"], fields["sent_day"], fields["condition"]
    ticket = Ticket(
        order,
        fields["symbol"],
        Direction(fields["direction"]),
        fields["volume"],
        OrderTerms(*fields["wish"]),
        effect=PositionEffect(fields["effect"]),
        allow_partial=fields["allow_partial"],
        validity=TimeInForce(until and datetime.fromisoformat(until), fields["over_days"]),
        condition=condition and ConditionalOrder.from_dict(condition),
        stage=Stage(fields["stage"]),
        ending=Ending(fields["ending"]),
        unsent=[Leg(Offset(offset), lots) for offset, lots in fields["unsent"]],
        wave=fields["wave"],
        sent_terms=OrderTerms(*fields["terms"]),
        sent_day=day and date.fromisoformat(day),
        guarded=fields["guarded"],
        spares=set(fields["spares"]),
        next_day=fields["next_day"],
        key=key,
        owner_name=fields["owner"] and (fields["owner"][0], fields["owner"][1]),
        for_target=fields["for_target"],
        may_open=fields.get("may_open"),  # version 0.1.0 did not write it
        close_only=fields.get("close_only"),
        withdrawn_for=fields.get("withdrawn_for", ""),
        told=(fields["told"][0], fields["told"][1]),
    )
    order.ticket, order.legs = ticket, ticket.legs
    order.created.dt, order.created.price, order.created.pclose = fields["created"]
    order.triggered = fields["triggered"]
    order.status = ticket.told[0]
    order.addinfo(**fields["info"])
    return ticket
