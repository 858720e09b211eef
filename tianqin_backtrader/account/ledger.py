"""The account for strategies: positions from fills, net and by side, funds, costs of orders."""

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
#: No exchange trades after this time on the date of a trading day, except for the next one.
DAYS_END = time(15, 15)
#: After this long without a change the account's figures count as including an order; nanoseconds.
SETTLED = 5 * SECOND


@dataclass(frozen=True, slots=True)
class OrderCost:
    """What an order takes from the available funds, yuan; ``margin`` is 0 if it closes."""

    margin: float
    commission: float

    @property
    def total(self) -> float:
        """Margin and commission together."""
        return self.margin + self.commission


@dataclass(frozen=True, slots=True)
class Execution:
    """The effect of a fill on the net position: signed lots, prices in quote units."""

    closed: int
    opened: int
    price_before: float
    size: int
    price: float


@dataclass(frozen=True, slots=True)
class Binding:
    """Funds for an order that the account's figures may not include yet.

    Without it two orders of one ``next()`` would be sized by the same available funds; at a futures
    company that figure is also seconds old.

    Attributes:
        leg: An order that opens.
        a_lot: Margin and fee of a lot, yuan.
        figures: The account's margin and frozen margin when it was sent.
        since: When it was sent.
    """

    leg: OrderLeg
    a_lot: float
    figures: tuple[float, ...]
    since: Instants

    @property
    def yuan(self) -> float:
        """Funds for the lots that it has opened or may open."""
        return self.a_lot * (self.leg.filled if self.leg.over else self.leg.volume)

    def is_told(self, figures: tuple[float, ...], at: Instants) -> bool:
        """Return whether the account's available funds can include it by now."""
        if self.leg.state in UNCONFIRMED:
            return False
        return figures != self.figures or at.since(self.since) > SETTLED


class BoundFunds:
    """Own orders that open, until the account's figures include them."""

    def __init__(self) -> None:
        self._bound: list[Binding] = []

    def bind(self, binding: Binding) -> None:
        """Add an order that is being sent."""
        self._bound.append(binding)

    @property
    def is_empty(self) -> bool:
        """Whether no order is bound."""
        return not self._bound

    def yuan(self, figures: tuple[float, ...], at: Instants) -> float:
        """Return the sum to subtract from the account's available funds.

        Args:
            figures: The account's margin and frozen margin now.
            at: The present time.
        """
        self._bound = [one for one in self._bound if one.yuan and not one.is_told(figures, at)]
        return sum(one.yuan for one in self._bound)


class PositionLedger:
    """Positions from fills and those of the account, and what Backtrader needs of a broker.

    Args:
        context: Contracts and time.
        trading: Provides the account's figures.
        link: Whether these figures are up to date.

    Attributes:
        net: Net positions by symbol.
        sides: Positions by (symbol, "long" or "short"); short ones have negative sizes.
        books: Profit and fees of the fills.
        fees: Fees of trades that do not state theirs.
        moved: Changes of net lots without a reported trade, until ``take_moved``.
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
        """Begin with the positions that the account holds.

        Args:
            equity: Yuan.
            coming: Fills that the account includes already, and that will be taken here one by one:
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
        """Return signed net lots and their price by symbol, without flat contracts."""
        return {symbol: (int(one.size), one.price) for symbol, one in self.net.items() if one.size}

    def take_over(self, symbol: str) -> None:
        """Replace the position of a contract by the account's, whatever the fills were."""
        position = {"pos_long": 0, "pos_short": 0} | self._trading.position(symbol)
        before = self.position(symbol).size
        net, price = self._take_position(symbol, position)
        self.books.adjust(symbol, int(net - before), price, self._multiple(symbol))
        self._note(symbol, int(net - before), price)

    def _note(self, symbol: str, size: int, price: float) -> None:
        if size:
            self.moved.append(LotsChange(symbol, size, price))

    def take_moved(self) -> list[LotsChange]:
        """Return the changes of net lots without a reported trade since the last call."""
        moved, self.moved = self.moved, []
        return moved

    def _take_position(self, symbol: str, position: dict[str, Any]) -> tuple[int, float]:
        """Take over a position of the account; return its net lots and its last price."""
        net, price = position["pos_long"] - position["pos_short"], mark_price(position)
        if price != price:
            price = float(self._context.instrument(symbol).pre_settlement)
        for side, sign in zip(SIDES, (1, -1), strict=True):
            opened_at = price_of(position, f"open_price_{side}")
            cost = opened_at if opened_at == opened_at else price
            self.sides[symbol, side] = Position(sign * position[f"pos_{side}"], cost)
        held = [self.sides[symbol, side] for side in SIDES if position[f"pos_{side}"]]
        # The cost of both sides together is not a price; the present price replaces it.
        self.net[symbol] = Position(net, held[0].price if len(held) == 1 else price)
        return net, price

    def _multiple(self, symbol: str) -> int:
        return int(self._context.instrument(symbol).volume_multiple)

    # -- fees ---------------------------------------------------------------------------------

    def priced(self, fill: Fill) -> Fill:
        """Return a trade with its fee: the one that it states, or an estimate."""
        if math.isfinite(fill.commission):
            self.fees.paid.learn(fill)
        return self._with_fee(fill)

    def _with_fee(self, fill: Fill) -> Fill:
        if math.isfinite(fill.commission):
            return fill
        return self.fees.estimated(fill, self._context.instrument(fill.symbol))

    def settle_fees(self) -> None:
        """Book the difference of the account's fees from the estimates; in every round."""
        if self.fees.all_named or not self._link.trading_up:
            return
        fee = self.fees.settle(self._day_fees(), self._last_settled_day(), self._instants())
        if fee:
            self.books.charge(fee)
            logger.info("fees: %+.2f yuan beyond the estimates, by the account's figure", fee)

    def _day_fees(self) -> DayFees:
        return DayFees(*self._trading.funds("commission", "pre_balance"))

    def _instants(self) -> Instants:
        return instants(self._context.clock)

    def _today(self) -> date:
        day: date = self._context.trading_day()
        return day

    def _day_of(self, fill: Fill) -> date:
        """Return a fill's trading day; some counters stamp night trades with the next date."""
        return min(self._context.day_of(fill.time), self._today())

    def _last_settled_day(self) -> date:
        """Return the day before the account's next day, which may begin at the close."""
        today = self._today()
        if self._context.now() >= datetime.combine(today, DAYS_END):
            return today
        before: date = self._context.calendar.previous_trading_day(today)
        return before

    # -- positions ----------------------------------------------------------------------------

    def position(self, symbol: str, side: str | None = None) -> Position:
        """Return the net position, or that of a side."""
        if side is None:
            return self.net.setdefault(symbol, Position())
        return self.sides.setdefault((symbol, side), Position())

    def joined(self, symbols: tuple[str, ...], side: str | None = None) -> Position:
        """Return the lots of several contracts as one position, at their average price."""
        held = [self.position(symbol, side) for symbol in symbols]
        lots = sum(one.size for one in held)
        worth = sum(one.size * one.price for one in held)
        return Position(lots, worth / lots if lots else 0.0)

    def take_fill(self, fill: Fill, volume_multiple: int) -> Execution:
        """Book one execution."""
        self.book(fill, volume_multiple)
        return self.take_lots(fill)

    def book(self, fill: Fill, volume_multiple: int) -> None:
        """Book an execution's profit and fee."""
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
        """Remove the position of an expired contract; return its net lots."""
        lots = self.position(symbol).size
        self.books.adjust(symbol, -self.books.lots[symbol], price, self._multiple(symbol))
        self.net.pop(symbol)
        self._note(symbol, -int(lots), price)
        for side in SIDES:
            self.sides.pop((symbol, side), None)
        return int(lots)

    def account_positions(self) -> dict[str, dict[str, Any]]:
        """Return the account's positions that are not flat, by symbol."""
        found: dict[str, dict[str, Any]] = self._trading.positions()
        return {
            symbol: position
            for symbol, position in found.items()
            if position["pos_long"] or position["pos_short"]
        }

    def held_lots(self) -> dict[tuple[str, str], int]:
        """Return the account's lots by symbol and side."""
        return {
            (symbol, side): int(position[f"pos_{side}"])
            for symbol, position in self.account_positions().items()
            for side in SIDES
        }

    def lacks_positions(self) -> bool:
        """Return whether the account uses margin but shows no lots: the positions are missing.

        A counter may send them long after a login, and its other figures at once.
        """
        [margin] = self._trading.funds("margin")
        return margin > 0 and not self.account_positions()

    def open_prices(self) -> dict[tuple[str, str], float]:
        """Return the mean open prices of positions by symbol and side, nan if unknown."""
        return {
            (symbol, side): price_of(position, f"open_price_{side}")
            for symbol, position in self.account_positions().items()
            for side in SIDES
        }

    def held(self, symbol: str, direction: Direction) -> Closable:
        """Return the lots that an order of this direction closes, according to the account."""
        return Closable(*self._trading.lots(symbol, _closed_by(direction)))

    def side_lots(self, symbol: str, direction: Direction) -> SideLots:
        """Return the same lots according to the account and to the fills."""
        return SideLots(self.held(symbol, direction).total, self.booked(symbol, direction))

    def booked(self, symbol: str, direction: Direction) -> int:
        """Return the same lots according to the fills alone."""
        found = self.sides.get((symbol, _closed_by(direction)))
        return abs(int(found.size)) if found is not None else 0

    # -- funds --------------------------------------------------------------------------------

    def funds(self, name: str) -> float:
        """Return a field of the account, yuan."""
        [value] = self._trading.funds(name)
        return value

    def available(self) -> float:
        """Return the available funds, less those for orders not included in them yet; yuan."""
        available = self.funds("available")
        if self._bound.is_empty:
            return available
        return available - self._bound.yuan(self._bound_figures(), self._instants())

    def bind(self, leg: OrderLeg, price: float) -> None:
        """Note the funds for an order about to be sent, at most at ``price``, which may be nan."""
        if leg.offset is Offset.OPEN:
            at = price if price == price else self._context.instrument(leg.symbol).pre_settlement
            a_lot = self.cost(leg.symbol, 1, at).total
            binding = Binding(leg, a_lot, self._bound_figures(), self._instants())
            self._bound.bind(binding)

    def _bound_figures(self) -> tuple[float, ...]:
        figures: tuple[float, ...] = self._trading.funds("margin", "frozen_margin")
        return figures

    def day_profit(self) -> float:
        """Return the trading day's profit so far, less fees; yuan, nan if unknown."""
        balance, before = self._trading.funds("balance", "static_balance")
        return float(balance - before)

    def balance(self) -> Balance:
        """Return start, profit and fees by the library's books; lots at the account's price."""
        for symbol, position in self.account_positions().items():
            price = mark_price(position)
            if price == price:
                self._marks[symbol] = price
        # An account may show its positions later than its trades.
        costs = {symbol: position.price for symbol, position in self.net.items()}
        return self.books.balance(costs | self._marks)

    # -- costs --------------------------------------------------------------------------------

    def comminfo(self, symbol: str) -> Any:
        """Return multiplier, margin and commission of a contract today, as Backtrader has them."""
        instrument = self._context.instrument(symbol)
        known = self._comminfo.get(symbol)
        if known is None or known[0] is not instrument:
            known = self._comminfo[symbol] = (instrument, costs_of(instrument))
        return known[1]

    def cost(self, symbol: str, volume: int, price: float, *, closes: bool = False) -> OrderCost:
        """Return what an order takes; ``price`` matters only if the margin is not per lot."""
        info = self.comminfo(symbol)
        margin = 0.0 if closes else volume * info.get_margin(price)
        return OrderCost(margin, info.getcommission(volume, price))

    def max_lots(self, symbol: str, price: float, share: float = 1.0) -> int:
        """Return the lots that a share of available funds opens; 0 if too few for an order."""
        one, funds = self.cost(symbol, 1, price).total, self.available() * share
        if not (one > 0 and math.isfinite(one) and math.isfinite(funds)):
            return 0
        lots = max(0, math.floor(funds / one))
        limits = LotLimits.of(self._context.instrument(symbol), market_order=False)
        return lots if lots >= limits.open_least else 0


def side_of(fill: Fill) -> str:
    """Return the side whose lots a fill opens or closes."""
    opens = fill.offset is Offset.OPEN
    return "long" if (fill.direction is Direction.BUY) is opens else "short"


def _closed_by(direction: Direction) -> str:
    """Return the side that an order of this direction can close."""
    return "short" if direction is Direction.BUY else "long"


def mark_price(position: dict[str, Any]) -> float:
    """Return the account's last price of a position, or its price in the account's books."""
    side = "long" if position["pos_long"] else "short"
    names = ("last_price", f"position_price_{side}", f"open_price_{side}")
    prices = (price_of(position, name) for name in names)
    return next((price for price in prices if price == price), math.nan)


def _before(position: Position, size: int, price: float) -> Position:
    """Return the position before a fill; with its price the fill leads to ``position``."""
    lots = position.size - size
    if not lots or not position.size:
        return Position(lots, price)
    grew = lots * size > 0
    cost = (position.price * position.size - price * size) / lots if grew else position.price
    return Position(lots, cost)
