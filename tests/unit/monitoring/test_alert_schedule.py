"""When day report, still alive and the check before the open are due."""

from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

from tianqin_backtrader.calendars.market_hours import MarketHours
from tianqin_backtrader.core.clock import to_ns
from tianqin_backtrader.monitoring.alerts.schedule import AlertTimes
from tianqin_backtrader.monitoring.alerts.settings import AlertSettings
from tianqin_backtrader.session_calendar import CALENDAR

CU, IF, T = "SHFE.cu2612", "CFFEX.IF2612", "CFFEX.T2612"


def dues(moments, *symbols, **settings):
    """What is due at each time, as texts."""
    now, feeds = [moments[0]], [SimpleNamespace(symbol=symbol) for symbol in symbols]
    hours = MarketHours(CALENDAR, feeds, lambda: to_ns(now[0]), timedelta(minutes=3))
    times = AlertTimes(AlertSettings(**settings))
    found = []
    for now[0] in moments:
        list(hours.events())
        day = CALENDAR.trading_day_at(now[0])
        due = times.look(now[0], day, hours.trading, hours.boundary)
        at = f"{now[0]:%d %H:%M}"
        if due.day is not None:
            found.append(f"{at} report {due.day:%d}")
        if due.alive:
            found.append(f"{at} alive")
        if due.opens is not None:
            found.append(f"{at} check {due.opens:%d %H:%M}")
    return found


def minutes(start, end):
    start, end = datetime(*start), datetime(*end)
    return [start + timedelta(minutes=n) for n in range((end - start) // timedelta(minutes=1) + 1)]


def test_two_days_of_copper():
    found = dues(minutes((2026, 11, 10, 8, 0), (2026, 11, 11, 22, 0)), CU)
    assert found == [
        "10 08:58 check 10 09:00",
        "10 12:00 alive",
        "10 15:02 report 10",
        "10 18:00 alive",
        "10 20:58 check 10 21:00",
        "11 08:58 check 11 09:00",
        "11 12:00 alive",
        "11 15:02 report 11",
        "11 18:00 alive",
        "11 20:58 check 11 21:00",
    ]


def test_a_weekend_is_alive_and_nothing_else():
    found = dues(minutes((2026, 11, 13, 20, 0), (2026, 11, 16, 9, 30)), CU)
    assert found == [
        "13 20:58 check 13 21:00",
        "14 12:00 alive",
        "14 18:00 alive",
        "15 12:00 alive",
        "15 18:00 alive",
        "16 08:58 check 16 09:00",
    ]


def test_products_together_have_one_check_and_one_report():
    found = dues(minutes((2026, 11, 10, 8, 0), (2026, 11, 10, 17, 0)), CU, IF, T)
    assert found == ["10 08:58 check 10 09:00", "10 12:00 alive", "10 15:17 report 10"]


def test_an_index_future_opens_at_half_past_nine():
    found = dues(minutes((2026, 11, 10, 8, 0), (2026, 11, 10, 17, 0)), IF, alive_at=())
    assert found == ["10 09:28 check 10 09:30", "10 15:02 report 10"]


def test_what_began_after_the_close_has_no_day_to_report():
    assert dues(minutes((2026, 11, 10, 15, 30), (2026, 11, 10, 17, 0)), CU) == []


@pytest.mark.parametrize(
    ("jumps", "expected"),
    [
        # the clock of a sandbox, which stands still while nobody trades
        (["10 14:59", "10 15:30"], ["10 15:30 report 10"]),
        (["10 14:59", "10 20:59"], ["10 20:59 report 10", "10 20:59 check 10 21:00"]),
        (["10 22:00", "11 09:00", "11 15:30"], ["11 15:30 report 11"]),
        (["10 22:00", "11 08:59"], ["11 08:59 check 11 09:00"]),
        # a link that was away from one day to the next
        (["10 14:00", "11 14:00"], ["11 14:00 report 10"]),
        (["10 14:00", "11 16:00"], ["11 16:00 report 10"]),
        # lunch and tea are within a day
        (["10 10:00", "10 10:20", "10 10:31", "10 11:31", "10 13:29", "10 13:31"], []),
    ],
)
def test_a_clock_that_jumps(jumps, expected):
    moments = [datetime.strptime(f"2026-11-{text}", "%Y-%m-%d %H:%M") for text in jumps]
    assert dues(moments, CU, alive_at=()) == expected


def test_alive_is_made_up_for_once():
    moments = [datetime(2026, 11, 10, 11), datetime(2026, 11, 12, 17)]
    assert dues(moments) == ["12 17:00 alive"]
