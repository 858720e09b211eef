"""Profit and fees from fills alone."""

from hypothesis import given
from hypothesis import strategies as st

from tianqin_backtrader.account.pnl import ProfitAndLoss
from tianqin_backtrader.core.model import Direction, Fill, Offset


def fill(direction, price, volume, fee=1.5):
    return Fill("t", "o", "SHFE.cu2612", direction, Offset.OPEN, price, volume, 0, fee)


def test_a_round_trip():
    books = ProfitAndLoss()
    books.begin(1_000_000.0)
    books.take(fill(Direction.BUY, 78_000.0, 2), 5)
    books.take(fill(Direction.SELL, 78_100.0, 2), 5)
    balance = books.balance({})
    assert (balance.profit, balance.fees, balance.equity) == (1000.0, 3.0, 1_000_997.0)


def test_open_lots_are_marked():
    books = ProfitAndLoss()
    books.begin(1_000_000.0, {"SHFE.cu2612": (1, 78_000.0, 5)})
    books.take(fill(Direction.SELL, 78_100.0, 3, fee=0.0), 5)
    assert books.balance({"SHFE.cu2612": 78_050.0}).profit == 500 + 2 * 50 * 5


@given(
    st.lists(st.tuples(st.sampled_from(Direction), st.integers(70_000, 80_000), st.integers(1, 9))),
    st.integers(70_000, 80_000),
)
def test_equity_is_start_plus_profit_less_fees(fills, mark):
    books = ProfitAndLoss()
    books.begin(5_000_000.0)
    for direction, price, volume in fills:
        books.take(fill(direction, float(price), volume), 5)
    expected = sum(d.sign * volume * (mark - price) * 5 for d, price, volume in fills)
    balance = books.balance({"SHFE.cu2612": float(mark)})
    assert balance.profit == expected
    assert balance.equity == round(5_000_000 + expected - 1.5 * len(fills), 2)
