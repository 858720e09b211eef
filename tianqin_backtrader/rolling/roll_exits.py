"""Exits that a roll carries over: the lots of each in both contracts, and its prices.

An exit is an order that closes: a stop, a target, a child of a bracket, one of an OCO group. While
lots are moved it covers those that are still in the old contract, and an order in the new contract,
its replacement, covers those that have arrived there. So all lots that had an exit have one at
every step.

The lots of the side form a row: those of the old contract, those in neither, those in the new
contract; they leave the old contract from the end. Exits are laid over the row one after another,
stops and targets separately, those of one group over the same lots. If they have more lots than the
row, they start again at its beginning.

Prices are in quote units, volumes in lots.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..orders.conditional import ConditionalOrder


@dataclass(frozen=True, slots=True)
class CarriedExit:
    """One exit of the old contract.

    Attributes:
        key: Its key in the records.
        group: The key of its bracket or OCO group; otherwise its own key.
        lots: The lots that it covered when the roll met it.
        rests: Whether it is a limit order, which holds its lots at the exchange.
        filled_before: The lots that it had closed until then.
        stand_in: The key of its replacement in the new contract; "" if there is none yet.
        closed_old, closed_new: Lots that it and its replacement have closed since.
        given_up: Lots between the contracts that are not opened any more, because it has fired.
    """

    key: str
    group: str
    lots: int
    rests: bool
    filled_before: int = 0
    stand_in: str = ""
    closed_old: int = 0
    closed_new: int = 0
    given_up: int = 0

    @property
    def done(self) -> int:
        """Lots that it does not cover any more."""
        return self.closed_old + self.closed_new + self.given_up


@dataclass(frozen=True, slots=True)
class Row:
    """Lots of the side: in the old contract, in neither, in the new one."""

    old: int
    between: int
    new: int

    @property
    def total(self) -> int:
        """The number of all lots."""
        return self.old + self.between + self.new

    def without(self, lots: int) -> Row:
        """The row while the next lots of the old contract are being moved."""
        lots = min(lots, self.old)
        return replace(self, old=self.old - lots, between=self.between + lots)


@dataclass(frozen=True, slots=True)
class Share:
    """Lots that an exit covers: in the old contract, in neither, in the new one."""

    old: int = 0
    between: int = 0
    new: int = 0


def shares(exits: Iterable[CarriedExit], row: Row) -> dict[str, Share]:
    """The lots that each exit covers now, by its key.

    Args:
        exits: Oldest first; those that are over keep their position.
        row: The lots.

    >>> stop = CarriedExit("stop", "bracket", 3, rests=False)
    >>> shares([stop], Row(old=1, between=1, new=1))["stop"]
    Share(old=1, between=1, new=1)
    """
    groups: dict[str, list[CarriedExit]] = {}
    for one in exits:
        groups.setdefault(one.group, []).append(one)
    # Groups with both kinds come first, so that neither kind leaves out a lot.
    in_order = sorted(groups.values(), key=lambda members: len({one.rests for one in members}) < 2)
    ends = {True: 0, False: 0}
    found: dict[str, Share] = {}
    for members in in_order:
        kinds = {one.rests for one in members}
        done = sum(one.done for one in members)
        lots = max(0, max(one.lots for one in members) - done)
        begin = max(ends[kind] for kind in kinds)
        ends |= dict.fromkeys(kinds, begin + lots)
        for one in members:
            found[one.key] = _share(begin, min(lots, one.lots), row)
    return found


def _share(begin: int, lots: int, row: Row) -> Share:
    total = row.total
    if not total:
        return Share()
    begin %= total
    end = begin + min(lots, total)

    def within(low: int, high: int) -> int:
        """Lots of the exit in this part; beyond the row's end they start again."""
        return max(0, min(end, high) - max(begin, low)) + max(0, min(end - total, high) - low)

    arrived = row.old + row.between
    return Share(within(0, row.old), within(row.old, arrived), within(arrived, total))


def price_gap(old_middle: float, new_middle: float, price_tick: float) -> float:
    """The price shift: the new contract's middle less the old one's, in whole ticks.

    >>> price_gap(78005.0, 78120.0, 10.0)
    120.0
    """
    return round((new_middle - old_middle) / price_tick) * price_tick


def shifted(price: float | None, gap: float) -> float | None:
    """A price in the new contract; None stays None."""
    return None if price is None else round(price + gap, 8)


def shifted_condition(condition: ConditionalOrder, gap: float, volume: int) -> ConditionalOrder:
    """The condition of an order in the new contract. A trailing stop keeps its distance."""
    return replace(
        condition,
        volume=volume,
        stop_price=shifted(condition.stop_price, gap),
        limit_price=shifted(condition.limit_price, gap),
    )
