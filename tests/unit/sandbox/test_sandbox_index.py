"""Product indexes: the weighted mean of a product's contracts, without a book."""

from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from exchange_desk import Desk

from tianqin_backtrader.sandbox.market.derived_instruments import INDEX_OPTIONS
from tianqin_backtrader.sandbox.market.listing import MONTHS_LISTED
from tianqin_backtrader.sandbox.market.market import Market
from tianqin_backtrader.sandbox.market.product_terms import TERMS
from tianqin_backtrader.sandbox.server import SandboxOptions, make_engine
from tianqin_backtrader.sandbox.wire.quotes import DayView

DAY = date(2026, 11, 10)
COPPER = "KQ.i@SHFE.cu"


@pytest.fixture(scope="module")
def market() -> Market:
    return make_engine(SandboxOptions(seed=1)).floor.market


def test_every_product_has_its_index(market: Market) -> None:
    indexes = {one.symbol: one for one in market.instruments.values() if one.ins_class == "INDEX"}
    assert indexes.keys() == {f"KQ.i@{key}" for key in TERMS.keys() - INDEX_OPTIONS.keys()}
    copper = indexes[COPPER]
    assert (copper.exchange_id, copper.code, copper.volume_multiple) == ("KQ", "i@SHFE.cu", 5)


@pytest.mark.parametrize("key", ["SHFE.cu", "DCE.m", "CFFEX.T"])
def test_it_is_the_mean_of_the_contracts_weighted_by_yesterdays_interest(
    market: Market, key: str
) -> None:
    members = [market.day(one.symbol, DAY) for one in market.following(key, DAY)[:MONTHS_LISTED]]
    weights = np.array([day.pre_open_interest for day in members])
    closes = np.array([day.close for day in members])
    index, tick = market.day(f"KQ.i@{key}", DAY), market.instruments[f"KQ.i@{key}"].price_tick
    assert index.close == index.last_price[-1]
    assert index.close == pytest.approx(np.average(closes, weights=weights), abs=tick / 2 + 1e-9)
    assert np.allclose(index.last_price / tick, np.round(index.last_price / tick), atol=1e-6)
    assert index.volume[-1] == sum(day.volume[-1] for day in members)
    assert index.open_interest[-1] == sum(day.open_interest[-1] for day in members)
    assert index.amount[-1] == pytest.approx(sum(day.amount[-1] for day in members))


def test_it_has_a_tick_when_the_main_contract_has_one(market: Market) -> None:
    index, main = market.day(COPPER, DAY), market.day("KQ.m@SHFE.cu", DAY)
    assert np.array_equal(index.time, main.time)
    assert np.all(np.diff(index.volume) >= 0) and np.all(np.diff(index.amount) >= 0)


def test_days_and_ids_follow_each_other(market: Market) -> None:
    days = [day for day in market.days(COPPER) if date(2026, 9, 10) <= day <= DAY]
    for before, after in pairwise(days):
        one, two = market.day(COPPER, before), market.day(COPPER, after)
        assert two.first_id == one.first_id + len(one)
        assert (two.pre_close, two.pre_settlement) == (one.close, one.settlement)
        assert two.pre_open_interest == one.open_interest[-1]


def test_its_first_day_can_be_shown(market: Market) -> None:
    for key in ("SHFE.cu", "INE.ec", "DCE.jd", "DCE.pp_f", "CZCE.RS", "CFFEX.TS", "GFEX.pd"):
        assert market.day(f"KQ.i@{key}", market.days(f"KQ.i@{key}")[0]).first_id == 0


def test_a_sandbox_that_starts_later_has_the_same_index(market: Market) -> None:
    """Which contracts are listed besides those that count depends on the start."""
    options = SandboxOptions(seed=1, start=DAY - timedelta(days=60))
    earlier = make_engine(options).floor.market
    day = date(2026, 9, 10)
    one, two = earlier.day(COPPER, day), market.day(COPPER, day)
    assert one.first_id == two.first_id
    assert np.array_equal(one.last_price, two.last_price)


def test_there_is_no_book_and_there_are_no_limits(market: Market) -> None:
    quote = DayView(market.day(COPPER, DAY)).quote(1000)
    assert quote["last_price"] > 0 and quote["volume"] > 0
    for side in ("bid", "ask"):
        assert (quote[f"{side}_price1"], quote[f"{side}_volume1"]) == ("-", 0)
        assert quote[f"{side}_price2"] is None
    assert quote["upper_limit"] == quote["lower_limit"] == "-"


def test_the_instrument_service_knows_it_as_an_index_without_a_member() -> None:
    engine = make_engine(SandboxOptions())
    text = """{ multi_symbol_info(class: [INDEX], product_id: ["cu"]) {
      ... on basic { instrument_id class exchange_id price_tick price_decs trading_time { night } }
      ... on index { index_multiple }
      ... on tradeable { volume_multiple }
      ... on derivative { underlying { count } } } }"""
    rows: list[dict[str, Any]] = engine.context.query.execute(text, {})["multi_symbol_info"]
    assert rows == [
        {
            "instrument_id": COPPER, "class": "INDEX", "exchange_id": "KQ", "price_tick": 10.0,
            "price_decs": 0, "index_multiple": 5.0,
            "trading_time": {
                "day": [["09:00:00", "10:15:00"], ["10:30:00", "11:30:00"],
                        ["13:30:00", "15:00:00"]],
                "night": [["21:00:00", "25:00:00"]],
            },
        }
    ]  # fmt: skip


@pytest.mark.parametrize("symbol", [COPPER, "KQ.m@SHFE.cu"])
def test_nobody_trades_it(symbol: str) -> None:
    desk = Desk()
    exchange_id, code = symbol.split(".", 1)
    pack = {
        "order_id": "o", "exchange_id": exchange_id, "instrument_id": code, "direction": "BUY",
        "offset": "OPEN", "volume": 1, "price_type": "LIMIT", "limit_price": 78000.0,
    }  # fmt: skip
    desk.exchange.insert("u", pack, desk.now)
    order = desk.exchange.snapshot("u")["trade"]["u"]["orders"]["o"]
    assert order["status"] == "FINISHED"
    assert order["last_msg"] == "CTP:找不到合约"
