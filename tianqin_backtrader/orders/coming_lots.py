"""Lots that orders at the market are to open: what is placed after them may close them.

Backtrader's simulation fills a market order before the next bar, and scripts rely on it: they place
a stop or a target in the same ``next()``. Lots of limit orders that rest do not count: a limit
order on the other side of one may trade first, and opens then, in Backtrader, too.
"""

from __future__ import annotations

from collections import defaultdict

from ..core.model import Direction, Offset
from .ticket import Ending, PositionEffect, Stage, Ticket


class ComingLots:
    """The orders that may open, by contract."""

    def __init__(self) -> None:
        self._entries: dict[str, list[Ticket]] = defaultdict(list)

    def note(self, ticket: Ticket) -> None:
        """An order was taken, or comes from an earlier run."""
        if ticket.effect is not PositionEffect.CLOSE:
            self._entries[ticket.symbol].append(ticket)

    def of(self, symbol: str, direction: Direction, asks: Ticket | None = None) -> int:
        """Lots on their way that an order of a direction can close when they are there.

        An order that asks does not wait for later ones that close first: they may wait for it.
        """
        living = [one for one in self._entries[symbol] if not one.over]
        self._entries[symbol] = living
        return sum(
            _to_open(one)
            for one in living
            if one.direction is not direction and not _comes_later(one, asks)
        )


def _comes_later(entry: Ticket, asks: Ticket | None) -> bool:
    """Whether an entry was placed after an order that asks, and waits for lots itself."""
    return asks is not None and entry.exits and entry.order.ref > asks.order.ref


def _to_open(ticket: Ticket) -> int:
    """Lots that an order at the market may still open."""
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
