"""Invalid prices, and what a quote shows for them."""

import math
from types import SimpleNamespace

import pytest

from tianqin_backtrader.contracts.odd_prices import Limits, oddity, price_of, sane
from tianqin_backtrader.core.model import NAN
from tianqin_backtrader.gateway.queries import CleanQuote

CU, OPTION, SPREAD, MAIN = (
    "SHFE.cu2612",
    "SHFE.cu2612C90000",
    "CZCE.SPD SR701&SR705",
    "KQ.m@SHFE.cu",
)
LARGEST = 1.7976931348623157e308
DAY, NONE = Limits(70_000.0, 86_000.0), Limits()


@pytest.mark.parametrize(
    ("symbol", "price", "limits", "odd"),
    [
        (CU, 78_000.0, DAY, False), (CU, 70_000.0, DAY, False), (CU, 86_000.0, DAY, False),
        (CU, NAN, DAY, False),
        (CU, 0.0, NONE, True), (CU, LARGEST, NONE, True), (CU, -LARGEST, NONE, True),
        (CU, math.inf, NONE, True), (CU, 1e308, DAY, True),
        (CU, 5.0, DAY, True), (CU, 5.0, NONE, False), (CU, 780_000.0, DAY, True),
        (CU, 5.0, Limits(upper=86_000.0), False), (CU, 87_000.0, Limits(upper=86_000.0), True),
        (OPTION, 1.0, NONE, False), (OPTION, 0.5, Limits(0.5, 900.0), False),
        (SPREAD, 0.0, NONE, False), (SPREAD, -35.0, Limits(0.0, 0.0), False),
        (SPREAD, LARGEST, NONE, True),
        (MAIN, 90_000.0, DAY, False), (MAIN, 0.0, NONE, True),
    ],
)  # fmt: skip
def test_what_is_odd(symbol, price, limits, odd):
    assert bool(oddity(symbol, price, limits)) is odd
    assert math.isnan(sane(symbol, price, limits)) is (odd or price != price)


USUAL = {
    "last_price": 78_000.0, "bid_price1": 77_990.0, "ask_price1": 78_000.0, "ask_price3": 78_020.0,
    "upper_limit": 86_000.0, "lower_limit": 70_000.0, "ask_volume1": 7,
}  # fmt: skip


def quote_of(**fields):
    return CleanQuote(CU, SimpleNamespace(**(USUAL | fields)))


@pytest.mark.parametrize("name", ["last_price", "bid_price1", "ask_price1", "ask_price3"])
@pytest.mark.parametrize("price", [0.0, LARGEST, -LARGEST, 5.0, 1e6])
def test_prices_of_a_quote_that_cannot_be_are_none(name, price):
    quote = quote_of(**{name: price})
    assert math.isnan(getattr(quote, name)) and quote.ask_volume1 == 7


@pytest.mark.parametrize("limit", [0.0, LARGEST])
def test_limits_that_cannot_be_limit_nothing(limit):
    quote = quote_of(upper_limit=limit, lower_limit=limit)
    assert math.isnan(quote.upper_limit) and math.isnan(quote.lower_limit)
    assert quote.last_price == 78_000.0


@pytest.mark.parametrize("price", [0.0, LARGEST, 1e308, "-"])
def test_a_position_has_no_odd_price(price):
    assert math.isnan(price_of({"last_price": price}, "last_price"))
    assert price_of({"last_price": 78_000.0}, "last_price") == 78_000.0
