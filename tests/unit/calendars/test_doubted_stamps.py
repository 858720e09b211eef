"""When stamps ahead of the clock correct it, and when they are wrong."""

from datetime import datetime

import pytest
from manual_clock import ManualClock

from tianqin_backtrader.calendars.doubted_stamps import DoubtedStamps, phase_at
from tianqin_backtrader.core.clock import (
    FAR,
    HOUR,
    MINUTE,
    NEAR,
    SECOND,
    UNSURE,
    MarketClock,
    Phase,
    to_ns,
)
from tianqin_backtrader.session_calendar import CALENDAR

CU, IF = "SHFE.cu2612", "CFFEX.IF2612"
TEN, NIGHT = to_ns(datetime(2026, 11, 10, 10)), to_ns(datetime(2026, 11, 9, 21))


class World:
    """A machine whose clock is wrong by so many seconds, and a contract's stamps as they come.

    Times are true ones, seconds after ``begin``.
    """

    def __init__(self, begin=TEN, wrong=0.0):
        self.begin, self.now, self.wrong = begin, 0, wrong
        self.asleep = 0.0
        self.wall = self
        self.clock = MarketClock(self, passed=self.passed_ns)
        self.contracts = {}

    def now_ns(self):
        return self.begin + int((self.now + self.wrong) * SECOND)

    def passed_ns(self):
        return int((self.now - self.asleep) * SECOND)

    def comes(self, at, stamp, contract=CU):
        """Whether a stamp is accepted."""
        self.now = at
        doubts = self.contracts.setdefault(
            contract, DoubtedStamps(self.clock, lambda ns: phase_at(CALENDAR, CU, ns))
        )
        ns = self.begin + int(stamp * SECOND)
        believed = doubts.believes(ns)
        if believed and (self.clock.trusted or phase_at(CALENDAR, CU, ns) is Phase.TRADING):
            self.clock.stamp(ns)
        return believed

    def error(self):
        """How far the clock is ahead, seconds."""
        return (self.clock.now_ns() - self.begin) / SECOND - self.now


def heard(**options):
    """A world whose clock has been set by ticks for two minutes."""
    world = World(**options)
    assert all(world.comes(second, second) for second in range(1, 121))
    assert world.error() == 0
    return world


@pytest.mark.parametrize("ahead", [4, 10, 60, 270, 299, 301, 3600])
@pytest.mark.parametrize("wrong", [0.0, -90.0, 20.0, 90.0])
def test_a_single_stamp_ahead_proves_nothing(ahead, wrong):
    world = heard(wrong=wrong)
    assert world.comes(121, 121) and not world.comes(121.5, 121.5 + ahead)
    assert all(world.comes(second, second) for second in range(122, 200))
    assert world.error() == 0


def test_two_in_a_row_and_one_again_later_prove_nothing():
    world = heard()
    for at in (121, 121.5, 150, 151, 160):
        assert not world.comes(at, at + 60)
        assert at == 121 or world.comes(at + 0.2, at + 0.2)
    assert world.error() == 0


@pytest.mark.parametrize("ahead", [10, 60, 270])
def test_stamps_that_stand_still_prove_nothing(ahead):
    world = heard()
    for second in range(121, 121 + ahead - 4):
        assert not world.comes(second, 121 + ahead), second
        assert world.error() == 0


@pytest.mark.parametrize("start", [-600, -240, -100])
@pytest.mark.parametrize("wrong", [0.0, -90.0])
def test_before_the_first_live_stamp_those_of_the_open_set_no_clock(start, wrong):
    world = World(begin=NIGHT, wrong=wrong)
    believed = [world.comes(second, 0) for second in range(start, 0)]
    assert not world.clock.trusted
    assert not any(believed[: max(0, -start - 120)])
    assert all(world.comes(second, second) for second in range(1, 60)) and world.error() == 0


def test_stamps_of_the_open_that_were_left_out_are_left_out_until_then():
    world = World(begin=NIGHT)
    assert not any(world.comes(second, 0) for second in range(-600, -60))
    assert world.comes(-60, -60)  # the auction's
    assert not any(world.comes(second, 0) for second in range(-59, 0))
    assert world.comes(0, 0) and world.comes(0.5, 0.5)


@pytest.mark.parametrize("wrong", [-290.0, -90.0, -10.0, 0.0, 10.0, 90.0, 3600.0])
def test_the_first_live_stamps_set_the_machines_clock_right(wrong):
    world = World(wrong=wrong)
    assert world.comes(1, 1) and world.error() == 0 and world.comes(2, 2)


@pytest.mark.parametrize("late", [3, 30, 300])
def test_a_line_that_was_late_and_catches_up_is_believed(late):
    world = heard(wrong=-90.0)
    for second in range(121, 121 + 2 * late):  # it falls behind
        assert world.comes(second, second - min(late, (second - 120) // 2))
    assert world.comes(400 + 2 * late, 400 + 2 * late)  # and is there again at once
    assert world.error() == 0


def test_a_line_that_was_late_from_the_start_is_believed_after_seconds():
    world = World()
    assert all(world.comes(second, second - 30) for second in range(31, 180))
    believed = [world.comes(second, second) for second in range(180, 190)]
    assert believed == [False] * 5 + [True] * 5 and world.error() == 0


def test_other_contracts_follow_a_clock_that_was_set_right():
    world = World()
    assert world.comes(31, 1) and world.comes(60, 30, IF)
    assert [world.comes(second, second) for second in range(61, 67)] == [False] * 5 + [True]
    assert world.comes(67, 67, IF)


@pytest.mark.parametrize("wrong", [0.0, -90.0, 90.0])
def test_a_machine_that_slept_is_behind_until_the_next_stamp(wrong):
    world = heard(wrong=wrong)
    world.now, world.asleep = 1000, 800.0  # its other clock did not go on
    assert world.comes(1000, 1000) and world.error() == 0


@pytest.mark.parametrize(("hours", "lost"), [(6, 5), (18, 9), (66, 26)])
def test_a_clock_may_have_lost_seconds_over_a_night_or_a_weekend(hours, lost):
    """The drift is 0.0001; in a minute of trading the clock has lost nothing."""
    world, later = heard(), hours * 3600
    world.wrong, world.asleep = -lost, lost
    assert not world.comes(later, later + 1.5)  # a second and a half ahead of what it can be
    assert world.comes(later + 0.5, later + 0.5) and world.error() == 0
    assert not world.comes(later + 1, later + 5)


@pytest.mark.parametrize("lost", [0.0, 4.5])
def test_over_a_day_without_a_tick_an_auction_may_show_what_a_clock_has_lost(lost):
    """The tick is alone for a minute; an open's first instant may be stamped minutes early."""
    world, auction = heard(begin=NIGHT - 6 * HOUR - 3 * MINUTE), 6 * 3600 + 120.5
    world.wrong, world.asleep = -lost, lost
    opens = 6 * 3600 + 180
    assert world.comes(opens - 67, opens) is False
    assert world.comes(auction, auction) and abs(world.error()) < 0.001
    assert not world.comes(opens - 4, opens) and world.error() == 0
    assert world.comes(opens + 0.5, opens + 0.5)


@pytest.mark.parametrize("step", [-60.0, -2.0, 2.0, 60.0])
def test_a_machine_whose_clock_is_set_changes_nothing(step):
    world = heard()
    world.wrong = step
    assert all(world.comes(second, second) for second in range(121, 180))
    assert world.error() == 0 and not world.comes(180, 180 + abs(step) / 2 + 6)


def test_a_market_that_is_played_fast_is_believed_over_its_gaps():
    world = World()
    assert world.comes(1, 1)
    believed = [world.comes(1 + n / 50, 1 + 10 * n) for n in range(1, 40)]
    assert believed == [False] * 4 + [True] * 35


def test_a_burst_of_late_ticks_is_no_fast_market():
    """The line was slow from the start."""
    world = World()
    assert all(world.comes(second, second - 250) for second in range(251, 440))
    believed = [world.comes(440 + n / 50, 200 + 10 * n) for n in range(25)]
    assert believed == [False] * 4 + [True] * 21
    assert all(world.comes(second, second) for second in range(441, 460))
    assert not world.comes(460, 520) and world.comes(460.5, 460.5)


def test_a_market_that_is_played_fast_may_be_on_time_now_and_then():
    world = World()
    assert world.comes(1, 1) and [world.comes(1 + n / 50, 1 + 10 * n) for n in range(1, 40)][-1]
    for n in range(5):
        market, real = 500 + 100 * n, 2 + n
        assert world.comes(real, market) and world.comes(real + 0.01, market + 0.5)


def test_bounds_grow_where_less_is_known():
    assert NEAR < UNSURE < FAR
    clock = MarketClock(ManualClock(TEN))
    assert clock.believes(TEN + FAR) and not clock.believes(TEN + FAR + 1)
    assert clock.believes(TEN + UNSURE, Phase.PRE_OPEN)
    assert not clock.believes(TEN + UNSURE + 1, Phase.PRE_OPEN)
    clock.stamp(TEN)
    assert clock.believes(TEN + NEAR) and not clock.believes(TEN + NEAR + 1)


def test_a_newest_tick_of_long_ago_is_no_live_one():
    clock = MarketClock(ManualClock(TEN))
    clock.join(TEN - 90 * 24 * HOUR)
    assert clock.trusted and clock.believes(TEN - 90 * 24 * HOUR + 4 * MINUTE)


@pytest.mark.parametrize(
    ("symbol", "moment", "phase"),
    [
        (CU, "2026-11-09 19:30:00", "TRADING"),  # nobody waits for an open yet
        (CU, "2026-11-09 20:50:00", "PRE_OPEN"), (CU, "2026-11-09 20:59:00.500000", "PRE_OPEN"),
        (CU, "2026-11-09 21:00:00", "OPENING"), (CU, "2026-11-09 21:00:00.000500", "TRADING"),
        (CU, "2026-11-10 01:00:00", "TRADING"), (CU, "2026-11-10 08:59:00", "PRE_OPEN"),
        (CU, "2026-11-10 10:15:00", "TRADING"), (CU, "2026-11-10 10:20:00", "PRE_OPEN"),
        (CU, "2026-11-10 10:30:00", "OPENING"), (CU, "2026-11-10 10:30:00.500000", "TRADING"),
        (CU, "2026-11-10 15:00:00", "TRADING"), (CU, "2026-11-10 15:00:00.500000", "TRADING"),
        (IF, "2026-11-10 09:29:00", "PRE_OPEN"), (IF, "2026-11-10 09:30:00.500000", "TRADING"),
    ],
)  # fmt: skip
def test_what_is_stamped_before_an_open(symbol, moment, phase):
    assert phase_at(CALENDAR, symbol, to_ns(datetime.fromisoformat(moment))) is Phase[phase]


@pytest.mark.parametrize("begin", [TEN, NIGHT])
def test_a_stamp_of_a_year_that_no_calendar_knows_is_left_out(begin):
    far = (to_ns(datetime(2031, 1, 1)) - begin) / SECOND
    assert not World(begin=begin).comes(0, far)
    world = heard(begin=begin)
    assert not world.comes(121, far) and world.comes(122, 122)
