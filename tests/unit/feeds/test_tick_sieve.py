"""Ticks that cannot be are left out, said and counted; the day goes on."""

import logging
from datetime import datetime

import pytest
from manual_clock import ManualClock
from sieves import AnyTime, all_that_can_be, always

from tianqin_backtrader.contracts.odd_prices import Limits
from tianqin_backtrader.core.clock import HOUR, MINUTE, SECOND, MarketClock, to_ns
from tianqin_backtrader.core.model import NAN, Tick
from tianqin_backtrader.feeds.tick_sieve import SAID, TickSieve

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


def limited(symbol=CU, lower=70000.0, upper=90000.0):
    """A sieve that knows the day's limits, and the stamps that they were asked for."""
    asked = []

    def limits(ns):
        asked.append(ns)
        return Limits(lower, upper)

    return TickSieve(symbol, AnyTime(), lambda *_: True, always, limits), asked


def test_a_price_beyond_the_days_limits_is_left_out():
    sieve, _ = limited()
    prices = (78000.0, 5.0, 78010.0, 90001.0, 90000.0, 70000.0, NAN)
    assert [sieve.passes(tick(n, price)) for n, price in enumerate(prices)] == [
        1, 0, 1, 0, 1, 1, 1,
    ]  # fmt: skip
    assert sieve.ignored == 2


def test_limits_that_two_ticks_in_a_row_pass_are_of_another_day():
    sieve, _ = limited()
    prices = (78000.0, 91000.0, 91010.0, 91020.0, 90500.0, 95000.0)
    assert [sieve.passes(tick(n, price)) for n, price in enumerate(prices)] == [
        1, 0, 1, 1, 1, 1,
    ]  # fmt: skip


def test_a_price_that_no_next_day_allows_is_left_out_however_often_it_comes():
    sieve, _ = limited()
    prices = (78000.0, 5.0, 5.0, 5.0, 91000.0, 91010.0, 5.0, 5.0, 78010.0)
    assert [sieve.passes(tick(n, price)) for n, price in enumerate(prices)] == [
        1, 0, 0, 0, 0, 1, 0, 0, 1,
    ]  # fmt: skip


def test_limits_are_asked_for_by_a_new_extreme_alone():
    sieve, asked = limited()
    for n, price in enumerate((78000.0, 78010.0, 78005.0, 78000.0, 78010.0, 77990.0)):
        assert sieve.passes(tick(n, price))
    assert len(asked) == 3


def test_unknown_limits_and_those_of_a_main_contract_leave_nothing_out():
    for sieve in (limited(lower=NAN, upper=NAN)[0], limited("KQ.m@SHFE.cu")[0]):
        assert sieve.passes(tick()) and sieve.passes(tick(1, 5.0))


def test_a_stamp_long_before_the_last_one():
    sieve = all_that_can_be(CU)
    stamps = [0, 1, -3, -12 * 3600, -304, 2, 3 * 3600]
    assert [sieve.passes(tick(s)) for s in stamps] == [1, 1, 1, 0, 0, 1, 1]


def test_a_stamp_that_nobody_believes():
    sieve = TickSieve(CU, AnyTime(NOW + MINUTE), lambda *_: True, always)
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
    sieve = TickSieve(CU, AnyTime(), lambda a, b: abs(a - b) < HOUR, always)
    assert sieve.passes(tick(0, volume=900)) and sieve.passes(tick(12 * 3600, volume=5))


def test_what_is_left_out_is_said_a_few_times_and_counted_always(caplog):
    sieve = all_that_can_be(CU)
    with caplog.at_level(logging.WARNING):
        assert not any(sieve.passes(tick(n, price=0.0)) for n in range(50))
        assert not sieve.passes(tick(51, price=LARGEST))
    assert sieve.ignored == 51
    assert len(caplog.records) == SAID + 1 and "its price is 0" in caplog.text


# -- stamps far ahead -----------------------------------------------------------------------------


class Market:
    """A machine that is so many hours wrong, and a contract whose ticks come."""

    def __init__(self, hours_off=0.0):
        self.begin = NOW + int(hours_off * HOUR)
        self.wall = ManualClock(self.begin)
        self.clock = MarketClock(self.wall)
        self.sieve = TickSieve(CU, self.clock, lambda *_: True, always)

    def comes(self, seconds, stamp):
        """Whether a tick passes that comes so many seconds after the beginning."""
        self.wall.advance_to(self.begin + int(seconds * SECOND))
        passes = self.sieve.passes(Tick(1, NOW + int(stamp * SECOND), 78000.0, 10, 0.0, 100))
        if passes:
            self.clock.stamp(NOW + int(stamp * SECOND))
        return passes


def test_stamps_of_the_coming_night_that_stand_still_are_never_believed():
    for heard in (True, False):
        market = Market()
        assert not heard or market.comes(0, 0)
        assert not any(market.comes(s, 12 * 3600) for s in range(1, 600))
        assert market.comes(600, 600)


def test_a_clock_that_has_heard_the_market_lets_stamps_be_ahead_a_little():
    market = Market()
    assert [market.comes(*one) for one in ((0, 0), (1, 3.9), (2, 24), (3, 400))] == [1, 1, 0, 0]


def test_a_machine_that_is_hours_behind_is_set_right_by_stamps_that_go_on():
    market = Market(hours_off=-8)
    assert [market.comes(s, s) for s in range(8)] == [False] * 5 + [True] * 3


def test_a_market_that_is_played_faster_than_time_is_believed_over_its_breaks():
    market = Market()
    assert market.comes(0, 0)
    passes = [market.comes(number / 100, 900 + number / 2) for number in range(8)]
    assert passes == [False] * 4 + [True] * 4


def test_stamps_of_several_closes_in_one_pack_are_no_fast_market():
    market = Market()
    assert market.comes(0, 0)
    assert not any(market.comes(1, 3600 * hours) for hours in (2, 3, 4, 5, 6, 7))


def test_a_clock_that_late_ticks_have_set_back_believes_the_machine():
    """The line was lost before a break and comes back in it."""
    market = Market()
    assert market.comes(3600, 20)  # the first that is heard
    assert market.clock.now_ns() == NOW + 20 * SECOND
    assert market.comes(7200, 7200)
    assert market.clock.now_ns() == NOW + 7200 * SECOND


def test_where_the_server_tells_the_time_the_machines_clock_plays_no_part():
    clock = MarketClock(ManualClock(NOW + 24 * HOUR), virtual=True)
    clock.stamp(NOW)
    assert clock.believes(NOW + MINUTE) and not clock.believes(NOW + 12 * HOUR)


def test_after_the_machine_was_paused_its_clock_is_believed():
    passed = [0]
    wall = ManualClock(NOW)
    clock = MarketClock(wall, passed=lambda: passed[0])
    for second in range(3):
        wall.advance_to(NOW + second * SECOND)
        passed[0] = second * SECOND
        clock.stamp(NOW + second * SECOND)
    wall.advance_to(NOW + HOUR)  # it has slept, and its other clock did not go on
    assert clock.believes(NOW + HOUR + SECOND)
