"""A contract's own hours from TianQin, with priority over the product table."""

import logging
from datetime import date, datetime

import pytest

from tianqin_backtrader.calendars import session_table
from tianqin_backtrader.calendars.holidays import load_holidays
from tianqin_backtrader.calendars.products import load_products
from tianqin_backtrader.errors import CalendarError
from tianqin_backtrader.session_calendar import Hours, SessionCalendar

DAY = [["09:00:00", "10:15:00"], ["10:30:00", "11:30:00"], ["13:30:00", "15:00:00"]]
COPPER = {"day": DAY, "night": [["21:00:00", "25:00:00"]]}
LONGER = {"day": DAY, "night": [["21:00:00", "26:30:00"]]}
SHORT_DAY = {"day": [["09:00:00", "11:30:00"]], "night": None}
CU = "SHFE.cu2701"
TODAY, TOMORROW = date(2026, 11, 11), date(2026, 11, 12)


@pytest.fixture
def calendar():
    return SessionCalendar(load_products(), load_holidays())


@pytest.fixture
def logged():
    """The texts of the warnings. (TqSdk removes caplog's root logger.)"""
    texts = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: texts.append(record.getMessage())
    session_table.logger.addHandler(handler)
    yield texts
    session_table.logger.removeHandler(handler)


def closes(calendar, symbol, day):
    return [end for _, end in calendar.sessions(symbol, day)]


def test_hours_equal_to_the_tables_change_nothing(calendar, logged):
    assert not calendar.learn(CU, COPPER, TODAY)
    assert not logged


def test_other_hours_hold_from_their_trading_day_on(calendar):
    assert calendar.learn(CU, LONGER, TODAY)
    assert closes(calendar, CU, date(2026, 11, 10))[0] == datetime(2026, 11, 10, 1)
    assert closes(calendar, CU, TODAY)[0] == datetime(2026, 11, 11, 2, 30)
    assert closes(calendar, CU, TOMORROW)[0] == datetime(2026, 11, 12, 2, 30)


def test_they_are_the_contracts_alone(calendar):
    calendar.learn(CU, LONGER, TODAY)
    assert closes(calendar, "SHFE.cu2702", TODAY)[0] == datetime(2026, 11, 11, 1)
    assert closes(calendar, "SHFE.cu", TODAY)[0] == datetime(2026, 11, 11, 1)


def test_answers_remembered_before_are_forgotten(calendar):
    now = datetime(2026, 11, 11, 1, 30)
    assert not calendar.is_trading_now(CU, now)
    calendar.learn(CU, LONGER, TODAY)
    assert calendar.is_trading_now(CU, now)
    assert calendar.next_session_boundary(CU, now) == datetime(2026, 11, 11, 2, 30)


def test_what_was_learned_ends_when_tianqin_says_otherwise(calendar):
    calendar.learn(CU, LONGER, TODAY)
    assert calendar.learn(CU, COPPER, TOMORROW)
    assert closes(calendar, CU, TODAY)[0] == datetime(2026, 11, 11, 2, 30)
    assert closes(calendar, CU, TOMORROW)[0] == datetime(2026, 11, 12, 1)


def test_a_suspended_night_is_no_night_and_no_night_auction(calendar):
    calendar.learn(CU, {"day": DAY, "night": []}, TODAY)
    assert closes(calendar, CU, TODAY)[0] == datetime(2026, 11, 11, 10, 15)
    assert not calendar.is_auction(CU, datetime(2026, 11, 10, 20, 56))
    assert calendar.is_auction(CU, datetime(2026, 11, 11, 8, 56))


def test_learned_nights_keep_away_from_holiday_eves(calendar):
    calendar.learn(CU, LONGER, date(2026, 9, 30))
    first = calendar.sessions(CU, date(2026, 10, 8))[0]
    assert first[0] == datetime(2026, 10, 8, 9)


def test_the_last_day_of_a_bond_stays_short(calendar):
    longer = {"day": [["09:30:00", "11:30:00"], ["13:00:00", "15:30:00"]], "night": None}
    calendar.learn("CFFEX.T2612", longer, date(2026, 12, 10))
    assert closes(calendar, "CFFEX.T2612", date(2026, 12, 10))[-1] == datetime(2026, 12, 10, 15, 30)
    assert closes(calendar, "CFFEX.T2612", date(2026, 12, 11)) == [datetime(2026, 12, 11, 11, 30)]


def test_a_difference_from_the_table_is_a_warning_once(calendar, logged):
    for day in (TODAY, TOMORROW):
        calendar.learn(CU, LONGER, day)
        calendar.learn("SHFE.cu2702", LONGER, day)
    assert len(logged) == 1
    assert "night 21:00-02:30" in logged[0]
    assert "night 21:00-01:00" in logged[0]


@pytest.mark.parametrize("nothing", [None, {}, {"day": None, "night": None}, {"day": []}])
def test_a_main_contract_without_hours_keeps_its_products(calendar, nothing, logged):
    assert not calendar.learn("KQ.m@SHFE.cu", nothing, TODAY)
    assert closes(calendar, "KQ.m@SHFE.cu", TODAY)[0] == datetime(2026, 11, 11, 1)
    assert not logged


def test_a_main_contract_takes_those_of_the_contract_behind_it(calendar):
    calendar.learn("KQ.m@SHFE.cu", LONGER, TODAY)
    assert closes(calendar, "KQ.m@SHFE.cu", TODAY)[0] == datetime(2026, 11, 11, 2, 30)


@pytest.mark.parametrize(
    "damaged",
    [
        {"day": [["09:00:00"]]},
        {"day": [["9 o'clock", "15:00:00"]]},
        {"day": [["15:00:00", "09:00:00"]]},
        {"day": DAY, "night": [["13:00:00", "14:00:00"]]},
        {"day": [None]},
    ],
)
def test_hours_that_cannot_be_read_change_nothing_and_warn(calendar, damaged, logged):
    assert not calendar.learn(CU, damaged, TODAY)
    assert closes(calendar, CU, TODAY)[0] == datetime(2026, 11, 11, 1)
    [text] = logged
    assert "keeps the table's hours" in text


def test_a_product_listed_after_the_table_was_made(calendar, logged):
    symbol = "GFEX.xy2704"
    with pytest.raises(CalendarError, match="unknown product"):
        calendar.product(symbol)
    assert calendar.learn(symbol, SHORT_DAY, TODAY)
    assert calendar.product(symbol).key == "GFEX.xy"
    assert closes(calendar, "GFEX.xy2705", TODAY) == [datetime(2026, 11, 11, 11, 30)]
    assert "GFEX.xy" in calendar.products
    assert len(logged) == 1


def test_what_is_no_symbol_is_refused(calendar):
    with pytest.raises(CalendarError, match="expected EXCHANGE"):
        calendar.learn("cu2701", COPPER, TODAY)


def test_hours_in_force_can_be_asked(calendar):
    assert calendar.hours(CU, TODAY) == Hours.of_trading_time(COPPER)
    calendar.learn(CU, SHORT_DAY, TODAY)
    assert str(calendar.hours(CU, TODAY)) == "09:00-11:30, no night"
