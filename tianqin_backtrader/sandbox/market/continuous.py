"""Trading days of main contracts and indexes.

The index is the mean of a product's contracts, weighted by their open interest of the evening
before and rounded to the product's tick; volumes, amounts and open interest are sums. It has a
tick whenever the main contract has one, and no order book.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from .derived_days import Shown, at_moments, derived_day, filled, no_book
from .listing import MONTHS_LISTED, Instrument
from .price_paths import Floats, Ints, Life, first_ids, on_tick
from .ticks import DayTicks

if TYPE_CHECKING:
    from .market import Market


def product_key(instrument: Instrument) -> str:
    """``"SHFE.cu"`` of ``KQ.m@SHFE.cu``."""
    return instrument.code[2:]


class Mains:
    """``KQ.m@``: each day shows the main contract of that day."""

    def __init__(self, market: Market) -> None:
        self._market = market

    def life(self, instrument: Instrument) -> Life:
        """Its days; prices are the contracts' own, without adjustment."""
        market, key = self._market, product_key(instrument)
        mains = market.main_contracts(key)
        counts = tuple(market.tick_count(symbol, day) for day, symbol in mains.items())
        prices = np.zeros(0)
        nothing = prices.astype(np.int64)
        return Life(tuple(mains), prices, prices, prices, nothing, counts, first_ids(counts))

    def day(self, instrument: Instrument, index: int) -> DayTicks:
        """The main contract's day; previous values are the series' own, also across a roll."""
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
        return replace(
            ticks,
            pre_close=float(before.closes[at]),
            pre_open_interest=int(before.interest[at]),
        )


class Indexes:
    """``KQ.i@``: the weighted mean of the product's contracts."""

    def __init__(self, market: Market) -> None:
        self._market = market

    def life(self, instrument: Instrument) -> Life:
        """Its days; prices are means of the contracts' prices."""
        market, key = self._market, product_key(instrument)
        mains = market.main_contracts(key)
        days = tuple(mains)
        rows = [self._facts(instrument, day) for day in days]
        opens, closes, settlements, interest = (
            np.array(column) for column in zip(*rows, strict=True)
        )
        counts = tuple(market.tick_count(symbol, day) for day, symbol in mains.items())
        return Life(
            days,
            on_tick(opens, instrument),
            on_tick(closes, instrument),
            on_tick(settlements, instrument),
            interest,
            counts,
            first_ids(counts),
        )

    def _members(self, instrument: Instrument, day: date) -> list[tuple[str, int]]:
        """(symbol, weight) of the contracts; which others are listed depends on the dates."""
        members = []
        for one in self._market.following(product_key(instrument), day)[:MONTHS_LISTED]:
            life = self._market.life(one.symbol)
            members.append((one.symbol, int(life.interest[max(0, life.index(day) - 1)])))
        return members

    def _facts(self, instrument: Instrument, day: date) -> tuple[float, float, float, int]:
        """(open, close, settlement, interest) of a day, not yet rounded to the tick."""
        opened = closed = settled = 0.0
        interest = weights = 0
        for symbol, weight in self._members(instrument, day):
            life = self._market.life(symbol)
            index = life.index(day)
            opened += weight * float(life.opens[index])
            closed += weight * float(life.closes[index])
            settled += weight * float(life.settlements[index])
            interest += int(life.interest[index])
            weights += weight
        return opened / weights, closed / weights, settled / weights, interest

    def day(self, instrument: Instrument, index: int) -> DayTicks:
        """The ticks of the index' trading day."""
        market, life = self._market, self._market.life(instrument.symbol)
        day = life.days[index]
        time = market.day(market.main_contract(product_key(instrument), day), day).time
        price, (volume, interest), amount = self._sums(instrument, day, time)
        nobody = no_book(len(time))
        price = on_tick(price, instrument)
        shown = Shown(time, price, volume, amount, interest, nobody, nobody)
        return derived_day(instrument, life, index, shown, (float("nan"), float("nan")))

    def _sums(
        self, instrument: Instrument, day: date, time: Ints
    ) -> tuple[Floats, tuple[Ints, Ints], Floats]:
        """(mean price, (volume, open interest), amount) of the contracts at these times."""
        price, amount = np.zeros(len(time)), np.zeros(len(time))
        volume, interest = np.zeros((2, len(time)), np.int64)
        members = self._members(instrument, day)
        for symbol, weight in members:
            ticks = self._market.day(symbol, day)
            at = at_moments(ticks, time)
            begun, at = at >= 0, np.maximum(at, 0)
            price += weight * np.where(begun, filled(ticks)[at], ticks.pre_close)
            volume += np.where(begun, ticks.volume[at], 0)
            amount += np.where(begun, ticks.amount[at], 0.0)
            interest += np.where(begun, ticks.open_interest[at], ticks.pre_open_interest)
        return price / sum(weight for _, weight in members), (volume, interest), np.round(amount, 2)
