"""What strategies are to be told of orders and trades, and what they have been told."""

from __future__ import annotations

from collections import deque
from typing import Any

import backtrader as bt

from .allocation import LotsChange
from .open_trades import OpenTrades, has_a_bar
from .order_desk import OrderDesk
from .record_keeper import RecordKeeper

#: What a later run may tell once more: nothing has come of the order yet.
_STEPS = frozenset({bt.Order.Submitted, bt.Order.Accepted})


class OrderNews:
    """Clones of orders on their way to ``notify_order``, oldest first.

    Changes of lots by another hand take their turn among them: Backtrader makes trades of orders as
    they are told.

    An order is on record as told before it is handed over: each end, and each fill, is told once
    in the life of the records. A program that is killed between the two, which nothing but the
    return of a function separates, has not told it; what had not come so far is told by the next
    one.

    Args:
        desk: Whose orders they are.
        keeper: Keeps the files current.
        trades: Those of the strategies.

    Attributes:
        ready: What can be told now.
    """

    def __init__(self, desk: OrderDesk, keeper: RecordKeeper, trades: OpenTrades) -> None:
        self._desk, self._keeper, self._trades = desk, keeper, trades
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
        """Backtrader looks at the bar of a fill: nothing is told before its feed has one."""
        while self._early:
            first = self._early[0]
            if not isinstance(first, LotsChange) and not has_a_bar(first.data):
                return
            self.ready.append(self._early.popleft())

    def take(self) -> Any:
        """The next one, None when there is none."""
        self._heard = True
        while self.ready and isinstance(self.ready[0], LotsChange):
            self._trades.take(self.ready.popleft())
        if self.ready:
            order = self.ready.popleft()
            if order.status in _STEPS:
                self._desk.scribe.flush()
            self._write_down(order)
            if order.status not in _STEPS:
                self._desk.scribe.flush()
            self._handed = True
            return order
        if self._handed:
            self._handed = False
            self._desk.scribe.flush()
            self._keeper.told()
        return None

    def _write_down(self, order: Any) -> None:
        ticket = self._desk.tickets[order.ref]
        ticket.hear(order.status, abs(int(order.executed.size)))
        self._desk.scribe.touch(ticket)

    def nobody_listened(self) -> None:
        """The program ends. One that asks orders themselves, and never here, knows their ends."""
        if self._heard:
            return
        for order in (*self.ready, *self._early):
            if not isinstance(order, LotsChange):
                self._write_down(order)
