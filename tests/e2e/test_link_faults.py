"""The link breaks while a strategy runs; the client waits 10-20 s before it connects again."""

import backtrader as bt
import pytest

from tianqin_backtrader.clock import MINUTE, from_ns


class Bars(bt.Strategy):
    params = dict(fault=None, bars=60)

    def __init__(self):
        self.seen = []

    def next(self):
        data = self.data
        stamp = data.datetime.datetime(0)
        self.seen.append((stamp, data.open[0], data.high[0], data.low[0], data.close[0]))
        if len(self.seen) == 20:
            self.p.fault(self.broker.store.sandbox_server)
        if len(self.seen) == self.p.bars:
            self.env.runstop()


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    "fault",
    [
        lambda server: server.fault("drop", conn="md"),
        lambda server: server.fault("drop", conn="all"),
        lambda server: server.fault("cut", conn="md"),
        lambda server: (
            server.fault("refuse", conn="md", attempts=1),
            server.fault("drop", conn="md"),
        ),
        lambda server: server.fault("repeat", conn="md"),
        lambda server: server.fault("freeze", conn="md", seconds=3),
        lambda server: server.fault("fill_away", conn="md", seconds=240),
    ],
    ids=["drop", "drop all", "cut", "refuse", "repeat", "freeze", "market goes on"],
)
def test_bars_stay_equal_to_the_official_ones(sandbox, run, fault):
    store = sandbox(start="2026-11-10 09:31:00")
    strategy = run(store, Bars, store.getdata("SHFE.cu2612"), fault=fault)
    official = store.sandbox_server.bars("SHFE.cu2612", 60, trading_day="2026-11-10")
    names = ("open", "high", "low", "close")
    expected = [
        (from_ns(row["datetime"] + MINUTE), *(row[name] for name in names)) for row in official
    ]
    begin = [row[0] for row in expected].index(strategy.seen[0][0])
    assert strategy.seen == expected[begin : begin + 60]
