"""The orders of Backtrader that four-way calls give."""

from __future__ import annotations

import backtrader as bt

from ..errors import OrderError


class _OneOrder:
    """Says in words that it is no list of the exchange's orders."""

    def __getitem__(self, index: object) -> object:
        raise OrderError(
            "a four-way call returns one bt.Order, no list of exchange orders: these are in "
            "order.legs (leg.order_id, leg.state, leg.filled), what has become of it is in "
            "order.status and in notify_order"
        )


class FourWayBuy(_OneOrder, bt.BuyOrder):
    """What ``buy_open`` and ``buy_close`` give."""


class FourWaySell(_OneOrder, bt.SellOrder):
    """What ``sell_open`` and ``sell_close`` give."""
