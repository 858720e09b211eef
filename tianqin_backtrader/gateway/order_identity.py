"""One order under two ids: ours, and the one under which a restarted gateway lists it (pure).

The gateway of a futures company keeps the ids of its clients in a file. Without that file it makes
names of its own for the orders that the counter tells it, ``SERVER.<ref>.<session>.<front>``, as
for those of other terminals. What stays the same is the number that the exchange gave.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from ..core.model import Direction, Fill, Offset, OrderReport

#: How ids begin that a gateway has made.
_MADE_UP = "SERVER."
_Content = tuple[str, str, Direction, Offset, int]


def made_up(order_id: str) -> bool:
    """Whether a gateway has made an id, for want of the sender's."""
    return order_id.startswith(_MADE_UP)


class OrderIdentity:
    """Knows exchange numbers of orders by our ids, and finds them again under another id.

    Numbers are given anew every trading day: those of another day are forgotten, and contract,
    side, offset and volume must agree, too.
    """

    def __init__(self) -> None:
        self._day: date | None = None
        self._known: dict[_Content, str] = {}
        self._made_up: dict[str, str] = {}
        self._ours: dict[str, str] = {}

    def begin_day(self, day: date) -> None:
        """What is told from here on is of this trading day."""
        if day != self._day:
            self._day = day
            self._known.clear()

    def recognise(self, report: OrderReport) -> None:
        """An order has a number at its exchange under an id that its sender has chosen."""
        if report.exchange_order_id and not made_up(report.order_id):
            self._known[_content(report)] = report.order_id

    def report(self, report: OrderReport) -> OrderReport:
        """An order as the gateway tells it, under the id that its sender has chosen."""
        if not made_up(report.order_id):
            self.recognise(report)
            return report
        ours = self._known.get(_content(report))
        if ours is None:
            return report
        self._made_up[ours], self._ours[report.order_id] = report.order_id, ours
        return replace(report, order_id=ours)

    def fill(self, fill: Fill) -> Fill:
        """A trade likewise; a trade id that begins with the order's is the one it had before."""
        ours = self._ours.get(fill.order_id)
        if ours is None:
            return fill
        head = f"{fill.order_id}|"
        trade_id = fill.trade_id
        if trade_id.startswith(head):
            trade_id = f"{ours}|{trade_id.removeprefix(head)}"
        return replace(fill, order_id=ours, trade_id=trade_id)

    def ours(self, order_id: str) -> str:
        """The id that the sender has chosen of one that the gateway tells."""
        return self._ours.get(order_id, order_id)

    def counters(self, order_id: str) -> str:
        """The id under which the gateway has an order of ours."""
        return self._made_up.get(order_id, order_id)

    def new_session(self) -> None:
        """Another gateway may answer: which ids it has made will be seen."""
        self._made_up.clear()
        self._ours.clear()


def _content(report: OrderReport) -> _Content:
    return (
        report.exchange_order_id, report.symbol, report.direction, report.offset,
        report.volume_orign,
    )  # fmt: skip
