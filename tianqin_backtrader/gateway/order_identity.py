"""One order under two ids: ours, and that of a restarted gateway (pure).

The gateway of a futures company keeps the ids of its clients in a file. Without that file it makes
its own ids for the orders that the counter reports, ``SERVER.<ref>.<session>.<front>``, as for
those of other terminals. The number given by the exchange does not change.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from ..core.model import Direction, Fill, Offset, OrderReport

#: The prefix of ids made by a gateway.
_MADE_UP = "SERVER."
_Content = tuple[str, str, Direction, Offset, int]


def made_up(order_id: str) -> bool:
    """Whether a gateway has made an id because it does not know the sender's."""
    return order_id.startswith(_MADE_UP)


class OrderIdentity:
    """Maps exchange numbers to our ids, to recognise orders under another id.

    Exchange numbers restart every trading day: those of another day are forgotten, and contract,
    direction, offset and volume must agree, too.
    """

    def __init__(self) -> None:
        self._day: date | None = None
        self._known: dict[_Content, str] = {}
        self._made_up: dict[str, str] = {}
        self._ours: dict[str, str] = {}

    def begin_day(self, day: date) -> None:
        """Begin a trading day: later reports are of this day."""
        if day != self._day:
            self._day = day
            self._known.clear()

    def recognise(self, report: OrderReport) -> None:
        """Learn the exchange number of an order from a report under the sender's id."""
        if report.exchange_order_id and not made_up(report.order_id):
            self._known[_content(report)] = report.order_id

    def report(self, report: OrderReport) -> OrderReport:
        """The gateway's report of an order, under the sender's id."""
        if not made_up(report.order_id):
            self.recognise(report)
            return report
        ours = self._known.get(_content(report))
        if ours is None:
            return report
        self._made_up[ours], self._ours[report.order_id] = report.order_id, ours
        return replace(report, order_id=ours)

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
        self._made_up.clear()
        self._ours.clear()


def _content(report: OrderReport) -> _Content:
    return (
        report.exchange_order_id, report.symbol, report.direction, report.offset,
        report.volume_orign,
    )  # fmt: skip
