"""Statistics over fills and equity, by trading day, fees included (pure).

Definitions follow ``empyrical``: sample deviation for Sharpe, downside deviation over all days for
Sortino, compound annual return. Money is yuan, ratios are fractions; nan where there is nothing to
divide by.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date

from .model import NAN
from .round_trips import Execution, Matched, RoundTrip, match

#: Trading days of a year, as TqSdk counts.
DAYS_PER_YEAR = 250


@dataclass(frozen=True, slots=True)
class EquityPoint:
    """The account at one moment. ``deposit`` and ``withdraw`` are sums of the trading day."""

    time: int
    trading_day: date
    balance: float
    deposit: float = 0.0
    withdraw: float = 0.0
    exposure: float = 0.0


@dataclass(frozen=True, slots=True)
class Day:
    """One trading day: equity at its end, profit of it without deposits, and profit / capital."""

    trading_day: date
    balance: float
    profit: float
    daily_return: float


@dataclass(frozen=True, slots=True)
class Drawdown:
    """``amount`` yuan and ``ratio`` below the peak; ``days`` from there to recovery or the end.

    ``days`` are trading days that ended after the peak's: 0 for a fall recovered on its day.
    """

    amount: float = 0.0
    ratio: float = 0.0
    days: int = 0


@dataclass(frozen=True, slots=True)
class TradeStatistics:
    """Of some fills and round trips. ``net_profit`` is that of round trips, after fees.

    ``win_rate`` is by round trips; ``average_loss`` is negative. ``slippage`` counts fills whose
    price at decision is known: ``slippage_per_lot`` is over their lots.
    """

    fills: int
    lots: int
    round_trips: int
    net_profit: float
    fees: float
    win_rate: float
    profit_factor: float
    average_win: float
    average_loss: float
    turnover: float
    slippage: float
    slippage_per_lot: float


@dataclass(frozen=True, slots=True)
class Statistics:
    """Everything; ``time_in_market`` and ``average_exposure`` (times equity) by equity points."""

    start: float
    end: float
    net_profit: float
    total_return: float
    annual_return: float
    volatility: float
    sharpe: float
    sortino: float
    calmar: float
    max_drawdown: Drawdown
    turnover_ratio: float
    time_in_market: float
    average_exposure: float
    days: list[Day]
    trades: TradeStatistics
    by_symbol: dict[str, TradeStatistics]
    by_side: dict[str, TradeStatistics]
    by_strategy: dict[str, TradeStatistics]
    matched: Matched


def statistics(
    executions: Sequence[Execution],
    equity: Sequence[EquityPoint],
    *,
    days_per_year: int = DAYS_PER_YEAR,
    risk_free: float = 0.0,
) -> Statistics:
    """All figures.

    Args:
        executions: Fills by time.
        equity: Points by time; the first one is the start, and no profit.
        days_per_year: Trading days of a year.
        risk_free: Annual rate, a fraction, taken off daily returns for Sharpe and Sortino.
    """
    days = by_day(equity)
    returns = [day.daily_return for day in days]
    total = math.prod(1 + one for one in returns) - 1
    annual = _annual(total, len(days), days_per_year)
    drawdown = max_drawdown(equity)
    matched = match(executions)
    trades = trade_statistics(executions, matched.round_trips)
    mean_balance = _mean([point.balance for point in equity])
    return Statistics(
        start=equity[0].balance if equity else NAN,
        end=equity[-1].balance if equity else NAN,
        net_profit=round(sum(day.profit for day in days), 2),
        total_return=total if days else NAN,
        annual_return=annual,
        volatility=_deviation(returns) * math.sqrt(days_per_year),
        sharpe=sharpe(returns, days_per_year, risk_free),
        sortino=sortino(returns, days_per_year, risk_free),
        calmar=_ratio(annual, drawdown.ratio),
        max_drawdown=drawdown,
        turnover_ratio=_ratio(trades.turnover, mean_balance),
        time_in_market=_mean([float(point.exposure > 0) for point in equity]),
        average_exposure=_mean([_ratio(point.exposure, point.balance) for point in equity]),
        days=days,
        trades=trades,
        by_symbol=_breakdown(executions, matched, lambda one: one.symbol),
        by_side=_breakdown(executions, matched, lambda one: one.side),
        by_strategy=_breakdown(executions, matched, lambda one: one.strategy),
        matched=matched,
    )


def by_day(equity: Sequence[EquityPoint]) -> list[Day]:
    """Trading days with their profits; what was deposited or withdrawn is not profit."""
    last = {point.trading_day: point for point in equity}
    days: list[Day] = []
    if not equity:
        return days
    # What had been paid in on the first day before the first point is part of the start.
    before, paid_in_before = equity[0].balance, _paid_in(equity[0])
    for day, point in sorted(last.items()):
        flow = _paid_in(point) - paid_in_before
        profit = point.balance - before - flow
        # A deposit is capital from the day's beginning; a withdrawal until its end.
        daily = _ratio(profit, before + max(flow, 0.0))
        days.append(Day(day, point.balance, round(profit, 2), 0.0 if daily != daily else daily))
        before, paid_in_before = point.balance, 0.0
    return days


def _paid_in(point: EquityPoint) -> float:
    return point.deposit - point.withdraw


def profit_curve(equity: Sequence[EquityPoint]) -> list[float]:
    """Equity at each point as it would be without later deposits and withdrawals."""
    curve = []
    paid_in, today, day = 0.0, 0.0, None
    for index, point in enumerate(equity):
        flow = _paid_in(point)
        if index == 0:
            paid_in = -flow
        elif point.trading_day != day:
            paid_in += today
        day, today = point.trading_day, flow
        curve.append(point.balance - paid_in - today)
    return curve


def max_drawdown(equity: Sequence[EquityPoint]) -> Drawdown:
    """The deepest fall, by ratio, over all points: within days too."""
    worst = Drawdown()
    peak, peak_day = -math.inf, 0
    day, number, recovering = None, 0, False
    for point, value in zip(equity, profit_curve(equity), strict=True):
        number += point.trading_day != day
        day = point.trading_day
        if recovering:  # the deepest fall so far lasts until its peak is reached again
            worst = replace(worst, days=number - peak_day)
        if value >= peak:
            peak, peak_day, recovering = value, number, False
        elif peak > 0 and (peak - value) / peak > worst.ratio:
            fall = peak - value
            worst = Drawdown(round(fall, 2), fall / peak, number - peak_day)
            recovering = True
    return worst


def sharpe(returns: Sequence[float], days_per_year: int, risk_free: float = 0.0) -> float:
    """Annual Sharpe ratio of daily returns; nan below two days or without deviation."""
    above = [one - risk_free / days_per_year for one in returns]
    return _ratio(_mean(above), _deviation(above)) * math.sqrt(days_per_year)


def sortino(returns: Sequence[float], days_per_year: int, risk_free: float = 0.0) -> float:
    """Annual Sortino ratio of daily returns; nan without a loss."""
    above = [one - risk_free / days_per_year for one in returns]
    downside = math.sqrt(_mean([min(one, 0.0) ** 2 for one in above]))
    return _ratio(_mean(above), downside) * math.sqrt(days_per_year)


def trade_statistics(
    executions: Iterable[Execution], round_trips: Iterable[RoundTrip]
) -> TradeStatistics:
    """Figures of some fills and of some round trips."""
    fills = list(executions)
    profits = [trip.net_profit for trip in round_trips]
    wins = [one for one in profits if one > 0]
    losses = [one for one in profits if one < 0]
    known = [fill for fill in fills if fill.decision_price == fill.decision_price]
    slippage = sum(fill.slippage for fill in known)
    return TradeStatistics(
        fills=len(fills),
        lots=sum(fill.volume for fill in fills),
        round_trips=len(profits),
        net_profit=round(sum(profits), 2),
        fees=round(sum(fill.commission for fill in fills), 2),
        win_rate=_ratio(len(wins), len(profits)),
        profit_factor=_ratio(sum(wins), -sum(losses)),
        average_win=_mean(wins),
        average_loss=_mean(losses),
        turnover=round(sum(fill.turnover for fill in fills), 2),
        slippage=round(slippage, 2),
        slippage_per_lot=_ratio(slippage, sum(fill.volume for fill in known)),
    )


def _breakdown(
    executions: Sequence[Execution],
    matched: Matched,
    key: Callable[[Execution | RoundTrip], str],
) -> dict[str, TradeStatistics]:
    fills: dict[str, list[Execution]] = {}
    trips: dict[str, list[RoundTrip]] = {}
    for fill in executions:
        fills.setdefault(key(fill), []).append(fill)
    for trip in matched.round_trips:
        trips.setdefault(key(trip), []).append(trip)
    names = sorted(fills.keys() | trips.keys())
    return {name: trade_statistics(fills.get(name, []), trips.get(name, [])) for name in names}


def _annual(total: float, days: int, days_per_year: int) -> float:
    if not days or total <= -1:
        return NAN
    return float((1 + total) ** (days_per_year / days) - 1)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else NAN


def _deviation(values: Sequence[float]) -> float:
    if len(values) < 2:
        return NAN
    mean = _mean(values)
    return math.sqrt(math.fsum((one - mean) ** 2 for one in values) / (len(values) - 1))


def _ratio(over: float, under: float) -> float:
    return over / under if under else NAN
