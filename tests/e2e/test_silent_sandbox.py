"""A sandbox that does not send its time: the clock it shares with the program, and faults."""

import os
import subprocess
import sys
from itertools import pairwise

import backtrader as bt
import pytest

from tianqin_backtrader.core import clock
from tianqin_backtrader.core.clock import SECOND
from tianqin_backtrader.errors import SandboxError
from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox

RB = "SHFE.rb2701"
START = "2026-11-10 09:29:50"


class Arrivals(bt.Strategy):
    """Keeps when each tick came, in seconds of true market time after its timestamp."""

    params = dict(until="09:31:00", at={})

    def __init__(self):
        self.late, self.came = [], []
        self.faults = {at: list(faults) for at, faults in self.p.at.items()}

    def next(self):
        store = self.data.store
        now, stamp = store.sandbox_server.clock.market_ns(), store.feeds[0].last_tick
        self.came.append(now)
        self.late.append((now - stamp) / SECOND)
        text = f"{self.data.datetime.datetime(0):%H:%M:%S}"
        for at in [at for at in self.faults if at <= text]:
            for name, params in self.faults.pop(at):
                store.sandbox_server.fault(name, **params)
        if text >= self.p.until:
            self.env.runstop()


def arrivals(sandbox, run, *, until="09:31:00", at=(), **options):
    store = sandbox(**{"start": START, "tells_time": False} | options)
    strategy = run(store, Arrivals, store.get_tick_data(RB), until=until, at=dict(at))
    return store, strategy


def test_nothing_tells_the_time_and_both_have_the_same(sandbox, run):
    store, strategy = arrivals(sandbox, run)
    assert store.gateway.told_now is None and not store.clock.virtual
    assert set(strategy.late) == {0.0}
    assert store.sandbox_server.state()["now_ns"] == store.clock.now_ns()


def test_the_same_program_meets_the_same_moments(sandbox, run):
    runs = []
    for _ in range(2):
        store, strategy = arrivals(sandbox, run)
        runs.append(strategy.came)
        store.close()
    assert runs[0] == runs[1] and len(runs[0]) > 20


def test_it_runs_so_many_times_as_fast(sandbox, run):
    store, strategy = arrivals(sandbox, run, speed=30, until="09:30:05")
    assert not store.clock.virtual
    assert all(0.0 <= late < 30.0 for late in strategy.late)
    assert store.sandbox_server.clock.speed == 30.0


@pytest.mark.parametrize(("ahead", "drift"), [(10.0, 0.0), (-90.0, 0.0), (0.0, 0.001)])
def test_the_programs_clock_may_be_wrong(sandbox, run, ahead, drift):
    store, strategy = arrivals(sandbox, run, clock_ahead=ahead, clock_drift=drift)
    wall = clock.WallClock().now_ns() - store.sandbox_server.clock.market_ns()
    assert wall / SECOND == pytest.approx(ahead + drift * 70, abs=0.1)
    assert set(strategy.late) == {0.0}


def test_a_clock_that_is_wrong_belongs_to_a_silent_sandbox():
    with pytest.raises(SandboxError, match="tells_time=False"):
        EmbeddedSandbox(clock_ahead=1.0)


def test_a_process_lives_on_one_clock(sandbox):
    first = sandbox(start=START, tells_time=False)
    with pytest.raises(SandboxError, match="close that sandbox first"):
        EmbeddedSandbox(tells_time=False)
    first.close()
    assert type(clock.machine()) is clock.Machine
    with EmbeddedSandbox(start=START, tells_time=False):
        assert clock.beijing_now().isoformat(" ") == START


_JOINS = """
import sys
from tianqin_backtrader import MyStore
from tianqin_backtrader.core import clock
from tianqin_backtrader.core.shared_clock import SharedClock
clock.live_on(SharedClock(int(sys.argv[1])))
with MyStore("sandbox", "sandbox") as store:
    clock.pause(40.0)
    print(store.now())
"""


def test_another_process_joins():
    with EmbeddedSandbox(start=START, tells_time=False) as box:
        clock.live_on(None)  # this program leaves the clock, or time would wait for it, too
        box.clock.close()
        done = subprocess.run(
            [sys.executable, "-c", _JOINS, str(box.clock_port)],
            env=os.environ | box.urls, stdout=subprocess.PIPE, check=True, text=True,
        )  # fmt: skip
    assert done.stdout.split() == ["2026-11-10", "09:30:30"]


# -- faults -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "jitter"), [(0.02, 0.0), (0.3, 0.2), (3.0, 0.0)])
def test_everything_is_late_by_the_latency(sandbox, run, seconds, jitter):
    fault = ("latency", {"conn": "all", "seconds": seconds, "jitter": jitter})
    store, strategy = arrivals(sandbox, run, at={"09:30:05": [fault]})
    assert store.reconnector.sessions == 1  # no other connection was made
    late = [one for one in strategy.late[20:] if one]
    # A tick that misses a pack waits for its arrival, the next request, and its own way.
    assert seconds - 1e-6 <= max(late) <= 3 * (seconds + jitter)
    if jitter:
        assert len(set(late)) > 5


def test_a_line_falls_behind_and_catches_up(sandbox, run):
    fault = ("latency", {"conn": "md", "seconds": 3.0, "over": 10.0})
    _, strategy = arrivals(sandbox, run, at={"09:30:05": [fault]})
    late = strategy.late
    assert 1.5 < max(late) < 6.5
    assert late[0] <= 0.5  # its pack may be under way when the run begins
    assert late[-1] == 0.0


@pytest.mark.parametrize("seconds", [1.0, 10.0, pytest.param(30.0, marks=pytest.mark.slow)])
def test_the_network_stands_still_and_nothing_is_lost(sandbox, run, seconds):
    """The library makes another connection after ten seconds."""
    fault = ("freeze", {"conn": "all", "seconds": seconds})
    store, strategy = arrivals(sandbox, run, at={"09:30:05": [fault]})
    assert len(strategy.came) == store.feeds[0].ticks_taken
    assert store.reconnector.sessions == (1 if seconds <= 10 else 2)
    assert min(seconds, 10.0) - 1.0 <= max(b - a for a, b in pairwise(strategy.came)) / SECOND


def test_a_program_that_is_stopped_finds_later_that_time_has_passed(sandbox, run):
    store, strategy = arrivals(sandbox, run, at={"09:30:05": [("stop_program", {"seconds": 20.0})]})
    gaps = [(b - a) / SECOND for a, b in pairwise(strategy.came)]
    assert 20.0 <= max(gaps) < 21.0
    assert store.reconnector.sessions == 1 and strategy.late[-1] == 0.0


def test_a_program_is_stopped_only_where_it_lives_on_the_clock(sandbox):
    store = sandbox(start=START, tells_time=True)
    with pytest.raises(SandboxError, match="SIGSTOP"):
        store.sandbox_server.fault("stop_program")
