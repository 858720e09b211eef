"""Orders that close: what of them may open, and which lots are free for them now.

Whether an order closes is decided when it is placed, and kept: its lots may be gone when it is
sent, and it never opens others in their place. Lots that another living order is to close are not
free.
The counters' own frozen fields are not asked: they lag, and mean different things.

Lots are counted for one side of one contract.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Timing(StrEnum):
    """When an order takes its lots."""

    AT_ONCE = "AT_ONCE"  # at the market
    RESTS = "RESTS"  # a limit order
    LATER = "LATER"  # waits for a price, a time, or another order's end


@dataclass(frozen=True, slots=True)
class SideLots:
    """Lots of one side.

    Attributes:
        account: Held by the account's ``pos_*``.
        booked: Held by the fills that have been told.
        coming: Not held yet: orders at the market are to open them.
    """

    account: int
    booked: int
    coming: int = 0

    @property
    def sure(self) -> int:
        """Lots that both know of."""
        return min(self.account, self.booked)

    @property
    def settled(self) -> bool:
        """Whether nothing is on its way between the two."""
        return self.account == self.booked


@dataclass(frozen=True, slots=True)
class Claim:
    """Lots that another living order is to close.

    Attributes:
        order: Its number; 0 for an order of others.
        lots: What it may still close.
        rests: Whether it is a limit order, which can stand back for one that is in a hurry.
        leaves: Whether its withdrawal has been asked for.
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
        waits: Whether the others are waited for; else there are no more.
        stand_back: Numbers of the orders that are to let it pass.
    """

    now: int
    waits: bool = False
    stand_back: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class SharedLots:
    """Lots that several orders are to close together: exits of one bracket, or of one OCO group.

    Attributes:
        lots: How many are open for them.
        orders: Numbers of the others.
    """

    lots: int
    orders: frozenset[int]


def may_open(
    volume: int,
    held: int,
    claims: Iterable[Claim],
    timing: Timing,
    *,
    close_only: bool | None = None,
) -> int | None:
    """How many of an order's lots may open; None if nothing of it has to close.

    Args:
        volume: Lots of the order.
        held: Lots of the side that it can close, by the fills that have been told; those that
            orders at the market are on their way to open count, too.
        claims: Of orders that close the same side.
        timing: What it waits for; OCO members wait for each other.
        close_only: The owner's word, if there is one.

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
    """Whether an order's lots are not for one that is placed now."""
    if claim.leaves or timing is Timing.LATER:
        return False
    return timing is Timing.RESTS or not claim.rests


def exit_step(
    need: int, lots: SideLots, claims: Sequence[Claim], *, hurries: bool, patient: bool
) -> ExitStep:
    """What becomes of lots that an order is to close.

    Args:
        need: How many.
        lots: What is held.
        claims: Of the other orders that close the same side, oldest first.
        hurries: Whether it is at the market: what is free leaves at once, and limit orders stand
            back.
        patient: Whether the account may still be late.

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
    """Of lots that an order is to close, how many only another terminal can set free.

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
    """``exit_step`` of an order that shares its lots with others of its group.

    More lots may be held than are theirs: what two of them have at the exchange could all trade.

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
