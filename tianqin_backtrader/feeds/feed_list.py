"""The feeds of one store, and what stands in for the feed of a contract that has none.

Orders ask a feed for its time, and whether a bar of it has been delivered.
"""

from __future__ import annotations

import math
from datetime import date, datetime, time
from typing import Any

import backtrader as bt

from ..core.clock import to_backtrader
from ..core.context import Context


class FeedList(list[Any]):
    """Feeds in the order in which they were made.

    A feed of days, or of a contract without a night, shows a bar of history for hours while
    another one is live, or waits for its next bar: the run is live then.

    Attributes:
        in_history: Whether all that the run has seen is history.
        live: Whether it has seen a live bar.
    """

    in_history = live = False

    def begin(self) -> None:
        """Cerebro begins a run."""
        self.in_history = self.live = False

    def go_live(self) -> None:
        """The first live bar of a run is delivered."""
        self.in_history, self.live = False, True

    def has_no_bar(self, symbol: str) -> bool:
        """Whether a contract has feeds, and none of them has delivered a bar."""
        feeds = [feed for feed in self if feed._dataname == symbol]
        return bool(feeds) and not any(has_bar(feed) for feed in feeds)


class _Present:
    """The ``datetime`` line of a contract without bars: now."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def __getitem__(self, _ago: int) -> float:
        return to_backtrader(self._context.now_ns())

    def datetime(self, _ago: int = 0) -> datetime:
        return self._context.now()

    def date(self, _ago: int = 0) -> date:
        return self.datetime().date()


class PlaceholderFeed:
    """Stands for a contract without a feed in orders on it, as far as Backtrader asks."""

    _compensate = None
    history_phase = False

    class p:
        """Backtrader looks for the session's end among a feed's parameters."""

        sessionend = time(15, 0)

    def __init__(self, symbol: str, context: Context) -> None:
        self._name = self._dataname = symbol
        self.close = [math.nan]
        self.datetime = _Present(context)

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return True

    def date2num(self, moment: datetime) -> float:
        """As feeds have it."""
        return float(bt.date2num(moment))


class PlaceholderFeeds:
    """One for each contract that is asked for.

    Args:
        context: Tells the time.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._made: dict[str, PlaceholderFeed] = {}

    def __call__(self, symbol: str) -> PlaceholderFeed:
        """That of a contract; always the same one."""
        if symbol not in self._made:
            self._made[symbol] = PlaceholderFeed(symbol, self._context)
        return self._made[symbol]


def has_time(data: Any) -> bool:
    """Whether a feed can stamp something now; one whose next bar is being loaded cannot."""
    if isinstance(data, PlaceholderFeed):
        return True
    return len(data) > 0 and not math.isnan(data.datetime[0])


def has_bar(data: Any) -> bool:
    """Whether a feed has delivered a bar; the first, while it is loaded, may be taken back."""
    return len(data) > 1 or has_time(data)
