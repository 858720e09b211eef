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

    An order is on record as told before it is handed over: each end, and each fill, is told once
    in the life of the records. A program that is killed between the two, which nothing but the
    return of a function separates, has not told it; what had not come so far is told by the next
    one.

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
        self._handed = False
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
            order = self.ready.popleft()
            self._write_down(order)
            self._desk.scribe.flush()
            self._handed = True
            return order
        if self._handed:
            self._handed = False
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
            self._write_down(order)


def _has_a_bar(data: Any) -> bool:
    """One that is still being loaded has no time yet, and may be taken back."""
    return len(data) > 1 or (len(data) == 1 and not math.isnan(data.datetime[0]))
