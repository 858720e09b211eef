"""Common parts of days that are derived from others: indexes, options and combinations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .listing import Instrument
from .price_paths import Floats, Ints, Life
from .ticks import FIVE_LEVELS, LEVELS, DayTicks


class Side(NamedTuple):
    """One side of the book, five levels per tick; NaN and 0 where there is no level."""

    prices: Floats
    volumes: Ints


class Shown(NamedTuple):
    """The columns of a day's ticks; one entry per tick, prices rounded to the tick size."""

    time: Ints
    price: Floats
    volume: Ints
    amount: Floats
    interest: Ints
    bid: Side
    ask: Side


def no_book(count: int) -> Side:
    """One side of an empty book."""
    return Side(np.full((count, LEVELS), np.nan), np.zeros((count, LEVELS), np.int64))


def levels_of(instrument: Instrument) -> int:
    """How many levels of the book the exchange shows."""
    return LEVELS if instrument.exchange_id in FIVE_LEVELS else 1


def filled(ticks: DayTicks) -> Floats:
    """Last prices; before the first trade, the previous close."""
    return np.where(np.isnan(ticks.last_price), ticks.pre_close, ticks.last_price)


def at_moments(ticks: DayTicks, moments: Ints) -> Ints:
    """The index of the newest tick at each time; -1 before the first."""
    return np.searchsorted(ticks.time, moments, side="right") - 1


def derived_day(
    instrument: Instrument, life: Life, index: int, shown: Shown, limits: tuple[float, float]
) -> DayTicks:
    """Build a whole day; previous values come from ``life``, limits are (lower, upper)."""
    before = max(0, index - 1)
    traded = shown.volume > 0
    price = np.where(traded, shown.price, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        average = np.round(shown.amount / shown.volume / instrument.volume_multiple, 4)
    return DayTicks(
        symbol=instrument.symbol,
        trading_day=life.days[index],
        first_id=life.first_ids[index],
        levels=levels_of(instrument),
        time=shown.time,
        last_price=price,
        average=np.where(traded & (shown.amount > 0), average, np.nan),
        highest=np.fmax.accumulate(price),
        lowest=np.fmin.accumulate(price),
        volume=shown.volume,
        amount=shown.amount,
        open_interest=shown.interest,
        bid_price=shown.bid.prices,
        bid_volume=shown.bid.volumes,
        ask_price=shown.ask.prices,
        ask_volume=shown.ask.volumes,
        pre_settlement=float(life.settlements[before]),
        pre_close=float(life.closes[before]),
        pre_open_interest=int(life.interest[before]),
        lower_limit=limits[0],
        upper_limit=limits[1],
        settlement=float(life.settlements[index]),
        close=float(life.closes[index]),
    )
