"""Proofs that a bar's end has passed."""

from datetime import datetime

import pytest
from manual_clock import ManualClock

from tianqin_backtrader.core.clock import NEVER, SECOND, MarketClock, to_ns
from tianqin_backtrader.gateway.liveness import AFTERWARDS, GRACE, UNSURE, Liveness

CU, RB, IF, MAIN = "SHFE.cu2612", "SHFE.rb2701", "CFFEX.IF2612", "KQ.m@SHFE.cu"
END = to_ns(datetime(2026, 11, 10, 10))


class Line:
    """Answers when the test lets it."""

    def __init__(self):
        self.answers, self.asked = 0, 0

    def doubt(self):
        free = self.asked == self.answers
        self.asked += free
        return free


class World:
    """A machine whose clock is wrong by ``off`` seconds, and contracts with bars that end."""

    def __init__(self, *symbols, off=0.0):
        self.wall = ManualClock(END - 60 * SECOND + int(off * SECOND))
        self.off, self.line, self.dues = off, Line(), dict.fromkeys(symbols, END)
        self.clock = MarketClock(self.wall)
        self.liveness = Liveness(self.clock, self.line)

    @property
    def first(self):
        return min(self.dues.values())

    def at(self, seconds):
        """So many seconds after the end, by the exchange's time."""
        self.wall.advance_to(END + int((self.off + seconds) * SECOND))
        self.liveness.prove(self.dues.items(), self.first, over=False)

    def tick(self, symbol, seconds):
        stamp = END + int(seconds * SECOND)
        self.clock.stamp(stamp)
        self.liveness.heard(symbol, stamp)
        self.liveness.prove(self.dues.items(), self.first, over=False)

    def answer(self):
        self.line.answers += 1
        self.liveness.prove(self.dues.items(), self.first, over=False)

    def closed(self, symbol):
        return self.liveness.bars_close_until(symbol) >= END


def test_a_later_stamp_of_the_exchange_closes_the_bars_of_all_its_contracts():
    world = World(CU, RB, MAIN, IF)
    world.at(0.7)
    world.tick(CU, 0.4)
    assert not any(world.closed(one) for one in (CU, RB, MAIN, IF))
    world.tick(CU, 0.5)
    assert all(world.closed(one) for one in (CU, RB, MAIN))
    assert not world.closed(IF)  # CFFEX may be late on a line of its own


@pytest.mark.parametrize("late", [0.6, 3.0, 30.0])
def test_a_late_tick_proves_its_own_time_and_not_that_it_comes_at(late):
    world = World(CU)
    world.at(-10)
    world.tick(CU, -10)
    world.at(late)
    world.tick(CU, -0.1)
    assert not world.closed(CU)


def test_without_a_tick_the_answer_to_a_question_asked_after_the_end_proves_it():
    world = World(CU)
    world.at(-1)
    world.tick(CU, -1)
    world.at(0.4)
    assert not world.line.asked
    assert world.liveness.seconds_until_due(world.dues.items(), world.first) == pytest.approx(0.101)
    world.at(0.5)
    assert world.line.asked == 1 and not world.closed(CU)
    world.at(20)
    assert world.line.asked == 1 and not world.closed(CU)  # it is on its way
    assert world.liveness.seconds_until_due(world.dues.items(), world.first) == float("inf")
    world.answer()
    assert world.closed(CU)
    world.at(60)
    assert world.line.asked == 1


def test_the_answer_to_an_earlier_question_proves_nothing_later():
    world = World(CU)
    world.at(-1)
    world.tick(CU, -1)
    world.line.asked = 1  # somebody else has doubted
    world.at(0.6)
    world.answer()
    assert not world.closed(CU)
    world.at(0.7)
    assert world.line.asked == 2
    world.answer()
    assert world.closed(CU)


@pytest.mark.parametrize("off", [-90, -1, 0, 1, 90])
def test_before_the_market_is_heard_the_machine_is_trusted_as_far_as_no_clock_is_wrong(off):
    world = World(CU, off=off)
    sure = UNSURE / SECOND - off + 0.5
    world.at(sure - 0.1)
    assert not world.line.asked and sure > 0.5
    world.at(sure)
    assert world.line.asked
    world.answer()
    assert world.closed(CU)


def test_several_things_that_are_due_do_not_hide_each_other():
    world = World(CU)
    world.dues = {CU: END, IF: END + 7 * SECOND}
    world.at(-1)
    world.tick(CU, -1)
    world.at(0.5)
    world.answer()
    assert world.liveness.seconds_until_due(world.dues.items(), world.first) == pytest.approx(7.001)
    world.at(7.5)
    world.answer()
    assert world.liveness.bars_close_until(IF) >= END + 7 * SECOND


def test_a_told_time_is_the_proof_and_the_end_of_a_market_is_one():
    world = World(CU)
    world.clock.virtual = True
    world.clock.stamp(END + GRACE)
    world.liveness.prove(world.dues.items(), world.first, over=False)
    assert world.closed(CU) and not world.line.asked
    world.liveness.prove(world.dues.items(), world.first, over=True)
    assert world.liveness.alive_at(CU) == END + GRACE + AFTERWARDS


def test_nothing_is_due_of_a_contract_that_has_ended():
    world = World()
    world.dues = {CU: NEVER}
    world.tick(IF, 0)
    world.at(100)
    assert (
        not world.line.asked
        and world.liveness.seconds_until_due(world.dues.items(), world.first) > 1e6
    )
