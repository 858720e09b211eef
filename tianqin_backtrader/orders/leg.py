"""The life of one leg at the exchange, as a table of states and events.

Reports may come twice, late or out of order; fills are counted by trade id. A leg is over when
the exchange has finished it *and* all its fills have arrived. A leg of which nothing is heard is
UNKNOWN: ask for it, and send nothing in its place before the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from ..core.model import Direction, Fill, Offset, OrderReport
from ..errors import IllegalTransition


class OrderState(StrEnum):
    """Where a leg stands."""

    SUBMITTED = "SUBMITTED"  # handed to the client, no word from the exchange yet
    ALIVE = "ALIVE"  # the exchange has it
    PARTIAL = "PARTIAL"  # partly filled
    FINISHING = "FINISHING"  # finished, but fills are still missing
    UNKNOWN = "UNKNOWN"  # no word in time, or met in a report only: a query decides
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"  # over with lots left
    REJECTED = "REJECTED"
    LOST = "LOST"  # asked for, and the exchange does not know it


class OrderEvent(StrEnum):
    """What can happen to a leg."""

    ACCEPT = "ACCEPT"  # reported alive, no fill has arrived
    ACCEPT_PARTIAL = "ACCEPT_PARTIAL"  # reported alive, fills have arrived before
    FILL = "FILL"  # some lots, not the last
    FILL_ALL = "FILL_ALL"  # the last lots
    END_FILLS_MISSING = "END_FILLS_MISSING"  # finished; more was filled than we have seen
    END = "END"  # finished, with lots left over
    REJECT = "REJECT"
    TIMEOUT = "TIMEOUT"  # no word when there should have been one
    NOT_FOUND = "NOT_FOUND"  # the exchange, when asked, does not know it


S, E = OrderState, OrderEvent

# Whatever the exchange says about a leg ends our not knowing, even after it denied the leg: an
# order may wait in the client while the link is away.
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
        S.FINISHING: {  # an older report may still say that it is alive
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
#: Of these the exchange has said nothing: their lots are not among those it has frozen.
UNCONFIRMED = frozenset({S.SUBMITTED, S.UNKNOWN})


@dataclass(slots=True, eq=False, repr=False)
class OrderLeg:
    """One order at the exchange, from its intent to its end.

    What is known of it only grows: reports that come late take nothing back.

    Attributes:
        order_id: Chosen by us before sending.
        symbol, direction, offset, volume, limit_price: What is asked for; ``limit_price`` is None
            for a market order.
        sent_ns: When it was sent, nanoseconds since 1970 UTC; None where nobody waits for it.
        state: An ``OrderState``.
        exchange_order_id: Empty until the exchange has taken it.
        last_msg: The exchange's last word on it.
        fills: By trade id, in order of arrival.
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
    _finished: bool = False
    _reported_filled: int = 0

    def be_unknown(self) -> None:
        """Of an earlier run: what has become of it since is not known."""
        self.state = OrderState.UNKNOWN

    @classmethod
    def met(cls, report: OrderReport) -> OrderLeg:
        """A leg that we did not send, or have forgotten: what a report says of it."""
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
        """Lots filled, by the fills that have arrived."""
        return sum(fill.volume for fill in self.fills.values())

    @property
    def open_lots(self) -> int:
        """Lots that may still be filled, or have been and are still to be told."""
        if self.over:
            return 0
        expected = self._reported_filled if self._finished else self.volume
        return max(0, expected - self.filled)

    @property
    def over(self) -> bool:
        """Whether nothing is expected of it any more."""
        return self.state in OVER

    def overdue(self, now: int, patience_ns: int) -> bool:
        """Whether the exchange should have said something; then ``time_out`` it."""
        waits = self.state is OrderState.SUBMITTED and self.sent_ns is not None
        return waits and now - (self.sent_ns or 0) >= patience_ns

    def take_fill(self, fill: Fill) -> bool:
        """Count an execution; False if it was counted before.

        Raises:
            IllegalTransition: More lots than were asked for, or a fill of a rejected leg.
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
        """Take the exchange's view; return whether the state changed.

        Raises:
            IllegalTransition: The report fits no leg in this state; nothing is changed.
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
        """It never left: a rule of the client forbade it."""
        self._apply(OrderEvent.REJECT)
        self.last_msg = reason

    def time_out(self) -> bool:
        """There was no word in time; return whether the exchange has to be asked."""
        self._apply(OrderEvent.TIMEOUT)
        return self.state is OrderState.UNKNOWN

    def not_found(self) -> bool:
        """The exchange, asked for it, does not know it; return whether to ask once more.

        Only a leg of which nothing was known is LOST. What had been heard of before the answer
        may be younger than the answer.
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


#: Legs of which something is expected, by symbol and id.
LiveLegs = dict[str, dict[str, OrderLeg]]
