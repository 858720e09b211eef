"""The ``bt.Order`` classes that four-way calls return."""

from __future__ import annotations

import backtrader as bt

from ..errors import OrderError


class _OneOrder:
    """Explains by an error that a four-way call returns no list of the exchange's orders."""

    def __getitem__(self, index: object) -> object:
        raise OrderError(
            "a four-way call returns one bt.Order, not a list of exchange orders: these are in "
            "order.legs (leg.order_id, leg.state, leg.filled), the order's state is in "
            "order.status and in notify_order"
        )


class FourWayBuy(_OneOrder, bt.BuyOrder):
    """What ``buy_open`` and ``buy_close`` return."""


class FourWaySell(_OneOrder, bt.SellOrder):
    """What ``sell_open`` and ``sell_close`` return."""
