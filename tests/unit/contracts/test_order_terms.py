"""The price and the type of an order in the exchange's terms."""

import pytest

from tianqin_backtrader.contracts.order_terms import (
    STAYS,
    OrderTerms,
    exchange_terms,
    needs_limits,
    order_terms,
    passive_price,
)
from tianqin_backtrader.core.model import Direction, Instrument
from tianqin_backtrader.errors import OrderError, PriceOutOfRange

BUY, SELL = Direction.BUY, Direction.SELL
LIMITS = (110.0, 90.0)


def contract(exchange_id="SHFE", tick=0.5, kind="FUTURE"):
    return Instrument(f"{exchange_id}.xx2612", kind, exchange_id, "xx", tick, 1, 10, False, None)


@pytest.mark.parametrize(
    ("direction", "price", "sent"),
    [(BUY, 100.3, 100.0), (SELL, 100.3, 100.5), (BUY, 100.5, 100.5), (SELL, 100.0, 100.0)],
)
def test_a_price_between_two_ticks_goes_to_the_passive_side(direction, price, sent):
    assert passive_price(price, direction, contract()) == sent


@pytest.mark.parametrize("exchange", ["SHFE", "INE", "CFFEX"])
def test_where_there_are_no_market_orders_a_limit_at_the_limit_is_one(exchange):
    assert exchange_terms(OrderTerms(), BUY, contract(exchange), LIMITS) == OrderTerms(110.0, "FAK")
    assert exchange_terms(OrderTerms(None, "FOK"), SELL, contract(exchange), LIMITS) == OrderTerms(
        90.0, "FOK"
    )


@pytest.mark.parametrize("exchange", ["DCE", "CZCE", "GFEX"])
def test_where_there_are_market_orders_they_are_used(exchange):
    assert exchange_terms(OrderTerms(), BUY, contract(exchange), LIMITS) == OrderTerms()


def test_options_at_dce_have_none():
    option = contract("DCE", kind="OPTION")
    assert exchange_terms(OrderTerms(), BUY, option, LIMITS) == OrderTerms(110.0, "FAK")


@pytest.mark.parametrize(
    ("asked", "exchange", "words"),
    [
        (OrderTerms(111.0), "SHFE", "above the day's limit 110.0"),
        (OrderTerms(89.0), "SHFE", "below the day's limit 90.0"),
        (OrderTerms(float("nan")), "SHFE", "is not a number"),
        (OrderTerms(float("inf")), "SHFE", "is not a number"),
        (OrderTerms("BEST"), "SHFE", "exist at CFFEX only"),
        (OrderTerms("FIVELEVEL", "FOK"), "CFFEX", "does not accept FIVELEVEL orders with FOK"),
        (OrderTerms("CHEAP"), "CFFEX", "limit_price must be a number"),
        (OrderTerms(100.0, "FOK"), "CZCE", "CZCE does not accept FOK"),
    ],
)
def test_what_an_exchange_does_not_have_is_refused_in_words(asked, exchange, words):
    with pytest.raises(OrderError, match=words):
        exchange_terms(asked, BUY, contract(exchange), LIMITS)


@pytest.mark.parametrize(("direction", "price", "sent"), [(BUY, 111.0, 110.0), (SELL, 89.0, 90.0)])
def test_a_price_beyond_the_limit_that_it_crosses_is_as_good_at_the_limit(direction, price, sent):
    assert exchange_terms(
        OrderTerms(price), direction, contract(), LIMITS, clips=True
    ) == OrderTerms(sent)


@pytest.mark.parametrize(("direction", "price"), [(SELL, 111.0), (BUY, 89.0)])
def test_a_price_that_the_limits_keep_the_market_from_is_out_of_range(direction, price):
    with pytest.raises(PriceOutOfRange, match="the day's limit"):
        exchange_terms(OrderTerms(price), direction, contract(), LIMITS, clips=True)


@pytest.mark.parametrize("exchange", ["SHFE", "DCE", "CFFEX", "CZCE"])
def test_a_market_order_that_stays_is_a_limit_at_the_limit(exchange):
    asked = OrderTerms(None, STAYS)
    assert needs_limits(asked, contract(exchange))
    assert exchange_terms(asked, BUY, contract(exchange), LIMITS) == OrderTerms(110.0)
    assert exchange_terms(asked, SELL, contract(exchange), LIMITS) == OrderTerms(90.0)


def test_without_known_limits_a_market_order_needs_a_price():
    nan = float("nan")
    with pytest.raises(OrderError, match="give a limit price"):
        exchange_terms(OrderTerms(), BUY, contract(), (nan, nan))


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ((100.0,), OrderTerms(100.0)),
        ((None, "MARKET"), OrderTerms()),
        ((None, "best"), OrderTerms("BEST")),
        (("BEST", "BEST"), OrderTerms("BEST")),
        ((100.0, "FOK"), OrderTerms(100.0, "FOK")),
        ((100.0, "LIMIT", "FAK"), OrderTerms(100.0, "FAK")),
    ],
)
def test_price_type_and_advanced_together(given, meant):
    assert order_terms(*given) == meant


@pytest.mark.parametrize(
    "given",
    [(None, "LIMIT"), (1.0, "STOP"), (1.0, "FAK", "FOK"), (1.0, None, "GTC")],
)
def test_what_contradicts_itself_is_refused(given):
    with pytest.raises(OrderError):
        order_terms(*given)
