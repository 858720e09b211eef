"""Official bars against a slow reference, and against TianQin's recorded ones."""

import csv
from dataclasses import asdict, replace
from datetime import date, datetime, time
from pathlib import Path

import numpy as np
import pytest

from tianqin_backtrader.core.clock import BEIJING_OFFSET, DAY, MINUTE, SECOND, to_ns
from tianqin_backtrader.sandbox.market.bars import BarSeries, DayBars, find_slots
from tianqin_backtrader.sandbox.market.listing import build_instruments
from tianqin_backtrader.sandbox.market.market import Market
from tianqin_backtrader.sandbox.market.replay import FileMarket
from tianqin_backtrader.session_calendar import CALENDAR

RECORDED = Path(__file__).parents[4] / "shared" / "data" / "recorded"
MONDAY, FIRST_AFTER_HOLIDAY = date(2026, 11, 9), date(2026, 10, 8)


@pytest.fixture(scope="module")
def market():
    return Market(CALENDAR, build_instruments(CALENDAR, date(2026, 11, 10), date(2026, 11, 10)), 1)


def reference(ticks, sessions, duration, stop):
    """The bars of a day after its first ``stop`` ticks, tick by tick."""
    if duration >= DAY:
        starts = [to_ns(datetime.combine(ticks.trading_day, time()))]
        firsts = set(starts)
    else:
        starts, firsts = [], set()
        for opened, closed in sessions:
            slot = (to_ns(opened) + BEIJING_OFFSET) // duration * duration - BEIJING_OFFSET
            if slot not in starts:
                firsts.add(slot)
            while slot < to_ns(closed):
                if slot not in starts:
                    starts.append(slot)
                slot += duration
    price, volume, oi, traded = ticks.pre_close, 0, ticks.pre_open_interest, False
    bars, k = [], 0
    for number, start in enumerate(starts):
        following = starts[number + 1] if number + 1 < len(starts) else None
        bar = dict(
            datetime=start, open=price, high=price, low=price, close=price,
            volume=0, open_oi=oi, close_oi=oi,
        )  # fmt: skip
        volume_at_start, first = volume, start in firsts
        while k < stop and (following is None or ticks.time[k] <= following):
            oi, volume = int(ticks.open_interest[k]), int(ticks.volume[k])
            seen = float(ticks.last_price[k])
            if seen == seen:
                if not traded or first:
                    bar.update(open=seen, high=seen, low=seen)
                traded, first, price = True, False, seen
                bar.update(high=max(bar["high"], seen), low=min(bar["low"], seen), close=seen)
            bar.update(volume=volume - volume_at_start, close_oi=oi)
            k += 1
        bars.append(bar)
        if k >= stop:
            break
    return bars


@pytest.mark.parametrize("seconds", [60, 180, 240, 300, 900, 3600, 86400])
@pytest.mark.parametrize("day", [MONDAY, FIRST_AFTER_HOLIDAY])
@pytest.mark.parametrize(
    "symbol",
    [
        "SHFE.cu2612",
        "SHFE.au2704",
        "CFFEX.T2612",
        "DCE.m2701",
        "CZCE.SR703",
        "KQ.m@INE.sc",
        "KQ.i@SHFE.cu",
        "DCE.m2701-C-3000",
    ],
)
def test_bars_equal_the_reference_at_any_moment_of_the_day(market, symbol, day, seconds):
    ticks, sessions = market.day(symbol, day), CALENDAR.sessions(symbol, day)
    series = BarSeries(market, symbol, seconds * SECOND)
    begin = series.running_id(day, -1) + 1
    for stop in (1, 2, len(ticks) // 3, len(ticks) // 2, len(ticks)):
        rows = series.rows(begin, begin + 10_000, day, stop - 1)
        assert list(rows.values()) == reference(ticks, sessions, seconds * SECOND, stop)
        assert list(rows) == list(range(begin, begin + len(rows)))


def test_moved_rows_add_up_to_the_day(market):
    symbol = "SHFE.au2704"
    series, ticks = BarSeries(market, symbol, MINUTE), market.day(symbol, MONDAY)
    gathered = {}
    for k in range(len(ticks)):
        gathered.update(series.moved(MONDAY, k))
    last = series.running_id(MONDAY, len(ticks) - 1)
    first = series.running_id(MONDAY, -1) + 1
    assert gathered == series.rows(first, last, MONDAY, len(ticks) - 1)


def test_flat_bars_at_the_end_of_a_day_come_with_the_next_days_first_tick(market):
    symbol = "SHFE.cu2612"
    friday, ticks = date(2026, 11, 6), market.day(symbol, date(2026, 11, 6))
    arrays = {name: one for name, one in asdict(ticks).items() if isinstance(one, np.ndarray)}
    half = replace(ticks, **{name: one[: len(ticks) // 2] for name, one in arrays.items()})

    class Stops:
        """A market in which the contract stops trading in the middle of Friday."""

        def __getattr__(self, name):
            return getattr(market, name)

        def day(self, symbol, day):
            return half if day == friday else market.day(symbol, day)

        def tick_count(self, symbol, day):
            return len(self.day(symbol, day))

    series = BarSeries(Stops(), symbol, MINUTE)
    last, first = series.running_id(friday, len(half) - 1), series.running_id(MONDAY, 0)
    found = series.moved(MONDAY, 0)
    assert list(found) == list(range(last + 1, first + 1)) and len(found) > 200
    assert found == series.rows(last + 1, first, MONDAY, 0)
    assert {row["volume"] for row in found.values()} == {0, found[first]["volume"]}


def test_ids_go_on_over_days(market):
    series = BarSeries(market, "SHFE.cu2612", MINUTE)
    last = len(market.day("SHFE.cu2612", date(2026, 11, 6))) - 1
    assert series.running_id(date(2026, 11, 6), last) + 1 == series.running_id(MONDAY, 0)


def test_id_at_finds_the_bar_that_covers_an_instant(market):
    series = BarSeries(market, "SHFE.cu2612", MINUTE)
    k = len(market.day("SHFE.cu2612", MONDAY)) - 1
    for text in ("2026-11-09 09:00:30", "2026-11-06 21:15:00", "2026-11-09 14:59:59"):
        instant = to_ns(datetime.fromisoformat(text))
        start = series.row(series.id_at(instant), MONDAY, k)["datetime"]
        assert start <= instant < start + MINUTE
    in_the_break = series.id_at(to_ns(datetime(2026, 11, 9, 10, 20)))
    assert series.row(in_the_break, MONDAY, k)["datetime"] == to_ns(datetime(2026, 11, 9, 10, 30))


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded data is not here")
def test_200_official_bars_follow_from_their_recorded_ticks():
    day = date(2019, 9, 16)
    played = FileMarket(str(RECORDED / "ticks_SHFE.cu1909_20190916.csv"), CALENDAR)
    sessions = CALENDAR.sessions("SHFE.cu1909", day)
    bars = DayBars(played.day("SHFE.cu1909", day), find_slots(sessions, 10 * SECOND, day))
    names = ("open", "high", "low", "close", "volume", "open_oi", "close_oi")
    text = (RECORDED / "klines_10s_SHFE.cu1909.csv").read_text(encoding="utf-8")
    official = list(csv.DictReader(text.splitlines()))
    assert len(official) == 200
    for row in official:
        slot = int(np.searchsorted(bars.starts, int(row["datetime"])))
        assert [bars.final(slot)[name] for name in names] == [float(row[name]) for name in names]
