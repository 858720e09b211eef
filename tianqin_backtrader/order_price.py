"""The price of an order as the exchange takes it."""

from __future__ import annotations

import math

from .errors import OrderError
from .model import Direction, Instrument


def passive_price(price: float, direction: Direction, instrument: Instrument) -> float:
    """A price on the contract's tick; one between two ticks goes to the passive side.

    Raises:
        OrderError: The price is no number.
    """
    if not math.isfinite(price):
        raise OrderError(f"the price {price} of an order on {instrument.symbol} is no number")
    ticks = price / instrument.price_tick
    if abs(ticks - round(ticks)) > 1e-6:
        ticks = math.floor(ticks) if direction is Direction.BUY else math.ceil(ticks)
    return round(round(ticks) * instrument.price_tick, instrument.price_decs)
