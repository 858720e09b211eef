"""The counters over real sockets, with the real tqsdk."""

import time

import pytest
from e2e_script import CU, MORNING, M, exchange_orders, play
from tqsdk import TqAccount, TqApi, TqAuth, TqKq

from tianqin_backtrader.embedded import EmbeddedSandbox


@pytest.fixture
def connect(monkeypatch):
    """Make clients of a sandbox; all are closed at the end."""
    opened = []

    def make(exchange, account=None, user="u"):
        for name, value in exchange.urls.items():
            monkeypatch.setenv(name, value)
        broker = exchange.counter == "ctp"
        account = account or (TqAccount("沙盒期货", user, "p") if broker else TqKq())
        api = TqApi(account, auth=TqAuth(user, "p"), debug=False, disable_print=True)
        opened.append(api)
        return api

    yield make
    for api in opened:
        api.close()


def until(api, holds):
    """Wait for updates until something holds."""
    end = time.time() + 20
    while not holds():
        assert time.time() < end, "it did not come to that within 20 s"
        api.wait_update(end)


def codes(api):
    notices = api._data["notify"]
    return [notices[key]["code"] for key in notices if not key.startswith("_")]


def picture(api, symbol, order):
    position = api.get_position(symbol)
    names = ("pos_long_today", "volume_long", "volume_long_frozen_today", "open_price_long")
    lots = tuple(position.get(name, 0) for name in names)
    return order.status, order.exchange_order_id, order.last_msg, len(order.trade_records), lots


def test_a_broker_tells_of_an_opening_fill_step_by_step(connect):
    with EmbeddedSandbox(start=MORNING, counter="ctp", query_seconds=2.0) as exchange:
        api = connect(exchange)
        quote = api.get_quote(M)
        until(api, lambda: quote.ask_price1 == quote.ask_price1)
        order = api.insert_order(M, "BUY", "OPEN", 2, quote.ask_price1)
        seen = []
        while not seen or seen[-1][-1][1] != 2:
            assert api.wait_update(time.time() + 10)
            now = picture(api, M, order)
            if now != (seen[-1] if seen else None):
                seen.append(now)
        states = [
            (status, number.strip(), fills, lots[:2]) for status, number, _, fills, lots in seen
        ]
        assert (
            states
            == [
                ("ALIVE", "", 0, (0, 0)),
                ("ALIVE", "", 0, (0, 0)),
                ("ALIVE", "1", 0, (0, 0)),
                ("FINISHED", "1", 0, (0, 0)),
                ("FINISHED", "1", 1, (2, 0)),
                ("FINISHED", "1", 1, (2, 2)),
            ][-len(states) :]
        )
        assert len(states) >= 5
        assert {324, 325, 328, 331} <= set(codes(api))
        exact = exchange.state()["accounts"]["u"]["positions"][M]
        assert exact["pos_long_today"] == exact["volume_long"] == 2


def test_the_paper_account_tells_all_at_once(connect):
    with EmbeddedSandbox(start=MORNING, counter="kq") as exchange:
        api = connect(exchange)
        quote = api.get_quote(M)
        until(api, lambda: quote.ask_price1 == quote.ask_price1)
        order = api.insert_order(M, "BUY", "OPEN", 2, quote.ask_price1)
        until(api, lambda: order.status == "FINISHED")
        assert picture(api, M, order)[1:4] == (order.order_id, "", 1)
        position = api.get_position(M)
        assert (position.pos_long_today, position.volume_long) == (2, 2)
        assert position.open_price_short != position.open_price_short  # "-"
        assert {401, 417, 406} <= set(codes(api))


@pytest.mark.parametrize("speed", [None, 5.0])
def test_queries_are_answered_after_the_markets_days_are_over(connect, speed):
    with EmbeddedSandbox(
        start="2026-11-10 14:59:00", counter="ctp", speed=speed, query_seconds=2.3
    ) as exchange:
        api = connect(exchange)
        quote = api.get_quote(M)
        until(api, lambda: quote.ask_price1 == quote.ask_price1)
        order = api.insert_order(M, "BUY", "OPEN", 2, quote.ask_price1)
        until(api, lambda: order.status == "FINISHED" and order.trade_records)
        exchange.advance(to="2026-11-10 15:30:00")
        until(api, lambda: exchange.state()["phase"] == "finished")
        until(api, lambda: api.get_position(M).get("volume_long_yd", 0) == 2)
        assert api.get_position(M).pos_long_his == 2


@pytest.mark.parametrize("counter", ["plain", "kq", "ctp"])
def test_a_strategy_trades_at_every_counter(sandbox, run, counter):
    def script(strategy):
        yield strategy.broker.buy_open(CU, 1, strategy.data.ask_price[0] + 500)
        assert strategy.broker.get_account_position(CU)["pos_long"] == 1
        yield strategy.broker.sell_close(CU, 1, strategy.data.bid_price[0] - 500)
        done.append(strategy.broker.get_account_position(CU))

    done = []
    store = sandbox(start=MORNING, counter=counter, commission="zero")
    play(store, run, script, CU)
    assert done == [{}]
    assert [order["offset"] for order in exchange_orders(store).values()] == ["OPEN", "CLOSETODAY"]
