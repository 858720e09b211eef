"""Orders and trades of the client become values when all their fields have arrived."""

import json
import math
from pathlib import Path

import pytest
from tqsdk.objs import Order, Position, Trade

from tianqin_backtrader.core.clock import SECOND
from tianqin_backtrader.gateway.rows import plain, to_fill, to_report

RECORDED = Path(__file__).parents[4] / "shared" / "data" / "recorded_trading"
NOW = 1_800_000_000 * SECOND
FIELDS = {
    "exchange_id": "SHFE", "instrument_id": "rb2701", "direction": "BUY", "offset": "OPEN",
}  # fmt: skip
ORDER = FIELDS | {
    "exchange_order_id": "    25169789", "volume_orign": 3, "volume_left": 1, "limit_price": 3500.0,
    "status": "ALIVE", "last_msg": "未成交",
}  # fmt: skip
TRADE = FIELDS | {
    "order_id": "o1", "price": 3500.0, "volume": 2, "trade_date_time": NOW - 5, "commission": 3.2,
}  # fmt: skip


def entity(kind, fields):
    """An object of TqSdk with the fields that have arrived; others have TqSdk's defaults."""
    made = kind(None)
    made._instance_entity(["trade", "user", "x", "y"])
    made.update(fields)
    return made


def without(fields, name):
    return {key: value for key, value in fields.items() if key != name}


@pytest.mark.parametrize("name", ["exchange_id", "instrument_id", "direction", "offset", "status"])
def test_an_order_without_a_field_that_it_must_have_is_not_told_yet(name):
    assert to_report("o1", entity(Order, without(ORDER, name))) is None


def test_what_a_trade_makes_the_client_show_of_its_order_is_no_order():
    assert to_report("o1", entity(Order, {"trade_price": 3500.0})) is None


@pytest.mark.parametrize(
    "name", ["exchange_id", "instrument_id", "direction", "offset", "price", "volume"]
)
def test_a_trade_without_a_field_that_it_must_have_waits(name):
    assert to_fill("t1", entity(Trade, without(TRADE, name)), NOW) is None


def test_a_trade_is_whole_without_an_order_a_time_or_a_fee():
    for fields in (TRADE | {"order_id": ""}, without(TRADE, "order_id")):
        assert to_fill("t1", entity(Trade, fields), NOW).order_id == ""
    assert to_fill("t1", entity(Trade, TRADE), NOW).time == NOW - 5
    for time in ({}, {"trade_date_time": 0}, {"trade_date_time": -1}):
        fields = without(TRADE, "trade_date_time") | time
        assert to_fill("t1", entity(Trade, fields), NOW).time == NOW


@pytest.mark.parametrize("fee", [{}, {"commission": "-"}, {"commission": None}])
def test_a_fee_that_is_not_named_is_nan(fee):
    found = to_fill("t1", entity(Trade, without(TRADE, "commission") | fee), NOW)
    assert math.isnan(found.commission)


@pytest.mark.parametrize("number", ["", "            ", "\t"])
def test_a_number_of_blanks_is_none(number):
    refused = ORDER | {"exchange_order_id": number, "status": "FINISHED", "last_msg": "busy"}
    report = to_report("o1", entity(Order, refused))
    assert report.exchange_order_id == ""
    assert report.rejected


def test_a_number_filled_up_with_blanks_is_the_number():
    assert to_report("o1", entity(Order, ORDER)).exchange_order_id == "25169789"


def test_values_that_are_none_are_nan_in_every_field_of_a_position():
    held = entity(Position, {"pos_long_his": 3, "margin_long_his": "-", "open_price_long": 3415.0})
    fields = plain(held)
    assert fields["pos_long_his"] == 3 and math.isnan(fields["margin_long_his"])
    assert "-" not in fields.values()


def test_a_whole_recorded_account_is_read():
    """Every order and trade of a day of the paper account, and ten of a broker's account."""
    if not RECORDED.exists():
        pytest.skip("the recordings are not here")
    day = json.loads((RECORDED / "kq_2025-12-24_snapshot.json").read_text("utf-8"))
    orders = [to_report(key, entity(Order, one)) for key, one in day["orders"].items()]
    fills = [to_fill(key, entity(Trade, one), NOW) for key, one in day["trades"].items()]
    assert len(orders) == 68 and None not in orders
    assert len(fills) == 50 and None not in fills
    assert sum(one.rejected for one in orders) == 7
    assert all(fill.commission > 0 for fill in fills)
    left = {one.order_id: one.volume_orign - one.volume_left for one in orders}
    for fill in fills:
        left[fill.order_id] -= fill.volume
    assert not any(left.values())
    brokers = json.loads((RECORDED / "broker_2020_2021_orders.json").read_text("utf-8"))
    told = [one for rows in brokers.values() if isinstance(rows, list) for one in rows]
    found = [to_report(one["order_id"], entity(Order, one)) for one in told]
    assert len(found) == 10
    for one, report in zip(told, found, strict=True):
        assert report.exchange_order_id == one["exchange_order_id"].strip()
        assert report.rejected == (not one["exchange_order_id"].strip())
