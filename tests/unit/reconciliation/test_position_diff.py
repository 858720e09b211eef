"""What explains the lots of an account: records, trades of today, orders of earlier days."""

from dataclasses import dataclass
from itertools import product
from math import nan

import pytest

from tianqin_backtrader.core.model import Direction, Fill, Offset
from tianqin_backtrader.reconciliation.position_diff import (
    PositionDiff,
    compare,
    lots_of,
    place_of,
)

BUY, SELL = Direction.BUY, Direction.SELL
OPEN, CLOSE, CLOSETODAY = Offset.OPEN, Offset.CLOSE, Offset.CLOSETODAY
CU, RB = "SHFE.cu2612", "SHFE.rb2605"
LONG, SHORT = (CU, "long"), (CU, "short")


@dataclass
class Order:
    """An order of an earlier day."""

    order_id: str
    volume: int
    direction: Direction = BUY
    offset: Offset = OPEN
    filled: int = 0
    limit_price: float | str | None = 100.0
    symbol: str = CU


def fill(lots, direction=BUY, offset=OPEN, symbol=CU):
    return Fill("t", "o", symbol, direction, offset, 100.0, lots, 0, 0.0)


# -- the side of a fill ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("direction", "offset", "side"),
    [
        (BUY, OPEN, "long"), (SELL, CLOSE, "long"), (SELL, CLOSETODAY, "long"),
        (SELL, OPEN, "short"), (BUY, CLOSE, "short"), (BUY, CLOSETODAY, "short"),
    ],
)  # fmt: skip
def test_a_fill_changes_the_lots_of_the_side_that_it_opens_or_closes(direction, offset, side):
    assert place_of(CU, direction, offset) == (CU, side)
    sign = 1 if offset is OPEN else -1
    assert lots_of([fill(2, direction, offset)]) == {(CU, side): 2 * sign}


def test_fills_add_up_by_contract_and_side():
    fills = [
        fill(5), fill(2, SELL, CLOSE), fill(1, SELL, CLOSETODAY), fill(4, SELL), fill(1, symbol=RB),
    ]  # fmt: skip
    assert lots_of(fills) == {LONG: 2, SHORT: 4, (RB, "long"): 1}


# -- records and trades of today ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recorded", "held", "news"),
    [
        ({}, {}, []),
        ({LONG: 3}, {LONG: 3}, []),
        ({LONG: 3, SHORT: 2}, {LONG: 3, SHORT: 2}, []),
        ({LONG: 3}, {LONG: 3, SHORT: 0}, []),
        ({LONG: 3}, {LONG: 5}, [fill(2)]),
        ({LONG: 3}, {}, [fill(3, SELL, CLOSE)]),
        ({LONG: 3}, {SHORT: 2}, [fill(3, SELL, CLOSE), fill(2, SELL)]),
        ({}, {(RB, "long"): 1}, [fill(1, symbol=RB)]),
    ],
)
def test_lots_that_records_and_trades_explain_are_no_difference(recorded, held, news):
    assert compare(recorded, held, news, []) == PositionDiff()


def test_unexplained_lots_are_listed_by_contract_and_side_with_both_numbers():
    recorded = {LONG: 3, SHORT: 1, (RB, "long"): 4}
    held = {LONG: 2, SHORT: 1, (RB, "short"): 6}
    assert compare(recorded, held, [fill(1)], []).differences == [
        (CU, "long", 4, 2), (RB, "long", 4, 0), (RB, "short", 0, 6),
    ]  # fmt: skip


def test_sides_are_not_set_off_against_each_other():
    """A net position of zero hides three long and three short lots."""
    assert compare({}, {LONG: 3, SHORT: 3}, [], []).differences == [
        (CU, "long", 0, 3), (CU, "short", 0, 3),
    ]  # fmt: skip


def test_what_was_passed_is_not_changed():
    recorded, held = {LONG: 3}, {LONG: 5}
    compare(recorded, held, [fill(1)], [Order("o1", 1)])
    assert (recorded, held) == ({LONG: 3}, {LONG: 5})


# -- orders of earlier days -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "filled", "differences"),
    [
        (3, {}, []),
        (5, {"o1": 2}, []),
        (8, {"o1": 5}, []),
        (9, {"o1": 5}, [(CU, "long", 8, 9)]),
        (2, {}, [(CU, "long", 3, 2)]),
    ],
)
def test_an_order_that_opens_explains_lots_that_came_up_to_its_own(held, filled, differences):
    picture = compare({LONG: 3}, {LONG: held}, [], [Order("o1", 5)])
    assert picture == PositionDiff(filled, differences)


@pytest.mark.parametrize(
    ("held", "filled", "differences"),
    [
        (3, {}, []),
        (2, {"o1": 1}, []),
        (1, {"o1": 2}, []),
        (0, {"o1": 2}, [(CU, "long", 1, 0)]),
        (4, {}, [(CU, "long", 3, 4)]),
    ],
)
@pytest.mark.parametrize("offset", [CLOSE, CLOSETODAY])
def test_an_order_that_closes_explains_lots_that_went(held, filled, differences, offset):
    picture = compare({LONG: 3}, {LONG: held}, [], [Order("o1", 2, SELL, offset)])
    assert picture == PositionDiff(filled, differences)


@pytest.mark.parametrize(("held", "filled"), [(4, {"o1": 1}), (5, {"o1": 2}), (9, {"o1": 2})])
def test_lots_that_an_order_had_before_are_in_the_records_already(held, filled):
    assert compare({LONG: 3}, {LONG: held}, [], [Order("o1", 5, filled=3)]).filled == filled


def test_a_trade_of_today_explains_lots_before_an_order_of_an_earlier_day_does():
    picture = compare({LONG: 3}, {LONG: 5}, [fill(2)], [Order("o1", 2)])
    assert picture == PositionDiff()


def test_the_oldest_orders_explain_lots_first():
    orders = [Order("o1", 2), Order("o2", 2), Order("o3", 2)]
    assert compare({}, {LONG: 3}, [], orders).filled == {"o1": 2, "o2": 1}


def test_an_order_that_opens_and_one_that_closes_are_not_both_taken_for_filled():
    """Both may have been filled, or neither: the account shows the same."""
    orders = [Order("o1", 2), Order("o2", 2, SELL, CLOSE)]
    assert compare({LONG: 3}, {LONG: 3}, [], orders) == PositionDiff()


def test_orders_explain_only_the_lots_of_their_own_side_and_contract():
    orders = [Order("o1", 2), Order("o2", 2, BUY, CLOSE), Order("o3", 2, symbol=RB)]
    picture = compare({}, {SHORT: 2}, [], orders)
    assert picture == PositionDiff({}, [(CU, "short", 0, 2)])


# -- the price of the lots ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("direction", "cost", "explains"),
    [
        (BUY, 99.0, True), (BUY, 100.0, True), (BUY, 100.00001, True), (BUY, 101.0, False),
        (SELL, 101.0, True), (SELL, 100.0, True), (SELL, 99.99999, True), (SELL, 99.0, False),
        (BUY, nan, True), (SELL, nan, True), (BUY, None, True),
    ],
)  # fmt: skip
def test_an_order_cannot_have_opened_lots_beyond_its_limit(direction, cost, explains):
    place = LONG if direction is BUY else SHORT
    costs = {} if cost is None else {place: cost}
    picture = compare({}, {place: 2}, [], [Order("o1", 2, direction)], costs)
    assert picture.filled == ({"o1": 2} if explains else {})
    assert picture.differences == ([] if explains else [(*place, 0, 2)])


@pytest.mark.parametrize("limit", [None, "BEST", "FIVELEVEL"])
def test_an_order_at_the_market_may_have_any_price(limit):
    order = Order("o1", 2, limit_price=limit)
    assert compare({}, {LONG: 2}, [], [order], {LONG: 500.0}).filled == {"o1": 2}


def test_a_price_below_zero_is_compared_like_any_other():
    """Spreads of combinations have such prices."""
    order = Order("o1", 2, limit_price=-35.0)
    for cost in (-40.0, -35.0):
        assert compare({}, {LONG: 2}, [], [order], {LONG: cost}).filled == {"o1": 2}
    assert compare({}, {LONG: 2}, [], [order], {LONG: -30.0}).filled == {}


def test_the_mean_price_says_nothing_where_lots_were_held_before():
    assert compare({LONG: 1}, {LONG: 3}, [], [Order("o1", 2)], {LONG: 500.0}).filled == {"o1": 2}


def test_a_younger_order_explains_lots_that_an_older_one_cannot_have_opened():
    orders = [Order("o1", 2, limit_price=90.0), Order("o2", 2, limit_price=100.0)]
    assert compare({}, {LONG: 2}, [], orders, {LONG: 95.0}).filled == {"o2": 2}


# -- expired contracts ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "differences"), [({}, []), ({LONG: 0}, []), ({LONG: 1}, [(CU, "long", 3, 1)])]
)
def test_lots_of_an_expired_contract_that_are_gone_are_no_difference(held, differences):
    picture = compare({LONG: 3, (RB, "long"): 1}, held | {(RB, "long"): 1}, [], [], expired=[CU])
    assert picture.differences == differences


def test_lots_of_a_living_contract_that_are_gone_are_a_difference_beside_an_expired_one():
    assert compare({LONG: 3, (RB, "long"): 1}, {}, [], [], expired=[CU]).differences == [
        (RB, "long", 1, 0),
    ]


# -- whatever the numbers are ---------------------------------------------------------------------


@pytest.mark.parametrize("recorded", range(4))
def test_fills_that_are_derived_lead_to_the_lots_that_are_held_or_are_reported(recorded):
    for held, first, second in product(range(5), (OPEN, CLOSE), (OPEN, CLOSE)):
        orders = [
            Order(name, 2, BUY if offset is OPEN else SELL, offset)
            for name, offset in (("o1", first), ("o2", second))
        ]
        picture = compare({LONG: recorded}, {LONG: held}, [], orders)
        signs = {one.order_id: 1 if one.offset is OPEN else -1 for one in orders}
        derived = sum(signs[name] * lots for name, lots in picture.filled.items())
        missed = sum(theirs - ours for *_, ours, theirs in picture.differences)
        assert recorded + derived + missed == held
        assert all(0 < lots <= 2 for lots in picture.filled.values())
        assert abs(missed) < abs(held - recorded) or not derived
