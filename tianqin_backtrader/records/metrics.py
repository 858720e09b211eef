"""Statistics of fills and equity, by trading day, after fees (pure).

Definitions follow ``empyrical``: sample deviation for Sharpe, downside deviation over all days for
Sortino, compound annual return. Money is yuan, ratios are fractions; NaN if a divisor is 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict

from ..core.model import NAN
from .equity_curve import Day, Drawdown, EquityPoint, by_day, max_drawdown
from .round_trips import Execution, Matched, RoundTrip, match

#: Trading days of a year, as in TqSdk.
DAYS_PER_YEAR = 250


@dataclass(frozen=True, slots=True)
class TradeStatistics:
    """Statistics of fills and round trips (lots matched first in, first out, by contract and side).

    Attributes:
        fills, lots, round_trips: Their numbers.
        net_profit: Yuan of the round trips, after fees.
        fees, turnover: Yuan of all fills.
        win_rate: Fraction of profitable round trips.
        profit_factor: Sum of profits over sum of losses.
        average_win, average_loss: Yuan per round trip; a loss is negative.
        slippage: Yuan against the price at decision, over fills for which it is known; positive is
            a cost. ``slippage_per_lot``: divided by their lots.
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
    """All statistics of a run.

    Attributes:
        start, end: Equity at the first and the last point, yuan.
        net_profit: Yuan of all days, without deposits and withdrawals.
        total_return, annual_return, volatility: Fractions; the latter two per year.
        sharpe, sortino, calmar: Annual ratios.
        max_drawdown: Deepest fall from a peak: ``amount`` in yuan, ``ratio``, ``days``.
        turnover_ratio: Turnover over mean equity.
        time_in_market, average_exposure: Fraction of equity points with a position; mean exposure
            over all points as a multiple of equity.
        days: Each trading day: balance, profit, return.
        trades: Of all fills; ``by_symbol``, ``by_side`` ("long", "short") and ``by_strategy`` are
            breakdowns.
        matched: The round trips, and the lots that are still open.
    """

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


class StatisticsOptions(TypedDict, total=False):
    """The options of ``statistics``."""

    days_per_year: int
    risk_free: float


def statistics(
    executions: Sequence[Execution],
    equity: Sequence[EquityPoint],
    *,
    days_per_year: int = DAYS_PER_YEAR,
    risk_free: float = 0.0,
) -> Statistics:
    """Calculate all statistics.

    Args:
        executions: Fills by time.
        equity: Points by time; the first one is the initial equity.
        days_per_year: Trading days of a year.
        risk_free: Annual rate, a fraction, subtracted from daily returns for Sharpe and Sortino.
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


def sharpe(returns: Sequence[float], days_per_year: int, risk_free: float = 0.0) -> float:
    """Annual Sharpe ratio of daily returns; NaN for less than two days or without deviation."""
    above = [one - risk_free / days_per_year for one in returns]
    return _ratio(_mean(above), _deviation(above)) * math.sqrt(days_per_year)


def sortino(returns: Sequence[float], days_per_year: int, risk_free: float = 0.0) -> float:
    """Annual Sortino ratio of daily returns; NaN without a loss."""
    above = [one - risk_free / days_per_year for one in returns]
    downside = math.sqrt(_mean([min(one, 0.0) ** 2 for one in above]))
    return _ratio(_mean(above), downside) * math.sqrt(days_per_year)


def trade_statistics(
    executions: Iterable[Execution], round_trips: Iterable[RoundTrip]
) -> TradeStatistics:
    """Statistics of some fills and round trips."""
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
