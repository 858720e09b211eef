"""Orders of an earlier run as Backtrader's, and the strategies that they belong to."""

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
    """Makes the orders that ``StartupReconciler`` finds, and gives them to strategies.

    Args:
        feeds: Of the run.
        stand_in: Gives what stands for a feed while an order is made.
        make: Makes an order and its ticket.
        tell: Hands a clone of an order to ``notify_order``.
        trades: Those of the strategies.
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
        """A ``bt.Order`` as it was made once."""
        symbol = fields["symbol"]
        kind = bt.BuyOrder if fields["direction"] == Direction.BUY else bt.SellOrder
        data = self._stand_in(symbol)
        made = self._make(kind, None, data, fields["volume"], **fields["order"]).order
        feeds = [feed for feed in self._feeds if feed._dataname == symbol]
        made.p.data = feeds[0] if feeds else data
        return made

    def hand_over(self, restart: StartupReconciler, targets: TargetPositions) -> None:
        """Strategies are there now: give them the orders and targets of an earlier run."""
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
        """The feed that has taken the place of an earlier run's; any other data itself."""
        feeds = self._feeds
        if any(feed is data for feed in feeds):
            return data
        return next((feed for feed in feeds if feed._dataname == data._dataname), data)


def _exits(
    tickets: list[Ticket], lots: Mapping[str, tuple[int, float]]
) -> dict[str, list[tuple[Any, int]]]:
    """The orders that close what is held, each with its lots; by symbol."""
    found: dict[str, list[tuple[Any, int]]] = {}
    for ticket in tickets:
        size, _ = lots.get(ticket.symbol, (0, 0.0))
        closes = ticket.exits and ticket.direction.sign * size < 0
        if closes and not ticket.over and ticket.stage is not Stage.DORMANT:
            closing = ticket.volume - (ticket.may_open or 0)
            found.setdefault(ticket.symbol, []).append((ticket.order, closing))
    return found


def _owner(name: Any, strategies: list[Any]) -> Any:
    """The strategy of a class and number; else one of that class, else None for the first one."""
    if name is None:
        return None
    found = [one for one in strategies if type(one).__name__ == name[0]]
    return next((one for one in found if one._id == name[1]), found[0] if found else None)
