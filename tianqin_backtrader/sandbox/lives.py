"""What is known of a symbol's trading days without making their ticks."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from ..session_calendar import SessionCalendar
from .instruments import Instrument

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Life:
    """All trading days of a symbol, one entry a day.

    Attributes:
        days: From the listing on, ascending.
        opens, closes, settlements: The day's first, last and settlement price.
        interest: Open interest at the close, in lots.
        counts: How many ticks the day has.
        first_ids: The id of its first tick; one entry more than days.
    """

    days: tuple[date, ...]
    opens: Floats
    closes: Floats
    settlements: Floats
    interest: Ints
    counts: tuple[int, ...]
    first_ids: tuple[int, ...]

    def trades_on(self, day: date) -> bool:
        """Whether the day is one of them."""
        index = bisect_left(self.days, day)
        return index < len(self.days) and self.days[index] == day

    def index(self, day: date) -> int:
        """The place of a trading day; KeyError outside the life."""
        if not self.trades_on(day):
            raise KeyError(f"no trading on {day}")
        return bisect_left(self.days, day)


def first_ids(counts: tuple[int, ...]) -> tuple[int, ...]:
    """Consecutive ids over all days, from 0 on."""
    return tuple(accumulate(counts, initial=0))


def trading_days(calendar: SessionCalendar, first: date, last: date) -> Iterator[date]:
    """The trading days from ``first`` to ``last``, at most to the end of the years announced."""
    last = min(last, date(calendar.holidays.last_year, 12, 31))
    day = first
    while day <= last:
        if day.weekday() < 5 and day not in calendar.holidays.closed:
            yield day
        day += timedelta(days=1)


def random_of(*names: object) -> np.random.Generator:
    """A generator that depends on the names alone."""
    digest = hashlib.sha256("/".join(map(str, names)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def on_tick(prices: Floats, instrument: Instrument) -> Floats:
    """Prices rounded to the contract's tick."""
    ticks = np.round(prices / instrument.price_tick)
    return np.round(ticks * instrument.price_tick, instrument.price_decs)


def liquidity(instrument: Instrument, day: date) -> float:
    """1 for the main contract at its best, towards 0 far from it and near delivery."""
    months = (instrument.expire.date() - day).days / 30.4
    best = 1.0 if instrument.exchange_id == "CFFEX" else 1.8
    width = 0.9 if months > best else 0.7
    return float(np.exp(-(((months - best) / width) ** 2)))
