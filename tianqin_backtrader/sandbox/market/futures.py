"""Trading days of a future: a latent walk over days, and a bridge within each day."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import lru_cache

import numpy as np

from ...session_calendar import SessionCalendar
from .limit_lock import LimitLock, hold_at_limit
from .listing import Instrument
from .price_paths import Life, first_ids, liquidity, on_tick, random_of, trading_days
from .product_terms import TERMS
from .ticks import DayPlan, DayTicks, make_day


class Futures:
    """Generates contracts from their names and the seed alone.

    Args:
        calendar: Sessions and trading days.
        seed: Determines the market.
        life_of: Returns the cached result of ``life``.
        locks: The limit locks, by symbol and trading day.
    """

    def __init__(
        self,
        calendar: SessionCalendar,
        seed: int,
        life_of: Callable[[str], Life],
        locks: Mapping[tuple[str, date], Sequence[LimitLock]],
    ) -> None:
        self._calendar, self._seed, self._life_of = calendar, seed, life_of
        self._locks = locks
        self._plans: dict[str, Life] = {}
        self._minutes = lru_cache(maxsize=None)(self._count_minutes)

    def life(self, instrument: Instrument) -> Life:
        """The contract's days, from its listing to its expiry.

        A day that is locked at a limit until its end closes there. Settlement prices do not change,
        and therefore later days do not either.
        """
        plan = self._plan(instrument)
        closes = plan.closes.copy()
        for symbol, day in self._locks:
            if symbol == instrument.symbol:
                closes[plan.index(day)] = self._day(instrument, plan.index(day), plan).close
        return replace(plan, closes=closes)

    def _plan(self, instrument: Instrument) -> Life:
        """The days without any lock."""
        if instrument.symbol not in self._plans:
            self._plans[instrument.symbol] = self._make_plan(instrument)
        return self._plans[instrument.symbol]

    def _make_plan(self, instrument: Instrument) -> Life:
        days = trading_days(self._calendar, instrument.listed, instrument.expire.date())
        rng = random_of(self._seed, instrument.symbol, "life")
        terms = TERMS[f"{instrument.exchange_id}.{instrument.product_id}"]
        daily = instrument.limit_ratio / 6
        inside = np.clip(rng.normal(0, daily, len(days)), -2.5 * daily, 2.5 * daily)
        gaps = np.clip(rng.normal(0, daily / 6, len(days)), -daily / 2, daily / 2)
        basis = 1 + 0.002 * (instrument.delivery_month - 6)
        level = terms.price * basis * np.exp(np.cumsum(inside + gaps) * 0.9)
        level = np.clip(level, terms.price * 0.6, terms.price * 1.6)
        closes = on_tick(level, instrument)
        opens = on_tick(np.concatenate(([level[0]], level[:-1] * np.exp(gaps[1:]))), instrument)
        liquid = np.array([liquidity(instrument, day) for day in days])
        interest = (2000 + 180_000 * liquid * rng.uniform(0.9, 1.1, len(days))).astype(np.int64)
        product = self._calendar.product(instrument.symbol)
        # A product's contracts share their sessions, unless the last day ends early.
        name = product.key if product.last_day is None else instrument.symbol
        minutes = [self._minutes(name, day) for day in days]
        counts = tuple(
            2 + max(6, int(count * (0.6 + 32 * share)))
            for count, share in zip(minutes, liquid, strict=True)
        )
        # Halfway between the day's first and last price, so always within its range.
        settlements = on_tick((opens + closes) / 2, instrument)
        return Life(days, opens, closes, settlements, interest, counts, first_ids(counts))

    def day(self, instrument: Instrument, index: int) -> DayTicks:
        """The ticks of the contract's trading day number ``index``."""
        return self._day(instrument, index, self._life_of(instrument.symbol))

    def _day(self, instrument: Instrument, index: int, life: Life) -> DayTicks:
        """The ticks of day number ``index`` of ``life``."""
        day, before = life.days[index], max(0, index - 1)
        plan = DayPlan(
            trading_day=day,
            first_id=life.first_ids[index],
            count=life.counts[index],
            open_price=float(life.opens[index]),
            close_price=float(self._plan(instrument).closes[index]),
            pre_close=float(life.closes[before]),
            pre_settlement=float(life.settlements[before]),
            settlement=float(life.settlements[index]),
            pre_open_interest=int(life.interest[before]),
            open_interest=int(life.interest[index]),
            liquidity=liquidity(instrument, day),
            sessions=self._calendar.sessions(instrument.symbol, day),
        )
        ticks = make_day(instrument, plan, random_of(self._seed, instrument.symbol, day))
        for lock in self._locks.get((instrument.symbol, day), ()):
            ticks = hold_at_limit(ticks, instrument, lock)
        return ticks

    def _count_minutes(self, name: str, day: date) -> int:
        sessions = self._calendar.sessions(name, day)
        return sum(int((end - start).total_seconds()) // 60 for start, end in sessions)
