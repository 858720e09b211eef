"""The link breaks while a strategy runs: bars stay equal to the official ones, none is missing."""

import backtrader as bt
import pytest

from tianqin_backtrader.core.clock import MINUTE, from_ns
from tianqin_backtrader.errors import LinkLost


class Bars(bt.Strategy):
    params = dict(fault=None, bars=30)

    def __init__(self):
        self.seen, self.statuses = [], []

    def notify_data(self, data, status, *args, **kwargs):
        self.statuses.append(data._getstatusname(status))

    def next(self):
        data = self.data
        stamp = data.datetime.datetime(0)
        self.seen.append((stamp, data.open[0], data.high[0], data.low[0], data.close[0]))
        if len(self.seen) == 10:
            self.p.fault(self.broker.store.sandbox_server)
        if len(self.seen) == self.p.bars:
            self.env.runstop()


def refuse(server, **how):
    server.fault("refuse", conn="all", **how)
    server.fault("drop", conn="all")


def refuse_token(server):
    server.fault("refuse_token", attempts=2)
    server.fault("drop", conn="td")


FAULTS = {
    "md dropped": lambda server: server.fault("drop", conn="md"),
    "td dropped": lambda server: server.fault("drop", conn="td"),
    "all dropped": lambda server: server.fault("drop", conn="all"),
    "md closed": lambda server: server.fault("drop", conn="md", how="clean"),
    "td closed": lambda server: server.fault("drop", conn="td", how="clean"),
    "all closed": lambda server: server.fault("drop", conn="all", how="clean"),
    "pack cut": lambda server: server.fault("cut", conn="md"),
    "refused twice": lambda server: refuse(server, attempts=2),
    "token refused": refuse_token,
    "repeated": lambda server: server.fault("repeat", conn="md"),
    "frozen for a second": lambda server: server.fault("freeze", conn="md", seconds=1),
    "market goes on": lambda server: server.fault("fill_away", conn="md", seconds=240),
    "market goes on for hours": lambda server: server.fault("fill_away", conn="all", seconds=10800),
}
SLOW = {
    "frozen": lambda server: server.fault("freeze", conn="md"),
    "all frozen": lambda server: server.fault("freeze", conn="all"),
    "refused for a minute": lambda server: refuse(server, seconds=60),
}


def check(sandbox, run, fault):
    store = sandbox(start="2026-11-10 09:31:00")
    strategy = run(store, Bars, store.getdata("SHFE.cu2612"), fault=fault)
    official = store.sandbox_server.bars("SHFE.cu2612", 60, trading_day="2026-11-10")
    names = ("open", "high", "low", "close")
    expected = [
        (from_ns(row["datetime"] + MINUTE), *(row[name] for name in names)) for row in official
    ]
    begin = [row[0] for row in expected].index(strategy.seen[0][0])
    assert strategy.seen == expected[begin : begin + 30]
    certificate = store.certificate()["SHFE.cu2612"]
    assert certificate.corrected == certificate.missing == 0
    return store, strategy


@pytest.mark.parametrize("name", FAULTS)
def test_bars_stay_equal_to_the_official_ones(sandbox, run, name):
    check(sandbox, run, FAULTS[name])


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("name", SLOW)
def test_bars_stay_equal_over_long_faults(sandbox, run, name):
    check(sandbox, run, SLOW[name])


@pytest.mark.told_time("of two lines that break together the trading one may be seen first")
def test_the_feed_says_when_it_is_disconnected_and_live_again(sandbox, run):
    store, strategy = check(sandbox, run, FAULTS["all dropped"])
    assert strategy.statuses == ["LIVE", "DISCONNECTED", "LIVE"]
    assert store.reconnector.reconnects_today == 1
    assert store.reconnector.healthy()


def test_a_trading_link_that_is_refused_as_a_session_is_made_holds_nothing_up(sandbox):
    store = sandbox()
    store.sandbox_server.fault("refuse", conn="td", attempts=1)
    with pytest.raises(LinkLost, match="refused a connection"):
        store.gateway.renew(0.0, 0.0)  # tqsdk would try again only after ten seconds or more
    store.gateway.renew(0.0, 0.0)
    assert store.gateway.connected
