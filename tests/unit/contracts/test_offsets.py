"""The lots that an order closes, and the offsets."""

from itertools import product

import pytest

from tianqin_backtrader.contracts.offsets import (
    Closable,
    Closing,
    Leg,
    OffsetRules,
    plan_close,
    plan_order,
)
from tianqin_backtrader.core.model import Offset


def rules(apart):
    return OffsetRules(Closing.APART if apart else Closing.OLDEST_FIRST)


def split_close(volume, closable, *, closes_today_apart):
    """Legs that close as many of these lots as possible."""
    return plan_close(volume, closable, rules(closes_today_apart), allow_partial=True)


def split_order(volume, closable, *, closes_today_apart):
    """Legs of a Backtrader order, without limits of size."""
    return plan_order(volume, closable, rules(closes_today_apart))


def test_two_of_today_and_five_of_yesterday_closing_four():
    legs = split_close(4, Closable(today=2, history=5), closes_today_apart=True)
    assert legs == (Leg(Offset.CLOSETODAY, 2), Leg(Offset.CLOSE, 2))


def test_elsewhere_one_close_takes_both():
    assert split_close(4, Closable(2, 5), closes_today_apart=False) == (Leg(Offset.CLOSE, 4),)


@pytest.mark.parametrize("apart", [True, False])
def test_legs_add_up_and_never_over_close(apart):
    for today, history, volume in product(range(4), range(4), range(1, 8)):
        closable = Closable(today, history)
        legs = split_order(volume, closable, closes_today_apart=apart)
        by_offset = {leg.offset: leg.volume for leg in legs}
        assert len(by_offset) == len(legs)
        assert sum(by_offset.values()) == volume
        assert all(lots > 0 for lots in by_offset.values())
        closed = volume - by_offset.get(Offset.OPEN, 0)
        assert closed == min(volume, closable.total)
        if apart:
            assert by_offset.get(Offset.CLOSETODAY, 0) == min(volume, today)
            assert by_offset.get(Offset.CLOSE, 0) <= history


@pytest.mark.parametrize(
    ("lots", "left"), [(6, Closable(2, 3)), (5, Closable(2, 3)), (4, Closable(1, 3)),
                       (2, Closable(0, 2)), (0, Closable(0, 0))],
)  # fmt: skip
def test_lots_that_are_in_doubt_are_taken_off_todays_first(lots, left):
    assert Closable(2, 3).at_most(lots) == left


@pytest.mark.parametrize(
    ("legs", "apart", "left"),
    [
        ([Leg(Offset.CLOSETODAY, 2), Leg(Offset.CLOSE, 1)], True, Closable(0, 2)),
        ([Leg(Offset.CLOSE, 4)], False, Closable(1, 0)),
        ([Leg(Offset.CLOSE, 9)], False, Closable(0, 0)),
    ],
)
def test_closes_on_their_way_are_taken_off(legs, apart, left):
    assert Closable(2, 3).less(legs, closes_today_apart=apart) == left


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="positive"):
        split_close(0, Closable(1, 1), closes_today_apart=True)
    with pytest.raises(ValueError, match="negative"):
        Closable(-1, 0)
