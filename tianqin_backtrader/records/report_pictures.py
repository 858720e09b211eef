"""Pictures of a run, drawn without a display.

The time axis counts points, not hours: nights, breaks and holidays take no space.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..core.clock import from_ns
from ..core.model import Direction, Offset
from .equity_curve import Day, EquityPoint, profit_curve
from .round_trips import Execution, RoundTrip

#: Inches; small, so that text is legible on a phone.
_TALL, _FLAT = (5.2, 3.8), (5.2, 2.6)
#: The most points of a curve that can be told apart in a picture.
#: A bar: its end in nanoseconds, open, high, low, close, volume.
Mark = tuple[int, float, float, float, float, int]
_POINTS = 4000
_THOUSANDS = FuncFormatter(lambda value, _: f"{value:,.0f}")
_UP, _DOWN, _INK = "#c0392b", "#1e8449", "#1f4e79"  # red rises, as in Chinese charts


def equity_picture(equity: Sequence[EquityPoint]) -> Figure:
    """Equity without deposits, and below it the drawdown in percent."""
    curve = profit_curve(equity)
    drawdown, peak = [], float("-inf")
    for value in curve:
        peak = max(peak, value)
        drawdown.append((value / peak - 1) * 100 if peak > 0 else 0.0)
    figure = Figure(figsize=_TALL, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    step = max(1, len(curve) // _POINTS)
    places = [*range(0, len(curve), step)]
    above.plot(places, [curve[place] for place in places], color=_INK, linewidth=1)
    above.set_ylabel("equity, yuan")
    above.yaxis.set_major_formatter(_THOUSANDS)
    # The deepest point of each stretch: thinning must not hide the worst drawdown.
    deepest = [min(drawdown[place : place + step]) for place in places]
    below.fill_between(places, deepest, 0, color=_DOWN, alpha=0.5, linewidth=0)
    below.set_ylabel("drawdown, %")
    _time_axis(below, [point.time for point in equity])
    return figure


def daily_picture(days: Sequence[Day]) -> Figure:
    """Profit per trading day, yuan."""
    figure = Figure(figsize=_FLAT, layout="constrained")
    axes = figure.subplots()
    colours = [_UP if day.profit >= 0 else _DOWN for day in days]
    axes.bar(range(len(days)), [day.profit for day in days], color=colours)
    axes.axhline(0, color="black", linewidth=0.5)
    axes.set_ylabel("profit per day, yuan")
    axes.yaxis.set_major_formatter(_THOUSANDS)
    names = [f"{day.trading_day:%Y-%m-%d}" for day in days]
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda place, _: _at(names, place)))
    return figure


def distribution_picture(trips: Sequence[RoundTrip]) -> Figure:
    """Histogram of the round trips' profits, yuan after fees."""
    figure = Figure(figsize=_FLAT, layout="constrained")
    axes = figure.subplots()
    profits = [trip.net_profit for trip in trips]
    if profits:
        axes.hist(profits, bins=min(60, max(10, len(profits) // 5)), color=_INK)
    axes.axvline(0, color="black", linewidth=0.5)
    axes.set_xlabel("net profit per round trip, yuan")
    axes.set_ylabel("round trips")
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    return figure


def bars_picture(symbol: str, bars: Sequence[Mark], executions: Sequence[Execution]) -> Figure:
    """Bars of a contract with entries (filled markers) and exits (hollow markers).

    Args:
        symbol: The contract.
        bars: (end in nanoseconds, open, high, low, close, volume) by time.
        executions: Its fills; those outside the bars are left out.
    """
    figure = Figure(figsize=_TALL, layout="constrained")
    axes = figure.subplots()
    step = max(1, len(bars) // _POINTS)
    groups = [bars[place : place + step] for place in range(0, len(bars), step)]
    lows = [min(bar[3] for bar in group) for group in groups]
    highs = [max(bar[2] for bar in group) for group in groups]
    axes.vlines(range(len(groups)), lows, highs, color="0.7", linewidth=0.8)
    axes.plot([group[-1][4] for group in groups], color=_INK, linewidth=0.8)
    ends = [group[-1][0] for group in groups]
    for direction, mark, colour in ((Direction.BUY, "^", _UP), (Direction.SELL, "v", _DOWN)):
        for opens in (True, False):  # exits are larger: a reversal is both at one point
            # Only one of several fills at the same place can be seen.
            found = {
                bisect_left(ends, one.time): one.price
                for one in executions
                if one.direction is direction and (one.offset is Offset.OPEN) == opens
            }
            found.pop(len(ends), None)
            axes.plot(
                list(found), list(found.values()), mark,
                markersize=5 if opens else 9, markeredgecolor=colour,
                markerfacecolor=colour if opens else "none",
                label=f"{direction.lower()} to {'open' if opens else 'close'}",
            )  # fmt: skip
    axes.legend(fontsize="small", ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    axes.set_ylabel("price")
    _time_axis(axes, ends)
    return figure


def _time_axis(axes: Axes, times: Sequence[int]) -> None:
    names = [f"{from_ns(time):%m-%d %H:%M}" for time in times]
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda place, _: _at(names, place)))


def _at(names: Sequence[str], place: float) -> str:
    index = int(place)
    return names[index] if 0 <= index < len(names) else ""
