"""Orders that depend on each other: OCO groups and brackets.

Of an OCO group one is wanted: the first that trades, or ends, withdraws the others. In a bracket
a parent opens and its children, a stop and a target, protect what it has opened. They wait until
the parent is over and then stand for the lots that it got; together they never close more.

Nothing is sent here. What happens goes in (``on_fill``, ``on_end``, ``on_cancel``), what is to be
done comes out as ``Action``s. A group is a value: it goes to a journal with ``to_dict``.

Source: Backtrader, ``brokers/bbroker.py`` (``_ococheck``, ``_bracketize``). It knows no partial
fills: that a partly filled child shrinks its sibling, instead of leaving it, is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from .errors import IllegalTransition, OrderError


class Role(StrEnum):
    """What a member is in its group."""

    PEER = "PEER"  # one of an OCO group
    PARENT = "PARENT"
    CHILD = "CHILD"


class MemberState(StrEnum):
    """Where a member stands."""

    DORMANT = "DORMANT"  # a child whose parent is not over
    ACTIVE = "ACTIVE"  # watched by us or working at the exchange
    ENDING = "ENDING"  # to be withdrawn; fills may still cross
    OVER = "OVER"


class MemberEvent(StrEnum):
    """What can happen to a member."""

    ACTIVATE = "ACTIVATE"
    FILL = "FILL"  # some lots, not the last
    FILL_ALL = "FILL_ALL"
    WITHDRAW = "WITHDRAW"
    END = "END"  # cancelled, expired, rejected; or told again that it is filled


S, E = MemberState, MemberEvent

#: state -> event -> next state. A missing row is illegal.
TRANSITIONS: Mapping[MemberState, Mapping[MemberEvent, MemberState]] = MappingProxyType(
    {
        S.DORMANT: {E.ACTIVATE: S.ACTIVE, E.WITHDRAW: S.OVER, E.END: S.OVER},
        S.ACTIVE: {E.FILL: S.ACTIVE, E.FILL_ALL: S.OVER, E.WITHDRAW: S.ENDING, E.END: S.OVER},
        S.ENDING: {E.FILL: S.ENDING, E.FILL_ALL: S.OVER, E.WITHDRAW: S.ENDING, E.END: S.OVER},
        # A fill may come after the end.
        S.OVER: {E.FILL: S.OVER, E.FILL_ALL: S.OVER, E.WITHDRAW: S.OVER, E.END: S.OVER},
    }
)


class Do(StrEnum):
    """What a group wants done."""

    ACTIVATE = "ACTIVATE"  # a child, for ``volume`` lots
    RESIZE = "RESIZE"  # let a member stand for ``volume`` lots in all, filled ones included
    CANCEL = "CANCEL"
    # A person should look: opened lots have no protection, or (negative) too many were closed.
    EXPOSED = "EXPOSED"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to be done to ``order_id``; ``volume`` in lots, 0 where none is meant."""

    do: Do
    order_id: str
    volume: int = 0


@dataclass(frozen=True, slots=True)
class Member:
    """One order of a group.

    Attributes:
        wanted: Lots that were asked for.
        volume: Lots that it stands for now, filled ones included.
        filled: Lots.
    """

    order_id: str
    role: Role
    wanted: int
    volume: int
    filled: int
    state: MemberState


@dataclass(frozen=True, slots=True)
class OrderGroup:
    """Orders that depend on each other; made by ``oco`` and ``bracket``."""

    members: tuple[Member, ...]

    def __getitem__(self, order_id: str) -> Member:
        for member in self.members:
            if member.order_id == order_id:
                return member
        raise OrderError(f"{order_id!r} is none of the group's orders")

    @property
    def over(self) -> bool:
        """Whether nothing is expected of any member."""
        return all(member.state is MemberState.OVER for member in self.members)

    @property
    def unprotected(self) -> int:
        """Of a bracket: lots opened and not closed; negative if too many were closed."""
        signs = {Role.PARENT: 1, Role.CHILD: -1, Role.PEER: 0}
        return sum(signs[member.role] * member.filled for member in self.members)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a journal."""
        return {"members": [asdict(member) for member in self.members]}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> OrderGroup:
        """The group that ``to_dict`` wrote.

        Raises:
            OrderError: It is no such group.
        """
        try:
            return cls(
                tuple(
                    Member(**{**m, "role": Role(m["role"]), "state": MemberState(m["state"])})
                    for m in found["members"]
                )
            )
        except (KeyError, TypeError, ValueError) as error:
            raise OrderError(f"no group of orders: {found!r} ({error})") from error


Answer = tuple[OrderGroup, tuple[Action, ...]]


def oco(orders: Iterable[tuple[str, int]]) -> OrderGroup:
    """One cancels the others. ``orders`` are (order_id, lots)."""
    return _group(Member(i, Role.PEER, lots, lots, 0, S.ACTIVE) for i, lots in orders)


def bracket(parent: tuple[str, int], children: Iterable[tuple[str, int]]) -> OrderGroup:
    """A parent and its protection, each (order_id, lots).

    >>> group = bracket(("in", 5), [("stop", 5), ("target", 5)])
    >>> group, _ = on_fill(group, "in", 2)
    >>> _, actions = on_end(group, "in")
    >>> [(str(action.do), action.order_id, action.volume) for action in actions]
    [('ACTIVATE', 'stop', 2), ('ACTIVATE', 'target', 2)]
    """
    order_id, volume = parent
    first = Member(order_id, Role.PARENT, volume, volume, 0, S.ACTIVE)
    others = (Member(i, Role.CHILD, lots, lots, 0, S.DORMANT) for i, lots in children)
    return _group([first, *others])


def _group(members: Iterable[Member]) -> OrderGroup:
    group = OrderGroup(tuple(members))
    if len({member.order_id for member in group.members}) < len(group.members):
        raise OrderError("an order cannot be twice in a group")
    if any(member.wanted <= 0 for member in group.members):
        raise OrderError("every order of a group needs a positive number of lots")
    return group


def on_fill(group: OrderGroup, order_id: str, volume: int) -> Answer:
    """``volume`` lots more of an order have been filled. Count each trade once.

    Raises:
        IllegalTransition: The order is dormant: it has not been sent.
    """
    member = group[order_id]
    filled = member.filled + volume
    event = E.FILL_ALL if filled >= member.volume else E.FILL
    ends = event is E.FILL_ALL and member.state is not S.OVER
    after = _with(group, replace(_moved(member, event), filled=filled))
    return _ON_FILL[member.role](after, order_id, ends)


def on_end(group: OrderGroup, order_id: str, *, unasked: bool = False) -> Answer:
    """An order is over, all its fills told before; told twice, nothing more is done.

    Args:
        group: Before.
        order_id: The order.
        unasked: Whether it was refused, or ended by others than its owner. Of a bracket the other
            children then go on: lots that one cannot close are not left without the rest.
    """
    member = group[order_id]
    after = _with(group, _moved(member, E.END))
    # What was withdrawn has had its consequences, but for a parent that may have traded.
    silent = member.state is S.ENDING and member.role is not Role.PARENT
    if member.state is S.OVER or silent:
        return after, ()
    if unasked and member.role is Role.CHILD and member.state is S.ACTIVE:
        return _leave_to_others(after, order_id)
    return _ON_END[member.role](after, order_id)


def on_cancel(group: OrderGroup, order_id: str) -> Answer:
    """The owner withdraws an order, and all with it. Of a parent only its own rest is withdrawn."""
    if group[order_id].role is Role.PARENT:
        return _withdraw(group, [order_id])
    return _withdraw(group, (member.order_id for member in group.members))


def on_fire(group: OrderGroup, order_id: str) -> Answer:
    """A member that waited with us is to be sent now: the others are withdrawn first.

    What they have working may hold the very lots that it is to close. The children of a parent
    have nothing working yet, and go on waiting for its end.
    """
    if group[order_id].role is Role.PARENT:
        return group, ()
    return _withdraw_others(group, order_id)


def join(group: OrderGroup, order_id: str, volume: int) -> OrderGroup:
    """An OCO group with one order more, (order_id, lots)."""
    return _group([*group.members, Member(order_id, Role.PEER, volume, volume, 0, S.ACTIVE)])


def stand_for(group: OrderGroup, lots: Mapping[str, int]) -> OrderGroup:
    """The group when its exits stand for other lots: some have gone to another contract, or come.

    Args:
        group: Before.
        lots: What each exit still stands for, by its id; the others stay as they are.

    >>> group = bracket(("in", 5), [("stop", 5), ("target", 5)])
    >>> group, _ = on_fill(group, "in", 5)
    >>> _, actions = on_fill(stand_for(group, {"stop": 2, "target": 2}), "target", 1)
    >>> [(str(action.do), action.order_id, action.volume) for action in actions]
    [('RESIZE', 'stop', 1)]
    """
    for order_id, left in lots.items():
        member = group[order_id]
        whole = member.filled + left
        group = _with(group, replace(member, wanted=whole, volume=whole))
    children = [member for member in group.members if member.role is Role.CHILD]
    if not any(child.order_id in lots for child in children):
        return group
    # What the parent has opened is what its children have closed and what is left to them.
    opened = sum(child.filled for child in children) + max(lots.values())
    return OrderGroup(
        tuple(
            replace(member, filled=opened) if member.role is Role.PARENT else member
            for member in group.members
        )
    )


def _moved(member: Member, event: MemberEvent) -> Member:
    following = TRANSITIONS[member.state].get(event)
    if following is None:
        raise IllegalTransition(f"{member} cannot take {event}")
    return replace(member, state=following)


def _with(group: OrderGroup, changed: Member) -> OrderGroup:
    members = (changed if m.order_id == changed.order_id else m for m in group.members)
    return OrderGroup(tuple(members))


def _withdraw(group: OrderGroup, order_ids: Iterable[str]) -> Answer:
    """Cancel what is not over and has not been told so before."""
    actions = []
    for order_id in order_ids:
        member = group[order_id]
        if member.state in (S.DORMANT, S.ACTIVE):
            group = _with(group, _moved(member, E.WITHDRAW))
            actions.append(Action(Do.CANCEL, order_id))
    return group, tuple(actions)


def _withdraw_others(group: OrderGroup, order_id: str, *_: object) -> Answer:
    return _withdraw(group, (m.order_id for m in group.members if m.order_id != order_id))


def _parent_fills(group: OrderGroup, order_id: str, ends: bool) -> Answer:
    if ends:
        return _parent_ends(group, order_id)
    if group[order_id].state is not S.OVER:
        return group, ()  # children wait for its end
    return _protect(group, order_id)  # the fill came after the end


def _parent_ends(group: OrderGroup, order_id: str) -> Answer:
    if not group[order_id].filled:
        return _withdraw_others(group, order_id)
    return _protect(group, order_id)


def _leave_to_others(group: OrderGroup, order_id: str) -> Answer:
    """A child is over and has not closed its lots: the others go on; a person looks if none can."""
    protects = any(m.role is Role.CHILD and m.state is S.ACTIVE for m in group.members)
    if protects or group.unprotected <= 0:
        return group, ()
    return group, (Action(Do.EXPOSED, order_id, group.unprotected),)


def _protect(group: OrderGroup, order_id: str) -> Answer:
    """Let each child stand for the lots that are open, and not for more."""
    unprotected, actions = group.unprotected, []
    if unprotected <= 0:
        group, withdrawn = _withdraw_others(group, order_id)
        exposed = (Action(Do.EXPOSED, order_id, unprotected),) if unprotected else ()
        return group, (*withdrawn, *exposed)
    for member in group.members:
        if member.role is not Role.CHILD or member.state not in (S.DORMANT, S.ACTIVE):
            continue
        left = min(member.wanted - member.filled, unprotected)
        wakes = member.state is S.DORMANT
        if wakes or left != member.volume - member.filled:
            do = Do.ACTIVATE if wakes else Do.RESIZE
            actions.append(Action(do, member.order_id, member.filled + left))
        woken = _moved(member, E.ACTIVATE) if wakes else member
        group = _with(group, replace(woken, volume=member.filled + left))
    protects = any(m.role is Role.CHILD and m.state is S.ACTIVE for m in group.members)
    if group[order_id].role is Role.PARENT and not protects:
        actions.append(Action(Do.EXPOSED, order_id, unprotected))
    return group, tuple(actions)


_ON_FILL: Mapping[Role, Callable[[OrderGroup, str, bool], Answer]] = {
    Role.PEER: _withdraw_others,
    Role.PARENT: _parent_fills,
    Role.CHILD: lambda group, order_id, _: _protect(group, order_id),
}
_ON_END: Mapping[Role, Callable[[OrderGroup, str], Answer]] = {
    Role.PEER: _withdraw_others,
    Role.PARENT: _parent_ends,
    Role.CHILD: _withdraw_others,
}
