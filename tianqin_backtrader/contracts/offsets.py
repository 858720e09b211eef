"""From one order to the exchange's legs: which lots are closed, and with which offset.

SHFE and INE keep today's lots apart: CLOSETODAY closes those of today only, CLOSE those of
earlier days only, and a close over both must be split. Elsewhere CLOSE takes both, and it is the
exchange that chooses: by what brokers state, the lots that were opened first.

Source: TqSdk, ``TqApi.insert_order``, parameter ``offset``; the exchanges' rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..core.model import Counter, Offset
from ..errors import ConfigError, VolumeOutOfRange
from .lots import (
    CHOOSES,
    CLOSES_TODAY_APART,
    NO_LIMITS,
    Closing,
    LotFees,
    LotLimits,
    Priority,
)


@dataclass(frozen=True, slots=True)
class Leg:
    """One order as the exchange takes it: positive lots with one offset."""

    offset: Offset
    volume: int


@dataclass(frozen=True, slots=True)
class Closable:
    """Lots of one side that can be closed now: held, less what working closes have frozen."""

    today: int
    history: int

    def __post_init__(self) -> None:
        if self.today < 0 or self.history < 0:
            raise ValueError(f"lots cannot be negative: {self}")

    @property
    def total(self) -> int:
        """Both together."""
        return self.today + self.history

    def at_most(self, lots: int) -> Closable:
        """No more than so many in all; those of today are the younger news, and go first."""
        over = max(0, self.total - lots)
        today = max(0, self.today - over)
        return Closable(today, self.history - max(0, over - self.today))

    def less(self, legs: Iterable[Leg], *, closes_today_apart: bool) -> Closable:
        """What stays after closes that are on their way to the exchange.

        Where today's lots are not apart, it is the exchange that chooses; history goes first.
        """
        today, history = self.today, self.history
        for leg in legs:
            if leg.offset is Offset.CLOSETODAY:
                today -= leg.volume
            else:
                over = 0 if closes_today_apart else max(0, leg.volume - history)
                history -= leg.volume - over
                today -= over
        return Closable(max(0, today), max(0, history))


@dataclass(frozen=True, slots=True)
class OffsetRules:
    """How orders on one contract become legs. ``fees`` are needed for ``CHEAPEST`` only."""

    closing: Closing = Closing.OLDEST_FIRST
    priority: Priority = Priority.TODAY_FIRST
    fees: LotFees | None = None
    limits: LotLimits = NO_LIMITS

    def __post_init__(self) -> None:
        if self.priority is Priority.CHEAPEST and self.fees is None:
            raise ConfigError("the offset priority 'cheapest' needs the fees of a lot")

    @property
    def first(self) -> Priority:
        """The priority in effect; never CHEAPEST."""
        if self.priority is Priority.CHEAPEST and self.fees is not None:
            return self.fees.priority
        return self.priority

    @property
    def spares_today(self) -> bool:
        """Whether today's lots are never closed."""
        return self.first in (Priority.YESTERDAY_ONLY, Priority.LOCK)

    def buckets(self, closable: Closable) -> tuple[Leg, ...]:
        """What each offset can close, in the order of choice."""
        if self.closing is not Closing.APART:
            lots = closable.total
            if self.spares_today:
                goes_to_today = self.closing is Closing.NEWEST_FIRST and closable.today
                lots = 0 if goes_to_today else closable.history
            return (Leg(Offset.CLOSE, lots),)
        history = Leg(Offset.CLOSE, closable.history)
        if self.spares_today:
            return (history,)
        today = Leg(Offset.CLOSETODAY, closable.today)
        return (today, history) if self.first is Priority.TODAY_FIRST else (history, today)

    def reach(self, closable: Closable) -> int:
        """Lots that a close can take; with LOCK it opens the other side for those of today."""
        if self.first is Priority.LOCK:
            return closable.total
        return sum(bucket.volume for bucket in self.buckets(closable))


def closing_of(exchange_id: str, counter: Counter = Counter.CTP) -> Closing:
    """Which lots a plain CLOSE takes at an exchange; elsewhere than at SHFE and INE the counter's
    own choice, which is not written in the rules.
    """
    return Closing.APART if exchange_id in CLOSES_TODAY_APART else CHOOSES[counter]


def held_lots(position: Mapping[str, Any], side: str) -> Closable:
    """What an account holds of one side.

    ``pos_*`` alone moves with each trade at every counter; ``volume_*`` and the frozen lots are a
    counter's queries, seconds old, and do not mean the same at all of them.

    Args:
        position: Fields as TqSdk names them (``pos_long_today``, ``pos_long_his`` ...).
        side: ``"long"`` or ``"short"``.
    """
    return Closable(
        max(0, int(position.get(f"pos_{side}_today", 0))),
        max(0, int(position.get(f"pos_{side}_his", 0))),
    )


def _closing_parts(volume: int, closable: Closable, rules: OffsetRules) -> list[Leg]:
    if volume <= 0:
        raise ValueError(f"lots must be positive, not {volume}")
    parts = []
    for bucket in rules.buckets(closable):
        lots = min(volume, bucket.volume)
        volume -= lots
        if lots:
            parts.append(Leg(bucket.offset, lots))
    return parts


def _lots(legs: Iterable[Leg]) -> int:
    return sum(leg.volume for leg in legs)


def _pieces(parts: Iterable[Leg], limits: LotLimits) -> tuple[Leg, ...]:
    return tuple(
        Leg(part.offset, lots) for part in parts for lots in limits.pieces(part.volume, opens=False)
    )


def opening_legs(volume: int, limits: LotLimits, *, closes: bool) -> tuple[Leg, ...]:
    """Legs that open ``volume`` lots.

    Args:
        volume: Lots, 0 for none.
        limits: Of the contract.
        closes: Whether the order closes, too: then what is too little to be opened is left out.

    Raises:
        VolumeOutOfRange: They are too few for an order of the contract.
    """
    try:
        return tuple(Leg(Offset.OPEN, lots) for lots in limits.pieces(volume, opens=True))
    except VolumeOutOfRange:
        if closes:
            return ()
        raise


def plan_close(
    volume: int, closable: Closable, rules: OffsetRules, *, allow_partial: bool = False
) -> tuple[Leg, ...]:
    """Legs that close ``volume`` lots.

    Args:
        volume: Positive lots.
        closable: Unfrozen lots of the side that is closed.
        rules: Of the contract. With LOCK, what is spared of today is opened on the other side.
        allow_partial: Close what can be closed instead of refusing.

    Returns:
        Legs in sending order, opening ones last; () if nothing can be closed.

    Raises:
        VolumeOutOfRange: More than can be closed, without ``allow_partial``; both numbers in it.

    >>> rules = OffsetRules(Closing.APART, Priority.YESTERDAY_FIRST, limits=LotLimits(most=2))
    >>> legs = plan_close(4, Closable(today=2, history=3), rules)
    >>> [(str(leg.offset), leg.volume) for leg in legs]
    [('CLOSE', 2), ('CLOSE', 1), ('CLOSETODAY', 1)]
    """
    parts = _closing_parts(volume, closable, rules)
    left = volume - _lots(parts)
    locked = min(left, closable.total - _lots(parts)) if rules.first is Priority.LOCK else 0
    if left > locked and not allow_partial:
        raise VolumeOutOfRange(
            f"to close {volume} lots, but only {volume - left + locked} can be closed "
            f"({closable.today} of today, {closable.history} of earlier days; {rules.priority})"
        )
    opening = opening_legs(locked, rules.limits, closes=allow_partial)
    return (*_pieces(parts, rules.limits), *opening)


def plan_order(
    volume: int, closable: Closable, rules: OffsetRules, *, allow_partial: bool = False
) -> tuple[Leg, ...]:
    """Legs of a Backtrader order: close the other side first, open what is left.

    Args:
        volume: Positive lots.
        closable: Unfrozen lots of the opposite side (the short side for a buy).
        rules: Of the contract. Where today's lots are spared, the rest is opened beside them.
        allow_partial: Leave out what is too little to be opened, also if nothing is closed.

    Returns:
        Legs in sending order, opening ones last. Their lots add up to ``volume``, but for what is
        too little to be opened beside lots that are closed.

    Raises:
        VolumeOutOfRange: Nothing is closed, and the lots are too few to be opened.
    """
    parts = _closing_parts(volume, closable, rules)
    left = volume - _lots(parts)
    opening = opening_legs(left, rules.limits, closes=allow_partial or bool(parts))
    return (*_pieces(parts, rules.limits), *opening)


def plan_instead(
    refused: Leg, unsent: Iterable[Leg], closable: Closable, rules: OffsetRules
) -> tuple[Leg, ...]:
    """What may be sent for a leg that the exchange refused: closes of other lots.

    Fewer lots than were asked for explain the refusal, and those that are there are taken.
    Where the account still shows them all, the offset is not tried again. Nothing is opened in
    place of a close.

    Args:
        refused: The leg, as it was sent.
        unsent: Legs of the same order that are still to be sent.
        closable: As the account shows it after the refusal.
        rules: Of the contract.
    """
    if refused.offset is Offset.OPEN:
        return ()
    apart = rules.closing is Closing.APART
    if not apart:
        believed = closable if closable.total < refused.volume else Closable(0, 0)
    elif refused.offset is Offset.CLOSETODAY:
        believed = replace(closable, today=closable.today * (closable.today < refused.volume))
    else:
        believed = replace(closable, history=closable.history * (closable.history < refused.volume))
    closes = [leg for leg in unsent if leg.offset is not Offset.OPEN]
    if rules.first is Priority.LOCK:
        rules = replace(rules, priority=Priority.YESTERDAY_ONLY)
    left = believed.less(closes, closes_today_apart=apart)
    return plan_close(refused.volume, left, rules, allow_partial=True)
