"""The days of a futures contract: a latent walk over days, and each day a bridge between them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np

from ..session_calendar import SessionCalendar
from .instruments import Instrument
from .lives import Life, first_ids, liquidity, on_tick, random_of, trading_days
from .terms import TERMS
from .ticks import DayPlan, DayTicks, make_day


class Futures:
    """Makes contracts from nothing but their names and the seed.

    Args:
        calendar: Sessions and trading days.
        seed: Names the market.
        life_of: What has been found by ``life`` before.
    """

    def __init__(
        self, calendar: SessionCalendar, seed: int, life_of: Callable[[str], Life]
    ) -> None:
        self._calendar, self._seed, self._life_of = calendar, seed, life_of

    def life(self, instrument: Instrument) -> Life:
        """The contract's days, from its listing to its expiry."""
        days = tuple(trading_days(self._calendar, instrument.listed, instrument.expire.date()))
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
        minutes = [self._minutes(instrument, day) for day in days]
        counts = tuple(
            2 + max(6, int(count * (0.6 + 32 * share)))
            for count, share in zip(minutes, liquid, strict=True)
        )
        # Between the day's first and last price, so always within its range.
        settlements = on_tick((opens + closes) / 2, instrument)
        return Life(days, opens, closes, settlements, interest, counts, first_ids(counts))

    def day(self, instrument: Instrument, index: int) -> DayTicks:
        """The ticks of the contract's trading day number ``index``."""
        life = self._life_of(instrument.symbol)
        before = max(0, index - 1)
        plan = DayPlan(
            trading_day=life.days[index],
            first_id=life.first_ids[index],
            count=life.counts[index],
            open_price=float(life.opens[index]),
            close_price=float(life.closes[index]),
            pre_close=float(life.closes[before]),
            pre_settlement=float(life.settlements[before]),
            settlement=float(life.settlements[index]),
            pre_open_interest=int(life.interest[before]),
            open_interest=int(life.interest[index]),
            liquidity=liquidity(instrument, life.days[index]),
            sessions=self._calendar.sessions(instrument.symbol, life.days[index]),
        )
        rng = random_of(self._seed, instrument.symbol, life.days[index])
        return make_day(instrument, plan, rng)

    def _minutes(self, instrument: Instrument, day: date) -> int:
        sessions = self._calendar.sessions(instrument.symbol, day)
        return sum(int((end - start).total_seconds()) // 60 for start, end in sessions)
