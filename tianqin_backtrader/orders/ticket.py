"""``Ticket``: the state of one ``bt.Order``: its terms, its legs, and what it waits for."""

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


#: Ids of exchange orders begin with this; the ticket's key and some digits follow.
_OURS = "TQBT_"
_OWN_DIGITS = 7  # with this number no id is longer than TqSdk's own


def ticket_of(order_id: str) -> str:
    """Return the key of an exchange order's ticket, "" if this library did not send the order.

    >>> ticket_of("TQBT_0f3a9c_51d20b7")
    '0f3a9c'
    """
    prefix, _, _ = order_id.removeprefix(_OURS).rpartition("_")
    return prefix if order_id.startswith(_OURS) else ""


#: The key in ``order.info`` that marks an order of a roll.
OF_A_ROLL = "rolls"


class PositionEffect(StrEnum):
    """What an order may do to positions."""

    NET = "NET"  # Backtrader's: closes the other side first, opens the rest
    OPEN = "OPEN"
    CLOSE = "CLOSE"


class Stage(StrEnum):
    """The stage of an order."""

    DRAFT = "DRAFT"  # not transmitted
    DORMANT = "DORMANT"  # waits until its parent has opened something
    WATCHED = "WATCHED"  # waits for a price or a time
    QUEUED = "QUEUED"  # waits for the market to open, or for orders that hold its lots
    WORKING = "WORKING"  # at the exchange
    OVER = "OVER"


class Ending(StrEnum):
    """Why an order is being withdrawn, until its end is reported."""

    NONE = ""
    CANCEL = "CANCEL"
    EXPIRE = "EXPIRE"
    RESIZE = "RESIZE"  # withdrawn to be sent again with other lots


@dataclass(frozen=True, slots=True)
class SharedLots:
    """Lots that several orders are to close together: exits of one bracket, or of one OCO group.

    Attributes:
        lots: How many lots are open for them.
        orders: Numbers of the other orders.
    """

    lots: int
    orders: frozenset[int]


@dataclass(slots=True, eq=False)
class Ticket:
    """One order from the strategy's request to its end.

    Attributes:
        key: Its name in groups and records, in this run and after a restart.
        told: Backtrader's status and the filled lots as last notified to the strategy.
        owner_name: Class and number of its strategy, if that is of an earlier run.
        for_target: Whether a position target has sent it.
        may_open: How many of its lots may open; None: all lots that find nothing to close.
        close_only: Its owner's decision on that, if given.
        shared: Lots that it shares with other exits of its groups, by the group's name in records.
        attempts: How often its exit was sent again because it was refused or never arrived, since
            the exchange last accepted it.
        not_before: When it may be sent again, nanoseconds since 1970 UTC.
        cancel_asked: When its cancel was last requested, in seconds of ``monotonic``.
        cancel_session: The session in which it was last sent; 0 for none.
        doubted: Whether the link was considered dead because the cancel had no effect.
        behind_others: Lots that it waits for and that orders of another terminal are to close.
        volume: Lots that it covers, filled ones included.
        unsent: Legs that wait until the closing legs are filled.
        wave: Where the legs that were sent last begin in ``legs``.
        after: Orders that must end before this one is sent.
        guarded: Whether the risk rules apply to it.
        next_day: Whether it waits for a later trading day than ``sent_day``.
        spares: Legs that were sent in place of refused ones; these are not replaced again.
        withdrawn_for: Why it is withdrawn, if not by its owner.
        followed: Whether its fills and its end have to be processed for others: for a group, or for
            lots that rely on it.
        held_back: Whether it stays in the program because its lots are moving to another contract.
        told_without_limit: When to report that it waits for its limit price, nanoseconds since 1970
            UTC; None if it does not wait, infinity once reported.
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
    cancel_session: int = 0
    doubted: bool = False
    behind_others: int = 0
    withdrawn_for: str = ""
    held_back: bool = False
    followed: bool = False
    told_without_limit: float | None = None

    def new_order_id(self) -> str:
        """Return an id for its next exchange order, by which a later program knows the ticket."""
        return f"{_OURS}{self.key}_{uuid.uuid4().hex[:_OWN_DIGITS]}"

    def hear(self, status: int, lots: int) -> None:
        """Note what the strategy is notified of; the first notified end stays its end."""
        self.told = (self.told[0] if self.end_told else status, max(self.told[1], lots))

    @property
    def end_told(self) -> bool:
        """Whether its end has been notified to the strategy, in this run or an earlier one."""
        return self.told[0] in ENDS

    @property
    def filled(self) -> int:
        """Filled lots of all its legs."""
        return sum(leg.filled for leg in self.legs)

    @property
    def left(self) -> int:
        """Lots that are not filled."""
        return self.volume - self.filled

    @property
    def over(self) -> bool:
        """Whether it is over."""
        return self.stage is Stage.OVER

    @property
    def has_been_taken(self) -> bool:
        """Whether it was notified as Accepted, in the program or by the exchange, or Partial."""
        return self.order.status in (bt.Order.Accepted, bt.Order.Partial)

    @property
    def rests(self) -> bool:
        """Whether it is a limit order that may stay at the exchange for long."""
        priced = isinstance(self.terms.limit_price, int | float)
        return priced and not self.terms.advanced and not self.for_target

    @property
    def hurries(self) -> bool:
        """Whether it is urgent: at the market, of a target, or its price has been reached."""
        return self.terms.is_market or bool(self.order.triggered) or self.for_target

    @property
    def exits(self) -> bool:
        """Whether it closes, in whole or in part."""
        return self.effect is PositionEffect.CLOSE or self.may_open is not None

    @property
    def protects(self) -> bool:
        """Whether it is an exit whose price or time has come, on which lots rely."""
        return self.may_open is not None and bool(self.order.triggered)

    @property
    def opening(self) -> int:
        """Lots that it may still open, according to ``may_open``."""
        opened = sum(leg.filled for leg in self.legs if leg.offset is Offset.OPEN)
        return max(0, min(self.left, (self.may_open or 0) - opened))

    @property
    def closing(self) -> int:
        """Lots of an exit that are still to be closed."""
        return self.left - self.opening if self.exits else 0

    def closes_by(self, offset: Offset) -> bool:
        """Return whether its lots with an offset close; an exit may open, to spare today's."""
        return self.may_open == 0 or offset is not Offset.OPEN

    @property
    def out(self) -> list[OrderLeg]:
        """Legs that were sent last."""
        return self.legs[self.wave :]

    @property
    def live_legs(self) -> list[OrderLeg]:
        """Legs that are not over; also earlier ones that live after they were LOST."""
        return [leg for leg in self.legs if not leg.over]

    @property
    def leaving(self) -> list[OrderLeg]:
        """Living legs to withdraw: all of them at its end, otherwise those sent earlier."""
        out = () if self.over or self.ending else self.out
        return [leg for leg in self.live_legs if leg not in out]

    @property
    def excess(self) -> int:
        """Lots that its legs may trade beyond ``volume``."""
        coming = sum(leg.open_lots for leg in self.live_legs)
        return max(0, coming + sum(leg.volume for leg in self.unsent) - self.left)

    def resize(self, volume: int) -> None:
        """Change its number of lots, also in Backtrader's order."""
        sign, done = self.direction.sign, self.order.executed.size
        self.volume = volume
        self.order.size = self.order.created.size = sign * volume
        self.order.executed.remsize = sign * volume - done
