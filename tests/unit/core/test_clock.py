"""How moments are written, and whose clock it is."""

from datetime import datetime, timedelta
from types import SimpleNamespace

import backtrader as bt
import pytest
from manual_clock import ManualClock

from tianqin_backtrader.core.clock import (
    MINUTE,
    SECOND,
    MarketClock,
    from_ns,
    sleepless,
    to_backtrader,
    to_ns,
)

NOON = to_ns(datetime(2026, 11, 10, 12))


def test_stamps_equal_backtraders_own_bit_for_bit():
    start = datetime(2026, 11, 1)
    minutes = [start + timedelta(minutes=number) for number in range(30 * 1440)]
    assert [to_backtrader(to_ns(minute)) for minute in minutes] == [
        bt.date2num(minute) for minute in minutes
    ]


def test_there_and_back():
    moment = datetime(2026, 11, 9, 21, 0, 0, 500_000)
    assert from_ns(to_ns(moment)) == moment


def test_before_anything_was_heard_it_is_the_machines_time_and_not_trusted():
    clock = MarketClock(ManualClock(NOON))
    assert (clock.now_ns(), clock.trusted) == (NOON, False)


def test_an_exchange_that_is_ahead_sets_the_clock_right():
    wall = ManualClock(NOON)
    clock = MarketClock(wall)
    clock.stamp(NOON + 17 * SECOND)
    wall.advance_to(NOON + SECOND)
    clock.stamp(NOON + 16 * SECOND)  # delayed on its way: no reason to go back
    assert clock.now_ns() == NOON + 18 * SECOND


def test_an_exchange_that_is_behind_sets_it_right_too():
    clock = MarketClock(ManualClock(NOON))
    clock.stamp(NOON - 3 * SECOND)
    assert clock.now_ns() == NOON - 3 * SECOND


def test_a_machine_whose_clock_was_set_is_believed_no_longer_than_two_minutes():
    wall = ManualClock(NOON)
    clock = MarketClock(wall)
    clock.stamp(NOON)
    for second in range(0, 181, 10):  # the machine's clock jumped an hour ahead
        now = NOON + second * SECOND
        wall.advance_to(now + 60 * MINUTE)
        clock.stamp(now)
    assert clock.now_ns() == NOON + 180 * SECOND


class Machine:
    """A clock that can be set, and beside it what has passed."""

    def __init__(self):
        self.ns, self.passed_ns = NOON, 0

    def now_ns(self):
        return self.ns

    def passed(self):
        return self.passed_ns

    def go_on(self, seconds):
        self.ns += int(seconds * SECOND)
        self.passed_ns += int(seconds * SECOND)


@pytest.mark.parametrize("step", [3 * SECOND, -3 * SECOND, 60 * MINUTE, -60 * MINUTE])
def test_a_machine_whose_clock_is_set_changes_nothing_once_the_market_was_heard(step):
    """Else a bar would be closed before its last ticks, or a market open that is closed."""
    machine = Machine()
    clock = MarketClock(machine, passed=machine.passed)
    clock.stamp(NOON)
    for _ in range(5):  # in a break, and after its end
        machine.go_on(1.0)
        machine.ns += step
        at = NOON + machine.passed_ns
        assert clock.now_ns() == at
        clock.stamp(at)
        assert clock.now_ns() == at


def test_before_the_market_was_heard_a_clock_that_is_set_is_believed():
    machine = Machine()
    clock = MarketClock(machine, passed=machine.passed)
    clock.now_ns()
    machine.ns += 60 * MINUTE
    assert clock.now_ns() == machine.ns


def test_a_clock_that_is_slewed_is_followed():
    machine = Machine()
    clock = MarketClock(machine, passed=machine.passed)
    clock.stamp(NOON)
    for _ in range(1000):
        machine.go_on(1.0)
        machine.ns += SECOND // 2000
        clock.now_ns()
    assert clock.now_ns() == machine.ns


@pytest.mark.parametrize("seconds", [2, 600])
def test_a_market_of_another_day_keeps_its_own_time(seconds):
    wall = ManualClock(NOON)
    clock = MarketClock(wall)
    january = to_ns(datetime(2026, 1, 13, 9, 30))
    clock.stamp(january)
    wall.advance_to(NOON + seconds * SECOND)
    assert clock.now_ns() == january + seconds * SECOND


@pytest.mark.parametrize("wrong", [-90, 0, 17])
def test_ticks_that_come_long_after_a_close_set_the_clock_back_for_no_longer_than_minutes(wrong):
    """The line was lost before 11:30 and came back at 11:45."""
    wall = ManualClock()
    clock = MarketClock(wall)
    for minute in range(-36, -32):
        wall.advance_to(NOON + minute * MINUTE + wrong * SECOND)
        clock.stamp(NOON + minute * MINUTE)
    wall.advance_to(NOON - 15 * MINUTE + wrong * SECOND)
    clock.stamp(NOON - 30 * MINUTE)
    for minute in range(-13, 90):
        wall.advance_to(NOON + minute * MINUTE + wrong * SECOND)
        assert 0 <= NOON + minute * MINUTE - clock.now_ns() <= SECOND


def test_a_virtual_clock_moves_with_stamps_alone():
    wall = ManualClock(NOON)
    clock = MarketClock(wall, virtual=True)
    clock.stamp(NOON)
    wall.advance_to(NOON + MINUTE)
    clock.stamp(NOON - SECOND)
    assert clock.now_ns() == NOON


@pytest.mark.parametrize(
    ("clocks", "found"),
    [
        ({"CLOCK_BOOTTIME": 7, "CLOCK_MONOTONIC": 1, "CLOCK_MONOTONIC_RAW": 4}, 7),  # Linux
        ({"CLOCK_MONOTONIC": 6, "CLOCK_MONOTONIC_RAW": 4, "CLOCK_UPTIME_RAW": 8}, 4),  # a Mac
        ({"CLOCK_MONOTONIC": 4, "CLOCK_UPTIME": 5}, None),  # FreeBSD
        ({}, None),  # Windows
    ],
)
def test_what_has_passed_is_told_by_a_clock_that_does_not_sleep(clocks, found):
    assert sleepless(SimpleNamespace(**clocks)) == found


def test_a_machine_that_slept_knows_the_time_at_once():
    machine = Machine()
    clock = MarketClock(machine, passed=machine.passed)
    clock.stamp(NOON)
    machine.go_on(8 * 3600)
    assert clock.now_ns() == NOON + 8 * 60 * MINUTE
