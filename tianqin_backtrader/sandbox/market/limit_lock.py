"""Holds a contract at its price limit, with one side of the order book empty."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .listing import Instrument
from .ticks import LEVELS, DayTicks

_SHORTEST_QUEUE = 1000


@dataclass(frozen=True, slots=True)
class LimitLock:
    """The span (ns, end included) in which the price stays at its upper or lower limit."""

    since: int
    until: int
    up: bool


def hold_at_limit(day: DayTicks, instrument: Instrument, lock: LimitLock) -> DayTicks:
    """The day with the lock; ticks outside the lock are unchanged except for the day's averages.

    Trades during the lock are at the limit. The queue there is longer than the day's volume: an
    order that joins it is not filled before the lock ends.
    """
    held = (day.time > lock.since) & (day.time <= lock.until)
    limit = day.upper_limit if lock.up else day.lower_limit
    last = np.where(held & (day.volume > 0), limit, day.last_price)
    lots = np.diff(day.volume, prepend=0)
    turnover = np.diff(day.amount, prepend=0.0)
    turnover = np.where(held, lots * limit * instrument.volume_multiple, turnover)
    amount = np.asarray(np.round(np.cumsum(turnover), 2), np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        average = np.round(amount / day.volume / instrument.volume_multiple, 4)
    return replace(
        day,
        last_price=last,
        average=np.where(np.isnan(last), np.nan, average),
        highest=np.fmax.accumulate(last),
        lowest=np.fmin.accumulate(last),
        amount=amount,
        close=float(last[-1]),
        **_book(day, instrument, held, up=lock.up),
    )


def _book(
    day: DayTicks, instrument: Instrument, held: NDArray[np.bool_], *, up: bool
) -> dict[str, Any]:
    """Both sides of the order book: a queue from the limit on, and an empty side."""
    limit, wanted, nobody = (
        (day.upper_limit, "bid", "ask") if up else (day.lower_limit, "ask", "bid")
    )
    steps = np.arange(LEVELS) * (-1 if up else 1)
    prices = np.round(limit + steps * instrument.price_tick, instrument.price_decs)
    queue = np.maximum(getattr(day, f"{wanted}_volume"), 1)
    queue[:, 0] = _SHORTEST_QUEUE + int(day.volume[-1])
    shown = np.arange(LEVELS) < day.levels
    instead = {
        f"{wanted}_price": np.where(shown, prices, np.nan),
        f"{wanted}_volume": np.where(shown, queue, 0),
        f"{nobody}_price": np.full(LEVELS, np.nan),
        f"{nobody}_volume": np.zeros((1, LEVELS), np.int64),
    }
    return {
        name: np.where(held[:, None], columns, getattr(day, name))
        for name, columns in instead.items()
    }
