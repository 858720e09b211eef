"""The lots that an exit covers while they are moved, and its price."""

import pytest

from tianqin_backtrader.core.model import Direction
from tianqin_backtrader.orders.conditional import stop, trailing_stop
from tianqin_backtrader.rolling.roll_exits import (
    CarriedExit,
    Row,
    Share,
    price_gap,
    shares,
    shifted,
    shifted_condition,
)


def one(key, lots, group="", *, rests=False, **known):
    return CarriedExit(key, group or key, lots, rests, **known)


STOP, TARGET = one("stop", 4, "b"), one("target", 4, "b", rests=True)


@pytest.mark.parametrize(
    ("row", "share"),
    [
        (Row(4, 0, 0), Share(4, 0, 0)),
        (Row(3, 1, 0), Share(3, 1, 0)),
        (Row(2, 1, 1), Share(2, 1, 1)),
        (Row(0, 1, 3), Share(0, 1, 3)),
        (Row(0, 0, 4), Share(0, 0, 4)),
        (Row(0, 0, 0), Share()),
    ],
)
def test_both_children_of_a_bracket_stand_for_the_same_lots(row, share):
    assert shares([STOP, TARGET], row) == {"stop": share, "target": share}


def test_parts_lie_one_behind_the_other_and_leave_the_old_contract_from_the_end():
    found = shares([one("a", 2), one("b", 3)], Row(3, 0, 2))
    assert found == {"a": Share(old=2), "b": Share(old=1, new=2)}


def test_stops_and_targets_are_laid_out_apart():
    exits = [one("a", 2), one("t", 4, rests=True), one("b", 2)]
    found = shares(exits, Row(1, 0, 3))
    assert found == {"a": Share(1, 0, 1), "b": Share(0, 0, 2), "t": Share(1, 0, 3)}


def test_more_exits_than_lots_begin_anew():
    found = shares([one("a", 3), one("b", 3)], Row(3, 0, 0))
    assert found == {"a": Share(old=3), "b": Share(old=3)}


def test_what_a_target_has_closed_its_stop_stands_for_no_more():
    target = one("target", 4, "b", rests=True, closed_old=1, closed_new=1)
    assert shares([STOP, target], Row(1, 0, 1)) == {
        "stop": Share(1, 0, 1), "target": Share(1, 0, 1),
    }  # fmt: skip


def test_lots_that_are_not_opened_any_more_are_nobodys():
    fired = one("a", 3, closed_old=2, given_up=1)
    assert shares([fired, one("b", 2)], Row(0, 0, 2)) == {"a": Share(), "b": Share(new=2)}


def test_single_exits_behind_a_bracket_leave_no_lot_out():
    exits = [STOP, one("single", 1), one("t", 2, rests=True), TARGET, one("last", 1)]
    row = Row(6, 0, 0)
    found = shares(exits, row)
    assert sum(found[key].old for key in ("stop", "single", "last")) == 6
    assert sum(found[key].old for key in ("target", "t")) == 6


def test_the_lots_of_a_slice_are_counted_as_on_their_way():
    assert Row(3, 0, 1).without(2) == Row(1, 2, 1)
    assert Row(1, 0, 1).without(2) == Row(0, 1, 1)


@pytest.mark.parametrize(
    ("old", "new", "tick", "gap"),
    [(78005.0, 78120.0, 10.0, 120.0), (100.3, 99.8, 0.2, -0.4), (5.0, 5.0, 1.0, 0.0)],
)
def test_prices_are_shifted_by_whole_ticks(old, new, tick, gap):
    assert price_gap(old, new, tick) == pytest.approx(gap)


def test_no_price_stays_none():
    assert shifted(None, 10.0) is None
    assert shifted(0.1, 0.2) == 0.3


def test_a_stop_limit_is_shifted_whole():
    waits = stop(Direction.SELL, 4, 77000.0, limit_price=76990.0)
    moved = shifted_condition(waits, -500.0, 1)
    assert (moved.stop_price, moved.limit_price, moved.volume) == (76500.0, 76490.0, 1)


@pytest.mark.parametrize("distance", [{"trail_amount": 300.0}, {"trail_percent": 0.01}])
def test_a_trailing_stop_keeps_its_distance(distance):
    waits = trailing_stop(Direction.SELL, 2, 78000.0, **distance)
    moved = shifted_condition(waits, 120.0, 2)
    assert moved.stop_price == pytest.approx(waits.stop_price + 120.0)
    assert (moved.trail_amount, moved.trail_percent) == (waits.trail_amount, waits.trail_percent)
