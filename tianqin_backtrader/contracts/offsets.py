"""From one order to the exchange's legs: which lots are closed, and with which offset.

SHFE and INE keep today's lots apart: CLOSETODAY closes those of today only, CLOSE those of
earlier days only, and a close over both must be split. Elsewhere CLOSE takes both, and it is the
exchange that chooses: by what brokers state, the lots that were opened first. How many lots an
order has is the contract's rule.

Source: TqSdk, ``TqApi.insert_order``, parameter ``offset``; the exchanges' rules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from ..core.model import Counter, Instrument, Offset
from ..errors import ConfigError, OrderError, VolumeOutOfRange


class Closing(StrEnum):
    """Which lots an exchange takes for a plain CLOSE."""

    APART = "apart"  # earlier days' only; CLOSETODAY takes today's
    OLDEST_FIRST = "oldest_first"  # earlier days' first, then today's
    NEWEST_FIRST = "newest_first"  # today's first, as TqSdk's TargetPosTask and vnpy assume


#: Where today's lots need their own offset.
CLOSES_TODAY_APART = frozenset({"SHFE", "INE"})
#: Which lots a counter takes for a plain CLOSE where they are not apart.
CHOOSES: Mapping[Counter, Closing] = MappingProxyType(
    {
        Counter.KQ: Closing.NEWEST_FIRST,
        Counter.CTP: Closing.OLDEST_FIRST,  # and it asks the fee of today's
        Counter.SIM: Closing.OLDEST_FIRST,
    }
)


class Priority(StrEnum):
    """Which lots go first where we may choose."""

    TODAY_FIRST = "today_first"
    YESTERDAY_FIRST = "yesterday_first"
    YESTERDAY_ONLY = "yesterday_only"  # never closes today's lots; a close beyond is refused
    LOCK = "lock"  # instead of closing today's lots, opens the other side
    CHEAPEST = "cheapest"  # one of the others, by ``LotFees``


def priority_refusal(priority: Priority, exchange_id: str, counter: Counter) -> str:
    """Why a priority cannot be kept at an exchange; "" if it can.

    Outside SHFE and INE the paper account closes today's lots first, and futures companies ask the
    fee of today's lots for older ones.
    """
    spares = priority in (Priority.LOCK, Priority.YESTERDAY_ONLY)
    if not spares or exchange_id in CLOSES_TODAY_APART or counter is Counter.SIM:
        return ""
    return (
        f"priority={str(priority)!r} cannot be kept at {exchange_id}: there the counter chooses "
        "which lots a close takes; use another priority"
    )


@dataclass(frozen=True, slots=True)
class LotFees:
    """Yuan for one lot."""

    close_today: float
    close_history: float
    open: float

    @property
    def priority(self) -> Priority:
        """The cheapest way out of today's lots.

        Locking costs an opening now and, on a later day, the closing of both sides.
        """
        if self.close_today > self.open + 2 * self.close_history:
            return Priority.LOCK
        if self.close_today < self.close_history:
            return Priority.TODAY_FIRST
        return Priority.YESTERDAY_FIRST


@dataclass(frozen=True, slots=True)
class LotLimits:
    """Lots of one order: at most ``most`` (0: no limit), and ``open_least`` if it opens."""

    most: int = 0
    open_least: int = 1

    @classmethod
    def of(cls, instrument: Instrument, *, market_order: bool) -> LotLimits:
        """What a contract allows today."""
        one = instrument
        if market_order:
            return cls(one.max_market_order_volume, max(one.open_min_market_order_volume, 1))
        return cls(one.max_limit_order_volume, max(one.open_min_limit_order_volume, 1))

    def pieces(self, volume: int, *, opens: bool) -> tuple[int, ...]:
        """``volume`` lots as orders within the limits, as few as there can be.

        Raises:
            VolumeOutOfRange: They cannot be opened in orders that are large enough.

        >>> LotLimits(most=10, open_least=4).pieces(11, opens=True)
        (6, 5)
        """
        if not volume:
            return ()
        most = self.most or volume
        full, rest = divmod(volume, most)
        if not opens or (rest or most) >= self.open_least:
            return (most,) * full + (rest,) * bool(rest)
        # The orders before lend what the last one lacks.
        orders = full + 1 if rest else full
        if volume // orders < self.open_least:
            raise VolumeOutOfRange(
                f"to open {volume} lots, but an order opens {self.open_least} at least"
                + (f" and {self.most} at most" if self.most else "")
            )
        return tuple(volume // orders + (i < volume % orders) for i in range(orders))


NO_LIMITS = LotLimits()


def whole_lots(size: float) -> int:
    """A number of lots.

    Raises:
        VolumeOutOfRange: It is not whole, or not positive.
    """
    whole = isinstance(size, int | float) and not isinstance(size, bool) and math.isfinite(size)
    if not whole or size != int(size) or size <= 0:
        raise VolumeOutOfRange(f"an order needs a positive whole number of lots, not {size}")
    return int(size)


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


def offset_rules(
    instrument: Instrument,
    counter: Counter,
    priority: Priority,
    fees: Callable[[Instrument], LotFees],
    *,
    market_order: bool,
    exits: bool,
) -> OffsetRules:
    """How an order on a contract becomes legs.

    Args:
        instrument: The contract.
        counter: Who keeps the books.
        priority: Which lots go first.
        fees: Asked for those of a lot where they decide.
        market_order: Whether the market makes its price.
        exits: Whether it closes, in whole or in part: then it opens nothing, however cheap.

    Raises:
        OrderError: The counter cannot keep the priority there.
    """
    words = priority_refusal(priority, instrument.exchange_id, counter)
    if words:
        raise OrderError(words)
    paid = fees(instrument) if priority is Priority.CHEAPEST else None
    if exits and paid is not None and paid.priority is Priority.LOCK:
        priority = Priority.YESTERDAY_FIRST
    limits = LotLimits.of(instrument, market_order=market_order)
    return OffsetRules(closing_of(instrument.exchange_id, counter), priority, paid, limits)


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
