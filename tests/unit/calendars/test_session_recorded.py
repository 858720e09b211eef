"""The calendar against TianQin's recordings of 2019 and 2020: hours, and minutes of bars."""

import csv
import gzip
import json
from collections import defaultdict
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from tianqin_backtrader.core.clock import MINUTE, from_ns, to_ns
from tianqin_backtrader.session_calendar import CALENDAR, Hours

RECORDED = Path(__file__).parents[4] / "shared" / "data" / "recorded"
NO_NIGHT = RECORDED.parent / "market" / "no_night.csv"
needs_recorded = pytest.mark.skipif(not RECORDED.exists(), reason="the recorded data is not here")
MINUTES = sorted(RECORDED.glob("klines_60s_*.csv.gz"))


@needs_recorded
def test_hours_are_those_tianqin_published_on_their_day():
    text = (RECORDED / "instruments.csv").read_text(encoding="utf-8")
    compared = set()
    for row in csv.DictReader(text.splitlines()):
        told = Hours.of_trading_time(
            {
                "day": json.loads(row["trading_day"] or "null"),
                "night": json.loads(row["trading_night"] or "null"),
            }
        )
        if told is None:
            assert row["symbol"].startswith("KQ.m@")  # they have no hours of their own
            continue
        day = date.fromisoformat(row["as_of"])
        assert CALENDAR.hours(row["symbol"], day) == told, (row["symbol"], day)
        compared.add((CALENDAR.product(row["symbol"]).key, day))
    assert len(compared) > 75


@needs_recorded
@pytest.mark.parametrize("path", MINUTES, ids=lambda path: path.name.split("_")[2])
def test_every_recorded_day_has_the_minutes_of_its_sessions(path):
    symbol = path.name.removeprefix("klines_60s_").removesuffix(".csv.gz")
    days, holes = defaultdict(list), set()
    with gzip.open(path, "rt", encoding="utf-8") as file:
        before = None
        for row in csv.DictReader(file):
            start = int(row["datetime"])
            day = CALENDAR.trading_day_at(from_ns(start))
            days[day].append(start)
            if before is not None and int(row["id"]) != before[0] + 1:
                holes |= {before[1], day}
            before = (int(row["id"]), day)
    whole = sorted(set(days) - holes)[1:-1]  # the recording begins and ends within a day
    assert len(whole) > 20
    for day in whole:
        spans = [(to_ns(a), to_ns(b)) for a, b in CALENDAR.sessions(symbol, day)]
        expected = [ns for a, b in spans for ns in range(a, b, MINUTE)]
        assert days[day] == expected, day
    if not holes:  # and no trading day is missing
        span = [whole[0] + timedelta(n) for n in range((whole[-1] - whole[0]).days + 1)]
        assert whole == [day for day in span if CALENDAR.is_trading_day(day)]


@pytest.mark.skipif(not NO_NIGHT.exists(), reason="the list of evenings is not here")
def test_evenings_without_a_night_are_those_of_the_exchanges_notices():
    rows = csv.DictReader(NO_NIGHT.read_text(encoding="utf-8").splitlines())
    listed = {row["first_day_after"] for row in rows}
    days = [date(2015, 1, 5) + timedelta(n) for n in range(4379)]
    without = {
        day.isoformat()
        for day in days
        if CALENDAR.is_trading_day(day) and not CALENDAR.has_night(day)
    }
    assert days[-1] == date(2026, 12, 31)
    assert without == {day for day in listed if day < "2027"}
    assert len(without) == 141


def test_a_recorded_day_of_2019_by_hand():
    sessions = CALENDAR.sessions("SHFE.cu1909", date(2019, 9, 10))
    assert sessions[0] == (datetime(2019, 9, 9, 21), datetime(2019, 9, 10, 1))
    assert len(sessions) == 4
