"""The life of one leg at the exchange, as a table of states and events.

Reports may come twice, late or out of order; fills are counted by trade id. A leg is over when
the exchange has finished it *and* all its fills have arrived.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from .errors import IllegalTransition
from .model import Direction, Fill, Offset, OrderReport


class OrderState(StrEnum):
    """Where a leg stands."""

    SUBMITTED = "SUBMITTED"  # handed to the client, no word from the exchange yet
    ALIVE = "ALIVE"  # the exchange has it
    PARTIAL = "PARTIAL"  # partly filled
    FINISHING = "FINISHING"  # finished, but fills are still missing
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"  # over with lots left
    REJECTED = "REJECTED"


class OrderEvent(StrEnum):
    """What can happen to a leg."""

    ACCEPT = "ACCEPT"  # reported alive
    FILL = "FILL"  # some lots, not the last
    FILL_ALL = "FILL_ALL"  # the last lots
    END_FILLS_MISSING = "END_FILLS_MISSING"  # finished; more was filled than we have seen
    END = "END"  # finished, with lots left over
    REJECT = "REJECT"


S, E = OrderState, OrderEvent

#: state -> event -> next state. A missing row is illegal.
TRANSITIONS: Mapping[OrderState, Mapping[OrderEvent, OrderState]] = MappingProxyType(
    {
        S.SUBMITTED: {
            E.ACCEPT: S.ALIVE, E.FILL: S.PARTIAL, E.FILL_ALL: S.FILLED,
            E.END_FILLS_MISSING: S.FINISHING, E.END: S.CANCELLED, E.REJECT: S.REJECTED,
        },
        S.ALIVE: {
            E.ACCEPT: S.ALIVE, E.FILL: S.PARTIAL, E.FILL_ALL: S.FILLED,
            E.END_FILLS_MISSING: S.FINISHING, E.END: S.CANCELLED, E.REJECT: S.REJECTED,
        },
        S.PARTIAL: {
            E.ACCEPT: S.PARTIAL, E.FILL: S.PARTIAL, E.FILL_ALL: S.FILLED,
            E.END_FILLS_MISSING: S.FINISHING, E.END: S.CANCELLED,
        },
        S.FINISHING: {
            E.ACCEPT: S.FINISHING, E.FILL: S.FINISHING, E.FILL_ALL: S.FILLED,
            E.END_FILLS_MISSING: S.FINISHING, E.END: S.CANCELLED,
        },
        S.FILLED: {E.ACCEPT: S.FILLED, E.END: S.FILLED, E.END_FILLS_MISSING: S.FILLED},
        S.CANCELLED: {
            E.ACCEPT: S.CANCELLED, E.END: S.CANCELLED, E.END_FILLS_MISSING: S.FINISHING,
            E.FILL: S.CANCELLED, E.FILL_ALL: S.FILLED,  # the fill crossed the cancel
        },
        S.REJECTED: {E.ACCEPT: S.REJECTED, E.REJECT: S.REJECTED, E.END: S.REJECTED},
    }
)  # fmt: skip

OVER = frozenset({S.FILLED, S.CANCELLED, S.REJECTED})


class OrderLeg:
    """One order at the exchange, from its intent to its end.

    Attributes:
        order_id: Chosen by us before sending.
        symbol, direction, offset, volume, limit_price: What is asked for; ``limit_price`` is None
            for a market order.
        state: An ``OrderState``.
        exchange_order_id: Empty until the exchange has taken it.
        last_msg: The exchange's last word on it.
        fills: By trade id, in order of arrival.
    """

    def __init__(
        self,
        order_id: str,
        symbol: str,
        direction: Direction,
        offset: Offset,
        volume: int,
        limit_price: float | str | None,
    ) -> None:
        self.order_id = order_id
        self.symbol = symbol
        self.direction = direction
        self.offset = offset
        self.volume = volume
        self.limit_price = limit_price
        self.state = OrderState.SUBMITTED
        self.exchange_order_id = ""
        self.last_msg = ""
        self.fills: dict[str, Fill] = {}
        self._reported_filled = 0

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
    def over(self) -> bool:
        """Whether nothing can happen to it any more."""
        return self.state in OVER

    def take_fill(self, fill: Fill) -> bool:
        """Count an execution; False if it was counted before."""
        if fill.trade_id in self.fills:
            return False
        if self.filled + fill.volume > self.volume:
            raise IllegalTransition(f"{self!r} cannot be filled with {fill.volume} lots more")
        total = self.filled + fill.volume
        ended = self.state is OrderState.FINISHING and total == self._reported_filled
        self._apply(OrderEvent.FILL_ALL if total == self.volume else OrderEvent.FILL)
        self.fills[fill.trade_id] = fill
        if ended and not self.over:
            self._apply(OrderEvent.END)
        return True

    def take_report(self, report: OrderReport) -> bool:
        """Take the exchange's view; return whether the state changed."""
        before = self.state
        self.exchange_order_id = report.exchange_order_id or self.exchange_order_id
        self.last_msg = report.last_msg or self.last_msg
        self._reported_filled = report.volume_orign - report.volume_left
        if report.status != "FINISHED":
            # The client shows its own unsent order as ALIVE without an exchange id.
            if report.exchange_order_id:
                self._apply(OrderEvent.ACCEPT)
        elif report.rejected and not self.fills and not self._reported_filled:
            self._apply(OrderEvent.REJECT)
        elif self._reported_filled > self.filled:
            self._apply(OrderEvent.END_FILLS_MISSING)
        else:
            self._apply(OrderEvent.END)
        return self.state is not before

    def reject(self, reason: str) -> None:
        """It never left: a rule of the client forbade it."""
        self.last_msg = reason
        self._apply(OrderEvent.REJECT)

    def _apply(self, event: OrderEvent) -> None:
        following = TRANSITIONS[self.state].get(event)
        if following is None:
            raise IllegalTransition(f"{self!r} cannot take {event}")
        self.state = following
