"""Figures of a symbol's trading days that are known without generating their ticks."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from ...session_calendar import Holidays, SessionCalendar
from .listing import Instrument

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Life:
    """All trading days of a symbol, one entry per day.

    Attributes:
        days: The days from the listing on, ascending.
        opens, closes, settlements: The day's first, last and settlement price.
        interest: Open interest at the close, in lots.
        counts: How many ticks the day has.
        first_ids: The id of each day's first tick; one entry more than days.
    """

    days: tuple[date, ...]
    opens: Floats
    closes: Floats
    settlements: Floats
    interest: Ints
    counts: tuple[int, ...]
    first_ids: tuple[int, ...]

    def trades_on(self, day: date) -> bool:
        """Whether the symbol trades on the day."""
        index = bisect_left(self.days, day)
        return index < len(self.days) and self.days[index] == day

    def index(self, day: date) -> int:
        """The index of a trading day; KeyError if the symbol does not trade on it."""
        if not self.trades_on(day):
            raise KeyError(f"no trading on {day}")
        return bisect_left(self.days, day)


def first_ids(counts: tuple[int, ...]) -> tuple[int, ...]:
    """Consecutive ids over all days, starting at 0."""
    return tuple(accumulate(counts, initial=0))


def trading_days(calendar: SessionCalendar, first: date, last: date) -> tuple[date, ...]:
    """The trading days from ``first`` to ``last``, at most to the end of the announced years."""
    return _trading_days(calendar.holidays, first, last)


@lru_cache(maxsize=1024)  # contracts of many products have the same
def _trading_days(holidays: Holidays, first: date, last: date) -> tuple[date, ...]:
    last = min(last, date(holidays.last_year, 12, 31))
    count = max(0, (last - first).days + 1)
    days = (first + timedelta(days=ahead) for ahead in range(count))
    return tuple(day for day in days if day.weekday() < 5 and day not in holidays.closed)


def random_of(*names: object) -> np.random.Generator:
    """A random generator that depends on the names alone."""
    digest = hashlib.sha256("/".join(map(str, names)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def on_tick(prices: Floats, instrument: Instrument) -> Floats:
    """Prices rounded to the contract's tick."""
    ticks = np.round(prices / instrument.price_tick)
    return np.round(ticks * instrument.price_tick, instrument.price_decs)


def liquidity(instrument: Instrument, day: date) -> float:
    """1 for the main contract at its best, towards 0 far from it and near delivery."""
    months = (instrument.expire.date() - day).days / 30.4
    best = _best_months(instrument)
    width = _WIDER if months > best else _NARROWER
    return float(np.exp(-(((months - best) / width) ** 2)))


_WIDER, _NARROWER = 0.9, 0.7


def _best_months(instrument: Instrument) -> float:
    return 1.0 if instrument.exchange_id == "CFFEX" else 1.8


def most_liquid(contracts: Sequence[Instrument], days: Sequence[date]) -> Ints:
    """The index of the most traded contract of each day, until the first day without any.

    Contracts are in order of delivery and of one exchange; the earliest wins a tie.
    """
    at = np.array([day.toordinal() for day in days])[:, None]
    expire = np.array([one.expire.toordinal() for one in contracts])[None, :]
    listed = np.array([one.listed.toordinal() for one in contracts])[None, :]
    months = (expire - at) / 30.4 - _best_months(contracts[0])
    share = np.exp(-((months / np.where(months > 0, _WIDER, _NARROWER)) ** 2))
    trades = (listed <= at) & (at <= expire)
    places: Ints = np.argmax(np.where(trades, share, -1.0), axis=1)
    none = ~trades.any(axis=1)
    return places[: int(none.argmax()) if none.any() else len(days)]
