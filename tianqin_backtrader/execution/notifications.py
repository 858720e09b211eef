"""What strategies are to be told of orders and trades, and what they have been told."""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

import backtrader as bt

from ..account.allocation import LotsChange
from ..feeds.placeholder import has_bar
from .open_trades import OpenTrades
from .order_manager import OrderManager

#: What a later run may tell once more: nothing has come of the order yet.
_STEPS = frozenset({bt.Order.Submitted, bt.Order.Accepted})


class Keeper(Protocol):
    """What keeps the files current."""

    def told(self) -> None: ...


class OrderNotifications:
    """Clones of orders on their way to ``notify_order``, oldest first.

    Changes of lots by foreign trades take their turn among them: Backtrader makes trades of orders
    as they are told.

    An order is written down as told, then handed over. A program killed between the two has not
    told it, and no later run will.

    Args:
        manager: Whose orders they are.
        keeper: Keeps the files current.
        trades: Those of the strategies.

    Attributes:
        ready: What can be told now.
    """

    def __init__(self, manager: OrderManager, keeper: Keeper, trades: OpenTrades) -> None:
        self._manager, self._keeper, self._trades = manager, keeper, trades
        self.ready: deque[Any] = deque()
        self._early: deque[Any] = deque()
        self._handed = False
        self._heard = False

    def put(self, order: Any) -> None:
        """Tell an order as it stands now."""
        self._early.append(order.clone())
        self.let_in()

    def put_change(self, change: LotsChange) -> None:
        """Let the trades of strategies know of lots that no order of ours has moved."""
        self._early.append(change)
        self.let_in()

    def begin_again(self) -> None:
        """Another run: it begins with what is held now."""
        self._trades.begin()
        for queue in (self.ready, self._early):
            orders = [one for one in queue if not isinstance(one, LotsChange)]
            queue.clear()
            queue.extend(orders)

    def let_in(self) -> None:
        """Make ready what can be told; what has to wait keeps back only what follows from it."""
        early, self._early = self._early, deque()
        for one in early:
            waits = self._must_wait(one) or any(self._follows(one, other) for other in self._early)
            (self._early if waits else self.ready).append(one)

    def _must_wait(self, one: Any) -> bool:
        """Whether Backtrader could not take it yet: it looks at the bar of a fill.

        Where no feed has a bar yet no strategy is at work, and what it is told could fail there.
        """
        if isinstance(one, LotsChange) or has_bar(one.data):
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
        self._heard = True
        while self.ready and isinstance(self.ready[0], LotsChange):
            self._trades.take(self.ready.popleft())
        if self.ready:
            order = self.ready.popleft()
            if order.status in _STEPS:
                self._manager.write_ahead.flush()
            self._write_down(order)
            if order.status not in _STEPS:
                self._manager.write_ahead.flush()
            self._handed = True
            self._trades.make_way(order, self._symbol(order))
            return order
        if self._handed:
            self._handed = False
            self._manager.write_ahead.flush()
            self._keeper.told()
        return None

    def _write_down(self, order: Any) -> None:
        ticket = self._manager.tickets[order.ref]
        ticket.hear(order.status, abs(int(order.executed.size)))
        self._manager.write_ahead.touch(ticket)

    def nobody_listened(self) -> None:
        """The program ends. One that asks orders themselves, and never here, knows their ends."""
        if self._heard:
            return
        for order in (*self.ready, *self._early):
            if not isinstance(order, LotsChange):
                self._write_down(order)
