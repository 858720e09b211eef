"""The official bars of a symbol and duration, from its ticks.

A bar stamped s of length d covers the ticks with s < t <= s + d. It opens at the price in force at
s; the first bar of a trading segment opens at the segment's first price. Until the day's first
trade bars are flat at the previous close, and the bar with that trade opens at its price. There is
a bar for every slot of trading time, at multiples of the duration in Beijing time; ticks of the
call auction belong to the day's first bar. A day bar is stamped 00:00 of its trading day.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import lru_cache
from itertools import accumulate
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ...core.clock import BEIJING_OFFSET, DAY, MINUTE, SECOND, from_ns, to_ns
from ...session_calendar import Interval
from .market import Market
from .ticks import DayTicks

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_T = TypeVar("_T", np.float64, np.int64)
Row = dict[str, float | int]

#: Ticks at most this long before an open belong to its call auction.
_AUCTION = 5 * MINUTE + 30 * SECOND


@dataclass(frozen=True, slots=True)
class Slots:
    """The bars of a trading day: starts, ends of trading in each, and which open a segment."""

    starts: Ints
    ends: Ints
    opens_segment: NDArray[np.bool_]


def find_slots(intervals: Sequence[Interval], duration_ns: int, day: date) -> Slots:
    """The slots of a trading day, ascending."""
    if duration_ns >= DAY:
        start = to_ns(datetime.combine(day, time()))
        end = to_ns(intervals[-1][1])
        return Slots(np.array([start]), np.array([end]), np.array([True]))
    starts: list[Ints] = []
    ends: list[Ints] = []
    first: list[NDArray[np.bool_]] = []
    for opened, closed in intervals:
        begin, end = to_ns(opened), to_ns(closed)
        start = (begin + BEIJING_OFFSET) // duration_ns * duration_ns - BEIJING_OFFSET
        slots = np.arange(start, end, duration_ns)
        closes = np.minimum(slots + duration_ns, end)
        if starts and starts[-1][-1] == start:  # one bar spans a break
            ends[-1][-1] = closes[0]
            slots, closes = slots[1:], closes[1:]
        if len(slots):
            starts.append(slots)
            ends.append(closes)
            first.append(slots <= begin)
    return Slots(np.concatenate(starts), np.concatenate(ends), np.concatenate(first))


class DayBars:
    """The bars of one trading day: final, and as they were after each of its ticks."""

    def __init__(self, ticks: DayTicks, slots: Slots) -> None:
        count = len(slots.starts)
        self.starts = slots.starts
        self.slot_of_tick = _assign(ticks.time, slots)
        price = _filled(ticks.last_price)
        traded = np.flatnonzero(~np.isnan(price))
        self._first_trade = int(traded[0]) if len(traded) else len(ticks)
        standing = np.where(np.isnan(price), ticks.pre_close, price)
        # The ticks of slot j are begin[j] .. begin[j + 1] - 1.
        self._begin = np.searchsorted(self.slot_of_tick, np.arange(count + 1))
        before = self._begin[:-1] - 1
        after = self._begin[1:] - 1
        self.open = _at(standing, before, ticks.pre_close)
        self.close = _at(standing, after, ticks.pre_close)
        self._volume_before = _at(ticks.volume, before, 0)
        self.volume = _at(ticks.volume, after, 0) - self._volume_before
        self.open_oi = _at(ticks.open_interest, before, ticks.pre_open_interest)
        self.close_oi = _at(ticks.open_interest, after, ticks.pre_open_interest)
        self.high, self.low = self.open.copy(), self.open.copy()
        self._standing, self._ticks = standing, ticks
        self._running_high, self._running_low = standing.copy(), standing.copy()
        for slot in np.flatnonzero(after > before):
            self._build(int(slot), bool(slots.opens_segment[slot]))

    def _build(self, slot: int, opens_segment: bool) -> None:
        begin, end = int(self._begin[slot]), int(self._begin[slot + 1])
        prices = self._standing[begin:end]
        trade = self._first_trade
        if begin <= trade < end:
            self.open[slot] = self._standing[trade]
            prices = self._standing[trade:end]
            begin = trade
        elif opens_segment and trade < begin:
            self.open[slot] = prices[0]
        opened = self.open[slot]
        self._running_high[begin:end] = np.maximum(np.maximum.accumulate(prices), opened)
        self._running_low[begin:end] = np.minimum(np.minimum.accumulate(prices), opened)
        self.high[slot] = self._running_high[end - 1]
        self.low[slot] = self._running_low[end - 1]

    def __len__(self) -> int:
        return len(self.starts)

    def final(self, slot: int) -> Row:
        """The final bar of a slot."""
        return _row(
            self.starts[slot], self.open[slot], self.high[slot], self.low[slot], self.close[slot],
            self.volume[slot], self.open_oi[slot], self.close_oi[slot],
        )  # fmt: skip

    def running(self, k: int) -> Row:
        """The bar of tick ``k`` as it was after that tick."""
        slot = int(self.slot_of_tick[k])
        price = self._standing[k]
        before_trade = k < self._first_trade
        return _row(
            self.starts[slot],
            price if before_trade else self.open[slot],
            self._running_high[k], self._running_low[k], price,
            self._ticks.volume[k] - self._volume_before[slot],
            self.open_oi[slot], self._ticks.open_interest[k],
        )  # fmt: skip


def _row(
    start: int,
    opened: float,
    high: float,
    low: float,
    close: float,
    volume: int,
    oi: int,
    end_oi: int,
) -> Row:
    return {
        "datetime": int(start),
        "open": float(opened),
        "high": float(high),
        "low": float(low),
        "close": float(close),
        "volume": int(volume),
        "open_oi": int(oi),
        "close_oi": int(end_oi),
    }


def _filled(prices: Floats) -> Floats:
    """Each NaN replaced by the price before it."""
    index = np.maximum.accumulate(np.where(np.isnan(prices), 0, np.arange(len(prices))))
    return prices[index]


def _at(values: NDArray[_T], index: Ints, otherwise: float) -> NDArray[_T]:
    """``values[index]``, and ``otherwise`` where the index is negative."""
    return np.where(index >= 0, values[np.maximum(index, 0)], otherwise).astype(values.dtype)


def _assign(stamps: Ints, slots: Slots) -> Ints:
    """The slot of each tick; ticks outside trading belong to the next open or to the last slot."""
    slot = np.searchsorted(slots.starts, stamps, side="left") - 1
    following = np.minimum(slot + 1, len(slots.starts) - 1)
    outside = (slot < 0) | (stamps > slots.ends[np.maximum(slot, 0)])
    auction = outside & (slots.starts[following] - stamps <= _AUCTION)
    return np.maximum(np.where(auction, following, slot), 0)


class BarSeries:
    """All bars of a symbol and duration, numbered from the contract's listing.

    Args:
        market: The source of the ticks.
        symbol: A contract or main contract.
        duration_ns: Length of a bar, a divisor of a day.
    """

    def __init__(self, market: Market, symbol: str, duration_ns: int) -> None:
        self._market, self._symbol, self._duration = market, symbol, duration_ns
        self._days = market.days(symbol)
        counts = [len(self._slots(day).starts) for day in self._days]
        self._first_ids = list(accumulate(counts, initial=0))
        self._day_bars = lru_cache(maxsize=None)(self._make_bars)

    def forget(self) -> None:
        """Forget prices after a change of the market; the times of ticks are unchanged."""
        self._day_bars.cache_clear()

    def _slots(self, day: date) -> Slots:
        sessions = self._market.calendar.sessions(self._symbol, day)
        return find_slots(sessions, self._duration, day)

    def _make_bars(self, index: int) -> DayBars:
        day = self._days[index]
        return DayBars(self._market.day(self._symbol, day), self._slots(day))

    def _index(self, day: date) -> int:
        return bisect_left(self._days, day)

    def running_id(self, trading_day: date, k: int) -> int:
        """Id of the newest bar after tick ``k`` of the day; -1 if there is none yet."""
        index = self._index(trading_day)
        if k < 0:
            return self._first_ids[index] - 1
        return self._first_ids[index] + int(self._day_bars(index).slot_of_tick[k])

    def row(self, bar_id: int, trading_day: date, k: int) -> Row:
        """One bar as of tick ``k`` of the day."""
        if bar_id == self.running_id(trading_day, k) and k >= 0:
            return self._day_bars(self._index(trading_day)).running(k)
        index = bisect_right(self._first_ids, bar_id) - 1
        return self._day_bars(index).final(bar_id - self._first_ids[index])

    def rows(self, left_id: int, right_id: int, trading_day: date, k: int) -> dict[int, Row]:
        """The bars with ids from ``left_id`` to ``right_id`` that exist after tick ``k``."""
        newest = self.running_id(trading_day, k)
        span = range(max(0, left_id), min(right_id, newest) + 1)
        return {bar_id: self.row(bar_id, trading_day, k) for bar_id in span}

    def moved(self, trading_day: date, k: int) -> dict[int, Row]:
        """The bars that tick ``k`` has begun or changed, including skipped flat ones.

        Bars after the last tick of the day before come with the first tick of this day.
        """
        newest = self.running_id(trading_day, k)
        before = self.running_id(trading_day, k - 1) if k else self._shown_before(trading_day)
        return {
            bar_id: self.row(bar_id, trading_day, k)
            for bar_id in range(min(before + 1, newest), newest + 1)
        }

    def _shown_before(self, trading_day: date) -> int:
        """Id of the newest bar after the last tick of earlier days; -1 if there is none."""
        for day in reversed(self._days[: self._index(trading_day)]):
            if count := self._market.tick_count(self._symbol, day):
                return self.running_id(day, count - 1)
        return -1

    def id_at(self, ns: int) -> int:
        """Id of the bar that covers the instant, or of the next bar after it."""
        day = self._market.calendar.trading_day_at(from_ns(ns))
        index = min(self._index(day), len(self._days) - 1)
        if self._duration >= DAY:
            return self._first_ids[index]
        starts = self._slots(self._days[index]).starts
        slot = max(0, int(np.searchsorted(starts, ns, side="right")) - 1)
        if ns >= starts[slot] + self._duration and slot + 1 < len(starts):
            slot += 1
        return self._first_ids[index] + slot
