"""What a strategy has asked for, reckoned from its own orders alone.

Orders that belong together are one wish: an entry and what closes it again, or exits of lots that
are held, of which as many trade as they are for together.
"""

from dataclasses import dataclass, field
from typing import Any

import backtrader as bt

from tianqin_backtrader.core.model import Offset

STOPS = (bt.Order.Stop, bt.Order.StopLimit, bt.Order.StopTrail)


def sign_of(order):
    return 1 if order.isbuy() else -1


def left_of(order):
    """Lots that an order may still trade."""
    return int(abs(order.size) - abs(order.executed.size)) if order.alive() else 0


@dataclass(repr=False)
class Wish:
    """Orders that belong together, on one contract.

    Attributes:
        lots: As many as the entry, or the exits together, were placed for.
        entry: The order that may open.
        exits: Orders that only close: what the entry has opened, or lots that were held before.
        withdrawn: Whether the strategy itself has withdrawn one of them.
        looked_at: Whether the end of its stop was looked at.
    """

    symbol: str
    lots: int
    entry: Any = None
    exits: list[Any] = field(default_factory=list)
    withdrawn: bool = False
    looked_at: bool = False

    @property
    def orders(self):
        return [*([] if self.entry is None else [self.entry]), *self.exits]

    @property
    def sign(self):
        """Of the lots that its exits close."""
        return -sign_of(self.exits[0]) if self.entry is None else sign_of(self.entry)

    @property
    def stop(self):
        """The order that bounds the loss of its lots, if there is one."""
        return next((one for one in self.exits if one.exectype in STOPS), None)

    @property
    def traded(self):
        """Lots that the entry has traded."""
        return 0 if self.entry is None else int(abs(self.entry.executed.size))

    @property
    def opened(self):
        """Of these, those that did not close others first: they are its exits' to close."""
        legs = () if self.entry is None else self.entry.legs
        return sum(leg.filled for leg in legs if leg.offset is Offset.OPEN)

    @property
    def closed(self):
        return int(sum(abs(one.executed.size) for one in self.exits))

    @property
    def closable(self):
        """Lots that its exits are still for."""
        return (self.lots if self.entry is None else self.opened) - self.closed

    @property
    def net(self):
        """Signed lots by which it has changed the account."""
        return self.sign * (self.traded - self.closed)

    def bounds(self):
        """Between which signed lots it can change the account, whatever still comes of it."""
        more = 0 if self.entry is None else left_of(self.entry)
        can_close = any(one.alive() for one in self.exits)
        less = self.closable + more if can_close else 0
        return sorted((self.net + self.sign * more, self.net - self.sign * less))

    def __repr__(self):
        told = [
            f"{one.ref} {one.getordername()} {one.getstatusname()} "
            f"{one.executed.size}/{one.size} {dict(one.info)}"
            for one in self.orders
        ]
        return f"<{self.lots} lots of {self.symbol}, {self.net} now: {'; '.join(told)}>"

    def check(self):
        """It has traded no more than it was for, and what it opened has not turned."""
        assert self.traded <= self.lots, self
        assert self.closable >= 0, self


def bounds(wishes, symbol):
    """Between which net lots an account can be that began with none."""
    both = [one.bounds() for one in wishes if one.symbol == symbol]
    return sum(low for low, _ in both), sum(high for _, high in both)


def net(wishes, symbol):
    return sum(one.net for one in wishes if one.symbol == symbol)
