"""OCO groups and brackets: what one order's fate means to the others."""

import json
from itertools import permutations, product

import pytest

from tianqin_backtrader.errors import IllegalTransition, OrderError
from tianqin_backtrader.order_group import (
    TRANSITIONS,
    Action,
    Do,
    MemberEvent,
    MemberState,
    OrderGroup,
    Role,
    bracket,
    oco,
    on_cancel,
    on_end,
    on_fill,
    on_fire,
)

IN, STOP, TARGET = "in", "stop", "target"
ACTIVE, DORMANT, ENDING, OVER = (
    MemberState.ACTIVE, MemberState.DORMANT, MemberState.ENDING, MemberState.OVER,
)  # fmt: skip


def usual(volume=5):
    return bracket((IN, volume), [(STOP, volume), (TARGET, volume)])


def play(group, *events):
    """The group after events such as (on_fill, "in", 2), and the actions of the last."""
    actions = ()
    for event, *arguments in events:
        group, actions = event(group, *arguments)
    return group, actions


def states(group):
    return tuple(member.state for member in group.members)


def cancels(*order_ids):
    return tuple(Action(Do.CANCEL, order_id) for order_id in order_ids)


def test_children_wait_for_the_end_of_the_parent():
    group, actions = play(usual(), (on_fill, IN, 2))
    assert (states(group), actions) == ((ACTIVE, DORMANT, DORMANT), ())
    group, actions = play(group, (on_fill, IN, 3))
    assert states(group) == (OVER, ACTIVE, ACTIVE)
    assert actions == (Action(Do.ACTIVATE, STOP, 5), Action(Do.ACTIVATE, TARGET, 5))
    assert on_end(group, IN) == (group, ())  # told again


def test_children_of_a_partly_filled_parent_stand_for_what_it_got():
    group, actions = play(usual(), (on_fill, IN, 2), (on_end, IN))
    assert actions == (Action(Do.ACTIVATE, STOP, 2), Action(Do.ACTIVATE, TARGET, 2))
    _, actions = play(group, (on_fill, STOP, 2))
    assert actions == cancels(TARGET)


def test_children_of_a_parent_without_fills_are_withdrawn():
    group, actions = play(usual(), (on_end, IN))
    assert actions == cancels(STOP, TARGET)
    assert group.over


def test_a_filled_child_withdraws_its_sibling():
    group, actions = play(usual(), (on_fill, IN, 5), (on_fill, TARGET, 5))
    assert actions == cancels(STOP)
    assert states(group) == (OVER, ENDING, OVER)
    group, actions = play(group, (on_end, STOP))
    assert (group.over, group.unprotected, actions) == (True, 0, ())


def test_a_cancelled_child_withdraws_its_sibling():
    group, actions = play(usual(), (on_fill, IN, 5), (on_cancel, TARGET))
    assert actions == cancels(STOP, TARGET)
    assert states(group) == (OVER, ENDING, ENDING)
    assert on_cancel(group, STOP) == (group, ())
    group, actions = play(group, (on_end, STOP), (on_end, TARGET))
    assert (group.over, actions) == (True, ())


def test_an_expired_child_withdraws_its_sibling():
    _, actions = play(usual(), (on_fill, IN, 5), (on_end, STOP))
    assert actions == cancels(TARGET)


def test_a_refused_child_leaves_the_lots_to_its_sibling():
    group, _ = play(usual(), (on_fill, IN, 5))
    group, actions = on_end(group, TARGET, unasked=True)
    assert (actions, group[STOP].state) == ((), ACTIVE)
    group, actions = on_fill(group, STOP, 2)
    assert actions == ()
    group, actions = on_end(group, STOP, unasked=True)
    assert actions == (Action(Do.EXPOSED, STOP, 3),)
    assert group.over


def test_a_parent_that_fires_keeps_its_children():
    assert on_fire(usual(), IN) == (usual(), ())


def test_lots_are_counted_with_the_filled_ones():
    """So that an action which is carried out late does not give back what was filled since."""
    _, actions = play(usual(), (on_fill, IN, 5), (on_fill, STOP, 1), (on_fill, TARGET, 2))
    assert actions == (Action(Do.RESIZE, STOP, 3),)  # one is filled, two are left


def test_a_partly_filled_child_shrinks_its_sibling():
    group, actions = play(usual(), (on_fill, IN, 5), (on_fill, TARGET, 2))
    assert actions == (Action(Do.RESIZE, STOP, 3),)
    _, actions = play(group, (on_fill, STOP, 3))
    assert actions == cancels(TARGET)


def test_a_child_for_fewer_lots_leaves_the_rest_protected():
    group = bracket((IN, 5), [(STOP, 5), (TARGET, 3)])
    group, actions = play(group, (on_fill, IN, 5), (on_fill, TARGET, 3))
    assert actions == (Action(Do.RESIZE, STOP, 2),)
    assert states(group) == (OVER, ACTIVE, OVER)


def test_fills_that_cross_are_told_as_lots_closed_too_many():
    group, _ = play(usual(), (on_fill, IN, 5), (on_fill, TARGET, 5))
    group, actions = play(group, (on_fill, STOP, 2))
    assert actions == (Action(Do.EXPOSED, STOP, -2),)
    assert group.unprotected == -2


def test_a_late_fill_of_the_parent_is_protected_too():
    _, actions = play(usual(), (on_fill, IN, 2), (on_end, IN), (on_fill, IN, 1))
    assert actions == (Action(Do.RESIZE, STOP, 3), Action(Do.RESIZE, TARGET, 3))


def test_a_late_fill_that_nothing_protects_any_more_is_told():
    _, actions = play(usual(), (on_end, IN), (on_fill, IN, 1))
    assert actions == (Action(Do.EXPOSED, IN, 1),)


def test_withdrawing_a_dormant_child_withdraws_the_bracket():
    group, actions = play(usual(), (on_cancel, TARGET))
    assert sorted(action.order_id for action in actions) == [IN, STOP, TARGET]
    assert states(group) == (ENDING, OVER, OVER)
    _, actions = play(group, (on_fill, IN, 1), (on_end, IN))
    assert actions == (Action(Do.EXPOSED, IN, 1),)


def test_a_dormant_child_that_expires_withdraws_the_bracket():
    group, actions = play(usual(), (on_end, STOP))
    assert actions == cancels(IN, TARGET)
    assert states(group) == (ENDING, OVER, OVER)


def test_a_withdrawn_parent_keeps_the_protection_of_its_fills():
    group, actions = play(usual(), (on_fill, IN, 1), (on_cancel, IN))
    assert actions == cancels(IN)
    _, actions = play(group, (on_end, IN))
    assert actions == (Action(Do.ACTIVATE, STOP, 1), Action(Do.ACTIVATE, TARGET, 1))


@pytest.mark.parametrize(
    "event",
    [(on_fill, "b", 1), (on_fill, "b", 2), (on_end, "b")],
    ids=lambda event: " ".join(str(part) for part in (event[0].__name__, *event[1:])),
)
def test_the_first_of_an_oco_group_withdraws_the_others(event):
    group, actions = play(oco([("a", 1), ("b", 2), ("c", 3)]), event)
    assert actions == cancels("a", "c")
    assert [group[i].state for i in "ac"] == [ENDING, ENDING]
    group, actions = play(group, (on_end, "a"))
    assert actions == ()


def test_a_dormant_order_cannot_be_filled():
    group = usual()
    with pytest.raises(IllegalTransition):
        on_fill(group, STOP, 1)


@pytest.mark.parametrize(("state", "event"), list(product(MemberState, MemberEvent)))
def test_every_pair_is_in_the_table_or_impossible(state, event):
    impossible = {
        *((DORMANT, event) for event in (MemberEvent.FILL, MemberEvent.FILL_ALL)),
        *((state, MemberEvent.ACTIVATE) for state in (ACTIVE, ENDING, OVER)),
    }
    assert (event in TRANSITIONS[state]) is ((state, event) not in impossible)


def test_a_group_that_makes_no_sense_is_refused():
    with pytest.raises(OrderError, match="twice"):
        oco([("a", 1), ("a", 1)])
    with pytest.raises(OrderError, match="lots"):
        bracket((IN, 5), [(STOP, 0)])
    with pytest.raises(OrderError, match="none of the group"):
        on_end(usual(), "else")
    with pytest.raises(OrderError, match="no group"):
        OrderGroup.from_dict({"members": [{"order_id": "a"}]})


@pytest.mark.parametrize(
    "events",
    list(permutations([(on_fill, IN, 2), (on_cancel, IN), (on_end, IN)])),
    ids=lambda events: "-".join(event[0].__name__ for event in events),
)
def test_a_journal_gives_back_the_group_at_every_step(events):
    group = usual()
    for event, *arguments in events:
        group, _ = event(group, *arguments)
        assert OrderGroup.from_dict(json.loads(json.dumps(group.to_dict()))) == group
    assert group[IN].role is Role.PARENT
