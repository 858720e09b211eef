"""What a closed market costs: processor time with ten feeds, and how soon a run can be ended.

Run with ``python -m pytest -m bench -s tests/bench``.
"""

import threading

import backtrader as bt
import psutil
import pytest
from silent_server import silent_server

from tianqin_backtrader import MyStore
from tianqin_backtrader.core.clock import monotonic

SYMBOLS = (
    "SHFE.cu2605", "SHFE.rb2605", "SHFE.au2606", "SHFE.ag2606", "INE.sc2605",
    "DCE.m2605", "DCE.i2605", "CZCE.SR605", "CZCE.MA605", "GFEX.lc2605",
)  # fmt: skip
SECONDS = 10.0


@pytest.mark.bench
@pytest.mark.timeout(120)
def test_a_closed_market_costs_next_to_nothing():
    me, figures = psutil.Process(), {}

    def measure(cerebro):
        begun, before = monotonic(), me.cpu_times()
        threading.Event().wait(SECONDS)
        after, passed = me.cpu_times(), monotonic() - begun
        figures["share"] = (after.user + after.system - before.user - before.system) / passed
        figures["asked"] = monotonic()
        cerebro.runstop()

    server = silent_server("--speed", "1", "--start", "2026-03-10 12:00:00")
    with server as urls, MyStore("u", "p", urls=urls) as store:
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.setbroker(store.getbroker())
        for symbol in SYMBOLS:
            cerebro.adddata(store.getdata(symbol))
        cerebro.addstrategy(bt.Strategy)
        watcher = threading.Timer(3.0, measure, [cerebro])
        watcher.start()
        cerebro.run()
        ended = monotonic() - figures["asked"]
    print(f"\n10 feeds, closed market: {figures['share']:.2%} of a core; ended after {ended:.2f} s")
    assert figures["share"] < 0.01
    assert ended < 0.6
