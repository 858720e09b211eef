"""Servers that are not ours: they keep their own time and do not say so."""

import json
import os
import subprocess
import sys
from datetime import datetime
from itertools import pairwise

import backtrader as bt
import pytest

from tianqin_backtrader import MyStore

# The sandbox as a server would be that does not tell the market's time.
SILENT = """
import sys
from tianqin_backtrader.sandbox.server import SandboxOptions
SandboxOptions.virtual = property(lambda self: False)
from tianqin_backtrader.sandbox.__main__ import main
sys.exit(main(["--json", "--parent-pipe", *sys.argv[1:]]))
"""


@pytest.fixture
def silent_server():
    started = []

    def start(*options):
        process = subprocess.Popen(
            [sys.executable, "-c", SILENT, *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        return json.loads(process.stdout.readline())["urls"]

    yield start
    for process in started:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()


class Bars(bt.Strategy):
    def __init__(self):
        self.live = []

    def next(self):
        if not self.data.history_phase:
            self.live.append(self.data.datetime.datetime(0))
            if len(self.live) == 30:
                self.order = self.buy()

    def notify_order(self, order):
        if not order.alive():
            self.env.runstop()


@pytest.mark.parametrize("start", ["2026-03-10 09:40:10", "2026-03-10 10:13:10"])
def test_history_and_live_bars_meet_whatever_the_servers_day_is(silent_server, run, start):
    urls = silent_server("--start", start, "--ticks-per-pack", "5")
    with MyStore("u", "p", urls=urls) as store:
        feed = store.getdata("SHFE.cu2605", lookback=60, night_start=False)
        strategy = run(store, Bars, feed)
        begun = datetime.fromisoformat(start).replace(second=0)
        assert strategy.live[0].replace(minute=0) == begun.replace(minute=0)
        assert (strategy.live[0] - begun).total_seconds() == 60
        assert strategy.order.getstatusname() == "Completed"
        gaps = {b - a for a, b in pairwise(strategy.live)}
        assert {gap.total_seconds() for gap in gaps} <= {60.0, 16 * 60.0}


def test_a_proxy_of_the_environment_does_not_get_the_sandbox(sandbox, run, monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody is there
    before = dict(os.environ)
    store = sandbox(start="2026-11-10 09:40:00", ticks_per_pack=20)
    strategy = run(store, Bars, store.getdata("SHFE.cu2612"))
    assert strategy.order.getstatusname() == "Completed"
    assert dict(os.environ) == before
