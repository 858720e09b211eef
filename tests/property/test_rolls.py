"""A roll in a market that fills in parts, dies and is begun anew at any step."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tianqin_backtrader.errors import IllegalTransition
from tianqin_backtrader.roll_state import (
    ENDED,
    PositionMismatch,
    RollEvent,
    RollPhase,
    RollPlan,
    RollState,
    Side,
    next_move,
)

PLANS = st.builds(
    lambda side, lots, more, new, width: RollPlan(
        "X.a", "X.b", side, lots, lots + more, new, width, 1.0, 1.0
    ),
    st.sampled_from(Side), st.integers(1, 30), st.integers(0, 5), st.integers(0, 5),
    st.integers(1, 9),
)  # fmt: skip


@given(plan=PLANS, seed=st.integers(0, 2**32))
@settings(max_examples=300, deadline=None)
def test_whatever_is_killed_all_lots_are_moved_and_never_more(plan, seed):
    rnd = Random(seed)
    state, old, new = RollState(plan, 1), plan.old_start, plan.new_start
    for _ in range(400):
        if state.ended:
            break
        if state.phase is RollPhase.CHECKING:
            move = next_move(plan, old, new)
            state = state.after(move.event, 2)
            left = move.lots
            continue
        lots = rnd.randint(0, left)  # of the leg, before the program is killed
        if rnd.random() < 0.6:
            lots, event = left, RollEvent.LEG_DONE
        else:
            event = RollEvent.RESTART
        if state.phase is RollPhase.CLOSING:
            old -= lots
        else:
            new += lots
        state = state.after(event)
        missing = plan.old_start + plan.new_start - old - new
        assert 0 <= missing <= plan.slice_lots
        assert old >= plan.old_start - plan.lots
    assert state.phase is RollPhase.DONE
    assert (old, new) == (plan.old_start - plan.lots, plan.new_start + plan.lots)


@given(plan=PLANS, old=st.integers(0, 40), new=st.integers(0, 40))
def test_a_move_is_made_only_where_nothing_is_exceeded(plan, old, new):
    try:
        move = next_move(plan, old, new)
    except PositionMismatch:
        return
    assert plan.old_start - plan.lots <= old <= plan.old_start
    assert plan.new_start <= new <= plan.new_start + plan.lots
    if move.event is RollEvent.CLOSE:
        assert old + new == plan.old_start + plan.new_start
        assert 1 <= move.lots <= min(plan.slice_lots, old)
    elif move.event is RollEvent.OPEN:
        assert old + new + move.lots == plan.old_start + plan.new_start
    else:
        assert new == plan.new_start + plan.lots


@given(events=st.lists(st.sampled_from(RollEvent), max_size=30))
def test_nothing_leads_on_from_an_end_and_an_alarm_stays(events):
    state = RollState(RollPlan("X.a", "X.b", Side.LONG, 1, 1, 0, 1, 1.0, 1.0), 1)
    for event in events:
        try:
            following = state.after(event, 5)
        except IllegalTransition:
            continue
        assert state.phase not in ENDED
        if state.phase is RollPhase.HALTED and following.phase is not RollPhase.HALTED:
            assert event in (RollEvent.RESUME, RollEvent.DROP)
        state = following
