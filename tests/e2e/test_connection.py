"""The session renews itself, reports its health, and closes on request."""

import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from itertools import pairwise

import backtrader as bt
import pytest

from tianqin_backtrader import MyStore
from tianqin_backtrader.core.clock import monotonic
from tianqin_backtrader.errors import ConfigError, LinkLost, LoginRefused
from tianqin_backtrader.gateway import supervisor
from tianqin_backtrader.store_reconnect import Reconnector

BEIJING = timezone(timedelta(hours=8))


class Bars(bt.Strategy):
    params = dict(bars=5, act=None)

    def __init__(self):
        self.count, self.told, self.statuses, self.stamps = 0, [], [], []

    def notify_store(self, msg, *args, **kwargs):
        self.told.append(str(msg))

    def notify_data(self, data, status, *args, **kwargs):
        self.statuses.append(data._getstatusname(status))

    def next(self):
        self.count += 1
        self.stamps.append(self.data.datetime.datetime(0))
        if self.p.act is not None:
            self.p.act(self)
        if self.count == self.p.bars:
            self.env.runstop()


def test_health_is_one_value(sandbox, run):
    store = sandbox(start="2026-11-10 09:31:00", ticks_per_pack=5)
    run(store, Bars, store.getdata("SHFE.cu2612"))
    health = store.health()
    assert health.market_data_up
    assert health.trading_up
    assert health.state == "UP"
    assert health.last_data["SHFE.cu2612"].hour == 9
    assert health.next_boundary == datetime(2026, 11, 10, 10, 15)
    assert health.reconnects_today == 0
    assert health.backoff == 0.0
    assert 0 <= health.lag < 60
    assert store.reconnector.healthy()
    assert datetime.fromtimestamp(store.last_ok_ts, BEIJING).replace(tzinfo=None) == health.last_ok
    assert store.backoff_secs == 0.0


def test_a_reconnector_is_a_stores():
    """The original ``Reconnector(key, value)`` would open a session of its own."""
    with pytest.raises(ConfigError, match=r"MyStore\(key, value\).reconnector"):
        Reconnector("user", "password")


def test_retry_finds_a_dead_line_and_makes_it_anew(sandbox, run):
    store = sandbox(start="2026-11-10 09:31:00", ticks_per_pack=5)
    feed = store.getdata("SHFE.cu2612")
    run(store, Bars, feed)
    assert store.retry("SHFE.cu2612")
    assert store.reconnector.sessions == 1
    before = store.tianqin
    store.sandbox_server.fault("drop", conn="all")
    assert store.retry("SHFE.cu2612")
    assert store.reconnector.sessions == 2
    assert store.tianqin is not before
    strategy = run(store, Bars, feed)
    assert strategy.count == 5


@pytest.mark.told_time("a server that refuses has done so before any time passes")
def test_health_says_what_is_wrong_while_the_server_is_away(sandbox, run):
    store = sandbox(start="2026-11-10 09:31:00", ticks_per_pack=5)
    run(store, Bars, store.getdata("SHFE.cu2612"))
    assert store.health().last_error == ""
    store.sandbox_server.fault("refuse", seconds=60)
    store.sandbox_server.fault("drop", conn="all")
    while store.health().state == "UP":
        store.pump(0.1)
    assert "网络连接断开" in store.health().last_error
    while store.health().state != "BACKOFF":
        store.pump(0.1)
    assert store.health().last_error == "the server accepts no connections"


def test_retry_outside_of_trading_hours_does_nothing(sandbox):
    store = sandbox(start="2026-11-10 12:00:00")
    assert store.retry("SHFE.cu2612")
    assert store.reconnector.answers == 0


def test_a_password_that_was_changed_ends_the_run_and_is_said_once(sandbox, run, caplog):
    def act(strategy):
        if strategy.count == 3:
            server = strategy.broker.store.sandbox_server
            server.fault("refuse_token", attempts=99)
            server.fault("drop", conn="all")

    store = sandbox(start="2026-11-10 09:31:00", ticks_per_pack=5)
    with pytest.raises(LoginRefused, match="Invalid user credentials"):
        run(store, Bars, store.getdata("SHFE.cu2612"), bars=99, act=act)
    assert store.health().state == "FATAL"
    store.close()


def test_the_strategy_is_told_when_the_market_closes_and_opens(sandbox, run):
    store = sandbox(start="2026-11-10 09:58:00", speed=300)
    strategy = run(store, Bars, store.getdata("SHFE.cu2612"), bars=20)
    told = [text for text in strategy.told if "market is" in text]
    assert told[:3] == [
        "the market is open until 2026-11-10 10:15:00",
        "the market is closed until 2026-11-10 10:30:00",
        "the market is open until 2026-11-10 11:30:00",
    ]
    assert strategy.statuses == ["LIVE", "CLOSED", "LIVE"]


def test_a_session_is_made_anew_ahead_of_the_end_of_a_long_break(sandbox, run, monkeypatch):
    """Ten minutes of market in a second, from 11:15 to 13:45."""
    monkeypatch.setattr(supervisor, "DEBOUNCE", 0.0)
    store = sandbox(start="2026-11-10 11:05:00", speed=600, rebuild_ahead=600)
    feed = store.getdata("SHFE.cu2612", lookback=30, night_start=False)
    strategy = run(store, Bars, feed, bars=65)
    assert store.reconnector.sessions == 2
    seconds = [(b - a).total_seconds() for a, b in pairwise(strategy.stamps)]
    assert sorted(set(seconds)) in ([60.0, 121 * 60.0], [60.0, 16 * 60.0, 121 * 60.0])
    certificate = store.certificate()["SHFE.cu2612"]
    assert certificate.corrected == certificate.missing == 0


PROGRAM = """
import sys
import backtrader as bt
from tianqin_backtrader import MyStore

class Run(bt.Strategy):
    def notify_data(self, data, status, *args, **kwargs):
        print(data._getstatusname(status), flush=True)

    def next(self):
        if "fail" in sys.argv:
            raise RuntimeError("the strategy fails")

speed = None if "fail" in sys.argv else 1
store = MyStore.sandbox(start="2026-11-10 11:31:00" if speed else "2026-11-10 10:00", speed=speed)
print("pid", store.sandbox_server.pid, flush=True)
cerebro = bt.Cerebro(stdstats=False)
cerebro.setbroker(store.getbroker())
for symbol in ("SHFE.cu2612", "SHFE.rb2701"):
    cerebro.adddata(store.getdata(symbol))
cerebro.addstrategy(Run)
cerebro.run()
"""


def start_program(*arguments):
    process = subprocess.Popen(
        # Backtrader reads the time by a function that is deprecated since Python 3.12.
        [sys.executable, "-W", "error", "-W", "ignore:datetime.datetime.utc:DeprecationWarning",
         "-c", PROGRAM, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    server = None
    for line in process.stdout:
        if line.startswith("pid"):
            server = int(line.split()[1])
        if line.strip() in ("CLOSED", "LIVE"):
            break
    return process, server


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_ctrl_c_ends_a_closed_market_at_once_and_closes_everything():
    process, server = start_program()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)  # a bound for hangs
    assert "KeyboardInterrupt" in errors
    assert "never awaited" not in errors
    assert "destroyed but it is pending" not in errors
    assert not is_alive(server)


def test_an_exception_in_the_strategy_closes_everything():
    process, server = start_program("fail")
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert errors.rstrip().endswith("RuntimeError: the strategy fails")
    assert "destroyed but it is pending" not in errors
    assert not is_alive(server)


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (401, LoginRefused, "TianQin refused the login: .*Invalid user credentials"),
        (503, LinkLost, "not in service, which says nothing of user and password: .*503.*Invalid"),
    ],
)
def test_a_login_server_that_answers_at_a_start(sandbox, status, error, words):
    """The server's answer says "invalid credentials" in both cases."""
    server = sandbox(users={"tom": "open-sesame"}).sandbox_server
    server.fault("refuse_token", status=status)
    with pytest.raises(error, match=words):
        MyStore("tom", "open-sesame", urls=server.urls)


def test_a_login_server_in_trouble_is_no_wrong_password(sandbox, run):
    """It answers 503, and 401 to a wrong password: the program continues to try."""

    def act(strategy):
        if strategy.count == 3:
            server = strategy.broker.store.sandbox_server
            server.fault("refuse_token", attempts=3, status=503)
            server.fault("drop", conn="all")

    store = sandbox(start="2026-11-10 09:31:00", ticks_per_pack=5)
    strategy = run(store, Bars, store.getdata("SHFE.cu2612"), bars=6, act=act)
    assert strategy.count == 6
    assert store.sandbox_server.state()["faults"]["refused_tokens"] == 0


def test_a_store_on_a_frozen_line_is_closed_without_waiting_for_the_other_side(sandbox):
    store = sandbox(start="2026-11-10 09:31:00", speed=1.0)
    assert store.tianqin.get_quote("SHFE.cu2612").last_price > 0
    store.sandbox_server.fault("freeze", conn="all")
    began = monotonic()
    store.close()
    assert monotonic() < began + 8  # tqsdk would wait for ten seconds


@pytest.mark.both_worlds
def test_a_line_that_is_lost_before_the_feeds_start_is_made_anew(sandbox, run):
    store = sandbox(start="2026-11-10 14:55:00")
    feed = store.getdata("SHFE.cu2612")
    sessions = store.reconnector.sessions
    store.sandbox_server.fault("drop", conn="all")
    while store.reconnector.sessions == sessions:
        store.pump(0.1)
    assert len(run(store, bt.Strategy, feed)) > 3
