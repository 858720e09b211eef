"""The feeds of one store, and placeholders for contracts without a feed.

Orders need a feed's time, and whether it has delivered a bar.
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

    The run is live as soon as one feed is: the newest bar of a daily feed, or of a contract
    without a night session, may be one of history for hours.

    Attributes:
        in_history: Whether the run has delivered bars of history only.
        live: Whether it has delivered a live bar.
    """

    in_history = live = False

    def begin(self) -> None:
        """Begin a run."""
        self.in_history = self.live = False

    def go_live(self) -> None:
        """Note that the first live bar of a run is delivered."""
        self.in_history, self.live = False, True

    def has_no_bar(self, symbol: str) -> bool:
        """Whether a contract has feeds, and none of them has delivered a bar."""
        feeds = [feed for feed in self if feed._dataname == symbol]
        return bool(feeds) and not any(has_bar(feed) for feed in feeds)


class _Present:
    """The ``datetime`` line of a contract without bars: the present time."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def __getitem__(self, _ago: int) -> float:
        return to_backtrader(self._context.now_ns())

    def datetime(self, _ago: int = 0) -> datetime:
        return self._context.now()

    def date(self, _ago: int = 0) -> date:
        return self.datetime().date()


class PlaceholderFeed:
    """Replaces the feed in orders on a contract without one, as far as Backtrader needs it."""

    _compensate = None
    history_phase = False

    class p:
        """Backtrader reads the session's end from a feed's parameters."""

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
        """Convert a time to Backtrader's number, like a feed."""
        return float(bt.date2num(moment))


class PlaceholderFeeds:
    """The placeholders of a store, one per contract.

    Args:
        context: Provides the time.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._made: dict[str, PlaceholderFeed] = {}

    def __call__(self, symbol: str) -> PlaceholderFeed:
        """Return a contract's placeholder, always the same one."""
        if symbol not in self._made:
            self._made[symbol] = PlaceholderFeed(symbol, self._context)
        return self._made[symbol]


def has_time(data: Any) -> bool:
    """Whether a feed has a time now; a feed whose next bar is being loaded has none."""
    if isinstance(data, PlaceholderFeed):
        return True
    return len(data) > 0 and not math.isnan(data.datetime[0])


def has_bar(data: Any) -> bool:
    """Whether a feed has delivered a bar; the first one may be withdrawn while it is loaded."""
    return len(data) > 1 or has_time(data)
