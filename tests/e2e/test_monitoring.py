"""Health as JSON and figures for Prometheus, read while a strategy runs."""

import json
import urllib.request

import backtrader as bt
import pytest
from e2e_script import CU
from prometheus_client.parser import text_string_to_metric_families

from tianqin_backtrader.errors import ConfigError

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(url):
    with OPENER.open(url, timeout=5) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def figures(url):
    kind, text = get(url + "metrics")
    assert kind.startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Reads(bt.Strategy):
    """Reads its own monitoring during the run, like another program."""

    params = (("monitor", None),)

    def __init__(self):
        self.health, self.figures = {}, {}

    def next(self):
        if len(self) == 2:
            self.broker.buy_open(CU, 2)
            self.broker.buy_open(CU, 1_000_000)
        if len(self) == 6:
            self.broker.halt("for the test")
        if len(self) == 8:
            self.p.monitor.publish(self.p.monitor.latest.taken)  # do not wait for the next one
            self.health = json.loads(get(self.p.monitor.url + "health")[1])
            self.figures = figures(self.p.monitor.url)
            self.env.runstop()


@pytest.mark.parametrize("kind", ["monitor", "serve"])
def test_health_and_figures(sandbox, run, kind):
    store = sandbox(start="2026-11-10 09:31:00", strategy_name="dual")
    monitor = getattr(store, kind)()
    strategy = run(store, Reads, store.getdata(CU), monitor=monitor)
    health, seen = strategy.health, strategy.figures
    assert health["strategy"] == "dual"
    assert health["at"].startswith("2026-11-10 09:3")
    assert health["market_data_up"] is health["trading_up"] is health["trading"] is True
    assert (health["state"], health["risk_state"]) == ("UP", "HALTED")
    assert health["risk_reason"] == "for the test"
    assert health["next_boundary"] == "2026-11-10 10:15:00.000"
    assert 0 <= health["age"] < 60
    [held] = health["positions"]
    assert (held["symbol"], held["side"], held["lots"]) == (CU, "long", 2)
    assert health["bars"][CU]["corrected"] == 0
    assert (health["counts"]["orders"], health["counts"]["rejected"]) == (2, 1)
    assert seen["tianqin_market_data_up",] == seen["tianqin_trading_up",] == 1
    assert seen["tianqin_link_state", "UP"] == seen["tianqin_risk_state", "HALTED"] == 1
    assert seen["tianqin_risk_state", "ACTIVE"] == 0
    assert seen["tianqin_position_lots", CU, "long"] == 2
    assert seen["tianqin_account_balance_yuan",] == health["account"]["balance"]
    assert seen["tianqin_orders_total",] == 2
    assert seen["tianqin_rejected_total",] == 1
    assert seen["tianqin_fills_total",] >= 1
    assert seen["tianqin_rounds_total",] > 8
    assert seen["tianqin_bars", CU, "delivered"] >= 7


def test_before_anything_there_is_health_too(sandbox):
    store = sandbox()
    monitor = store.monitor()
    health = json.loads(get(monitor.url + "health")[1])
    assert health["market_data_up"] is True
    assert health["lag"] is None
    assert health["positions"] == []
    assert figures(monitor.url)["tianqin_rounds_total",] == 0
    with pytest.raises(ConfigError, match=str(monitor._server.port)):
        store.monitor(monitor._server.port)
    store.close()
    with pytest.raises(OSError):
        get(monitor.url + "health")
