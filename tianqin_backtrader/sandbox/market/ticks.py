"""One trading day of ticks, generated in one piece with numpy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from math import ceil, floor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...core.clock import MINUTE, SECOND, to_ns
from .listing import Instrument

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Exchanges that show five levels of the book; the others show one.
FIVE_LEVELS = frozenset({"SHFE", "INE"})
LEVELS = 5
_HALF = SECOND // 2
#: How long before the close the day's last tick is stamped, ns; elsewhere half a second.
_LAST = {"DCE": 499_000}


@dataclass(frozen=True, slots=True, eq=False)
class DayTicks:
    """The ticks of one contract's trading day.

    All arrays have one entry per tick; ``bid_*`` and ``ask_*`` have five columns, NaN and 0 where
    the exchange shows no level. ``time`` is nanoseconds since 1970 UTC, strictly increasing.
    ``volume`` (lots) and ``amount`` (yuan) are cumulative; prices are nan before the first trade.
    """

    symbol: str
    trading_day: date
    first_id: int
    levels: int
    time: Ints
    last_price: Floats
    average: Floats
    highest: Floats
    lowest: Floats
    volume: Ints
    amount: Floats
    open_interest: Ints
    bid_price: Floats
    ask_price: Floats
    bid_volume: Ints
    ask_volume: Ints
    pre_settlement: float
    pre_close: float
    pre_open_interest: int
    upper_limit: float
    lower_limit: float
    settlement: float
    close: float

    def __len__(self) -> int:
        return len(self.time)


@dataclass(frozen=True, slots=True)
class DayPlan:
    """What is known about a day before its ticks are generated."""

    trading_day: date
    first_id: int
    count: int
    open_price: float
    close_price: float
    pre_close: float
    pre_settlement: float
    settlement: float
    pre_open_interest: int
    open_interest: int
    liquidity: float
    sessions: tuple[tuple[datetime, datetime], ...]


def make_day(instrument: Instrument, plan: DayPlan, rng: np.random.Generator) -> DayTicks:
    """Generate the whole day of a plan."""
    tick, decimals = instrument.price_tick, instrument.price_decs
    time = _times(instrument, plan, rng)
    top = floor(plan.pre_settlement * (1 + instrument.limit_ratio) / tick)
    bottom = ceil(plan.pre_settlement * (1 - instrument.limit_ratio) / tick)
    middle = np.clip(_bridge(instrument, plan, time, rng), bottom + 1, top - 1)
    bid, ask = _quotes(middle, plan.liquidity, bottom, top, rng)
    traded, volume = _volumes(time, plan, rng)
    last = _last(bid, ask, traded, plan, tick, rng)
    price = np.round(last * tick, decimals)
    amount = np.round(np.cumsum(np.where(traded, price, 0.0) * np.diff(volume, prepend=0)), 4)
    amount = np.round(amount * instrument.volume_multiple, 2)
    first = int(np.argmax(traded))
    before = np.arange(len(time)) < first
    levels = LEVELS if instrument.exchange_id in FIVE_LEVELS else 1
    with np.errstate(invalid="ignore", divide="ignore"):
        average = np.round(amount / volume / instrument.volume_multiple, 4)
    seen = np.where(before, np.nan, price)
    drift = (plan.open_interest - plan.pre_open_interest) * np.linspace(0, 1, len(time))
    noise = np.cumsum(rng.integers(-3, 4, len(time)) * traded)
    noise = noise - noise[-1] * np.linspace(0, 1, len(time))
    interest = np.maximum(np.rint(plan.pre_open_interest + drift + noise), 1).astype(np.int64)
    depth = _Depth(levels, plan.liquidity, bottom, top, tick, decimals)
    bid_price, bid_volume = _side(bid, -1, depth, rng)
    ask_price, ask_volume = _side(ask, 1, depth, rng)
    return DayTicks(
        symbol=instrument.symbol,
        trading_day=plan.trading_day,
        first_id=plan.first_id,
        levels=levels,
        time=time,
        last_price=seen,
        average=np.where(before, np.nan, average),
        highest=np.fmax.accumulate(seen),
        lowest=np.fmin.accumulate(seen),
        volume=volume,
        amount=amount,
        open_interest=interest,
        bid_price=bid_price,
        ask_price=ask_price,
        bid_volume=bid_volume,
        ask_volume=ask_volume,
        pre_settlement=plan.pre_settlement,
        pre_close=plan.pre_close,
        pre_open_interest=plan.pre_open_interest,
        upper_limit=round(top * tick, decimals),
        lower_limit=round(bottom * tick, decimals),
        settlement=plan.settlement,
        close=float(price[-1]),
    )


def _times(instrument: Instrument, plan: DayPlan, rng: np.random.Generator) -> Ints:
    """Timestamps like the exchange's, densest after opens and before closes."""
    grids, weights = [], []
    for opened, closed in plan.sessions:
        start, end = to_ns(opened), to_ns(closed)
        grid = np.arange(start + _HALF, end, _HALF, dtype=np.int64)
        since, left = (grid - start) / MINUTE, (end - grid) / MINUTE
        grids.append(grid)
        weights.append(0.6 + 2.0 * np.exp(-since / 12) + 0.8 * np.exp(-left / 10))
    grid, weight = np.concatenate(grids), np.concatenate(weights)
    auction = to_ns(plan.sessions[0][0]) - MINUTE + _HALF
    wanted = min(plan.count - 2, len(grid) - 1)
    # Weighted choice without repetition: the largest of log(weight) + Gumbel noise.
    keys = np.log(weight[:-1]) + rng.gumbel(size=len(grid) - 1)
    chosen = np.sort(np.argpartition(keys, -wanted)[-wanted:])
    last = to_ns(plan.sessions[-1][1]) - _LAST.get(instrument.exchange_id, _HALF)
    time = np.concatenate(([auction], grid[chosen], [last]))
    inner = slice(1, -1)
    if instrument.exchange_id == "DCE":
        time[inner] += rng.integers(0, 400, len(time) - 2) * 1_000_000 * (time[inner] % MINUTE != 0)
    elif instrument.exchange_id == "CZCE":
        # Whole seconds; the second tick of a second is stamped a microsecond later.
        time[inner] -= time[inner] % SECOND
        time[inner] += 1000 * np.concatenate(([False], np.diff(time[inner]) == 0))
    return time


def _bridge(instrument: Instrument, plan: DayPlan, time: Ints, rng: np.random.Generator) -> Floats:
    """The latent price in ticks, from the day's first price to its last."""
    tick = instrument.price_tick
    n = len(time)
    daily = plan.pre_settlement * instrument.limit_ratio / 6 / tick
    walk = np.cumsum(rng.normal(0, 1, n) * daily / np.sqrt(n))
    share = np.linspace(0, 1, n)
    start, end = plan.open_price / tick, plan.close_price / tick
    waves = np.zeros(n)
    for cycles in (6.0, 11.0, 17.0):
        waves += daily * 0.12 * np.sin(2 * np.pi * (share * cycles + rng.uniform()))
    wave = waves - (waves[0] + (waves[-1] - waves[0]) * share)
    bridge: Floats = start + (end - start) * share + walk - walk[-1] * share + wave
    return bridge


def _quotes(
    middle: Floats, liquidity: float, bottom: int, top: int, rng: np.random.Generator
) -> tuple[Ints, Ints]:
    wide = 1 + np.minimum(rng.geometric(min(0.97, 0.15 + 0.8 * liquidity**0.3), len(middle)) - 1, 8)
    bid = np.floor(middle - (wide - 1) / 2).astype(np.int64)
    ask = bid + wide
    return np.clip(bid, bottom, top - 1), np.clip(ask, bottom + 1, top)


def _volumes(time: Ints, plan: DayPlan, rng: np.random.Generator) -> tuple[NDArray[np.bool_], Ints]:
    """(whether a tick brought a trade, cumulative volume)."""
    n = len(time)
    traded = rng.random(n) < 0.35 + 0.5 * plan.liquidity
    thin = plan.liquidity < 0.05
    traded[0] = not thin  # thin contracts have no trade in the auction
    if thin:
        traded[1 : 1 + n // 10] = False
    traded[-1] = True
    lots = rng.geometric(1 / (1 + 12 * plan.liquidity), n)
    lots[0] *= 15
    return traded, np.cumsum(lots * traded)


def _last(
    bid: Ints,
    ask: Ints,
    traded: NDArray[np.bool_],
    plan: DayPlan,
    tick: float,
    rng: np.random.Generator,
) -> Ints:
    """Last prices in ticks: trades are at the bid or the ask; otherwise the price is unchanged."""
    hit = np.where(rng.random(len(bid)) < 0.5, bid, ask)
    hit[-1] = round(plan.close_price / tick)
    hit[0] = round(plan.open_price / tick)
    index = np.maximum.accumulate(np.where(traded, np.arange(len(bid)), 0))
    return hit[index]


class _Depth(NamedTuple):
    """The parameters of the book's levels; prices in ticks."""

    levels: int
    liquidity: float
    bottom: int
    top: int
    tick: float
    decimals: int


def _side(best: Ints, sign: int, depth: _Depth, rng: np.random.Generator) -> tuple[Floats, Ints]:
    """(prices, volumes) of five levels, NaN and 0 where there is none."""
    steps = np.arange(LEVELS)
    prices = best[:, None] + sign * steps[None, :]
    inside = (prices >= depth.bottom) & (prices <= depth.top)
    exists = inside & (steps < depth.levels)[None, :]
    lots = rng.geometric(1 / (2 + 40 * depth.liquidity), (len(best), LEVELS))
    shown = np.where(exists, np.round(prices * depth.tick, depth.decimals), np.nan)
    return shown, np.where(exists, lots, 0)
