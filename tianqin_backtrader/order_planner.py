"""What is sent for an order: its price on the tick, its legs, within limits and risk rules."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Protocol

from .account_view import AccountView
from .errors import OrderError, VolumeOutOfRange
from .lot_rules import LotLimits, Priority
from .model import Instrument, Offset
from .offset import Closable, Leg, OffsetRules, closing_of, plan_close, plan_order
from .order_price import Wish, exchange_terms, needs_limits, passive_price
from .order_state import UNCONFIRMED, OrderLeg
from .paid_fees import PaidFees
from .ticket import Effect, Ticket

logger = logging.getLogger(__name__)

#: Exchange orders that one order may become.
MOST_LEGS = 50


class Guard(Protocol):
    """The risk rules, as the desk needs them."""

    def check(self, ticket: Ticket, volume: int, terms: Wish, orders: int) -> None: ...
    def admit(self, volume: int) -> None: ...
    def passed_by(self, symbol: str, orders: int) -> None: ...
    def cancelled(self, symbol: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What is sent for an order."""

    legs: tuple[Leg, ...]
    terms: Wish


class OrderPlanner:
    """Makes prices and legs of wishes.

    Args:
        store: Gives instruments and the gateway.
        account: What is held.
        priority: Which lots are closed first.
        guard: The risk rules.

    Attributes:
        fees: What lots have cost so far.
    """

    def __init__(self, store: Any, account: AccountView, priority: Priority, guard: Guard) -> None:
        self._store, self._account = store, account
        self._priority, self._guard = priority, guard
        self.fees = PaidFees()
        self._closing: dict[str, list[OrderLeg]] = {}
        self._moved: set[str] = set()

    def note(self, leg: OrderLeg) -> None:
        """A leg is about to be sent: what it closes is spoken for."""
        if leg.offset is not Offset.OPEN:
            self._closing.setdefault(leg.symbol, []).append(leg)

    def rules(self, ticket: Ticket, instrument: Instrument, *, market_order: bool) -> OffsetRules:
        """How an order on a contract becomes legs."""
        # What flattens closes today's lots, too, and never opens the other side instead.
        return OffsetRules(
            closing_of(instrument.exchange_id),
            self._priority if ticket.guarded else Priority.TODAY_FIRST,
            self.fees.of(instrument),
            LotLimits.of(instrument, market_order=market_order),
        )

    def closable(self, ticket: Ticket, rules: OffsetRules) -> Closable:
        """What an order can close, less what is on its way.

        The exchange freezes lots once it has an order; until then we do.
        """
        on_the_way = [
            Leg(leg.offset, leg.volume - leg.filled)
            for leg in self._closes(ticket.symbol)
            if leg.direction is ticket.direction and leg.state in UNCONFIRMED
        ]
        apart = closing_of(ticket.symbol.partition(".")[0]) is rules.closing.APART
        held = self._account.closable(ticket.symbol, ticket.direction)
        return held.less(on_the_way, closes_today_apart=apart)

    def _closes(self, symbol: str) -> list[OrderLeg]:
        """Legs that close and are not over; those that are, are forgotten here."""
        left = [leg for leg in self._closing.get(symbol, ()) if not leg.over]
        self._closing[symbol] = left
        return left

    def terms(self, ticket: Ticket, *, check_limits: bool = True) -> Wish:
        """An order's price as the exchange takes it, on the tick.

        Args:
            ticket: The order.
            check_limits: Whether it is for today, whose limits are known.

        Raises:
            TianqinError: It can never be sent.
        """
        asked, instrument = ticket.wish, self._store.instrument(ticket.symbol)
        if not instrument.tradable:
            raise OrderError(f"{instrument.symbol} is an index: it has bars but takes no orders")
        nan = float("nan")
        limits = (instrument.upper_limit, instrument.lower_limit)
        if not check_limits:  # tomorrow's are others
            limits = (nan, nan) if not needs_limits(asked, instrument) else (0.0, 0.0)
        elif needs_limits(asked, instrument) and self._store.gateway.matches_itself:
            limits = self._store.gateway.best_prices(ticket.symbol)
        elif needs_limits(asked, instrument) and any(limit != limit for limit in limits):
            limits = self._store.gateway.price_limits(ticket.symbol)
        terms = exchange_terms(
            asked, ticket.direction, instrument, limits, clips=ticket.has_been_taken
        )
        if isinstance(asked.limit_price, int | float):
            exact = passive_price(asked.limit_price, ticket.direction, instrument)
            self._tell_moved(ticket, asked, exact)
        return terms

    def _tell_moved(self, ticket: Ticket, asked: Wish, exact: float) -> None:
        """A price between two ticks was moved: told once for a contract."""
        if asked.limit_price != exact and ticket.symbol not in self._moved:
            self._moved.add(ticket.symbol)
            text = (
                f"{ticket.symbol}: the price {asked.limit_price} lies between two ticks and is "
                f"sent as {exact}; told once"
            )
            logger.warning("%s", text)
            self._store.put_notification(text, order=ticket.order)

    def plan(self, ticket: Ticket) -> Plan:
        """Price and legs of what is left of an order.

        Raises:
            TianqinError: It cannot be sent.
        """
        terms = self.terms(ticket)
        instrument = self._store.instrument(ticket.symbol)
        rules = self.rules(ticket, instrument, market_order=terms.is_market)
        partial = ticket.allow_partial
        most = rules.limits.most
        if most and ticket.left > most * MOST_LEGS:
            raise VolumeOutOfRange(
                f"{ticket.left} lots of {ticket.symbol} are more than {MOST_LEGS} orders of {most}"
            )
        if ticket.effect is Effect.OPEN:
            pieces = rules.limits.pieces(ticket.left, opens=True)
            legs = tuple(Leg(Offset.OPEN, lots) for lots in pieces)
        elif ticket.effect is Effect.CLOSE:
            legs = self._closing_legs(ticket, rules)
        else:
            held = self.closable(ticket, rules)
            legs = plan_order(ticket.left, held, rules, allow_partial=partial)
        lots = sum(leg.volume for leg in legs)
        if not lots:
            raise VolumeOutOfRange(f"of {ticket.left} lots of {ticket.symbol} none can be sent now")
        if ticket.guarded:
            self._guard.check(ticket, lots, terms, len(legs))
        else:
            self._guard.passed_by(ticket.symbol, len(legs))
        return Plan(legs, terms)

    def _closing_legs(self, ticket: Ticket, rules: OffsetRules) -> tuple[Leg, ...]:
        held = self.closable(ticket, rules)
        try:
            return plan_close(ticket.left, held, rules, allow_partial=ticket.allow_partial)
        except VolumeOutOfRange as error:
            text = str(error).replace(" lots, but", f" lots of {ticket.symbol}, but")
            raise VolumeOutOfRange(text) from error
