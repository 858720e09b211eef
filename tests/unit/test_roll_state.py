"""The table of a roll, what the account's lots lead to, its file and its report."""

import math
from dataclasses import replace

import pytest

from tianqin_backtrader.chased_order import ChaseRules, Quote
from tianqin_backtrader.errors import IllegalTransition, JournalError
from tianqin_backtrader.model import Direction
from tianqin_backtrader.roll_file import RollFile, roll_files
from tianqin_backtrader.roll_report import make_report
from tianqin_backtrader.roll_state import (
    TRANSITIONS,
    Move,
    PositionMismatch,
    RollEvent,
    RollFill,
    RollPhase,
    RollPlan,
    RollState,
    Side,
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
