"""Invalid prices: 0, the largest floating-point number, or a price beyond the day's limits.

Counters have sent all of these as last prices, best prices and limits. Every price of a quote, a
tick or a position is checked here before it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..core.model import NAN

#: Prices from here on are invalid, yuan; CTP sends the largest ``double`` for "no price".
NO_PRICE = 1e12
#: The relative error that a calculated limit may have.
_DUST = 1e-9


class Limits(NamedTuple):
    """The lowest and the highest price of a contract's day; NaN if unknown."""

    lower: float = NAN
    upper: float = NAN

    @property
    def of_any_next_day(self) -> Limits:
        """Limits that the next day's cannot pass: its settlement is within these of today.

        >>> Limits(90.0, 110.0).of_any_next_day
        Limits(lower=70.0, upper=130.0)
        """
        width = self.upper - self.lower
        return Limits(self.lower - width, self.upper + width)


UNKNOWN = Limits()


def oddity(symbol: str, price: float, limits: Limits = UNKNOWN) -> str:
    """Why a price is invalid, "" if it is valid; NaN means no price and is valid.

    A combination's price may be 0 or negative. Limits are not applied to combinations, main
    contracts and indexes, because they may belong to other contracts.

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
    """The price, or NaN if it is invalid.

    >>> sane("SHFE.cu2612", 1.7976931348623157e308)
    nan
    """
    return NAN if oddity(symbol, price, limits) else price


def price_of(raw: Mapping[str, object], name: str) -> float:
    """A price of an account's position, NaN if it is missing or invalid.

    A futures company's counter sends 0.0 for lots just opened, until it is queried again.
    """
    value = raw.get(name)
    return sane("", float(value)) if isinstance(value, int | float) else NAN
