"""OCO groups and brackets: what one order's fate means to the others."""

import json
from itertools import permutations, product

import pytest

from tianqin_backtrader.errors import IllegalTransition, OrderError
from tianqin_backtrader.orders.contingency import (
    TRANSITIONS,
    Action,
    Do,
    MemberEvent,
    MemberState,
    OrderGroup,
    Part,
    Role,
    add_child,
    bracket,
    join,
    level,
    oco,
    on_end,
    on_fill,
    on_fire,
    stand_for,
)

IN, STOP, TARGET = "in", "stop", "target"
ACTIVE, DORMANT, SUSPENDED, ENDING, OVER = (
    MemberState.ACTIVE, MemberState.DORMANT, MemberState.SUSPENDED, MemberState.ENDING,
    MemberState.OVER,
)  # fmt: skip


def usual(volume=5):
    return bracket(
        Part(IN, volume), [Part(STOP, volume, protects=True), Part(TARGET, volume)]
    )  # fmt: skip


def exits(stop=10, target=10):
    """A target and a stop as OCO, for lots that are held."""
    return oco([Part(TARGET, target, target), Part(STOP, stop, stop, protects=True)])


def entries(**lots):
    return oco([Part(name, volume) for name, volume in lots.items()])


def play(group, *events):
    """The group after events such as (on_fill, "in", 2), and the actions of the last."""
    actions = ()
    for event, *arguments in events:
        group, actions = event(group, *arguments)
    return group, actions


def refused(group, order_id):
    return on_end(group, order_id, unasked=True)


def states(group):
    return tuple(member.state for member in group.members)


def cancels(*order_ids):
    return tuple(Action(Do.CANCEL, order_id) for order_id in order_ids)


# -- a bracket: its children and their parent -------------------------------------------------


def test_children_are_armed_with_the_first_fill_and_grow_with_each_further_one():
    group, actions = play(usual(), (on_fill, IN, 2))
    assert states(group) == (ACTIVE, ACTIVE, ACTIVE)
    assert actions == (Action(Do.ACTIVATE, STOP, 2), Action(Do.ACTIVATE, TARGET, 2))
    group, actions = play(group, (on_fill, IN, 1))
    assert actions == (Action(Do.RESIZE, STOP, 3), Action(Do.RESIZE, TARGET, 3))
    group, actions = play(group, (on_fill, IN, 2))
    assert states(group) == (OVER, ACTIVE, ACTIVE)
    assert actions == (Action(Do.RESIZE, STOP, 5), Action(Do.RESIZE, TARGET, 5))
    assert on_end(group, IN) == (group, ())  # told again


@pytest.mark.parametrize("end", [on_end, refused])
def test_children_of_a_partly_filled_parent_stand_for_what_it_got(end):
    group, actions = play(usual(), (on_fill, IN, 2), (end, IN))
    assert (states(group), actions) == ((OVER, ACTIVE, ACTIVE), ())
    _, actions = play(group, (on_fill, STOP, 2))
    assert actions == cancels(TARGET)


@pytest.mark.parametrize("end", [on_end, refused])
def test_children_of_a_parent_without_fills_are_withdrawn(end):
    group, actions = play(usual(), (end, IN))
    assert actions == cancels(STOP, TARGET)
    assert group.over


@pytest.mark.parametrize("event", [(on_fire, STOP), (on_fill, STOP, 1), (on_fill, TARGET, 1)])
def test_a_child_that_fires_or_fills_withdraws_the_rest_of_its_parent_first(event):
    group, actions = play(usual(), (on_fill, IN, 2), event)
    assert actions[0] == Action(Do.CANCEL, IN)
    assert group[IN].state is ENDING
    _, actions = play(group, event)
    assert Action(Do.CANCEL, IN) not in actions  # told before


def test_a_fired_child_leaves_its_siblings_until_it_fills():
    """If its order comes to nothing they go on."""
    group, actions = play(usual(), (on_fill, IN, 5), (on_fire, STOP))
    assert (states(group), actions) == ((OVER, ACTIVE, ACTIVE), ())
    assert play(group, (on_fill, STOP, 5))[1] == cancels(TARGET)
    group, actions = play(group, (refused, STOP))
    assert (states(group), actions) == ((OVER, OVER, ACTIVE), (Action(Do.EXPOSED, STOP, 5),))


def test_what_a_parent_gets_behind_an_exit_that_is_under_way_is_closed_by_it():
    group, actions = play(usual(), (on_fill, IN, 2), (on_fire, STOP), (on_fill, IN, 1))
    assert actions == (Action(Do.RESIZE, STOP, 3), Action(Do.RESIZE, TARGET, 3))
    group, actions = play(group, (on_end, IN), (on_fill, STOP, 3))
    assert (actions, group.unprotected) == (cancels(TARGET), 0)


def test_children_without_lots_are_suspended_until_the_end_of_the_parent_is_known():
    group, actions = play(usual(), (on_fill, IN, 2), (on_fill, TARGET, 2))
    assert actions == (*cancels(IN), Action(Do.SUSPEND, STOP))
    assert states(group) == (ENDING, SUSPENDED, OVER)
    ended, actions = play(group, (on_end, IN))
    assert (actions, states(ended)) == (cancels(STOP), (OVER, ENDING, OVER))
    more, actions = play(group, (on_fill, IN, 1))  # the fill crossed the withdrawal
    assert (actions, states(more)) == ((Action(Do.ACTIVATE, STOP, 1),), (ENDING, ACTIVE, OVER))
    assert play(more, (on_end, IN))[1] == ()


def test_a_fill_that_crosses_after_the_only_child_is_told():
    group = bracket(Part(IN, 5), [Part(STOP, 5, protects=True)])
    group, actions = play(group, (on_fill, IN, 2), (on_fill, STOP, 2), (on_fill, IN, 1))
    assert actions == (Action(Do.EXPOSED, IN, 1),)
    assert play(group, (on_end, IN))[1] == ()


def test_a_parent_that_closes_the_other_side_first_arms_its_children_with_what_it_opens():
    group, actions = on_fill(usual(), IN, 3, closed=3)
    assert (states(group), actions, group.unprotected) == ((ACTIVE, DORMANT, DORMANT), (), 0)
    group, actions = on_fill(group, IN, 2, closed=0)
    assert actions == (Action(Do.ACTIVATE, STOP, 2), Action(Do.ACTIVATE, TARGET, 2))
    group, actions = on_fill(usual(), IN, 5, closed=5)
    assert (actions, group.over) == (cancels(STOP, TARGET), True)


def test_a_child_that_comes_later_is_armed_at_once():
    group, _ = play(bracket(Part(IN, 5), []), (on_fill, IN, 2))
    group, actions = add_child(group, Part(STOP, 5, protects=True))
    assert actions == (Action(Do.ACTIVATE, STOP, 2),)
    group, actions = add_child(group, Part(TARGET, 5))
    assert actions == (Action(Do.ACTIVATE, TARGET, 2),)
    group, actions = play(group, (on_fill, IN, 3), (on_fill, STOP, 5))
    assert actions == cancels(TARGET)
    assert add_child(bracket(Part(IN, 5), []), Part(STOP, 5))[1] == ()


def test_a_filled_child_withdraws_its_sibling():
    group, actions = play(usual(), (on_fill, IN, 5), (on_fill, TARGET, 5))
    assert actions == cancels(STOP)
    assert states(group) == (OVER, ENDING, OVER)
    group, actions = play(group, (on_end, STOP))
    assert (group.over, group.unprotected, actions) == (True, 0, ())


@pytest.mark.parametrize("child", [STOP, TARGET])
def test_a_child_that_its_owner_withdraws_takes_the_bracket_with_it(child):
    other = TARGET if child == STOP else STOP
    _, actions = play(usual(), (on_end, child))
    assert actions == cancels(IN, other)
    _, actions = play(usual(), (on_fill, IN, 2), (on_end, child))
    assert actions == cancels(IN, other)
    _, actions = play(usual(), (on_fill, IN, 5), (on_end, child))
    assert actions == cancels(other)


def test_a_dormant_child_that_is_refused_or_expires_takes_the_bracket_with_it():
    group, actions = play(usual(), (refused, STOP))
    assert actions == cancels(IN, TARGET)
    assert states(group) == (ENDING, OVER, OVER)


def test_a_target_that_ends_unasked_leaves_the_lots_to_the_stop():
    group, actions = play(usual(), (on_fill, IN, 5), (refused, TARGET))
    assert (actions, group[STOP].state) == ((), ACTIVE)
    group, actions = play(group, (on_fill, STOP, 2), (refused, STOP))
    assert actions == (Action(Do.EXPOSED, STOP, 3),)
    assert group.over


def test_the_last_stop_that_ends_unasked_is_told_and_ends_the_parent():
    """The target bounds no loss; it goes on."""
    group, actions = play(usual(), (on_fill, IN, 2), (refused, STOP))
    assert actions == (*cancels(IN), Action(Do.EXPOSED, STOP, 2))
    assert group[TARGET].state is ACTIVE
    group, actions = play(group, (on_fill, IN, 1))
    assert actions == (Action(Do.RESIZE, TARGET, 3), Action(Do.EXPOSED, IN, 3))
    assert play(group, (on_end, IN), (refused, TARGET))[1] == ()


def test_of_two_stops_the_last_is_told():
    parts = [Part("near", 5, protects=True), Part("far", 5, protects=True), Part(TARGET, 5)]
    group, actions = play(bracket(Part(IN, 5), parts), (on_fill, IN, 5), (refused, "near"))
    assert actions == ()
    assert play(group, (refused, "far"))[1] == (Action(Do.EXPOSED, "far", 5),)


def test_where_no_child_is_a_stop_the_last_child_is_told():
    group = bracket(Part(IN, 5), [Part(TARGET, 5)])
    assert play(group, (on_fill, IN, 5), (refused, TARGET))[1] == (Action(Do.EXPOSED, TARGET, 5),)


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
    group = bracket(Part(IN, 5), [Part(STOP, 5, protects=True), Part(TARGET, 3)])
    group, actions = play(group, (on_fill, IN, 5), (on_fill, TARGET, 3))
    assert actions == (Action(Do.RESIZE, STOP, 2),)
    assert states(group) == (OVER, ACTIVE, OVER)


def test_fills_that_cross_are_told_as_lots_closed_too_many():
    group, _ = play(usual(), (on_fill, IN, 5), (on_fill, TARGET, 5))
    group, actions = play(group, (on_fill, STOP, 2))
    assert actions == (Action(Do.EXPOSED, STOP, -2),)
    assert group.unprotected == -2


def test_so_are_those_that_cross_before_the_end_of_the_parent():
    group, _ = play(usual(), (on_fill, IN, 2), (on_fill, TARGET, 2))
    group, actions = play(group, (on_fill, STOP, 1))
    assert (actions, group.unprotected) == ((Action(Do.EXPOSED, STOP, -1),), -1)
    group, actions = play(group, (on_fill, IN, 1))
    assert (actions, group.unprotected) == ((), 0)


def test_a_late_fill_of_the_parent_is_protected_too():
    _, actions = play(usual(), (on_fill, IN, 2), (on_end, IN), (on_fill, IN, 1))
    assert actions == (Action(Do.RESIZE, STOP, 3), Action(Do.RESIZE, TARGET, 3))


def test_a_late_fill_that_nothing_protects_any_more_is_told():
    _, actions = play(usual(), (on_end, IN), (on_fill, IN, 1))
    assert actions == (Action(Do.EXPOSED, IN, 1),)


# -- OCO --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [(on_fill, "b", 1), (on_fill, "b", 2), (on_end, "b"), (refused, "b"), (on_fire, "b")],
    ids=lambda event: " ".join(str(part) for part in (event[0].__name__, *event[1:])),
)
def test_the_first_of_an_oco_group_of_entries_withdraws_the_others(event):
    group, actions = play(entries(a=1, b=2, c=3), event)
    assert actions == cancels("a", "c")
    assert [group[i].state for i in "ac"] == [ENDING, ENDING]
    group, actions = play(group, (on_end, "a"))
    assert actions == ()


def test_an_exit_and_an_entry_keep_backtraders_meaning():
    group = oco([Part(STOP, 3, 3, protects=True), Part("more", 2)])
    assert group.exits == ()
    assert play(group, (on_fill, "more", 1))[1] == cancels(STOP)
    assert play(group, (on_fill, STOP, 1))[1] == cancels("more")


def test_a_partial_fill_of_an_exit_makes_the_others_smaller():
    group, actions = play(exits(), (on_fill, TARGET, 3))
    assert (actions, states(group)) == ((Action(Do.RESIZE, STOP, 7),), (ACTIVE, ACTIVE))
    group, actions = play(group, (on_fill, STOP, 2))
    assert actions == (Action(Do.RESIZE, TARGET, 8),)
    group, actions = play(group, (on_fill, STOP, 5))
    assert (actions, group.unprotected) == (cancels(TARGET), 0)


def test_its_last_lot_withdraws_them():
    group, actions = play(exits(), (on_fill, TARGET, 3), (on_fill, TARGET, 7))
    assert actions == cancels(STOP)
    assert play(group, (on_fill, STOP, 1))[1] == (Action(Do.EXPOSED, STOP, -1),)


def test_an_exit_for_fewer_lots_leaves_the_rest_to_the_others():
    group, actions = play(exits(target=4), (on_fill, TARGET, 4))
    assert (actions, group[STOP].state) == ((Action(Do.RESIZE, STOP, 6),), ACTIVE)


def test_an_exit_that_fires_withdraws_nothing_before_it_fills():
    assert on_fire(exits(), STOP) == (exits(), ())


def test_an_exit_that_ends_unasked_leaves_the_lots_to_the_others():
    group, actions = play(exits(), (refused, TARGET))
    assert (actions, states(group)) == ((), (OVER, ACTIVE))
    group, actions = play(group, (on_fill, STOP, 4), (refused, STOP))
    assert actions == (Action(Do.EXPOSED, STOP, 6),)
    group, actions = play(exits(), (refused, STOP))
    assert (actions, states(group)) == ((Action(Do.EXPOSED, STOP, 10),), (ACTIVE, OVER))


def test_an_exit_that_its_owner_withdraws_takes_the_others_with_it():
    assert play(exits(), (on_fill, TARGET, 3), (on_end, TARGET))[1] == cancels(STOP)


def test_targets_alone_bound_no_loss_and_tell_none():
    group = oco([Part("a", 3, 3), Part("b", 3, 3)])
    assert play(group, (refused, "a"), (refused, "b"))[1] == ()


def test_a_stop_that_reverses_keeps_what_it_is_to_open():
    """Three lots are held: the stop closes them and opens three, the target closes them."""
    group = oco([Part(TARGET, 3, 3), Part(STOP, 6, 3, protects=True)])
    partly, actions = play(group, (on_fill, TARGET, 1))
    assert actions == (Action(Do.RESIZE, STOP, 5),)
    assert play(partly, (on_fill, TARGET, 2))[1] == cancels(STOP)
    turned, actions = on_fill(partly, STOP, 2, closed=2)
    assert (actions, turned[STOP].state) == (cancels(TARGET), ACTIVE)
    turned, actions = on_fill(turned, STOP, 3, closed=0)
    assert (actions, turned.unprotected) == ((), 0)


def test_an_exit_that_joins_stands_for_what_it_can_close():
    """Three of the target's ten lots are filled; two more have been bought since."""
    group, _ = play(oco([Part(TARGET, 10, 10)]), (on_fill, TARGET, 3))
    group = join(group, Part(STOP, 9, 9, protects=True))
    assert (level(group)[1], group.unprotected) == ((), 9)
    group, actions = play(group, (on_fill, TARGET, 7))
    assert (actions, group.unprotected) == ((Action(Do.RESIZE, STOP, 2),), 2)


def test_exits_of_a_roll_stand_for_what_it_leaves_them():
    group, _ = play(exits(), (on_fill, TARGET, 3), (on_fill, STOP, 2))
    group = stand_for(group, {TARGET: 4, STOP: 4})
    assert group.unprotected == 4
    group, actions = play(group, (on_fill, STOP, 1))
    assert actions == (Action(Do.RESIZE, TARGET, 6),)  # three were filled, three are left
    assert play(group, (on_fill, STOP, 3))[1] == cancels(TARGET)


@pytest.mark.parametrize("group", [play(usual(), (on_fill, IN, 5))[0], exits(5, 5)])
def test_the_lots_of_a_slice_that_a_target_has_left_are_its_stops(group):
    """A target gives way to a slice before that is closed, its stop after: five lots are open."""
    group = stand_for(group, {TARGET: 4})
    assert group.unprotected == 5
    assert play(group, (on_fill, TARGET, 4))[1] == (Action(Do.RESIZE, STOP, 1),)
    assert play(group, (on_fill, STOP, 5))[1] == cancels(TARGET)
    group = stand_for(group, {STOP: 4})
    assert group.unprotected == 4


# -- the table, the journal -------------------------------------------------------------------


def test_a_dormant_order_cannot_be_filled():
    group = usual()
    with pytest.raises(IllegalTransition):
        on_fill(group, STOP, 1)


@pytest.mark.parametrize(("state", "event"), list(product(MemberState, MemberEvent)))
def test_every_pair_is_in_the_table_or_impossible(state, event):
    impossible = {
        *((DORMANT, event) for event in (MemberEvent.FILL, MemberEvent.FILL_ALL)),
        *((state, MemberEvent.ACTIVATE) for state in (ACTIVE, ENDING, OVER)),
        *((state, MemberEvent.SUSPEND) for state in (DORMANT, SUSPENDED, ENDING, OVER)),
    }
    assert (event in TRANSITIONS[state]) is ((state, event) not in impossible)


def reached(state, role):
    """A group in which an order of a role has come to a state, by legal events."""
    if role is Role.PEER:
        group = {
            ACTIVE: [], ENDING: [(on_end, STOP)], OVER: [(refused, TARGET)],
        }[state]  # fmt: skip
        return play(exits(5, 5), *group)[0], TARGET
    if role is Role.PARENT:
        events = {
            ACTIVE: [(on_fill, IN, 2)], ENDING: [(on_fill, IN, 2), (on_fire, STOP)],
            OVER: [(on_fill, IN, 2), (on_end, IN)],
        }[state]  # fmt: skip
        return play(usual(), *events)[0], IN
    events = {
        DORMANT: [], ACTIVE: [(on_fill, IN, 2)],
        SUSPENDED: [(on_fill, IN, 2), (on_fill, STOP, 2)],
        ENDING: [(on_fill, IN, 5), (on_fill, STOP, 5)],
        OVER: [(on_fill, IN, 2), (refused, TARGET)],
    }[state]  # fmt: skip
    return play(usual(), *events)[0], TARGET


RESIZE, CANCEL, EXPOSED, SUSPEND = Do.RESIZE, Do.CANCEL, Do.EXPOSED, Do.SUSPEND
#: (role, state) -> event -> actions, or None for what cannot be.
TABLE = {
    (Role.PEER, ACTIVE): {
        "fill": [(RESIZE, STOP, 4)], "fill_all": [(CANCEL, STOP, 0)],
        "end": [(CANCEL, STOP, 0)], "unasked": [], "fire": [],
    },
    (Role.PEER, ENDING): {
        "fill": [], "fill_all": [], "end": [], "unasked": [], "fire": [],
    },
    (Role.PEER, OVER): {
        "fill": [(RESIZE, STOP, 4)], "fill_all": [(CANCEL, STOP, 0)],
        "end": [], "unasked": [], "fire": [],
    },
    (Role.PARENT, ACTIVE): {
        "fill": [(RESIZE, STOP, 3), (RESIZE, TARGET, 3)],
        "fill_all": [(RESIZE, STOP, 5), (RESIZE, TARGET, 5)],
        "end": [], "unasked": [], "fire": [],
    },
    (Role.PARENT, ENDING): {
        "fill": [(RESIZE, STOP, 3), (RESIZE, TARGET, 3)],
        "fill_all": [(RESIZE, STOP, 5), (RESIZE, TARGET, 5)],
        "end": [], "unasked": [], "fire": [],
    },
    (Role.PARENT, OVER): {
        "fill": [(RESIZE, STOP, 3), (RESIZE, TARGET, 3)],
        "fill_all": [(RESIZE, STOP, 5), (RESIZE, TARGET, 5)],
        "end": [], "unasked": [], "fire": [],
    },
    (Role.CHILD, DORMANT): {
        "fill": None, "fill_all": None, "end": [(CANCEL, IN, 0), (CANCEL, STOP, 0)],
        "unasked": [(CANCEL, IN, 0), (CANCEL, STOP, 0)], "fire": [(CANCEL, IN, 0)],
    },
    (Role.CHILD, ACTIVE): {
        "fill": [(CANCEL, IN, 0), (RESIZE, STOP, 1)],
        "fill_all": [(CANCEL, IN, 0), (SUSPEND, STOP, 0)],
        "end": [(CANCEL, IN, 0), (CANCEL, STOP, 0)], "unasked": [], "fire": [(CANCEL, IN, 0)],
    },
    (Role.CHILD, SUSPENDED): {
        "fill": [(EXPOSED, TARGET, -1)], "fill_all": [(EXPOSED, TARGET, -2)],
        "end": [], "unasked": [], "fire": [],
    },
    (Role.CHILD, ENDING): {
        "fill": [(EXPOSED, TARGET, -1)], "fill_all": [(EXPOSED, TARGET, -5)],
        "end": [], "unasked": [], "fire": [],
    },
    (Role.CHILD, OVER): {
        "fill": [(CANCEL, IN, 0), (RESIZE, STOP, 1)],
        "fill_all": [(CANCEL, IN, 0), (SUSPEND, STOP, 0)],
        "end": [], "unasked": [], "fire": [(CANCEL, IN, 0)],
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("role", "state", "event"),
    [(role, state, event) for (role, state), row in TABLE.items() for event in row],
)
def test_what_an_event_of_a_role_in_a_state_asks_for(role, state, event):
    group, order_id = reached(state, role)
    assert group[order_id].state is state
    left = group[order_id].volume - group[order_id].filled
    arguments = {"fill": (on_fill, order_id, 1), "fill_all": (on_fill, order_id, left),
                 "end": (on_end, order_id), "unasked": (refused, order_id),
                 "fire": (on_fire, order_id)}[event]  # fmt: skip
    wanted = TABLE[role, state][event]
    if wanted is None:
        with pytest.raises(IllegalTransition):
            play(group, arguments)
        return
    after, actions = play(group, arguments)
    assert [(one.do, one.order_id, one.volume) for one in actions] == wanted
    stands = [m.volume - m.filled for m in after.exits if m.state is ACTIVE]
    assert all(0 < lots <= after.unprotected for lots in stands)


def test_a_group_that_makes_no_sense_is_refused():
    with pytest.raises(OrderError, match="twice"):
        entries(a=1) and oco([Part("a", 1), Part("a", 1)])
    with pytest.raises(OrderError, match="lots"):
        bracket(Part(IN, 5), [Part(STOP, 0)])
    with pytest.raises(OrderError, match="none of the group"):
        on_end(usual(), "else")
    with pytest.raises(OrderError, match="no group"):
        OrderGroup.from_dict({"members": [{"order_id": "a"}]})


@pytest.mark.parametrize("group", [usual(), exits(5, 5)], ids=["bracket", "exits"])
@pytest.mark.parametrize(
    "events",
    list(permutations([(on_fill, 0, 2), (on_fire, 1), (refused, 1), (on_end, 0)])),
    ids=lambda events: "-".join(event[0].__name__ for event in events),
)
def test_a_journal_gives_back_the_group_at_every_step(group, events):
    for event, member, *arguments in events:
        group, _ = event(group, group.members[member].order_id, *arguments)
        assert OrderGroup.from_dict(json.loads(json.dumps(group.to_dict()))) == group


def of_version_0_1_0(group):
    names = ("order_id", "role", "wanted", "volume", "filled", "state")
    return {"members": [{name: m[name] for name in names} for m in group.to_dict()["members"]]}


def test_a_group_of_version_0_1_0_is_read():
    """It armed children at the end of the parent; they are armed now."""
    found = of_version_0_1_0(usual())
    found["members"][0]["filled"] = 2
    group, actions = level(OrderGroup.from_dict(found))
    assert group.unprotected == 2
    assert actions == (Action(Do.ACTIVATE, STOP, 2), Action(Do.ACTIVATE, TARGET, 2))
    found["members"][1] |= {"filled": 1, "volume": 2, "state": "ACTIVE"}
    assert OrderGroup.from_dict(found).unprotected == 1


def test_an_oco_group_of_version_0_1_0_keeps_its_meaning():
    group = OrderGroup.from_dict(of_version_0_1_0(exits()))
    assert group.exits == ()
    assert play(group, (on_fill, TARGET, 3))[1] == cancels(STOP)
