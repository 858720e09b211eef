"""Specifications of instruments derived from a product's contracts.

These are the main contract and the index, a few options, whose strikes are spaced for the
generated prices, and combinations of two heavily traded months.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from string import ascii_letters
from typing import TYPE_CHECKING

from ...session_calendar import Product, SessionCalendar
from .product_terms import Fees, ProductTerms, trading_day_of_month

if TYPE_CHECKING:
    from .listing import Instrument

_NEVER = datetime(2099, 12, 31, 15)
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _OptionTerms:
    """Terms of a product's options.

    ``last_day`` counts trading days in the month before the underlying contract's delivery, from
    its end if negative; 0 is the contract's own last day.
    """

    price_tick: float
    strike_step: int
    last_day: int
    dashes: bool = False


#: Last trading days and ticks as recorded of SHFE.cu2006C47000, DCE.m2007-P-2900, CZCE.SR007C5600;
#: those on indexes by the contracts of CFFEX.
_OPTIONS = {
    "SHFE.cu": _OptionTerms(1.0, 8000, -5),
    "DCE.m": _OptionTerms(0.5, 300, 5, dashes=True),
    "CZCE.SR": _OptionTerms(0.5, 600, 3),
    "CFFEX.IO": _OptionTerms(0.2, 400, 0, dashes=True),
    "CFFEX.HO": _OptionTerms(0.2, 300, 0, dashes=True),
    "CFFEX.MO": _OptionTerms(0.2, 700, 0, dashes=True),
}
#: Index options. The sandbox has no index: they are written on its future of the same month.
INDEX_OPTIONS = {"CFFEX.IO": "CFFEX.IF", "CFFEX.HO": "CFFEX.IH", "CFFEX.MO": "CFFEX.IM"}
_OPTION_MONTHS = 2
_STRIKES = range(-2, 5)
_MAX_OPTION_ORDER = 100
#: Products with combinations, and the months that are combined, each with the next one.
_COMBINED = {"DCE.m": (1, 5, 9)}


def main_of(product: Product, first: Instrument) -> Instrument:
    """``KQ.m@`` of a product; its days begin with those of the ``first`` contract."""
    return replace(
        first,
        symbol=f"KQ.m@{product.key}",
        exchange_id="KQ",
        code=f"m@{product.key}",
        ins_class="CONT",
        name=f"{product.name}主连",
        expire=_NEVER,
    )


def index_of(product: Product, first: Instrument) -> Instrument:
    """``KQ.i@`` of a product; its days begin with those of the ``first`` contract."""
    return replace(
        main_of(product, first),
        symbol=f"KQ.i@{product.key}",
        code=f"i@{product.key}",
        ins_class="INDEX",
        name=f"{product.name}指数",
        max_limit_order_volume=0,
        max_market_order_volume=0,
    )


def options_of(
    calendar: SessionCalendar,
    product: Product,
    terms: ProductTerms,
    contracts: Sequence[Instrument],
    start: date,
) -> Iterator[Instrument]:
    """Calls and puts on the next contracts whose options have not expired before ``start``."""
    what = _OPTIONS.get(product.key)
    months = 0
    for contract in contracts if what is not None else ():
        assert what is not None
        month = date(contract.delivery_year, contract.delivery_month, 1)
        before = (month - _ONE_DAY).replace(day=1)
        last_day = trading_day_of_month(calendar, before, what.last_day)
        if last_day < start or months >= _OPTION_MONTHS:
            continue
        months += 1
        yield from _strikes(contract, what, last_day, int(terms.price))


def index_options_of(
    product: Product, terms: ProductTerms, contracts: Sequence[Instrument]
) -> Iterator[Instrument]:
    """Calls and puts on the next contracts of the index future, as ``CFFEX.IO2612-C-4500``."""
    for contract in contracts[:_OPTION_MONTHS]:
        code = product.product_id + contract.code.lstrip(ascii_letters)
        named = replace(
            contract,
            symbol=f"{product.exchange_id}.{code}",
            code=code,
            name=f"{product.name}{contract.code.lstrip(ascii_letters)}",
            volume_multiple=product.volume_multiple,
            category=terms.category,
        )
        what, last_day = _OPTIONS[product.key], contract.expire.date()
        for one in _strikes(named, what, last_day, int(terms.price)):
            yield replace(one, underlying=contract.symbol, product_id=product.product_id)


def _strikes(
    contract: Instrument, what: _OptionTerms, last_day: date, middle: int
) -> Iterator[Instrument]:
    for step in _STRIKES:
        for option_class in ("CALL", "PUT"):
            yield _option(contract, what, last_day, option_class, middle + step * what.strike_step)


def _option(
    contract: Instrument, what: _OptionTerms, last_day: date, option_class: str, strike: int
) -> Instrument:
    letter = option_class[0]
    middle = f"-{letter}-" if what.dashes else letter
    czce = contract.exchange_id == "CZCE"
    return replace(
        contract,
        symbol=f"{contract.symbol}{middle}{strike}",
        code=f"{contract.code}{middle}{strike}",
        ins_class="OPTION",
        product_id=f"{contract.product_id}{letter}" if czce else f"{contract.product_id}_o",
        name=f"{contract.name}{letter}{strike}",
        price_tick=what.price_tick,
        price_decs=len(f"{what.price_tick:g}".partition(".")[2]),
        max_limit_order_volume=_MAX_OPTION_ORDER,
        max_market_order_volume=0,
        open_least=1,
        expire=datetime.combine(last_day, contract.expire.time()),
        fees=Fees(),
        underlying=contract.symbol,
        strike_price=float(strike),
        option_class=option_class,
    )


def combinations_of(product: Product, contracts: Sequence[Instrument]) -> Iterator[Instrument]:
    """``DCE.SP m2701&m2705``: the first leg bought, the second sold."""
    months = _COMBINED.get(product.key, ())
    legs = [one for one in contracts if one.delivery_month in months]
    for near, far in pairwise(legs):
        yield replace(
            near,
            symbol=f"{near.exchange_id}.SP {near.code}&{far.code}",
            code=f"SP {near.code}&{far.code}",
            ins_class="COMBINE",
            product_id="",
            name=f"SP {near.code}&{far.code}",
            listed=max(near.listed, far.listed),
            max_market_order_volume=0,
            legs=(near.symbol, far.symbol),
        )
