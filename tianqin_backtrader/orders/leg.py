"""The states of one leg at the exchange, as a table of states and events.

Reports may come twice, late or out of order; fills are counted by trade id. A leg is over when
the exchange has finished it *and* all its fills have arrived. A leg without a report is UNKNOWN:
it is queried, and nothing is sent in its place before the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from ..core.model import Direction, Fill, Offset, OrderReport
from ..errors import IllegalTransition


class OrderState(StrEnum):
    """The state of a leg."""

    SUBMITTED = "SUBMITTED"  # passed to the client, no report of the exchange yet
    ALIVE = "ALIVE"  # the exchange has it
    PARTIAL = "PARTIAL"  # partly filled
    FINISHING = "FINISHING"  # finished, but fills are still missing
    UNKNOWN = "UNKNOWN"  # no report in time, or seen in a report only: a query decides
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"  # over with lots left
    REJECTED = "REJECTED"
    LOST = "LOST"  # queried, and the exchange does not know it


class OrderEvent(StrEnum):
    """What can happen to a leg."""

    ACCEPT = "ACCEPT"  # reported alive, no fill has arrived
    ACCEPT_PARTIAL = "ACCEPT_PARTIAL"  # reported alive, fills have arrived before
    FILL = "FILL"  # some lots, not the last
    FILL_ALL = "FILL_ALL"  # the last lots
    END_FILLS_MISSING = "END_FILLS_MISSING"  # finished, fills are missing
    END = "END"  # finished, all fills known
    REJECT = "REJECT"
    TIMEOUT = "TIMEOUT"  # no report in time
    NOT_FOUND = "NOT_FOUND"  # queried, and the exchange does not know it


S, E = OrderState, OrderEvent

# Any report makes the state of a leg known again, even after the exchange did not know the leg: an
# order may wait in the client while the link is down.
_HEARD_OF = {
    E.ACCEPT: S.ALIVE, E.ACCEPT_PARTIAL: S.PARTIAL, E.FILL: S.PARTIAL, E.FILL_ALL: S.FILLED,
    E.END_FILLS_MISSING: S.FINISHING, E.END: S.CANCELLED, E.REJECT: S.REJECTED,
}  # fmt: skip

#: state -> event -> next state. A missing row is illegal.
TRANSITIONS: Mapping[OrderState, Mapping[OrderEvent, OrderState]] = MappingProxyType(
    {
        S.SUBMITTED: {
            E.ACCEPT: S.ALIVE, E.FILL: S.PARTIAL, E.FILL_ALL: S.FILLED,
            E.END_FILLS_MISSING: S.FINISHING, E.END: S.CANCELLED, E.REJECT: S.REJECTED,
            E.TIMEOUT: S.UNKNOWN, E.NOT_FOUND: S.UNKNOWN,  # the answer may be older than the order
        },
        S.ALIVE: {
            E.ACCEPT: S.ALIVE, E.FILL: S.PARTIAL, E.FILL_ALL: S.FILLED,
            E.END_FILLS_MISSING: S.FINISHING, E.END: S.CANCELLED, E.REJECT: S.REJECTED,
            E.TIMEOUT: S.UNKNOWN, E.NOT_FOUND: S.UNKNOWN,
        },
        S.PARTIAL: {
            E.ACCEPT_PARTIAL: S.PARTIAL, E.FILL: S.PARTIAL, E.FILL_ALL: S.FILLED,
            E.END_FILLS_MISSING: S.FINISHING, E.END: S.CANCELLED,
            E.TIMEOUT: S.UNKNOWN, E.NOT_FOUND: S.UNKNOWN,
        },
        S.FINISHING: {  # an older report may still show it alive
            E.ACCEPT: S.FINISHING, E.ACCEPT_PARTIAL: S.FINISHING,
            E.FILL: S.FINISHING, E.FILL_ALL: S.FILLED,
            E.END_FILLS_MISSING: S.FINISHING, E.END: S.CANCELLED,
            E.TIMEOUT: S.UNKNOWN, E.NOT_FOUND: S.UNKNOWN,
        },
        S.UNKNOWN: {**_HEARD_OF, E.TIMEOUT: S.UNKNOWN, E.NOT_FOUND: S.LOST},
        S.LOST: {**_HEARD_OF, E.TIMEOUT: S.LOST, E.NOT_FOUND: S.LOST},
        S.FILLED: {
            E.ACCEPT_PARTIAL: S.FILLED, E.END: S.FILLED, E.END_FILLS_MISSING: S.FILLED,
            E.TIMEOUT: S.FILLED, E.NOT_FOUND: S.FILLED,
        },
        S.CANCELLED: {
            E.ACCEPT: S.CANCELLED, E.ACCEPT_PARTIAL: S.CANCELLED,
            E.END: S.CANCELLED, E.END_FILLS_MISSING: S.FINISHING,
            E.FILL: S.CANCELLED, E.FILL_ALL: S.FILLED,  # the fill crossed the cancel
            E.TIMEOUT: S.CANCELLED, E.NOT_FOUND: S.CANCELLED,
        },
        S.REJECTED: {
            E.ACCEPT: S.REJECTED, E.REJECT: S.REJECTED, E.END: S.REJECTED,
            E.TIMEOUT: S.REJECTED, E.NOT_FOUND: S.REJECTED,
        },
    }
)  # fmt: skip

OVER = frozenset({S.FILLED, S.CANCELLED, S.REJECTED, S.LOST})
#: Not reported by the exchange: it may not have frozen their lots yet.
UNCONFIRMED = frozenset({S.SUBMITTED, S.UNKNOWN})


@dataclass(slots=True, eq=False, repr=False)
class OrderLeg:
    """One order at the exchange, from its intent to its end.

    Late reports revoke nothing that is known already.

    Attributes:
        order_id: Chosen by the library before sending.
        symbol, direction, offset, volume, limit_price: As ordered; ``limit_price`` is None for a
            market order.
        sent_ns: When it was sent, nanoseconds since 1970 UTC; None if no report is awaited.
        state: An ``OrderState``.
        exchange_order_id: Empty until the exchange has accepted it.
        last_msg: The exchange's last message on it.
        fills: By trade id, in order of arrival.
        withdrawn: Whether its cancel has been requested.
    """

    order_id: str
    symbol: str
    direction: Direction
    offset: Offset
    volume: int
    limit_price: float | str | None
    sent_ns: int | None = None
    state: OrderState = OrderState.SUBMITTED
    exchange_order_id: str = ""
    last_msg: str = ""
    fills: dict[str, Fill] = field(default_factory=dict)
    withdrawn: bool = False
    _finished: bool = False
    _reported_filled: int = 0

    def be_unknown(self) -> None:
        """Mark a leg of an earlier run as UNKNOWN until it is reported."""
        self.state = OrderState.UNKNOWN

    @classmethod
    def met(cls, report: OrderReport) -> OrderLeg:
        """Make a leg from a report of an order that is not known here."""
        leg = cls(
            report.order_id, report.symbol, report.direction, report.offset,
            report.volume_orign, report.limit_price,
        )  # fmt: skip
        leg.be_unknown()
        leg.take_report(report)
        return leg

    def __repr__(self) -> str:
        return (
            f"<{self.order_id} {self.direction} {self.offset} {self.filled}/{self.volume} "
            f"{self.symbol} {self.state}>"
        )

    @property
    def filled(self) -> int:
        """Filled lots, according to the fills that have arrived."""
        return sum(fill.volume for fill in self.fills.values())

    @property
    def open_lots(self) -> int:
        """Lots that may still be filled, or whose fills are missing."""
        if self.over:
            return 0
        expected = self._reported_filled if self._finished else self.volume
        return max(0, expected - self.filled)

    @property
    def over(self) -> bool:
        """Whether no further report is expected."""
        return self.state in OVER

    def overdue(self, now: int, patience_ns: int) -> bool:
        """Return whether its first report is overdue; then call ``time_out``."""
        waits = self.state is OrderState.SUBMITTED and self.sent_ns is not None
        return waits and now - (self.sent_ns or 0) >= patience_ns

    def take_fill(self, fill: Fill) -> bool:
        """Count an execution; return False if it was counted before.

        Raises:
            IllegalTransition: More lots than ordered, or a fill of a rejected leg.
        """
        if fill.trade_id in self.fills:
            return False
        total = self.filled + fill.volume
        if total > self.volume:
            raise IllegalTransition(f"{self!r} cannot be filled with {fill.volume} lots more")
        self._apply(OrderEvent.FILL_ALL if total == self.volume else OrderEvent.FILL)
        self.fills[fill.trade_id] = fill
        if self._finished and self._reported_filled <= total < self.volume:
            self._apply(OrderEvent.END)
        return True

    def take_report(self, report: OrderReport) -> bool:
        """Apply a report; return whether the state changed.

        Raises:
            IllegalTransition: The report is impossible in this state; nothing is changed.
        """
        before = self.state
        exchange_order_id = report.exchange_order_id or self.exchange_order_id
        filled = max(self._reported_filled, report.volume_orign - report.volume_left)
        event = None
        if report.status == "FINISHED":
            event = self._end_event(filled, never_taken=not exchange_order_id)
        elif report.exchange_order_id:
            event = OrderEvent.ACCEPT_PARTIAL if self.fills else OrderEvent.ACCEPT
        # Else: the client shows its own unsent order as ALIVE without an exchange id.
        if event is not None:
            self._apply(event)
        self.exchange_order_id = exchange_order_id
        self.last_msg = report.last_msg or self.last_msg
        self._reported_filled = filled
        self._finished = self._finished or report.status == "FINISHED"
        return self.state is not before

    def _end_event(self, filled: int, *, never_taken: bool) -> OrderEvent:
        if never_taken and not filled and not self.fills:
            return OrderEvent.REJECT
        return OrderEvent.END_FILLS_MISSING if filled > self.filled else OrderEvent.END

    def reject(self, reason: str) -> None:
        """Reject a leg that was not sent because a rule of the client forbade it."""
        self._apply(OrderEvent.REJECT)
        self.last_msg = reason

    def time_out(self) -> bool:
        """Note that no report came in time; return whether to query the exchange."""
        self._apply(OrderEvent.TIMEOUT)
        return self.state is OrderState.UNKNOWN

    def not_found(self) -> bool:
        """Note that a query did not find the leg; return whether to query once more.

        Only an UNKNOWN leg becomes LOST; any other becomes UNKNOWN and is queried once more, as the
        leg or its last report may be newer than the answer.
        """
        self._apply(OrderEvent.NOT_FOUND)
        if self.state is OrderState.LOST:
            self.last_msg = self.last_msg or "the exchange does not know it"
        return self.state is OrderState.UNKNOWN

    def _apply(self, event: OrderEvent) -> None:
        following = TRANSITIONS[self.state].get(event)
        if following is None:
            raise IllegalTransition(f"{self!r} cannot take {event}")
        self.state = following


#: Legs that are not over, by symbol and id.
LiveLegs = dict[str, dict[str, OrderLeg]]
