"""What is known of one ``bt.Order`` on its way: its terms, its legs, and where it waits."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any

import backtrader as bt

from ..contracts.offsets import Leg
from ..contracts.order_terms import OrderTerms
from ..contracts.time_in_force import EXCHANGE_DAY, TimeInForce
from ..core.model import Direction, Offset
from .conditional import ConditionalOrder
from .leg import OrderLeg

#: Backtrader's statuses of orders that are over.
ENDS = frozenset(
    {
        bt.Order.Completed, bt.Order.Canceled, bt.Order.Expired, bt.Order.Margin,
        bt.Order.Rejected,
    }
)  # fmt: skip


#: What the ids of our exchange orders begin with; the ticket's key follows, and digits of its own.
_OURS = "TQBT_"
_OWN_DIGITS = 7  # with them no id is longer than TqSdk's own


def ticket_of(order_id: str) -> str:
    """The key of the ticket that an exchange order is of, "" if it is no program's of this library.

    >>> ticket_of("TQBT_0f3a9c_51d20b7")
    '0f3a9c'
    """
    prefix, _, _ = order_id.removeprefix(_OURS).rpartition("_")
    return prefix if order_id.startswith(_OURS) else ""


#: The word in ``order.info`` that an order of a roll has.
OF_A_ROLL = "rolls"


class PositionEffect(StrEnum):
    """What an order may do to positions."""

    NET = "NET"  # Backtrader's: closes the other side first, opens the rest
    OPEN = "OPEN"
    CLOSE = "CLOSE"


class Stage(StrEnum):
    """Where an order is."""

    DRAFT = "DRAFT"  # not transmitted
    DORMANT = "DORMANT"  # waits until its parent has opened something
    WATCHED = "WATCHED"  # waits for a price or a time
    QUEUED = "QUEUED"  # waits for the market to open, or for orders that hold its lots
    WORKING = "WORKING"  # at the exchange
    OVER = "OVER"


class Ending(StrEnum):
    """What was decided about its end before the exchange says so."""

    NONE = ""
    CANCEL = "CANCEL"
    EXPIRE = "EXPIRE"
    RESIZE = "RESIZE"  # withdrawn to be sent again with other lots


@dataclass(frozen=True, slots=True)
class SharedLots:
    """Lots that several orders are to close together: exits of one bracket, or of one OCO group.

    Attributes:
        lots: How many are open for them.
        orders: Numbers of the others.
    """

    lots: int
    orders: frozenset[int]


@dataclass(slots=True, eq=False)
class Ticket:
    """One order from the strategy's request to its end.

    Attributes:
        key: Its name in groups and records, in this run and after a restart.
        told: Backtrader's status and the lots filled, as the strategy was told last.
        owner_name: Class and number of a strategy of an earlier run, whose order it is.
        for_target: Whether a position target has sent it.
        may_open: Of its lots, how many may open; None for whatever it finds nothing to close for.
        close_only: Its owner's word on that, if there is one.
        shared: Lots that it shares with other exits of its groups, by the group's name in records.
        attempts: How often its exit was refused, or never arrived, and was sent again, since the
            exchange took it last.
        not_before: When it is sent again, nanoseconds since 1970 UTC.
        cancel_asked: When its withdrawal was asked for last, as ``monotonic`` counts.
        doubted: Whether the link was taken for dead because that had no answer.
        behind_others: Lots that it waits for and that orders of another terminal are to close.
        volume: Lots it stands for, filled ones included.
        unsent: Legs that wait until what closes has been filled.
        wave: Where the legs of the latest sending begin in ``legs``.
        after: Orders whose end is waited for before this one is sent.
        guarded: Whether the risk rules look at it.
        next_day: Whether it waits for a later trading day than ``sent_day``.
        spares: Legs that were sent in place of refused ones; none is sent in place of these.
        withdrawn_for: Why it is withdrawn, where it is not its owner who does it.
        followed: Whether its fills and its end mean something for others: for a group, or for
            lots that rely on it.
        held_back: Whether it stays with us, as its lots are on their way to another contract.
        told_without_limit: When it is told that it waits for the limit it is sent at, nanoseconds
            since 1970 UTC; None if it has not waited for it.
    """

    order: Any
    symbol: str
    direction: Direction
    volume: int
    terms: OrderTerms
    effect: PositionEffect = PositionEffect.NET
    allow_partial: bool = False
    validity: TimeInForce = EXCHANGE_DAY
    condition: ConditionalOrder | None = None
    stage: Stage = Stage.DRAFT
    ending: Ending = Ending.NONE
    legs: list[OrderLeg] = field(default_factory=list)
    unsent: list[Leg] = field(default_factory=list)
    wave: int = 0
    sent_terms: OrderTerms = field(default_factory=OrderTerms)
    sent_day: date | None = None
    after: list[Ticket] = field(default_factory=list)
    guarded: bool = True
    spares: set[str] = field(default_factory=set)
    next_day: bool = False
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    told: tuple[int, int] = (0, 0)
    owner_name: tuple[str, int] | None = None
    for_target: bool = False
    may_open: int | None = None
    close_only: bool | None = None
    shared: dict[str, SharedLots] = field(default_factory=dict)
    attempts: int = 0
    not_before: int = 0
    cancel_asked: float = 0.0
    doubted: bool = False
    behind_others: int = 0
    withdrawn_for: str = ""
    held_back: bool = False
    followed: bool = False
    told_without_limit: float | None = None

    def new_order_id(self) -> str:
        """For its next exchange order: a later program knows by it whose the order is."""
        return f"{_OURS}{self.key}_{uuid.uuid4().hex[:_OWN_DIGITS]}"

    def hear(self, status: int, lots: int) -> None:
        """Its strategy is told; the first end that it is told of stays its end for good."""
        self.told = (self.told[0] if self.end_told else status, max(self.told[1], lots))

    @property
    def end_told(self) -> bool:
        """Whether its strategy has been told its end, in this run or in an earlier one."""
        return self.told[0] in ENDS

    @property
    def filled(self) -> int:
        """Lots filled, of all its legs."""
        return sum(leg.filled for leg in self.legs)

    @property
    def left(self) -> int:
        """Lots still wanted."""
        return self.volume - self.filled

    @property
    def over(self) -> bool:
        """Whether its end has been told."""
        return self.stage is Stage.OVER

    @property
    def has_been_taken(self) -> bool:
        """Whether its strategy was told that it works, with us or at the exchange."""
        return self.order.status in (bt.Order.Accepted, bt.Order.Partial)

    @property
    def rests(self) -> bool:
        """Whether it is a limit order that may stand at the exchange for long."""
        priced = isinstance(self.terms.limit_price, int | float)
        return priced and not self.terms.advanced and not self.for_target

    @property
    def hurries(self) -> bool:
        """Whether it is to trade now: at the market, or because its price has come."""
        return self.terms.is_market or bool(self.order.triggered) or self.for_target

    @property
    def exits(self) -> bool:
        """Whether it closes, in whole or in part."""
        return self.effect is PositionEffect.CLOSE or self.may_open is not None

    @property
    def protects(self) -> bool:
        """Whether it is an exit whose price or time has come: lots rely on what of it closes."""
        return self.may_open is not None and bool(self.order.triggered)

    @property
    def opening(self) -> int:
        """Lots that it may still open, of those it was given when it was placed."""
        opened = sum(leg.filled for leg in self.legs if leg.offset is Offset.OPEN)
        return max(0, min(self.left, (self.may_open or 0) - opened))

    @property
    def closing(self) -> int:
        """Lots of an exit that are still to be closed."""
        return self.left - self.opening if self.exits else 0

    def closes_by(self, offset: Offset) -> bool:
        """Whether its lots with an offset close; an exit may open instead, to spare today's."""
        return self.may_open == 0 or offset is not Offset.OPEN

    @property
    def out(self) -> list[OrderLeg]:
        """Legs of the latest sending."""
        return self.legs[self.wave :]

    @property
    def live_legs(self) -> list[OrderLeg]:
        """Legs of which something is expected; of an earlier sending, too, if one was given up."""
        return [leg for leg in self.legs if not leg.over]

    @property
    def leaving(self) -> list[OrderLeg]:
        """Living legs that are to be withdrawn: all at its end, else those of earlier sendings."""
        out = () if self.over or self.ending else self.out
        return [leg for leg in self.live_legs if leg not in out]

    @property
    def excess(self) -> int:
        """Lots that its legs may trade beyond those wanted."""
        coming = sum(leg.open_lots for leg in self.live_legs)
        return max(0, coming + sum(leg.volume for leg in self.unsent) - self.left)

    def resize(self, volume: int) -> None:
        """Let it stand for other lots; Backtrader's order follows."""
        sign, done = self.direction.sign, self.order.executed.size
        self.volume = volume
        self.order.size = self.order.created.size = sign * volume
        self.order.executed.remsize = sign * volume - done
