"""Servers with a time of their own that they do not send."""

import os
from datetime import datetime
from itertools import pairwise

import backtrader as bt
import pytest
from silent_server import ask, silent_server

from tianqin_backtrader import MyStore
from tianqin_backtrader.core.clock import MINUTE, from_ns


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
def test_history_and_live_bars_meet_whatever_the_servers_day_is(run, start):
    server = silent_server("--start", start, "--ticks-per-pack", "5")
    with server as urls, MyStore("u", "p", urls=urls) as store:
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


class Harmed(bt.Strategy):
    """Freezes all connections for a minute after its first bar."""

    params = dict(urls=None)

    def __init__(self):
        self.bars = []

    def next(self):
        data = self.data
        row = (data.datetime.datetime(0), data.open[0], data.high[0], data.low[0], data.close[0])
        self.bars.append((*row, data.volume[0]))
        if len(self.bars) == 1:
            ask(self.p.urls, "fault", {"fault": "refuse", "conn": "all", "seconds": 60})
            ask(self.p.urls, "fault", {"fault": "freeze", "conn": "all"})
        if len(self.bars) == 3:
            self.env.runstop()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("start", ["2026-03-10 09:40:30", "2026-03-10 10:12:30"])
def test_no_bar_is_closed_while_the_line_may_be_dead(run, start):
    """In real time: the clock goes on without data; the bars wait for the new session."""
    server = silent_server("--speed", "1", "--start", start)
    with server as urls, MyStore("u", "p", urls=urls) as store:
        strategy = run(store, Harmed, store.getdata("SHFE.cu2605"), urls=urls)
        assert store.reconnector.sessions >= 2
        certificate = store.certificate()["SHFE.cu2605"]
        assert certificate.corrected == certificate.missing == 0
        rows = ask(urls, "bars?symbol=SHFE.cu2605&seconds=60&trading_day=2026-03-10")["rows"]
    names = ("open", "high", "low", "close", "volume")
    official = [(from_ns(row["datetime"] + MINUTE), *(row[name] for name in names)) for row in rows]
    begin = [row[0] for row in official].index(strategy.bars[0][0])
    assert strategy.bars == official[begin : begin + 3]
