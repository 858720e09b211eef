"""Round trips: fills matched first in, first out, by contract and side (pure)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date

from ..contracts.offsets import CLOSES_TODAY_APART
from ..core.model import NAN, Direction, Offset


@dataclass(frozen=True, slots=True)
class Execution:
    """A fill with the data that statistics need.

    ``time`` is nanoseconds since 1970 UTC; ``commission`` is yuan; ``decision_price`` is the price
    on which the order was decided, NaN if unknown.
    """

    time: int
    trading_day: date
    symbol: str
    direction: Direction
    offset: Offset
    price: float
    volume: int
    commission: float
    volume_multiple: int
    strategy: str = ""
    decision_price: float = NAN

    @property
    def side(self) -> str:
        """The side of the position that it changes: "long" or "short"."""
        opens = self.offset is Offset.OPEN
        return "long" if opens == (self.direction is Direction.BUY) else "short"

    @property
    def turnover(self) -> float:
        """Turnover in yuan."""
        return self.price * self.volume * self.volume_multiple

    @property
    def slippage(self) -> float:
        """Cost in yuan against the price at decision, negative if better; NaN if unknown."""
        worse = (self.price - self.decision_price) * self.direction.sign
        return worse * self.volume * self.volume_multiple


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """Lots opened and closed. ``profit`` is yuan before, ``net_profit`` after commission."""

    symbol: str
    side: str
    strategy: str
    volume: int
    entry_time: int
    exit_time: int
    entry_price: float
    exit_price: float
    exit_day: date
    profit: float
    commission: float

    @property
    def net_profit(self) -> float:
        """Profit in yuan, after commission."""
        return self.profit - self.commission


@dataclass(frozen=True, slots=True)
class Matched:
    """Round trips in order of exit, open lots, and closed lots without a recorded opening.

    ``unmatched`` lots were held before the first record.
    """

    round_trips: list[RoundTrip]
    open: list[Execution]
    unmatched: int


def match(executions: Iterable[Execution]) -> Matched:
    """Match fills to round trips.

    A close takes the oldest lots of its contract and side, those of its own strategy first.
    CLOSETODAY takes lots of the same day, and CLOSE at SHFE and INE those of earlier days, as long
    as there are any.

    Args:
        executions: Fills by time.
    """
    held: dict[tuple[str, str], deque[Execution]] = {}
    trips: list[RoundTrip] = []
    unmatched = 0
    for fill in executions:
        lots = held.setdefault((fill.symbol, fill.side), deque())
        if fill.offset is Offset.OPEN:
            lots.append(fill)
        else:
            unmatched += _close(fill, lots, trips)
    still = [lot for lots in held.values() for lot in lots]
    return Matched(trips, still, unmatched)


def _close(fill: Execution, lots: deque[Execution], trips: list[RoundTrip]) -> int:
    """Append round trips of one closing fill; returns the lots without an opening."""
    left = fill.volume
    while left and lots:
        index = _choose(fill, lots)
        lot = lots[index]
        taken = min(left, lot.volume)
        trips.append(_trip(lot, fill, taken))
        if taken == lot.volume:
            del lots[index]
        else:
            rest = lot.volume - taken
            lots[index] = replace(lot, volume=rest, commission=lot.commission * rest / lot.volume)
        left -= taken
    return left


def _choose(fill: Execution, lots: deque[Execution]) -> int:
    apart = fill.symbol.partition(".")[0] in CLOSES_TODAY_APART
    todays = fill.offset is Offset.CLOSETODAY

    def rank(index: int) -> tuple[bool, bool, int]:
        lot = lots[index]
        wrong_day = (todays or apart) and (lot.trading_day == fill.trading_day) != todays
        return wrong_day, lot.strategy != fill.strategy, index

    if rank(0) == (False, False, 0):
        return 0
    return min(range(len(lots)), key=rank)


def _trip(lot: Execution, fill: Execution, volume: int) -> RoundTrip:
    sign = 1 if fill.side == "long" else -1
    commission = lot.commission * volume / lot.volume + fill.commission * volume / fill.volume
    return RoundTrip(
        symbol=fill.symbol,
        side=fill.side,
        strategy=lot.strategy,
        volume=volume,
        entry_time=lot.time,
        exit_time=fill.time,
        entry_price=lot.price,
        exit_price=fill.price,
        exit_day=fill.trading_day,
        profit=round((fill.price - lot.price) * sign * volume * fill.volume_multiple, 6),
        commission=commission,
    )
