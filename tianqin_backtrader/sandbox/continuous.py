"""The days of what runs on over contracts: main contracts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from .instruments import Instrument
from .lives import Life, first_ids, trading_days
from .ticks import DayTicks

if TYPE_CHECKING:
    from .market import Market


def product_days(market: Market, instrument: Instrument) -> Iterator[date]:
    """The trading days of a product, as far as its contracts are known."""
    key = product_key(instrument)
    for day in trading_days(market.calendar, instrument.listed, market.last_day):
        if not market.following(key, day):
            return
        yield day


def product_key(instrument: Instrument) -> str:
    """``"SHFE.cu"`` of ``KQ.m@SHFE.cu``."""
    return instrument.code[2:]


class Mains:
    """``KQ.m@``: on each day what the main contract of that day shows."""

    def __init__(self, market: Market) -> None:
        self._market = market

    def life(self, instrument: Instrument) -> Life:
        """Its days; prices are the contracts' own and not gathered."""
        market, key = self._market, product_key(instrument)
        days = tuple(product_days(market, instrument))
        counts = tuple(market.tick_count(market.main_contract(key, day), day) for day in days)
        prices = np.zeros(0)
        nothing = prices.astype(np.int64)
        return Life(days, prices, prices, prices, nothing, counts, first_ids(counts))

    def day(self, instrument: Instrument, index: int) -> DayTicks:
        """The main contract's day; what went before is the series' own, also over a change."""
        market, key = self._market, product_key(instrument)
        life = market.life(instrument.symbol)
        day = life.days[index]
        ticks = replace(
            market.day(market.main_contract(key, day), day),
            symbol=instrument.symbol,
            first_id=life.first_ids[index],
        )
        if index == 0:
            return ticks
        yesterday = life.days[index - 1]
        before = market.life(market.main_contract(key, yesterday))
        at = before.index(yesterday)
        assert at is not None  # it was the main contract on that day
        return replace(
            ticks,
            pre_close=float(before.closes[at]),
            pre_open_interest=int(before.interest[at]),
        )
