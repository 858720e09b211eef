"""Statistics: cases calculated by hand, and two independent libraries."""

import math
import random
import warnings
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tianqin_backtrader.core.model import Direction, Offset
from tianqin_backtrader.records.equity_curve import EquityPoint, by_day, max_drawdown, profit_curve
from tianqin_backtrader.records.metrics import statistics
from tianqin_backtrader.records.round_trips import Execution, match

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import empyrical

MONDAY = date(2026, 11, 9)
BUY, SELL = Direction.BUY, Direction.SELL
OPEN, CLOSE, CLOSETODAY = Offset.OPEN, Offset.CLOSE, Offset.CLOSETODAY


def fill(direction, offset, price, volume=1, *, day=0, fee=0.0, symbol="DCE.m2701", **more):
    when = MONDAY + timedelta(days=day)
    return Execution(day * 100, when, symbol, direction, offset, price, volume, fee, 10, **more)


def points(*balances, start=MONDAY):
    return [
        EquityPoint(number, start + timedelta(days=number), float(balance))
        for number, balance in enumerate(balances)
    ]


def random_equity(seed, days=300):
    chance, balance, found = random.Random(seed), 1e6, []
    found.append(EquityPoint(0, MONDAY, balance))
    for number in range(days):
        balance *= 1 + chance.gauss(0.0005, 0.01)
        found.append(EquityPoint(number + 1, MONDAY + timedelta(days=number), balance))
    return found


@pytest.mark.parametrize("seed", range(5))
def test_ratios_agree_with_empyrical(seed):
    equity = random_equity(seed)
    found = statistics([], equity)
    report_handler = [day.daily_return for day in found.days]
    import numpy

    series, year = numpy.array(report_handler), {"annualization": 250}
    assert found.total_return == pytest.approx(empyrical.cum_returns_final(series))
    assert found.annual_return == pytest.approx(empyrical.annual_return(series, **year))
    assert found.volatility == pytest.approx(empyrical.annual_volatility(series, **year))
    assert found.sharpe == pytest.approx(empyrical.sharpe_ratio(series, **year))
    assert found.sortino == pytest.approx(empyrical.sortino_ratio(series, **year))
    assert found.max_drawdown.ratio == pytest.approx(-empyrical.max_drawdown(series))
    assert found.calmar == pytest.approx(empyrical.calmar_ratio(series, **year))
    risk_free = statistics([], equity, risk_free=0.025)
    assert risk_free.sharpe == pytest.approx(
        empyrical.sharpe_ratio(series, risk_free=0.0001, **year)
    )


def test_days_go_from_end_to_end():
    days = by_day(points(100, 110, 99))
    assert [day.profit for day in days] == [0, 10, -11]
    assert [day.daily_return for day in days] == pytest.approx([0, 0.1, -0.1])


def test_a_deposit_is_no_profit():
    equity = [
        EquityPoint(0, MONDAY, 1000.0, deposit=300.0),  # paid in before the first point
        EquityPoint(1, MONDAY, 1600.0, deposit=800.0),  # 500 more, and 100 of profit
        EquityPoint(2, MONDAY + timedelta(1), 1700.0),
        EquityPoint(3, MONDAY + timedelta(1), 1400.0, withdraw=200.0),
    ]
    days = by_day(equity)
    assert [day.profit for day in days] == [100, 0]
    assert days[0].daily_return == pytest.approx(100 / 1500)
    assert profit_curve(equity) == [1000, 1100, 1200, 1100]
    assert statistics([], equity).net_profit == 100


def test_a_drawdown_within_a_day_counts():
    equity = [EquityPoint(n, MONDAY, float(b)) for n, b in enumerate((100, 50, 100))]
    fall = max_drawdown(equity)
    assert (fall.amount, fall.ratio, fall.days) == (50, 0.5, 0)


def test_a_drawdown_lasts_until_its_peak_is_reached_again():
    fall = max_drawdown(points(100, 120, 90, 100, 119, 121, 120))
    assert (fall.amount, fall.ratio, fall.days) == (30, 0.25, 4)
    assert max_drawdown(points(100, 90, 80, 85)).days == 3  # until now
    assert max_drawdown(points(100, 101)).days == 0


def test_nothing_recorded_is_not_an_error():
    found = statistics([], [])
    assert math.isnan(found.start)
    assert math.isnan(found.sharpe)
    assert found.net_profit == 0
    assert found.trades.round_trips == 0
    assert math.isnan(found.trades.win_rate)


def test_no_loss_and_no_deviation_have_no_ratio():
    found = statistics([], points(100, 100, 100))
    assert math.isnan(found.sharpe)
    assert math.isnan(found.sortino)
    assert math.isnan(found.calmar)


def test_first_in_first_out_with_fees_shared_by_lots():
    found = match(
        [
            fill(BUY, OPEN, 100, 2, fee=4.0),
            fill(BUY, OPEN, 110, 1, fee=3.0),
            fill(SELL, CLOSE, 120, 2, fee=1.0, day=1),
            fill(SELL, CLOSE, 105, 1, fee=1.0, day=2),
        ]
    )
    assert [(trip.entry_price, trip.profit, trip.commission) for trip in found.round_trips] == [
        (100, 400, 5.0),
        (110, -50, 4.0),
    ]
    assert not found.open
    assert found.unmatched == 0


def test_a_short_earns_when_prices_fall():
    [trip] = match([fill(SELL, OPEN, 100), fill(BUY, CLOSE, 90)]).round_trips
    assert (trip.side, trip.profit) == ("short", 100)


def test_both_sides_are_held_apart():
    found = match([fill(BUY, OPEN, 100), fill(SELL, OPEN, 101), fill(BUY, CLOSE, 99)])
    assert [trip.side for trip in found.round_trips] == ["short"]
    assert [lot.side for lot in found.open] == ["long"]


@pytest.mark.parametrize(
    ("symbol", "offset", "entry"),
    [("SHFE.rb2701", CLOSETODAY, 200), ("SHFE.rb2701", CLOSE, 100), ("DCE.m2701", CLOSE, 100)],
)
def test_closetoday_closes_todays_lots(symbol, offset, entry):
    lots = [fill(BUY, OPEN, 100, symbol=symbol), fill(BUY, OPEN, 200, day=1, symbol=symbol)]
    found = match([*lots, fill(SELL, offset, 300, day=1, symbol=symbol)])
    assert found.round_trips[0].entry_price == entry


def test_a_strategy_closes_its_own_lots_first():
    lots = [fill(BUY, OPEN, 100, strategy="a"), fill(BUY, OPEN, 200, strategy="b")]
    found = match([*lots, fill(SELL, CLOSE, 300, strategy="b")])
    assert (found.round_trips[0].strategy, found.round_trips[0].entry_price) == ("b", 200)


def test_lots_from_before_the_records_are_counted_apart():
    found = match([fill(SELL, CLOSE, 100, 3)])
    assert found.unmatched == 3
    assert not found.round_trips


def test_trade_figures():
    executions = [
        fill(BUY, OPEN, 100, decision_price=99.0, fee=1.0),
        fill(SELL, CLOSE, 110, decision_price=111.0, fee=1.0),
        fill(BUY, OPEN, 100, fee=1.0),
        fill(SELL, CLOSE, 97, fee=1.0, strategy="b"),
        fill(SELL, OPEN, 100, symbol="DCE.c2701"),
    ]
    found = statistics(executions, points(1000, 1066))
    trades = found.trades
    assert (trades.fills, trades.lots, trades.round_trips) == (5, 5, 2)
    assert (trades.net_profit, trades.fees) == (98 - 32, 4)
    assert (trades.win_rate, trades.average_win, trades.average_loss) == (0.5, 98, -32)
    assert trades.profit_factor == pytest.approx(98 / 32)
    assert trades.turnover == (100 + 110 + 100 + 97 + 100) * 10
    assert (trades.slippage, trades.slippage_per_lot) == (20, 10)
    assert found.by_symbol["DCE.m2701"].net_profit == 66
    assert found.by_symbol["DCE.c2701"].round_trips == 0
    assert found.by_side["long"].fills == 4
    assert found.by_strategy["b"].fills == 1


def test_exposure_by_points():
    equity = [EquityPoint(n, MONDAY, 1000.0, exposure=e) for n, e in enumerate((0.0, 500.0))]
    found = statistics([], equity)
    assert (found.time_in_market, found.average_exposure) == (0.5, 0.25)


orders = st.lists(
    st.tuples(
        st.sampled_from([BUY, SELL]), st.sampled_from([OPEN, CLOSE, CLOSETODAY]),
        st.integers(90, 110), st.integers(1, 5), st.sampled_from(["SHFE.rb2701", "DCE.m2701"]),
    ),
    max_size=40,
)  # fmt: skip


@given(orders)
def test_no_lot_and_no_fee_is_lost(drawn):
    executions = [
        fill(direction, offset, price, volume, day=number // 8, fee=1.0, symbol=symbol)
        for number, (direction, offset, price, volume, symbol) in enumerate(drawn)
    ]
    found = match(executions)
    opened = sum(one.volume for one in executions if one.offset is OPEN)
    closed = sum(one.volume for one in executions if one.offset is not OPEN)
    matched = sum(trip.volume for trip in found.round_trips)
    assert opened == matched + sum(lot.volume for lot in found.open)
    assert closed == matched + found.unmatched
    if not found.unmatched:
        fees = sum(trip.commission for trip in found.round_trips)
        assert fees + sum(lot.commission for lot in found.open) == pytest.approx(len(executions))
