"""Whose open trades lots are taken from that a foreign trade has closed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tianqin_backtrader.account.allocation import allocate

LOTS = st.integers(-9, 9)


@pytest.mark.parametrize(
    ("size", "trades", "changes", "rest"),
    [
        (-4, [4], (-4,), 0),
        (-1, [4], (-1,), 0),
        (3, [-2], (2,), 1),
        (-4, [2, 3], (-2, -2), 0),
        (-4, [2, -3], (-2, 0), -2),
        (2, [2], (0,), 2),
        (2, [], (), 2),
    ],
)
def test_trades_of_the_other_side_are_closed_in_their_order(size, trades, changes, rest):
    assert allocate(size, trades) == (changes, rest)


@given(LOTS.filter(bool), st.lists(LOTS.filter(bool)))
def test_nothing_is_lost_and_no_trade_is_turned(size, trades):
    changes, rest = allocate(size, trades)
    assert sum(changes) + rest == size
    for held, change in zip(trades, changes, strict=True):
        assert held * (held + change) >= 0
        assert abs(held + change) <= abs(held)
    other_side = [held for held, change in zip(trades, changes, strict=True)
                  if held * size < 0 and held + change]  # fmt: skip
    assert not (rest and other_side)
