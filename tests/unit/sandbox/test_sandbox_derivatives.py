"""Options and combinations: like the real ones, priced from their underlying contracts."""

from datetime import date, datetime
from itertools import pairwise

import numpy as np
import pytest
from exchange_desk import Desk

from tianqin_backtrader.sandbox.market.derivatives import option_price
from tianqin_backtrader.sandbox.market.listing import Instrument, build_instruments
from tianqin_backtrader.sandbox.market.market import Market
from tianqin_backtrader.session_calendar import CALENDAR

DAY = date(2026, 11, 10)
OPTIONS = ["SHFE.cu2612C78000", "SHFE.cu2612P94000", "DCE.m2701-P-3000", "CZCE.SR701C5600"]
SPREAD = "DCE.SP m2701&m2705"


@pytest.fixture(scope="module")
def market() -> Market:
    return Market(CALENDAR, build_instruments(CALENDAR, DAY, DAY), 1)


def test_there_are_a_few_options_of_three_products_and_three_indexes(market: Market) -> None:
    options = [one for one in market.instruments.values() if one.ins_class == "OPTION"]
    of_indexes = [one for one in options if one.exchange_id == "CFFEX"]
    assert {one.product_id for one in of_indexes} == {"IO", "HO", "MO"}
    assert {one.underlying for one in of_indexes} == {
        "CFFEX.IF2611", "CFFEX.IF2612", "CFFEX.IH2611", "CFFEX.IH2612", "CFFEX.IM2611",
        "CFFEX.IM2612",
    }  # fmt: skip
    options = [one for one in options if one not in of_indexes]
    assert {one.product_id for one in options} == {"cu_o", "m_o", "SRC", "SRP"}
    assert {one.underlying for one in options} == {
        "SHFE.cu2612", "SHFE.cu2701", "DCE.m2701", "DCE.m2703", "CZCE.SR701", "CZCE.SR703",
    }  # fmt: skip
    assert all(market.instruments[one.underlying].expire > one.expire for one in options)


@pytest.mark.parametrize(
    ("symbol", "last_day"),
    [
        ("SHFE.cu2612C78000", datetime(2026, 11, 24, 15)),  # the fifth from the month's end
        ("DCE.m2701-P-3000", datetime(2026, 12, 7, 15)),  # the fifth trading day
        ("CZCE.SR701C5600", datetime(2026, 12, 3, 15)),  # the third
        ("CFFEX.IO2612-C-4500", datetime(2026, 12, 18, 15)),  # with the index' future
    ],
)
def test_options_expire_in_the_month_before_delivery_those_on_indexes_in_it(
    market: Market, symbol: str, last_day: datetime
) -> None:
    option = market.instruments[symbol]
    assert option.expire == last_day
    assert market.days(symbol)[-1] == last_day.date()


def test_expired_options_make_room_for_the_next_month() -> None:
    later = build_instruments(CALENDAR, date(2026, 11, 25), date(2026, 11, 27))
    assert "SHFE.cu2612C78000" not in later and "SHFE.cu2702C78000" in later


PRICES = np.arange(60_000.0, 100_000.0, 10.0)


def pair(market: Market) -> tuple[Instrument, Instrument]:
    return tuple(market.instruments[f"SHFE.cu2612{letter}78000"] for letter in "CP")  # type: ignore


@pytest.mark.parametrize("days", [0, 1, 14, 200])
def test_calls_rise_and_puts_fall_with_the_contract(market: Market, days: int) -> None:
    call, put = (option_price(PRICES, one, np.array(days)) for one in pair(market))
    assert np.all(np.diff(call) >= 0) and np.all(np.diff(put) <= 0)
    inside = (call > 1) & (put > 1)  # nothing costs less than a tick
    assert np.allclose((call - put)[inside], (PRICES - 78000)[inside], atol=1.0)


def test_time_is_worth_most_at_the_strike_and_nothing_on_the_last_day(market: Market) -> None:
    call, _ = pair(market)
    gain = np.maximum(PRICES - 78000, 0)
    value = option_price(PRICES, call, np.array(30)) - gain
    assert PRICES[np.argmax(value)] == 78000 and value[0] <= 1 and value[-1] <= 60
    assert np.array_equal(option_price(PRICES, call, np.array(0)), np.maximum(gain, 1))


@pytest.mark.parametrize("symbol", [*OPTIONS, SPREAD])
def test_a_day_looks_like_a_day(market: Market, symbol: str) -> None:
    day, instrument = market.day(symbol, DAY), market.instruments[symbol]
    assert len(day) == market.tick_count(symbol, DAY) > 50
    assert np.all(np.diff(day.time) > 0) and np.all(np.diff(day.volume) >= 0)
    tick = instrument.price_tick
    for prices in (day.last_price, day.bid_price, day.ask_price):
        shown = prices[~np.isnan(prices)]
        assert np.allclose(shown / tick, np.round(shown / tick), atol=1e-6)
        assert shown.min() >= day.lower_limit and shown.max() <= day.upper_limit
    best_bid, best_ask = day.bid_price[:, 0], day.ask_price[:, 0]
    both = ~np.isnan(best_bid) & ~np.isnan(best_ask)
    assert both.any() and np.all(best_ask[both] > best_bid[both])
    levels = 5 if symbol.startswith("SHFE") else 1
    assert np.isnan(day.bid_price[:, levels:]).all()
    assert np.array_equal(np.isnan(day.bid_price), day.bid_volume == 0)
    assert np.all(day.volume > 0) and day.close == day.last_price[-1]


@pytest.mark.parametrize("symbol", [*OPTIONS, SPREAD])
def test_days_and_ids_follow_each_other(market: Market, symbol: str) -> None:
    days = [day for day in market.days(symbol) if date(2026, 10, 8) <= day <= DAY]
    assert len(days) > 20
    for before, after in pairwise(days):
        one, two = market.day(symbol, before), market.day(symbol, after)
        assert two.first_id == one.first_id + len(one)
        assert (two.pre_close, two.pre_settlement) == (one.close, one.settlement)
        assert two.pre_open_interest == one.open_interest[-1]


def test_a_combination_is_worth_its_first_leg_less_its_second(market: Market) -> None:
    day, near, far = (market.day(name, DAY) for name in (SPREAD, "DCE.m2701", "DCE.m2705"))
    assert day.close == near.close - far.close
    assert day.bid_price[-1, 0] == near.bid_price[-1, 0] - far.ask_price[-1, 0]


@pytest.mark.parametrize(
    ("symbol", "words"),
    [("SHFE.cu2612C78000", "CTP:没有期权交易权限"), (SPREAD, "CTP:不支持组合合约")],
)
def test_they_are_not_traded_here(symbol: str, words: str) -> None:
    desk = Desk()
    exchange_id, code = symbol.split(".")
    pack = {
        "order_id": "o", "exchange_id": exchange_id, "instrument_id": code, "direction": "BUY",
        "offset": "OPEN", "volume": 1, "price_type": "LIMIT", "limit_price": 100.0,
    }  # fmt: skip
    desk.exchange.insert("u", pack, desk.now)
    order = desk.exchange.snapshot("u")["trade"]["u"]["orders"]["o"]
    assert (order["status"], order["last_msg"]) == ("FINISHED", words)
