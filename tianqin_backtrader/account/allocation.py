"""Allocates changes of lots without an order of this program to open trades (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LotsChange:
    """A change of the held lots without an order of this program.

    ``size`` is in signed lots, ``price`` in quote units, ``fee`` in yuan, nan if unknown.
    """

    symbol: str
    size: int
    price: float
    fee: float = 0.0


def allocate(size: int, trades: Sequence[int]) -> tuple[tuple[int, ...], int]:
    """Let a change close the trades of the other side, one after the other.

    Args:
        size: Signed lots of the change, not 0.
        trades: Signed lots of each open trade.

    Returns:
        The change of each trade, and the rest of ``size``, which opens or adds.

    >>> allocate(-5, [2, -1, 4])
    ((-2, 0, -3), 0)
    >>> allocate(-5, [2])
    ((-2,), -3)
    """
    changes = []
    for held in trades:
        lots = min(abs(held), abs(size)) if held * size < 0 else 0
        change = lots if size > 0 else -lots
        changes.append(change)
        size -= change
    return tuple(changes), size
