"""Explain the lots that an account holds by records, today's trades and earlier days' orders.

Lots are counted by (symbol, ``"long"`` or ``"short"``), never negative.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ..core.model import Direction, Fill, Offset

Place = tuple[str, str]
Lots = Mapping[Place, int]


class Sent(Protocol):
    """What is needed here of an order at the exchange: ``OrderLeg`` or ``RecordedLeg``."""

    @property
    def order_id(self) -> str: ...
    @property
    def symbol(self) -> str: ...
    @property
    def direction(self) -> Direction: ...
    @property
    def offset(self) -> Offset: ...
    @property
    def volume(self) -> int: ...
    @property
    def filled(self) -> int: ...
    @property
    def limit_price(self) -> float | str | None: ...


@dataclass(frozen=True, slots=True)
class PositionDiff:
    """The comparison of account and records.

    Attributes:
        filled: Lots of earlier days' orders that were filled unseen, by order id.
        differences: (symbol, side, lots by the journal, lots on the account) that nothing explains.
    """

    filled: dict[str, int] = field(default_factory=dict)
    differences: list[tuple[str, str, int, int]] = field(default_factory=list)


def place_of(symbol: str, direction: Direction, offset: Offset) -> Place:
    """Return the symbol and side whose lots a fill changes."""
    opens = offset is Offset.OPEN
    return symbol, "long" if (direction is Direction.BUY) is opens else "short"


def lots_of(fills: Iterable[Fill]) -> Counter[Place]:
    """Return the change of the lots held by fills."""
    found: Counter[Place] = Counter()
    for fill in fills:
        sign = 1 if fill.offset is Offset.OPEN else -1
        found[place_of(fill.symbol, fill.direction, fill.offset)] += sign * fill.volume
    return found


def compare(
    recorded: Lots, held: Lots, news: Iterable[Fill], ended: Iterable[Sent],
    costs: Mapping[Place, float] | None = None, expired: Iterable[str] = (),
) -> PositionDiff:  # fmt: skip
    """Find out what explains the account's lots.

    Args:
        recorded: Lots by the records.
        held: Lots in the account.
        news: Trades of today that are not recorded, ours and foreign ones.
        ended: Our orders of earlier days whose end is not recorded, oldest first.
        costs: The account's mean opening prices, where known.
        expired: Contracts that have expired: the account has settled them.

    >>> picture = compare({("cu", "long"): 2}, {("cu", "long"): 5}, [], [])
    >>> picture.differences
    [('cu', 'long', 2, 5)]
    """
    expected, gone = Counter(recorded), set(expired)
    for place, lots in lots_of(news).items():
        expected[place] += lots
    filled = {}
    for leg in ended:
        place = place_of(leg.symbol, leg.direction, leg.offset)
        sign = 1 if leg.offset is Offset.OPEN else -1
        missing = sign * (held.get(place, 0) - expected[place])
        lots = min(max(missing, 0), leg.volume - leg.filled)
        if lots and (expected[place] or _may_have_cost(leg, (costs or {}).get(place))):
            filled[leg.order_id] = lots
            expected[place] += sign * lots
    differences = [
        (*place, expected[place], held.get(place, 0))
        for place in sorted({*expected, *held})
        if expected[place] != held.get(place, 0)
        and not (place[0] in gone and not held.get(place, 0))
    ]
    return PositionDiff(filled, differences)


def _may_have_cost(leg: Sent, cost: float | None) -> bool:
    """Return whether an order can have opened lots at a mean price: not beyond its limit."""
    limit = leg.limit_price
    if leg.offset is not Offset.OPEN or cost is None or not isinstance(limit, int | float):
        return True
    return not (cost - limit) * leg.direction.sign > 1e-6 * abs(limit)
