"""The counters over real sockets, with the real tqsdk."""

import json
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from e2e_script import CU, MORNING, M, exchange_orders, play
from tqsdk import TqAccount, TqApi, TqAuth, TqKq
from websockets.sync.client import connect as connect_socket

from tianqin_backtrader.core.model import Fill, OrderReport
from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox


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


# -- a recorded account ---------------------------------------------------------------------------

RECORDED = Path(__file__).parents[3] / "shared/data/recorded_trading/kq_2025-12-24_snapshot.json"


def same(mine, theirs):
    """Return whether a value equals the recorded one, which is "-" where ours may be nan."""
    if theirs == "-":
        return mine == "-" or mine != mine
    return mine == theirs


@pytest.mark.skipif(not RECORDED.exists(), reason="the recordings are not on this machine")
@pytest.mark.parametrize("counter", ["kq", "ctp"])
def test_the_recorded_account_is_read_without_a_difference(sandbox, counter):
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    store = sandbox(start="2025-12-24 14:59:00", counter=counter, account_file=RECORDED)
    gateway = store.gateway.trading
    positions, account = gateway.positions(), gateway.account()
    assert positions.keys() == recorded["positions"].keys() and len(positions) == 20
    wrong = [
        (symbol, name, positions[symbol].get(name), value)
        for symbol, row in recorded["positions"].items()
        for name, value in row.items()
        if name != "user_id" and not same(positions[symbol].get(name), value)
    ]
    assert wrong == []
    money = recorded["accounts"]["CNY"]
    assert [
        name for name in money if name != "user_id" and not same(account[name], money[name])
    ] == []
    reports = gateway.all_reports()
    orders = {one.order_id: one for one in reports if isinstance(one, OrderReport)}
    fills = {one.trade_id: one for one in reports if isinstance(one, Fill)}
    assert (len(orders), len(fills)) == (68, 50)
    for order_id, row in recorded["orders"].items():
        one = orders[order_id]
        names = ("status", "volume_orign", "volume_left", "limit_price", "exchange_order_id")
        assert [getattr(one, name) for name in names] == [row[name] for name in names]
        assert (str(one.direction), str(one.offset)) == (row["direction"], row["offset"])
        assert one.last_msg == row["last_msg"]
    for trade_id, row in recorded["trades"].items():
        one = fills[trade_id]
        names = ("order_id", "price", "volume", "commission")
        assert [getattr(one, name) for name in names] == [row[name] for name in names]
        assert one.time == row["trade_date_time"]


# -- other terminals, and gateways without their file of ids ---------------------------------------


@pytest.mark.parametrize("counter", ["plain", "kq", "ctp"])
def test_other_hands_reach_the_client(connect, counter):
    with EmbeddedSandbox(start=MORNING, counter=counter) as exchange:
        api = connect(exchange)
        quote = api.get_quote(M)
        until(api, lambda: quote.ask_price1 == quote.ask_price1)
        done = exchange.fault("foreign_order", symbol=M, volume=3, trade_first=True)
        position = api.get_position(M)
        until(api, lambda: position.get("pos_long_today", 0) == 3)
        until(api, lambda: done["order_id"] in api.get_order())
        exchange.fault("foreign_trade", symbol=M, direction="SELL", offset="CLOSE", volume=2)
        until(api, lambda: position.pos_long_today == 1)
        assert [row.order_id for row in api.get_trade().values()] == [done["order_id"], ""]


def test_forgotten_ids_come_back_after_the_reconnect(connect):
    with EmbeddedSandbox(start=MORNING, counter="ctp", speed=1.0) as exchange:
        api = connect(exchange)
        quote = api.get_quote(M)
        until(api, lambda: quote.ask_price1 == quote.ask_price1)
        order = api.insert_order(M, "BUY", "OPEN", 1, quote.lower_limit)
        until(api, lambda: order.exchange_order_id)
        assert exchange.fault("forget_order_ids") == {"orders": 1}
        end = time.time() + 40  # tqsdk waits up to 20 s before it connects again
        while len(api.get_order()) < 2:
            assert time.time() < end
            api.wait_update(end)
        [other] = [one for one in api.get_order().values() if one.order_id != order.order_id]
        assert other.order_id.startswith("SERVER.")
        assert other.exchange_order_id == order.exchange_order_id


class Wire:
    """A trading connection without tqsdk, which sends peeks only on request."""

    def __init__(self, socket):
        self.socket = socket

    def send(self, aid, **fields):
        self.socket.send(json.dumps({"aid": aid, **fields}))

    def read(self):
        return json.loads(self.socket.recv(timeout=10))

    def notice(self):
        [diff] = self.read()["data"]
        [notice] = diff["notify"].values()
        return notice


@contextmanager
def wire_to(exchange):
    with connect_socket(exchange.urls["TQ_TD_URL"], proxy=None) as socket:
        wire = Wire(socket)
        assert wire.read()["aid"] == "rtn_brokers"
        yield wire


def test_where_time_passes_by_itself_messages_wait_for_no_peek():
    ctp = EmbeddedSandbox(start=MORNING, counter="ctp", speed=1.0)
    with ctp as exchange, wire_to(exchange) as wire:
        wire.send("req_login", bid="x", user_name="u", password="p")
        wire.send("confirm_settlement")
        began = time.monotonic()
        login = wire.notice()
        assert (login["code"], login["type"]) == (324, "MESSAGE") and "session_id" in login
        [diff] = wire.read()["data"]
        assert set(diff["trade"]["u"]) == {"session"}
        statement = wire.notice()
        assert 0.9 < time.monotonic() - began < 4
        assert (statement["code"], statement["type"]) == (325, "SETTLEMENT")
        wire.send("peek_message")
        picture = wire.read()["data"][0]["trade"]["u"]
        assert picture["accounts"]["CNY"]["balance"] == 1_000_000.0
        assert picture["trade_more_data"] is False
        exchange.fault("second_login")
        ended = [wire.notice() for _ in range(2)]
        assert [one["code"] for one in ended] == [322, 12]
        assert all("session_id" in one for one in ended)


@pytest.mark.parametrize(
    ("fault", "codes_"), [("refuse_login", [3, 345]), ("password_change", [140, 346])]
)
def test_a_refused_login_is_two_messages_and_silence(fault, codes_):
    ctp = EmbeddedSandbox(start=MORNING, counter="ctp", speed=1.0)
    with ctp as exchange, wire_to(exchange) as wire:
        exchange.fault(fault)
        wire.send("req_login", bid="x", user_name="u", password="p")
        wire.send("peek_message")
        told = [wire.notice() for _ in range(2)]
        assert [one["code"] for one in told] == codes_
        assert all("session_id" in one for one in told)
        wire.send("req_login", bid="x", user_name="u", password="p")
        assert wire.notice()["code"] == 324  # nothing came between


def test_a_market_that_waits_for_its_clients_lets_messages_wait_for_their_peek():
    ctp = EmbeddedSandbox(start=MORNING, counter="ctp")
    with ctp as exchange, wire_to(exchange) as wire:
        wire.send("req_login", bid="x", user_name="u", password="p")
        seen = []
        for _ in range(4):
            wire.send("peek_message")
            seen += [sorted(diff) for diff in wire.read()["data"] if diff]
        assert seen == [["notify"], ["trade"], ["trade"], ["notify"]]


@pytest.mark.parametrize("counter", ["kq", "ctp"])
def test_the_same_seed_is_the_same_run(connect, counter):
    def what_a_client_sees():
        with EmbeddedSandbox(start=MORNING, counter=counter, seed=5) as exchange:
            api = connect(exchange)
            quote = api.get_quote(M)
            until(api, lambda: quote.ask_price1 == quote.ask_price1)
            order = api.insert_order(M, "BUY", "OPEN", 2, quote.ask_price1 - 1, order_id="o")
            seen = []
            while not quote.datetime > "2026-11-10 09:31:30":
                api.wait_update(time.time() + 10)
                money = api.get_account()
                seen.append((quote.datetime, picture(api, M, order), money.margin, codes(api)[2:]))
            return seen

    assert repr(what_a_client_sees()) == repr(what_a_client_sees())
