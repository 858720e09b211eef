"""Trading days from minutes, against TianQin's own recorded day bars."""

import csv
import gzip
from datetime import date, datetime
from itertools import groupby
from pathlib import Path

import pytest
from day_of_minutes import day_of_minutes

from tianqin_backtrader.core.clock import MINUTE, from_ns, to_ns
from tianqin_backtrader.core.model import Bar
from tianqin_backtrader.feeds.slots import day_slots
from tianqin_backtrader.session_calendar import CALENDAR

RECORDED = Path(__file__).parents[4] / "shared" / "data" / "recorded"
COLUMNS = ("open", "high", "low", "close", "volume", "close_oi")
needs_recorded = pytest.mark.skipif(not RECORDED.exists(), reason="the recorded data is not here")


def bar(minute, price, volume=1):
    start = to_ns(datetime(2026, 11, 10, 9, minute))
    return Bar(start, start + MINUTE, price, price + 2, price - 1, price + 1, volume, 5, 6)


def test_a_day_runs_over_its_minutes():
    day = day_of_minutes([bar(0, 100.0), bar(1, 110.0), bar(2, 90.0)])
    assert day[2:9] == (100.0, 112.0, 89.0, 91.0, 3, 5, 6)


def test_minutes_before_the_first_trade_do_not_count():
    flat = bar(0, 50.0, 0)._replace(high=50.0, low=50.0, close=50.0)
    assert day_of_minutes([flat, bar(1, 100.0)])[2:6] == (100.0, 102.0, 99.0, 101.0)


def test_a_day_without_a_trade_is_flat():
    flat = bar(0, 50.0, 0)._replace(high=50.0, low=50.0, close=50.0)
    assert day_of_minutes([flat, flat])[2:7] == (50.0, 50.0, 50.0, 50.0, 0)


def recorded_minutes(symbol):
    with gzip.open(RECORDED / f"klines_60s_{symbol}.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            start = int(row["datetime"])
            yield Bar(
                start, start + MINUTE, *(float(row[n]) for n in ("open", "high", "low", "close")),
                int(row["volume"]), int(row["open_oi"]), int(row["close_oi"]),
            )  # fmt: skip


@needs_recorded
@pytest.mark.parametrize("symbol", ["DCE.jd1909", "SHFE.au1912", "SHFE.cu1905"])
def test_recorded_days_equal_the_official_ones(symbol):
    text = (RECORDED / f"klines_86400s_{symbol}.csv").read_text(encoding="utf-8")
    official = {
        from_ns(int(row["datetime"])).date(): tuple(float(row[name]) for name in COLUMNS)
        for row in csv.DictReader(text.splitlines())
    }
    days = groupby(recorded_minutes(symbol), lambda b: CALENDAR.trading_day_at(from_ns(b.start)))
    compared = 0
    for day, found in days:
        minutes = list(found)
        slots = day_slots(CALENDAR.sessions(symbol, day), MINUTE)
        if [one.start for one in minutes] != [slot.start for slot in slots] or day not in official:
            assert day < date(2019, 4, 10) or day > date(2019, 5, 1), "a whole day is not whole"
            continue  # the recording begins or ends within the day
        built = day_of_minutes(minutes)
        assert tuple(float(getattr(built, name)) for name in COLUMNS) == official[day], day
        compared += 1
    assert compared > 40
