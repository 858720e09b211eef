"""Recorded minutes of the real TianQin, replayed by ticks: every bar is reproduced."""

import csv
import gzip
from datetime import date
from itertools import groupby, takewhile
from pathlib import Path

import pandas as pd
import pytest
from official_bars import FIELDS, Keep

from tianqin_backtrader.core.clock import MINUTE, SECOND, from_ns
from tianqin_backtrader.session_calendar import CALENDAR

RECORDED = Path(__file__).parents[3] / "shared" / "data" / "recorded"
pytestmark = [
    pytest.mark.skipif(not RECORDED.exists(), reason="the recorded data is not here"),
    pytest.mark.timeout(300),  # of five days in the silent world
]
#: Trading days of history before the first live one, and bars of history.
BEFORE, LOOKBACK = 2, 600
#: The times of ticks within a minute, nanoseconds.
MOMENTS = (SECOND // 2, 20 * SECOND, 40 * SECOND, 60 * SECOND - SECOND // 2)
#: Contract, first trading day, number of trading days.
STRETCHES = [
    ("SHFE.cu2003", "2020-01-23", 3),  # the New Year's holiday, and no night sessions from 02-03 on
    ("DCE.m2005", "2019-09-30", 2),  # a holiday, whose eve has no night session
    ("SHFE.rb2002", "2019-10-29", 2),  # few trades: most minutes are flat
    ("CFFEX.T2003", "2020-03-03", 2),
    ("SHFE.au1912", "2019-04-29", 4),
    ("SHFE.cu1905", "2019-05-13", 3),  # its last days
    ("SHFE.cu1908", "2019-06-18", 5),
    ("SHFE.cu2001", "2019-10-08", 5),
    ("SHFE.cu2002", "2019-11-18", 5),
    ("SHFE.bu1912", "2019-05-06", 5),
    ("DCE.jd1909", "2019-04-08", 5),
    ("DCE.jd2002", "2019-12-30", 3),
    ("DCE.m2009", "2019-10-30", 5),
    ("CFFEX.IF1908", "2019-06-26", 5),
    ("CFFEX.IF2003", "2020-02-03", 5),
]
#: Contracts of every run, by world; in the silent world a day takes ten times as long.
IN_EVERY_RUN = {"told": ("SHFE.cu2003", "DCE.m2005", "SHFE.rb2002"), "silent": ("CFFEX.T2003",)}


def recorded_minutes(symbol):
    with gzip.open(RECORDED / f"klines_60s_{symbol}.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield int(row["datetime"]), *(float(row[name]) for name in FIELDS)


def trading_day(minute):
    return CALENDAR.trading_day_at(from_ns(minute[0]))


def ticks_of(symbol, minutes):
    """Return ticks that result in these minutes: prices, lots and open interest."""
    rows, close, interest = [], None, None
    for _, of_day in groupby(minutes, trading_day):
        total = 0
        for start, first, high, low, last, lots, close_oi in of_day:
            if lots or close_oi != interest or {first, high, low, last} != {close}:
                prices = (first, *((low, high) if last >= first else (high, low)), last)
                for number, (moment, price) in enumerate(zip(MOMENTS, prices, strict=True), 1):
                    traded = total + int(lots) * number // len(MOMENTS)
                    rows.append((start + moment, price, traded, close_oi))
                total += int(lots)
            close, interest = last, close_oi
    names = ["datetime", "last_price", "volume", "open_interest"]
    return pd.DataFrame(rows, columns=names).assign(symbol=symbol, amount=0.0)


@pytest.fixture
def stretch(tmp_path):
    """Make a stretch: its minutes, and a file of ticks that result in them."""

    def make(symbol, first, days):
        last = first = date.fromisoformat(first)
        for _ in range(days - 1):
            last = CALENDAR.next_trading_day(last)
        begin = first
        for _ in range(BEFORE):
            begin = CALENDAR.previous_trading_day(begin)
        minutes = [one for one in recorded_minutes(symbol) if begin <= trading_day(one) <= last]
        path = tmp_path / "ticks.csv"
        ticks_of(symbol, minutes).to_csv(path, index=False)
        return minutes, path

    return make


def official(minutes):
    return [(from_ns(start + MINUTE), *values) for start, *values in minutes]


def flat_at_the_end(minutes):
    """Count minutes after the last tick: their official bars would come with the next tick."""
    last = minutes[-1][1:]
    flat = takewhile(lambda one: one[1:] == last and not one[-2], reversed(minutes))
    return sum(1 for _ in flat)


@pytest.mark.parametrize(
    ("world", "symbol", "first", "days"),
    [
        pytest.param(
            world, *one, id=f"{world}-{one[0]}",
            marks=[] if one[0] in IN_EVERY_RUN[world] else pytest.mark.slow,
        )
        for world in ("told", "silent")
        for one in STRETCHES
    ],
    indirect=["world"],
)  # fmt: skip
def test_minutes_are_those_that_were_recorded(
    sandbox, run, stretch, tells_time, symbol, first, days
):
    minutes, path = stretch(symbol, first, days)
    clock = {} if tells_time else {"clock_ahead": 20.0, "clock_drift": -1e-4}
    store = sandbox(replay=str(path), start=first, days=days, ticks_per_pack=4, **clock)
    # A round waits for data up to five seconds, as days would have too many rounds.
    feed = store.getdata(symbol, lookback=LOOKBACK, night_start=False, qcheck=5.0)
    [bars] = run(store, Keep, feed, live=10**6).bars.values()
    expected = official(minutes)
    assert [bar[:-1] for bar in bars] == expected[-len(bars) :]
    live = [bar for bar in bars if not bar[-1]]
    of_days = [one for one in minutes if trading_day(one) >= date.fromisoformat(first)]
    assert len(live) == len(of_days) and len(bars) == min(len(minutes), len(live) + LOOKBACK)
    certificate = feed.certificate()
    assert certificate.corrected == certificate.ignored == 0, certificate
    assert certificate.missing + certificate.pending <= flat_at_the_end(minutes), certificate
    assert certificate.equal == len(live) - certificate.missing - certificate.pending
