"""The account as strategies see it: positions by fill and by side, funds, what orders cost."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from backtrader.position import Position

from ..contracts.fees import DayFees, FeeLedger
from ..contracts.odd_prices import price_of
from ..contracts.offsets import Closable, LotLimits
from ..core.clock import SECOND, Instants, instants
from ..core.context import Context
from ..core.model import Direction, Fill, Instrument, Offset
from ..core.ports import LinkPort, TradingPort
from ..orders.exits import SideLots
from ..orders.leg import UNCONFIRMED, OrderLeg
from .allocation import LotsChange
from .contract_costs import costs_of
from .pnl import Balance, ProfitAndLoss

logger = logging.getLogger(__name__)

SIDES = ("long", "short")
#: No exchange trades later on a trading day's own date.
DAYS_END = time(15, 15)
#: After so long without a change the account's figures hold an order all the same; nanoseconds.
SETTLED = 5 * SECOND


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


@dataclass(frozen=True, slots=True)
class Binding:
    """What an order binds before the account says so.

    Two orders of one ``next()`` are sized by the same figure of available funds; behind a futures
    company it is seconds old besides.

    Attributes:
        leg: An order that opens.
        a_lot: Margin and fee, yuan.
        figures: The account's margin and frozen margin as it was sent.
        since: When that was.
    """

    leg: OrderLeg
    a_lot: float
    figures: tuple[float, ...]
    since: Instants

    @property
    def yuan(self) -> float:
        """For the lots that are, or may be, opened."""
        return self.a_lot * (self.leg.filled if self.leg.over else self.leg.volume)

    def is_told(self, figures: tuple[float, ...], at: Instants) -> bool:
        """Whether the account's figure of available funds can hold it."""
        if self.leg.state in UNCONFIRMED:
            return False
        return figures != self.figures or at.since(self.since) > SETTLED


class BoundFunds:
    """Orders of ours that open, until the account's figures have moved with them."""

    def __init__(self) -> None:
        self._bound: list[Binding] = []

    def bind(self, binding: Binding) -> None:
        """An order is being sent."""
        self._bound.append(binding)

    def yuan(self, figures: tuple[float, ...], at: Instants) -> float:
        """What is to be taken off the account's available funds.

        Args:
            figures: The account's margin and frozen margin now.
            at: Now.
        """
        self._bound = [one for one in self._bound if one.yuan and not one.is_told(figures, at)]
        return sum(one.yuan for one in self._bound)


class PositionLedger:
    """Positions of our fills beside those of the account, and what Backtrader asks of a broker.

    Args:
        context: Contracts and time.
        trading: Shows the account.
        link: Whether what it shows is of now.

    Attributes:
        net: Net positions by symbol.
        sides: Positions by (symbol, "long" or "short"); short ones have negative sizes.
        books: What the fills come to.
        fees: What trades cost where they do not say.
        moved: Changes of net lots that no trade has told, and that nobody has taken yet.
    """

    def __init__(self, context: Context, trading: TradingPort, link: LinkPort) -> None:
        self._context, self._trading, self._link = context, trading, link
        self.fees = FeeLedger(all_named=trading.names_fees)
        self.net: dict[str, Position] = {}
        self.sides: dict[tuple[str, str], Position] = {}
        self.books = ProfitAndLoss()
        self._comminfo: dict[str, tuple[Instrument, Any]] = {}
        self._marks: dict[str, float] = {}
        self.moved: list[LotsChange] = []
        self._bound = BoundFunds()

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
        told_later = 0.0
        for fill in map(self._with_fee, coming):
            if self._day_of(fill) >= self._today():
                told_later += fill.commission
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
        self.fees.begin(self._day_fees(), told_later)

    def net_lots(self) -> dict[str, tuple[int, float]]:
        """Net lots, signed, and their price, of what is not flat; by symbol."""
        return {symbol: (int(one.size), one.price) for symbol, one in self.net.items() if one.size}

    def take_over(self, symbol: str) -> None:
        """Hold what the account holds of a contract, whatever our fills say."""
        position = {"pos_long": 0, "pos_short": 0} | self._trading.position(symbol)
        before = self.position(symbol).size
        net, price = self._take_position(symbol, position)
        self.books.adjust(symbol, int(net - before), price, self._multiple(symbol))
        self._note(symbol, int(net - before), price)

    def _note(self, symbol: str, size: int, price: float) -> None:
        if size:
            self.moved.append(LotsChange(symbol, size, price))

    def take_moved(self) -> list[LotsChange]:
        """Changes of net lots that no trade has told, since the last question."""
        moved, self.moved = self.moved, []
        return moved

    def _take_position(self, symbol: str, position: dict[str, Any]) -> tuple[int, float]:
        """Make a position of the account ours; return its net lots and its last price."""
        net, price = position["pos_long"] - position["pos_short"], mark_price(position)
        if price != price:
            price = float(self._context.instrument(symbol).pre_settlement)
        for side, sign in zip(SIDES, (1, -1), strict=True):
            opened_at = price_of(position, f"open_price_{side}")
            cost = opened_at if opened_at == opened_at else price
            self.sides[symbol, side] = Position(sign * position[f"pos_{side}"], cost)
        held = [self.sides[symbol, side] for side in SIDES if position[f"pos_{side}"]]
        # What both sides together have cost is no price; the present stands in for it.
        self.net[symbol] = Position(net, held[0].price if len(held) == 1 else price)
        return net, price

    def _multiple(self, symbol: str) -> int:
        return int(self._context.instrument(symbol).volume_multiple)

    # -- fees ---------------------------------------------------------------------------------

    def priced(self, fill: Fill) -> Fill:
        """A trade as the account tells it, with its fee: what it names, or else an estimate."""
        if math.isfinite(fill.commission):
            self.fees.paid.learn(fill)
        return self._with_fee(fill)

    def _with_fee(self, fill: Fill) -> Fill:
        if math.isfinite(fill.commission):
            return fill
        return self.fees.estimated(fill, self._context.instrument(fill.symbol))

    def settle_fees(self) -> None:
        """Every round: book what the account says beyond the estimates, or short of them."""
        if self.fees.all_named or not self._link.trading_up:
            return
        fee = self.fees.settle(self._day_fees(), self._last_settled_day(), self._instants())
        if fee:
            self.books.charge(fee)
            logger.info("fees: %+.2f yuan beside the estimates, by the account's figure", fee)

    def _day_fees(self) -> DayFees:
        return DayFees(*self._trading.funds("commission", "pre_balance"))

    def _instants(self) -> Instants:
        return instants(self._context.clock)

    def _today(self) -> date:
        day: date = self._context.trading_day()
        return day

    def _day_of(self, fill: Fill) -> date:
        """Its trading day; some counters stamp trades of the night with the next date."""
        return min(self._context.day_of(fill.time), self._today())

    def _last_settled_day(self) -> date:
        """What a new day of the account comes after; it may begin when the old one has ended."""
        today = self._today()
        if self._context.now() >= datetime.combine(today, DAYS_END):
            return today
        before: date = self._context.calendar.previous_trading_day(today)
        return before

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
        self.fees.take(fill, self._day_of(fill), self._instants())

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
        self._note(symbol, -int(lots), price)
        for side in SIDES:
            self.sides.pop((symbol, side), None)
        return int(lots)

    def account_positions(self) -> dict[str, dict[str, Any]]:
        """The account's positions that are not flat, by symbol."""
        found: dict[str, dict[str, Any]] = self._trading.positions()
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

    def lacks_positions(self) -> bool:
        """Whether margin is bound, and no lots are shown: the positions have not come yet.

        A counter may show them long after a login, its other figures at once.
        """
        [margin] = self._trading.funds("margin")
        return margin > 0 and not self.account_positions()

    def open_prices(self) -> dict[tuple[str, str], float]:
        """The mean price at which they were opened, by symbol and side, nan where unknown."""
        return {
            (symbol, side): price_of(position, f"open_price_{side}")
            for symbol, position in self.account_positions().items()
            for side in SIDES
        }

    def held(self, symbol: str, direction: Direction) -> Closable:
        """The lots that an order of a direction closes, as the account has them."""
        return Closable(*self._trading.lots(symbol, _closed_by(direction)))

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
        [value] = self._trading.funds(name)
        return value

    def available(self) -> float:
        """Available funds, less what orders on their way bind; yuan."""
        figures = self._bound_figures()
        return self.funds("available") - self._bound.yuan(figures, self._instants())

    def bind(self, leg: OrderLeg, price: float) -> None:
        """An order is about to be sent; ``price`` is what it may cost at most, or nan."""
        if leg.offset is Offset.OPEN:
            at = price if price == price else self._context.instrument(leg.symbol).pre_settlement
            a_lot = self.cost(leg.symbol, 1, at).total
            binding = Binding(leg, a_lot, self._bound_figures(), self._instants())
            self._bound.bind(binding)

    def _bound_figures(self) -> tuple[float, ...]:
        figures: tuple[float, ...] = self._trading.funds("margin", "frozen_margin")
        return figures

    def day_profit(self) -> float:
        """What the trading day has brought so far, fees taken off; yuan, nan if unknown."""
        balance, before = self._trading.funds("balance", "static_balance")
        return float(balance - before)

    def balance(self) -> Balance:
        """Start, profit and fees by our own books; open lots at the account's last price."""
        for symbol, position in self.account_positions().items():
            price = mark_price(position)
            if price == price:
                self._marks[symbol] = price
        # An account may tell its positions later than its trades.
        costs = {symbol: position.price for symbol, position in self.net.items()}
        return self.books.balance(costs | self._marks)

    # -- costs --------------------------------------------------------------------------------

    def comminfo(self, symbol: str) -> Any:
        """Multiplier, margin and commission of a contract today, as Backtrader has them."""
        instrument = self._context.instrument(symbol)
        known = self._comminfo.get(symbol)
        if known is None or known[0] is not instrument:
            known = self._comminfo[symbol] = (instrument, costs_of(instrument))
        return known[1]

    def cost(self, symbol: str, volume: int, price: float, *, closes: bool = False) -> OrderCost:
        """What an order of so many lots takes; the margin at a price where it is not per lot."""
        info = self.comminfo(symbol)
        margin = 0.0 if closes else volume * info.get_margin(price)
        return OrderCost(margin, info.getcommission(volume, price))

    def max_lots(self, symbol: str, price: float, share: float = 1.0) -> int:
        """Lots that a share of the available funds can open; 0 if too few for one order."""
        one, funds = self.cost(symbol, 1, price).total, self.available() * share
        if not (one > 0 and math.isfinite(one) and math.isfinite(funds)):
            return 0
        lots = max(0, math.floor(funds / one))
        limits = LotLimits.of(self._context.instrument(symbol), market_order=False)
        return lots if lots >= limits.open_least else 0


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
    prices = (price_of(position, name) for name in names)
    return next((price for price in prices if price == price), math.nan)


def _before(position: Position, size: int, price: float) -> Position:
    """A position before a fill; its price is what makes the fill lead to the position's."""
    lots = position.size - size
    if not lots or not position.size:
        return Position(lots, price)
    grew = lots * size > 0
    cost = (position.price * position.size - price * size) / lots if grew else position.price
    return Position(lots, cost)
