"""What strategies are to be told of orders, and what they have been told."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

from .order_desk import OrderDesk
from .record_keeper import RecordKeeper
from .unsubscribed_data import UnsubscribedData


class OrderNews:
    """Clones of orders on their way to ``notify_order``, oldest first.

    An order counts as told when the next one is asked for: then the strategy has dealt with it.
    What a killed program had not told by then is told by the next one.

    Args:
        desk: Whose orders they are.
        keeper: Keeps the files current.

    Attributes:
        ready: What can be told now.
    """

    def __init__(self, desk: OrderDesk, keeper: RecordKeeper) -> None:
        self._desk, self._keeper = desk, keeper
        self.ready: deque[Any] = deque()
        self._early: deque[Any] = deque()
        self._handed: dict[int, Any] = {}
        self._heard = False

    def put(self, order: Any) -> None:
        """Tell an order as it stands now."""
        self._early.append(order.clone())
        self.let_in()

    def let_in(self) -> None:
        """Backtrader looks at the bar of a fill: nothing is told before its feed has one."""
        while self._early:
            data = self._early[0].data
            if not isinstance(data, UnsubscribedData) and not _has_a_bar(data):
                return
            self.ready.append(self._early.popleft())

    def take(self) -> Any:
        """The next one, None when there is none."""
        self._heard = True
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
            ticket = self._desk.tickets[order.ref]
            ticket.told = (order.status, abs(int(order.executed.size)))
            self._desk.scribe.touch(ticket)


def _has_a_bar(data: Any) -> bool:
    """One that is still being loaded has no time yet, and may be taken back."""
    return len(data) > 1 or (len(data) == 1 and not math.isnan(data.datetime[0]))
