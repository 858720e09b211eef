"""The table of a roll, its next step, its file and its report."""

import json
import math
from dataclasses import replace

import pytest

from tianqin_backtrader.core.model import Direction
from tianqin_backtrader.errors import IllegalTransition, JournalError
from tianqin_backtrader.orders.pegged import ChaseRules, Quote
from tianqin_backtrader.rolling.roll_exits import CarriedExit
from tianqin_backtrader.rolling.roll_file import RollFile, roll_files
from tianqin_backtrader.rolling.roll_report import make_report
from tianqin_backtrader.rolling.roll_state import (
    TRANSITIONS,
    ExitFill,
    Move,
    PositionMismatch,
    RollEvent,
    RollFill,
    RollPhase,
    RollPlan,
    RollState,
    Side,
    TooFewToOpen,
    capped,
    next_move,
)

PLAN = RollPlan("SHFE.cu2612", "SHFE.cu2701", Side.LONG, 5, 6, 1, 2, 100.0, 300.0, "me")
START = 1_794_229_200_000_000_000


@pytest.mark.parametrize("phase", RollPhase)
@pytest.mark.parametrize("event", RollEvent)
def test_what_is_not_in_the_table_is_refused(phase, event):
    state = RollState(PLAN, START, phase=phase)
    following = TRANSITIONS[phase].get(event)
    if following is None:
        with pytest.raises(IllegalTransition, match=phase.value):
            state.after(event)
    else:
        assert state.after(event, START).phase is following


def test_only_the_owner_leads_out_of_halted():
    assert set(TRANSITIONS[RollPhase.HALTED]) == {
        RollEvent.RESTART, RollEvent.RESUME, RollEvent.DROP,
    }  # fmt: skip
    halted = RollState(PLAN, START).after(RollEvent.TROUBLE, reason="thin")
    again = halted.after(RollEvent.RESTART)
    assert (again.phase, again.reason) == (RollPhase.HALTED, "thin")
    assert again.after(RollEvent.RESUME).reason == ""


def test_what_is_over_takes_nothing():
    assert TRANSITIONS[RollPhase.DONE] == TRANSITIONS[RollPhase.DROPPED] == {}


@pytest.mark.parametrize(
    ("old", "new", "event", "lots"),
    [
        (6, 1, RollEvent.CLOSE, 2),
        (5, 1, RollEvent.OPEN, 1),  # killed in the middle of a close
        (4, 1, RollEvent.OPEN, 2),
        (4, 2, RollEvent.OPEN, 1),
        (4, 3, RollEvent.CLOSE, 2),
        (2, 5, RollEvent.CLOSE, 1),
        (1, 6, RollEvent.ALL_MOVED, 0),
    ],
)
def test_what_the_account_holds_says_what_comes_next(old, new, event, lots):
    assert next_move(PLAN, old, new) == Move(event, lots)


@pytest.mark.parametrize(("old", "new"), [(7, 1), (6, 2), (0, 6), (6, 0), (3, 1), (1, 7), (4, 4)])
def test_what_no_step_leads_to_is_not_guessed_at(old, new):
    with pytest.raises(PositionMismatch, match="somebody else has traded"):
        next_move(PLAN, old, new)


@pytest.mark.parametrize(("direction", "price"), [(Direction.BUY, 110.0), (Direction.SELL, 90.0)])
def test_no_price_is_worse_than_the_limit(direction, price):
    quote = Quote(bid_price1=50.0, ask_price1=150.0, upper_limit=200.0, lower_limit=10.0)
    seen = capped(quote, direction, 100.0, 10.0)
    assert seen.price(direction, ChaseRules()) == price


def test_the_days_limit_stands_where_it_is_nearer():
    quote = Quote(bid_price1=95.0, ask_price1=150.0, upper_limit=105.0, lower_limit=95.0)
    assert capped(quote, Direction.BUY, 100.0, 10.0).price(Direction.BUY, ChaseRules()) == 105.0
    quote = Quote(bid_price1=50.0, ask_price1=99.0, upper_limit=105.0, lower_limit=95.0)
    assert capped(quote, Direction.SELL, 100.0, 10.0).price(Direction.SELL, ChaseRules()) == 95.0


def fills():
    return {
        "1": RollFill("SHFE.cu2612", Direction.SELL, 78000.0, 2, 7.0, 78005.0),
        "2": RollFill("SHFE.cu2701", Direction.BUY, 78100.0, 1, 4.0, 78095.0),
        "3": RollFill("SHFE.cu2701", Direction.BUY, 78110.0, 1, 4.0, math.nan),
    }


def test_the_report_counts_slippage_from_the_middle_and_fees():
    state = RollState(PLAN, START, order_ids=("a", "b"), fills=fills())
    report = make_report(state, 5)
    assert (report.closed, report.opened, report.orders) == (2, 2, 2)
    assert (report.close_price, report.open_price, report.spread) == (78000.0, 78105.0, 105.0)
    assert (report.slippage, report.fees, report.cost) == (75.0, 15.0, 90.0)
    assert report.ended is None
    assert "5 lots long SHFE.cu2612 -> SHFE.cu2701: CHECKING" in str(report)


def test_the_report_tells_lots_that_exits_have_closed_from_those_that_are_not_opened_again():
    exit_fills = {"t": ExitFill(PLAN.old, 2), "u": ExitFill(PLAN.new, 1)}
    report = make_report(RollState(PLAN, START, exit_fills=exit_fills, given_up=1), 5)
    assert (report.exited, report.given_up) == (3, 1)
    assert "3 closed by exits, 1 not opened again because an exit has fired, spread" in str(report)


def test_a_roll_comes_back_from_its_file(tmp_path):
    state = RollState(PLAN, START, RollPhase.OPENING, "", 78000.0, ("a",), fills())
    file = RollFile.of(tmp_path / "new", state)
    file.save(state)
    [found] = roll_files(tmp_path / "new")
    again = found.load()
    assert again.fills.pop("3").symbol == "SHFE.cu2701"  # its nan is equal to nothing
    kept = dict(state.fills)
    del kept["3"]
    assert again == replace(state, fills=kept)
    assert RollFile.of(tmp_path / "new", state).path != file.path


def test_a_torn_file_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "roll_x.json"
    path.write_text('{"plan": ', encoding="utf-8")
    with pytest.raises(JournalError, match="roll_x"):
        RollFile(path).load()


def with_least(lots, slice_lots, least):
    return replace(PLAN, lots=lots, old_start=lots, slice_lots=slice_lots, least=least)


@pytest.mark.parametrize(
    ("lots", "slice_lots", "least", "slices"),
    [
        (5, 2, 1, (2, 2, 1)),
        (10, 4, 4, (4, 6)),
        (10, 1, 4, (4, 6)),  # a slice is never smaller than can be opened
        (9, 3, 3, (3, 3, 3)),
        (8, 6, 3, (8,)),
        (13, 5, 3, (5, 5, 3)),
        (8, 1, 8, (8,)),
        (15, 8, 8, (15,)),
        (16, 8, 8, (8, 8)),
        (1, 7, 1, (1,)),
    ],
)
def test_slices_are_such_that_each_can_be_opened(lots, slice_lots, least, slices):
    assert with_least(lots, slice_lots, least).slices() == slices


def test_what_cannot_be_opened_is_refused_before_it_begins():
    with pytest.raises(TooFewToOpen, match=r"5 lots cannot be moved .* has at least 8 lots there"):
        with_least(5, 1, 8).slices()


@pytest.mark.parametrize(
    ("old", "new", "move"),
    [
        (10, 1, Move(RollEvent.CLOSE, 4)),
        (9, 1, Move(RollEvent.CLOSE, 3)),  # one is closed: three more can be opened with it
        (6, 1, Move(RollEvent.OPEN, 4)),
        (6, 3, Move(RollEvent.CLOSE, 2)),  # two were not opened; with two more they can be
        (6, 5, Move(RollEvent.CLOSE, 6)),
        (0, 5, Move(RollEvent.OPEN, 6)),
        (0, 11, Move(RollEvent.ALL_MOVED)),
    ],
)
def test_the_next_move_can_be_opened(old, new, move):
    assert next_move(with_least(10, 4, 4), old, new) == move


def test_too_few_to_open_are_left_and_said():
    plan = with_least(10, 4, 4)
    with pytest.raises(TooFewToOpen, match="they stay in"):
        next_move(plan, 6, 5, exited=4)  # exits have closed four of the other six
    with pytest.raises(TooFewToOpen, match="2 of them are closed already"):
        next_move(plan, 0, 9)


def test_what_exits_have_closed_is_not_moved():
    assert next_move(PLAN, 6, 1, exited=6) == Move(RollEvent.ALL_MOVED)
    assert next_move(PLAN, 4, 3, exited=3) == Move(RollEvent.CLOSE, 1)
    assert next_move(PLAN, 4, 3, exited=4) == Move(RollEvent.ALL_MOVED)


def test_a_file_of_before_exits_were_carried_can_be_read(tmp_path):
    state = RollState(PLAN, START, order_ids=("a",))
    file = RollFile.of(tmp_path, state)
    file.save(state)
    raw = json.loads(file.path.read_text(encoding="utf-8"))
    for name in ("exits", "gap", "exit_fills", "closed_before", "given_up"):
        del raw[name]
    del raw["plan"]["least"]
    file.path.write_text(json.dumps(raw), encoding="utf-8")
    assert file.load().exits == () and file.load().plan.least == 1


def test_the_exits_of_a_roll_come_back_from_its_file(tmp_path):
    state = RollState(
        PLAN, START, exits=(CarriedExit("k", "g", 5, rests=True, stand_in="n", closed_old=1),),
        gap=-120.0, exit_fills={"t": ExitFill("SHFE.cu2612", 1)}, closed_before=("x",), given_up=2,
    )  # fmt: skip
    file = RollFile.of(tmp_path, state)
    file.save(state)
    again = file.load()
    assert (again.exits, again.gap, again.exit_fills) == (state.exits, -120.0, state.exit_fills)
    assert (again.closed_before, again.given_up) == (("x",), 2)
    assert (again.exited("SHFE.cu2612"), again.exited("SHFE.cu2701")) == (1, 0)
    assert (make_report(again, 5).exited, make_report(again, 5).given_up) == (1, 2)
