"""One order that follows the market: its price and its state.

``target`` reaches a position with a series of such orders, one at a time. Prices are in quote
units, times in nanoseconds since 1970 UTC.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from ..core.clock import SECOND
from ..core.model import NAN, Direction
from ..errors import IllegalTransition


class Style(StrEnum):
    """Where an order is priced."""

    ACTIVE = "ACTIVE"  # a buy at the ask
    PASSIVE = "PASSIVE"  # a buy at the bid


class Phase(StrEnum):
    """The state of the order."""

    WORKING = "WORKING"
    CANCELLING = "CANCELLING"  # being withdrawn
    SETTLING = "SETTLING"  # over, but some of its fills are still to come
    OVER = "OVER"


class PhaseEvent(StrEnum):
    """What can happen to it."""

    FILL = "FILL"  # not the last expected one
    LAST_FILL = "LAST_FILL"
    ASK_CANCEL = "ASK_CANCEL"
    CANCEL_REFUSED = "CANCEL_REFUSED"
    END = "END"  # over, all fills are known
    END_FILLS_MISSING = "END_FILLS_MISSING"


P, E = Phase, PhaseEvent

#: phase -> event -> next phase. A missing row is illegal.
TRANSITIONS: Mapping[Phase, Mapping[PhaseEvent, Phase]] = MappingProxyType(
    {
        P.WORKING: {
            E.FILL: P.WORKING, E.LAST_FILL: P.OVER, E.ASK_CANCEL: P.CANCELLING,
            E.CANCEL_REFUSED: P.WORKING,  # reported again
            E.END: P.OVER, E.END_FILLS_MISSING: P.SETTLING,
        },
        P.CANCELLING: {
            E.FILL: P.CANCELLING, E.LAST_FILL: P.OVER, E.ASK_CANCEL: P.CANCELLING,
            E.CANCEL_REFUSED: P.WORKING, E.END: P.OVER, E.END_FILLS_MISSING: P.SETTLING,
        },
        P.SETTLING: {
            E.FILL: P.SETTLING, E.LAST_FILL: P.OVER, E.CANCEL_REFUSED: P.SETTLING,
            E.END: P.OVER, E.END_FILLS_MISSING: P.SETTLING,
        },
        P.OVER: {},
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ChaseRules:
    """How to follow the market.

    Attributes:
        style: Which side of the book to quote at.
        requote_after_ns: After this time an order that is not filled is moved to the new quote.
        cancel_again_after_ns: A cancel without effect is repeated after this time.
        retry_after_ns: Pause after an order that the exchange has ended by itself.
        max_rejections: After this many rejections in a row it stops until there is a new target.
        max_order_volume: Maximum lots of one order; 0 for no limit.
        reach: Quote units beyond the price of ``style``.
    """

    style: Style = Style.ACTIVE
    requote_after_ns: int = 3 * SECOND
    cancel_again_after_ns: int = 5 * SECOND
    retry_after_ns: int = SECOND
    max_rejections: int = 3
    max_order_volume: int = 0
    reach: float = 0.0


@dataclass(frozen=True, slots=True)
class Quote:
    """The market now; nan where there is no price."""

    bid_price1: float = NAN
    ask_price1: float = NAN
    upper_limit: float = NAN
    lower_limit: float = NAN

    def price(self, direction: Direction, rules: ChaseRules) -> float:
        """Return the price to quote; if a side of the book is empty, that of the other one."""
        mine, theirs = self.bid_price1, self.ask_price1
        if direction is Direction.SELL:
            mine, theirs = theirs, mine
        first, second = (theirs, mine) if rules.style is Style.ACTIVE else (mine, theirs)
        price = (second if math.isnan(first) else first) + direction.sign * rules.reach
        price = self.upper_limit if price > self.upper_limit else price
        return self.lower_limit if price < self.lower_limit else price


@dataclass(frozen=True, slots=True)
class WorkingOrder:
    """The order at the exchange; ``ended_filled`` are its filled lots as reported at its end."""

    order_id: str
    direction: Direction
    volume: int
    price: float
    placed_ns: int
    filled: int = 0
    phase: Phase = Phase.WORKING
    cancel_ns: int | None = None
    ended_filled: int | None = None

    @property
    def left(self) -> int:
        """Lots that may still be filled."""
        return self.volume - self.filled

    def after(self, event: PhaseEvent) -> Phase:
        """Return the phase that follows an event."""
        following = TRANSITIONS[self.phase].get(event)
        if following is None:
            raise IllegalTransition(f"{self} cannot take {event}")
        return following
