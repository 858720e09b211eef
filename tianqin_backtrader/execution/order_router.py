"""What is sent for an order: its price on the tick, its legs, within limits and risk rules."""

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

#: Exchange orders that one order may become.
MOST_LEGS = 50
#: Seconds in which the account may show a fill later, or earlier, than the fill itself was told.
PATIENCE = 10.0


class Guard(Protocol):
    """The risk rules, as orders meet them; ``RiskCheck``."""

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
        legs: In sending order, those that close first; () if nothing can be sent now.
        terms: Their price.
        waits: Whether lots that it is to close are still waited for.
        stand_back: Orders that are to let it pass.
        foreign: Lots of those that are waited for which orders of another terminal are to close.
        left_out: Words about what cannot be sent at all; "" if there is nothing.
    """

    legs: tuple[Leg, ...]
    terms: OrderTerms
    waits: bool = False
    stand_back: tuple[int, ...] = ()
    foreign: int = 0
    left_out: str = ""

    @property
    def lots(self) -> int:
        """Of all legs."""
        return sum(leg.volume for leg in self.legs)


class OrderRouter:
    """Makes prices and legs.

    Args:
        context: Contracts and time.
        trading: The counter.
        market: Prices.
        account: What is held.
        priority: Which lots are closed first.
        guard: The risk rules.

    Attributes:
        fees: What lots have cost so far.
        claims: Which orders are to close which lots.
        coming: Which lots orders at the market are to open.
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
        """How an order on a contract becomes legs.

        Raises:
            OrderError: The counter cannot keep the priority there.
        """
        # What flattens closes today's lots, too, and never opens the other side instead.
        priority = self._priority if ticket.guarded else Priority.TODAY_FIRST
        return offset_rules(
            instrument, self._trading.counter, priority, self.fees.of,
            market_order=market_order, exits=ticket.exits,
        )  # fmt: skip

    def closable(self, ticket: Ticket, rules: OffsetRules) -> Closable:
        """Lots that an order can close now: those held, less what living orders are to close."""
        apart = rules.closing is Closing.APART
        lots = self._account.side_lots(ticket.symbol, ticket.direction)
        held = self._account.held(ticket.symbol, ticket.direction).at_most(lots.sure)
        claimed = self.claims.legs(ticket.symbol, ticket.direction)
        return held.less(claimed, closes_today_apart=apart)

    def settle_effect(
        self, ticket: Ticket, timing: Timing, waiting: Iterable[Ticket], close_only: bool | None
    ) -> None:
        """Decide what of an order has to close; it is kept from then on.

        Args:
            ticket: One of Backtrader's orders, as it is placed.
            timing: What it waits for.
            waiting: Orders that wait with us to be sent.
            close_only: The owner's word, if there is one.

        Raises:
            OrderError: The counter cannot keep the broker's priority there.
        """
        ticket.close_only = close_only
        instrument = self._context.instrument(ticket.symbol)
        rules = self.rules(ticket, instrument, market_order=False)
        if rules.priority is Priority.LOCK and not close_only:
            return  # it opens the other side, as its owner wants
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
        """An order's price as the exchange takes it, on the tick.

        Args:
            ticket: The order.
            asked: The price in words of ours; None for the order's own.
            check_limits: Whether it is for today, whose limits are known.

        Raises:
            TianqinError: It can never be sent.
        """
        asked, instrument = asked or ticket.terms, self._context.instrument(ticket.symbol)
        if instrument.ins_class == "INDEX" or ticket.symbol.startswith("KQ.i@"):  # no order book
            raise OrderError(f"{instrument.symbol} is an index: it has bars but takes no orders")
        if instrument.expired:
            raise OrderError(f"{ticket.symbol} has expired")
        nan = float("nan")
        limits = (instrument.upper_limit, instrument.lower_limit)
        own = limits[0 if ticket.direction is Direction.BUY else 1]
        if not check_limits:  # tomorrow's are others
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
        """A price between two ticks was moved: told once for a contract."""
        if asked.limit_price != exact and ticket.symbol not in self._moved:
            self._moved.add(ticket.symbol)
            text = (
                f"{ticket.symbol}: the price {asked.limit_price} lies between two ticks and is "
                f"sent as {exact}; told once"
            )
            logger.warning("%s", text)
            self._context.notify(text, order=ticket.order)

    # -- plans --------------------------------------------------------------------------------

    def plan(self, ticket: Ticket) -> RoutedOrder:
        """Price and legs of what is left of an order.

        Raises:
            LotsGone: There is nothing left that it could close.
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
        """What of a plan the rules let pass: lots rely on what closes of an exit that has fired.

        Raises:
            RiskRefused: Nothing of it.
        """
        if not self._guard.watches and self._guard.guard.state is GuardState.ACTIVE:
            return plan  # there is no rule to be asked
        try:
            self._guard.check(ticket, plan.lots, plan.terms, len(plan.legs))
        except RiskRefused:
            closes = tuple(leg for leg in plan.legs if leg.offset is not Offset.OPEN)
            if not closes or not ticket.protects:
                raise
            waits = plan.waits or len(closes) < len(plan.legs)
            plan = replace(plan, legs=closes, waits=waits)
            self._guard.check(ticket, plan.lots, plan.terms, len(closes), closes=True)
        return plan

    def _closing_first(self, ticket: Ticket, plan: RoutedOrder) -> RoutedOrder:
        """Of an order that closes and opens, only what closes stays at the limit of the day.

        What opens is sent when that is done, as an order at the market that has its end at once.
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
        """An order of which a part, or all, has to close."""
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
            if held.total:  # of today, and spared
                plan_close(need, held, rules)  # raises, and says why
            raise LotsGone(f"the lots of {ticket.symbol} that it was to close are gone")
        opens = opening_legs(opening, rules.limits, closes=bool(closes))
        legs = (*closes, *opens)
        gone = need - sum(leg.volume for leg in closes)
        words = f"{gone} of the lots that it was to close cannot be closed any more" if gone else ""
        return RoutedOrder(legs, terms, left_out=words or _least(ticket, legs, rules))

    def _side_lots(self, ticket: Ticket, rules: OffsetRules) -> SideLots:
        """What is held of the side that an exit closes, less today's lots where they are spared."""
        lots = self._account.side_lots(ticket.symbol, ticket.direction)
        spared = lots.account - rules.reach(self._account.held(ticket.symbol, ticket.direction))
        coming = self._coming(ticket, rules)
        return SideLots(lots.account - spared, max(0, lots.booked - spared), coming)

    def _coming(self, ticket: Ticket, rules: OffsetRules) -> int:
        """Lots on their way that an order can close; they are today's."""
        if rules.priority is Priority.YESTERDAY_ONLY:
            return 0
        return self.coming.of(ticket.symbol, ticket.direction, ticket)

    def _claims(self, ticket: Ticket, rules: OffsetRules) -> list[Claim]:
        """What others are to close of these lots."""
        spares_today = rules.priority is Priority.YESTERDAY_ONLY
        return self.claims.of(ticket.symbol, ticket.direction, ticket, spares_today=spares_today)

    def _is_patient(self, symbol: str, direction: Direction) -> bool:
        """Whether the account may still show lots that our fills have told, or the other way."""
        now, lots = monotonic(), self._account.side_lots(symbol, direction)
        before, since, asked = self._unsettled.get((symbol, direction), (None, now, now))
        if lots != before or lots.settled or now - asked > PATIENCE:
            since = now  # nothing is waited for, or nobody has looked meanwhile
        elif self._account.lacks_positions():
            since = now  # no lots are shown at all: it says nothing about these
        self._unsettled[symbol, direction] = lots, since, now
        return now - since < PATIENCE

    def _is_reached(self, ticket: Ticket) -> bool:
        """Whether the market stands at a limit order that waits for its lots."""
        limit = ticket.terms.limit_price
        if not isinstance(limit, int | float):
            return False
        quote = self._market.quote(ticket.symbol)
        best = quote.ask_price1 if ticket.direction is Direction.BUY else quote.bid_price1
        return bool((limit - best) * ticket.direction.sign >= 0)

    def _plan_close(self, ticket: Ticket, rules: OffsetRules, terms: OrderTerms) -> RoutedOrder:
        """A four-way close; it waits for lots that are being set free, and for no others."""
        held = self.closable(ticket, rules)
        try:
            legs = plan_close(ticket.left, held, rules, allow_partial=ticket.allow_partial)
        except VolumeOutOfRange as error:
            coming = sum(one.lots for one in self._claims(ticket, rules) if one.leaves)
            if self._is_patient(ticket.symbol, ticket.direction):
                lots = self._account.side_lots(ticket.symbol, ticket.direction)
                coming += lots.booked - lots.sure  # told, and not shown yet
            if coming and ticket.left <= rules.reach(held) + coming:
                return RoutedOrder((), terms, waits=True)
            text = str(error).replace(" lots, but", f" lots of {ticket.symbol}, but")
            raise VolumeOutOfRange(text) from error
        return RoutedOrder(legs, terms)


def _least(ticket: Ticket, legs: Iterable[Leg], rules: OffsetRules) -> str:
    """Words about lots that are too few to be opened."""
    missing = ticket.left - sum(leg.volume for leg in legs)
    if not missing:
        return ""
    return (
        f"{missing} lots of {ticket.symbol} were not opened: an order opens "
        f"{rules.limits.open_least} at least"
    )
