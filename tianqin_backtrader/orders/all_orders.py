"""``AllOrders``: the broker's orders as a list, and the exchange's orders by id."""

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
    """A list of ``bt.Order``, oldest first, with the methods of TqSdk's ``get_order()`` by id.

    ``keys()``, ``values()``, ``items()``, ``get(id)`` and ``orders[id]`` are about the exchange's
    orders, of which a ``bt.Order`` may have several. An id is one that ``cancel_order`` takes, a
    value is a dict with the fields of TqSdk (``order_id instrument_id direction offset volume_orign
    volume_left limit_price trade_price status last_msg ...``; lots, quote units, ``status`` ALIVE
    or FINISHED). An order that waits in the program, for its price or the open, is listed under a
    key of its own, with an empty ``offset``. ``orders[order]`` is such a dict of a whole
    ``bt.Order``.

    The dicts by id have the state of the first access by id.
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
        """Return an order by its index, a slice, or the dict of an id or of an order.

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
        """Return the dict of an id, ``default`` if there is no such order."""
        return self._rows.get(order_id, default)

    def keys(self) -> KeysView[str]:
        """Return the ids."""
        return self._rows.keys()

    def values(self) -> ValuesView[Row]:
        """Return the dicts."""
        return self._rows.values()

    def items(self) -> ItemsView[str, Row]:
        """Return the ids with their dicts."""
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
