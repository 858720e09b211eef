"""Ticks per second of the pure builder, against a bare loop over the same ticks.

Run with ``python -m pytest -m bench -s tests/bench``. No socket, no client: what the rule of bars
itself costs. The bare loop makes the least that a bar needs (high, low, last, a new minute).
"""

import random
import statistics
import time
from datetime import date

import pytest

from tianqin_backtrader.core.clock import MINUTE, SECOND, from_ns, to_ns
from tianqin_backtrader.core.model import Tick
from tianqin_backtrader.feeds.bar_builder import BarBuilder, SlotTable
from tianqin_backtrader.session_calendar import CALENDAR

SYMBOL, DAYS, ROUNDS = "SHFE.cu2612", 5, 5


def ticks_of_days(days):
    """Two ticks a second over whole trading days, prices a random walk."""
    rng, ticks, day, row_id = random.Random(1), [], date(2026, 11, 10), 0
    for _ in range(days):
        volume = 0
        for opened, closed in CALENDAR.sessions(SYMBOL, day):
            price = 80_000.0
            for moment in range(to_ns(opened) + SECOND // 2, to_ns(closed), SECOND // 2):
                price += rng.choice((-10.0, 0.0, 0.0, 10.0))
                volume += rng.randrange(5)
                ticks.append(Tick(row_id, moment, price, volume, 0.0, 1000, price, price + 10))
                row_id += 1
        day = CALENDAR.next_trading_day(day)
    return ticks


def bare(ticks):
    """Ticks per second of the loop alone; the number of minutes."""
    began = time.perf_counter()
    minutes, end, high, low, last = 0, 0, 0.0, 0.0, 0.0
    for tick in ticks:
        price = tick.last_price
        if tick.time > end:
            minutes += 1
            end = (tick.time // MINUTE + 1) * MINUTE
            high = low = price
        elif price > high:
            high = price
        elif price < low:
            low = price
        last = price
    assert last > 0 and high >= low
    return len(ticks) / (time.perf_counter() - began), minutes


def builder(ticks):
    """Ticks per second through a builder; the number of bars."""
    built = BarBuilder(SlotTable(CALENDAR, SYMBOL, MINUTE))
    built.begin_after(ticks[0].time - SECOND // 2, ticks[0].last_price, 1000)
    began, bars = time.perf_counter(), 0
    for tick in ticks:
        bars += len(built.push(tick))
    return len(ticks) / (time.perf_counter() - began), bars


@pytest.mark.bench
def test_builder_against_a_bare_loop():
    ticks = ticks_of_days(DAYS)
    pairs = [(bare(ticks), builder(ticks)) for _ in range(ROUNDS)]
    minutes = sum(
        len(SlotTable(CALENDAR, SYMBOL, MINUTE).of_day(day))
        for day in sorted({CALENDAR.trading_day_at(from_ns(tick.time)) for tick in ticks[::600]})
    )
    assert pairs[0][1][1] == minutes - 1  # the last one is still open
    theirs = statistics.median(pair[0][0] for pair in pairs)
    ours = statistics.median(pair[1][0] for pair in pairs)
    ratio = statistics.median(mine[0] / loop[0] for loop, mine in pairs)
    print(
        f"\n{len(ticks)} ticks of {DAYS} days, medians of {ROUNDS}: loop {theirs:,.0f} ticks/s, "
        f"builder {ours:,.0f} ticks/s, ratio {ratio:.2f}"
    )
    assert ratio >= 0.1
