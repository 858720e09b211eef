"""Decide what is sent for an order: its price and legs, within price limits and risk rules."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from ..account.ledger import PositionLedger
from ..contracts.offsets import (
    Closable,
    Closing,
    Leg,
    OffsetRules,
    Priority,
    offset_rules,
    opening_legs,
    plan_close,
    plan_order,
)
from ..contracts.order_terms import STAYS, OrderTerms, exchange_terms, needs_limits, passive_price
from ..core.clock import monotonic
from ..core.context import Context
from ..core.model import Direction, Instrument, Offset
from ..core.ports import MarketDataPort, TradingPort
from ..errors import LotsGone, OrderError, RiskRefused, VolumeOutOfRange
from ..orders.exits import (
    Claim,
    ClosingClaims,
    ComingLots,
    SideLots,
    Timing,
    exit_step_among,
    held_by_others,
    may_open,
)
from ..orders.ticket import PositionEffect, Ticket
from ..risk.engine import RiskEngine
from ..risk.limits import GuardState

logger = logging.getLogger(__name__)

#: The most exchange orders of one order.
MOST_LEGS = 50
#: Seconds by which the account may show a fill before or after the fill's own report.
PATIENCE = 10.0
#: Limits that what closes does not touch. A whole order too large or too far away is a mistake.
OF_OPENING = frozenset({"state", "max_position", "cancels_per_day"})


class Guard(Protocol):
    """The risk rules for orders; ``RiskCheck``."""

    guard: RiskEngine
    watches: bool

    def check(
        self, ticket: Ticket, volume: int, terms: OrderTerms, orders: int, *, closes: bool = False
    ) -> None: ...
    def admit(self, volume: int) -> None: ...
    def passed_by(self, symbol: str, orders: int) -> None: ...
    def cancelled(self, symbol: str) -> None: ...


@dataclass(frozen=True, slots=True)
class RoutedOrder:
    """What is sent for an order.

    Attributes:
        legs: In sending order, closing legs first; () if nothing can be sent now.
        terms: Their price.
        waits: Whether the order still waits for lots to close.
        stand_back: Orders that must be cancelled to free lots for this one.
        foreign: Awaited lots that are in orders of another terminal.
        left_out: A message about lots that cannot be sent at all, or "".
    """

    legs: tuple[Leg, ...]
    terms: OrderTerms
    waits: bool = False
    stand_back: tuple[int, ...] = ()
    foreign: int = 0
    left_out: str = ""

    @property
    def lots(self) -> int:
        """Lots of all legs."""
        return sum(leg.volume for leg in self.legs)


class OrderRouter:
    """Decides prices and legs.

    Args:
        context: Contracts and time.
        trading: The counter.
        market: Prices.
        account: Has the positions.
        priority: Which lots are closed first.
        guard: The risk rules.

    Attributes:
        fees: Commissions paid so far.
        claims: The lots that each order is to close.
        coming: The lots that market orders are about to open.
    """

    def __init__(
        self,
        context: Context,
        trading: TradingPort,
        market: MarketDataPort,
        account: PositionLedger,
        priority: Priority,
        guard: Guard,
    ) -> None:
        self._context, self._trading, self._market = context, trading, market
        self._account = account
        self._priority, self._guard = priority, guard
        self.fees = account.fees.paid
        self.claims = ClosingClaims(context)
        self.coming = ComingLots()
        self._moved: set[str] = set()
        self._unsettled: dict[tuple[str, Direction], tuple[SideLots, float, float]] = {}

    # -- lots ---------------------------------------------------------------------------------

    def rules(self, ticket: Ticket, instrument: Instrument, *, market_order: bool) -> OffsetRules:
        """Return the rules by which an order is split into legs.

        Raises:
            OrderError: The priority is impossible at this counter and exchange.
        """
        # A flatten also closes today's lots, and never opens the other side instead.
        priority = self._priority if ticket.guarded else Priority.TODAY_FIRST
        return offset_rules(
            instrument, self._trading.counter, priority, self.fees.of,
            market_order=market_order, exits=ticket.exits,
        )  # fmt: skip

    def closable(self, ticket: Ticket, rules: OffsetRules) -> Closable:
        """Return the lots that an order can close now: those held, less those of live orders."""
        apart = rules.closing is Closing.APART
        lots = self._account.side_lots(ticket.symbol, ticket.direction)
        held = self._account.held(ticket.symbol, ticket.direction).at_most(lots.sure)
        claimed = self.claims.legs(ticket.symbol, ticket.direction)
        return held.less(claimed, closes_today_apart=apart)

    def settle_effect(
        self, ticket: Ticket, timing: Timing, waiting: Iterable[Ticket], close_only: bool | None
    ) -> None:
        """Decide how much of a new order must close; this does not change later.

        Args:
            ticket: One of Backtrader's orders, when it is placed.
            timing: What it waits for.
            waiting: Orders that are queued to be sent.
            close_only: Whether the owner wants it to close only; None to decide here.

        Raises:
            OrderError: The priority is impossible at this counter and exchange.
        """
        ticket.close_only = close_only
        instrument = self._context.instrument(ticket.symbol)
        rules = self.rules(ticket, instrument, market_order=False)
        if rules.priority is Priority.LOCK and not close_only:
            return  # with this priority it opens the other side
        held = self._account.booked(ticket.symbol, ticket.direction)
        if rules.priority is Priority.YESTERDAY_ONLY:
            held = min(held, rules.reach(self._account.held(ticket.symbol, ticket.direction)))
        held += self._coming(ticket, rules)
        claims = self._claims(ticket, rules)
        claims += [
            Claim(one.order.ref, one.left - one.opening, one.rests, bool(one.ending))
            for one in waiting
            if one.symbol == ticket.symbol and one.direction is ticket.direction
            and one.may_open is not None and not one.live_legs
        ]  # fmt: skip
        ticket.may_open = may_open(ticket.volume, held, claims, timing, close_only=close_only)
        if ticket.may_open == 0:
            ticket.effect, ticket.allow_partial = PositionEffect.CLOSE, True

    def terms(
        self, ticket: Ticket, asked: OrderTerms | None = None, *, check_limits: bool = True
    ) -> OrderTerms:
        """Return an order's price terms for the exchange, rounded to the price tick.

        Args:
            ticket: The order.
            asked: The requested terms; None for the order's own.
            check_limits: Whether it is for today, whose price limits are known.

        Raises:
            TianqinError: The order can never be sent.
        """
        asked, instrument = asked or ticket.terms, self._context.instrument(ticket.symbol)
        if instrument.ins_class == "INDEX" or ticket.symbol.startswith("KQ.i@"):  # no order book
            raise OrderError(f"{instrument.symbol} is an index: it has bars but takes no orders")
        if instrument.expired:
            raise OrderError(f"{ticket.symbol} has expired")
        nan = float("nan")
        limits = (instrument.upper_limit, instrument.lower_limit)
        own = limits[0 if ticket.direction is Direction.BUY else 1]
        if not check_limits:  # another day's limits are not known
            limits = (nan, nan) if not needs_limits(asked, instrument) else (0.0, 0.0)
        elif needs_limits(asked, instrument) and self._trading.matches_itself:
            limits = self._market.best_prices(ticket.symbol)
        elif needs_limits(asked, instrument) and own != own:  # the other one is not needed
            limits = self._market.price_limits(ticket.symbol)
        terms = exchange_terms(
            asked, ticket.direction, instrument, limits, clips=ticket.has_been_taken
        )
        if isinstance(asked.limit_price, int | float):
            exact = passive_price(asked.limit_price, ticket.direction, instrument)
            self._tell_moved(ticket, asked, exact)
        return terms

    def _tell_moved(self, ticket: Ticket, asked: OrderTerms, exact: float) -> None:
        """Report that a price between two ticks was rounded; once per contract."""
        if asked.limit_price != exact and ticket.symbol not in self._moved:
            self._moved.add(ticket.symbol)
            text = (
                f"{ticket.symbol}: the price {asked.limit_price} lies between two ticks and is "
                f"sent as {exact}; reported once per contract"
            )
            logger.warning("%s", text)
            self._context.notify(text, order=ticket.order)

    # -- plans --------------------------------------------------------------------------------

    def plan(self, ticket: Ticket) -> RoutedOrder:
        """Return price and legs of the rest of an order.

        Raises:
            LotsGone: The lots that it was to close are gone.
            TianqinError: It cannot be sent.
        """
        plan = self._closing_first(ticket, self._plan_at(ticket, ticket.terms))
        if not plan.legs:
            if not plan.waits:
                raise VolumeOutOfRange(
                    f"of {ticket.left} lots of {ticket.symbol} none can be sent now"
                )
        elif ticket.guarded:
            plan = self._checked(ticket, plan)
        else:
            self._guard.passed_by(ticket.symbol, len(plan.legs))
        return plan

    def _checked(self, ticket: Ticket, plan: RoutedOrder) -> RoutedOrder:
        """Return the part of a plan that the risk rules allow.

        If an order as a whole is refused because it would open, its closing legs are checked alone:
        the lots that it was to turn around are closed. The opening part of a triggered exit waits.

        Raises:
            RiskRefused: Nothing is allowed.
        """
        if not self._guard.watches and self._guard.guard.state is GuardState.ACTIVE:
            return plan  # no rule applies
        try:
            self._guard.check(ticket, plan.lots, plan.terms, len(plan.legs))
        except RiskRefused as error:
            closes = tuple(leg for leg in plan.legs if leg.offset is not Offset.OPEN)
            if not closes or not (ticket.protects or error.limit in OF_OPENING):
                raise
            if ticket.protects:
                waits = plan.waits or len(closes) < len(plan.legs)
                plan = replace(plan, legs=closes, waits=waits)
            else:
                plan = replace(plan, legs=closes, left_out=f"it only closes: {error}")
            self._guard.check(ticket, plan.lots, plan.terms, len(closes), closes=True)
        return plan

    def _closing_first(self, ticket: Ticket, plan: RoutedOrder) -> RoutedOrder:
        """Separate an order that closes and opens, if it is to stay at the day's price limit.

        The closing legs are sent first, and stay there. The opening part is sent after them, as
        a market order that ends at once.
        """
        if ticket.terms.advanced != STAYS or not ticket.may_open:
            return plan
        closes = tuple(leg for leg in plan.legs if leg.offset is not Offset.OPEN)
        if len(closes) == len(plan.legs):
            return plan
        if closes:
            return replace(plan, legs=closes, waits=True, left_out="")
        return self._plan_at(ticket, OrderTerms())

    def _plan_at(self, ticket: Ticket, asked: OrderTerms) -> RoutedOrder:
        terms, instrument = self.terms(ticket, asked), self._context.instrument(ticket.symbol)
        rules = self.rules(ticket, instrument, market_order=terms.is_market)
        most = rules.limits.most
        if most and ticket.left > most * MOST_LEGS:
            raise VolumeOutOfRange(
                f"{ticket.left} lots of {ticket.symbol} are more than {MOST_LEGS} orders of {most}"
            )
        return self._plan_legs(ticket, rules, terms)

    def _plan_legs(self, ticket: Ticket, rules: OffsetRules, terms: OrderTerms) -> RoutedOrder:
        if ticket.effect is PositionEffect.OPEN:
            pieces = rules.limits.pieces(ticket.left, opens=True)
            return RoutedOrder(tuple(Leg(Offset.OPEN, lots) for lots in pieces), terms)
        if ticket.may_open is not None:
            return self._plan_exit(ticket, rules, terms)
        if ticket.effect is PositionEffect.CLOSE:
            return self._plan_close(ticket, rules, terms)
        held = self.closable(ticket, rules)
        legs = plan_order(ticket.left, held, rules, allow_partial=ticket.allow_partial)
        return RoutedOrder(legs, terms, left_out=_least(ticket, legs, rules))

    def _plan_exit(self, ticket: Ticket, rules: OffsetRules, terms: OrderTerms) -> RoutedOrder:
        """Plan an order of which a part, or all, must close."""
        held = self.closable(ticket, rules)
        need = min(ticket.left, max(ticket.left - ticket.opening, rules.reach(held)))
        lots, claims = self._side_lots(ticket, rules), self._claims(ticket, rules)
        step = exit_step_among(
            need, lots, claims, ticket.shared.values(),
            hurries=ticket.hurries or self._is_reached(ticket),
            patient=self._is_patient(ticket.symbol, ticket.direction),
        )  # fmt: skip
        closes = plan_close(step.now, held, rules, allow_partial=True) if step.now else ()
        if step.waits:
            foreign = held_by_others(need, lots, claims)
            return RoutedOrder(
                closes, terms, waits=True, stand_back=step.stand_back, foreign=foreign
            )
        opening = ticket.left - need
        if not closes and not opening:
            if held.total:  # today's lots, which the priority excludes
                plan_close(need, held, rules)  # raises, and says why
            raise LotsGone(f"the lots of {ticket.symbol} that it was to close are gone")
        opens = opening_legs(opening, rules.limits, closes=bool(closes))
        legs = (*closes, *opens)
        gone = need - sum(leg.volume for leg in closes)
        words = f"{gone} of the lots that it was to close cannot be closed any more" if gone else ""
        return RoutedOrder(legs, terms, left_out=words or _least(ticket, legs, rules))

    def _side_lots(self, ticket: Ticket, rules: OffsetRules) -> SideLots:
        """Return the lots of the side that an exit closes, less today's if excluded."""
        lots = self._account.side_lots(ticket.symbol, ticket.direction)
        spared = lots.account - rules.reach(self._account.held(ticket.symbol, ticket.direction))
        coming = self._coming(ticket, rules)
        return SideLots(lots.account - spared, max(0, lots.booked - spared), coming)

    def _coming(self, ticket: Ticket, rules: OffsetRules) -> int:
        """Return lots about to be opened that an order can close; they are today's lots."""
        if rules.priority is Priority.YESTERDAY_ONLY:
            return 0
        return self.coming.of(ticket.symbol, ticket.direction, ticket)

    def _claims(self, ticket: Ticket, rules: OffsetRules) -> list[Claim]:
        """Return what other orders are to close of these lots."""
        spares_today = rules.priority is Priority.YESTERDAY_ONLY
        return self.claims.of(ticket.symbol, ticket.direction, ticket, spares_today=spares_today)

    def _is_patient(self, symbol: str, direction: Direction) -> bool:
        """Return whether account and fills may differ only because one of them is late."""
        now, lots = monotonic(), self._account.side_lots(symbol, direction)
        before, since, asked = self._unsettled.get((symbol, direction), (None, now, now))
        if lots != before or lots.settled or now - asked > PATIENCE:
            since = now  # they agree, or this was not checked for long
        elif self._account.lacks_positions():
            since = now  # the account shows no positions at all yet
        self._unsettled[symbol, direction] = lots, since, now
        return now - since < PATIENCE

    def _is_reached(self, ticket: Ticket) -> bool:
        """Return whether the market has reached a limit order that waits for its lots."""
        limit = ticket.terms.limit_price
        if not isinstance(limit, int | float):
            return False
        quote = self._market.quote(ticket.symbol)
        best = quote.ask_price1 if ticket.direction is Direction.BUY else quote.bid_price1
        return bool((limit - best) * ticket.direction.sign >= 0)

    def _plan_close(self, ticket: Ticket, rules: OffsetRules, terms: OrderTerms) -> RoutedOrder:
        """Plan a four-way close; it waits only for lots that are being freed."""
        held = self.closable(ticket, rules)
        try:
            legs = plan_close(ticket.left, held, rules, allow_partial=ticket.allow_partial)
        except VolumeOutOfRange as error:
            coming = sum(one.lots for one in self._claims(ticket, rules) if one.leaves)
            if self._is_patient(ticket.symbol, ticket.direction):
                lots = self._account.side_lots(ticket.symbol, ticket.direction)
                coming += lots.booked - lots.sure  # filled, but not shown by the account yet
            if coming and ticket.left <= rules.reach(held) + coming:
                return RoutedOrder((), terms, waits=True)
            text = str(error).replace(" lots, but", f" lots of {ticket.symbol}, but")
            raise VolumeOutOfRange(text) from error
        return RoutedOrder(legs, terms)


def _least(ticket: Ticket, legs: Iterable[Leg], rules: OffsetRules) -> str:
    """Return a message about lots that are too few to be opened, or ""."""
    missing = ticket.left - sum(leg.volume for leg in legs)
    if not missing:
        return ""
    return (
        f"{missing} lots of {ticket.symbol} were not opened: an order opens "
        f"{rules.limits.open_least} at least"
    )
