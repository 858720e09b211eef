"""Equity over time: trading days, deposits excluded, drawdowns (pure)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date


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
    """One trading day: equity at its end, its profit without deposits, and profit / capital."""

    trading_day: date
    balance: float
    profit: float
    daily_return: float


@dataclass(frozen=True, slots=True)
class Drawdown:
    """``amount`` yuan and ``ratio`` below the peak; ``days`` from the peak to recovery or the end.

    ``days`` counts trading days that ended after the peak's: 0 if it recovered on the same day.
    """

    amount: float = 0.0
    ratio: float = 0.0
    days: int = 0


def by_day(equity: Sequence[EquityPoint]) -> list[Day]:
    """Trading days with their profits; deposits and withdrawals are not profit."""
    last = {point.trading_day: point for point in equity}
    days: list[Day] = []
    if not equity:
        return days
    # Deposits of the first day before the first point belong to the initial equity.
    before, paid_in_before = equity[0].balance, _paid_in(equity[0])
    for day, point in sorted(last.items()):
        flow = _paid_in(point) - paid_in_before
        profit = point.balance - before - flow
        # A deposit is capital from the day's beginning; a withdrawal is capital until its end.
        capital = before + max(flow, 0.0)
        days.append(Day(day, point.balance, round(profit, 2), profit / capital if capital else 0.0))
        before, paid_in_before = point.balance, 0.0
    return days


def _paid_in(point: EquityPoint) -> float:
    return point.deposit - point.withdraw


def profit_curve(equity: Sequence[EquityPoint]) -> list[float]:
    """Equity at each point as if later deposits and withdrawals had not happened."""
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
    """The deepest fall by ratio, over all points, also within days."""
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
