"""Orders that close: how many of their lots may open, and which lots they can close now.

Whether an order closes is decided when it is placed, and remembered: if its lots are gone when it
is sent, it opens none in their place. Lots that another living order is to close are not free.
The counters' own frozen fields are not used: they lag, and have different meanings.

Lots are counted for one side of one contract.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from ..contracts.offsets import Leg
from ..contracts.time_in_force import day_is_over
from ..core.context import Context
from ..core.model import Direction, Offset
from .leg import OrderLeg
from .ticket import Ending, PositionEffect, SharedLots, Stage, Ticket


class Timing(StrEnum):
    """When an order trades its lots."""

    AT_ONCE = "AT_ONCE"  # at the market
    RESTS = "RESTS"  # a limit order
    LATER = "LATER"  # waits for a price, a time, or another order's end


@dataclass(frozen=True, slots=True)
class SideLots:
    """Lots of one side.

    Attributes:
        account: Held, according to the account's ``pos_*``.
        booked: Held, according to the reported fills.
        coming: Not held yet: orders at the market are to open them.
    """

    account: int
    booked: int
    coming: int = 0

    @property
    def sure(self) -> int:
        """Lots that are held according to both."""
        return min(self.account, self.booked)

    @property
    def settled(self) -> bool:
        """Whether both agree, so that no report is missing."""
        return self.account == self.booked


@dataclass(frozen=True, slots=True)
class Claim:
    """Lots that another living order is to close.

    Attributes:
        order: Its number; 0 for an order that this program has not sent.
        lots: Lots that it may still close.
        rests: Whether it is a limit order, which can be suspended for an urgent one.
        leaves: Whether it is being withdrawn.
    """

    order: int
    lots: int
    rests: bool = False
    leaves: bool = False


@dataclass(frozen=True, slots=True)
class ExitStep:
    """What an order that closes does next.

    Attributes:
        now: Lots to send now.
        waits: Whether it waits for the other lots; otherwise there are no more.
        stand_back: Numbers of the orders to suspend for it.
    """

    now: int
    waits: bool = False
    stand_back: tuple[int, ...] = ()


def may_open(
    volume: int,
    held: int,
    claims: Iterable[Claim],
    timing: Timing,
    *,
    close_only: bool | None = None,
) -> int | None:
    """Return how many of an order's lots may open; None if none of them has to close.

    Args:
        volume: Lots of the order.
        held: Lots of the side that it can close, according to the reported fills, and those that
            orders at the market will still open.
        claims: Those of orders that close the same side.
        timing: What it waits for; OCO members wait for each other.
        close_only: The owner's decision, if given.

    >>> may_open(5, 3, [], Timing.RESTS)
    2
    >>> may_open(3, 3, [Claim(1, 3, rests=True)], Timing.RESTS) is None
    True
    """
    if close_only is not None:
        return 0 if close_only else None
    closes = min(volume, held - sum(one.lots for one in claims if _is_before(one, timing)))
    return volume - closes if closes > 0 else None


def _is_before(claim: Claim, timing: Timing) -> bool:
    """Whether a claim has precedence over an order that is placed now."""
    if claim.leaves or timing is Timing.LATER:
        return False
    return timing is Timing.RESTS or not claim.rests


def exit_step(
    need: int, lots: SideLots, claims: Sequence[Claim], *, hurries: bool, patient: bool
) -> ExitStep:
    """Return what an order does now about the lots that it is to close.

    Args:
        need: Number of lots to close.
        lots: The held lots.
        claims: Those of the other orders that close the same side, oldest first.
        hurries: Whether it is urgent: free lots are sent at once, and limit orders are suspended.
        patient: Whether to wait if account and fills differ.

    >>> exit_step(3, SideLots(0, 0, coming=3), [], hurries=True, patient=True)
    ExitStep(now=0, waits=True, stand_back=())
    >>> exit_step(3, SideLots(3, 3), [Claim(7, 3, rests=True)], hurries=True, patient=True)
    ExitStep(now=0, waits=True, stand_back=(7,))
    """
    free = max(0, lots.sure - sum(one.lots for one in claims))
    if free >= need:
        return ExitStep(need)
    expected = lots.coming or (patient and not lots.settled)
    if not expected and not any(one.lots for one in claims):
        return ExitStep(free)
    if not hurries:
        return ExitStep(0, waits=True)
    missing = need - free - sum(one.lots for one in claims if one.leaves)
    stand_back = []
    for claim in reversed(claims):
        if missing > 0 and claim.rests and claim.order and not claim.leaves:
            stand_back.append(claim.order)
            missing -= claim.lots
    return ExitStep(free, waits=True, stand_back=tuple(stand_back))


def held_by_others(need: int, lots: SideLots, claims: Iterable[Claim]) -> int:
    """Return how many of the lots to close only another terminal can release.

    >>> held_by_others(3, SideLots(4, 4), [Claim(0, 3), Claim(7, 1, rests=True)])
    2
    """
    foreign = sum(one.lots for one in claims if not one.order)
    return min(foreign, max(0, need - max(0, lots.sure - foreign)))


def exit_step_among(
    need: int,
    lots: SideLots,
    claims: Sequence[Claim],
    shares: Iterable[SharedLots],
    *,
    hurries: bool,
    patient: bool,
) -> ExitStep:
    """Return the ``exit_step`` of an order that shares its lots with others of its group.

    The group's orders at the exchange must not exceed its lots, even if the account holds more:
    they could all trade.

    >>> claims, shared = [Claim(7, 3, rests=True)], SharedLots(3, frozenset({7}))
    >>> exit_step_among(3, SideLots(9, 9), claims, [shared], hurries=True, patient=True)
    ExitStep(now=0, waits=True, stand_back=(7,))
    """
    step = exit_step(need, lots, claims, hurries=hurries, patient=patient)
    for shared in shares:
        theirs = [claim for claim in claims if claim.order in shared.orders]
        wanted, open_lots = min(need, shared.lots), SideLots(shared.lots, shared.lots)
        among = exit_step(wanted, open_lots, theirs, hurries=hurries, patient=patient)
        if among.waits:
            more = tuple(one for one in among.stand_back if one not in step.stand_back)
            step = ExitStep(min(step.now, among.now), True, (*step.stand_back, *more))
    return step


class ClosingClaims:
    """The closing orders of the account, by contract.

    Args:
        context: Provides time and calendar.

    Attributes:
        foreign: Orders of the account that this program has not sent, by id.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self.foreign: dict[str, OrderLeg] = {}
        self._days: dict[str, date] = {}
        self._own: dict[str, dict[str, tuple[Ticket, OrderLeg]]] = defaultdict(dict)

    def note(self, ticket: Ticket, leg: OrderLeg) -> None:
        """Note a leg that is about to be sent, is of an earlier run, or lives after it was LOST.

        An exit may open the other side instead of closing: then it claims these lots, too.
        """
        if leg.offset is not Offset.OPEN or ticket.may_open == 0:
            self._own[leg.symbol][leg.order_id] = ticket, leg

    def meet(self, leg: OrderLeg, day: date) -> None:
        """Note an order of another terminal; it claims nothing after its trading day."""
        self.foreign[leg.order_id], self._days[leg.order_id] = leg, day

    def of(
        self,
        symbol: str,
        direction: Direction,
        but: Ticket | None = None,
        *,
        spares_today: bool = False,
    ) -> list[Claim]:
        """Return the claims on the lots that an order of this direction can close, oldest first.

        Those of ``but`` itself do not count, nor, for an order that ``spares_today``, legs with
        CLOSETODAY.
        """
        claims: dict[int, Claim] = {}
        for ticket, leg in self._living(symbol):
            if leg.direction is not direction or ticket is but:
                continue
            if spares_today and leg.offset is Offset.CLOSETODAY:
                continue
            number = 0 if ticket is None else ticket.order.ref
            before = claims.get(number, Claim(number, 0))
            claims[number] = Claim(
                number,
                before.lots + leg.open_lots,
                rests=ticket is not None and ticket.rests,
                leaves=ticket is not None and leg in ticket.leaving,
            )
        return list(claims.values())

    def legs(self, symbol: str, direction: Direction) -> list[Leg]:
        """Return all legs that are to close lots which an order of this direction can close."""
        return [
            Leg(leg.offset, leg.open_lots)
            for _, leg in self._living(symbol)
            if leg.direction is direction and leg.offset is not Offset.OPEN and leg.open_lots
        ]

    def _living(self, symbol: str) -> Iterator[tuple[Ticket | None, OrderLeg]]:
        """Yield the closing legs that are not over; drop own legs that are."""
        own = {key: found for key, found in self._own[symbol].items() if not found[1].over}
        self._own[symbol] = own
        yield from own.values()
        for order_id, leg in self.foreign.items():
            closes = leg.symbol == symbol and leg.offset is not Offset.OPEN and not leg.over
            if closes and not self._is_over(symbol, self._days[order_id]):
                yield None, leg

    def _is_over(self, symbol: str, day: date) -> bool:
        """Whether a contract's trading day is past its last close."""
        return day_is_over(symbol, day, self._context.now(), self._context.calendar)


class ComingLots:
    """Lots that orders at the market will open: later orders may close them.

    Backtrader's simulation fills a market order before the next bar, and scripts rely on it: they
    place a stop or a target in the same ``next()``. Lots of resting limit orders do not count: an
    order on the other side may trade first, and opens then, as in Backtrader.
    """

    def __init__(self) -> None:
        self._entries: dict[str, list[Ticket]] = defaultdict(list)

    def note(self, ticket: Ticket) -> None:
        """Note an order that was accepted, or is of an earlier run."""
        if ticket.effect is not PositionEffect.CLOSE:
            self._entries[ticket.symbol].append(ticket)

    def of(self, symbol: str, direction: Direction, asks: Ticket | None = None) -> int:
        """Return the coming lots that an order of this direction can close.

        ``asks`` does not wait for later orders that close first: they may wait for it.
        """
        living = [one for one in self._entries[symbol] if not one.over]
        self._entries[symbol] = living
        return sum(
            _to_open(one)
            for one in living
            if one.direction is not direction and not _comes_later(one, asks)
        )


def _comes_later(entry: Ticket, asks: Ticket | None) -> bool:
    """Whether an entry was placed after ``asks``, and may wait for lots itself."""
    return asks is not None and entry.exits and entry.order.ref > asks.order.ref


def _to_open(ticket: Ticket) -> int:
    """Return the lots that an order may still open, 0 if it is not at the market."""
    at_market = ticket.terms.is_market and ticket.condition is None
    if not at_market or ticket.stage not in (Stage.QUEUED, Stage.WORKING):
        return 0
    out = sum(leg.open_lots for leg in ticket.live_legs if leg.offset is Offset.OPEN)
    if ticket.ending in (Ending.CANCEL, Ending.EXPIRE):
        return out
    if ticket.may_open is not None:
        return ticket.opening
    if ticket.stage is Stage.QUEUED:
        return ticket.left
    return out + sum(leg.volume for leg in ticket.unsent if leg.offset is Offset.OPEN)
