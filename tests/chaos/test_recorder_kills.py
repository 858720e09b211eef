"""Record three days with program kills, link faults and truncated files.

The environment variable ``RECORDER_SEED`` selects another sequence of events.
"""

import os
import random

import backtrader as bt
import pytest
from recording_desk import assert_recorded_exactly, finish, kill_at_step, parts, record_process

from tianqin_backtrader import MyStore
from tianqin_backtrader.recording.parquet_files import RecordingFiles
from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox

SYMBOLS = ("SHFE.cu2612", "DCE.m2701")
DAYS = ("2026-11-10", "2026-11-11", "2026-11-12")
SEED = int(os.environ.get("RECORDER_SEED", "1"))
#: The approximate number of market steps in three days.
STEPS = 40_000


def fault_script(rng):
    """Make faults at random steps."""
    makers = [
        lambda: {"fault": "drop", "conn": "md"},
        lambda: {"fault": "drop", "conn": "all", "how": "clean"},
        lambda: {"fault": "cut", "conn": "md"},
        lambda: {"fault": "repeat", "conn": "md"},
        lambda: {"fault": "batch", "steps": rng.randint(100, 3000)},
        lambda: {"fault": "hole", "symbol": rng.choice(SYMBOLS), "count": rng.randint(1, 50)},
        lambda: {"fault": "shuffle", "symbol": rng.choice(SYMBOLS), "count": rng.randint(1, 5)},
        lambda: {"fault": "freeze", "conn": "md", "seconds": rng.random()},
    ]
    steps = sorted(rng.randint(1000, STEPS) for _ in range(24))
    return [{"at": {"step": step}, **rng.choice(makers)()} for step in steps]


def tear(path, rng):
    """Leave what a power failure may leave: a truncated file and an unfinished one."""
    found = parts(path)
    if found:
        files = RecordingFiles(path)
        file = files.path(*rng.choice(found))
        file.write_bytes(file.read_bytes()[: rng.randint(0, file.stat().st_size - 1)])
        file.with_name(".rows.parquet.new").write_bytes(b"PAR1 half a file")
    return bool(found)


class Turning(bt.Strategy):
    """Switches between two lots long and short every 20 minutes, by market and limit orders."""

    def __init__(self):
        self.bars, self.fills = [], []

    def prenext(self):
        for data in self.datas:
            if not len(data):
                continue
            lines = (data.datetime, data.open, data.high, data.low, data.close, data.volume,
                     data.openinterest, data.bid_price, data.ask_volume)  # fmt: skip
            self.bars.append((data._name, *(repr(line[0]) for line in lines)))
            if len(data) % 20 == 0 and not self.getposition(data).size:
                self.buy(data, size=2)
            elif len(data) % 20 == 10:
                target = -2 if self.getposition(data).size >= 0 else 2
                self.order_target_size(data, target=target)
            elif len(data) % 20 == 15:
                size, price = self.getposition(data).size, data.bid_price[0]
                if size > 0 and price == price:
                    self.sell(data, size=size, price=price, exectype=bt.Order.Limit)

    next = prenext

    def notify_order(self, order):
        done = order.executed
        if order.status in (order.Completed, order.Partial):
            self.fills.append((order.data._name, done.dt, done.size, done.price, done.comm))


def trade(**options):
    """Run the strategy for three days on a sandbox."""
    with MyStore.sandbox(days=3, ticks_per_pack=10, **options) as store:
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.setbroker(store.getbroker())
        for symbol in SYMBOLS:
            cerebro.adddata(store.getdata(symbol, name=symbol))
        cerebro.addstrategy(Turning)
        [strategy] = cerebro.run()
    return strategy


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_three_days_under_faults_and_kills(tmp_path, capsys):
    rng = random.Random(SEED)
    kills = torn = 0
    script = fault_script(rng)
    with EmbeddedSandbox(
        start=DAYS[0], days=3, seed=SEED, ticks_per_pack=10, script=script
    ) as server:
        while server.state()["phase"] != "finished" and kills < 12:
            process = record_process(server, SYMBOLS, tmp_path)
            step = server.state()["steps"] + rng.randint(500, STEPS // 8)
            if not kill_at_step(process, server, step):
                finish(process)
                break
            kills += 1
            if rng.random() < 0.5:  # the market continues without the program
                server.advance(seconds=rng.randint(60, 6 * 3600))
            if rng.random() < 0.5:
                torn += tear(tmp_path, rng)
        words = finish(record_process(server, SYMBOLS, tmp_path))
        assert "0 holes" in words
        count = assert_recorded_exactly(tmp_path, server, SYMBOLS, DAYS)
        faults = server.state()["faults"]["counts"]
    live, again = trade(seed=SEED, start=DAYS[0]), trade(replay=str(tmp_path))
    assert again.bars == live.bars
    assert again.fills == live.fills and live.fills
    with capsys.disabled():
        print(  # noqa: T201
            f"\nseed {SEED}: {kills} kills, {torn} files torn, {count} rows, faults {faults}; "
            f"replayed: {len(again.bars)} bars and {len(again.fills)} fills equal"
        )
