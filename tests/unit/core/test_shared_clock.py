"""A machine's clock that the sandbox keeps: what a program sees of it, and how it waits by it."""

import asyncio
import selectors
import socket
import threading
import time
from datetime import datetime

import pytest

from tianqin_backtrader.core.clock import (
    SECOND,
    Machine,
    WallClock,
    live_on,
    monotonic,
    passed_ns,
    pause,
    to_ns,
    wait_for,
)
from tianqin_backtrader.core.shared_clock import (
    NO_END,
    PORT,
    SAYS,
    SLEEPS,
    WAITS,
    WORD,
    SharedClock,
)

NOON = to_ns(datetime(2026, 11, 10, 13, 30))


class Keeper:
    """The sandbox's end: grants every wait at once, unless it is told how far time goes."""

    def __init__(self, speed=0.0):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.speed, self.now, self.said = speed, NOON, []
        #: Wakes a wait this early.
        self.early = []
        self.thread = threading.Thread(target=self._keep, daemon=True)
        self.thread.start()

    def _keep(self):
        line, _ = self.listener.accept()
        with line:
            self._tell(line)
            while said := line.recv(SAYS.size, socket.MSG_WAITALL):
                what, number = SAYS.unpack(said)
                self.said.append((what, number))
                if what != PORT:
                    self.now = self.early.pop() if self.early else min(number, NOON + 3600 * SECOND)
                    self._tell(line)

    def _tell(self, line):
        line.sendall(WORD.pack(self.now, Machine().passed_ns() if self.speed else 0, self.speed))

    def close(self):
        self.listener.close()


@pytest.fixture
def keep():
    keepers, clocks = [], []

    def keep(speed=0.0, **machine):
        keepers.append(Keeper(speed))
        clocks.append(SharedClock(keepers[-1].port, **machine))
        live_on(clocks[-1])
        return keepers[-1], clocks[-1]

    yield keep
    live_on(None)
    for one in clocks + keepers:
        one.close()


def test_it_stands_while_the_program_works(keep):
    keep()
    seen = [WallClock().now_ns(), WallClock().now_ns()]
    assert seen == [NOON, NOON] and passed_ns() == passed_ns()
    assert 0.0 < monotonic() - passed_ns() / SECOND < 1e-6


def test_a_rest_that_is_too_short_for_a_float_passes(keep):
    keep()
    end = monotonic() + 1e-9
    assert any(monotonic() > end for _ in range(10))


def test_a_pause_takes_its_time_and_nothing_real(keep):
    keeper, _ = keep()
    before, real = monotonic(), time.monotonic()
    pause(1800.0)
    assert monotonic() - before == pytest.approx(1800.0)
    assert time.monotonic() - real < 60.0
    assert keeper.said == [(SLEEPS, NOON + 1800 * SECOND)]


def test_a_pause_that_hears_the_time_goes_on(keep):
    keeper, _ = keep()
    keeper.early = [NOON + SECOND]
    pause(2.0)
    assert WallClock().now_ns() == NOON + 2 * SECOND
    assert [what for what, _ in keeper.said] == [SLEEPS, SLEEPS]


@pytest.mark.parametrize("ahead", [-90.0, 0.0, 10.0])
def test_a_clock_that_is_wrong_is_wrong_by_so_much(keep, ahead):
    _, clock = keep(ahead=ahead)
    assert WallClock().now_ns() == NOON + int(ahead * SECOND)
    assert clock.market_ns() == NOON
    passed = passed_ns()
    clock.ahead = 60.0  # somebody sets it
    assert WallClock().now_ns() == NOON + 60 * SECOND
    assert passed_ns() == passed


@pytest.mark.parametrize("drift", [-0.01, 0.01])
def test_a_clock_that_drifts_drifts_in_its_waits_too(keep, drift):
    _, clock = keep(drift=drift)
    before = monotonic()
    pause(100.0)
    assert monotonic() - before == pytest.approx(100.0, abs=0.01)
    assert clock.market_ns() - NOON == pytest.approx(100 * SECOND / (1 + drift), abs=SECOND // 100)
    assert WallClock().now_ns() - NOON == pytest.approx(100 * SECOND, abs=SECOND // 100)


def test_waits_end_at_whole_milliseconds(keep):
    keeper, _ = keep()
    pause(0.4999871)
    assert keeper.said == [(SLEEPS, NOON + SECOND // 2)]


def test_an_event_loop_waits_by_it(keep):
    keeper, clock = keep()
    loop = asyncio.SelectorEventLoop(clock.selector())
    loop.time = monotonic
    loop.run_until_complete(asyncio.sleep(600.0))
    assert clock.market_ns() == NOON + 600 * SECOND
    assert keeper.said == [(WAITS, NOON + 600 * SECOND)]
    loop.close()


def test_what_comes_ends_a_wait_and_no_time_passes_for_what_is_there(keep):
    keeper, clock = keep()
    here, there = socket.socketpair()
    with clock.selector() as selector, here, there:
        selector.register(here, selectors.EVENT_READ, "news")
        there.send(b"x")
        [(key, _)] = selector.select(10.0)
        assert key.data == "news" and keeper.said == []
        here.recv(1)
        assert selector.select(0.0) == [] and keeper.said == []
        assert selector.select(None) == []  # the time has been told, no more
        assert keeper.said == [(WAITS, NO_END)]


def test_time_passes_while_another_thread_is_waited_for(keep):
    keep()
    never, before = threading.Event(), monotonic()
    wait_for(never, 3.0)
    assert monotonic() - before == pytest.approx(3.0)
    never.set()
    wait_for(never, 3.0)
    assert monotonic() - before == pytest.approx(3.0)


def test_with_a_speed_it_runs_so_many_times_as_fast(keep):
    _, clock = keep(speed=1000.0)
    before = clock.monotonic()
    pause(20.0)
    wait_for(threading.Event(), 20.0)
    with clock.selector() as selector:
        assert selector.select(20.0) == []
    assert 59.9 < clock.monotonic() - before


def test_without_the_sandbox_time_goes_on_as_everywhere(keep):
    keeper, clock = keep()
    selector = clock.selector()
    clock.close()
    assert clock.speed == 1.0 and clock.gone
    before = monotonic()
    pause(0.01)
    assert selector.select(0.01) == []
    assert 0.02 <= monotonic() - before
    assert keeper.said == []
    selector.close()
