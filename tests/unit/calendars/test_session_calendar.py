"""Sessions, trading days and boundaries; the answers are in data/session_cases.csv, by hand."""

import csv
from datetime import date, datetime
from pathlib import Path

import pytest

from tianqin_backtrader import session_calendar as calendar
from tianqin_backtrader.calendars import holidays
from tianqin_backtrader.errors import CalendarError, CalendarOutOfRange

TABLE = Path(__file__).parents[2] / "data" / "session_cases.csv"
CASES = list(csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines()))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['symbol']} {case['now']}")
def test_answers_checked_by_hand(case):
    now = datetime.fromisoformat(case["now"])
    assert calendar.is_trading_now(case["symbol"], now) is (case["trading"] == "yes"), case["why"]
    assert calendar.trading_day(case["symbol"], now) == date.fromisoformat(case["trading_day"])
    boundary = calendar.next_session_boundary(case["symbol"], now)
    assert boundary == datetime.fromisoformat(case["next_boundary"]), case["why"]


def test_intervals_of_a_trading_day_begin_with_the_night_before():
    intervals = calendar.resolve_intervals("SHFE.au2612", datetime(2026, 11, 16, 10, 0))
    assert intervals[0] == (datetime(2026, 11, 13, 21, 0), datetime(2026, 11, 14, 2, 30))
    assert intervals[-1] == (datetime(2026, 11, 16, 13, 30), datetime(2026, 11, 16, 15, 0))
    assert len(intervals) == 4


@pytest.mark.parametrize(
    ("symbol", "product"),
    [
        ("SHFE.cu2612", ("SHFE", "cu")),
        ("CZCE.SR701", ("CZCE", "SR")),
        ("CZCE.SR701C6000", ("CZCE", "SR")),
        ("SHFE.au2702C900", ("SHFE", "au")),
        ("DCE.m2701-C-3000", ("DCE", "m")),
        ("CFFEX.T2612", ("CFFEX", "T")),
        ("CFFEX.TS2612", ("CFFEX", "TS")),
        ("CFFEX.IO2612-C-4500", ("CFFEX", "IO")),
        ("KQ.m@CFFEX.IF", ("CFFEX", "IF")),
        ("KQ.i@SHFE.sp", ("SHFE", "sp")),
        ("SHFE.SP au2608&au2610", ("SHFE", "au")),
        ("DCE.SPC a2701&m2701", ("DCE", "a")),
        ("CZCE.IPS SF701&SM701", ("CZCE", "SF")),
        ("DCE.l2602F", ("DCE", "l_f")),
    ],
)
def test_a_symbol_names_its_product(symbol, product):
    assert calendar.split_symbol(symbol) == product
    assert calendar.CALENDAR.product(symbol).key == ".".join(product)


@pytest.mark.parametrize(
    ("symbol", "meant"),
    [
        ("shfe.cu2612", "SHFE.cu2612"),
        ("SHFE.CU2612", "SHFE.cu2612"),
        ("cu2612", "SHFE.cu2612"),
        ("sr701", "CZCE.SR701"),
        ("SR2701", "CZCE.SR701"),
        ("IF2612", "CFFEX.IF2612"),
    ],
)
def test_an_unknown_symbol_is_told_what_it_may_mean(symbol, meant):
    with pytest.raises(CalendarError) as caught:
        calendar.CALENDAR.product(symbol)
    assert str(caught.value).endswith(f"(did you mean {meant}?)")


@pytest.mark.parametrize(
    "symbol", ["cu2612", "SHFE.CU2612", "SHFE.", "NYSE.AAPL", "SHFE.xx2612", ""]
)
def test_an_unknown_symbol_is_an_error_that_says_so(symbol):
    with pytest.raises(CalendarError, match=r"expected EXCHANGE|unknown product"):
        calendar.is_trading_now(symbol, datetime(2026, 11, 10, 10, 0))


def test_every_active_product_has_sessions_in_the_read_only_view():
    assert len(calendar.CLASS_SESSIONS) > 90
    assert calendar.CLASS_SESSIONS["SHFE.cu"][-1] == ("21:00", "01:00")
    with pytest.raises(TypeError):
        calendar.CLASS_SESSIONS["SHFE.cu"] = ()


def test_before_the_known_years_there_is_no_guess():
    with pytest.raises(CalendarOutOfRange, match="2015-2026"):
        calendar.is_trading_now("SHFE.cu1405", datetime(2014, 3, 3, 10, 0))


def test_the_year_not_announced_yet_warns():
    holidays._warn_once.cache_clear()
    with pytest.warns(UserWarning, match="2027"):
        calendar.CALENDAR.is_trading_day(date(2027, 3, 1))
