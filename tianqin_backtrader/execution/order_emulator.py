"""Emulate orders that wait for a price or a time: stops, trailing stops, Backtrader's Close.

The rules of when one triggers are in ``conditional``; this module supplies the prices.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from typing import Any

import backtrader as bt

from ..contracts.order_terms import STAYS, OrderTerms, passive_price
from ..contracts.time_in_force import TimeInForce, last_close
from ..core.clock import SECOND, to_ns
from ..core.model import Direction
from ..core.ports import LastPrice
from ..errors import OrderError
from ..orders.conditional import (
    ConditionalOrder,
    Kind,
    Status,
    at_close,
    on_price,
    stop,
    trailing_stop,
)
from ..orders.ticket import Stage, Ticket
from .order_manager import OrderManager

logger = logging.getLogger(__name__)

#: How long before the day's last close Backtrader's Close is sent: normally, and if a connection
#: was lost, away or slow to answer within ``DOUBTFUL_FOR``.
BEFORE_CLOSE, BEFORE_CLOSE_IN_DOUBT = 5 * SECOND, 60 * SECOND
DOUBTFUL_FOR = 600 * SECOND
#: Orders of Backtrader that wait for a price or a time.
_CONDITIONS = (
    bt.Order.Stop,
    bt.Order.StopLimit,
    bt.Order.StopTrail,
    bt.Order.StopTrailLimit,
    bt.Order.Close,
)


class QuietRange:
    """Prices and times at which no order that waits on a contract changes."""

    def __init__(self) -> None:
        self._low, self._high, self._due = -math.inf, math.inf, math.inf

    def narrow(self, condition: ConditionalOrder) -> None:
        """Add an order; a trailing stop leaves no range, as any price may move it."""
        if condition.due_ns is not None:
            self._due = min(self._due, condition.due_ns)
        if condition.stop_price is None:
            return
        trails = condition.kind in (Kind.STOP_TRAIL, Kind.STOP_TRAIL_LIMIT)
        dust = 1e-6 * abs(condition.stop_price)
        if trails or condition.direction is Direction.BUY:
            self._high = min(self._high, condition.stop_price - dust)
        if trails or condition.direction is Direction.SELL:
            self._low = max(self._low, condition.stop_price + dust)
        if trails:
            self._low, self._high = math.inf, -math.inf

    def contains(self, price: float, now: int) -> bool:
        """Return whether a price at a time changes nothing."""
        return now < self._due and (price != price or self._low < price < self._high)


class OrderEmulator:
    """Compares prices with the orders that wait for them.

    Args:
        manager: Has the pre-trade checks and the records.
        last_price: Returns a contract's last price.

    Attributes:
        watched: Waiting orders, by contract and number.
    """

    def __init__(self, manager: OrderManager, last_price: LastPrice) -> None:
        self._manager, self._context, self._link = manager, manager.context, manager.link
        self._last_price = last_price
        self.watched: dict[str, dict[int, Ticket]] = {}
        self._quiet: dict[str, QuietRange] = {}
        self._breaks, self._lost_at = 0, -math.inf

    def condition(self, ticket: Ticket) -> ConditionalOrder:
        """Return what an order of Backtrader waits for.

        Raises:
            OrderError: A price is missing or wrong, or the type of order is not supported.
        """
        order, created = ticket.order, ticket.order.created
        if order.exectype not in _CONDITIONS:
            raise OrderError(
                "exectype is Market, Limit, Stop, StopLimit, StopTrail, StopTrailLimit or Close of "
                f"bt.Order, not {order.exectype!r}"
            )
        if order.exectype == bt.Order.Close:
            return self._at_close(ticket)
        if order.p.price is None and order.exectype in (bt.Order.Stop, bt.Order.StopLimit):
            raise OrderError(f"a {order.getordername()} order needs a price")
        plimit = order.p.pricelimit
        needs_limit = order.exectype in (bt.Order.StopLimit, bt.Order.StopTrailLimit)
        if needs_limit and plimit is None:
            raise OrderError(f"a {order.getordername()} order needs a limit price (plimit)")
        limit = plimit if needs_limit else None
        if order.exectype in (bt.Order.Stop, bt.Order.StopLimit):
            return stop(ticket.direction, ticket.volume, order.p.price, limit_price=limit)
        reference = order.p.price if order.p.price is not None else self._price(ticket.symbol)
        if math.isnan(reference) and len(order.data):  # the quote was only now subscribed
            reference = float(order.data.close[0])
        state = trailing_stop(
            ticket.direction, ticket.volume, reference, trail_amount=order.p.trailamount,
            trail_percent=order.p.trailpercent, limit_price=limit,
        )  # fmt: skip
        _show(created, state)
        return state

    def _at_close(self, ticket: Ticket) -> ConditionalOrder:
        """Return Backtrader's Close: valid until the close, and never sent after it."""
        now, calendar = self._context.now(), self._context.calendar
        day = calendar.trading_day_at(now)
        close = last_close(ticket.symbol, day, calendar)
        if close <= now:  # a daily bar comes after the close
            close = last_close(ticket.symbol, calendar.next_trading_day(day), calendar)
        until = ticket.validity.until
        ticket.validity = TimeInForce(close if until is None else min(until, close))
        end = to_ns(close)
        return at_close(ticket.direction, ticket.volume, end - BEFORE_CLOSE, valid_until_ns=end)

    def watch(self, ticket: Ticket) -> None:
        """Start to watch prices and time for an order."""
        ticket.stage = Stage.WATCHED
        self._manager.write_ahead.touch(ticket)
        self.watched.setdefault(ticket.symbol, {})[ticket.order.ref] = ticket
        self._quiet.pop(ticket.symbol, None)
        if ticket.order.exectype != bt.Order.Close:
            self._price(ticket.symbol)  # subscribes

    def _price(self, symbol: str) -> float:
        return float(self._last_price(symbol))

    def forget(self, ticket: Ticket) -> None:
        """Stop watching an order."""
        if self.watched.get(ticket.symbol, {}).pop(ticket.order.ref, None) is not None:
            self._quiet.pop(ticket.symbol, None)
            if not self.watched[ticket.symbol]:
                del self.watched[ticket.symbol]

    def on_round(self) -> Iterator[Ticket]:
        """Compare the present prices with the orders that wait for them.

        Yields:
            Each order whose moment has come, and each that is over because its lots are gone.
        """
        now = self._context.now_ns()
        due = now + self._ahead(now)  # every round, as a break may be over by the next
        for symbol, tickets in list(self.watched.items()):  # orders that end are removed
            yield from self._end_without_lots(symbol)
            if not tickets or not self._link.trading_up or not self._manager.pre_trade.open(symbol):
                continue
            span = self._quiet.get(symbol) or self._span(symbol)
            price = self._price(symbol)
            if span.contains(price, due):
                continue
            for ticket in list(tickets.values()):
                due_now = _moment(ticket, now, due)
                if ticket.stage is Stage.WATCHED and self._fires(ticket, price, due_now):
                    yield ticket
            self._quiet.pop(symbol, None)

    def _ahead(self, now: int) -> int:
        """Return how much earlier than usual Close is sent, because the connection is doubtful."""
        link = self._link
        if link.breaks != self._breaks or link.doubtful or not self._link.trading_up:
            self._breaks, self._lost_at = link.breaks, now
        doubtful = now - self._lost_at < DOUBTFUL_FOR
        return BEFORE_CLOSE_IN_DOUBT - BEFORE_CLOSE if doubtful else 0

    def _end_without_lots(self, symbol: str) -> Iterator[Ticket]:
        """End exits whose lots are gone, so that none triggers later and opens."""
        for direction in Direction:
            if self._manager.account.booked(symbol, direction):
                continue
            exits = [
                ticket for ticket in self.watched.get(symbol, {}).values()
                if ticket.may_open == 0 and ticket.direction is direction
                and not ticket.held_back
            ]  # fmt: skip
            held = exits and self._manager.account.held(symbol, direction).total
            if exits and not held and not self._manager.router.coming.of(symbol, direction):
                for ticket in exits:
                    self._manager.end_without_lots(ticket)
                    if ticket.over:  # else a roll takes it along
                        yield ticket

    def _span(self, symbol: str) -> QuietRange:
        """Return the prices and times at which no waiting order can trigger or move."""
        span = QuietRange()
        for ticket in self.watched[symbol].values():
            if ticket.condition is not None:
                span.narrow(ticket.condition)
        self._quiet[symbol] = span
        return span

    def _fires(self, ticket: Ticket, price: float, now: int) -> bool:
        """Return whether an order triggers; if so it is changed to what is to be sent."""
        if ticket.condition is None or ticket.held_back:
            return False
        before = ticket.condition
        ticket.condition, fired = on_price(before, price, now)
        if ticket.condition is not before:
            self._manager.write_ahead.touch(ticket)
        if ticket.condition.kind in (Kind.STOP_TRAIL, Kind.STOP_TRAIL_LIMIT):
            _show(ticket.order.created, ticket.condition)
        if fired is None or ticket.condition.status is not Status.TRIGGERED:
            return False
        ticket.order.triggered = True
        self._manager.settle_again(ticket)  # its terms depend on how much of it closes
        logger.info("order %d fires at %s", ticket.order.ref, price)
        self.forget(ticket)
        limit = self._limit(ticket, fired.limit_price)
        ticket.terms = OrderTerms(limit, STAYS if limit is None and self._closes(ticket) else None)
        ticket.condition = None
        ticket.stage = Stage.QUEUED
        return True

    def _closes(self, ticket: Ticket) -> bool:
        """Return whether it closes lots.

        An entry must end at once, because its protection waits for that.
        """
        held = -self._manager.account.position(ticket.symbol).size * ticket.direction.sign
        return ticket.may_open is not None or ticket.left <= held

    def _limit(self, ticket: Ticket, price: float | None) -> float | None:
        if price is None:
            return None
        return passive_price(price, ticket.direction, self._context.instrument(ticket.symbol))


def _moment(ticket: Ticket, now: int, due: int) -> int:
    """Return the time for an order; for Close it is ahead, but not past the order's own end."""
    end = ticket.condition.valid_until_ns if ticket.condition is not None else None
    if ticket.order.exectype != bt.Order.Close or end is None:
        return now
    return min(due, max(now, end))


def _show(created: Any, state: ConditionalOrder) -> None:
    """Show a trailing stop's price where Backtrader keeps it."""
    created.price = state.stop_price
    if state.limit_price is not None:
        created.pricelimit = state.limit_price
