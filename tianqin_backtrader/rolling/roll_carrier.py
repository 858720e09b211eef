"""Moves the stops and targets of a contract that is being rolled to the new contract.

``roll_exits`` calculates the lots of each exit; this module creates, resizes and cancels orders.
The strategy's own order stays alive, with the lots that are still in the old contract, until its
replacement in the new contract has all of them.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace

import backtrader as bt

from ..contracts.order_terms import OrderTerms
from ..core.model import Offset
from ..errors import OrderError
from ..execution.contingent_orders import ContingentOrders
from ..execution.order_manager import OrderManager
from ..orders.ticket import OF_A_ROLL, Ending, PositionEffect, Stage, Ticket
from .roll_exits import CarriedExit, Row, Share, shares, shifted, shifted_condition
from .roll_state import ExitFill, RollPhase, RollPlan, RollState

logger = logging.getLogger(__name__)


class ExitCarrier:
    """The exits of one roll.

    Args:
        manager: Sends and cancels orders.
        held: Manages waiting orders and their groups.
        make: Creates an order like another one (that one, contract, lots, price, limit price).
        plan: The roll.
        save: Saves a state, on disk if possible.
    """

    def __init__(
        self,
        manager: OrderManager,
        held: ContingentOrders,
        make: Callable[[Ticket, str, int, float | None, float | None], Ticket],
        plan: RollPlan,
        save: Callable[[RollState], None],
    ) -> None:
        self._manager, self._contingent, self._make, self._plan = manager, held, make, plan
        self._save = save
        self._direction = plan.direction(RollPhase.CLOSING)
        self._told: set[str] = set()
        self._fired: set[str] = set()
        self._asked: dict[str, int] = {}
        self._first = True

    @property
    def _contracts(self) -> tuple[str, str]:
        return self._plan.old, self._plan.new

    # -- queries ------------------------------------------------------------------------------

    def _tickets(self, *symbols: str) -> list[Ticket]:
        return [one for one in self._manager.tickets.values() if one.symbol in symbols]

    def _of_the_roll(self, ticket: Ticket, state: RollState) -> bool:
        ids = state.order_ids
        return OF_A_ROLL in ticket.order.info or any(leg.order_id in ids for leg in ticket.legs)

    def exits(self, symbol: str, state: RollState) -> list[Ticket]:
        """Living orders that close lots of the side, except the roll's own."""
        return [
            one
            for one in self._tickets(symbol)
            if not one.over and one.direction is self._direction
            and one.stage not in (Stage.DRAFT, Stage.DORMANT)
            and not one.for_target and not self._of_the_roll(one, state)
            and one.effect is PositionEffect.CLOSE
        ]  # fmt: skip

    def going_out(self, state: RollState) -> list[Ticket]:
        """Exits that are being sent to the market: fired stops, market orders, a flatten.

        An exit whose contract has no lots any more sends nothing and is not included.
        """
        return [
            one
            for symbol in (self._plan.old, self._plan.new)
            for one in self.exits(symbol, state)
            if one.stage in (Stage.QUEUED, Stage.WORKING) and not _rests(one)
            and (one.live_legs or self._booked(symbol))
        ]  # fmt: skip

    def withdraw_entries(self, state: RollState) -> None:
        """Cancel orders that are not exits, in both contracts."""
        plan = self._plan
        why = f"{plan.old} is being rolled into {plan.new}: orders that may open are cancelled"
        for ticket in self._tickets(plan.old, plan.new):
            if ticket.over or ticket.ending not in (Ending.NONE, Ending.RESIZE):
                continue
            if not self._of_the_roll(ticket, state) and not self.is_exit(ticket):
                self._contingent.cancel(ticket, reason=why)

    def follow(self, plan: RollPlan) -> None:
        """Use another plan, with other lots."""
        self._plan = plan

    def is_exit(self, ticket: Ticket) -> bool:
        """Whether an order is an exit, of this side or of the other."""
        return ticket.effect is PositionEffect.CLOSE and not ticket.for_target

    def fills(self, state: RollState) -> dict[str, ExitFill]:
        """Lots of the side that exits have closed since the roll began."""
        known = set(state.closed_before)
        return {
            trade_id: ExitFill(fill.symbol, fill.volume)
            for ticket in self._tickets(*self._contracts)
            if ticket.direction is self._direction
            for leg in ticket.legs
            if leg.offset is not Offset.OPEN and leg.order_id not in state.order_ids
            for trade_id, fill in leg.fills.items()
            if trade_id not in known
        }

    def row(self, state: RollState) -> Row:
        """Where the lots of the side are, by the fills so far."""
        plan = self._plan
        old, new = self._booked(plan.old), self._booked(plan.new)
        gone_old, gone_new = state.exited(plan.old), state.exited(plan.new)
        out = plan.old_start - old - gone_old
        into = new + gone_new + state.given_up - plan.new_start
        by_stand_ins = sum(one.closed_new for one in state.exits)
        not_ours = max(0, plan.new_start - (gone_new - by_stand_ins))
        return Row(old, max(0, out - into), max(0, new - not_ours))

    def _booked(self, symbol: str) -> int:
        return abs(int(self._manager.account.position(symbol, str(self._plan.side)).size))

    def refuse_what_cannot_be_carried(self) -> None:
        """Raise an error for exits that cannot be carried over.

        These are exits that have expired, that also open, or that would end with an order that is
        not carried over.

        Raises:
            OrderError: There is such an exit.
        """
        self._contingent.settle_stops(*self._contracts)
        now = self._manager.context.now()
        for ticket in self._tickets(*self._contracts):
            if ticket.over or ticket.for_target or ticket.ending in (Ending.CANCEL, Ending.EXPIRE):
                continue
            name = f"order {ticket.order.ref} on {ticket.symbol}"
            if ticket.validity.expired(now):
                raise OrderError(
                    f"{name} was valid until {ticket.validity.until}: cancel it before the roll"
                )
            if ticket.opening:
                raise OrderError(
                    f"{name} closes {ticket.left - ticket.opening} lots and then opens "
                    f"{ticket.opening}, which cannot be rolled: cancel it before the roll, and "
                    "place an order that closes"
                )
            other = self._ends_with(ticket)
            if other is not None:
                raise OrderError(
                    f"{name} closes, and ends with order {other.order.ref} on {other.symbol} "
                    "(oco), which the roll does not carry over: cancel one of them before the roll"
                )

    def _ends_with(self, ticket: Ticket) -> Ticket | None:
        """A partner of an exit that the roll would separate from it, or cancel."""
        if not self.is_exit(ticket):
            return None
        for other in self._contingent.partners(ticket):
            entry = other.symbol in self._contracts and not self.is_exit(other)
            if entry or self._is_taken_along(ticket) is not self._is_taken_along(other):
                return other
        return None

    def _is_taken_along(self, ticket: Ticket) -> bool:
        here = ticket.symbol == self._plan.old and ticket.direction is self._direction
        return here and self.is_exit(ticket)

    # -- rounds -------------------------------------------------------------------------------

    def meet(self, state: RollState) -> RollState:
        """Add exits that the roll does not know yet, and groups that have grown."""
        known = {one.key for one in state.exits}
        by_key = {one.key: one for one in self._tickets(self._plan.old)}
        exits = tuple(
            replace(one, group=self._contingent.group_of(by_key[one.key]))
            if one.key in by_key
            else one
            for one in state.exits
        )
        news = [
            CarriedExit(
                one.key, self._contingent.group_of(one), one.left, _rests(one), one.filled
            )
            for one in self.exits(self._plan.old, state)
            if one.key not in known and (one.stage is Stage.WATCHED or _rests(one))
        ]  # fmt: skip
        return replace(state, exits=(*exits, *news))

    def on_round(self, state: RollState, *, taking: int, gives_back: bool) -> RollState:
        """Resize every exit to its present lots.

        Args:
            state: The state of the roll.
            taking: Lots of the old contract that the next slice closes: limit orders release them.
            gives_back: Whether limit orders in the old contract may get lots back.
        """
        if not state.exits:
            return state
        by_key = {one.key: one for one in self._tickets(*self._contracts)}
        state = self._count(state, by_key)
        row = self.row(state)
        found, reduced = shares(state.exits, row), shares(state.exits, row.without(taking))
        if state.gap is not None:
            state = self._stand_in(state, state.gap, found, by_key)
        for group in _by_group(state.exits):
            self._resize_new(group, found, by_key)
            self._resize_old(group, found, reduced, by_key, gives_back=gives_back)
        self._manager.write_ahead.flush()
        return state

    def holds_back(self, state: RollState, lots: int) -> bool:
        """Whether exits still hold lots of the old contract that a slice must close."""
        held = sum(
            leg.volume - leg.filled
            for one in self.exits(self._plan.old, state)
            for leg in one.live_legs
        )
        return held + lots > self._booked(self._plan.old)

    def fired(self, state: RollState) -> bool:
        """Whether an exit has gone to the market since the last call.

        The first call only learns which exits have gone before.
        """
        news = {
            one.key
            for one in self._tickets(*self._contracts)
            if one.direction is self._direction and not self._of_the_roll(one, state)
            and not _rests(one) and one.key not in self._fired and _was_sent(one)
            and not (self._first and one.over)
        }  # fmt: skip
        if self._first:
            self._first = False
            self._fired |= {one.key for one in self._tickets(*self._contracts) if one.over}
        self._fired |= news
        return bool(news)

    def give_up(self, state: RollState) -> RollState:
        """Do not open lots between the contracts any more, because their exit has fired."""
        row = self.row(state)
        found, fired = shares(state.exits, row), self._fired
        exits = tuple(
            replace(one, given_up=one.given_up + found[one.key].between)
            if {one.key, one.stand_in} & fired
            else one
            for one in state.exits
        )
        return replace(state, exits=exits, given_up=state.given_up + row.between)

    def leave(self, state: RollState) -> int:
        """The roll is dropped: end exits without lots in the old contract.

        Returns:
            Lots that are in neither contract.
        """
        row = self.row(state)
        found, by_key = shares(state.exits, row), {one.key: one for one in self._living()}
        for group in _by_group(state.exits):
            mine = [(one, by_key[one.key]) for one in group if one.key in by_key]
            for _, ticket in mine:
                ticket.held_back = False
            if not any(found[one.key].old for one, _ in mine):
                self._end([(ticket, self._why_dropped(one, by_key)) for one, ticket in mine])
        self._manager.write_ahead.flush()
        return row.between

    # -- inside -------------------------------------------------------------------------------

    def _living(self) -> list[Ticket]:
        """Orders that are not over, and are not fired stops on their way to the market."""
        here = self._tickets(*self._contracts)
        return [one for one in here if not one.over and not _fired(one)]

    def _why_dropped(self, one: CarriedExit, by_key: dict[str, Ticket]) -> str:
        if one.stand_in in by_key:
            return self._why(one, by_key)
        return "dropped: its lots are in neither contract"

    def _count(self, state: RollState, by_key: dict[str, Ticket]) -> RollState:
        """Count what the exits have closed."""
        counted = []
        for one in state.exits:
            old, new = by_key.get(one.key), by_key.get(one.stand_in)
            closed_old = old.filled - one.filled_before if old else one.closed_old
            closed_new = new.filled if new else one.closed_new
            counted.append(replace(one, closed_old=closed_old, closed_new=closed_new))
        return replace(state, exits=tuple(counted))

    def _stand_in(
        self,
        state: RollState,
        gap: float,
        found: dict[str, Share],
        by_key: dict[str, Ticket],
    ) -> RollState:
        """Create the orders in the new contract; their keys are saved before.

        They are created even if the disk is full: lots without a stop would be worse.
        """
        wanted = [
            one
            for group in _by_group(state.exits)
            for one in group
            if found[one.key].new and self._needs_one(one, group, by_key)
        ]  # fmt: skip
        if not wanted:
            return state
        keys = {one.key: one.stand_in or uuid.uuid4().hex for one in wanted}
        state = replace(
            state,
            exits=tuple(
                replace(one, stand_in=keys.get(one.key, one.stand_in)) for one in state.exits
            ),
        )
        self._save(state)
        for group in _by_group(state.exits):
            stand_ins = [by_key[one.stand_in] for one in group if one.stand_in in by_key]
            made = [
                self._like(by_key[one.key], found[one.key].new, gap, one.stand_in)
                for one in group
                if one.key in keys
            ]
            by_key |= {ticket.key: ticket for ticket in made}
            if made:
                self._contingent.take_stand_ins(made, [one for one in stand_ins if not one.over])
        return state

    def _needs_one(
        self, one: CarriedExit, group: list[CarriedExit], by_key: dict[str, Ticket]
    ) -> bool:
        """Whether an exit has no replacement, and its owner has not cancelled it."""
        old = by_key.get(one.key)
        if old is None or one.stand_in in by_key or (old.condition is None and not one.rests):
            return False
        completed = any(
            ticket.order.status == bt.Order.Completed
            for ticket in (by_key.get(other.key) for other in group)
            if ticket is not None
        )
        return not old.over or completed

    def _like(self, old: Ticket, volume: int, gap: float, key: str) -> Ticket:
        created = old.order.created
        price, limit = shifted(_price(old), gap), shifted(old.order.p.pricelimit, gap)
        made = self._make(old, self._plan.new, volume, price, limit)
        made.key, made.effect, made.allow_partial, made.may_open = (
            key,
            PositionEffect.CLOSE,
            True,
            0,
        )
        made.validity, made.guarded, made.owner_name = old.validity, old.guarded, old.owner_name
        if old.condition is not None:
            made.condition = shifted_condition(old.condition, gap, volume)
            made.order.created.price = made.condition.stop_price
        else:
            made.terms = OrderTerms(price)
        logger.info(
            "order %d replaces order %d (%s at %s) in %s at %s",
            made.order.ref, old.order.ref, old.symbol, created.price, made.symbol, price,
        )  # fmt: skip
        return made

    def _resize_new(
        self, group: list[CarriedExit], found: dict[str, Share], by_key: dict[str, Ticket]
    ) -> None:
        lots: dict[Ticket, int] = {}
        for one in group:
            ticket, new = by_key.get(one.stand_in), found[one.key].new
            if ticket is None or ticket.ending not in (Ending.NONE, Ending.RESIZE):
                continue
            if ticket.over:
                self._tell_refused(ticket, new)
            elif new == 0:
                self._contingent.cancel(ticket, reason="its lots are closed")
            elif not _fired(ticket) and self._asks(ticket, new):
                lots[ticket] = new
        if lots:
            self._contingent.stand_for(lots)

    def _asks(self, ticket: Ticket, lots: int) -> bool:
        """Whether an order must change its number of lots; each change is requested once."""
        before, self._asked[ticket.key] = self._asked.get(ticket.key), lots
        return lots not in (before, ticket.left)

    def _tell_refused(self, ticket: Ticket, lots: int) -> None:
        refused = ticket.order.status in (bt.Order.Rejected, bt.Order.Margin)
        if refused and lots and ticket.key not in self._told:
            self._told.add(ticket.key)
            self._contingent.tell_refused_stand_in(ticket, lots)

    def _resize_old(
        self,
        group: list[CarriedExit],
        found: dict[str, Share],
        reduced: dict[str, Share],
        by_key: dict[str, Ticket],
        *,
        gives_back: bool,
    ) -> None:
        lots: dict[Ticket, int] = {}
        gone: list[tuple[Ticket, str]] = []
        for one in group:
            ticket, share = by_key.get(one.key), found[one.key]
            if ticket is None or ticket.over or _fired(ticket):
                continue
            if ticket.ending not in (Ending.NONE, Ending.RESIZE):
                continue
            if not share.old and not share.between:
                gone.append((ticket, self._why(one, by_key)))
                continue
            left = (reduced if one.rests else found)[one.key].old
            if one.rests and not gives_back:
                left = min(left, ticket.left)
            self._hold_back(ticket, not left)
            if left and self._asks(ticket, left):
                lots[ticket] = left
        if lots:
            self._contingent.stand_for(lots)
        self._end(gone)

    def _end(self, gone: list[tuple[Ticket, str]]) -> None:
        """Cancel exits of a group, each with its reason."""
        for ticket, why in gone:
            ticket.withdrawn_for = why  # set for all, before cancelling one cancels the others
        for ticket, why in gone:
            if not ticket.over and ticket.ending in (Ending.NONE, Ending.RESIZE):
                self._contingent.cancel(ticket, reason=why)

    def _hold_back(self, ticket: Ticket, back: bool) -> None:
        """Suspend an exit while its last lots are being moved, without a notification."""
        if back is ticket.held_back:
            return
        ticket.held_back = back
        if back and ticket.stage is Stage.WORKING and ticket.ending is Ending.NONE:
            self._contingent.cancel(ticket, Ending.RESIZE)

    def _why(self, one: CarriedExit, by_key: dict[str, Ticket]) -> str:
        stand_in = by_key.get(one.stand_in)
        if stand_in is None:
            return f"rolled: its lots have left {self._plan.old}"
        return f"rolled: order {stand_in.order.ref} replaces it in {self._plan.new}"


def _by_group(exits: Iterable[CarriedExit]) -> list[list[CarriedExit]]:
    groups: dict[str, list[CarriedExit]] = {}
    for one in exits:
        groups.setdefault(one.group, []).append(one)
    return list(groups.values())


def _rests(ticket: Ticket) -> bool:
    """Whether an order is a resting limit order."""
    wish = ticket.terms
    return (
        ticket.order.exectype == bt.Order.Limit
        and ticket.condition is None
        and isinstance(wish.limit_price, int | float)
        and wish.advanced is None
    )


def _fired(ticket: Ticket) -> bool:
    """Whether a stop has fired; it is left alone then."""
    return ticket.stage in (Stage.QUEUED, Stage.WORKING) and not _rests(ticket)


def _was_sent(ticket: Ticket) -> bool:
    """Whether an order has fired, or a leg of it is sent or filled."""
    closes = any(leg.offset is not Offset.OPEN for leg in ticket.legs)
    return bool(ticket.order.triggered) or closes


def _price(ticket: Ticket) -> float | None:
    limit = ticket.terms.limit_price
    if _rests(ticket) and isinstance(limit, int | float):
        return float(limit)
    price = ticket.order.p.price
    return None if price is None else float(price)
