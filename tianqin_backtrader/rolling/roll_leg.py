"""One leg of a roll: closes or opens a number of lots with orders that follow the market."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date

import backtrader as bt

from ..core.clock import SECOND, to_ns
from ..core.model import Direction
from ..errors import LinkError
from ..orders.pegged import ChaseRules, Quote
from ..orders.target import (
    NO_LEAST,
    Action,
    Cancel,
    Ended,
    Event,
    Filled,
    Lots,
    Place,
    TargetState,
    step,
)
from ..orders.ticket import OF_A_ROLL
from .ports import RollPorts
from .roll_state import Move, RollPhase, RollPlan, capped

#: A leg gives up after this many rejections in a row.
MAX_REJECTIONS = 5
#: The share of its patience for which a leg waits for a book that can take all its lots, if a rest
#: could not be sent again.
WAIT_FOR_A_BOOK = 0.5
#: Prices of a leg are limited from the middle at its beginning, or at that of a trading day.
RULES = ChaseRules(max_rejections=MAX_REJECTIONS)


class RollLeg:
    """The orders of a leg.

    Closing orders are CLOSE at the exchange, too: they can never open the other side.

    Args:
        ports: Time, quotes and the broker.
        plan: The roll.
        phase: CLOSING or OPENING.
        move: The number of lots.

    Attributes:
        reference: The middle from which its price limit counts; NaN before the first quote.
        waited_ns: Trading time it has taken.
        broken_off: Whether the market has closed since this was last reset.
    """

    def __init__(self, ports: RollPorts, plan: RollPlan, phase: RollPhase, move: Move) -> None:
        self._ports, self._context, self._broker = ports, ports.context, ports.broker
        self.plan, self.phase = plan, phase
        self.symbol = plan.old if phase is RollPhase.CLOSING else plan.new
        self.direction = plan.direction(phase)
        self._target = TargetState(
            "roll", self.direction.sign * move.lots, rules=_rules(plan, phase)
        )
        self.orders: dict[str, bt.Order] = {}
        self._seen: set[str] = set()
        self._ended: set[str] = set()
        self.reference = math.nan
        self._day: date | None = None
        self.waited_ns = self._last_ns = self._closes_ns = 0
        self.broken_off = self.given_up = False
        opens = phase is RollPhase.OPENING
        self._least = Lots(open_least=plan.least) if opens else NO_LEAST
        self._lots = move.lots

    @property
    def done(self) -> bool:
        """Whether no order is out, and all lots are traded or no more will be."""
        short = self._target.stalled and not self._target.refused
        return self._target.reached or ((self.given_up or short) and self._target.working is None)

    @property
    def refused(self) -> bool:
        """Whether too many orders in a row were refused."""
        return self._target.refused

    @property
    def left(self) -> int:
        """Lots that are still to be traded."""
        return 0 if self.given_up else self._lots - self.traded

    @property
    def traded(self) -> int:
        """Lots traded so far."""
        return abs(self._target.net)

    @property
    def order_ids(self) -> list[str]:
        """The ids of its exchange orders."""
        return [leg.order_id for order in self.orders.values() for leg in order.legs]

    def on_round(self) -> bool:
        """Take the next step; whether an order was made, which is sent with the next wait."""
        now = self._context.now_ns()
        self._count_time(now)
        quote = None if self.given_up else self._quote()
        self._target, action = step(self._target, self._news(), now, quote, self._least)
        return self._carry_out(action)

    def give_up(self) -> None:
        """Trade no more lots: cancel the order; its fills count."""
        self.given_up = True
        for order in self.orders.values():
            if order.alive():
                self._broker.cancel(order)

    def stop(self) -> None:
        """Cancel the order, unless its rest is too small to be opened again."""
        for order in self.orders.values():
            rest = sum(leg.volume - leg.filled for leg in order.legs)
            keeps = self.phase is RollPhase.OPENING and rest < self.plan.least
            if order.alive() and not (keeps and order.executed.size):
                self._broker.cancel(order)

    def _count_time(self, now: int) -> None:
        """Count trading time only; if the market has closed since the last round, to its close."""
        trading = self._broker.takes_orders(self.symbol)
        if self._last_ns:
            self.waited_ns += max(0, min(now, self._closes_ns) - self._last_ns)
            self.broken_off = self.broken_off or now >= self._closes_ns
        self._last_ns = now if trading else 0
        if trading and not self._closes_ns > now:
            calendar = self._context.calendar
            closes = calendar.next_session_boundary(self.symbol, self._context.now())
            self._closes_ns = to_ns(closes)

    def _carry_out(self, action: Action) -> bool:
        if isinstance(action, Place):
            closes = self.phase is RollPhase.CLOSING
            buys = action.direction.sign > 0
            broker = self._broker
            if closes:
                send = broker.buy_close if buys else broker.sell_close
            else:
                send = broker.buy_open if buys else broker.sell_open
            with broker.reserved_for_us(self.symbol):
                order = send(self.symbol, action.volume, action.price, allow_partial=False)
            broker.mark(order, OF_A_ROLL, self.plan.old)
            self.orders[action.order_id] = order
            return True
        if isinstance(action, Cancel) and self.orders[action.order_id].alive():
            self._broker.cancel(self.orders[action.order_id])
        return False

    def _news(self) -> list[Event]:
        news: list[Event] = []
        for order_id, order in self.orders.items():
            for leg in order.legs:
                for trade_id, fill in leg.fills.items():
                    if trade_id not in self._seen:
                        self._seen.add(trade_id)
                        news.append(Filled(order_id, trade_id, fill.direction, fill.volume))
            if not order.alive() and order_id not in self._ended:
                self._ended.add(order_id)
                filled = sum(leg.filled for leg in order.legs)
                refused = order.status in (bt.Order.Rejected, bt.Order.Margin)
                news.append(Ended(order_id, filled, refused))
        return news

    def _quote(self) -> Quote | None:
        """The market's quote for the leg; None while the market accepts no orders."""
        quote = market_quote(self._ports, self.symbol)
        if quote is None:
            return None
        today = self._context.trading_day()
        if today != self._day:
            middle = (quote.bid_price1 + quote.ask_price1) / 2
            if math.isnan(middle):
                return None
            self.reference, self._day = middle, today
        if self._waits_for_a_book():
            return None
        return capped(quote, self.direction, self.reference, self.plan.max_slippage)

    def _waits_for_a_book(self) -> bool:
        """Whether to wait before opening, because the rest could not be sent again."""
        if self._least.open_least <= 1 or self._target.working is not None:
            return False
        if self.waited_ns > self.plan.patience * SECOND * WAIT_FOR_A_BOOK:
            return False
        worst = self.reference + self.direction.sign * self.plan.max_slippage
        return book_lots(self._ports, self.symbol, self.direction, worst) < self.left


def _rules(plan: RollPlan, phase: RollPhase) -> ChaseRules:
    """The price rules of a leg.

    The rest of an opening order may be too small to be sent again at another price. So that order
    is priced at the leg's limit at once, and takes what the book has up to there.
    """
    if phase is RollPhase.OPENING and plan.least > 1:
        return replace(RULES, reach=plan.max_slippage)
    return RULES


def book_lots(ports: RollPorts, symbol: str, direction: Direction, worst: float) -> int:
    """Lots of the book that an order of a direction would get at no worse price."""
    try:
        quote = ports.market.quote(symbol)
    except LinkError:
        return 0
    side = "ask" if direction is Direction.BUY else "bid"
    levels = [
        (getattr(quote, f"{side}_price{level}"), getattr(quote, f"{side}_volume{level}"))
        for level in range(1, 6)
    ]
    return sum(
        int(volume) for price, volume in levels if (worst - price) * direction.sign >= 0
    )  # a price of NaN is not


def book_time(ports: RollPorts, symbol: str) -> str:
    """The time of a contract's book, from the market; "" without one."""
    try:
        return str(ports.market.quote(symbol).datetime)
    except LinkError:
        return ""


def market_quote(ports: RollPorts, symbol: str) -> Quote | None:
    """The best quotes of a contract if its market accepts orders now, else None."""
    if not ports.broker.takes_orders(symbol):
        return None
    try:
        quote = ports.market.quote(symbol)
    except LinkError:
        return None
    if math.isnan(quote.last_price):
        return None
    return Quote(quote.bid_price1, quote.ask_price1, quote.upper_limit, quote.lower_limit)
