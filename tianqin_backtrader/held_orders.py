"""Orders that wait with us: conditional ones, those not transmitted, brackets and OCO groups.

``conditional_order`` says when one fires, ``order_group`` what its fate means for others; here the
prices are fetched and the actions carried out.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from typing import Any

import backtrader as bt

from . import order_group
from .clock import SECOND, monotonic, to_ns
from .conditional_order import (
    ConditionalOrder,
    Kind,
    Status,
    at_close,
    on_price,
    resize,
    stop,
    trailing_stop,
)
from .errors import LinkError, OrderError, TianqinError
from .model import Direction, Fill
from .order_desk import OrderDesk
from .order_group import Action, Answer, Do, MemberState, OrderGroup, Role
from .order_price import Wish, passive_price
from .order_validity import last_close
from .ticket import Effect, Stage, Ticket

logger = logging.getLogger(__name__)

#: Backtrader's Close is sent so long before the day's last close.
BEFORE_CLOSE = 5 * SECOND
#: Seconds in which the account may show a fill later than the fill itself was told.
PATIENCE = 3.0


class Span:
    """Prices and times at which nothing happens to the orders that wait on a contract."""

    def __init__(self) -> None:
        self._low, self._high, self._due = -math.inf, math.inf, math.inf

    def narrow(self, condition: ConditionalOrder) -> None:
        """One order more; a trailing stop leaves no room, as any price may move it."""
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
        """Whether a price at a time changes nothing."""
        return now < self._due and (price != price or self._low < price < self._high)


class Box:
    """A group and the orders in it."""

    kind = "group"

    def __init__(self, group: OrderGroup, tickets: list[Ticket], key: str = "") -> None:
        self.group = group
        self.tickets = {ticket.key: ticket for ticket in tickets}
        self.key = key or tickets[0].key

    def plan(self) -> tuple[dict[str, Any], bool]:
        """For the journal."""
        return self.group.to_dict(), self.group.over


class HeldOrders:
    """Watches what waits, and keeps groups together.

    Args:
        desk: Sends and withdraws.
    """

    def __init__(self, desk: OrderDesk) -> None:
        self._desk, self._store = desk, desk.store
        self._watched: dict[str, dict[int, Ticket]] = defaultdict(dict)
        self._quiet: dict[str, Span] = {}
        self._boxes: dict[int, list[Box]] = defaultdict(list)
        self._drafts: dict[int, list[Ticket]] = {}
        desk.on_end.append(self._take_end)

    # -- in -----------------------------------------------------------------------------------

    def place(self, ticket: Ticket, parent: Any, oco: Any, transmit: bool) -> None:
        """Take one of Backtrader's orders: now, or when its bracket is complete."""
        try:
            self._desk.admit(ticket)
            if ticket.order.exectype not in (bt.Order.Market, bt.Order.Limit):
                ticket.condition = self._condition(ticket)
            first = parent.ref if parent is not None else ticket.order.ref
            if parent is not None and first not in self._drafts:
                self._child_of_sent(ticket, parent)
                return
        except TianqinError as error:
            self._refuse_family(ticket, parent, str(error))
            return
        if parent is not None or not transmit:
            self._drafts.setdefault(first, []).append(ticket)
            if transmit:
                self._launch(self._drafts.pop(first))
            return
        if oco is not None and not self._join(ticket, oco):
            return
        self._start(ticket)

    def _start(self, ticket: Ticket) -> None:
        """Watch it or send it; what is refused at once ends its group, too."""
        if ticket.condition is None:
            self._desk.submit(ticket)
            return
        self._take_in(ticket)
        self._watch(ticket)

    def _take_in(self, ticket: Ticket) -> None:
        """An order that waits is told as Submitted and Accepted: it is ours to look after."""
        self._desk.enter(ticket)
        ticket.order.accept(ticket.order.broker)
        self._desk.tell(ticket.order)

    def _refuse_family(self, ticket: Ticket, parent: Any, reason: str) -> None:
        """A bracket with an order that cannot be is refused whole: nothing goes unprotected."""
        first = parent.ref if parent is not None else ticket.order.ref
        for other in self._drafts.pop(first, []):
            self._desk.refuse(other, f"another order of its bracket is refused: {reason}")
        self._desk.refuse(ticket, reason)

    # -- brackets and OCO ---------------------------------------------------------------------

    def _launch(self, family: list[Ticket]) -> None:
        parent, *children = family
        if not children:
            self._start(parent)
            return
        self._desk.scribe.touch(parent)  # records have it before its children
        self._bind(parent, children)
        for child in children:
            self._wait_for_parent(child)
        self._start(parent)

    def _bind(self, parent: Ticket, children: list[Ticket]) -> Box:
        pairs = [(child.key, child.volume) for child in children]
        box = Box(order_group.bracket((parent.key, parent.volume), pairs), [parent, *children])
        if any(other.key == box.key for other in self._boxes[parent.order.ref]):
            box.key = f"{parent.key}_{children[0].key}"
        for ticket in (parent, *children):
            self._boxes[ticket.order.ref].append(box)
        self._desk.scribe.touch_plan(box)
        return box

    def _wait_for_parent(self, child: Ticket) -> None:
        child.stage = Stage.DORMANT
        # It protects what the parent has opened, and never opens anything itself.
        child.effect, child.allow_partial = Effect.CLOSE, True
        self._take_in(child)
        child.stage = Stage.DORMANT
        self._desk.scribe.touch(child)

    def _child_of_sent(self, child: Ticket, parent: Any) -> None:
        """A child of a parent that was transmitted before."""
        first = self._desk.tickets.get(parent.ref)
        if first is None or (first.over and not first.filled):
            raise OrderError("its parent order is over without a fill, or was never sent")
        box = self._bind(first, [child])
        self._wait_for_parent(child)
        if first.filled:
            self._answer(box, order_group.on_fill(box.group, first.key, first.filled))
        if first.over:
            self._answer(box, order_group.on_end(box.group, first.key))

    def _join(self, ticket: Ticket, other: Any) -> bool:
        """Put an order into the OCO group of another; False if that has had its end."""
        first = self._desk.tickets.get(other.ref)
        if first is None or first.over or first.filled:
            self._desk.refuse(ticket, "the order that it depends on (oco) has traded or is over")
            return False
        for box in self._boxes[other.ref]:
            if box.group[first.key].role is order_group.Role.PEER:
                box.group = order_group.join(box.group, ticket.key, ticket.volume)
                box.tickets[ticket.key] = ticket
                break
        else:
            pairs = [(one.key, one.volume) for one in (first, ticket)]
            box = Box(order_group.oco(pairs), [first, ticket], f"{first.key}_{ticket.key}")
            self._boxes[other.ref].append(box)
        self._boxes[ticket.order.ref].append(box)
        self._desk.scribe.touch_plan(box)
        return True

    def take_fill(self, ticket: Ticket, fill: Fill) -> None:
        """A fill of an order that may be in groups."""
        for box in self._boxes.get(ticket.order.ref, ()):
            self._answer(box, order_group.on_fill(box.group, ticket.key, fill.volume))

    def _take_end(self, ticket: Ticket) -> None:
        if self._watched[ticket.symbol].pop(ticket.order.ref, None) is not None:
            self._quiet.pop(ticket.symbol, None)
        self._drafts.pop(ticket.order.ref, None)
        for box in self._boxes.get(ticket.order.ref, ()):
            self._answer(box, order_group.on_end(box.group, ticket.key))

    def _answer(self, box: Box, answer: Answer) -> None:
        box.group, actions = answer
        self._desk.scribe.touch_plan(box)
        for action in actions:
            self._carry_out(box.tickets[action.order_id], action)

    def _carry_out(self, ticket: Ticket, action: Action) -> None:
        if action.do is Do.EXPOSED:
            text = f"{ticket.symbol}: {action.volume} lots of a bracket have no protection"
            logger.error("%s", text)
            self._store.put_notification(text, order=ticket.order)
        elif action.do is Do.CANCEL:
            if not ticket.over:
                self._desk.cancel(ticket)
        elif action.do is Do.RESIZE:
            self._resize(ticket, action.volume)
        elif not ticket.over:
            self._resize(ticket, action.volume)
            ticket.patience = monotonic() + PATIENCE
            if ticket.condition is None:
                self._desk.release(ticket)
            else:
                self._watch(ticket)

    def _resize(self, ticket: Ticket, volume: int) -> None:
        if ticket.condition is not None and volume > ticket.filled:
            ticket.condition = resize(ticket.condition, volume - ticket.filled)
        self._desk.change_volume(ticket, volume)

    # -- after a restart ----------------------------------------------------------------------

    def adopt(self, ticket: Ticket) -> None:
        """An order of an earlier run that waits for its price or time."""
        if ticket.stage is Stage.WATCHED:
            self._watch(ticket)

    def adopt_group(self, key: str, fields: dict[str, Any], tickets: list[Ticket]) -> None:
        """A group of an earlier run, with all its orders."""
        box = Box(OrderGroup.from_dict(fields), tickets, key)
        for ticket in tickets:
            self._boxes[ticket.order.ref].append(box)

    def role(self, ticket: Ticket) -> Role | None:
        """What an order is in the first group that it belongs to."""
        boxes = self._boxes.get(ticket.order.ref)
        return boxes[0].group[ticket.key].role if boxes else None

    def complete_groups(self) -> None:
        """Carry out what a group has decided and a killed program had not done yet."""
        for box in {box.key: box for boxes in self._boxes.values() for box in boxes}.values():
            for member in box.group.members:
                ticket = box.tickets[member.order_id]
                if ticket.over:
                    if member.state is not MemberState.OVER:
                        self._answer(box, order_group.on_end(box.group, ticket.key))
                elif member.state in (MemberState.ENDING, MemberState.OVER):
                    self._carry_out(ticket, Action(Do.CANCEL, ticket.key))
                elif member.state is MemberState.ACTIVE and ticket.stage is Stage.DORMANT:
                    self._carry_out(ticket, Action(Do.ACTIVATE, ticket.key, member.volume))
                elif member.state is MemberState.ACTIVE and member.volume != ticket.volume:
                    self._carry_out(ticket, Action(Do.RESIZE, ticket.key, member.volume))

    # -- watching -----------------------------------------------------------------------------

    def _condition(self, ticket: Ticket) -> ConditionalOrder:
        """What an order of Backtrader waits for.

        Raises:
            OrderError: Its prices are none.
        """
        order, created = ticket.order, ticket.order.created
        if order.exectype == bt.Order.Close:
            now = self._store.now()
            day = self._store.calendar.trading_day_at(now)
            close = last_close(ticket.symbol, day, self._store.calendar)
            return at_close(ticket.direction, ticket.volume, to_ns(close) - BEFORE_CLOSE)
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
        state = trailing_stop(
            ticket.direction, ticket.volume, reference, trail_amount=order.p.trailamount,
            trail_percent=order.p.trailpercent, limit_price=limit,
        )  # fmt: skip
        _show(created, state)
        return state

    def _watch(self, ticket: Ticket) -> None:
        ticket.stage = Stage.WATCHED
        self._desk.scribe.touch(ticket)
        self._watched[ticket.symbol][ticket.order.ref] = ticket
        self._quiet.pop(ticket.symbol, None)
        if ticket.order.exectype != bt.Order.Close:
            self._price(ticket.symbol)  # subscribes

    def _price(self, symbol: str) -> float:
        try:
            return float(self._store.gateway.quote(symbol).last_price)
        except LinkError:
            return math.nan

    def tend(self) -> None:
        """Hold the prices of the moment against what waits for them."""
        now = self._store.clock.now_ns()
        for symbol, tickets in self._watched.items():
            if not tickets or not self._store.trading_up or not self._desk.gate.open(symbol):
                continue
            span = self._quiet.get(symbol) or self._span(symbol)
            price = self._price(symbol)
            if span.contains(price, now):
                continue
            for ticket in list(tickets.values()):
                if ticket.stage is Stage.WATCHED:
                    self._look(ticket, price, now)
            self._quiet.pop(symbol, None)

    def _span(self, symbol: str) -> Span:
        """Between which prices, and until when, nothing that waits can fire or move."""
        span = Span()
        for ticket in self._watched[symbol].values():
            if ticket.condition is not None:
                span.narrow(ticket.condition)
        self._quiet[symbol] = span
        return span

    def _look(self, ticket: Ticket, price: float, now: int) -> None:
        if ticket.condition is None:
            return
        before = ticket.condition
        ticket.condition, fired = on_price(before, price, now)
        if ticket.condition is not before:
            self._desk.scribe.touch(ticket)
        if ticket.condition.kind in (Kind.STOP_TRAIL, Kind.STOP_TRAIL_LIMIT):
            _show(ticket.order.created, ticket.condition)
        if fired is None or ticket.condition.status is not Status.TRIGGERED:
            return
        ticket.order.triggered = True
        logger.info("order %d fires at %s", ticket.order.ref, price)
        del self._watched[ticket.symbol][ticket.order.ref]
        ticket.wish = Wish(self._limit(ticket, fired.limit_price))
        ticket.condition = None
        ticket.stage = Stage.QUEUED
        for box in self._boxes.get(ticket.order.ref, ()):
            ticket.after += [
                other
                for other in box.tickets.values()
                if other is not ticket and other.stage is Stage.WORKING
                and other.direction is ticket.direction
            ]  # fmt: skip
            self._answer(box, order_group.on_fire(box.group, ticket.key))
        if not ticket.over:
            self._desk.release(ticket)

    def _limit(self, ticket: Ticket, price: float | None) -> float | None:
        if price is None:
            return None
        return passive_price(price, ticket.direction, self._store.instrument(ticket.symbol))


def _show(created: Any, state: ConditionalOrder) -> None:
    """Where a trailing stop stands, as Backtrader's users look for it."""
    created.price = state.stop_price
    if state.limit_price is not None:
        created.pricelimit = state.limit_price
