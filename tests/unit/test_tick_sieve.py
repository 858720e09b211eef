"""Ticks that cannot be are left out, said and counted; the day goes on."""

import logging
from datetime import datetime

import pytest
from sieves import all_that_can_be

from tianqin_backtrader.clock import (
    HOUR,
    MINUTE,
    SECOND,
    ManualClock,
    MarketClock,
    to_ns,
)
from tianqin_backtrader.model import NAN, Tick
from tianqin_backtrader.tick_sieve import SAID, TickSieve

CU, SPREAD = "SHFE.cu2612", "CZCE.SPD SR701&SR705"
NOW = to_ns(datetime(2026, 11, 10, 8, 55))
LARGEST = 1.7976931348623157e308


def tick(seconds=0.0, price=78000.0, volume=10):
    return Tick(1, NOW + int(seconds * SECOND), price, volume, 0.0, 100)


@pytest.mark.parametrize(
    ("symbol", "price", "passes"),
    [
        (CU, 78000.0, True), (CU, NAN, True), (CU, 0.0, False), (CU, LARGEST, False),
        (CU, -LARGEST, False), (CU, float("inf"), False), (CU, 1e308, False),
        (SPREAD, 0.0, True), (SPREAD, -35.0, True), (SPREAD, LARGEST, False),
    ],
)  # fmt: skip
def test_prices(symbol, price, passes):
    sieve = all_that_can_be(symbol)
    assert sieve.passes(tick(price=price)) is passes
    assert sieve.ignored == (not passes)


def test_a_stamp_long_before_the_last_one():
    sieve = all_that_can_be(CU)
    stamps = [0, 1, -3, -12 * 3600, -304, 2, 3 * 3600]
    assert [sieve.passes(tick(s)) for s in stamps] == [1, 1, 1, 0, 0, 1, 1]


def test_a_stamp_that_nobody_believes():
    sieve = TickSieve(CU, lambda ns: ns <= NOW + MINUTE, lambda *_: True)
    assert [sieve.passes(tick(s)) for s in (0, 12 * 3600, 30, 61, 31)] == [1, 0, 1, 0, 1]


def test_a_volume_falls_once():
    sieve = all_that_can_be(CU)
    assert [sieve.passes(tick(n, volume=v)) for n, v in enumerate((10, 12, 3, 12, 13))] == [
        1, 1, 0, 1, 1,
    ]  # fmt: skip


def test_of_a_volume_that_was_too_high_the_lower_ones_are_right():
    sieve = all_that_can_be(CU)
    volumes = (10, 10**9, 12, 13, 14)
    assert [sieve.passes(tick(n, volume=v)) for n, v in enumerate(volumes)] == [1, 1, 0, 1, 1]


def test_a_new_day_begins_with_no_volume():
    sieve = TickSieve(CU, lambda _: True, lambda a, b: abs(a - b) < HOUR)
    assert sieve.passes(tick(0, volume=900)) and sieve.passes(tick(12 * 3600, volume=5))


def test_what_is_left_out_is_said_a_few_times_and_counted_always(caplog):
    sieve = all_that_can_be(CU)
    with caplog.at_level(logging.WARNING):
        assert not any(sieve.passes(tick(n, price=0.0)) for n in range(50))
        assert not sieve.passes(tick(51, price=LARGEST))
    assert sieve.ignored == 51
    assert len(caplog.records) == SAID + 1 and "its price is 0" in caplog.text


# -- what a clock believes ------------------------------------------------------------------------


def clocks(hours_off=0.0):
    wall = ManualClock(NOW + int(hours_off * HOUR))
    return wall, MarketClock(wall)


def test_a_clock_that_has_heard_the_market_believes_no_stamp_far_ahead():
    wall, clock = clocks()
    clock.stamp(NOW)
    for seconds in range(600):
        wall.advance_to(NOW + seconds * SECOND)
        assert not clock.believes(NOW + 12 * HOUR + seconds * SECOND)
        assert clock.believes(NOW + seconds * SECOND + 20 * SECOND)
        assert clock.believes(NOW - HOUR)


def test_before_that_stamps_of_the_coming_night_that_stand_still_are_not_believed():
    wall, clock = clocks()
    for seconds in range(600):
        wall.advance_to(NOW + seconds * SECOND)
        assert not clock.believes(NOW + 12 * HOUR)
    assert clock.believes(NOW + 600 * SECOND)


def test_a_market_that_is_played_faster_than_time_is_believed_over_its_breaks():
    wall, clock = clocks()
    clock.stamp(NOW)
    begin = NOW + 15 * MINUTE
    believed = []
    for number in range(8):
        wall.advance_to(NOW + number * SECOND // 100)
        believed.append(clock.believes(begin + number * SECOND // 2))
    assert believed == [False] * 4 + [True] * 4


def test_a_machine_that_is_hours_behind_is_set_right_by_stamps_that_go_on():
    wall, clock = clocks(hours_off=-8)
    begin = wall.now_ns()
    believed = []
    for seconds in range(8):
        wall.advance_to(begin + seconds * SECOND)
        believed.append(clock.believes(NOW + seconds * SECOND))
    assert believed == [False] * 5 + [True] * 3
