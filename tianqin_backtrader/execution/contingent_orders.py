"""Orders that depend on others: not transmitted yet, in brackets, in OCO groups.

``contingency`` decides what happens to the others of a group, and ``order_emulator`` when an order
triggers; this module carries out the actions.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import backtrader as bt

from ..core.model import Direction, Fill, Offset
from ..core.ports import Feeds, LastPrice
from ..errors import OrderError, TianqinError
from ..orders import contingency
from ..orders.conditional import resize
from ..orders.contingency import Action, Answer, Do, MemberState, OrderGroup, Part, Role
from ..orders.ticket import Ending, PositionEffect, SharedLots, Stage, Ticket
from .order_emulator import OrderEmulator
from .order_manager import OrderManager

logger = logging.getLogger(__name__)

#: Orders of Backtrader that bound a loss.
_STOPS = (bt.Order.Stop, bt.Order.StopLimit, bt.Order.StopTrail, bt.Order.StopTrailLimit)
_ENDED_BY_OWNER = (Ending.CANCEL, Ending.EXPIRE)


class OrderGroupEntry:
    """A group and the orders in it."""

    kind = "group"

    def __init__(self, group: OrderGroup, tickets: list[Ticket], key: str = "") -> None:
        self.group = group
        self.tickets = {ticket.key: ticket for ticket in tickets}
        self.key = key or tickets[0].key

    def plan(self) -> tuple[dict[str, Any], bool]:
        """Return the row for the journal, and whether the group is over."""
        return self.group.to_dict(), self.group.over

    @property
    def parents(self) -> list[Ticket]:
        """The parent of a bracket while it may open more."""
        return [self.tickets[member.order_id] for member in self.group.parents]

    def role(self, ticket: Ticket) -> Role:
        """Return an order's role in the group."""
        return self.group[ticket.key].role

    def has_exit(self, ticket: Ticket) -> bool:
        """Return whether an order is one of the exits for the same lots."""
        return any(member.order_id == ticket.key for member in self.group.exits)

    def closes_by(self, ticket: Ticket) -> Direction:
        """Return the direction of orders that close the lots of one of its orders."""
        if self.role(ticket) is not Role.PARENT:
            return ticket.direction
        return Direction.SELL if ticket.direction is Direction.BUY else Direction.BUY

    def share(self) -> None:
        """Set the shared lots of its exits."""
        exits = [self.tickets[member.order_id] for member in self.group.exits]
        numbers = frozenset(ticket.order.ref for ticket in exits)
        lots = max(0, self.group.unprotected)
        for ticket in self.tickets.values():
            ticket.shared.pop(self.key, None)
        for ticket in exits:
            ticket.shared[self.key] = SharedLots(lots, numbers - {ticket.order.ref})


class ContingentOrders:
    """Handles waiting orders and groups.

    Args:
        manager: Sends and cancels orders.
        feeds: The feeds of the run.
        last_price: Returns a contract's last price.

    Attributes:
        watched: Orders that wait for a price or a time, by contract.
    """

    def __init__(self, manager: OrderManager, feeds: Feeds, last_price: LastPrice) -> None:
        self._manager, self._context, self._feeds = manager, manager.context, feeds
        self._emulator = OrderEmulator(manager, last_price)
        self.watched = self._emulator.watched
        self._boxes: dict[int, list[OrderGroupEntry]] = defaultdict(list)
        self._drafts: dict[int, list[tuple[Ticket, Any]]] = {}
        self._taken: set[int] = set()

    # -- in -----------------------------------------------------------------------------------

    def place(self, ticket: Ticket, parent: Any, oco: Any, transmit: bool) -> None:
        """Place one of Backtrader's orders, now or when its bracket is complete."""
        self._place(ticket, parent, oco, transmit)
        self.take_ends()

    def _place(self, ticket: Ticket, parent: Any, oco: Any, transmit: bool) -> None:
        ticket.followed = True
        at_once = ticket.order.exectype in (bt.Order.Market, bt.Order.Limit)
        if parent is not None and parent.ref not in self._drafts:
            self._rely_on(ticket, parent)
        try:
            self._manager.admit(ticket, waits=not at_once or parent is not None)
            if not at_once:
                ticket.condition = self._emulator.condition(ticket)
            first = parent.ref if parent is not None else ticket.order.ref
            if parent is not None and first not in self._drafts:
                _closes_only(ticket)
                if oco is None or self._is_of_family(oco, parent) or self._join(ticket, oco):
                    self._child_of_sent(ticket, parent)
                return
        except TianqinError as error:
            self._refuse_family(ticket, parent, str(error))
            return
        if parent is not None or not transmit:
            self._drafts.setdefault(first, []).append((ticket, oco))
            if transmit:
                self._launch(self._drafts.pop(first))
            return
        if oco is not None and not self._join(ticket, oco):
            return
        self._start(ticket)

    def _is_of_family(self, other: Any, parent: Any) -> bool:
        """Return whether an order is in a parent's group, whose exits end each other anyway."""
        families = (box for box in self._boxes[parent.ref] if box.parents)
        return any(other.ref == one.order.ref for box in families for one in box.tickets.values())

    @property
    def drafts(self) -> list[Ticket]:
        """Orders of brackets whose last order has not been placed yet."""
        families = self._drafts.values()
        return [ticket for family in families for ticket, _ in family if not ticket.over]

    def _rely_on(self, child: Ticket, parent: Any) -> None:
        """Make a child close only, if its parent has opened lots: it protects them."""
        first = self._manager.tickets.get(parent.ref)
        if first is not None and first.filled:
            _closes_only(child)

    def _start(self, ticket: Ticket) -> None:
        """Watch an order's condition, or send it."""
        if ticket.condition is None:
            self._manager.submit(ticket)
            return
        self._take_in(ticket)
        self._emulator.watch(ticket)

    def _take_in(self, ticket: Ticket) -> None:
        """Notify a waiting order as Submitted and Accepted, and register it."""
        ticket.followed = True
        self._taken.add(ticket.order.ref)
        self._manager.enter(ticket)
        ticket.order.accept(ticket.order.broker)
        self._manager.tell(ticket.order)

    def _refuse_family(self, ticket: Ticket, parent: Any, reason: str) -> None:
        """Refuse a whole bracket because of one order, so that no lots are unprotected."""
        first = parent.ref if parent is not None else ticket.order.ref
        for other, _ in self._drafts.pop(first, []):
            self._manager.refuse(other, f"another order of its bracket is refused: {reason}")
        self._manager.refuse(ticket, reason)

    # -- brackets and OCO ---------------------------------------------------------------------

    def _launch(self, family: list[tuple[Ticket, Any]]) -> None:
        (parent, oco), *children = [one for one in family if not one[0].over]
        if oco is not None and not self._join(parent, oco):
            for child, _ in children:
                self._manager.refuse(child, "its parent order is refused")
            return
        if children:
            self._manager.write_ahead.touch(parent)  # recorded before its children
            parts = [_part(child) for child, _ in children]
            group = contingency.bracket(_part(parent), parts)
            self._put(OrderGroupEntry(group, [parent, *(child for child, _ in children)]))
            for child, _ in children:
                self._wait_for_parent(child)
            known = {one.order.ref for one, _ in family} | {getattr(oco, "ref", None)}
            for child, other in children:
                if other is not None and other.ref not in known:
                    self._join(child, other)
                    self.take_ends()
        if not parent.over:
            self._start(parent)

    def _put(self, box: OrderGroupEntry) -> None:
        """Register a new group, or a group with a new order."""
        for ticket in box.tickets.values():
            ticket.followed = True
            if box not in self._boxes[ticket.order.ref]:
                self._boxes[ticket.order.ref].append(box)
        box.share()
        self._manager.write_ahead.touch_plan(box)

    def _wait_for_parent(self, child: Ticket) -> None:
        child.stage = Stage.DORMANT
        _closes_only(child)
        self._take_in(child)
        child.stage = Stage.DORMANT
        self._manager.write_ahead.touch(child)

    def _child_of_sent(self, child: Ticket, parent: Any) -> None:
        """Add a child to a parent that was transmitted before.

        Raises:
            OrderError: There is nothing to protect.
        """
        first = self._manager.tickets.get(parent.ref)
        if first is None or (first.over and not first.filled):
            raise OrderError("its parent order is over without a fill, or was never sent")
        box = next((one for one in self._boxes[parent.ref] if one.role(first) is Role.PARENT), None)
        if box is None:
            box = OrderGroupEntry(_so_far(contingency.bracket(_part(first), []), first), [first])
        answer = contingency.add_child(box.group, _part(child))
        if first.over and answer[0].unprotected <= 0:
            raise OrderError("the lots that its parent order opened are closed")
        box.group, box.tickets[child.key] = answer[0], child
        self._put(box)
        self._wait_for_parent(child)
        self._answer(box, answer)

    def _join(self, ticket: Ticket, other: Any) -> bool:
        """Put an order into another's OCO group; return False if it is refused for that."""
        first = self._manager.tickets.get(other.ref)
        same_lots = first is not None and _close_the_same(first, ticket)
        if first is None or first.over or (first.filled and not same_lots):
            self._manager.refuse(ticket, "the order that it depends on (oco) has traded or is over")
            return False
        box = next((one for one in self._boxes[other.ref] if one.role(first) is Role.PEER), None)
        if box is None:
            group = contingency.oco([_part(first, closes=same_lots)])
            box = OrderGroupEntry(_so_far(group, first), [first], f"{first.key}_{ticket.key}")
        same_lots = all(_close_the_same(one, ticket) for one in box.tickets.values())
        box.group = contingency.join(box.group, _part(ticket, closes=same_lots))
        box.tickets[ticket.key] = ticket
        self._put(box)
        self._answer(box, contingency.level(box.group))
        return True

    # -- what happens -------------------------------------------------------------------------

    def cancel(self, ticket: Ticket, ending: Ending = Ending.CANCEL, reason: str = "") -> None:
        """Cancel an order, as ``OrderManager.cancel``, and handle the orders that depend on it."""
        self._manager.cancel(ticket, ending, reason)
        self.take_ends()

    def take_fill(self, ticket: Ticket, fill: Fill) -> None:
        """Apply a fill of an order to its groups."""
        closed = fill.volume if ticket.closes_by(fill.offset) else 0
        for box in self._boxes.get(ticket.order.ref, ()):
            answer = contingency.on_fill(box.group, ticket.key, fill.volume, closed=closed)
            self._answer(box, answer)

    def take_ends(self) -> None:
        """Handle the orders that depend on ended orders."""
        while self._manager.ended:
            self._take_end(self._manager.ended.popleft())

    def _take_end(self, ticket: Ticket) -> None:
        self._emulator.forget(ticket)
        for child, _ in self._drafts.pop(ticket.order.ref, []):
            if not child.over:
                self._manager.finish(child, bt.Order.Canceled, "its parent order is over")
        boxes = self._boxes.get(ticket.order.ref, [])
        for box in boxes:
            self._answer(box, _end(box, ticket))
        if not any(box.has_exit(ticket) for box in boxes):
            self._look_at_stop(ticket)
        self._taken.discard(ticket.order.ref)

    def _take_fired(self, ticket: Ticket) -> None:
        """Release a triggered order, after the orders that it depends on end."""
        for box in self._boxes.get(ticket.order.ref, ()):
            self._answer(box, contingency.on_fire(box.group, ticket.key))
            if box.has_exit(ticket):
                ticket.after += box.parents
            elif box.role(ticket) is Role.PEER:
                others = (other for other in box.tickets.values() if other is not ticket)
                ticket.after += [other for other in others if other.stage is Stage.WORKING]
        self._manager.release(ticket)

    def _answer(self, box: OrderGroupEntry, answer: Answer) -> None:
        box.group, actions = answer
        box.share()
        self._manager.write_ahead.touch_plan(box)
        for action in actions:
            self._carry_out(box, action)
            self.take_ends()

    def _carry_out(self, box: OrderGroupEntry, action: Action) -> None:
        ticket = box.tickets[action.order_id]
        if action.do is Do.EXPOSED:
            self._tell_exposed(ticket, action.volume, box.closes_by(ticket))
        elif ticket.over:
            return
        elif action.do is Do.CANCEL:
            self._manager.cancel(ticket)
        elif action.do is Do.RESIZE:
            self._resize(ticket, action.volume)
        elif action.do is Do.SUSPEND:
            self._suspend(ticket, box.parents)
        else:
            self._resize(ticket, action.volume)
            self._activate(ticket, box.parents)

    def _activate(self, ticket: Ticket, parents: list[Ticket]) -> None:
        """Watch or send a child after its parent has opened lots."""
        if not ticket.order.triggered:  # else it waits until the parent can open no more
            ticket.after = [one for one in ticket.after if one not in parents]
        if ticket.condition is not None:
            self._emulator.watch(ticket)
        elif ticket.stage is not Stage.WORKING:  # else it is being cancelled, and sent again
            self._manager.release(ticket)

    def _suspend(self, ticket: Ticket, parents: list[Ticket]) -> None:
        """Let an exit with nothing to close wait for its parent's end, without notification."""
        if ticket.stage is Stage.WATCHED:
            self._emulator.forget(ticket)
            ticket.stage = Stage.DORMANT
        elif ticket.stage is Stage.WORKING and ticket.ending is Ending.NONE and parents:
            self._manager.stand_back(ticket, parents[0])
        else:
            ticket.after += [one for one in parents if one not in ticket.after]
        self._manager.write_ahead.touch(ticket)

    # -- exits that go to another contract ----------------------------------------------------

    def group_of(self, ticket: Ticket) -> str:
        """Return one name for all exits connected to an exit by brackets or OCO groups.

        It is the exit's own key if it is in no group.
        """
        names: set[str] = set()
        left = [ticket]
        while left:
            one = left.pop()
            for box in self._boxes.get(one.order.ref, ()):
                if box.key not in names and box.has_exit(one):
                    names.add(box.key)
                    left += [box.tickets[member.order_id] for member in box.group.exits]
        return min(names, default=ticket.key)

    def partners(self, ticket: Ticket) -> list[Ticket]:
        """Return live orders that share a group with an order, except parents and children."""
        return [
            other
            for box in self._boxes.get(ticket.order.ref, ())
            for other in box.tickets.values()
            if other is not ticket and not other.over
            and Role.PARENT not in (box.role(ticket), box.role(other))
        ]  # fmt: skip

    def take_stand_ins(self, tickets: list[Ticket], living: Iterable[Ticket] = ()) -> None:
        """Place orders that replace the exits of one group on another contract.

        Args:
            tickets: The new orders.
            living: Orders that replace other exits of the group already.
        """
        self._bind_stand_ins(tickets, list(living))
        for ticket in tickets:
            self._take_in(ticket)
        for ticket in tickets:
            if ticket.over:
                continue
            if ticket.condition is None:
                self._manager.release(ticket)
                self.take_ends()
            else:
                self._emulator.watch(ticket)

    def _bind_stand_ins(self, tickets: list[Ticket], living: list[Ticket]) -> None:
        first, *rest = (*living, *tickets)
        if not rest:
            return
        boxes = self._boxes.get(first.order.ref, ()) if living else ()
        box = next((box for box in boxes if box.has_exit(first)), None)
        if box is None:
            group = _so_far(contingency.oco([_part(first, closes=True)]), first)
            box = OrderGroupEntry(group, [first], f"{first.key}_{rest[0].key}")
        for ticket in rest:
            if ticket.key not in box.tickets:
                box.group = contingency.join(box.group, _part(ticket, closes=True))
                box.tickets[ticket.key] = ticket
        self._put(box)
        self._answer(box, contingency.level(box.group))

    def tell_refused_stand_in(self, ticket: Ticket, lots: int) -> None:
        """Report lots without a stop after a replacing order was refused.

        If it was a stop, its end has reported them already.
        """
        if not _is_stop(ticket):
            self._tell_exposed(ticket, lots, ticket.direction)

    def stand_for(self, lots: dict[Ticket, int]) -> None:
        """Set the unfilled lots of each exit of one group."""
        boxes = {box.key: box for one in lots for box in self._boxes.get(one.order.ref, ())}
        for box in boxes.values():
            mine = {one.key: left for one, left in lots.items() if one.key in box.tickets}
            box.group = contingency.stand_for(box.group, mine)
            box.share()
            self._manager.write_ahead.touch_plan(box)
        for ticket, left in lots.items():
            self._resize(ticket, ticket.filled + left)

    def keep_closing(self, ticket: Ticket) -> None:
        """Remove the opening part of a reversing exit; closing legs at the exchange stay."""
        closes = [leg for leg in ticket.unsent if leg.offset is not Offset.OPEN]
        working = [leg for leg in ticket.live_legs if leg.offset is not Offset.OPEN]
        sent = sum(leg.volume for leg in closes) + sum(leg.open_lots for leg in working)
        fewer = ticket.left - max(ticket.closing, sent)
        ticket.may_open = (ticket.may_open or 0) - ticket.opening
        ticket.effect, ticket.allow_partial, ticket.unsent = PositionEffect.CLOSE, True, closes
        for box in self._boxes.get(ticket.order.ref, ()):
            box.group = contingency.open_fewer(box.group, ticket.key, fewer)
            box.share()
            self._manager.write_ahead.touch_plan(box)
        self._resize(ticket, ticket.volume - fewer)

    def _resize(self, ticket: Ticket, volume: int) -> None:
        """Set an order's lots, at most as many as its groups allow."""
        for box in self._boxes[ticket.order.ref]:
            if box.has_exit(ticket):
                volume = min(volume, box.group[ticket.key].volume)
        if ticket.condition is not None and volume > ticket.filled:
            ticket.condition = resize(ticket.condition, volume - ticket.filled)
        self._manager.change_volume(ticket, volume)

    # -- lots without protection --------------------------------------------------------------

    def _look_at_stop(self, ticket: Ticket) -> None:
        """Report lots that a stop outside exit groups no longer protects after its end.

        This includes a stop that was refused when it was placed.
        """
        if not _is_stop(ticket) or not ticket.exits:
            return
        if ticket.order.ref not in self._taken and self._feeds.in_history:
            return  # it was placed during history
        expired = ticket.order.status == bt.Order.Expired
        if _unasked(ticket) and (not expired or ticket.order.triggered):
            self._tell_exposed(ticket, ticket.left - ticket.opening, ticket.direction)

    def _tell_exposed(self, ticket: Ticket, lots: int, direction: Direction) -> None:
        """Report lots that are still held and have lost their last protecting order.

        Args:
            ticket: The order that is over, or that has opened them.
            lots: How many; negative if the orders of a group have closed too many.
            direction: The direction of orders that could close them.
        """
        symbol, order = ticket.symbol, ticket.order
        name = f"order {order.ref} ({order.getordername()}) is {order.getstatusname()}"
        if lots < 0:
            text = f"{symbol}: {-lots} lots more were closed than a group of orders was to close"
        else:
            lots = self._bare(symbol, direction, lots)
            if lots <= 0:
                return
            text = f"{symbol}: {lots} lots have no protection: {name}"
        reason = order.info.get("reason")
        text += f": {reason}" if reason else ""
        self._say(symbol, lots, text, order=order)

    def _say(self, symbol: str, lots: int, text: str, **facts: Any) -> None:
        logger.error("%s", text)
        self._context.exposed(symbol, lots, text)
        self._context.notify(text, lots=lots, **facts)

    def _bare(self, symbol: str, direction: Direction, lots: int) -> int:
        """Return how many of a stop's lots are held without another stop; 0 or less if none."""
        held = self._manager.account.booked(symbol, direction)
        return min(lots, held - self._covered(symbol, direction))

    def settle_stops(self, *symbols: str) -> None:
        """Make exits of stops that had nothing to close when they were placed, but have now.

        Args:
            symbols: Their contracts; none for all.
        """
        for ticket in self._manager.tickets.values():
            waits = ticket.stage is Stage.WATCHED and _is_stop(ticket)
            if waits and (not symbols or ticket.symbol in symbols):
                self._manager.settle_again(ticket)

    def withdraw(self, tickets: Iterable[Ticket], reason: str) -> None:
        """Cancel orders for the library, and report lots that lose their stop by it.

        Args:
            tickets: The orders.
            reason: Shown as ``order.info.reason`` at their ends.
        """
        stops = {
            (one.symbol, one.direction)
            for one in self._manager.tickets.values()
            if not one.over and _is_stop(one)
        }
        before = {place: self._covered(*place) for place in stops}
        for ticket in tickets:
            if not ticket.over:  # another order's end may have ended it
                self.cancel(ticket, reason=reason)
        for (symbol, direction), lots in before.items():
            bare = self._bare(symbol, direction, lots)
            if bare > 0:
                self._say(symbol, bare, f"{symbol}: {bare} lots have no protection: {reason}")

    def _covered(self, symbol: str, direction: Direction) -> int:
        """Return the lots of a side that stops protect; stops of one group share their lots."""
        lots: dict[str, int] = {}
        for ticket in self._manager.tickets.values():
            stands = _is_stop(ticket) and ticket.exits and ticket.ending not in _ENDED_BY_OWNER
            if ticket.symbol != symbol or ticket.direction is not direction or not stands:
                continue
            if ticket.held_back:  # a roll has moved its lots, or is moving them
                continue
            if ticket.stage not in (Stage.OVER, Stage.DRAFT, Stage.DORMANT):
                boxes = self._boxes.get(ticket.order.ref)
                key = boxes[0].key if boxes else ticket.key
                lots[key] = max(lots.get(key, 0), ticket.left - ticket.opening)
        return sum(lots.values())

    # -- after a restart ----------------------------------------------------------------------

    def adopt(self, ticket: Ticket) -> None:
        """Take over an order of an earlier run; watch it if it waits for a price or time."""
        ticket.followed = True
        self._taken.add(ticket.order.ref)
        if ticket.stage is Stage.WATCHED:
            self._emulator.watch(ticket)

    def adopt_group(self, key: str, fields: dict[str, Any], tickets: list[Ticket]) -> None:
        """Take over a group of an earlier run with all its orders."""
        box = OrderGroupEntry(OrderGroup.from_dict(fields), tickets, key)
        for ticket in tickets:
            ticket.followed = True
            self._boxes[ticket.order.ref].append(box)
        box.share()

    def role(self, ticket: Ticket) -> Role | None:
        """Return an order's role in its first group, None without a group."""
        boxes = self._boxes.get(ticket.order.ref)
        return boxes[0].role(ticket) if boxes else None

    def complete_groups(self) -> None:
        """Carry out actions that groups had decided and a killed program had not done."""
        for box in {box.key: box for boxes in self._boxes.values() for box in boxes}.values():
            for member in box.group.members:
                self._complete(box, box.tickets[member.order_id])
                self.take_ends()
            self._answer(box, contingency.level(box.group))

    def _complete(self, box: OrderGroupEntry, ticket: Ticket) -> None:
        member = box.group[ticket.key]
        if ticket.over:
            if member.state is not MemberState.OVER:
                self._answer(box, _end(box, ticket))
        elif member.state in (MemberState.ENDING, MemberState.OVER):
            self._carry_out(box, Action(Do.CANCEL, ticket.key))
        elif member.state is MemberState.SUSPENDED:
            self._carry_out(box, Action(Do.SUSPEND, ticket.key))
        elif member.state is MemberState.ACTIVE and ticket.stage is Stage.DORMANT:
            self._carry_out(box, Action(Do.ACTIVATE, ticket.key, member.volume))
        elif member.state is MemberState.ACTIVE and member.volume != ticket.volume:
            self._carry_out(box, Action(Do.RESIZE, ticket.key, member.volume))

    def on_round(self) -> None:
        """Compare the present prices with waiting orders; called every round."""
        for ticket in self._emulator.on_round():
            if not ticket.over:
                self._take_fired(ticket)
            self.take_ends()


def _closes_only(child: Ticket) -> None:
    """Make a child close only: it protects its parent's lots and never opens."""
    child.effect, child.allow_partial, child.may_open = PositionEffect.CLOSE, True, 0


def _is_stop(ticket: Ticket) -> bool:
    return ticket.order.exectype in _STOPS


def _part(ticket: Ticket, *, closes: bool = False) -> Part:
    """Make the group's part of an order; ``closes``: the others close the same lots."""
    closing = ticket.volume - (ticket.may_open or 0) if closes else 0
    return Part(ticket.key, ticket.volume, closing, protects=_is_stop(ticket))


def _close_the_same(one: Ticket, other: Ticket) -> bool:
    """Return whether two orders are exits for the same side's lots."""
    same = (one.symbol, one.direction) == (other.symbol, other.direction)
    return same and one.exits and other.exits


def _so_far(group: OrderGroup, ticket: Ticket) -> OrderGroup:
    """Apply an order's fills and end to its new group of one order."""
    if ticket.filled:
        closed = sum(leg.filled for leg in ticket.legs if ticket.closes_by(leg.offset))
        group, _ = contingency.on_fill(group, ticket.key, ticket.filled, closed=closed)
    if ticket.over:
        group, _ = contingency.on_end(group, ticket.key)
    return group


def _unasked(ticket: Ticket) -> bool:
    """Return whether an order ended neither by its owner's request nor by its last fill."""
    status = ticket.order.status
    if status == bt.Order.Canceled:
        return not ticket.ending
    return status in (bt.Order.Rejected, bt.Order.Margin, bt.Order.Expired)


def _end(box: OrderGroupEntry, ticket: Ticket) -> Answer:
    """Apply the end of an order to its group."""
    return contingency.on_end(box.group, ticket.key, unasked=_unasked(ticket))
