"""What strategies are to be told of orders and trades, and what they have been told."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

import backtrader as bt

from ..account.allocation import LotsChange
from ..feeds.feed_list import has_bar
from .open_trades import OpenTrades
from .order_manager import OrderManager

#: What a later run may tell once more: nothing has come of the order yet.
_STEPS = frozenset({bt.Order.Submitted, bt.Order.Accepted})


class Keeper(Protocol):
    """What keeps the files current."""

    def told(self) -> None: ...


class OrderWatchers(Protocol):
    """Told of orders beside the strategies; ``Observers``."""

    @property
    def listening(self) -> Sequence[object]: ...
    def order(self, order: Any) -> None: ...


class OrderNotifications:
    """Clones of orders on their way to ``notify_order``, oldest first.

    Changes of lots by foreign trades take their turn among them: Backtrader makes trades of orders
    as they are told.

    An order is written down as told, then handed over. A program killed between the two has not
    told it, and no later run will.

    Args:
        untold: Clones and changes that have come, in their order.
        manager: Whose orders they are.
        keeper: Keeps the files current.
        trades: Those of the strategies.
        watchers: Told of each order, too.

    Attributes:
        ready: What can be told now.
        early: What cannot be told yet.
        handed: Whether something has been told in this round.
        heard: Whether anybody has asked for something to tell.
    """

    def __init__(
        self,
        untold: deque[Any],
        manager: OrderManager,
        keeper: Keeper,
        trades: OpenTrades,
        watchers: OrderWatchers,
    ) -> None:
        self._untold, self._watchers = untold, watchers
        self._manager, self._keeper, self._trades = manager, keeper, trades
        self.ready: deque[Any] = deque()
        self.early: deque[Any] = deque()
        self.handed = False
        self.heard = False

    def put_change(self, change: LotsChange) -> None:
        """Let the trades of strategies know of lots that no order of ours has moved."""
        self._untold.append(change)

    def begin_again(self) -> None:
        """Another run: it begins with what is held now."""
        self._trades.begin()
        for queue in (self.ready, self.early, self._untold):
            orders = [one for one in queue if not isinstance(one, LotsChange)]
            queue.clear()
            queue.extend(orders)

    def let_in(self) -> None:
        """Make ready what can be told; what has to wait keeps back only what follows from it."""
        if self._watchers.listening:
            for one in self._untold:
                if not isinstance(one, LotsChange):
                    self._watchers.order(one)
        early, self.early = (*self.early, *self._untold), deque()
        self._untold.clear()
        for one in early:
            waits = self._must_wait(one) or any(self._follows(one, other) for other in self.early)
            (self.early if waits else self.ready).append(one)

    def _must_wait(self, one: Any) -> bool:
        """Whether Backtrader could not take it yet: it looks at the bar of a fill.

        Where no feed has a bar yet no strategy is at work, and what it is told could fail there.
        """
        if isinstance(one, LotsChange) or len(one.data) > 1 or has_bar(one.data):
            return False
        return bool(one.executed.size) or not self._trades.at_work

    def _follows(self, one: Any, before: Any) -> bool:
        """Whether one is to be told after another: both are of a feed, or move the same lots."""
        if isinstance(one, LotsChange) or isinstance(before, LotsChange):
            return self._symbol(one) == self._symbol(before)
        return one.data is before.data

    def _symbol(self, one: Any) -> str:
        return one.symbol if isinstance(one, LotsChange) else self._manager.tickets[one.ref].symbol

    def take(self) -> Any:
        """The next one, None when there is none."""
        self.heard = True
        if self._untold:
            self.let_in()
        while self.ready and isinstance(self.ready[0], LotsChange):
            self._trades.take(self.ready.popleft())
        if self.ready:
            order = self.ready.popleft()
            if order.status in _STEPS:
                self._manager.write_ahead.flush()
            self._write_down(order)
            if order.status not in _STEPS:
                self._manager.write_ahead.flush()
            self.handed = True
            if self._trades.given:
                self._trades.make_way(order, self._symbol(order))
            return order
        if self.handed:
            self.handed = False
            self._manager.write_ahead.flush()
            self._keeper.told()
        return None

    def _write_down(self, order: Any) -> None:
        ticket = self._manager.tickets[order.ref]
        ticket.hear(order.status, abs(int(order.executed.size)))
        self._manager.write_ahead.touch(ticket)

    def nobody_listened(self) -> None:
        """The program ends. One that asks orders themselves, and never here, knows their ends."""
        if self.heard:
            return
        for order in (*self.ready, *self.early, *self._untold):
            if not isinstance(order, LotsChange):
                self._write_down(order)
