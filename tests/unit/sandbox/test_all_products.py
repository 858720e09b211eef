"""Every product of the packaged table trades in the sandbox, with its own sessions and numbers."""

import csv
from datetime import date, datetime
from importlib.resources import files

import numpy as np
import pytest

from tianqin_backtrader.core.clock import MINUTE, SECOND, to_ns
from tianqin_backtrader.sandbox.market.derived_instruments import INDEX_OPTIONS
from tianqin_backtrader.sandbox.market.listing import build_instruments, contract_of
from tianqin_backtrader.sandbox.market.product_terms import TERMS
from tianqin_backtrader.sandbox.server import SandboxOptions, make_engine
from tianqin_backtrader.sandbox.wire.md import MdSession
from tianqin_backtrader.session_calendar import CALENDAR, split_symbol

DAY = date(2026, 11, 10)
TABLE = {
    f"{row['exchange_id']}.{row['product_id']}": row
    for row in csv.DictReader(
        files("tianqin_backtrader")
        .joinpath("data", "products.csv")
        .read_text(encoding="utf-8")
        .splitlines()
    )
}


@pytest.fixture(scope="module", params=TABLE)
def key(request):
    """Of module scope, so that all tests of a product run together."""
    return request.param


@pytest.fixture(scope="module")
def engine():
    return make_engine(SandboxOptions(seed=1, start=datetime(2026, 11, 10, 14, 30)))


def traded(market, key):
    """The tested contract of a product: the main one, or an option at the money."""
    if key not in INDEX_OPTIONS:
        return market.main_contract(key, DAY)
    options = market.instruments.of_product(key).values()
    return next(one.symbol for one in options if one.strike_price == int(TERMS[key].price))


def test_there_are_all_ninety_nine():
    assert TERMS.keys() == TABLE.keys() == CALENDAR.products.keys()
    assert len(TERMS) == 99


def test_a_product_can_be_subscribed_and_has_the_minutes_of_its_sessions(engine, key):
    market = engine.floor.market
    symbol = traded(market, key)
    session = MdSession(engine.context)
    session.receive({"aid": "subscribe_quote", "ins_list": symbol})
    session.receive({"aid": "set_chart", "chart_id": "c", "ins_list": symbol,
                     "duration": MINUTE, "view_width": 20})  # fmt: skip
    series = engine.context.book.get(symbol, MINUTE)
    cursor = engine.timeline.cursor(symbol)
    first = series.id_at(to_ns(datetime(2026, 11, 9, 18)), cursor)
    rows = series.rows(first, series.last_id(cursor), cursor)
    quote = session.quotes[symbol]
    session.close()
    minutes = {
        start + MINUTE * number
        for opened, closed in CALENDAR.sessions(symbol, DAY)
        for start in [to_ns(opened)]
        for number in range((to_ns(closed) - start) // MINUTE)
        if start + MINUTE * number < cursor.times[cursor.k]
    }
    assert {row["datetime"] for row in rows.values()} == minutes
    assert quote["lower_limit"] <= quote["last_price"] <= quote["upper_limit"]


def test_its_numbers_are_those_of_the_table(engine, key):
    market, row = engine.floor.market, TABLE[key]
    one = market.instruments[traded(market, key)]
    assert one.volume_multiple == int(row["volume_multiple"])
    assert one.price_tick == float(row["price_tick"])
    assert round(one.price_tick, one.price_decs) == one.price_tick
    assert split_symbol(one.symbol) == (row["exchange_id"], row["product_id"])
    assert len(one.trading_time["night"]) == bool(CALENDAR.hours(key, DAY).night)
    assert 0 < one.limit_ratio <= one.margin_ratio < 1 or key.startswith("CFFEX.T")
    day = market.day(one.symbol, DAY)
    prices = day.last_price[~np.isnan(day.last_price)]
    assert np.allclose(prices / one.price_tick, np.round(prices / one.price_tick), atol=1e-5)
    assert len(np.unique(prices)) > 3
    if key not in INDEX_OPTIONS:
        assert one.max_limit_order_volume == int(row["max_limit_order_volume"] or 0)
        assert one.max_market_order_volume == int(row["max_market_order_volume"] or 0)
        assert 0.5 < day.close / TERMS[key].price < 2


def test_its_main_contract_has_the_day(engine, key):
    market, main = engine.floor.market, f"KQ.m@{key}"
    if key in INDEX_OPTIONS:
        assert main not in market.instruments
        return
    assert f"KQ.i@{key}" in market.instruments
    day = market.day(main, DAY)
    assert len(day) == market.tick_count(main, DAY)
    opened = CALENDAR.sessions(key, DAY)[0][0]
    assert int(day.time[0]) == to_ns(opened) - MINUTE + SECOND // 2
    assert market.days(main)[-1] >= engine.timeline.last_day


def test_it_is_traded_in_lots_within_its_limits(engine, key):
    floor, row = engine.floor, TABLE[key]
    market = floor.market
    one = market.instruments[traded(market, key)]
    user_id = f"user of {key}"
    floor.login(user_id, 1e9)
    day = market.day(one.symbol, DAY)
    most = int(row["max_limit_order_volume"] or 0)

    def order(order_id, direction, offset, volume, price):
        floor.insert(user_id, {
            "order_id": order_id, "exchange_id": one.exchange_id, "instrument_id": one.code,
            "direction": direction, "offset": offset, "volume": volume, "price_type": "LIMIT",
            "limit_price": price, "time_condition": "IOC", "volume_condition": "ANY",
        })  # fmt: skip
        trade = floor.exchange.snapshot(user_id)["trade"][user_id]
        return trade["orders"][order_id]

    if key in INDEX_OPTIONS:  # they are shown only
        refused = order("in", "BUY", "OPEN", 1, 1000.0)
        assert refused["status"] == "FINISHED" and refused["volume_left"] == 1
        return
    bought = order("in", "BUY", "OPEN", one.open_least, day.upper_limit)
    assert bought["volume_left"] < one.open_least, bought["last_msg"]
    lots = one.open_least - bought["volume_left"]
    offset = "CLOSETODAY" if one.exchange_id in ("SHFE", "INE") else "CLOSE"
    assert order("out", "SELL", offset, lots, day.lower_limit)["status"] == "FINISHED"
    account = floor.exchange.snapshot(user_id)["trade"][user_id]["accounts"]["CNY"]
    fees = one.fees
    assert (account["commission"] > 0) == any((fees.per_lot, fees.ratio))
    if most:
        refused = order("much", "BUY", "OPEN", most + 1, day.lower_limit)
        assert refused["status"] == "FINISHED" and refused["volume_left"] == most + 1
    if one.open_least > 1:
        assert order("few", "BUY", "OPEN", one.open_least - 1, day.upper_limit)["volume_left"]


def recorded():
    """Last trading days that TianQin reported, 2019 to 2020."""
    return [
        ("SHFE.cu1909", "2019-06-10", "2019-09-16"), ("SHFE.bu1912", "2019-06-05", "2019-12-16"),
        ("SHFE.fu2009", "2020-06-16", "2020-08-31"), ("SHFE.ru2009", "2020-06-16", "2020-09-15"),
        ("SHFE.ni2008", "2020-06-16", "2020-08-17"), ("INE.sc2008", "2020-06-16", "2020-07-31"),
        ("INE.nr2009", "2020-06-16", "2020-09-15"), ("DCE.jd1909", "2019-06-05", "2019-09-25"),
        ("DCE.jd2002", "2019-12-04", "2020-02-25"), ("DCE.jd2005", "2020-04-02", "2020-05-26"),
        ("DCE.m2007", "2020-04-02", "2020-07-14"), ("DCE.b2007", "2020-06-16", "2020-07-14"),
        ("DCE.bb2008", "2020-06-16", "2020-08-14"), ("DCE.eb2009", "2020-06-16", "2020-09-25"),
        ("DCE.eg2009", "2020-06-16", "2020-09-25"), ("DCE.pg2011", "2020-06-16", "2020-11-25"),
        ("DCE.j2009", "2020-06-16", "2020-09-14"), ("DCE.rr2009", "2020-06-16", "2020-09-14"),
        ("CZCE.AP010", "2020-06-16", "2020-10-22"), ("CZCE.ZC009", "2020-06-16", "2020-09-07"),
        ("CZCE.SF008", "2020-06-16", "2020-08-14"), ("CZCE.PM007", "2020-06-16", "2020-07-14"),
        ("CZCE.UR009", "2020-06-16", "2020-09-14"), ("CFFEX.IC2006", "2020-06-16", "2020-06-19"),
        ("CFFEX.IH2006", "2020-06-16", "2020-06-19"), ("CFFEX.TS2009", "2020-06-16", "2020-09-11"),
    ]  # fmt: skip


@pytest.mark.parametrize(("symbol", "seen", "expire"), recorded())
def test_last_days_are_those_that_tianqin_has_told(symbol, seen, expire):
    one = contract_of(CALENDAR, symbol, date.fromisoformat(seen))
    assert one.expire == datetime.fromisoformat(f"{expire} 15:00")


@pytest.mark.parametrize(
    ("symbol", "expire"),
    [
        ("INE.ec2612", date(2026, 12, 28)),  # the last Monday
        ("DCE.l2612F", date(2026, 12, 31)),
        ("SHFE.fu2701", date(2026, 12, 31)),  # the month before
        ("CZCE.ZC701", date(2027, 1, 8)),  # the fifth trading day
    ],
)
def test_last_days_of_rules_that_nobody_has_recorded(engine, symbol, expire):
    assert engine.floor.market.instruments[symbol].expire.date() == expire


def test_codes_are_written_as_the_exchanges_write_them(engine):
    known = engine.floor.market.instruments
    for symbol in ("CZCE.FG701", "CZCE.SA701", "DCE.l2612F", "DCE.pp2702F", "GFEX.ps2701",
                   "CFFEX.IO2612-C-4500", "KQ.m@DCE.l_f", "KQ.i@CZCE.RM"):  # fmt: skip
        assert symbol in known
    for symbol in ("CZCE.FG2701", "CZCE.sa701", "DCE.L2612F", "cu2612", "", "KQ.m@CFFEX.IO",
                   "SHFE.xx2612", "SHFE.cu2613"):  # fmt: skip
        assert symbol not in known
        assert known.get(symbol) is None


def test_a_product_is_not_there_before_it_is_listed():
    known = build_instruments(CALENDAR, date(2025, 9, 1), date(2025, 9, 2))
    assert not known.of_product("SHFE.op") and not known.of_product("GFEX.pt")
    later = build_instruments(CALENDAR, date(2025, 12, 1), date(2025, 12, 2))
    listed = [one.listed for one in later.of_product("GFEX.pt").values()]
    assert min(listed) == date(2025, 11, 27)


@pytest.mark.parametrize(("symbol", "least"), [("GFEX.lc2701", 3), ("GFEX.ps2701", 5)])
def test_least_lots_to_open(engine, symbol, least):
    assert engine.floor.market.instruments[symbol].open_least == least


def test_only_products_that_are_asked_for_are_made(monkeypatch):
    made = []
    kept = type(build_instruments(CALENDAR, DAY, DAY))._make
    monkeypatch.setattr(
        "tianqin_backtrader.sandbox.market.listing.Listing._make",
        lambda self, key: made.append(key) or kept(self, key),
    )
    market = make_engine(SandboxOptions()).floor.market
    assert made == []
    market.day("KQ.m@DCE.p", DAY)
    assert made == ["DCE.p"]
