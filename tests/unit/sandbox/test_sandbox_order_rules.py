"""What the exchange refuses, rule by rule, and which rule comes first."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from tianqin_backtrader.sandbox.exchange.account import Account
from tianqin_backtrader.sandbox.exchange.order_rules import (
    RULES,
    Order,
    Situation,
    field_error,
    frozen_per_lot,
    refusal,
)
from tianqin_backtrader.sandbox.market.listing import build_instruments
from tianqin_backtrader.session_calendar import CALENDAR

DAY = date(2026, 11, 10)
INSTRUMENTS = build_instruments(CALENDAR, DAY, DAY)
TICKS = {
    "SHFE.cu2612": 7800, "INE.sc2701": 4800, "DCE.m2701": 3000, "CZCE.SR701": 5600,
    "GFEX.si2701": 1840, "CFFEX.IF2612": 22500,
}  # fmt: skip
CU, MEAL, INDEX = "SHFE.cu2612", "DCE.m2701", "CFFEX.IF2612"
LEAST = "CTP:开仓手数小于最小开仓手数"


def order(symbol: str, **fields: Any) -> Order:
    """A good order, except for the given fields."""
    instrument = INSTRUMENTS[symbol]
    limit = fields.pop("limit", TICKS[symbol])
    good: dict[str, Any] = {
        "user_id": "u", "order_id": "o", "instrument": instrument, "direction": "BUY",
        "offset": "OPEN", "volume": 1, "price_type": "LIMIT", "limit": limit,
        "limit_price": None if limit is None else limit * instrument.price_tick,
        "time_condition": "GFD", "volume_condition": "ANY", "insert_ns": 0,
    }  # fmt: skip
    return Order(**(good | fields))


def situation(**fields: Any) -> Situation:
    """An open market and a rich account, except for the given fields."""
    good: dict[str, Any] = {
        "account": Account("u", 10_000_000_000),
        "upper": 1 << 40, "lower": 0, "open_now": True, "expired": False,
    }  # fmt: skip
    return Situation(**(good | fields))


def holder(symbol: str, *, today: int, his: int) -> Account:
    """An account with long lots of both kinds."""
    account, instrument = Account("u", 10_000_000_000), INSTRUMENTS[symbol]
    for lots, settles in ((his, True), (today, False)):
        if lots:
            account.open(instrument, lots, TICKS[symbol], long=True)
        if settles:
            account.settle({symbol: TICKS[symbol]})
    return account


@pytest.mark.parametrize("symbol", TICKS)
def test_a_good_order_is_taken(symbol: str) -> None:
    assert refusal(order(symbol), situation()) == ""


FAK = {"time_condition": "IOC"}
FOK = {"time_condition": "IOC", "volume_condition": "ALL"}
MARKET = {"limit": None, "time_condition": "IOC"}
#: market-rules, section 5: what each exchange knows besides limit orders good for the day.
TYPES = {
    "SHFE.cu2612": {"FAK", "FOK"},
    "INE.sc2701": {"FAK", "FOK"},
    "DCE.m2701": {"FAK", "FOK", "ANY"},
    "CZCE.SR701": {"FAK", "ANY"},
    "GFEX.si2701": {"FAK", "FOK", "ANY"},
    "CFFEX.IF2612": {"FAK", "FOK", "BEST", "FIVELEVEL"},
}
FIELDS: dict[str, dict[str, Any]] = {
    "FAK": FAK,
    "FOK": FOK,
    "ANY": MARKET | {"price_type": "ANY"},
    "BEST": MARKET | {"price_type": "BEST"},
    "FIVELEVEL": MARKET | {"price_type": "FIVELEVEL"},
}


@pytest.mark.parametrize("kind", FIELDS)
@pytest.mark.parametrize("symbol", TYPES)
def test_each_exchange_knows_its_own_order_types(symbol: str, kind: str) -> None:
    at = situation(upper=TICKS[symbol] + 100)
    expected = "" if kind in TYPES[symbol] else "CTP:不支持的报单类型"
    assert refusal(order(symbol, **FIELDS[kind]), at) == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"limit": None, "price_type": "ANY"},  # a market order that would rest
        {"time_condition": "GTC"},
        {"volume_condition": "ALL"},
        {"volume_condition": "MIN", "time_condition": "IOC"},
        MARKET | {"price_type": "ANY"} | {"time_condition": "GFA"},
    ],
)
def test_conditions_that_this_wire_does_not_have_are_refused(fields: dict[str, Any]) -> None:
    assert refusal(order(MEAL, **fields), situation()) == "CTP:不支持的报单类型"


def test_best_and_five_levels_are_never_all_or_nothing() -> None:
    one = order(INDEX, **FIELDS["BEST"], volume_condition="ALL")
    assert refusal(one, situation()) == "CTP:不支持的报单类型"


@pytest.mark.parametrize(
    ("symbol", "fields", "at", "words"),
    [
        (CU, {}, {"expired": True}, "CTP:合约已到期,不允许交易"),
        (CU, {}, {"open_now": False}, "CTP:当前状态禁止此项操作"),
        (CU, {"volume": 0}, {}, "CTP:报单手数超出最大手数限制"),
        (CU, {"volume": -1}, {}, "CTP:报单手数超出最大手数限制"),
        (CU, {"volume": 501}, {}, "CTP:报单手数超出最大手数限制"),
        (CU, {"limit_price": 78005.0}, {}, "CTP:报单价格不是最小单位的倍数"),
        (CU, {}, {"upper": 7799}, "已撤单报单被拒绝价格超出涨停板"),
        (CU, {}, {"lower": 7801}, "已撤单报单被拒绝价格跌破跌停板"),
        (CU, {"offset": "CLOSEYESTERDAY"}, {}, "CTP:报单的开平标志错误"),
        (MEAL, {"offset": "CLOSETODAY"}, {}, "CTP:报单的开平标志错误"),
        (CU, {"offset": "CLOSETODAY"}, {}, "CTP:平今仓位不足"),
        (CU, {"offset": "CLOSE"}, {}, "CTP:平昨仓位不足"),
        (MEAL, {"offset": "CLOSE"}, {}, "CTP:平仓量超过持仓量"),
        (CU, {}, {"account": Account("u", 3_000_000)}, "CTP:资金不足"),
    ],
)
def test_every_rule_has_its_words(
    symbol: str, fields: dict[str, Any], at: dict[str, Any], words: str
) -> None:
    assert refusal(order(symbol, **fields), situation(**at)) == words


def test_prices_at_the_limits_are_taken() -> None:
    assert refusal(order(CU), situation(upper=7800, lower=7800)) == ""


@pytest.mark.parametrize("symbol", TICKS)
def test_every_price_on_the_tick_is_taken_whatever_its_binary_dust(symbol: str) -> None:
    instrument = INSTRUMENTS[symbol]
    for ticks in range(TICKS[symbol], TICKS[symbol] + 300):
        price = round(ticks * instrument.price_tick, instrument.price_decs)
        assert refusal(order(symbol, limit=ticks, limit_price=price), situation()) == ""


@pytest.mark.parametrize(
    ("symbol", "offset", "most"),
    [(CU, "CLOSE", 3), (CU, "CLOSETODAY", 2), (MEAL, "CLOSE", 5), (INDEX, "CLOSE", 5)],
)
def test_at_most_the_right_lots_are_closed(symbol: str, offset: str, most: int) -> None:
    at = situation(account=holder(symbol, today=2, his=3))
    for volume in range(1, 7):
        one = order(symbol, direction="SELL", offset=offset, volume=volume)
        assert (refusal(one, at) == "") == (volume <= most)


def test_frozen_lots_cannot_be_closed_again() -> None:
    account = holder(CU, today=0, his=3)
    account.holding(INSTRUMENTS[CU]).long.frozen_his = 2
    one = order(CU, direction="SELL", offset="CLOSE", volume=2)
    assert refusal(one, situation(account=account)) == "CTP:平昨仓位不足"


def test_lots_of_the_other_side_do_not_help() -> None:
    at = situation(account=holder(CU, today=2, his=0))
    one = order(CU, direction="BUY", offset="CLOSETODAY")
    assert refusal(one, at) == "CTP:平今仓位不足"


def test_funds_must_cover_margin_and_commission_to_the_fen() -> None:
    one = order(CU, volume=2)
    margin, fee = frozen_per_lot(one, 0)
    need = 2 * (margin + fee)
    assert refusal(one, situation(account=Account("u", need))) == ""
    assert refusal(one, situation(account=Account("u", need - 1))) == "CTP:资金不足"


def test_a_market_order_binds_what_it_would_cost_at_the_upper_limit() -> None:
    market = order(MEAL, **FIELDS["ANY"])
    assert frozen_per_lot(market, 3200) == frozen_per_lot(order(MEAL, limit=3200), 9999)


def test_closing_needs_no_funds() -> None:
    account = holder(MEAL, today=1, his=0)
    account.static_balance = 0
    one = order(MEAL, direction="SELL", offset="CLOSE")
    assert refusal(one, situation(account=account)) == ""


def test_the_first_rule_that_is_broken_speaks() -> None:
    """An order that breaks all rules is refused by one after the other, in the documented order."""
    broken = order(
        CU, price_type="BEST", volume=0, limit_price=78005.0, offset="CLOSEYESTERDAY",
    )  # fmt: skip
    at = situation(expired=True, open_now=False, upper=7799, lower=7801)
    heard = []
    mends: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
        ({}, {"expired": False}),
        ({}, {"open_now": True}),
        ({"price_type": "LIMIT"}, {}),
        ({"volume": 1}, {}),
        ({"limit_price": 78000.0}, {}),
        ({}, {"upper": 7800}),
        ({}, {"lower": 0}),
        ({"offset": "CLOSETODAY"}, {}),
        ({"offset": "CLOSE"}, {}),
    )
    for order_fields, at_fields in mends:
        heard.append(refusal(broken, at))
        broken, at = replace(broken, **order_fields), replace(at, **at_fields)
    heard.append(refusal(broken, at))
    words = [words for _, words in RULES]
    words.remove(LEAST)  # nothing is closed for it: below
    assert heard == words[: len(heard)]


def test_an_order_opens_a_least_number_of_lots_and_closes_any() -> None:
    ins = replace(INSTRUMENTS[MEAL], open_least=3)
    account = holder(MEAL, today=2, his=0)
    opening = replace(order(MEAL, volume=2), instrument=ins)
    assert refusal(opening, situation(account=account)) == LEAST
    assert refusal(replace(opening, volume=3), situation(account=account)) == ""
    closing = replace(order(MEAL, direction="SELL", offset="CLOSE", volume=2), instrument=ins)
    assert refusal(closing, situation(account=account)) == ""


GOOD_PACK = {
    "order_id": "o", "direction": "BUY", "volume": 1, "price_type": "LIMIT", "limit_price": 78000.0,
}  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [
        {}, {"limit_price": 78000}, {"direction": "SELL"}, {"volume": 0},
        {"price_type": "ANY", "limit_price": None}, {"price_type": "BEST", "limit_price": "-"},
    ],
)  # fmt: skip
def test_a_readable_pack(fields: dict[str, Any]) -> None:
    assert field_error(GOOD_PACK | fields) == ""


@pytest.mark.parametrize(
    "fields",
    [
        {"limit_price": float("inf")}, {"limit_price": float("nan")}, {"limit_price": None},
        {"limit_price": "78000"}, {"limit_price": True}, {"volume": None}, {"volume": 1.0},
        {"volume": True}, {"direction": None}, {"direction": "buy"},
    ],
)  # fmt: skip
def test_an_unreadable_pack(fields: dict[str, Any]) -> None:
    assert field_error(GOOD_PACK | fields) == "CTP:报单字段有误"


def test_a_limit_order_needs_its_price() -> None:
    pack = {name: value for name, value in GOOD_PACK.items() if name != "limit_price"}
    assert field_error(pack) == "CTP:报单字段有误"
