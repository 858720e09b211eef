"""``AllOrders``: the broker's orders as a list, and what they are at the exchange by id."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, KeysView, ValuesView
from functools import cached_property
from typing import Any

import backtrader as bt

from ..core.model import NAN
from .leg import OrderLeg
from .ticket import Ticket

Row = dict[str, Any]


class AllOrders(list[Any]):
    """``bt.Order`` by ``bt.Order``, oldest first; by id it is walked as TqSdk's ``get_order()`` is.

    It is a list and iterates over orders. ``keys()``, ``values()``, ``items()``, ``get(id)`` and
    ``orders[id]`` are about the exchange's orders, of which one of Backtrader's may have several:
    an id is one that ``cancel_order`` takes, a value a dict of now with fields as TqSdk names them
    (``order_id instrument_id direction offset volume_orign volume_left limit_price trade_price
    status last_msg ...``; lots, quote units, ``status`` ALIVE or FINISHED). An order that waits
    with us, for its price or the open, is there under a name of its own, its ``offset`` empty.
    ``orders[order]`` is the same about the whole of one.

    What it says is as of the first question by id.
    """

    def __init__(self, tickets: Iterable[Ticket]) -> None:
        self._tickets = list(tickets)
        super().__init__(ticket.order for ticket in self._tickets)

    @cached_property
    def _rows(self) -> dict[str, Row]:
        rows = {}
        for ticket in self._tickets:
            for leg in ticket.legs:
                rows[leg.order_id] = _of_leg(leg)
            if not ticket.over and not ticket.live_legs:
                rows[ticket.key] = _of_order(ticket)
        return rows

    def __getitem__(self, key: Any) -> Any:
        """An order by its place, a slice, or what is known by an id or of an order.

        Raises:
            KeyError: No such id or order.
        """
        if isinstance(key, str):
            return self._rows[key]
        if isinstance(key, bt.Order):
            for ticket in self._tickets:
                if ticket.order.ref == key.ref:
                    return _of_order(ticket)
            raise KeyError(key.ref)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        return key in self._rows if isinstance(key, str) else super().__contains__(key)

    def get(self, order_id: str, default: Any = None) -> Any:
        """What is known by an id, ``default`` where there is no such order."""
        return self._rows.get(order_id, default)

    def keys(self) -> KeysView[str]:
        """The ids."""
        return self._rows.keys()

    def values(self) -> ValuesView[Row]:
        """What is known of each."""
        return self._rows.values()

    def items(self) -> ItemsView[str, Row]:
        """Both."""
        return self._rows.items()


def _of_leg(leg: OrderLeg) -> Row:
    limit = leg.limit_price
    turnover = sum(fill.price * fill.volume for fill in leg.fills.values())
    exchange_id, _, instrument_id = leg.symbol.partition(".")
    return {
        "order_id": leg.order_id,
        "exchange_order_id": leg.exchange_order_id,
        "exchange_id": exchange_id,
        "instrument_id": instrument_id,
        "direction": str(leg.direction),
        "offset": str(leg.offset),
        "volume_orign": leg.volume,
        "volume_left": leg.volume - leg.filled,
        "limit_price": limit if isinstance(limit, int | float) else NAN,
        "trade_price": turnover / leg.filled if leg.filled else NAN,
        "insert_date_time": leg.sent_ns or 0,
        "status": "FINISHED" if leg.over else "ALIVE",
        "last_msg": leg.last_msg,
    }


def _of_order(ticket: Ticket) -> Row:
    limit = ticket.terms.limit_price
    exchange_id, _, instrument_id = ticket.symbol.partition(".")
    return {
        "order_id": ticket.key,
        "exchange_order_id": "",
        "exchange_id": exchange_id,
        "instrument_id": instrument_id,
        "direction": str(ticket.direction),
        "offset": "",
        "volume_orign": ticket.volume,
        "volume_left": ticket.left,
        "limit_price": limit if isinstance(limit, int | float) else NAN,
        "trade_price": ticket.order.executed.price if ticket.filled else NAN,
        "insert_date_time": 0,
        "status": "FINISHED" if ticket.over else "ALIVE",
        "last_msg": ticket.order.info.get("reason", ""),
    }
