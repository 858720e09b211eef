"""Orders of an earlier run as Backtrader's, and the strategies that they belong to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import backtrader as bt

from .model import Direction
from .restart import Restart
from .target_desk import TargetDesk
from .ticket import Ticket
from .unsubscribed_data import UnsubscribedData


class Adoption:
    """Makes the orders that ``Restart`` finds, and gives them to strategies.

    Args:
        store: Knows the feeds.
        stand_in: Gives what stands for a feed while an order is made.
        make: Makes an order and its ticket.
        tell: Hands a clone of an order to ``notify_order``.
    """

    def __init__(
        self,
        store: Any,
        stand_in: Callable[[str], UnsubscribedData],
        make: Callable[..., Ticket],
        tell: Callable[[Any], None],
    ) -> None:
        self._store, self._stand_in, self._make, self.tell = store, stand_in, make, tell

    def order_of_plan(self, fields: dict[str, Any]) -> Any:
        """A ``bt.Order`` as it was made once."""
        symbol = fields["symbol"]
        kind = bt.BuyOrder if fields["direction"] == Direction.BUY else bt.SellOrder
        data = self._stand_in(symbol)
        made = self._make(kind, None, data, fields["volume"], **fields["order"]).order
        feeds = [feed for feed in self._store.feeds if feed._dataname == symbol]
        made.p.data = feeds[0] if feeds else data
        return made

    def hand_over(self, restart: Restart, targets: TargetDesk) -> None:
        """Strategies are there now: give them the orders and targets of an earlier run."""
        if not (restart.adopted or restart.targets or restart.begun_with):
            return
        strategies: list[Any] = next(
            (feed._env.runningstrats for feed in self._store.feeds if feed._env is not None), []
        )
        if strategies and restart.begun_with:
            self._give_lots(strategies[0], restart.begun_with)
            restart.begun_with = {}
        while restart.adopted:
            ticket = restart.adopted.pop()
            ticket.order.p.owner = _owner(ticket.owner_name, strategies)
            ticket.order.p.data = self._in_this_run(ticket.order.p.data)
        while restart.targets:
            fields, working = restart.targets.pop()
            targets.adopt(fields, _owner(fields["owner"], strategies), working)

    def _in_this_run(self, data: Any) -> Any:
        """The feed that has taken the place of an earlier run's; any other data itself."""
        feeds = self._store.feeds
        if any(feed is data for feed in feeds):
            return data
        return next((feed for feed in feeds if feed._dataname == data._dataname), data)

    def _give_lots(self, strategy: Any, lots: dict[str, tuple[int, float]]) -> None:
        """What was held before the run is an open trade of the first strategy.

        Backtrader pairs fills of its own time only: else the first order that closes would be told
        to ``notify_trade`` as one that opens.
        """
        for data in strategy.datas:
            if not any(data is feed for feed in self._store.feeds):
                continue  # made of a feed; orders are on the feed
            symbol = self._store.mains.traded(data._dataname)
            if symbol not in lots or strategy._trades[data][0]:
                continue
            size, price = lots.pop(symbol)
            kind = bt.BuyOrder if size > 0 else bt.SellOrder
            order = kind(data=data, size=size, price=price, simulated=True)
            trade = bt.Trade(data=data, historyon=strategy._tradehistoryon)
            trade.update(order, size, price, 0.0, 0.0, 0.0, strategy.broker.getcommissioninfo(data))
            trade.justopened = False
            strategy._trades[data][0].append(trade)


def _owner(name: Any, strategies: list[Any]) -> Any:
    """The strategy of a class and number; else one of that class, else None for the first one."""
    if name is None:
        return None
    found = [one for one in strategies if type(one).__name__ == name[0]]
    return next((one for one in found if one._id == name[1]), found[0] if found else None)
