"""Events of a run reach a webhook, once each; an alert server that hangs changes nothing."""

import logging
import re
from datetime import datetime

import backtrader as bt
import pytest
from e2e_script import CU, IF, Script
from webhook import Webhook

from tianqin_backtrader.errors import LoginRefused


@pytest.fixture
def webhook():
    made = []

    def make(**options):
        made.append(Webhook(**options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_a_rejected_order_and_a_days_end(sandbox, run, webhook):
    hook = webhook()
    store = sandbox(start="2026-11-10 14:50:00", strategy_name="dual")
    alerts = store.alerts(hook.url)

    def script(strategy):
        broker = strategy.broker
        yield
        yield broker.buy_open(CU, 1)
        store.sandbox_server.fault("reject_order", count=2)
        yield broker.buy_open(CU, 1)
        yield broker.buy_open(CU, 1)
        broker.halt("enough")
        yield
        yield broker.buy_open(CU, 1)

    run(store, Script, store.getdata(CU), script=script)
    while not store.market_over:
        store.pump(0.1)
    store.pump(0.1)
    alerts.close()
    refused, halted, held, day = hook.wait(4)
    assert hook.titles == [
        "[dual] Order rejected",
        "[dual] Risk state is HALTED",
        "[dual] Order rejected",
        "[dual] Trading day 2026-11-10",
    ]
    assert refused["message"].startswith(f"{CU} buy 1: CTP:综合交易平台：系统繁忙")
    assert refused["type"] == "warning"
    assert halted["message"].startswith("ACTIVE -> HALTED: enough")
    assert "state is HALTED" in held["message"]
    # at the close, before the settlement
    equity, profit, fees = re.match(
        r"equity ([\d,.]+) yuan, today ([+\-\d,.]+)\nfees ([\d.]+)", day["message"]
    ).groups()
    assert float(fees) == store.broker.books.fees > 0
    assert float(equity.replace(",", "")) == 1_000_000 + float(profit.replace(",", ""))
    assert f"{CU} long 1" in day["message"]
    assert "orders 3, refused 3" in day["message"]
    assert (alerts.counts().sent, alerts.counts().errors) == (4, 0)


def test_a_night_by_the_virtual_clock(sandbox, run, webhook):
    hook = webhook()
    store = sandbox(start="2026-11-10 14:58:00", days=2)
    alerts = store.alerts(hook.url)

    def script(strategy):
        while store.now() < datetime(2026, 11, 11, 9, 31):
            yield

    run(store, Script, store.getdata(IF), script=script)
    alerts.close()
    assert hook.titles == ["Trading day 2026-11-10", "Still alive", "Go for 09:30"]
    checked = re.findall(r"^(\w+): (\w+)", hook.messages[2]["message"], re.MULTILINE)
    names = ("link", "account", "calendar", "disk", "feeds", "risk")
    assert checked == [(name, "ok") for name in names]


def test_a_lost_link_is_told_when_it_lasts_and_when_it_is_back(sandbox, run, webhook):
    hook = webhook()
    store = sandbox(start="2026-11-10 09:31:00")
    store.alerts(hook.url, link_lost_after=0.3, events=("link",))

    def script(strategy):
        for _ in range(5):
            yield
        server = store.sandbox_server
        server.fault("refuse", conn="all", seconds=1.5)
        server.fault("drop", conn="all")
        while len(hook.messages) < 2:
            yield

    run(store, Script, store.getdata(CU), script=script)
    assert [one["title"] for one in hook.wait(2)] == ["Link lost", "Link is back"]
    assert hook.messages[0]["type"] == "failure"
    assert hook.messages[0]["message"].startswith("down for ")


class Bars(bt.Strategy):
    def __init__(self):
        self.seen = []

    def next(self):
        data = self.data
        self.seen.append((data.datetime.datetime(0), data.close[0], data.volume[0]))
        if not len(self) % 10:
            self.broker.buy_open(f"SHFE.cu{len(self)}", 1)  # refused, each with a reason of its own
        if len(self) == 60:
            self.env.runstop()


def bars(sandbox, run, *urls):
    store = sandbox(start="2026-11-10 09:01:00")
    alerts = store.alerts(*urls, repeat_after=0) if urls else None
    return run(store, Bars, store.getdata(CU)).seen, alerts


@pytest.mark.told_time("alerts leave in real time, and that market does not wait for them")
def test_an_alert_server_that_hangs_or_fails_does_not_slow_the_run(sandbox, run, webhook, caplog):
    hangs, fails = webhook(hangs=True), webhook(status=500)
    plain, _ = bars(sandbox, run)
    with caplog.at_level(logging.DEBUG):
        with_alerts, alerts = bars(sandbox, run, hangs.url, fails.url, "json://127.0.0.1:9/gone")
    assert with_alerts == plain
    assert len(plain) == 60
    hangs.wait_for_attempts(1)
    counts = alerts.counts()
    assert counts.sent == 0
    assert counts.waiting > 5
    assert hangs.attempts == 1  # it still hung when the run was over
    assert sum("fail" in one.message for one in caplog.records if "sender" in one.name) <= 3
    assert "Se3cretT0ken" not in caplog.text


def test_a_bar_that_differs_is_told(sandbox, run, webhook):
    hook = webhook()
    store = sandbox(start="2026-11-10 09:31:00")
    store.alerts(hook.url)

    def script(strategy):
        for _ in range(5):
            delivered = strategy.data._live._unchecked
            delivered[-1] = delivered[-1]._replace(close=delivered[-1].close + 10)
            yield

    run(store, Script, store.getdata(CU), script=script)
    store.close()
    [message] = hook.messages  # the others are held back
    assert message["title"] == "Bar differs from the official one"
    assert message["message"].startswith(f"{CU}: the bar of 2026-11-10 09:3")
    assert message["message"].splitlines()[0].endswith("differs in close")


@pytest.mark.slow
def test_a_login_that_is_refused_for_good_is_told_before_the_run_ends(sandbox, run, webhook):
    hook = webhook()
    store = sandbox(start="2026-11-10 09:31:00")
    store.alerts(hook.url, link_lost_after=3600)

    def script(strategy):
        yield
        store.sandbox_server.fault("refuse_token", attempts=99)
        store.sandbox_server.fault("drop", conn="all", how="clean")
        while True:
            yield

    with pytest.raises(LoginRefused):
        run(store, Script, store.getdata(CU), script=script)
    store.close()
    [message] = hook.messages
    assert message["title"] == "Link given up"
    assert message["message"]


def test_a_strategy_that_fails_says_what_it_leaves_behind(sandbox, run, webhook):
    hook = webhook()

    def script(strategy):
        yield
        strategy.buy(size=2)
        yield
        price = strategy.data.close[0]
        strategy.sell(size=2, exectype=bt.Order.Stop, price=price * 0.97)
        strategy.buy(size=1, exectype=bt.Order.Limit, price=round(price * 0.97, -1))
        yield
        raise ZeroDivisionError("no average of nothing")

    with (
        pytest.raises(ZeroDivisionError),
        sandbox(start="2026-11-10 09:31:00", strategy_name="dual") as store,
    ):
        store.alerts(hook.url)
        store.getbroker(records=False)
        run(store, Script, store.getdata(CU), script=script)
    [message] = hook.messages
    assert message["title"] == "[dual] The program has failed"
    assert message["type"] == "failure"
    lines = message["message"].splitlines()
    assert lines[:3] == [
        "ZeroDivisionError: no average of nothing",
        "orders working at the exchange: 1",
        "orders that waited in the ended program: 1",
    ]
    assert any(CU in line and "2" in line for line in lines[3:])
