"""What a closed and a quiet market cost: processor time, and how soon a run can be ended.

Run with ``python -m pytest -m bench -s tests/bench``.
"""

import json
import statistics
import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path

import backtrader as bt
import psutil
import pytest
from paced_market import TRADED, contracts, stamped_server, write_market
from silent_server import silent_server

from tianqin_backtrader import MyStore
from tianqin_backtrader.core.clock import monotonic

SYMBOLS = (
    "SHFE.cu2605", "SHFE.rb2605", "SHFE.au2606", "SHFE.ag2606", "INE.sc2605",
    "DCE.m2605", "DCE.i2605", "CZCE.SR605", "CZCE.MA605", "GFEX.lc2605",
)  # fmt: skip
SECONDS = 10.0
#: Of a market that is open and silent: contracts, seconds, rounds.
QUIET, QUIET_SECONDS, ROUNDS = 100, 60, 5
SIDES = ("bare", "ours")


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


def processor_time(side, market, folder):
    """Seconds of processor time a second, on contracts whose last tick was minutes ago."""
    folder.mkdir()
    with stamped_server(market, folder / "stamps", TRADED, "2026-11-10 10:35:20") as server:
        plan = {
            "urls": server["urls"], "clock_port": server["clock_port"], "records": False,
            "symbols": contracts(QUIET), "seconds": QUIET_SECONDS,
        }  # fmt: skip
        client = Path(__file__).with_name("answering_client.py")
        done = subprocess.run(
            [sys.executable, client, side, json.dumps(plan)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["answers"] <= 1  # to what was there at first
    return report["cpu"] / QUIET_SECONDS


@pytest.mark.bench
@pytest.mark.timeout(3600)
def test_an_open_market_without_ticks_costs_little(tmp_path):
    market = tmp_path / "market.csv"
    write_market(market, contracts(QUIET), datetime(2026, 11, 10, 10, 30), 2)
    runs = [
        {side: processor_time(side, market, tmp_path / f"{side}_{number}") for side in SIDES}
        for number in range(ROUNDS)
    ]
    shares = {side: statistics.median(run[side] for run in runs) for side in SIDES}
    print(f"\n{QUIET} contracts without ticks, of a core:")
    print("".join(f"{side:5s} {share:.2%}\n" for side, share in shares.items()))
    assert shares["ours"] < 0.02
