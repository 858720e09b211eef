"""One order under two ids: ours, and that of a restarted gateway (pure).

The gateway of a futures company keeps the ids of its clients in a file. Without that file it makes
its own ids for the orders that the counter reports, ``SERVER.<ref>.<session>.<front>``, as for
those of other terminals. The number given by the exchange does not change. An order that was on
its way then has never been seen with its number: it is recognised by its content and its time.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date

from ..core.clock import SECOND
from ..core.model import Direction, Fill, Offset, OrderReport

#: An order without a known number is entered within this time of its sending, nanoseconds.
NEAR = 30 * SECOND
#: The prefix of ids made by a gateway.
_MADE_UP = "SERVER."
_Content = tuple[str, Direction, Offset, int]


def made_up(order_id: str) -> bool:
    """Whether a gateway has made an id because it does not know the sender's."""
    return order_id.startswith(_MADE_UP)


class OrderIdentity:
    """Maps orders under ids made by a gateway to our ids.

    The exchange's number decides if we know it. Numbers restart every trading day: those of another
    day are forgotten, and contract, direction, offset and volume must agree, too. An order of ours
    that an earlier session sent and that has no number yet is one with the same content and limit
    price that was entered about when ours was sent. Another terminal's order can be taken for ours
    only if it is equal to it, of the same seconds, and ours never arrived.
    """

    def __init__(self) -> None:
        self._day: date | None = None
        self._known: dict[tuple[str, _Content], str] = {}
        #: Orders without a number, by our ids: of this session, and of earlier ones.
        self._sent: dict[str, OrderReport] = {}
        self._in_doubt: dict[str, OrderReport] = {}
        self._made_up: dict[str, str] = {}
        self._ours: dict[str, str] = {}

    def begin_day(self, day: date) -> None:
        """Begin a trading day: later reports are of this day."""
        if day != self._day:
            self._day = day
            self._known.clear()
            self._forget_made_up()

    def sent(self, order: OrderReport) -> None:
        """Remember an order that is being sent; ``insert_date_time`` is now."""
        self._sent[order.order_id] = order

    def recognise(self, report: OrderReport) -> None:
        """Learn an order of an earlier run from its record.

        Args:
            report: Its last report with the exchange's number; or the order as it was sent,
                ``insert_date_time`` being when.
        """
        if report.exchange_order_id:
            self._learn(report)
        else:
            self._in_doubt[report.order_id] = report

    def report(self, report: OrderReport) -> OrderReport:
        """The gateway's report of an order, under the sender's id.

        Reports under our ids come first in a session, so that none is looked for among the others.
        """
        if not made_up(report.order_id):
            if report.exchange_order_id or report.status == "FINISHED":
                self._learn(report)
            return report
        ours = self._ours.get(report.order_id) or self._find(report)
        if ours is None:
            return report
        self._made_up[ours], self._ours[report.order_id] = report.order_id, ours
        report = replace(report, order_id=ours)
        self._learn(report)
        return report

    def fill(self, fill: Fill) -> Fill:
        """The same for a trade; a prefix of the order's id in its trade id is replaced, too."""
        ours = self._ours.get(fill.order_id)
        if ours is None:
            return fill
        head = f"{fill.order_id}|"
        trade_id = fill.trade_id
        if trade_id.startswith(head):
            trade_id = f"{ours}|{trade_id.removeprefix(head)}"
        return replace(fill, order_id=ours, trade_id=trade_id)

    def ours(self, order_id: str) -> str:
        """The sender's id for an id of the gateway."""
        return self._ours.get(order_id, order_id)

    def counters(self, order_id: str) -> str:
        """The gateway's id for an id of ours."""
        return self._made_up.get(order_id, order_id)

    def new_session(self) -> None:
        """Forget ids made by the gateway: a new session may have another gateway."""
        self._forget_made_up()
        self._in_doubt |= self._sent
        self._sent.clear()

    def _forget_made_up(self) -> None:
        self._made_up.clear()
        self._ours.clear()

    def _learn(self, report: OrderReport) -> None:
        """Learn from a report with our id; its order is not looked for any more."""
        self._sent.pop(report.order_id, None)
        self._in_doubt.pop(report.order_id, None)
        if report.exchange_order_id:
            self._known[report.exchange_order_id, _content(report)] = report.order_id

    def _find(self, report: OrderReport) -> str | None:
        """Our id of an order under a gateway's id, None if it is not ours."""
        content, price = _content(report), _price(report)
        if report.exchange_order_id:
            ours = self._known.get((report.exchange_order_id, content))
            if ours is not None:
                return ours
        for order_id, order in self._in_doubt.items():
            is_near = abs(report.insert_date_time - order.insert_date_time) <= NEAR
            if is_near and _content(order) == content and _price(order) == price:
                return order_id
        return None


def _content(report: OrderReport) -> _Content:
    return report.symbol, report.direction, report.offset, report.volume_orign


def _price(report: OrderReport) -> float:
    """The limit price; a market order has none, and a counter's row of it has 0.0."""
    return report.limit_price if math.isfinite(report.limit_price) else 0.0
