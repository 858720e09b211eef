"""The sandbox's market: made-up ticks with the look of real ones, the same for the same seed.

Everything depends on the seed, the symbol and the calendar alone, counted from the day the
contract was listed: a sandbox that starts a week later sees the same past and the same ids. A
latent walk over trading days gives each day its first and last price; the day itself is a bridge
between them, so any day can be made alone.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import lru_cache
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from ..session_calendar import SessionCalendar
from .instruments import TERMS, Instrument
from .ticks import DayPlan, DayTicks, make_day

#: Days of ticks kept; older ones are made again when they are asked for.
DAYS_KEPT = 256


@dataclass(frozen=True, slots=True)
class _Life:
    """What is known of a contract's days without making their ticks."""

    days: tuple[date, ...]
    opens: NDArray[np.float64]
    closes: NDArray[np.float64]
    interest: NDArray[np.int64]
    counts: tuple[int, ...]
    first_ids: tuple[int, ...]


def random_of(*names: object) -> np.random.Generator:
    """A generator that depends on the names alone."""
    digest = hashlib.sha256("/".join(map(str, names)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


class Market:
    """All contracts' trading days.

    Args:
        calendar: Sessions and trading days.
        instruments: By symbol.
        seed: Names the market.
    """

    def __init__(
        self, calendar: SessionCalendar, instruments: Mapping[str, Instrument], seed: int
    ) -> None:
        self.calendar = calendar
        self.instruments = instruments
        self.seed = seed
        self._lives: dict[str, _Life] = {}
        self._contracts: dict[str, list[Instrument]] = defaultdict(list)
        for one in instruments.values():
            if one.ins_class == "FUTURE":
                self._contracts[f"{one.exchange_id}.{one.product_id}"].append(one)
        self.day = lru_cache(maxsize=DAYS_KEPT)(self._make_day)

    # -- which days ---------------------------------------------------------------------------

    def days(self, symbol: str) -> tuple[date, ...]:
        """The trading days of a contract, from its listing to its expiry."""
        return self._life(symbol).days

    def first_tick_id(self, symbol: str, day: date) -> int:
        """The id of the first tick of a trading day."""
        life = self._life(symbol)
        return life.first_ids[bisect_left(life.days, day)]

    def tick_count(self, symbol: str, day: date) -> int:
        """How many ticks the trading day has; 0 outside the contract's life."""
        life = self._life(symbol)
        index = bisect_left(life.days, day)
        alive = index < len(life.days) and life.days[index] == day
        return life.counts[index] if alive else 0

    def main_contract(self, product_key: str, day: date) -> str:
        """The contract behind ``KQ.m@``: the one that trades most, never in its delivery month."""
        following = [
            one for one in self._contracts[product_key] if one.listed <= day <= one.expire.date()
        ]
        return max(
            following, key=lambda one: (_liquidity(one, day), -one.expire.toordinal())
        ).symbol

    def main_table(self) -> dict[str, list[tuple[date, str]]]:
        """Per product, the days on which its main contract changed, and to which."""
        table: dict[str, list[tuple[date, str]]] = {}
        for main in self.instruments.values():
            if main.ins_class != "CONT":
                continue
            key = main.code[2:]
            rows = table[key] = []
            for day in self.days(main.symbol):
                symbol = self.main_contract(key, day)
                if not rows or rows[-1][1] != symbol:
                    rows.append((day, symbol))
        return table

    # -- how they go --------------------------------------------------------------------------

    def _life(self, symbol: str) -> _Life:
        if symbol not in self._lives:
            self._lives[symbol] = self._find_life(self.instruments[symbol])
        return self._lives[symbol]

    def _find_life(self, instrument: Instrument) -> _Life:
        last = min(instrument.expire.date(), date(self.calendar.holidays.last_year, 12, 31))
        days = []
        day = instrument.listed
        while day <= last:
            if day.weekday() < 5 and day not in self.calendar.holidays.closed:
                days.append(day)
            day += timedelta(days=1)
        if instrument.ins_class == "CONT":
            return self._main_life(instrument, tuple(days))
        rng = random_of(self.seed, instrument.symbol, "life")
        terms = TERMS[f"{instrument.exchange_id}.{instrument.product_id}"]
        daily = instrument.limit_ratio / 6
        inside = np.clip(rng.normal(0, daily, len(days)), -2.5 * daily, 2.5 * daily)
        gaps = np.clip(rng.normal(0, daily / 6, len(days)), -daily / 2, daily / 2)
        basis = 1 + 0.002 * (instrument.delivery_month - 6)
        level = terms.price * basis * np.exp(np.cumsum(inside + gaps) * 0.9)
        level = np.clip(level, terms.price * 0.6, terms.price * 1.6)
        closes = _on_tick(level, instrument)
        opens = _on_tick(np.concatenate(([level[0]], level[:-1] * np.exp(gaps[1:]))), instrument)
        liquid = np.array([_liquidity(instrument, day) for day in days])
        interest = (2000 + 180_000 * liquid * rng.uniform(0.9, 1.1, len(days))).astype(np.int64)
        minutes = [self._minutes(instrument, day) for day in days]
        counts = tuple(
            2 + max(6, int(count * (0.6 + 32 * share)))
            for count, share in zip(minutes, liquid, strict=True)
        )
        return _Life(tuple(days), opens, closes, interest, counts, _first_ids(counts))

    def _main_life(self, instrument: Instrument, days: tuple[date, ...]) -> _Life:
        key = instrument.code[2:]
        counts = tuple(self.tick_count(self.main_contract(key, day), day) for day in days)
        nothing = np.zeros(0)
        return _Life(days, nothing, nothing, nothing.astype(np.int64), counts, _first_ids(counts))

    def _main_day(self, instrument: Instrument, day: date, first_id: int) -> DayTicks:
        """The main contract's day; what went before is the series' own, also over a change."""
        key = instrument.code[2:]
        yesterday = self.calendar.previous_trading_day(day)
        before = self._life(self.main_contract(key, yesterday))
        index = min(bisect_left(before.days, yesterday), len(before.days) - 1)
        return replace(
            self.day(self.main_contract(key, day), day),
            symbol=instrument.symbol,
            first_id=first_id,
            pre_close=float(before.closes[index]),
            pre_open_interest=int(before.interest[index]),
        )

    def _minutes(self, instrument: Instrument, day: date) -> int:
        sessions = self.calendar.sessions(instrument.symbol, day)
        return sum(int((end - start).total_seconds()) // 60 for start, end in sessions)

    def _make_day(self, symbol: str, day: date) -> DayTicks:
        """The ticks of a trading day.

        Raises:
            KeyError: The contract does not trade on that day.
        """
        instrument = self.instruments[symbol]
        if self.tick_count(symbol, day) == 0:
            raise KeyError(f"{symbol} does not trade on {day}")
        first_id = self.first_tick_id(symbol, day)
        if instrument.ins_class == "CONT":
            return self._main_day(instrument, day, first_id)
        life = self._life(symbol)
        index = bisect_left(life.days, day)
        before = max(0, index - 1)
        plan = DayPlan(
            trading_day=day,
            first_id=first_id,
            count=life.counts[index],
            open_price=float(life.opens[index]),
            close_price=float(life.closes[index]),
            pre_close=float(life.closes[before]),
            pre_settlement=_settlement(life, before, instrument),
            settlement=_settlement(life, index, instrument),
            pre_open_interest=int(life.interest[before]),
            open_interest=int(life.interest[index]),
            liquidity=_liquidity(instrument, day),
            sessions=self.calendar.sessions(symbol, day),
        )
        return make_day(instrument, plan, random_of(self.seed, symbol, day))


def _first_ids(counts: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(accumulate(counts, initial=0))


def _on_tick(prices: NDArray[np.float64], instrument: Instrument) -> NDArray[np.float64]:
    ticks = np.round(prices / instrument.price_tick)
    return np.round(ticks * instrument.price_tick, instrument.price_decs)


def _settlement(life: _Life, index: int, instrument: Instrument) -> float:
    """Between the day's first and last price, so always within its range."""
    middle = (life.opens[index] + life.closes[index]) / 2
    return float(_on_tick(np.array([middle]), instrument)[0])


def _liquidity(instrument: Instrument, day: date) -> float:
    """1 for the main contract at its best, towards 0 far from it and near delivery."""
    months = (instrument.expire.date() - day).days / 30.4
    best = 1.0 if instrument.exchange_id == "CFFEX" else 1.8
    width = 0.9 if months > best else 0.7
    return float(np.exp(-(((months - best) / width) ** 2)))
