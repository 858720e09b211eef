"""Stops, trailing stops and the close: when they fire, and when they end."""

import json
from itertools import product
from math import nan

import backtrader as bt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tianqin_backtrader.core.model import Direction
from tianqin_backtrader.errors import OrderError
from tianqin_backtrader.orders.conditional import (
    TRANSITIONS,
    ConditionalOrder,
    Event,
    Kind,
    Status,
    Trigger,
    at_close,
    cancel,
    on_price,
    resize,
    stop,
    trailing_stop,
)

BUY, SELL = Direction.BUY, Direction.SELL


def walk(state, prices, now=0):
    """The state after the prices, and (how many were needed, trigger) or None."""
    for number, price in enumerate(prices):
        state, trigger = on_price(state, price, now + number)
        if trigger is not None:
            return state, (number, trigger)
    return state, None


@pytest.mark.parametrize(
    ("direction", "prices", "fires_at"),
    [
        (BUY, [99, 101, 102], 2),
        (BUY, [99, 103], 1),  # a gap
        (BUY, [101.9, 50], None),
        (SELL, [105, 103, 102], 2),
        (SELL, [105, 90], 1),
        (SELL, [102.1, 150], None),
    ],
)
def test_a_stop_fires_at_its_price_or_beyond(direction, prices, fires_at):
    state, fired = walk(stop(direction, 3, 102.0), prices)
    if fires_at is None:
        assert (fired, state.status) == (None, Status.WAITING)
    else:
        trigger = Trigger(direction, 3, None, prices[fires_at], fires_at)
        assert fired == (fires_at, trigger)
        assert state.status is Status.TRIGGERED


def test_it_fires_once():
    state, _ = on_price(stop(BUY, 1, 100.0), 101.0, 1)
    assert on_price(state, 102.0, 2) == (state, None)


def test_a_stop_limit_takes_its_limit_along():
    state = stop(SELL, 2, 102.0, limit_price=101.5)
    assert state.kind is Kind.STOP_LIMIT
    _, trigger = on_price(state, 101.0, 7)
    assert trigger == Trigger(SELL, 2, 101.5, 101.0, 7)


def test_a_price_between_ticks_of_floats_is_still_the_price():
    assert 3.1 + 0.2 > 3.3
    _, trigger = on_price(trailing_stop(BUY, 1, 3.1, trail_amount=0.2), 3.3, 0)
    assert trigger is not None


def test_no_price_fires_no_stop_and_moves_no_trail():
    state = trailing_stop(SELL, 1, 100.0, trail_amount=5.0)
    assert on_price(state, nan, 5) == (state, None)


def test_a_trailing_sell_follows_up_and_never_down():
    state, stops = trailing_stop(SELL, 1, 100.0, trail_amount=5.0), []
    for price in (101.0, 99.0, 104.0, 100.0):
        state, trigger = on_price(state, price, 0)
        assert trigger is None
        stops.append(state.stop_price)
    assert stops == [96.0, 96.0, 99.0, 99.0]
    assert on_price(state, 99.0, 0)[1] == Trigger(SELL, 1, None, 99.0, 0)


def test_the_amount_goes_before_the_percentage():
    state = trailing_stop(SELL, 1, 100.0, trail_amount=5.0, trail_percent=0.5)
    assert (state.stop_price, state.trail_percent) == (95.0, None)


prices = st.integers(50, 150).map(float)


@given(
    direction=st.sampled_from(Direction),
    reference=prices,
    limit=st.one_of(st.none(), prices),
    # Shares of two, so that no sum carries dust and the comparison is exact.
    trail=st.one_of(
        st.tuples(st.integers(1, 20).map(float), st.none()),
        st.tuples(st.none(), st.sampled_from([1 / 64, 1 / 16, 1 / 4])),
    ),
    ticks=st.lists(prices, max_size=30),
)
def test_trails_are_those_of_backtrader(direction, reference, limit, trail, ticks):
    amount, percent = trail
    kind = bt.BuyOrder if direction is BUY else bt.SellOrder
    exectype = bt.Order.StopTrail if limit is None else bt.Order.StopTrailLimit
    theirs = kind(
        size=1, price=reference, pricelimit=limit, exectype=exectype, trailamount=amount,
        trailpercent=percent, simulated=True,
    )  # fmt: skip
    ours = trailing_stop(
        direction, 1, reference, trail_amount=amount, trail_percent=percent, limit_price=limit
    )
    for tick in ticks:
        assert ours.stop_price == theirs.created.price
        assert limit is None or ours.limit_price == theirs.created.pricelimit
        ours, trigger = on_price(ours, tick, 0)
        reached = (tick - theirs.created.price) * direction.sign >= 0
        assert (trigger is not None) is reached
        if reached:
            return
        theirs.trailadjust(tick)


def test_the_close_is_sent_when_it_is_due_and_not_after_the_close():
    state = at_close(SELL, 2, due_ns=1000, valid_until_ns=1010)
    assert on_price(state, 100.0, 999) == (state, None)
    _, trigger = on_price(state, 100.0, 1000)
    assert trigger == Trigger(SELL, 2, None, 100.0, 1000)
    _, trigger = on_price(state, nan, 1010)  # the time alone is enough
    assert trigger is not None
    ended, trigger = on_price(state, 100.0, 1011)
    assert (ended.status, trigger) == (Status.EXPIRED, None)


def test_what_is_no_longer_valid_does_not_fire():
    state = stop(BUY, 1, 100.0, valid_until_ns=500)
    assert on_price(state, 100.0, 500)[1] is not None
    ended, trigger = on_price(state, 100.0, 501)
    assert (ended.status, trigger) == (Status.EXPIRED, None)


def test_a_cancelled_order_does_not_fire():
    state = cancel(stop(BUY, 1, 100.0))
    assert state.status is Status.CANCELLED
    assert on_price(state, 100.0, 1) == (state, None)
    fired, _ = on_price(stop(BUY, 1, 100.0), 100.0, 1)
    assert cancel(fired) == fired


@pytest.mark.parametrize(("status", "event"), list(product(Status, Event)))
def test_every_pair_is_in_the_table_and_what_is_over_stays(status, event):
    following = TRANSITIONS[status][event]
    if status is not Status.WAITING:
        assert following is status


@pytest.mark.parametrize(
    "state",
    [
        stop(BUY, 1, 100.0),
        stop(SELL, 4, 0.1 + 0.2, limit_price=0.1, valid_until_ns=1_794_229_200_000_000_001),
        trailing_stop(BUY, 1, 3.1, trail_percent=0.02, limit_price=3.2),
        at_close(SELL, 2, due_ns=1000, valid_until_ns=1010),
        cancel(stop(BUY, 1, 100.0)),
    ],
    ids=lambda state: state.kind,
)
def test_a_journal_gives_back_what_was_written(state):
    assert ConditionalOrder.from_dict(json.loads(json.dumps(state.to_dict()))) == state


@pytest.mark.parametrize(
    "change", [{"kind": "Iceberg"}, {"colour": "red"}, {"status": None}, {"direction": "UP"}]
)
def test_what_is_no_order_is_not_read(change):
    written = stop(BUY, 1, 100.0).to_dict() | change
    with pytest.raises(OrderError, match="no conditional order"):
        ConditionalOrder.from_dict(written)
    with pytest.raises(OrderError, match="volume"):
        ConditionalOrder.from_dict({"kind": "Stop", "direction": "BUY", "status": "WAITING"})


@pytest.mark.parametrize(
    "make",
    [
        lambda: stop(BUY, 0, 100.0),
        lambda: stop(BUY, 1.5, 100.0),
        lambda: stop(BUY, True, 100.0),
        lambda: stop(BUY, 1, nan),
        lambda: stop(BUY, 1, 100.0, limit_price=nan),
        lambda: trailing_stop(BUY, 1, 100.0),
        lambda: trailing_stop(BUY, 1, 100.0, trail_amount=-1.0),
        lambda: trailing_stop(BUY, 1, 100.0, trail_percent=nan),
        lambda: at_close(BUY, -1, 1000),
        lambda: resize(stop(BUY, 1, 100.0), 0),
    ],
)
def test_nonsense_is_refused(make):
    with pytest.raises(OrderError, match=r"lots|price|distance"):
        make()


def test_other_lots_change_nothing_else():
    assert resize(stop(BUY, 5, 100.0), 2) == stop(BUY, 2, 100.0)
