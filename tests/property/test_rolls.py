"""A roll with partial fills, killed and restarted at any step."""

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tianqin_backtrader.errors import IllegalTransition
from tianqin_backtrader.rolling.roll_exits import CarriedExit, Row, shares
from tianqin_backtrader.rolling.roll_state import (
    ENDED,
    PositionMismatch,
    RollEvent,
    RollPhase,
    RollPlan,
    RollState,
    Side,
    TooFewToOpen,
    next_move,
)

PLANS = st.builds(
    lambda side, lots, more, new, width, least: RollPlan(
        "X.a", "X.b", side, max(lots, least), max(lots, least) + more, new, width, 1.0, 1.0,
        least=least,
    ),
    st.sampled_from(Side), st.integers(1, 30), st.integers(0, 5), st.integers(0, 5),
    st.integers(1, 9), st.integers(1, 8),
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
            try:
                move = next_move(plan, old, new)
            except TooFewToOpen:
                between = plan.old_start + plan.new_start - old - new
                left = old - (plan.old_start - plan.lots)
                assert between + left < plan.least  # too few lots to be opened
                return
            if move.event is RollEvent.OPEN:
                assert move.lots >= plan.least
            state = state.after(move.event, 2)
            left = move.lots
            continue
        lots = rnd.randint(0, left)  # filled lots of the leg before the kill
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
        assert 0 <= missing <= plan.most_between
        assert old >= plan.old_start - plan.lots
    assert state.phase is RollPhase.DONE
    assert (old, new) == (plan.old_start - plan.lots, plan.new_start + plan.lots)


@given(plan=PLANS, old=st.integers(0, 40), new=st.integers(0, 40))
def test_a_move_is_made_only_where_nothing_is_exceeded(plan, old, new):
    try:
        move = next_move(plan, old, new)
    except (PositionMismatch, TooFewToOpen):
        return
    assert plan.old_start - plan.lots <= old <= plan.old_start
    assert plan.new_start <= new <= plan.new_start + plan.lots
    if move.event is RollEvent.CLOSE:
        between = plan.old_start + plan.new_start - old - new
        assert between < plan.least <= between + move.lots <= plan.most_between
        assert 1 <= move.lots <= old
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


@given(plan=PLANS)
def test_every_slice_can_be_opened_and_all_together_are_the_roll(plan):
    slices = plan.slices()
    assert sum(slices) == plan.lots
    assert all(plan.least <= lots <= plan.most_between for lots in slices)


EXITS = st.lists(
    st.tuples(st.integers(1, 6), st.sampled_from(["stop", "target", "both"])),
    min_size=1, max_size=5,
)  # fmt: skip


def carried(wanted):
    exits = []
    for number, (lots, kind) in enumerate(wanted):
        for rests in {"stop": [False], "target": [True], "both": [False, True]}[kind]:
            exits.append(CarriedExit(f"{number} {rests}", str(number), lots, rests))
    return exits


@given(
    wanted=EXITS, total=st.integers(1, 20), seed=st.integers(0, 2**32),
)  # fmt: skip
@settings(max_examples=400, deadline=None)
def test_lots_with_a_stop_before_have_one_at_every_step_of_a_roll(wanted, total, seed):
    """Move lots one by one from the old contract to the new one, while exits close some."""
    rnd, exits = Random(seed), carried(wanted)
    row = Row(total, 0, 0)
    while row.old or row.between:
        found = shares(exits, row)
        for rests in (False, True):
            mine = [one for one in exits if one.rests is rests]
            claimed = sum(min(one.lots - done(exits, one), row.total) for one in mine)
            stood = sum(
                found[one.key].old + found[one.key].between + found[one.key].new for one in mine
            )
            assert stood == claimed
            if claimed <= row.total:  # no lot twice, and none in the wrong contract
                for place in ("old", "between", "new"):
                    stands = sum(getattr(found[one.key], place) for one in mine)
                    assert stands <= getattr(row, place)
            else:
                covered = min(claimed, row.total)
                assert sum(found[one.key].old for one in mine) >= covered - row.between - row.new
        row, exits = moved(rnd, row, exits, found)


def done(exits, one):
    return sum(other.done for other in exits if other.group == one.group)


def moved(rnd, row, exits, found):
    """Let one lot be closed, opened, or closed by an exit."""
    closing = [(one, place) for one in exits for place in ("old", "new")
               if getattr(found[one.key], place)]  # fmt: skip
    if closing and rnd.random() < 0.2:
        one, place = rnd.choice(closing)
        name = f"closed_{place}"
        filled = replace(one, **{name: getattr(one, name) + 1})
        exits = [filled if other is one else other for other in exits]
        return replace(row, **{place: getattr(row, place) - 1}), exits
    if row.between and (not row.old or rnd.random() < 0.5):
        return replace(row, between=row.between - 1, new=row.new + 1), exits
    return row.without(1), exits
