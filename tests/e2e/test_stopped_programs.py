"""Ctrl-C and SIGTERM end a user's script in order, and an alert reports it."""

import signal
import subprocess
import sys

import pytest
from webhook import Webhook

PROGRAM = """
import os, sys, time
import backtrader as bt
import pandas as pd
from tianqin_backtrader import MyStore

CU = "SHFE.cu2612"
how = sys.argv[1]

class Holds(bt.Strategy):
    def next(self):
        if len(self) == 2:
            self.buy(size=1)
        if len(self) == 6:
            price = self.data.close[0]
            self.sell(size=1, exectype=bt.Order.Stop, price=price - 500)
            self.buy(size=1, exectype=bt.Order.Limit, price=price - 300)
        if len(self) == 9:
            print("READY", flush=True)
            while how == "busy":
                time.sleep(0.05)
                print("busy", flush=True)
        if len(self) > 9:
            time.sleep(0.05)

    def stop(self):
        print("strategy.stop", flush=True)

class Slow(bt.Strategy):
    def next(self):
        time.sleep(0.05)

def back_test():
    days = pd.date_range("2026-01-01", periods=1000)
    columns = ("open", "high", "low", "close", "volume")
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(bt.feeds.PandasData(dataname=pd.DataFrame(1.0, days, columns)))
    cerebro.addstrategy(Slow)
    cerebro.run()

def main():
    options = {"stop_on_signals": False} if how == "off" else {}
    with MyStore.sandbox(
        start="2026-11-10 09:31:00", strategy_name="mine", **options
    ) as store:
        store.alerts(sys.argv[2])
        if how == "own loop":
            store.getbroker(records=False).start()
            print("READY", flush=True)
            while True:
                store.pump(0.2)
        while how == "back-test":
            print("READY", flush=True)
            back_test()
        while True:
            cerebro = bt.Cerebro(stdstats=False)
            cerebro.setbroker(store.getbroker(records=False))
            cerebro.adddata(store.get_tick_data(CU))
            cerebro.addstrategy(Holds)
            try:
                cerebro.run()
            except Exception:
                pass
            print("run again", flush=True)

main()
"""


@pytest.fixture
def hook():
    made = Webhook()
    yield made
    made.close()


@pytest.fixture
def start(hook, tmp_path):
    """Start a program that can be stopped in the given way; return its process once it is ready."""
    running = []

    def start(how):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, how, hook.url], cwd=tmp_path,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        running.append(process)
        for line in process.stdout:
            if line == "READY\n":
                return process
        pytest.fail(process.stderr.read())

    yield start
    for process in running:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("number", "name", "code"),
    [(signal.SIGTERM, "SIGTERM", 0), (signal.SIGINT, "Ctrl-C", -signal.SIGINT)],
)
def test_the_strategy_stops_and_an_alert_says_what_is_left(start, hook, number, name, code):
    process = start("run")
    process.send_signal(number)
    out, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert out.splitlines() == ["strategy.stop"]
    assert "destroyed but it is pending" not in errors
    [message] = hook.wait(1)
    assert message["title"] == "[mine] The program was stopped"
    assert message["type"] == "warning"
    lines = message["message"].splitlines()
    assert lines[:3] == [
        f"by {name}",
        "orders working at the exchange: 1",
        "orders that waited in the ended program: 1",
    ]
    assert any("SHFE.cu2612" in line for line in lines[3:])


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT)]
)
def test_a_second_one_ends_a_strategy_that_does_not_return(start, hook, number, code):
    process = start("busy")
    process.send_signal(number)
    for _ in range(10):
        assert process.stdout.readline() == "busy\n"
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == code
    assert "strategy.stop" not in out
    hook.wait(1)
    assert hook.titles == ["[mine] The program was stopped"]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT)]
)
@pytest.mark.parametrize("how", ["own loop", "back-test"])
def test_what_is_no_run_of_the_store_is_left_at_once(start, hook, how, number, code):
    process = start(how)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert "destroyed but it is pending" not in errors
    hook.wait(1)
    assert hook.titles == ["[mine] The program was stopped"]


def test_who_switches_it_off_is_killed_by_sigterm(start, hook):
    process = start("off")
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (-signal.SIGTERM, "")
    assert hook.messages == []


def test_ctrl_c_is_told_even_so(start, hook):
    process = start("off")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (-signal.SIGINT, "")
    hook.wait(1)
    assert hook.titles == ["[mine] The program was stopped"]
