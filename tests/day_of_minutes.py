"""A trading day's bar from its minutes, as TianQin's own day bars have it."""

from collections.abc import Sequence

from tianqin_backtrader.core.model import Bar


def day_of_minutes(minutes: Sequence[Bar]) -> Bar:
    """The trading-day bar of a whole day's minute bars.

    The day opens at its first minute in which something was traded, because minutes before the
    first trade are flat at the day before's close; a day without a trade is flat itself.

    Args:
        minutes: All of the day's bars in order, the night's first.
    """
    traded = [bar for bar in minutes if bar.volume] or minutes[-1:]
    last = minutes[-1]
    return Bar(
        minutes[0].start, last.end, traded[0].open,
        max(bar.high for bar in traded), min(bar.low for bar in traded), last.close,
        sum(bar.volume for bar in minutes), minutes[0].open_oi, last.close_oi, *last[9:15],
    )  # fmt: skip
