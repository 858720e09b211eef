"""Microseconds per bar of history and feed until the strategy is ready for live bars.

Run with ``python -m pytest -m bench -s tests/bench/test_warm_up.py``. ``bt.Cerebro`` and
``WarmUpCerebro`` run in turn over the same history, which is loaded before the clock starts.
``WARM_UP=10000:5`` selects bars and rounds.
"""

import gc
import os
import statistics
import time

import backtrader as bt
import pytest

from tianqin_backtrader import MyStore, WarmUpCerebro

START = "2026-11-10 10:30:00"
#: Contracts with the same sessions.
SYMBOLS = [
    f"SHFE.{product}{month}" for month in (2612, 2701) for product in "cu al zn pb ni".split()
]
INDICATORS = {
    "none": (),
    "cross-over": (lambda d: bt.ind.CrossOver(bt.ind.SMA(d, period=10), bt.ind.SMA(d, period=30)),),
    "eight": (
        lambda d: bt.ind.SMA(d, period=20),
        lambda d: bt.ind.EMA(d, period=30),
        lambda d: bt.ind.MACD(d),
        lambda d: bt.ind.BollingerBands(d),
        lambda d: bt.ind.ATR(d),
        lambda d: bt.ind.Stochastic(d),
        lambda d: bt.ind.Highest(d.high, period=50),
        lambda d: bt.ind.Momentum(d),
    ),
}  # fmt: skip
SIDES = (bt.Cerebro, WarmUpCerebro)
#: How many times faster the warm-up must be; it must not be slower with indicators of the user.
GOALS = {"none": 3, "cross-over": 3, "eight": 3}


class Own(bt.Indicator):
    """One of the user's, which needs every bar in its turn."""

    lines = ("value",)

    def next(self):
        self.lines.value[0] = self.data[0]


INDICATORS["eight, own"] = (*INDICATORS["eight"], Own)


class Idle(bt.Strategy):
    params = {"makers": ()}

    def __init__(self):
        self.kept = [make(data) for data in self.datas for make in self.p.makers]


def timed(kind):
    """A Cerebro that stops after the history and has measured it."""

    class Timed(kind):
        took = None

        def _runnext(self, runstrats):
            self.began = time.perf_counter()
            super()._runnext(runstrats)

        def _storenotify(self):
            super()._storenotify()
            if self.took is None and not any(feed.has_history for feed in self.datas):
                self.took = time.perf_counter() - self.began
                self.runstop()

    return Timed


def measure(kind, symbols, bars, makers):
    """Microseconds per bar and feed."""
    gc.collect()  # what earlier runs have left
    cerebro = timed(kind)(stdstats=False)
    with MyStore.sandbox(start=START) as store:
        cerebro.setbroker(store.getbroker())
        for symbol in symbols:
            cerebro.adddata(store.getdata(symbol, lookback=bars, night_start=False))
        cerebro.addstrategy(Idle, makers=makers)
        cerebro.run()
    assert all(len(feed) == bars for feed in cerebro.datas)
    return cerebro.took / bars / len(symbols) * 1e6


@pytest.mark.bench
@pytest.mark.timeout(3600)
def test_the_warm_up_against_the_plain_loop():
    bars, rounds = map(int, os.environ.get("WARM_UP", "10000:5").split(":"))
    ratios = {}
    print(f"\n{bars} bars, us per bar and feed\nindicators  feeds   plain  warm-up  ratio")
    for name, makers in INDICATORS.items():
        for feeds in (1, 10):
            rows = [
                [measure(kind, SYMBOLS[:feeds], bars, makers) for kind in SIDES]
                for _ in range(rounds)
            ]
            plain, warm = (statistics.median(side) for side in zip(*rows, strict=True))
            ratios[name, feeds] = ratio = statistics.median(one / other for one, other in rows)
            print(f"{name:10s} {feeds:6d} {plain:7.1f} {warm:8.1f} {ratio:6.1f}", flush=True)
    assert all(ratio >= GOALS.get(name, 1) for (name, _), ratio in ratios.items())
