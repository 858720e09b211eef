"""Queue the notifications of orders and trades for strategies, and record which were given."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

import backtrader as bt

from ..account.allocation import LotsChange
from ..feeds.feed_list import has_bar
from .open_trades import OpenTrades
from .order_manager import OrderManager

#: Statuses that a later run may notify again, as nothing was filled or ended.
_STEPS = frozenset({bt.Order.Submitted, bt.Order.Accepted})


class Keeper(Protocol):
    """Keeps the record files up to date."""

    def told(self) -> None: ...


class OrderWatchers(Protocol):
    """Receives orders in addition to the strategies; ``Observers``."""

    @property
    def listening(self) -> Sequence[object]: ...
    def order(self, order: Any) -> None: ...


class OrderNotifications:
    """Clones of orders queued for ``notify_order``, oldest first.

    Changes of lots by foreign trades are queued among them, because Backtrader makes trades of
    orders when they are notified.

    An order is recorded as notified, then given to the strategy. If the program is killed between
    the two, the strategy never gets it, in a later run neither.

    Args:
        untold: New clones and changes, in order.
        manager: Has the orders.
        keeper: Keeps the record files up to date.
        trades: The strategies' trades.
        watchers: Receive each order, too.

    Attributes:
        ready: What can be notified now.
        early: What cannot be notified yet.
        handed: Whether an order was returned by ``take`` in this round.
        heard: Whether notifications were ever requested.
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
        """Queue a change of lots that was not made by our orders, for the strategies' trades."""
        self._untold.append(change)

    def begin_again(self) -> None:
        """Begin another run with the present positions: drop queued changes of lots."""
        self._trades.begin()
        for queue in (self.ready, self.early, self._untold):
            orders = [one for one in queue if not isinstance(one, LotsChange)]
            queue.clear()
            queue.extend(orders)

    def let_in(self) -> None:
        """Move what can be notified to ``ready``; what waits delays only what depends on it."""
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
        """Return whether Backtrader cannot handle it yet: a fill needs a bar of its feed.

        Without any bar no strategy is running, and its ``notify_order`` could fail.
        """
        if isinstance(one, LotsChange) or len(one.data) > 1 or has_bar(one.data):
            return False
        return bool(one.executed.size) or not self._trades.at_work

    def _follows(self, one: Any, before: Any) -> bool:
        """Return whether one depends on another: the same feed, or the same contract's lots."""
        if isinstance(one, LotsChange) or isinstance(before, LotsChange):
            return self._symbol(one) == self._symbol(before)
        return one.data is before.data

    def _symbol(self, one: Any) -> str:
        return one.symbol if isinstance(one, LotsChange) else self._manager.tickets[one.ref].symbol

    def take(self) -> Any:
        """Return the next order to notify, None if there is none."""
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
        """Record all as notified at the end of a program that never requested notifications.

        Such a program reads the order objects themselves.
        """
        if self.heard:
            return
        for order in (*self.ready, *self.early, *self._untold):
            if not isinstance(order, LotsChange):
                self._write_down(order)
