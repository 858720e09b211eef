"""Orders that depend on others: not transmitted yet, in brackets, in OCO groups.

``order_group`` says what the fate of one means for others, ``order_watch`` when its moment has
come; here the actions are carried out.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import Any

import backtrader as bt

from . import order_group
from .conditional_order import resize
from .errors import OrderError, TianqinError
from .model import Fill
from .order_desk import OrderDesk
from .order_group import Action, Answer, Do, MemberState, OrderGroup, Role
from .order_watch import OrderWatch
from .ticket import Effect, Stage, Ticket

logger = logging.getLogger(__name__)


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
        self._watch = OrderWatch(desk, self._take_fired)
        self._boxes: dict[int, list[Box]] = defaultdict(list)
        self._drafts: dict[int, list[Ticket]] = {}
        desk.on_end.append(self._take_end)

    # -- in -----------------------------------------------------------------------------------

    def place(self, ticket: Ticket, parent: Any, oco: Any, transmit: bool) -> None:
        """Take one of Backtrader's orders: now, or when its bracket is complete."""
        try:
            self._desk.admit(ticket)
            if ticket.order.exectype not in (bt.Order.Market, bt.Order.Limit):
                ticket.condition = self._watch.condition(ticket)
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
        self._watch.watch(ticket)

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
        child.effect, child.allow_partial, child.may_open = Effect.CLOSE, True, 0
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
        self._watch.forget(ticket)
        self._drafts.pop(ticket.order.ref, None)
        for box in self._boxes.get(ticket.order.ref, ()):
            self._answer(box, _end(box, ticket))

    def _take_fired(self, ticket: Ticket) -> None:
        """Its price or time has come: others that hold its lots end first."""
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
            if ticket.condition is None:
                self._desk.release(ticket)
            else:
                self._watch.watch(ticket)

    # -- exits that go to another contract ----------------------------------------------------

    def group_of(self, ticket: Ticket) -> str:
        """The bracket or OCO group that an order belongs to; its own key if it is in none."""
        boxes = self._boxes.get(ticket.order.ref)
        return boxes[0].key if boxes else ticket.key

    def take_stand_ins(self, tickets: list[Ticket]) -> None:
        """Take orders for exits of another contract, those of one group: one cancels the others."""
        if len(tickets) > 1:
            pairs = [(ticket.key, ticket.volume) for ticket in tickets]
            box = Box(order_group.oco(pairs), tickets, f"{tickets[0].key}_{tickets[1].key}")
            for ticket in tickets:
                self._boxes[ticket.order.ref].append(box)
        for ticket in tickets:
            self._take_in(ticket)
            if len(tickets) > 1:
                self._desk.scribe.touch_plan(box)
        for ticket in tickets:
            if ticket.over:
                continue
            if ticket.condition is None:
                self._desk.release(ticket)
            else:
                self._watch.watch(ticket)

    def stand_for(self, lots: dict[Ticket, int]) -> None:
        """Let exits of one group stand for so many lots each, filled ones not counted."""
        boxes = {box.key: box for one in lots for box in self._boxes.get(one.order.ref, ())}
        for box in boxes.values():
            mine = {one.key: left for one, left in lots.items() if one.key in box.tickets}
            box.group = order_group.stand_for(box.group, mine)
            self._desk.scribe.touch_plan(box)
        for ticket, left in lots.items():
            self._resize(ticket, ticket.filled + left)

    def _resize(self, ticket: Ticket, volume: int) -> None:
        if ticket.condition is not None and volume > ticket.filled:
            ticket.condition = resize(ticket.condition, volume - ticket.filled)
        self._desk.change_volume(ticket, volume)

    # -- after a restart ----------------------------------------------------------------------

    def adopt(self, ticket: Ticket) -> None:
        """An order of an earlier run that waits for its price or time."""
        if ticket.stage is Stage.WATCHED:
            self._watch.watch(ticket)

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
                        self._answer(box, _end(box, ticket))
                elif member.state in (MemberState.ENDING, MemberState.OVER):
                    self._carry_out(ticket, Action(Do.CANCEL, ticket.key))
                elif member.state is MemberState.ACTIVE and ticket.stage is Stage.DORMANT:
                    self._carry_out(ticket, Action(Do.ACTIVATE, ticket.key, member.volume))
                elif member.state is MemberState.ACTIVE and member.volume != ticket.volume:
                    self._carry_out(ticket, Action(Do.RESIZE, ticket.key, member.volume))

    def tend(self) -> None:
        """Every round: hold the prices of the moment against what waits for them."""
        self._watch.tend()


def _end(box: Box, ticket: Ticket) -> Answer:
    """What the end of an order means for its group, by who has ended it."""
    status = ticket.order.status
    unasked = status in (bt.Order.Rejected, bt.Order.Margin) or (
        status == bt.Order.Canceled and not ticket.ending
    )
    before = box.group[ticket.key]
    group, actions = order_group.on_end(box.group, ticket.key, unasked=unasked)
    protected = before.role is Role.CHILD and before.state is MemberState.ACTIVE
    if status == bt.Order.Expired and protected and group.unprotected > 0:
        actions = (*actions, Action(Do.EXPOSED, ticket.key, group.unprotected))
    return group, actions
