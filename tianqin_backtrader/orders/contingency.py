"""Orders that depend on each other: OCO groups and brackets.

An OCO group with orders that open has Backtrader's meaning: the first that trades, or ends,
withdraws the others. If all orders of the group close lots of one side, they are exits for the
same lots: a fill of one reduces the others, and its last lot withdraws them (FIX: ContingencyType
2, "one updates the other"; ContingencyType 1 is "one cancels the other"). If an exit ends without
its owner's request, the others continue.

In a bracket a parent opens and its children, a stop and a target, protect the opened lots: they
are activated with the parent's first fill, grow with each further one, and together never close
more. A child that fires or fills withdraws the rest of the parent, so that no lots are opened after
an exit has begun. Lots that the parent still gets before it is over are protected by the remaining
children; until then children without lots are suspended.

Nothing is sent here. Events go in (``on_fill``, ``on_end``, ``on_fire``), and ``Action``s come out.
A group is a value: ``to_dict`` converts it for the journal.

Source: Backtrader, ``brokers/bbroker.py`` (``_ococheck``, ``_bracketize``), which has no partial
fills. nautilus_trader calls exits for the same lots OUO.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from ..errors import IllegalTransition, OrderError


class Role(StrEnum):
    """The role of an order in its group."""

    PEER = "PEER"  # a member of an OCO group
    PARENT = "PARENT"
    CHILD = "CHILD"


class MemberState(StrEnum):
    """The state of a member."""

    DORMANT = "DORMANT"  # a child whose parent has opened nothing yet
    ACTIVE = "ACTIVE"  # waiting for its price or its lots, or working at the exchange
    SUSPENDED = "SUSPENDED"  # a child without lots, whose parent may open more; fills may come
    ENDING = "ENDING"  # being withdrawn; fills may still come
    OVER = "OVER"


class MemberEvent(StrEnum):
    """What can happen to a member."""

    ACTIVATE = "ACTIVATE"
    FILL = "FILL"  # some lots, not the last
    FILL_ALL = "FILL_ALL"
    SUSPEND = "SUSPEND"
    WITHDRAW = "WITHDRAW"
    END = "END"  # cancelled, expired, rejected; or its fill is reported again


S, E = MemberState, MemberEvent

#: state -> event -> next state. A missing row is illegal.
TRANSITIONS: Mapping[MemberState, Mapping[MemberEvent, MemberState]] = MappingProxyType(
    {
        S.DORMANT: {E.ACTIVATE: S.ACTIVE, E.WITHDRAW: S.OVER, E.END: S.OVER},
        S.ACTIVE: {
            E.FILL: S.ACTIVE, E.FILL_ALL: S.OVER, E.SUSPEND: S.SUSPENDED,
            E.WITHDRAW: S.ENDING, E.END: S.OVER,
        },
        S.SUSPENDED: {
            E.ACTIVATE: S.ACTIVE, E.FILL: S.SUSPENDED, E.FILL_ALL: S.OVER,
            E.WITHDRAW: S.ENDING, E.END: S.OVER,
        },
        S.ENDING: {E.FILL: S.ENDING, E.FILL_ALL: S.OVER, E.WITHDRAW: S.ENDING, E.END: S.OVER},
        # A fill may come after the end.
        S.OVER: {E.FILL: S.OVER, E.FILL_ALL: S.OVER, E.WITHDRAW: S.OVER, E.END: S.OVER},
    }
)  # fmt: skip

#: In these states an exit covers lots, or will cover those that its parent opens.
_STANDS = frozenset({S.DORMANT, S.ACTIVE, S.SUSPENDED})


class Do(StrEnum):
    """What is to be done."""

    ACTIVATE = "ACTIVATE"  # a child, for ``volume`` lots
    RESIZE = "RESIZE"  # a member to ``volume`` lots in all, filled ones included
    SUSPEND = "SUSPEND"  # send nothing of a child until it is activated again
    CANCEL = "CANCEL"
    # Notify: lots have lost their protection, or (negative) too many were closed.
    EXPOSED = "EXPOSED"


@dataclass(frozen=True, slots=True)
class Action:
    """An action on the order ``order_id``; ``volume`` in lots, 0 if the action has none."""

    do: Do
    order_id: str
    volume: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """An order as it enters a group.

    Attributes:
        lots: All lots of the order, positive.
        closing: In an OCO group: how many of them close lots that the others close, too.
        protects: Whether it is a stop, which bounds a loss.
    """

    order_id: str
    lots: int
    closing: int = 0
    protects: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """One order of a group.

    Attributes:
        wanted: Lots that were ordered.
        volume: Lots that it covers now, filled ones included.
        filled: Filled lots.
        closing: How many of the wanted lots close.
        closed: How many of the filled lots have closed.
        protects: Whether it is a stop, which bounds a loss.
    """

    order_id: str
    role: Role
    wanted: int
    volume: int
    filled: int
    state: MemberState
    closing: int = 0
    closed: int = 0
    protects: bool = False

    def left_of(self, lots: int) -> int:
        """Return the lots it may still trade while ``lots`` are open for the group's exits."""
        opening = (self.wanted - self.closing) - (self.filled - self.closed)
        return opening + min(self.closing - self.closed, lots)


@dataclass(frozen=True, slots=True)
class OrderGroup:
    """Orders that depend on each other; made by ``oco`` and ``bracket``.

    Attributes:
        members: The orders.
        begun: Lots that were open for its exits at first, besides those that its parent opens.
    """

    members: tuple[Member, ...]
    begun: int = 0

    def __getitem__(self, order_id: str) -> Member:
        for member in self.members:
            if member.order_id == order_id:
                return member
        raise OrderError(f"{order_id!r} is none of the group's orders")

    @property
    def over(self) -> bool:
        """Whether all members are over."""
        return all(member.state is MemberState.OVER for member in self.members)

    @property
    def exits(self) -> tuple[Member, ...]:
        """Members that close the same lots: children, or an OCO group all of whose orders close."""
        children = tuple(member for member in self.members if member.role is Role.CHILD)
        closes = all(m.role is Role.PEER and m.closing for m in self.members)
        return children or (self.members if closes else ())

    @property
    def parents(self) -> tuple[Member, ...]:
        """The parent of a bracket while it may open more."""
        return tuple(m for m in self.members if m.role is Role.PARENT and m.state is not S.OVER)

    @property
    def guards(self) -> tuple[Member, ...]:
        """Exits that bound a loss: the stops; in a bracket without any, all children."""
        stops = tuple(member for member in self.exits if member.protects)
        return stops or tuple(member for member in self.exits if member.role is Role.CHILD)

    @property
    def unprotected(self) -> int:
        """Lots that are open for its exits; negative if too many were closed."""
        if not self.exits:
            return 0
        parents = [member for member in self.members if member.role is Role.PARENT]
        opened = sum(member.filled - member.closed for member in parents)
        return self.begun + opened - sum(member.closed for member in self.exits)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for the journal."""
        return {"members": [asdict(member) for member in self.members], "begun": self.begun}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> OrderGroup:
        """Restore the group that ``to_dict`` wrote.

        Raises:
            OrderError: ``found`` is no such group.
        """
        try:
            members = tuple(_member_from(fields) for fields in found["members"])
            return cls(members, found.get("begun", 0))
        except (KeyError, TypeError, ValueError) as error:
            raise OrderError(f"no group of orders: {found!r} ({error})") from error


def _member_from(fields: Mapping[str, Any]) -> Member:
    role = Role(fields["role"])
    closes = role is Role.CHILD
    # Version 0.1.0 did not write these; its OCO groups had Backtrader's meaning.
    later = {
        "closing": fields["wanted"] if closes else 0, "closed": fields["filled"] if closes else 0
    }  # fmt: skip
    return Member(**{**later, **fields, "role": role, "state": MemberState(fields["state"])})


Answer = tuple[OrderGroup, tuple[Action, ...]]


def oco(parts: Iterable[Part]) -> OrderGroup:
    """Make an OCO group; if all of its orders close, they are exits for the same lots."""
    parts = list(parts)
    begun = max((part.closing for part in parts), default=0)
    return _group((_peer(part) for part in parts), begun)


def bracket(parent: Part, children: Iterable[Part]) -> OrderGroup:
    """Make a bracket of a parent and its exits.

    >>> group = bracket(Part("in", 5), [Part("stop", 5, protects=True), Part("target", 5)])
    >>> _, actions = on_fill(group, "in", 2)
    >>> [(str(action.do), action.order_id, action.volume) for action in actions]
    [('ACTIVATE', 'stop', 2), ('ACTIVATE', 'target', 2)]
    """
    first = Member(parent.order_id, Role.PARENT, parent.lots, parent.lots, 0, S.ACTIVE)
    return _group([first, *(_child(part) for part in children)])


def join(group: OrderGroup, part: Part) -> OrderGroup:
    """Add an order to an OCO group; it may close more lots than are open for the others."""
    closed = sum(member.closed for member in group.members)
    begun = max(group.begun, part.closing + closed)
    return _group([*group.members, _peer(part)], begun)


def add_child(group: OrderGroup, part: Part) -> Answer:
    """Add a child to a bracket; it is activated at once if lots are open."""
    return level(_group([*group.members, _child(part)], group.begun))


def level(group: OrderGroup) -> Answer:
    """Let the exits cover the open lots, if there are any."""
    return _protect(group) if group.unprotected > 0 else (group, ())


def _peer(part: Part) -> Member:
    return Member(
        part.order_id, Role.PEER, part.lots, part.lots, 0, S.ACTIVE,
        closing=part.closing, protects=part.protects,
    )  # fmt: skip


def _child(part: Part) -> Member:
    return Member(
        part.order_id, Role.CHILD, part.lots, part.lots, 0, S.DORMANT,
        closing=part.lots, protects=part.protects,
    )  # fmt: skip


def _group(members: Iterable[Member], begun: int = 0) -> OrderGroup:
    group = OrderGroup(tuple(members), begun)
    if len({member.order_id for member in group.members}) < len(group.members):
        raise OrderError("an order cannot be twice in a group")
    if any(member.wanted <= 0 for member in group.members):
        raise OrderError("every order of a group needs a positive number of lots")
    return group


# -- events -----------------------------------------------------------------------------------


def on_fill(group: OrderGroup, order_id: str, volume: int, *, closed: int | None = None) -> Answer:
    """Take a fill; the caller counts each trade once.

    Args:
        group: The group before.
        order_id: The order.
        volume: Lots of this fill.
        closed: How many of them have closed; None: all if the order closes, otherwise none.

    Raises:
        IllegalTransition: The order is dormant: it has not been sent.
    """
    member = group[order_id]
    filled = member.filled + volume
    event = E.FILL_ALL if filled >= member.volume else E.FILL
    closes = (volume if member.closing else 0) if closed is None else closed
    moved = replace(_moved(member, event), filled=filled, closed=member.closed + closes)
    after = _with(group, moved)
    if member.role is Role.PARENT:
        return _parent_fills(after, order_id)
    if any(one.order_id == order_id for one in after.exits):
        return _exit_fills(after, order_id)
    return _withdraw_others(after, order_id)


def on_end(group: OrderGroup, order_id: str, *, unasked: bool = False) -> Answer:
    """Take an order's end, after all its fills; a repetition does nothing.

    Args:
        group: The group before.
        order_id: The order.
        unasked: Whether it was refused, lost, expired, or ended by others than its owner. Then
            other exits for the same lots continue, so that the lots keep their protection.
    """
    member = group[order_id]
    after = _with(group, _moved(member, E.END))
    if member.state is S.OVER:
        return after, ()
    if member.role is Role.PARENT:
        return _parent_ends(after, order_id)
    if member.state is S.ENDING:  # the others were handled when it was withdrawn
        return after, ()
    exits = any(one.order_id == order_id for one in after.exits)
    if unasked and exits and member.state is not S.DORMANT:
        return _leave_to_others(after, order_id)
    return _withdraw_others(after, order_id)


def on_fire(group: OrderGroup, order_id: str) -> Answer:
    """A member that waited in the program for its price is sent now.

    The rest of its parent is withdrawn. Other exits for its lots are suspended when it is sent, and
    are not reduced before it is filled: if it fails they continue. In any other OCO group the
    others are withdrawn now.
    """
    member = group[order_id]
    if member.role is Role.PARENT:
        return group, ()
    if any(one.order_id == order_id for one in group.exits):
        return _withdraw(group, (parent.order_id for parent in group.parents))
    return _withdraw_others(group, order_id)


def _parent_fills(group: OrderGroup, order_id: str) -> Answer:
    if group.unprotected <= 0:  # it has only closed lots of the other side yet, in a reversal
        return _parent_ends(group, order_id) if group[order_id].state is S.OVER else (group, ())
    group, actions = _protect(group)
    if not _guarded(group):
        actions = (*actions, Action(Do.EXPOSED, order_id, group.unprotected))
    return group, actions


def _parent_ends(group: OrderGroup, order_id: str) -> Answer:
    if group.unprotected <= 0:
        return _withdraw_others(group, order_id)
    return _protect(group)


def _exit_fills(group: OrderGroup, order_id: str) -> Answer:
    """Reduce the others; withdraw the rest of a parent, for whose end the children wait."""
    lots, parents = group.unprotected, [parent.order_id for parent in group.parents]
    group, withdrawn = _withdraw(group, parents)
    if lots > 0:
        group, resized = _protect(group)
        return group, (*withdrawn, *resized)
    group, others = _suspend(group) if parents else _withdraw_others(group, order_id)
    exposed = (Action(Do.EXPOSED, order_id, lots),) if lots < 0 else ()
    return group, (*withdrawn, *others, *exposed)


def _leave_to_others(group: OrderGroup, order_id: str) -> Answer:
    """Take the end of an exit that has not closed its lots: the others continue.

    If it was the last one that bounds the loss, withdraw the parent and report the lots.
    """
    last = any(one.order_id == order_id for one in group.guards) and not _guarded(group)
    if not last:
        return group, ()
    group, withdrawn = _withdraw(group, [parent.order_id for parent in group.parents])
    if group.unprotected <= 0:
        return group, withdrawn
    return group, (*withdrawn, Action(Do.EXPOSED, order_id, group.unprotected))


# -- actions ----------------------------------------------------------------------------------


def _protect(group: OrderGroup) -> Answer:
    """Let each exit cover the open lots, and no more."""
    lots, actions = group.unprotected, []
    for member in group.exits:
        if member.state not in _STANDS:
            continue
        volume = member.filled + member.left_of(lots)
        wakes = member.state is not S.ACTIVE
        if wakes or volume != member.volume:
            actions.append(Action(Do.ACTIVATE if wakes else Do.RESIZE, member.order_id, volume))
        woken = _moved(member, E.ACTIVATE) if wakes else member
        group = _with(group, replace(woken, volume=volume))
    return group, tuple(actions)


def _suspend(group: OrderGroup) -> Answer:
    """Suspend the children: no lots are open until the parent opens more."""
    actions = []
    for member in group.exits:
        if member.state is S.ACTIVE:
            group = _with(group, _moved(member, E.SUSPEND))
            actions.append(Action(Do.SUSPEND, member.order_id))
    return group, tuple(actions)


def _withdraw(group: OrderGroup, order_ids: Iterable[str]) -> Answer:
    """Cancel the orders that are neither over nor being withdrawn."""
    actions = []
    for order_id in order_ids:
        member = group[order_id]
        if member.state in _STANDS:
            group = _with(group, _moved(member, E.WITHDRAW))
            actions.append(Action(Do.CANCEL, order_id))
    return group, tuple(actions)


def _withdraw_others(group: OrderGroup, order_id: str) -> Answer:
    return _withdraw(group, [m.order_id for m in group.members if m.order_id != order_id])


def _guarded(group: OrderGroup) -> bool:
    """Whether an order bounds the loss of the open lots, or will."""
    return any(member.state in _STANDS for member in group.guards)


def stand_for(group: OrderGroup, lots: Mapping[str, int]) -> OrderGroup:
    """Change the lots that exits cover, as a roll does when it moves lots between contracts.

    Args:
        group: The group before.
        lots: Lots that an exit still covers, by its id; other orders stay as they are.

    >>> group = bracket(Part("in", 5), [Part("stop", 5), Part("target", 5)])
    >>> group, _ = on_fill(group, "in", 5)
    >>> _, actions = on_fill(stand_for(group, {"stop": 2, "target": 2}), "target", 1)
    >>> [(str(action.do), action.order_id, action.volume) for action in actions]
    [('RESIZE', 'stop', 1)]
    """
    for order_id, left in lots.items():
        member = group[order_id]
        whole, closing = member.filled + left, member.closed + left
        group = _with(group, replace(member, wanted=whole, volume=whole, closing=closing))
    if not group.exits:
        return group
    # Of all exits, not only those in ``lots``: a target releases a slice's lots before a stop does.
    stands = [one.volume - one.filled for one in group.exits if one.state in _STANDS]
    return replace(group, begun=group.begun + max(stands, default=0) - group.unprotected)


def open_fewer(group: OrderGroup, order_id: str, lots: int) -> OrderGroup:
    """Reduce the lots that an order opens, by ``lots``; it closes as before.

    >>> group = oco([Part("stop", 6, 3, protects=True), Part("target", 3, 3)])
    >>> group = open_fewer(group, "stop", 3)
    >>> _, actions = on_fill(group, "target", 1)
    >>> [(str(action.do), action.order_id, action.volume) for action in actions]
    [('RESIZE', 'stop', 2)]
    """
    member = group[order_id]
    wanted, volume = member.wanted - lots, member.volume - lots
    return _with(group, replace(member, wanted=wanted, volume=volume))


def _moved(member: Member, event: MemberEvent) -> Member:
    following = TRANSITIONS[member.state].get(event)
    if following is None:
        raise IllegalTransition(f"{member} cannot take {event}")
    return replace(member, state=following)


def _with(group: OrderGroup, changed: Member) -> OrderGroup:
    members = (changed if m.order_id == changed.order_id else m for m in group.members)
    return replace(group, members=tuple(members))
