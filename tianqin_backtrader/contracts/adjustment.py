"""Changes of main contracts, and back-adjustment by the price gaps between contracts.

In back-adjusted bars the prices of the newest contract are real, and those of earlier contracts are
moved by the gaps, so the bars show what a held position would have earned. A gap is the new
contract's close less the old one's on the last trading day of the old one.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from ..core.model import Bar

#: The fields of a bar that are prices.
PRICES = ("open", "high", "low", "close", "bid_price1", "ask_price1", "bid_price2", "ask_price2")


@dataclass(frozen=True, slots=True)
class MainChange:
    """From the trading day ``day`` on, ``new`` is the main contract instead of ``old``.

    ``gap`` is in quote units, NaN if a close is unknown.
    """

    day: date
    old: str
    new: str
    gap: float = math.nan


def changes_of(rows: Iterable[tuple[date, str]], until: date) -> list[MainChange]:
    """The changes in TianQin's table of (day, contract), oldest first, until a trading day.

    >>> rows = [(date(2026, 10, 8), "SHFE.cu2612"), (date(2026, 11, 4), "SHFE.cu2701")]
    >>> [change.new for change in changes_of(rows, date(2026, 11, 4))]
    ['SHFE.cu2701']
    """
    changes: list[MainChange] = []
    before = ""
    for day, symbol in sorted(rows):
        if day <= until and before and symbol != before:
            changes.append(MainChange(day, before, symbol))
        before = symbol
    return changes


def back_adjusted(
    bars: Sequence[Bar], trading_day: Callable[[Bar], date], changes: Sequence[MainChange]
) -> list[Bar]:
    """Bars of a main contract, adjusted to the price level of its newest contract.

    Args:
        bars: As TianQin sends them, in order of time.
        trading_day: Returns the trading day of a bar.
        changes: With known gaps, oldest first.
    """
    days = [change.day for change in changes]
    above = [sum(change.gap for change in changes[index:]) for index in range(len(changes) + 1)]
    found = []
    for bar in bars:
        shift = above[bisect_right(days, trading_day(bar))]
        found.append(shifted(bar, shift) if shift else bar)
    return found


def shifted(bar: Bar, gap: float) -> Bar:
    """A bar with all prices moved by ``gap``."""
    return bar._replace(**{name: getattr(bar, name) + gap for name in PRICES})
