"""One order that follows the market: where it is quoted, and where it stands.

``target`` works to a position with a chain of such orders, one at a time. Prices are in
quote units, moments in nanoseconds since 1970 UTC.
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
    """Where an order is quoted."""

    ACTIVE = "ACTIVE"  # a buy at the ask
    PASSIVE = "PASSIVE"  # a buy at the bid


class Phase(StrEnum):
    """Where the one order stands."""

    WORKING = "WORKING"
    CANCELLING = "CANCELLING"  # asked to be withdrawn
    SETTLING = "SETTLING"  # over, but some of its fills are still to come
    OVER = "OVER"


class PhaseEvent(StrEnum):
    """What can happen to it."""

    FILL = "FILL"  # not the last that is expected
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
            E.CANCEL_REFUSED: P.WORKING,  # told again
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
    """How to work.

    Attributes:
        requote_after_ns: An order that has not traded away by then follows the quote.
        cancel_again_after_ns: A cancel without effect is repeated after that time.
        retry_after_ns: Rest after an order that the exchange ended by itself.
        max_rejections: So many rejections in a row, and it stops until there is a new target.
        max_order_volume: Lots of one order; 0 for no limit.
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
        """Where to quote. At a price limit one side is empty; then the other one serves."""
        mine, theirs = self.bid_price1, self.ask_price1
        if direction is Direction.SELL:
            mine, theirs = theirs, mine
        first, second = (theirs, mine) if rules.style is Style.ACTIVE else (mine, theirs)
        price = (second if math.isnan(first) else first) + direction.sign * rules.reach
        price = self.upper_limit if price > self.upper_limit else price
        return self.lower_limit if price < self.lower_limit else price


@dataclass(frozen=True, slots=True)
class WorkingOrder:
    """The one order that is out. ``ended_filled`` is what the exchange has said at its end."""

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
        """The phase that follows."""
        following = TRANSITIONS[self.phase].get(event)
        if following is None:
            raise IllegalTransition(f"{self} cannot take {event}")
        return following
