"""Make ``bt.Order`` objects of an earlier run's orders and assign them to strategies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import backtrader as bt

from ..core.model import Direction
from ..core.ports import Feeds
from ..execution.open_trades import OpenTrades
from ..execution.target_positions import TargetPositions
from ..feeds.feed_list import PlaceholderFeed
from ..orders.ticket import Stage, Ticket
from .startup import StartupReconciler


class Ownership:
    """Makes the orders that ``StartupReconciler`` finds, and assigns them to strategies.

    Args:
        feeds: The feeds of the run.
        stand_in: Returns a placeholder for a symbol's feed, used while an order is made.
        make: Makes an order and its ticket.
        tell: Queues a clone of an order for ``notify_order``.
        trades: The strategies' trades.
    """

    def __init__(
        self,
        feeds: Feeds,
        stand_in: Callable[[str], PlaceholderFeed],
        make: Callable[..., Ticket],
        tell: Callable[[Any], None],
        trades: OpenTrades,
    ) -> None:
        self._feeds, self._stand_in, self._make, self.tell = feeds, stand_in, make, tell
        self._trades = trades

    def order_of_plan(self, fields: dict[str, Any]) -> Any:
        """Make a ``bt.Order`` again from its recorded plan."""
        symbol = fields["symbol"]
        kind = bt.BuyOrder if fields["direction"] == Direction.BUY else bt.SellOrder
        data = self._stand_in(symbol)
        made = self._make(kind, None, data, fields["volume"], **fields["order"]).order
        feeds = [feed for feed in self._feeds if feed._dataname == symbol]
        made.p.data = feeds[0] if feeds else data
        return made

    def hand_over(self, restart: StartupReconciler, targets: TargetPositions) -> None:
        """Assign the orders and targets of an earlier run to the strategies, which exist now."""
        if not (restart.adopted or targets.recalled or restart.begun_with):
            return
        strategies = self._trades.strategies
        adopted, restart.adopted = restart.adopted, []
        for ticket in adopted:
            ticket.order.p.owner = _owner(ticket.owner_name, strategies)
            ticket.order.p.data = self._in_this_run(ticket.order.p.data)
        if strategies and restart.begun_with:
            self._trades.give(restart.begun_with, _exits(adopted, restart.begun_with))
            restart.begun_with = {}
        targets.hand_over(lambda name: _owner(name, strategies))

    def _in_this_run(self, data: Any) -> Any:
        """Return this run's feed of the same name, or ``data`` itself if there is none."""
        feeds = self._feeds
        if any(feed is data for feed in feeds):
            return data
        return next((feed for feed in feeds if feed._dataname == data._dataname), data)


def _exits(
    tickets: list[Ticket], lots: Mapping[str, tuple[int, float]]
) -> dict[str, list[tuple[Any, int]]]:
    """Return the orders that close positions, each with its lots, by symbol."""
    found: dict[str, list[tuple[Any, int]]] = {}
    for ticket in tickets:
        size, _ = lots.get(ticket.symbol, (0, 0.0))
        closes = ticket.exits and ticket.direction.sign * size < 0
        if closes and not ticket.over and ticket.stage is not Stage.DORMANT:
            closing = ticket.volume - (ticket.may_open or 0)
            found.setdefault(ticket.symbol, []).append((ticket.order, closing))
    return found


def _owner(name: Any, strategies: list[Any]) -> Any:
    """Return the strategy of a class and number, else the first of that class, else None."""
    if name is None:
        return None
    found = [one for one in strategies if type(one).__name__ == name[0]]
    return next((one for one in found if one._id == name[1]), found[0] if found else None)
