"""Closed days: the table, TianQin's additions, and what is refused."""

import logging
import warnings
from datetime import date, datetime, timedelta

import exchange_calendars
import pytest

from tianqin_backtrader.calendars import holidays as module
from tianqin_backtrader.calendars import trading_calendar
from tianqin_backtrader.calendars.holidays import Holidays, load_holidays, parse_dates
from tianqin_backtrader.calendars.products import load_products
from tianqin_backtrader.errors import CalendarError, CalendarOutOfRange
from tianqin_backtrader.session_calendar import SessionCalendar

TABLE = load_holidays()
KNOWN = sorted(day for day in TABLE.closed if day.year <= TABLE.last_year)
#: 2027 as an exchange might announce it: New Year's Day to National Day, weekends among them.
NEXT_YEAR = [date(2027, 1, 1), date(2027, 2, 8), date(2027, 5, 3), date(2027, 10, 1)]
NEXT_YEAR += [date(2027, 10, 2), date(2027, 10, 4)]


def fresh_calendar():
    return SessionCalendar(load_products(), TABLE)


@pytest.fixture
def logged():
    """The texts of the calendar's warnings. (TqSdk removes caplog's root logger.)"""
    texts = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: texts.append(record.getMessage())
    trading_calendar.logger.addHandler(handler)
    yield texts
    trading_calendar.logger.removeHandler(handler)


@pytest.mark.parametrize("year", range(2015, 2027))
def test_a_year_of_trading_days_is_that_of_the_shanghai_stock_exchange(year):
    # Futures and stocks have closed together on every day since 2015. exchange_calendars knows
    # all of these years (its horizon is the last announced one, 2026): nothing is left out.
    stocks = exchange_calendars.get_calendar("XSHG", start="2015-01-01", end="2026-12-31")
    theirs = {session.date() for session in stocks.sessions if session.year == year}
    days = [date(year, 1, 1) + timedelta(n) for n in range(366)]
    ours = {day for day in days if day.year == year and TABLE.is_trading_day(day)}
    assert len(theirs) > 230
    assert ours == theirs


def test_every_closed_day_of_the_table_is_a_weekday():
    assert all(day.weekday() < 5 for day in TABLE.closed)


def test_working_weekends_are_no_trading_days():
    # 2026's, from the State Council's notice
    working = ["01-04", "02-14", "02-28", "05-09", "09-20", "10-10"]
    assert not any(TABLE.is_trading_day(date.fromisoformat(f"2026-{day}")) for day in working)


def test_before_and_beyond_the_tables_there_is_no_guess():
    for day in (date(2014, 12, 31), date(2028, 3, 1)):
        with pytest.raises(CalendarOutOfRange, match="2015-2026"):
            TABLE.is_trading_day(day)


def test_the_year_not_announced_yet_warns_once():
    module._warn_once.cache_clear()
    with pytest.warns(UserWarning, match="2027"):
        assert not TABLE.is_trading_day(date(2027, 1, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert TABLE.is_trading_day(date(2027, 3, 1))


def test_where_money_is_at_stake_that_year_is_refused():
    calendar = fresh_calendar()
    calendar.must_know(date(2026, 12, 31))
    with pytest.raises(CalendarOutOfRange, match="TianQin"):
        calendar.must_know(date(2027, 1, 4))


def test_tianqin_adds_the_announced_year():
    calendar = fresh_calendar()
    calendar.learn_holidays([*KNOWN, *NEXT_YEAR])
    calendar.must_know(date(2027, 1, 4))
    assert calendar.holidays.last_year == 2027
    # The days expected before are replaced by those announced.
    assert {day for day in calendar.holidays.closed if day.year == 2027} == {
        day for day in NEXT_YEAR if day.weekday() < 5
    }


def test_learned_years_answer_at_once():
    calendar = fresh_calendar()
    module._warn_once.cache_clear()
    new_years_eve = datetime(2026, 12, 31, 21, 30)
    with pytest.warns(UserWarning, match="2027"):
        assert calendar.trading_day("SHFE.cu2703", new_years_eve) == date(2027, 1, 4)
    calendar.learn_holidays([*NEXT_YEAR, date(2027, 1, 4)])
    assert calendar.trading_day("SHFE.cu2703", new_years_eve) == date(2027, 1, 5)
    assert not calendar.is_trading_now("SHFE.cu2703", new_years_eve)


def test_half_a_list_is_not_taken_for_a_year():
    assert TABLE.extended([date(2027, 1, 1), date(2027, 2, 8)]) is TABLE


def test_a_year_after_a_gap_is_not_taken():
    assert TABLE.extended([date(2028, 1, 3), date(2028, 10, 2)]) is TABLE


def test_known_years_stand_against_a_contradiction(logged):
    calendar = fresh_calendar()
    # A list that has the 10th of November closed, and knows nothing of National Day.
    wrong = sorted({*KNOWN, date(2026, 11, 10)} - {date(2026, 10, 1)})
    calendar.learn_holidays(wrong)
    calendar.learn_holidays(wrong)
    assert logged == [
        "TianQin and the holiday table disagree on 2026-10-01, 2026-11-10; the table is used"
    ]
    assert calendar.is_trading_day(date(2026, 11, 10))
    assert not calendar.is_trading_day(date(2026, 10, 1))


def test_a_list_without_anything_new_changes_nothing(logged):
    calendar = fresh_calendar()
    before = calendar.holidays
    calendar.learn_holidays([])
    calendar.learn_holidays(day.isoformat() for day in KNOWN)
    assert calendar.holidays is before
    assert not logged


def test_texts_that_are_no_dates_are_refused():
    for texts in (["2027-02-30"], [20270101], ["today"]):
        with pytest.raises(CalendarError, match="YYYY-MM-DD"):
            parse_dates(texts)


def test_the_first_year_needs_nothing_from_the_year_before():
    days = Holidays(frozenset({date(2015, 1, 1), date(2015, 1, 2)}), 2015, 2015, 2015)
    calendar = SessionCalendar(load_products(), days)
    [first, *_] = calendar.sessions("SHFE.cu1503", date(2015, 1, 5))
    assert first == (datetime(2015, 1, 5, 9), datetime(2015, 1, 5, 10, 15))
