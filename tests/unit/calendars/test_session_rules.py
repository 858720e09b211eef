"""Properties of every instant, symbol and product; invalid instants and symbols."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tianqin_backtrader import session_calendar as calendar
from tianqin_backtrader.calendars.products import delivery_month
from tianqin_backtrader.errors import CalendarError

PRODUCTS = sorted(calendar.CALENDAR.products)
#: From the first announced day to the last evening whose next trading day is announced.
INSTANTS = st.datetimes(datetime(2015, 1, 1), datetime(2026, 12, 30, 17))
SYMBOLS = st.sampled_from([*PRODUCTS, "CFFEX.T1512", "CFFEX.TF2006", "CFFEX.IF1507"])


@given(SYMBOLS, INSTANTS)
def test_an_instant_trades_when_it_is_in_an_interval_of_its_trading_day(symbol, now):
    intervals = calendar.resolve_intervals(symbol, now)
    inside = any(start <= now < end for start, end in intervals)
    assert calendar.is_trading_now(symbol, now) is inside
    assert calendar.is_trading_time(symbol, now) is inside


@given(SYMBOLS, INSTANTS)
def test_trading_changes_at_the_next_boundary_and_not_before(symbol, now):
    boundary = calendar.next_session_boundary(symbol, now)
    assert boundary > now
    tick = timedelta(microseconds=1)
    trading = calendar.is_trading_now(symbol, now)
    assert calendar.is_trading_now(symbol, boundary - tick) is trading
    assert calendar.is_trading_now(symbol, boundary) is not trading
    half = now + (boundary - now) / 2
    assert calendar.is_trading_now(symbol, half) is trading


@given(INSTANTS, st.timedeltas(timedelta(0), timedelta(days=20)))
def test_the_trading_day_never_steps_back(now, later):
    day = calendar.CALENDAR.trading_day_at(now)
    after = min(now + later, datetime(2026, 12, 30, 17))
    assert day >= now.date()
    assert calendar.CALENDAR.trading_day_at(after) >= day


@given(SYMBOLS, INSTANTS)
def test_opening_auctions_end_where_a_session_begins(symbol, now):
    if calendar.is_auction(symbol, now) and not calendar.is_trading_now(symbol, now):
        opens = calendar.next_session_boundary(symbol, now)
        assert opens - now <= timedelta(minutes=5)
        assert calendar.is_trading_now(symbol, opens)


@given(SYMBOLS, INSTANTS)
def test_all_sessions_of_a_trading_day_belong_to_it(symbol, now):
    day = calendar.trading_day(symbol, now)
    for start, end in calendar.CALENDAR.sessions(symbol, day):
        assert calendar.trading_day(symbol, start) == day
        assert calendar.trading_day(symbol, end - timedelta(microseconds=1)) == day


@pytest.mark.parametrize("key", PRODUCTS)
def test_every_product_has_sessions_in_the_read_only_view(key):
    spans = calendar.CLASS_SESSIONS[key]
    assert spans[0][0] in ("09:00", "09:30")
    with pytest.raises(TypeError):
        calendar.CLASS_SESSIONS[key] = ()


def test_the_table_has_every_product_of_the_six_exchanges():
    # Listed in November 2026, the dormant ones included.
    listed = {
        "SHFE": "cu al zn pb ni sn ss ao ad au ag rb hc wr bu fu ru br sp op",
        "INE": "sc nr lu bc ec",
        "DCE": "a b m y p c cs rr jd lh lg fb bb l v pp eg eb bz pg j jm i l_f v_f pp_f",
        "CZCE": "SR CF CY TA MA FG OI RM SA SH PX PF PR PL ZC AP CJ UR PK SF SM RS WH PM RI JR LR",
        "CFFEX": "IF IH IC IM TS TF T TL IO HO MO",
        "GFEX": "si lc ps pt pd",
    }
    keys = {f"{exchange}.{name}" for exchange, names in listed.items() for name in names.split()}
    assert keys <= set(PRODUCTS)


@pytest.mark.parametrize(
    ("symbol", "product"),
    [
        ("SHFE.cu2612", "SHFE.cu"),
        ("CZCE.SR701", "CZCE.SR"),
        ("CZCE.SR701C6000", "CZCE.SR"),
        ("CZCE.SR701MSC5600", "CZCE.SR"),
        ("DCE.m2701-MS-C-3000", "DCE.m"),
        ("DCE.l2602F", "DCE.l_f"),
        ("DCE.pp2602F", "DCE.pp_f"),
        ("CFFEX.T2612", "CFFEX.T"),
        ("CFFEX.TS2612", "CFFEX.TS"),
        ("CFFEX.TF2612", "CFFEX.TF"),
        ("CFFEX.TL2612", "CFFEX.TL"),
        ("SHFE.SP sp2701&sp2703", "SHFE.sp"),
        ("KQ.m@DCE.l_f", "DCE.l_f"),
        ("SHFE.cu", "SHFE.cu"),
    ],
)
def test_a_symbol_names_its_product(symbol, product):
    assert calendar.CALENDAR.product(symbol).key == product


@pytest.mark.parametrize(
    "symbol",
    [
        "", ".", "SHFE", "SHFE.", "cu2612", "shfe.cu2612", "SHFE.CU2612", "CZCE.sr701",
        "CFFEX.if2612", "DCE.M2701", "SHFE.cu26", "SHFE.cu2612X", "SHFE.2612", "NYSE.AAPL",
        "KQ.m@SHFE.", "KQ.m@NYSE.cu", "SSE.600000", "SHFE.cu2612-C-", "SHFE.cu2612 ",
    ],
)  # fmt: skip
def test_what_is_no_symbol_is_an_error_that_says_so(symbol):
    for question in (calendar.is_trading_now, calendar.trading_day, calendar.is_auction):
        with pytest.raises(CalendarError, match=r"expected EXCHANGE|unknown product"):
            question(symbol, datetime(2026, 11, 10, 10, 0))


def test_moments_are_naive_beijing_time():
    aware = datetime(2026, 11, 10, 2, 0, tzinfo=UTC)
    for _ in range(2):  # with nothing remembered, and with something
        for question in (
            calendar.is_trading_now,
            calendar.next_session_boundary,
            calendar.resolve_intervals,
            calendar.trading_day,
            calendar.is_auction,
        ):
            with pytest.raises(CalendarError, match="naive Beijing"):
                question("SHFE.cu2612", aware)
        calendar.is_trading_now("SHFE.cu2612", datetime(2026, 11, 10, 10, 0))


@pytest.mark.parametrize("now", ["2026-11-10 21:00", date(2026, 11, 10), 20261110])
def test_what_is_no_moment_is_an_error_that_says_so(now):
    for question in (
        calendar.is_trading_now,
        calendar.next_session_boundary,
        calendar.resolve_intervals,
        calendar.trading_day,
        calendar.is_auction,
    ):
        with pytest.raises(CalendarError, match="naive Beijing"):
            question("DCE.eg2701", now)


def test_without_an_instant_the_machines_clock_is_asked(monkeypatch):
    from tianqin_backtrader.core import clock

    monkeypatch.setattr(clock.time, "time_ns", lambda: clock.to_ns(datetime(2026, 11, 13, 21)))
    for _ in range(2):
        assert calendar.is_trading_now("SHFE.cu2612")
    assert calendar.trading_day("SHFE.cu2612") == date(2026, 11, 16)
    assert calendar.next_session_boundary("SHFE.cu2612") == datetime(2026, 11, 14, 1)
    assert len(calendar.resolve_intervals("SHFE.cu2612")) == 4
    assert not calendar.is_auction("SHFE.cu2612")
    monkeypatch.setattr(clock.time, "time_ns", lambda: clock.to_ns(datetime(2026, 11, 14, 1)))
    assert not calendar.is_trading_now("SHFE.cu2612")


def test_a_closed_day_has_no_sessions():
    with pytest.raises(CalendarError, match="not a trading day"):
        calendar.CALENDAR.sessions("SHFE.cu2612", date(2026, 11, 14))


def test_months_of_contracts():
    assert delivery_month("CFFEX.T2612") == (2026, 12)
    for other in ("KQ.m@CFFEX.T", "CZCE.SR701", "CFFEX.IO2612-C-4500", "CFFEX.T2613", "CFFEX.T"):
        assert delivery_month(other) is None
