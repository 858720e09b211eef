"""Trading days of options and combinations, derived from those of the underlying contracts.

An option is worth its exercise value plus a time value that is largest at the strike and shrinks
with the days left; so calls rise and puts fall with the contract, and both keep put-call parity.
A combination is worth its first leg less its second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .derived_days import Shown, Side, at_moments, derived_day, filled, levels_of, no_book
from .listing import Instrument
from .price_paths import Floats, Ints, Life, first_ids, on_tick
from .ticks import DayTicks

if TYPE_CHECKING:
    from datetime import date

    from .market import Market

#: An option has one tick per this many of its contract, and open interest in that proportion.
_THINNER = 20
#: A day's price limit is about six standard deviations of the walk; a year has 242 days.
_YEARLY = 242**0.5 / 6


def option_price(contract: Floats, option: Instrument, days_left: Ints) -> Floats:
    """Value of the option at prices of its contract, rounded to its tick and at least one tick."""
    assert option.strike_price is not None
    away = contract - option.strike_price
    gain = np.maximum(away if option.option_class == "CALL" else -away, 0.0)
    spread = contract * option.limit_ratio * _YEARLY * np.sqrt(days_left / 365)
    with np.errstate(invalid="ignore", divide="ignore"):
        # 0.4 of a standard deviation at the strike; the slope is that of a delta of one half.
        time_value = np.where(spread > 0, 0.4 * spread * np.exp(-1.25 * np.abs(away) / spread), 0)
    return on_tick(np.maximum(gain + time_value, option.price_tick), option)


def _thinned(count: int) -> Ints:
    """The indexes of the ticks that are kept; the last one is always kept."""
    return np.unique(np.append(np.arange(0, count, _THINNER), count - 1))


def _lots(price: Floats) -> Ints:
    """Cumulative volume: one trade wherever the price has changed."""
    changed = np.diff(price, prepend=np.nan) != 0
    return np.cumsum(np.where(changed, 1 + np.arange(len(price)) % 3, 0))


def _side(best: Floats, sign: int, instrument: Instrument, bounds: tuple[float, float]) -> Side:
    """The levels of the book from the best price on, as many as the exchange shows."""
    side = no_book(len(best))
    for level in range(levels_of(instrument)):
        price = on_tick(best + sign * level * instrument.price_tick, instrument)
        there = (price >= bounds[0]) & (price <= bounds[1])
        side.prices[:, level] = np.where(there, price, np.nan)
        side.volumes[:, level] = np.where(there, 1 + (7 * np.arange(len(best)) + 3 * level) % 20, 0)
    return side


class Options:
    """Calls and puts on futures."""

    def __init__(self, market: Market) -> None:
        self._market = market

    def life(self, instrument: Instrument) -> Life:
        """The contract's days, up to the option's last."""
        under = self._market.life(instrument.underlying)
        days = tuple(day for day in under.days if day <= instrument.expire.date())
        count = len(days)
        left = np.array([_days_left(instrument, day) for day in days])
        opens, closes, settlements = (
            option_price(prices[:count], instrument, left)
            for prices in (under.opens, under.closes, under.settlements)
        )
        counts = tuple(len(_thinned(number)) for number in under.counts[:count])
        interest = under.interest[:count] // _THINNER
        return Life(days, opens, closes, settlements, interest, counts, first_ids(counts))

    def day(self, instrument: Instrument, index: int) -> DayTicks:
        """The ticks of the option's trading day."""
        life = self._market.life(instrument.symbol)
        under = self._market.day(instrument.underlying, life.days[index])
        kept = _thinned(len(under))
        left = np.array(_days_left(instrument, life.days[index]))
        price = option_price(filled(under)[kept], instrument, left)
        volume = _lots(price)
        turnover = np.cumsum(price * np.diff(volume, prepend=0)) * instrument.volume_multiple
        limits = self._limits(instrument, float(life.settlements[max(0, index - 1)]), under)
        tick = instrument.price_tick
        shown = Shown(
            time=under.time[kept],
            price=price,
            volume=volume,
            amount=np.round(turnover, 2),
            interest=under.open_interest[kept] // _THINNER,
            bid=_side(price - tick, -1, instrument, limits),
            ask=_side(price + tick, 1, instrument, limits),
        )
        return derived_day(instrument, life, index, shown, limits)

    def _limits(
        self, instrument: Instrument, settled: float, under: DayTicks
    ) -> tuple[float, float]:
        """Limits as far from its settlement price as those of the contract, at least one tick."""
        move = under.pre_settlement * instrument.limit_ratio
        tick, decimals = instrument.price_tick, instrument.price_decs
        lower = max(tick, np.ceil((settled - move) / tick) * tick)
        upper = np.floor((settled + move) / tick) * tick
        return round(float(lower), decimals), round(float(upper), decimals)


def _days_left(instrument: Instrument, day: date) -> int:
    return (instrument.expire.date() - day).days


class Combinations:
    """Two legs traded as one: the first is bought, the second sold."""

    def __init__(self, market: Market) -> None:
        self._market = market

    def life(self, instrument: Instrument) -> Life:
        """The days on which both legs trade."""
        near, far = (self._market.life(leg) for leg in instrument.legs)
        days = tuple(day for day in near.days if far.trades_on(day))
        mine, theirs = ([life.index(day) for day in days] for life in (near, far))
        counts = tuple(len(_thinned(near.counts[index])) for index in mine)
        return Life(
            days,
            on_tick(near.opens[mine] - far.opens[theirs], instrument),
            on_tick(near.closes[mine] - far.closes[theirs], instrument),
            on_tick(near.settlements[mine] - far.settlements[theirs], instrument),
            near.interest[mine] // _THINNER,
            counts,
            first_ids(counts),
        )

    def day(self, instrument: Instrument, index: int) -> DayTicks:
        """The ticks of the combination's trading day; its amounts are 0."""
        life = self._market.life(instrument.symbol)
        near, far = (self._market.day(leg, life.days[index]) for leg in instrument.legs)
        kept = _thinned(len(near))
        at = np.maximum(at_moments(far, near.time[kept]), 0)
        price = on_tick(filled(near)[kept] - filled(far)[at], instrument)
        bid, ask = no_book(len(kept)), no_book(len(kept))
        for side, first, second in ((bid, "bid", "ask"), (ask, "ask", "bid")):
            prices = (getattr(near, f"{first}_price"), getattr(far, f"{second}_price"))
            volumes = (getattr(near, f"{first}_volume"), getattr(far, f"{second}_volume"))
            side.prices[:, 0] = on_tick(prices[0][kept, 0] - prices[1][at, 0], instrument)
            lots = np.minimum(volumes[0][kept, 0], volumes[1][at, 0])
            side.volumes[:, 0] = np.where(np.isnan(side.prices[:, 0]), 0, lots)
        shown = Shown(
            time=near.time[kept],
            price=price,
            volume=_lots(price),
            amount=np.zeros(len(kept)),
            interest=near.open_interest[kept] // _THINNER,
            bid=bid,
            ask=ask,
        )
        limits = (near.lower_limit - far.upper_limit, near.upper_limit - far.lower_limit)
        return derived_day(instrument, life, index, shown, limits)
