"""The generated market: equal for equal seeds, and realistic where it matters."""

from datetime import date, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest

from tianqin_backtrader.core.clock import MINUTE, SECOND, from_ns, to_ns
from tianqin_backtrader.sandbox.market.listing import TERMS, build_instruments, contract_of
from tianqin_backtrader.sandbox.market.market import Market
from tianqin_backtrader.sandbox.server import SandboxOptions, make_engine
from tianqin_backtrader.session_calendar import CALENDAR

DAY = date(2026, 11, 10)
SYMBOLS = [
    "SHFE.cu2612", "SHFE.au2704", "INE.sc2701", "DCE.m2701", "DCE.i2704", "CZCE.SR701",
    "CFFEX.IF2612", "CFFEX.T2612", "GFEX.lc2701", "KQ.m@SHFE.rb",
]  # fmt: skip


#: Every exchange and every rule of last days and months; all products are in test_all_products.
KEYS = [
    "SHFE.cu", "SHFE.rb", "SHFE.au", "SHFE.ag", "SHFE.fu", "SHFE.ru", "SHFE.op", "INE.sc", "INE.ec",
    "DCE.m", "DCE.i", "DCE.jd", "DCE.lh", "DCE.l_f", "CZCE.SR", "CZCE.MA", "CZCE.TA", "CZCE.ZC",
    "CZCE.AP", "CZCE.RS", "CFFEX.IF", "CFFEX.T", "CFFEX.TL", "GFEX.lc", "GFEX.si", "GFEX.pt",
]  # fmt: skip


def make_market(seed=1, start=DAY):
    return Market(CALENDAR, build_instruments(CALENDAR, start, start), seed)


@pytest.fixture(scope="module")
def market():
    return make_market()


@pytest.mark.parametrize(
    ("symbol", "last"), [("DCE.m2701", "14:59:59.999501"), ("SHFE.cu2612", "14:59:59.500000")]
)
def test_the_last_tick_of_a_day_is_stamped_as_recorded_ones_are(market, symbol, last):
    stamp = from_ns(int(market.day(symbol, DAY).time[-1]))
    assert f"{stamp:%H:%M:%S.%f}" == last


def test_all_six_exchanges_with_several_months_and_main_contracts(market):
    for key in KEYS:
        months = [
            one
            for one in market.instruments.values()
            if f"{one.exchange_id}.{one.product_id}" == key
            and one.listed <= DAY <= one.expire.date()
        ]
        assert len(months) >= 3, key
        assert market.main_contract(key, DAY) in {one.symbol for one in months}
    assert {key.partition(".")[0] for key in TERMS} == {
        "SHFE", "INE", "DCE", "CZCE", "CFFEX", "GFEX",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("symbol", "last_day"),
    [
        ("SHFE.cu2612", datetime(2026, 12, 15, 15, 0)),
        ("SHFE.rb2611", datetime(2026, 11, 16, 15, 0)),  # the 15th is a Sunday
        ("INE.sc2612", datetime(2026, 11, 30, 15, 0)),
        ("DCE.m2701", datetime(2027, 1, 15, 15, 0)),  # tenth trading day
        ("CFFEX.IF2611", datetime(2026, 11, 20, 15, 0)),  # third Friday
        ("CFFEX.T2612", datetime(2026, 12, 11, 15, 0)),  # second Friday
    ],
)
def test_contracts_expire_by_the_exchanges_rules(market, symbol, last_day):
    assert market.instruments[symbol].expire == last_day


def test_specifications_are_the_real_ones(market):
    au, tl = market.instruments["SHFE.au2612"], market.instruments["CFFEX.T2612"]
    assert (au.volume_multiple, au.price_tick, au.price_decs) == (1000, 0.02, 2)
    assert (tl.volume_multiple, tl.price_tick, tl.price_decs) == (10000, 0.005, 3)
    assert au.trading_time["night"] == [["21:00:00", "26:30:00"]]
    assert tl.trading_time["night"] == []


def test_a_three_digit_code_belongs_to_the_decade_it_was_seen_in():
    assert contract_of(CALENDAR, "CZCE.SR007", date(2020, 5, 8)).delivery_year == 2020
    assert contract_of(CALENDAR, "CZCE.SR001", date(2019, 9, 2)).delivery_year == 2020
    assert contract_of(CALENDAR, "SHFE.cu1909", date(2019, 9, 16)).expire.date() == date(
        2019, 9, 16
    )


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_a_day_looks_like_a_day(market, symbol):
    day, instrument = market.day(symbol, DAY), market.instruments[symbol]
    assert np.all(np.diff(day.time) > 0)
    assert np.all(np.diff(day.volume) >= 0)
    assert np.all(np.diff(day.amount) >= 0)
    tick = instrument.price_tick
    for prices in (day.last_price, day.bid_price, day.ask_price):
        shown = prices[~np.isnan(prices)]
        assert np.allclose(shown / tick, np.round(shown / tick), atol=1e-6)
        assert shown.min() >= day.lower_limit
        assert shown.max() <= day.upper_limit
    best_bid, best_ask = day.bid_price[:, 0], day.ask_price[:, 0]
    both = ~np.isnan(best_bid) & ~np.isnan(best_ask)
    assert np.all(best_ask[both] > best_bid[both])
    traded = day.last_price[~np.isnan(day.last_price)]
    assert traded.min() <= day.settlement <= traded.max()


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_ticks_are_inside_sessions_but_for_the_auction(market, symbol):
    sessions = CALENDAR.sessions(symbol, DAY)
    first, *rest = market.day(symbol, DAY).time.tolist()
    assert first == to_ns(sessions[0][0]) - MINUTE + SECOND // 2
    for stamp in rest:
        assert any(opened <= from_ns(stamp) < closed for opened, closed in sessions)


@pytest.mark.parametrize("symbol", ["SHFE.cu2612", "KQ.m@SHFE.rb", "CFFEX.IF2612"])
def test_days_and_ids_follow_each_other(market, symbol):
    days = [day for day in market.days(symbol) if date(2026, 9, 28) <= day <= DAY]
    for before, after in pairwise(days):
        one, two = market.day(symbol, before), market.day(symbol, after)
        assert two.first_id == one.first_id + len(one)
        assert two.pre_close == one.close
        assert two.pre_open_interest == one.open_interest[-1]
        if not symbol.startswith("KQ"):
            assert two.pre_settlement == one.settlement


def test_the_same_seed_is_the_same_market_whatever_was_asked_before():
    one, two = make_market(), make_market(start=date(2026, 11, 12))
    two.day("SHFE.cu2612", date(2026, 11, 12))
    for symbol in ("SHFE.cu2612", "KQ.m@SHFE.cu"):
        a, b = one.day(symbol, DAY), two.day(symbol, DAY)
        assert (a.first_id, a.close) == (b.first_id, b.close)
        assert np.array_equal(a.time, b.time)
        assert np.array_equal(a.bid_volume, b.bid_volume)


@pytest.mark.parametrize("start", [date(2026, 1, 5), date(2026, 3, 10), date(2026, 6, 1)])
def test_a_sandbox_that_starts_a_week_later_has_the_same_past_and_ids(start):
    one, two = (
        make_engine(SandboxOptions(seed=1, start=day)).floor.market
        for day in (start, start + timedelta(days=7))
    )
    today = CALENDAR.next_trading_day(start)
    for key in KEYS:
        assert one.main_contract(key, today) == two.main_contract(key, today)
        main = f"KQ.m@{key}"
        assert one.first_tick_id(main, today) == two.first_tick_id(main, today)
        assert set(one.days(main)) < set(two.days(main))
    for symbol in ("KQ.m@SHFE.cu", one.main_contract("SHFE.cu", today)):
        assert np.array_equal(one.day(symbol, today).last_price, two.day(symbol, today).last_price)


@pytest.mark.parametrize("start", [date(2026, 1, 5), date(2026, 3, 10), date(2026, 6, 1)])
def test_main_contracts_are_known_from_their_first_day_to_the_end_of_the_run(start):
    engine = make_engine(SandboxOptions(start=start, days=3))
    market, table = engine.floor.market, engine.floor.market.main_table()
    for key in KEYS:
        first, *_, last = market.days(f"KQ.m@{key}")
        assert last >= engine.timeline.last_day
        assert len(market.day(f"KQ.m@{key}", first)) == market.tick_count(f"KQ.m@{key}", first)
        assert table[key][-1][0] <= last


def test_without_a_last_day_main_contracts_end_with_the_contracts():
    days = make_market(start=date(2026, 3, 10)).days("KQ.m@SHFE.cu")
    assert date(2026, 3, 12) < days[-1] < date(2026, 12, 31)


def test_another_seed_is_another_market():
    one, two = make_market(1), make_market(2)
    assert one.day("SHFE.cu2612", DAY).close != two.day("SHFE.cu2612", DAY).close


def test_a_liquid_contract_has_waves_to_trade(market):
    """SMA 5 and 20 of the minute closes cross several times, far beyond the spread."""
    day = market.day("SHFE.cu2612", DAY)
    minutes = np.searchsorted(day.time, np.arange(day.time[0], day.time[-1], MINUTE))
    closes = day.last_price[np.minimum(minutes, len(day) - 1)]
    fast = np.convolve(closes, np.ones(5) / 5, "valid")[15:]
    slow = np.convolve(closes, np.ones(20) / 20, "valid")
    crosses = np.count_nonzero(np.diff(np.sign(fast - slow)))
    assert crosses >= 6
    assert np.ptp(closes) > 20 * 10


def test_thin_contracts_have_silent_minutes_and_no_price_before_their_first_trade(market):
    day = market.day("SHFE.au2704", DAY)
    assert np.max(np.diff(day.time)) > 5 * MINUTE
    assert np.isnan(day.last_price[0])
    assert day.volume[0] == 0


def test_main_contracts_change_before_delivery(market):
    table = market.main_table()["SHFE.cu"]
    assert len(table) > 6
    for day, symbol in table:
        assert (market.instruments[symbol].expire.date() - day).days > 20
