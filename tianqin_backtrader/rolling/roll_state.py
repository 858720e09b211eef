"""The state of a roll, and its next step.

A roll closes a slice in the old contract, then opens as many lots in the new one, until all are
moved. Between two legs it reads the account: the positions there decide on the next step, so a
program that was killed at any point continues from the exchange's state. This module is pure;
``roll`` executes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from ..core.model import Direction
from ..errors import IllegalTransition, OrderError
from ..orders.pegged import Quote
from .roll_exits import CarriedExit


class Side(StrEnum):
    """The side of the lots that are moved."""

    LONG = "long"
    SHORT = "short"

    @property
    def sign(self) -> int:
        """+1 for LONG, -1 for SHORT."""
        return 1 if self is Side.LONG else -1


class RollPhase(StrEnum):
    """The phase of a roll."""

    CHECKING = "CHECKING"  # no order is out; the account decides on the next step
    CLOSING = "CLOSING"  # a slice is being closed in the old contract
    OPENING = "OPENING"  # as many lots are being opened in the new one
    DONE = "DONE"
    HALTED = "HALTED"  # an alarm was raised; the owner decides
    DROPPED = "DROPPED"  # by its owner


class RollEvent(StrEnum):
    """What can happen to a roll."""

    CLOSE = "CLOSE"
    OPEN = "OPEN"
    LEG_DONE = "LEG_DONE"
    ALL_MOVED = "ALL_MOVED"
    TROUBLE = "TROUBLE"
    RESTART = "RESTART"  # another program finds it on disk
    RESUME = "RESUME"
    DROP = "DROP"


P, E = RollPhase, RollEvent

#: phase -> event -> next phase. A missing entry is an illegal transition.
TRANSITIONS: Mapping[RollPhase, Mapping[RollEvent, RollPhase]] = MappingProxyType(
    {
        P.CHECKING: {
            E.CLOSE: P.CLOSING, E.OPEN: P.OPENING, E.ALL_MOVED: P.DONE, E.TROUBLE: P.HALTED,
            E.RESTART: P.CHECKING, E.DROP: P.DROPPED,
        },
        P.CLOSING: {E.LEG_DONE: P.CHECKING, E.TROUBLE: P.HALTED, E.RESTART: P.CHECKING},
        P.OPENING: {E.LEG_DONE: P.CHECKING, E.TROUBLE: P.HALTED, E.RESTART: P.CHECKING},
        P.HALTED: {E.RESTART: P.HALTED, E.RESUME: P.CHECKING, E.DROP: P.DROPPED},
        P.DONE: {},
        P.DROPPED: {},
    }
)  # fmt: skip

ENDED = frozenset({P.DONE, P.DROPPED})


class PositionMismatch(OrderError):
    """The account's positions fit no step of the roll: somebody else has traded."""


class TooFewToOpen(OrderError):
    """Lots are left that are fewer than the smallest opening order of the new contract."""


@dataclass(frozen=True, slots=True)
class RollPlan:
    """The lots to move.

    If entries have opened lots while they were cancelled, another plan replaces it; after the
    roll's first order the plan does not change.

    Attributes:
        old, new: The contracts.
        side: The side of the lots.
        lots: The number of lots.
        old_start, new_start: Lots of that side that the account held in each before.
        slice_lots: Lots closed before as many are opened.
        max_slippage: Quote units by which an order may be worse than the middle at its leg's
            beginning.
        patience: Seconds of trading time for one leg.
        account: The account of the lots.
        least: The smallest opening order of the new contract.
    """

    old: str
    new: str
    side: Side
    lots: int
    old_start: int
    new_start: int
    slice_lots: int
    max_slippage: float
    patience: float
    account: str = ""
    least: int = 1

    @property
    def most_between(self) -> int:
        """The most lots that may be in neither contract."""
        return max(self.slice_lots, self.least) + self.least - 1

    def slice_of(self, left: int) -> int:
        """Lots of the next slice, chosen so that the remaining ones can be opened, too.

        >>> plan = RollPlan("a", "b", Side.LONG, 10, 10, 0, 4, 50.0, 300.0, least=4)
        >>> plan.slice_of(10), plan.slice_of(6)
        (4, 6)
        """
        lots = min(left, max(self.slice_lots, self.least))
        return left if 0 < left - lots < self.least else lots

    def slices(self) -> tuple[int, ...]:
        """All slices, if nothing else happens.

        Raises:
            TooFewToOpen: There are fewer lots than the smallest opening order.
        """
        if self.lots < self.least:
            raise TooFewToOpen(
                f"{self.lots} lots cannot be moved to {self.new}: an opening order has at least "
                f"{self.least} lots there"
            )
        left, found = self.lots, []
        while left:
            found.append(self.slice_of(left))
            left -= found[-1]
        return tuple(found)

    def direction(self, phase: RollPhase) -> Direction:
        """The direction of a leg's orders."""
        sells = (self.side is Side.LONG) == (phase is P.CLOSING)
        return Direction.SELL if sells else Direction.BUY


@dataclass(frozen=True, slots=True)
class RollFill:
    """One execution of a roll; ``reference`` is the middle at its leg's beginning, or NaN."""

    symbol: str
    direction: Direction
    price: float
    volume: int
    commission: float
    reference: float


@dataclass(frozen=True, slots=True)
class ExitFill:
    """Lots that an exit, or its replacement, has closed during the roll."""

    symbol: str
    volume: int


@dataclass(frozen=True, slots=True)
class RollState:
    """The whole state of a roll, saved before each of its steps.

    Attributes:
        begun_ns, ended_ns: Market time; 0 before.
        reason: Why it is HALTED.
        reference: The middle at the leg's beginning.
        order_ids: The ids of its exchange orders.
        fills: By trade id.
        exits: Orders that close the old contract's lots, oldest first.
        gap: The shift of their prices; None before both books were seen.
        exit_fills: By trade id.
        closed_before: Trade ids of exits that were filled before it began.
        given_up: Lots that are not opened any more, because an exit has fired meanwhile.
    """

    plan: RollPlan
    begun_ns: int
    phase: RollPhase = P.CHECKING
    reason: str = ""
    reference: float = float("nan")
    order_ids: tuple[str, ...] = ()
    fills: Mapping[str, RollFill] = field(default_factory=dict)
    ended_ns: int = 0
    exits: tuple[CarriedExit, ...] = ()
    gap: float | None = None
    exit_fills: Mapping[str, ExitFill] = field(default_factory=dict)
    closed_before: tuple[str, ...] = ()
    given_up: int = 0

    def exited(self, symbol: str) -> int:
        """Lots of a contract that exits have closed since the roll began."""
        return sum(fill.volume for fill in self.exit_fills.values() if fill.symbol == symbol)

    @property
    def ended(self) -> bool:
        """Whether the roll has ended."""
        return self.phase in ENDED

    def after(self, event: RollEvent, now: int = 0, reason: str = "") -> RollState:
        """The state after an event.

        Raises:
            IllegalTransition: The event is illegal in this phase.
        """
        following = TRANSITIONS[self.phase].get(event)
        if following is None:
            raise IllegalTransition(f"a roll that is {self.phase} cannot take {event}")
        ended = now if following in ENDED else 0
        if following is P.HALTED:
            reason = reason or self.reason
        return replace(self, phase=following, reason=reason, ended_ns=ended)


@dataclass(frozen=True, slots=True)
class Move:
    """The next step: CLOSE or OPEN a number of lots, or ALL_MOVED."""

    event: RollEvent
    lots: int = 0


def next_move(plan: RollPlan, old_held: int, new_held: int, exited: int = 0) -> Move:
    """The next step for the account's lots of the side.

    Args:
        plan: The roll.
        old_held, new_held: Held lots, including those that exits have closed since it began.
        exited: Lots that exits have closed in the old contract.

    Raises:
        PositionMismatch: The lots fit no step of this roll.
        TooFewToOpen: The remaining lots cannot be opened in the new contract.

    >>> plan = RollPlan("SHFE.cu2612", "SHFE.cu2701", Side.LONG, 5, 5, 1, 2, 50.0, 300.0)
    >>> [next_move(plan, *held).event.value for held in ((5, 1), (4, 1), (3, 3), (0, 6))]
    ['CLOSE', 'OPEN', 'CLOSE', 'ALL_MOVED']
    """
    out, into = plan.old_start - old_held, new_held - plan.new_start
    lots = min(plan.lots, plan.old_start - exited)
    between, left = out - into, lots - out
    if not 0 <= into <= out <= lots or between > plan.most_between:
        raise PositionMismatch(
            f"{lots} lots {plan.side} of {plan.old} are being moved to {plan.new}; the "
            f"account holds {old_held} and {new_held} of {plan.old_start} and {plan.new_start}, "
            "which fits no step: somebody else has traded"
        )
    if between >= plan.least:
        return Move(E.OPEN, between)
    if between + left == 0:
        return Move(E.ALL_MOVED)
    if between + left < plan.least:
        where = f"{between} of them are closed already" if between else f"they stay in {plan.old}"
        raise TooFewToOpen(
            f"{between + left} lots cannot be moved to {plan.new}, an opening order has at least "
            f"{plan.least} lots there: {where}"
        )
    if not between:
        return Move(E.CLOSE, plan.slice_of(left))
    more = plan.least - between  # so many more make a slice that can be opened
    return Move(E.CLOSE, left if 0 < left - more < plan.least else more)


def capped(quote: Quote, direction: Direction, reference: float, max_slippage: float) -> Quote:
    """The quote with prices limited for a leg."""
    worst = reference + direction.sign * max_slippage
    if direction is Direction.BUY:
        upper = worst if not quote.upper_limit < worst else quote.upper_limit
        return replace(quote, upper_limit=upper)
    lower = worst if not quote.lower_limit > worst else quote.lower_limit
    return replace(quote, lower_limit=lower)
