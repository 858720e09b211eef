"""Moving lots from one contract to the next: what a roll knows, and what it does next.

A roll closes a slice in the old contract, then opens as many lots in the new one, until all are
moved. Between two legs it looks at the account: what is held there decides what comes next, so a
program that was killed anywhere goes on from what the exchange has. Nothing here does anything;
``roll`` carries it out.
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
    """Which lots are moved."""

    LONG = "long"
    SHORT = "short"

    @property
    def sign(self) -> int:
        """+1 for LONG, -1 for SHORT."""
        return 1 if self is Side.LONG else -1


class RollPhase(StrEnum):
    """Where a roll stands."""

    CHECKING = "CHECKING"  # nothing is out; the account says what comes next
    CLOSING = "CLOSING"  # a slice in the old contract
    OPENING = "OPENING"  # as many lots in the new one
    DONE = "DONE"
    HALTED = "HALTED"  # the alarm was given; its owner decides
    DROPPED = "DROPPED"  # by its owner


class RollEvent(StrEnum):
    """What can happen to it."""

    CLOSE = "CLOSE"
    OPEN = "OPEN"
    LEG_DONE = "LEG_DONE"
    ALL_MOVED = "ALL_MOVED"
    TROUBLE = "TROUBLE"
    RESTART = "RESTART"  # another program finds it on disk
    RESUME = "RESUME"
    DROP = "DROP"


P, E = RollPhase, RollEvent

#: phase -> event -> next phase. A missing row is illegal.
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
    """The account holds what no step of the roll leads to: somebody else has traded."""


class TooFewToOpen(OrderError):
    """Lots are left that the new contract does not open, as they are fewer than its least."""


@dataclass(frozen=True, slots=True)
class RollPlan:
    """What is to be moved.

    Where entries have opened lots as they were withdrawn, another plan is followed; after the
    roll's first order its plan stays.

    Attributes:
        old, new: Contracts.
        side: Which lots.
        lots: How many.
        old_start, new_start: Lots of that side the account held in each before.
        slice_lots: Lots closed before as many are opened.
        max_slippage: Quote units an order may be worse than the middle at the leg's beginning.
        patience: Seconds of trading time for one leg.
        account: Whose lots they are.
        least: Lots that the new contract opens at least.
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
        """Lots that may be in neither contract."""
        return max(self.slice_lots, self.least) + self.least - 1

    def slice_of(self, left: int) -> int:
        """Lots of the next slice; what it leaves can be opened, too.

        >>> plan = RollPlan("a", "b", Side.LONG, 10, 10, 0, 4, 50.0, 300.0, least=4)
        >>> plan.slice_of(10), plan.slice_of(6)
        (4, 6)
        """
        lots = min(left, max(self.slice_lots, self.least))
        return left if 0 < left - lots < self.least else lots

    def slices(self) -> tuple[int, ...]:
        """All of them, as long as nothing else happens.

        Raises:
            TooFewToOpen: There are fewer lots than can be opened.
        """
        if self.lots < self.least:
            raise TooFewToOpen(
                f"{self.lots} lots cannot be moved to {self.new}: an order opens {self.least} "
                "there at least"
            )
        left, found = self.lots, []
        while left:
            found.append(self.slice_of(left))
            left -= found[-1]
        return tuple(found)

    def direction(self, phase: RollPhase) -> Direction:
        """Of the orders of a leg."""
        sells = (self.side is Side.LONG) == (phase is P.CLOSING)
        return Direction.SELL if sells else Direction.BUY


@dataclass(frozen=True, slots=True)
class RollFill:
    """One execution of a roll; ``reference`` is the middle at its leg's beginning, or nan."""

    symbol: str
    direction: Direction
    price: float
    volume: int
    commission: float
    reference: float


@dataclass(frozen=True, slots=True)
class ExitFill:
    """Lots that an exit, or its stand-in, has closed while the roll went on."""

    symbol: str
    volume: int


@dataclass(frozen=True, slots=True)
class RollState:
    """All that is kept of a roll, on disk before each of its steps.

    Attributes:
        begun_ns, ended_ns: Market time; 0 before.
        reason: Why it is HALTED.
        reference: The middle at the leg's beginning.
        order_ids: Of every exchange order sent for it.
        fills: By trade id.
        exits: Orders that close the old contract's lots, oldest first.
        gap: What their prices are shifted by; None before both books were seen.
        exit_fills: By trade id.
        closed_before: Trade ids of exits that were filled before it began.
        given_up: Lots that are not opened any more, as an exit has fired meanwhile.
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
        """Lots of a contract that exits have closed since it began."""
        return sum(fill.volume for fill in self.exit_fills.values() if fill.symbol == symbol)

    @property
    def ended(self) -> bool:
        """Whether nothing more will be done."""
        return self.phase in ENDED

    def after(self, event: RollEvent, now: int = 0, reason: str = "") -> RollState:
        """The state that follows.

        Raises:
            IllegalTransition: No such row.
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
    """What comes next: CLOSE or OPEN so many lots, or ALL_MOVED."""

    event: RollEvent
    lots: int = 0


def next_move(plan: RollPlan, old_held: int, new_held: int, exited: int = 0) -> Move:
    """What the account's lots of the side lead to.

    Args:
        plan: The roll.
        old_held, new_held: Lots, those that exits have closed since it began counted as held.
        exited: How many they have closed in the old contract.

    Raises:
        PositionMismatch: No step of this roll leads to them.
        TooFewToOpen: What is left cannot be opened in the new contract.

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
            "to which no step leads: somebody else has traded"
        )
    if between >= plan.least:
        return Move(E.OPEN, between)
    if between + left == 0:
        return Move(E.ALL_MOVED)
    if between + left < plan.least:
        where = f"{between} of them are closed already" if between else f"they stay in {plan.old}"
        raise TooFewToOpen(
            f"{between + left} lots cannot be moved to {plan.new}, an order opens {plan.least} "
            f"there at least: {where}"
        )
    if not between:
        return Move(E.CLOSE, plan.slice_of(left))
    more = plan.least - between  # so many more make a slice that can be opened
    return Move(E.CLOSE, left if 0 < left - more < plan.least else more)


def capped(quote: Quote, direction: Direction, reference: float, max_slippage: float) -> Quote:
    """The quote as a leg sees it: no price is worse than its limit."""
    worst = reference + direction.sign * max_slippage
    if direction is Direction.BUY:
        upper = worst if not quote.upper_limit < worst else quote.upper_limit
        return replace(quote, upper_limit=upper)
    lower = worst if not quote.lower_limit > worst else quote.lower_limit
    return replace(quote, lower_limit=lower)
