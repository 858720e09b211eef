"""The dual moving average example, as a new user runs it."""

import importlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import backtrader as bt
import pytest

from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox

EXAMPLE = Path(__file__).parents[2] / "examples" / "dual_ma.py"

SEED_SCRIPT = """
import backtrader as bt
from tianqin_backtrader.store import MyStore

class DualMovingAverage(bt.Strategy):
    params = dict(fast=5, slow=20, datafeed=None)

    def __init__(self):
        self.dataclose = self.datas[0].close
        self.sma_fast = bt.ind.SMA(self.dataclose, period=self.p.fast)
        self.sma_slow = bt.ind.SMA(self.dataclose, period=self.p.slow)
        self.crossover = bt.ind.CrossOver(self.sma_fast, self.sma_slow)

    def next(self):
        if self.p.datafeed and self.p.datafeed.history_phase:
            return
        dt = self.datas[0].datetime.datetime(0)
        pos = self.broker.get_account_position(self.data0._name)
        if self.crossover > 0:
            if pos and pos.get('pos_short', 0) > 0:
                self.broker.buy_close(self.data0._name, pos['pos_short'], self.dataclose[0])
            print(f"[{dt}] long")
            self.broker.buy_open(self.data0._name, 1, self.data0.ask_price[0])
        elif self.crossover < 0:
            if pos and pos.get('pos_long', 0) > 0:
                self.broker.sell_close(self.data0._name, pos['pos_long'], self.dataclose[0])
            print(f"[{dt}] short")
            self.broker.sell_open(self.data0._name, 1, self.data0.bid_price[0])

cerebro = bt.Cerebro()
store = MyStore(key='u', value='p')
broker = store.getbroker()
cerebro.setbroker(broker)
data = store.getdata(instrument='SHFE.cu2612', lookback=True)
cerebro.adddata(data)
cerebro.addstrategy(DualMovingAverage, datafeed=data)
cerebro.run()
print("fills", broker.books.fills)
"""


def run_example(*arguments, **environment):
    with tempfile.TemporaryDirectory() as folder:  # its records are in the working directory
        done = subprocess.run(
            [sys.executable, str(EXAMPLE), *arguments], env=os.environ | environment, cwd=folder,
            capture_output=True, text=True, timeout=110, encoding="utf-8",
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def output():
    return run_example()


def test_it_trades_a_whole_day_both_ways(output):
    longs, shorts = map(int, re.search(r"\((\d+) long, (\d+) short\)", output).groups())
    assert longs >= 1
    assert shorts >= 1
    assert "warming up" in output
    fills = re.findall(r"fill .* 2026-11-(\d\d) (\d\d):", output)
    assert {hour for _, hour in fills} & {"21", "22", "23", "00"}, "no fill at night"
    assert {hour for _, hour in fills} & {"09", "10", "11", "13", "14"}, "no fill by day"


def test_all_cash_is_booked_to_the_cent(output):
    def number(name):
        return float(re.search(rf"^{name}\s+([+-]?[\d,.]+)", output, re.M)[1].replace(",", ""))

    equity = re.search(r"final equity\s+([\d,.]+) by the library\s+([\d,.]+) by the acc", output)
    ours, account = equity.groups()
    assert ours == account
    assert number("fees") < 0
    total = number("start") + number("profit") + number("fees")
    assert round(total, 2) == float(ours.replace(",", ""))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_fills_in_any_timezone(output):
    assert run_example(TZ="America/New_York") == output


def test_our_books_the_accounts_and_the_exchanges_agree(sandbox, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLE.parent))
    example = importlib.import_module("dual_ma")
    store = sandbox(seed=5, start="2026-11-10 13:30:00", days=2, ticks_per_pack=5)
    cerebro = bt.Cerebro()
    cerebro.setbroker(store.getbroker())
    cerebro.adddata(store.getdata("SHFE.cu2612", lookback=True))
    cerebro.addstrategy(example.DualMovingAverage)
    [strategy] = cerebro.run()
    [account] = store.sandbox_server.state()["accounts"].values()
    balance = store.broker.balance()
    assert balance.equity == account["balance"] == store.broker.getvalue()
    assert len(strategy.trades) > 10
    # Backtrader's own trades have the same profit, except for lots still open.
    closed = sum(trade.pnlcomm for trade in strategy.trades)
    still = [trade for trades in strategy._trades[strategy.data].values() for trade in trades]
    open_cost = sum(trade.commission for trade in still if trade.isopen)
    size = strategy.position.size
    if size:
        mark = store.broker.get_account_position("SHFE.cu2612")["last_price"]
        closed += size * (mark - strategy.position.price) * 5 - open_cost
    assert closed == pytest.approx(balance.profit - balance.fees, abs=0.01)


@pytest.mark.slow
def test_another_seed_gives_another_day(output):
    assert run_example("--seed", "2") != output


def test_the_seeds_script_runs_against_a_server_named_by_the_environment(tmp_path):
    script = tmp_path / "test.py"
    script.write_text(SEED_SCRIPT, encoding="utf-8")
    with EmbeddedSandbox(start="2026-11-10 13:30:00", ticks_per_pack=5) as server:
        done = subprocess.run(
            [sys.executable, str(script)], env={**os.environ, **server.urls},
            capture_output=True, text=True, timeout=110, encoding="utf-8",
        )  # fmt: skip
        state = server.state()
    assert done.returncode == 0, done.stderr
    fills = int(re.search(r"fills (\d+)", done.stdout)[1])
    assert fills > 0
    assert "] long" in done.stdout
    assert "] short" in done.stdout
    assert state
