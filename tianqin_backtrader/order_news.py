"""What strategies are to be told of orders and trades, and what they have been told."""

from __future__ import annotations

from collections import deque
from typing import Any

from .allocation import LotsChange
from .open_trades import OpenTrades, has_a_bar
from .order_desk import OrderDesk
from .record_keeper import RecordKeeper


class OrderNews:
    """Clones of orders on their way to ``notify_order``, oldest first.

    Changes of lots by another hand take their turn among them: Backtrader makes trades of orders as
    they are told.

    An order counts as told when the next one is asked for: then the strategy has dealt with it.
    What a killed program had not told by then is told by the next one.

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
        self._handed: dict[int, Any] = {}
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
            self._desk.scribe.flush()
            order = self.ready.popleft()
            self._handed[order.ref] = order
            return order
        if self._handed:
            for ref, order in self._handed.items():
                ticket = self._desk.tickets[ref]
                ticket.told = (order.status, abs(int(order.executed.size)))
                self._desk.scribe.touch(ticket)
            self._handed.clear()
            self._desk.scribe.flush()
            self._keeper.told()
        return None

    def nobody_listened(self) -> None:
        """The program ends. One that asks orders themselves, and never here, knows their ends."""
        if self._heard:
            return
        for order in (*self.ready, *self._early):
            if isinstance(order, LotsChange):
                continue
            ticket = self._desk.tickets[order.ref]
            ticket.told = (order.status, abs(int(order.executed.size)))
            self._desk.scribe.touch(ticket)
