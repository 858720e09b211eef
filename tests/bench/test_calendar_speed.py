"""is_trading_now: asked for every tick, so it must cost next to nothing.

Run with ``python -m pytest -m bench -s tests/bench/test_calendar_speed.py``. The figure is the
ratio to the least that could answer: a dict lookup and comparisons of datetimes.
"""

import timeit
from datetime import datetime, timedelta

import pytest

from tianqin_backtrader import session_calendar

CALLS = 100_000
ROUNDS = 7
NOW = datetime(2026, 11, 10, 10, 0, 1)
SYMBOLS = [f"SHFE.{name}2701" for name in ("cu", "al", "zn", "rb", "au", "ag", "ru", "bu")]
BARE = dict.fromkeys(SYMBOLS, (datetime(2026, 11, 10, 9), datetime(2026, 11, 10, 10, 15)))


def bare(symbol, now):
    """The least that could answer."""
    opens, closes = BARE[symbol]
    return opens <= now < closes


def nanoseconds(call):
    """Of one call, in the best round: the machine is shared."""
    each = CALLS // len(SYMBOLS)

    def calls():
        for symbol in SYMBOLS:
            for _ in range(each):
                call(symbol)

    return min(timeit.repeat(calls, number=1, repeat=ROUNDS)) / (each * len(SYMBOLS)) * 1e9


@pytest.mark.bench
@pytest.mark.parametrize("how", ["explicit now", "now=None"])
def test_is_trading_now_against_a_bare_lookup(how):
    asked = session_calendar.is_trading_now
    ours = nanoseconds(asked if how == "now=None" else lambda symbol: asked(symbol, NOW))
    least = nanoseconds(lambda symbol: bare(symbol, NOW))
    print(f"\nis_trading_now, {how}: {ours:.0f} ns, bare {least:.0f} ns, ratio {ours / least:.2f}")
    assert ours <= 2000


@pytest.mark.bench
def test_a_year_of_minutes_in_order():
    """As a back-test asks: 400 minutes a day, every open and close crossed."""
    start = datetime(2019, 1, 2, 9)
    minutes = [
        start + timedelta(days=day, minutes=n) for day in range(365) for n in range(0, 800, 2)
    ]
    asked = session_calendar.is_trading_now

    def calls():
        for now in minutes:
            asked("SHFE.cu1912", now)

    each = min(timeit.repeat(calls, number=1, repeat=3)) / len(minutes) * 1e9
    print(f"\nis_trading_now through a year: {each:.0f} ns")
    assert each <= 2000
