"""Matching, lots, money and the exchange's own words."""

import dataclasses
import json
from datetime import datetime, timedelta

import pytest
from exchange_desk import DAY, INSTRUMENTS, PRICES, Desk

from tianqin_backtrader.core.clock import to_ns
from tianqin_backtrader.sandbox.exchange.exchange import Exchange
from tianqin_backtrader.session_calendar import CALENDAR


@pytest.fixture
def desk():
    desk = Desk()
    for symbol in PRICES:
        desk.show(symbol)
    return desk


CU = "SHFE.cu2612"


def test_a_limit_order_takes_the_opposite_side_and_rests_with_what_is_left(desk):
    one = desk.order(CU, "BUY", "OPEN", 8, 1)
    assert desk.state(one) == ("ALIVE", 5, "部分成交")
    desk.show(CU)
    assert desk.state(one) == ("FINISHED", 8, "全部成交")


def test_it_walks_up_the_levels(desk):
    one = desk.order(CU, "BUY", "OPEN", 8, 2)
    prices = [trade["price"] for trade in desk.trade["trades"].values()]
    assert prices == [78010.0, 78020.0]
    assert desk.state(one)[0] == "FINISHED"


def test_what_was_taken_is_gone_until_the_next_tick(desk):
    desk.order(CU, "BUY", "OPEN", 5, 1)
    two = desk.order(CU, "BUY", "OPEN", 1, 1)
    assert desk.state(two) == ("ALIVE", 0, "未成交")


def test_a_resting_order_waits_behind_the_queue_at_its_price(desk):
    one = desk.order(CU, "BUY", "OPEN", 2, 0)
    desk.show(CU, last=0, traded=4)
    assert desk.state(one) == ("ALIVE", 0, "未成交")
    desk.show(CU, last=0, traded=2)
    assert desk.state(one) == ("ALIVE", 1, "部分成交")
    desk.show(CU, last=-1, traded=9)  # trades below it come to it first
    assert desk.state(one) == ("FINISHED", 2, "全部成交")


def test_own_orders_are_served_by_price_then_time(desk):
    worse = desk.order(CU, "BUY", "OPEN", 1, -1)
    better = desk.order(CU, "BUY", "OPEN", 1, 0)
    same = desk.order(CU, "BUY", "OPEN", 1, 0)
    desk.show(CU, bid=-3, ask=-2, last=-2, traded=0, asks=2)
    assert [desk.state(one)[1] for one in (better, same)] == [1, 1]
    assert desk.state(worse)[1] == 1  # the second level


@pytest.mark.parametrize(
    ("fields", "volume", "filled"),
    [
        ({"time_condition": "IOC"}, 8, 5),
        ({"time_condition": "IOC", "volume_condition": "ALL"}, 8, 0),
        ({"time_condition": "IOC", "volume_condition": "ALL"}, 5, 5),
    ],
)
def test_fak_and_fok(desk, fields, volume, filled):
    one = desk.order(CU, "BUY", "OPEN", volume, 1, **fields)
    status, done, _ = desk.state(one)
    assert (status, done) == ("FINISHED", filled)


@pytest.mark.parametrize(
    ("symbol", "price_type", "filled"),
    [
        ("DCE.m2701", "ANY", 12),
        ("CZCE.SR701", "ANY", 12),
        ("GFEX.si2701", "ANY", 12),
        ("CFFEX.IF2612", "BEST", 5),
        ("CFFEX.IF2612", "FIVELEVEL", 10),
    ],
)
def test_market_orders_where_they_exist(desk, symbol, price_type, filled):
    volume = 10 if symbol.startswith("CFFEX") else 12
    one = desk.order(
        symbol, "BUY", "OPEN", volume, None, price_type=price_type, time_condition="IOC"
    )
    assert desk.state(one)[:2] == ("FINISHED", filled)


def hold(desk, symbol, *, today, his):
    """Long lots of both kinds."""
    if his:
        desk.order(symbol, "BUY", "OPEN", his, 1)
        desk.exchange.settle(DAY, {symbol: PRICES[symbol]})
        desk.exchange.start_day(DAY)
        desk.show(symbol)
    if today:
        desk.order(symbol, "BUY", "OPEN", today, 1)
        desk.show(symbol)


def test_at_shfe_close_takes_yesterdays_lots_only(desk):
    hold(desk, CU, today=2, his=3)
    assert desk.position(CU) == (2, 3, 0, 0)
    desk.order(CU, "SELL", "CLOSE", 3, 0)
    assert desk.position(CU) == (2, 0, 0, 0)
    desk.show(CU)
    one = desk.order(CU, "SELL", "CLOSE", 1, 0)
    assert desk.state(one) == ("FINISHED", 0, "CTP:平昨仓位不足")
    desk.order(CU, "SELL", "CLOSETODAY", 2, 0)
    assert desk.position(CU) == (0, 0, 0, 0)


def test_elsewhere_close_takes_both_and_closetoday_does_not_exist(desk):
    hold(desk, "DCE.m2701", today=2, his=3)
    one = desk.order("DCE.m2701", "SELL", "CLOSETODAY", 1, 0)
    assert desk.state(one)[2] == "CTP:报单的开平标志错误"
    desk.order("DCE.m2701", "SELL", "CLOSE", 4, 0)
    assert desk.position("DCE.m2701") == (1, 0, 0, 0)


def test_lots_of_a_working_close_are_frozen(desk):
    hold(desk, CU, today=2, his=0)
    one = desk.order(CU, "SELL", "CLOSETODAY", 2, 5)
    two = desk.order(CU, "SELL", "CLOSETODAY", 1, 5)
    assert desk.trade["positions"][CU]["volume_long_frozen_today"] == 2
    assert desk.state(two)[2] == "CTP:平今仓位不足"
    desk.exchange.cancel("u", one, desk.now)
    assert desk.state(one) == ("FINISHED", 0, "已撤单")
    assert desk.trade["positions"][CU]["volume_long_frozen_today"] == 0


@pytest.mark.parametrize(
    ("symbol", "fields", "words"),
    [
        (CU, {"limit_price": 78005.0}, "最小单位的倍数"),
        (CU, {"limit_price": 90000.0}, "涨停板"),
        (CU, {"limit_price": 60000.0}, "跌停板"),
        (CU, {"volume": 501}, "最大手数"),
        (CU, {"price_type": "ANY"}, "不支持的报单类型"),
        ("DCE.m2701", {"price_type": "BEST"}, "不支持的报单类型"),
        (CU, {"volume": 500}, "资金不足"),
        ("SHFE.cu2610", {}, "合约已到期"),
    ],
)
def test_refusals_in_the_exchanges_words(desk, symbol, fields, words):
    fields = dict(fields)
    volume = fields.pop("volume", 1)
    one = desk.order(symbol, "BUY", "OPEN", volume, 1, **fields)
    order = desk.trade["orders"][one]
    assert words in order["last_msg"]
    assert (order["status"], order["exchange_order_id"]) == ("FINISHED", "")
    assert order["volume_left"] == order["volume_orign"]
    assert any(words in notice for notice in desk.notices())


def test_a_closed_market_refuses(desk):
    desk.now = to_ns(datetime(2026, 11, 10, 10, 20))
    one = desk.order(CU, "BUY", "OPEN", 1, 1)
    assert desk.state(one)[2] == "CTP:当前状态禁止此项操作"


def test_an_unknown_contract_is_an_order_that_was_rejected(desk):
    desk.order("SHFE.xx2612", "BUY", "OPEN", 1, 0)
    [diff] = [d for d in desk.exchange.take_diffs("u") if "trade" in d]
    [order] = diff["trade"]["u"]["orders"].values()
    assert (order["status"], order["last_msg"]) == ("FINISHED", "CTP:找不到合约")


def test_a_contract_that_is_not_listed_yet_is_unknown(desk):
    late = dataclasses.replace(INSTRUMENTS[CU], code="cu9912", listed=DAY + timedelta(days=1))
    desk.exchange = Exchange({"SHFE.cu9912": late}, CALENDAR)
    desk.exchange.open_account("u")
    desk.exchange.start_day(DAY)
    one = desk.order("SHFE.cu9912", "BUY", "OPEN", 1, 0)
    assert desk.state(one)[2] == "CTP:找不到合约"


@pytest.mark.parametrize(
    "fields",
    [
        {"limit_price": float("inf")},
        {"limit_price": float("nan")},
        {"limit_price": "78000"},
        {"limit_price": None},
        {"volume": "1"},
        {"volume": 1.5},
        {"volume": True},
        {"direction": "UP"},
    ],
)
def test_what_cannot_be_read_is_refused_and_harms_nobody(desk, fields):
    before = desk.trade["accounts"]
    pack = {
        "order_id": "bad", "exchange_id": "SHFE", "instrument_id": "cu2612", "direction": "BUY",
        "offset": "OPEN", "volume": 1, "price_type": "LIMIT", "limit_price": 78010.0,
        "time_condition": "GFD", "volume_condition": "ANY",
    }  # fmt: skip
    desk.exchange.insert("u", pack | fields, desk.now)
    order = desk.trade["orders"]["bad"]
    assert (order["status"], order["exchange_order_id"]) == ("FINISHED", "")
    assert order["last_msg"] == "CTP:报单字段有误"
    assert desk.trade["accounts"] == before
    json.dumps([desk.exchange.take_diffs("u"), desk.exchange.snapshot("u")], allow_nan=False)


def test_a_refused_order_stays_in_the_snapshot_and_its_number_is_taken(desk):
    one = desk.order("SHFE.xx2612", "BUY", "OPEN", 1, 0)
    desk.number -= 1
    assert desk.order(CU, "BUY", "OPEN", 1, 1) == one
    assert desk.trade["orders"][one]["last_msg"] == "CTP:找不到合约"
    assert any("重复" in notice for notice in desk.notices())


def test_a_refused_close_leaves_no_position_behind(desk):
    desk.order(CU, "SELL", "CLOSE", 1, 0)
    assert desk.trade["positions"] == {}


def test_floating_profit_is_told_once_a_minute_for_all_that_is_held(desk):
    meal = "DCE.m2701"
    for symbol in (CU, meal):
        desk.order(symbol, "BUY", "OPEN", 1, 1)
    desk.exchange.take_diffs("u")
    told = []
    for second in range(120):
        for symbol in (CU, meal):
            desk.show(symbol, last=second % 3)
            told += [set(d["trade"]["u"]["positions"]) for d in desk.exchange.take_diffs("u")]
    assert 2 <= len(told) <= 5
    assert {CU} <= set().union(*told) and sum(meal in one for one in told) >= 2


def test_users_have_their_own_accounts_and_share_what_the_book_shows(desk):
    exchange = desk.exchange
    exchange.open_account("v", 500_000.0)
    mine = desk.order(CU, "BUY", "OPEN", 3, 1)
    resting = desk.order(CU, "SELL", "OPEN", 1, 2)
    pack = {
        "order_id": mine, "exchange_id": "SHFE", "instrument_id": "cu2612", "direction": "BUY",
        "offset": "OPEN", "volume": 3, "price_type": "LIMIT", "limit_price": 78010.0,
        "time_condition": "GFD", "volume_condition": "ANY",
    }  # fmt: skip
    exchange.insert("v", pack, desk.now)
    theirs = exchange.snapshot("v")["trade"]["v"]
    assert theirs["orders"][mine]["volume_left"] == 1  # five shown, three of them mine
    assert theirs["accounts"]["CNY"]["static_balance"] == 500_000.0
    assert set(theirs["orders"]) == {mine}
    exchange.cancel("v", resting, desk.now)
    assert desk.state(resting)[0] == "ALIVE"
    exchange.open_account("v", 1.0)
    assert exchange.snapshot("v")["trade"]["v"]["accounts"] == theirs["accounts"]


def test_a_ticks_trades_go_to_one_order_only(desk):
    one, two = desk.order(CU, "BUY", "OPEN", 3, -10), desk.order(CU, "BUY", "OPEN", 3, -10)
    desk.show(CU, last=-11, traded=4)  # below both, whatever queued before them
    assert [desk.state(order)[1] for order in (one, two)] == [3, 1]


def test_a_new_day_begins_with_an_empty_book(desk):
    desk.exchange.settle(DAY, {})
    desk.exchange.start_day(DAY)
    one = desk.order(CU, "BUY", "OPEN", 1, 1)
    assert desk.state(one) == ("ALIVE", 0, "未成交")
    desk.show(CU)
    assert desk.state(one)[0] == "FINISHED"


def test_an_empty_side_of_the_book_fills_nobody(desk):
    one = desk.order(CU, "BUY", "OPEN", 1, 0)
    desk.show(CU, ask=float("nan"), asks=0, last=3, traded=9)
    assert desk.state(one)[:2] == ("ALIVE", 0)


def test_working_orders_far_from_the_market_are_not_looked_at():
    desk = Desk(balance=1e10)
    desk.show(CU)
    for away in range(-60, -10):
        desk.order(CU, "BUY", "OPEN", 1, away)
        desk.order(CU, "SELL", "OPEN", 1, -away)
    near = desk.order(CU, "SELL", "OPEN", 1, 3)

    def reached():
        exchange = desk.exchange
        return [order.order_id for order in exchange._working[CU].reached(exchange._book(CU))]

    desk.show(CU, bid=2, ask=3, last=2, traded=4)
    assert reached() == []
    desk.show(CU, bid=2, ask=3, last=3, traded=4)
    assert reached() == [near]


def test_a_refused_cancel_is_only_a_notification(desk):
    one = desk.order(CU, "BUY", "OPEN", 1, 1)
    before = desk.trade["orders"][one]
    desk.exchange.cancel("u", one, desk.now)
    desk.exchange.cancel("u", "nobody's", desk.now)
    assert desk.trade["orders"][one] == before
    assert sum("撤单失败" in notice for notice in desk.notices()) == 2


def test_a_trade_and_its_orders_end_come_in_one_difference(desk):
    desk.exchange.take_diffs("u")
    one = desk.order(CU, "BUY", "OPEN", 1, 1)
    [diff] = desk.exchange.take_diffs("u")
    told = diff["trade"]["u"]
    assert told["orders"][one]["status"] == "FINISHED"
    assert [trade["order_id"] for trade in told["trades"].values()] == [one]
    assert set(told["positions"]) == {CU}
    assert desk.exchange.take_diffs("u") == []


def test_closing_today_has_its_own_commission(desk):
    desk.order(CU, "BUY", "OPEN", 1, 1)
    desk.order(CU, "SELL", "CLOSETODAY", 1, 0)
    opened, closed = (trade["commission"] for trade in desk.trade["trades"].values())
    assert opened == round(78010 * 5 * 0.00005, 2)
    assert closed == round(78000 * 5 * 0.0001, 2)


def test_settlement_marks_and_turns_today_into_yesterday(desk):
    desk.order(CU, "BUY", "OPEN", 2, 1)
    fee = desk.trade["accounts"]["CNY"]["commission"]
    desk.exchange.settle(DAY, {CU: 78110.0})
    account, position = desk.trade["accounts"]["CNY"], desk.trade["positions"][CU]
    assert desk.position(CU) == (0, 2, 0, 0)
    assert account["static_balance"] == round(10_000_000 + 100 * 5 * 2 - fee, 2)
    assert (account["commission"], account["position_profit"]) == (0.0, 0.0)
    assert position["position_price_long"] == 78110.0
    assert position["open_price_long"] == 78010.0
    assert desk.trade["orders"] == desk.trade["trades"] == {}


def test_orders_of_the_day_are_withdrawn_at_its_end(desk):
    one = desk.order(CU, "BUY", "OPEN", 1, -5)
    desk.exchange.session_end(CU)
    assert desk.state(one) == ("FINISHED", 0, "已撤单")
    assert desk.trade["accounts"]["CNY"]["frozen_margin"] == 0.0


def test_rejects_can_be_ordered(desk):
    desk.exchange.reject_next("u", "CTP:测试", 1)
    one, two = desk.order(CU, "BUY", "OPEN", 1, 1), desk.order(CU, "BUY", "OPEN", 1, 1)
    assert desk.state(one)[2] == "CTP:测试"
    assert desk.state(two)[0] == "FINISHED"
    assert desk.state(two)[1] == 1
