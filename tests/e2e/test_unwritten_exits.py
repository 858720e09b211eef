"""A stop is sent while records cannot be written, and the program dies before they can."""

import json
import os
import signal
import subprocess
import sys

import backtrader as bt
import pandas as pd
import pytest

from tianqin_backtrader import MyStore
from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox

SYMBOL = "SHFE.cu2612"
FIRST = """
import json, os, resource, signal, sys
import backtrader as bt
from tianqin_backtrader import MyStore

class Protected(bt.Strategy):
    bars, stop_order, pages = 0, None, None

    def next(self):
        self.bars += 1
        if self.bars == 1:
            self.buy(size=3)
        elif self.bars == 3:
            price = self.data.close[0]
            self.stop_order = self.sell(size=3, exectype=bt.Order.Stop, price=price - 80)
            target = self.sell(size=3, exectype=bt.Order.Limit, price=price + 3000,
                               oco=self.stop_order)
        elif self.bars == 4:
            size = os.path.getsize(f"{self.broker.journal.path}-wal")
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def notify_order(self, order):
        if DIES == "told" and self.broker.records_broken and order.legs and not order.alive():
            self.die()

    def notify_store(self, msg, *args, **kwargs):
        if DIES == "taken" and self.broker.records_broken:
            if any(leg.exchange_order_id for leg in self.stop_order.legs):
                self.die()

    def die(self):
        print(self.stop_order.legs[0].order_id, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

with MyStore("sandbox", "sandbox", urls=json.loads(sys.argv[1]), strategy_name="one") as store:
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.setbroker(store.getbroker(records=sys.argv[2]))
    cerebro.adddata(store.getdata("SHFE.cu2612"))
    cerebro.addstrategy(Protected)
    cerebro.run()
"""


class Looks(bt.Strategy):
    """Keeps the notifications of the next program."""

    def __init__(self):
        self.told, self.heard = [], []

    def notify_order(self, order):
        self.told.append((order.getordername(), order.getstatusname(), int(order.executed.size)))

    def notify_store(self, msg, *args, **kwargs):
        self.heard.append(str(msg))

    def next(self):
        if len(self) > 2:
            self.env.runstop()


def look(box, folder):
    """Run the next program with the same records; return its strategy."""
    with MyStore("sandbox", "sandbox", urls=box.urls, strategy_name="one") as store:
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.setbroker(store.getbroker(records=folder))
        cerebro.adddata(store.getdata(SYMBOL))
        cerebro.addstrategy(Looks)
        [strategy] = cerebro.run()
        assert store.broker.getposition(SYMBOL).size == 0
    return strategy


def read(folder, name):
    return pd.read_csv(folder / "one" / f"{name}.csv", dtype={"order_id": str})


@pytest.mark.parametrize(
    ("counter", "dies"),
    [("kq", "told"), ("ctp", "taken"), ("ctp", "told")],  # kq fills orders when it accepts them
)
def test_the_next_program_finds_it_and_its_end(tmp_path, counter, dies):
    """The program dies when the exchange has accepted the order, or after the end is notified."""
    script = FIRST.replace("DIES", repr(dies))
    with EmbeddedSandbox(
        start="2026-11-10 09:31:00", ticks_per_pack=5, balance=1e8, counter=counter
    ) as box:
        first = subprocess.run(
            [sys.executable, "-c", script, json.dumps(box.urls), str(tmp_path)],
            capture_output=True, text=True, timeout=100, cwd=tmp_path, env=dict(os.environ),
        )  # fmt: skip
        assert first.returncode == -signal.SIGKILL, first.stderr
        order_id = first.stdout.split()[-1]
        assert order_id not in set(read(tmp_path, "order").order_id)
        strategy, again = look(box, tmp_path), look(box, tmp_path)
        [account] = box.state()["accounts"].values()
    ends = [one for one in strategy.told if one[1] in ("Completed", "Canceled")]
    assert sorted(ends) == [("Limit", "Canceled", 0), ("Stop", "Completed", -3)]
    assert again.told == []
    assert not any("not sent" in words or "no protection" in words for words in strategy.heard)
    rows = read(tmp_path, "order").drop_duplicates("order_id", keep="last").set_index("order_id")
    row = rows.loc[order_id]
    assert (row.status, row.volume_left, row.strategy) == ("FINISHED", 0, "Protected")
    trades = read(tmp_path, "trade")
    assert trades[trades.order_id == order_id].volume.sum() == 3
    assert len(trades) == len(account["trades"])
