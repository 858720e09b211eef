"""What is no price: 0, the largest number there is, or one beyond the day's limits.

Counters have sent all of these as last prices, best prices and limits. Every price of a quote, a
tick or a position is judged here, before anything is decided by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..core.model import NAN

#: Nothing costs so much, yuan; CTP writes the largest ``double`` where there is no price.
NO_PRICE = 1e12
#: A limit that was computed may be off by so much of itself.
_DUST = 1e-9


class Limits(NamedTuple):
    """The lowest and the highest price of a contract's day; nan where it is not known."""

    lower: float = NAN
    upper: float = NAN


UNKNOWN = Limits()


def oddity(symbol: str, price: float, limits: Limits = UNKNOWN) -> str:
    """Why a price cannot be one, "" where it can; nan is the absence of one, and not odd.

    A combination's price may be 0 or below. Its limits, and those of main contracts and indexes,
    are not always of the same legs: prices are not held against them.

    >>> oddity("SHFE.cu2612", 0.0), oddity("SHFE.cu2612", 91.0, Limits(70.0, 90.0))
    ('its price is 0', "its price is beyond the day's limits")
    >>> oddity("CZCE.SPD SR701&SR705", -35.0)
    ''
    """
    if price != price:
        return ""
    combination = "&" in symbol
    if price == 0 and not combination:
        return "its price is 0"
    if not -NO_PRICE < price < NO_PRICE:
        return "its price is none"
    if not combination and not symbol.startswith("KQ."):
        dust = _DUST * abs(price)
        if price < limits.lower - dust or price > limits.upper + dust:
            return "its price is beyond the day's limits"
    return ""


def sane(symbol: str, price: float, limits: Limits = UNKNOWN) -> float:
    """The price, or nan where it cannot be one.

    >>> sane("SHFE.cu2612", 1.7976931348623157e308)
    nan
    """
    return NAN if oddity(symbol, price, limits) else price


def price_of(raw: Mapping[str, object], name: str) -> float:
    """A price of an account's position, nan where there is none, or one that cannot be.

    A futures company's counter says 0.0 of lots just opened, until it is queried again.
    """
    value = raw.get(name)
    return sane("", float(value)) if isinstance(value, int | float) else NAN
