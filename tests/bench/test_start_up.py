"""Seconds from connecting to the first live bar in next(), behind 10 000 bars of history.

Run with ``python -m pytest -m bench -s tests/bench/test_start_up.py``. The bare side connects, gets
the same 10 000 bars with ``get_kline_serial`` and runs the same strategy over them in Backtrader's
own pandas feed, with Cerebro's defaults; it ends with the last bar of history. Both meet a server
that runs already, two seconds of market before the minute ends.
"""

import statistics
import time
from itertools import pairwise

import backtrader as bt
import pandas as pd
import pytest
from bare_client import bare_api

from tianqin_backtrader import MyStore
from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox

SYMBOL, START, BARS, ROUNDS = "SHFE.cu2612", "2026-11-10 09:31:58", 10_000, 5


def ready_server():
    """An exchange that has made its past already: how long that takes is not the clients' doing."""
    server = EmbeddedSandbox(start=START)
    newest = server.bars(SYMBOL)[-1]["id"]
    assert len(server.bars(SYMBOL, left=newest - BARS - 1000, right=newest)) >= BARS
    return server


class Trivial(bt.Strategy):
    def __init__(self):
        self.total, self.first, self.live_at = 0.0, None, None

    def next(self):
        self.first = self.first or time.perf_counter()
        self.total += self.data.close[0]
        if not getattr(self.data, "history_phase", True):
            self.live_at = time.perf_counter()
            self.env.runstop()


def product():
    """Seconds: to the session, to the first bar of history, to the first live bar; the sum."""
    with ready_server() as server:
        began = time.perf_counter()
        with MyStore("u", "p", urls=server.urls) as store:
            connected = time.perf_counter()
            cerebro = bt.Cerebro(stdstats=False)
            cerebro.adddata(store.getdata(SYMBOL, lookback=True, night_start=False))
            cerebro.addstrategy(Trivial)
            [strategy] = cerebro.run()
            assert len(strategy.data) == BARS + 1
            total = strategy.total - strategy.data.close[0]
            marks = (began, connected, strategy.first, strategy.live_at)
    return [later - earlier for earlier, later in pairwise(marks)], total


def bare():
    """The same to the last bar of history."""
    with ready_server() as server:
        began = time.perf_counter()
        with bare_api(server) as api:
            connected = time.perf_counter()
            serial = api.get_kline_serial(SYMBOL, 60, BARS)
            frame = serial[["open", "high", "low", "close", "volume"]].copy()
            frame.index = pd.to_datetime(serial["datetime"] + 28_860 * 1_000_000_000)
            cerebro = bt.Cerebro(stdstats=False)
            cerebro.adddata(bt.feeds.PandasData(dataname=frame))
            cerebro.addstrategy(Trivial)
            [strategy] = cerebro.run()
            ended = time.perf_counter()
            assert len(strategy.data) == BARS
            marks = (began, connected, strategy.first, ended)
            running = frame["close"].iloc[-1]  # the bar of the running minute
    return [later - earlier for earlier, later in pairwise(marks)], (strategy.total - running)


@pytest.mark.bench
@pytest.mark.timeout(600)
def test_start_up_against_bare_client():
    pairs = [(bare(), product()) for _ in range(ROUNDS)]
    for (_, theirs), (_, ours) in pairs:
        assert abs(ours - theirs) <= ours / (BARS - 1)  # the same bars but for the oldest
    ratio = statistics.median(sum(ours) / sum(theirs) for (theirs, _), (ours, _) in pairs)
    print("\n         connected  first bar  all bars  together (s)")
    for name, side in (("bare", 0), ("product", 1)):
        steps = [statistics.median(pair[side][0][part] for pair in pairs) for part in range(3)]
        whole = statistics.median(sum(pair[side][0]) for pair in pairs)
        print(f"{name:8s} {steps[0]:9.2f}  {steps[1]:9.2f}  {steps[2]:8.2f}  {whole:8.2f}")
    print(f"ratio {ratio:.2f}")
    assert ratio <= 1.1
