"""The account as strategies see it: positions by fill and by side, funds, what orders cost."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import backtrader as bt
from backtrader.position import Position

from .books import Balance, Books
from .exits import SideLots
from .model import Direction, Fill, Instrument, Offset
from .offset import Closable, held_lots

logger = logging.getLogger(__name__)

SIDES = ("long", "short")


@dataclass(frozen=True, slots=True)
class OrderCost:
    """What an order takes from the available funds, yuan; ``margin`` is 0 for one that closes."""

    margin: float
    commission: float

    @property
    def total(self) -> float:
        """Both together."""
        return self.margin + self.commission


@dataclass(frozen=True, slots=True)
class Execution:
    """What a fill did to the net position: signed lots, yuan."""

    closed: int
    opened: int
    price_before: float
    size: int
    price: float


class AccountView:
    """Positions of our fills beside those of the account, and what Backtrader asks of a broker.

    Args:
        store: Gives instruments and the gateway.

    Attributes:
        net: Net positions by symbol.
        sides: Positions by (symbol, "long" or "short"); short ones have negative sizes.
        books: What the fills come to.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self.net: dict[str, Position] = {}
        self.sides: dict[tuple[str, str], Position] = {}
        self.books = Books()
        self._comminfo: dict[str, tuple[Instrument, Any]] = {}

    def begin(self, equity: float, coming: Sequence[Fill] = ()) -> None:
        """Take over what the account holds.

        Args:
            equity: Yuan.
            coming: Fills that are in the account already, and will be taken here one by one:
                the books begin before them.
        """
        held = {
            symbol: (*self._take_position(symbol, position), self._multiple(symbol))
            for symbol, position in self.account_positions().items()
        }
        for fill in coming:
            multiple = self._multiple(fill.symbol)
            net, price, _ = held.get(fill.symbol, (0, fill.price, multiple))
            size = fill.direction.sign * fill.volume
            held[fill.symbol] = (net - size, price, multiple)
            equity += fill.commission - size * (price - fill.price) * multiple
            self.net[fill.symbol] = _before(self.position(fill.symbol), size, fill.price)
            side = side_of(fill)
            held_side = self.position(fill.symbol, side)
            self.sides[fill.symbol, side] = _before(held_side, size, fill.price)
        self.books.begin(round(equity, 2), held)

    def net_lots(self) -> dict[str, tuple[int, float]]:
        """Net lots, signed, and their price, of what is not flat; by symbol."""
        return {symbol: (int(one.size), one.price) for symbol, one in self.net.items() if one.size}

    def take_over(self, symbol: str) -> None:
        """Hold what the account holds of a contract, whatever our fills say."""
        position = {"pos_long": 0, "pos_short": 0} | self._store.gateway.position(symbol)
        before = self.position(symbol).size
        net, price = self._take_position(symbol, position)
        self.books.adjust(symbol, int(net - before), price, self._multiple(symbol))

    def _take_position(self, symbol: str, position: dict[str, Any]) -> tuple[int, float]:
        """Make a position of the account ours; return its net lots and its last price."""
        net, price = position["pos_long"] - position["pos_short"], mark_price(position)
        if price != price:
            price = float(self._store.instrument(symbol).pre_settlement)
        for side, sign in zip(SIDES, (1, -1), strict=True):
            opened_at = position.get(f"open_price_{side}", math.nan)
            cost = opened_at if opened_at == opened_at else price
            self.sides[symbol, side] = Position(sign * position[f"pos_{side}"], cost)
        held = [self.sides[symbol, side] for side in SIDES if position[f"pos_{side}"]]
        # What both sides together have cost is no price; the present stands in for it.
        self.net[symbol] = Position(net, held[0].price if len(held) == 1 else price)
        return net, price

    def _multiple(self, symbol: str) -> int:
        return int(self._store.instrument(symbol).volume_multiple)

    # -- positions ----------------------------------------------------------------------------

    def position(self, symbol: str, side: str | None = None) -> Position:
        """The net position, or that of a side."""
        if side is None:
            return self.net.setdefault(symbol, Position())
        return self.sides.setdefault((symbol, side), Position())

    def joined(self, symbols: tuple[str, ...], side: str | None = None) -> Position:
        """The lots of several contracts as one position, at their average price."""
        held = [self.position(symbol, side) for symbol in symbols]
        lots = sum(one.size for one in held)
        worth = sum(one.size * one.price for one in held)
        return Position(lots, worth / lots if lots else 0.0)

    def take_fill(self, fill: Fill, volume_multiple: int) -> Execution:
        """Book one execution."""
        self.book(fill, volume_multiple)
        return self.take_lots(fill)

    def book(self, fill: Fill, volume_multiple: int) -> None:
        """Put an execution into the books."""
        self.books.take(fill, volume_multiple)

    def take_lots(self, fill: Fill) -> Execution:
        """Count the lots of an execution."""
        size = fill.direction.sign * fill.volume
        self.position(fill.symbol, side_of(fill)).update(size, fill.price)
        net = self.position(fill.symbol)
        before = net.price
        psize, pprice, opened, closed = net.update(size, fill.price)
        return Execution(closed, opened, before, psize, pprice)

    def settle(self, symbol: str, price: float) -> int:
        """A contract has expired: nothing of it is held any more; return the net lots it was."""
        lots = self.position(symbol).size
        self.books.adjust(symbol, -self.books.lots[symbol], price, self._multiple(symbol))
        self.net.pop(symbol)
        for side in SIDES:
            self.sides.pop((symbol, side), None)
        return int(lots)

    def account_positions(self) -> dict[str, dict[str, Any]]:
        """The account's positions that are not flat, by symbol."""
        found: dict[str, dict[str, Any]] = self._store.gateway.positions()
        return {
            symbol: position
            for symbol, position in found.items()
            if position["pos_long"] or position["pos_short"]
        }

    def held_lots(self) -> dict[tuple[str, str], int]:
        """Lots of the account by symbol and side."""
        return {
            (symbol, side): int(position[f"pos_{side}"])
            for symbol, position in self.account_positions().items()
            for side in SIDES
        }

    def open_prices(self) -> dict[tuple[str, str], float]:
        """The mean price at which they were opened, by symbol and side, nan where unknown."""
        return {
            (symbol, side): position.get(f"open_price_{side}", math.nan)
            for symbol, position in self.account_positions().items()
            for side in SIDES
        }

    def held(self, symbol: str, direction: Direction) -> Closable:
        """The lots that an order of a direction closes, as the account has them."""
        return held_lots(self._store.gateway.position(symbol), _closed_by(direction))

    def side_lots(self, symbol: str, direction: Direction) -> SideLots:
        """The same beside what our fills have told."""
        return SideLots(self.held(symbol, direction).total, self.booked(symbol, direction))

    def booked(self, symbol: str, direction: Direction) -> int:
        """The same lots by our fills alone."""
        found = self.sides.get((symbol, _closed_by(direction)))
        return abs(int(found.size)) if found is not None else 0

    # -- funds --------------------------------------------------------------------------------

    def funds(self, name: str) -> float:
        """A field of the account, yuan."""
        return float(self._store.gateway.account()[name])

    def day_profit(self) -> float:
        """What the trading day has brought so far, fees taken off; yuan, nan if unknown."""
        balance, before = self._store.gateway.funds("balance", "static_balance")
        return float(balance - before)

    def balance(self) -> Balance:
        """Start, profit and fees by our own books; open lots at the account's last price."""
        positions = self.account_positions()
        marks = {symbol: mark_price(position) for symbol, position in positions.items()}
        return self.books.balance(marks)

    # -- costs --------------------------------------------------------------------------------

    def comminfo(self, symbol: str) -> Any:
        """Multiplier, margin and commission of a contract today, as Backtrader has them."""
        instrument = self._store.instrument(symbol)
        known = self._comminfo.get(symbol)
        if known is None or known[0] is not instrument:
            known = self._comminfo[symbol] = (instrument, _comminfo(instrument))
        return known[1]

    def cost(self, symbol: str, volume: int, price: float, *, closes: bool = False) -> OrderCost:
        """What an order of so many lots takes; the margin at a price where it is not per lot."""
        info = self.comminfo(symbol)
        margin = 0.0 if closes else volume * info.get_margin(price)
        return OrderCost(margin, info.getcommission(volume, price))

    def max_lots(self, symbol: str, price: float, share: float = 1.0) -> int:
        """Lots that a share of the available funds can open."""
        one = self.cost(symbol, 1, price).total
        funds = self.funds("available") * share
        return max(0, math.floor(funds / one)) if one > 0 and math.isfinite(one) else 0


def side_of(fill: Fill) -> str:
    """Which side's lots a fill opens or closes."""
    opens = fill.offset is Offset.OPEN
    return "long" if (fill.direction is Direction.BUY) is opens else "short"


def _closed_by(direction: Direction) -> str:
    """The side that an order of a direction can close."""
    return "short" if direction is Direction.BUY else "long"


def mark_price(position: dict[str, Any]) -> float:
    """The account's last price of a position, or else what it stands at in its books."""
    side = "long" if position["pos_long"] else "short"
    names = ("last_price", f"position_price_{side}", f"open_price_{side}")
    prices = (position.get(name, math.nan) for name in names)
    return next((price for price in prices if price == price), math.nan)


def _before(position: Position, size: int, price: float) -> Position:
    """A position before a fill; its price is what makes the fill lead to the position's."""
    lots = position.size - size
    if not lots or not position.size:
        return Position(lots, price)
    grew = lots * size > 0
    cost = (position.price * position.size - price * size) / lots if grew else position.price
    return Position(lots, cost)


def _comminfo(instrument: Instrument) -> Any:
    known = math.isfinite(instrument.margin)
    return bt.CommissionInfo(
        commission=instrument.commission if math.isfinite(instrument.commission) else 0.0,
        mult=instrument.volume_multiple,
        margin=instrument.margin if known else 1.0,
        # Without a margin per lot: the whole worth, which is never too little.
        automargin=False if known else float(instrument.volume_multiple),
        commtype=bt.CommissionInfo.COMM_FIXED,
        stocklike=False,
    )
