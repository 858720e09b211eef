"""When the supervisor is notified of opens and closes."""

from datetime import datetime, timedelta
from types import SimpleNamespace

from tianqin_backtrader.calendars.market_hours import Edge, MarketHours
from tianqin_backtrader.core.clock import to_ns
from tianqin_backtrader.session_calendar import CALENDAR

MINUTE = timedelta(minutes=1)


def events_of(start, end, *symbols, lead=3 * MINUTE):
    """(time, event), checked every minute."""
    now, feeds = [start], [SimpleNamespace(symbol=symbol) for symbol in symbols]
    hours = MarketHours(CALENDAR, feeds, lambda: to_ns(now[0]), lead)
    found, awake = [], []
    while now[0] <= end:
        found += [(f"{now[0]:%d %H:%M}", event) for event in hours.events()]
        awake.append((now[0], hours.awake()))
        now[0] += MINUTE
    return found, dict(awake)


def test_a_day_of_copper():
    found, awake = events_of(
        datetime(2026, 11, 10, 8, 0), datetime(2026, 11, 11, 1, 30), "SHFE.cu2612"
    )
    assert [moment for moment, event in found if event is Edge.AHEAD] == [
        "10 08:57", "10 13:27", "10 20:57",
    ]  # fmt: skip
    assert [moment for moment, event in found[1:] if event is Edge.BOUNDARY] == [
        "10 09:00", "10 10:15", "10 10:30", "10 11:30", "10 13:30", "10 15:00", "10 21:00",
        "11 01:00",
    ]  # fmt: skip
    assert not awake[datetime(2026, 11, 10, 12, 0)]
    assert awake[datetime(2026, 11, 10, 10, 27)]
    assert awake[datetime(2026, 11, 10, 22, 0)]


def test_no_night_no_renewal_ahead_of_it():
    found, _ = events_of(
        datetime(2026, 11, 10, 14, 0), datetime(2026, 11, 11, 9, 40), "CFFEX.T2612"
    )
    assert [moment for moment, event in found if event is Edge.AHEAD] == ["11 09:27"]


def test_the_eve_of_a_holiday_has_no_night():
    found, _ = events_of(datetime(2026, 9, 24, 14, 0), datetime(2026, 9, 28, 9, 0), "SHFE.cu2612")
    assert [moment for moment, event in found if event is Edge.AHEAD] == ["28 08:57"]


def test_while_another_product_trades_nothing_is_renewed():
    """CFFEX opens at 13:00, half an hour before the others."""
    found, _ = events_of(
        datetime(2026, 11, 10, 11, 0), datetime(2026, 11, 10, 14, 0), "SHFE.cu2612", "CFFEX.IF2612"
    )
    assert [moment for moment, event in found if event is Edge.AHEAD] == ["10 12:57"]


def test_without_a_lead_it_is_always_awake():
    found, awake = events_of(
        datetime(2026, 11, 14, 8, 0), datetime(2026, 11, 14, 9, 0), "SHFE.cu2612", lead=None
    )
    assert {event for _, event in found} == {Edge.BOUNDARY}
    assert all(awake.values())
