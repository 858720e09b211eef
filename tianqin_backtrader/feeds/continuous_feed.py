"""A main contract's bars over a change of the contract behind it."""

from __future__ import annotations

import logging
import math
from datetime import date, datetime, time
from typing import Any

from ..contracts.adjustment import MainChange, back_adjusted
from ..core.clock import from_ns, to_backtrader, to_ns
from ..core.model import Bar
from ..errors import LinkError

logger = logging.getLogger(__name__)

#: The trading day changes in the evening, before any night session.
EVENING = time(18)
#: Lines that hold prices.
LINES = (
    "open", "high", "low", "close", "bid_price", "ask_price", "bid_price2", "ask_price2",
)  # fmt: skip


class MainBars:
    """Watches for the change, and moves prices if the feed wants that.

    Args:
        feed: The feed of a main contract.
    """

    def __init__(self, feed: Any) -> None:
        self._feed = feed
        self._contract = ""

    @property
    def _adjusts(self) -> bool:
        return bool(self._feed.p.adjust == "back")

    def begin(self, history: list[Bar]) -> list[Bar]:
        """Stand at the present; return the history, adjusted if that is wanted.

        Raises:
            LinkError: What it takes to adjust cannot be had.
        """
        store, symbol = self._feed.store, self._feed.symbol
        self._contract = store.mains.traded(symbol)
        store.mains.ask()  # now, when there is time to wait, also where nothing is named yet
        store.mains.behind(symbol)
        if not (self._adjusts and history):
            return history
        changes = store.mains.changes(symbol, self._day_of(history[0]))
        if changes and changes[-1].old == self._contract:
            changes.pop()  # this evening's, which TianQin has not made yet: we shall see it
        known = [change for change in changes if not math.isnan(change.gap)]
        if len(known) < len(changes):
            gone = [f"{one.old} -> {one.new}" for one in changes if math.isnan(one.gap)]
            raise LinkError(
                f"{symbol} cannot be adjusted: closes are missing at {', '.join(gone)}; "
                "ask for less history (lookback), or for raw bars"
            )
        return back_adjusted(history, self._day_of, known)

    def _day_of(self, bar: Bar) -> date:
        # Not the start: a day bar's lies before the evening at which the trading day changes.
        day: date = self._feed.store.calendar.trading_day_at(from_ns(bar.end - 1))
        return day

    def look(self, bar: Bar) -> None:
        """A live bar is about to be delivered: see whether it is the first of another contract."""
        new = self._another()
        if new and self._day_of(bar) >= self._since:  # else a late bar of the contract before
            self._follow(new)

    def look_ahead(self) -> None:
        """No bar waits: follow a change as soon as no bar of the days before it is to come.

        A day's bars are moved in the evening, as those of a program that starts then are.
        """
        new, mains = self._another(), self._feed.store.mains
        if not new or self._feed.running_day < self._since:
            return
        if mains.can_tell(self._since, self._contract, new):
            self._follow(new)

    @property
    def _since(self) -> date:
        day: date = self._feed.store.mains.since(self._feed.symbol)
        return day

    def _another(self) -> str:
        """The contract that is behind the main contract now if it was not before, else ""."""
        contract: str = self._feed.store.mains.traded(self._feed.symbol)
        if not self._contract:
            self._contract = contract  # TianQin has only now said which
        return contract if contract != self._contract else ""

    def _follow(self, new: str) -> None:
        feed, day = self._feed, self._since
        change = self._change(day, self._contract, new)
        self._contract = new
        logger.info("%s: %s -> %s, gap %s", feed.symbol, change.old, change.new, change.gap)
        if self._adjusts:
            if math.isnan(change.gap):
                logger.error("%s: the gap is not known, earlier bars stay as they are", feed.symbol)
            else:
                self._move(change.gap, feed.store.calendar.previous_trading_day(day))
        feed.notifs.append((feed.MAIN_CHANGED, (), {"change": change}))
        feed._env._datanotify()  # before the bar, not in the round after it

    def _change(self, day: date, old: str, new: str) -> MainChange:
        try:
            found: MainChange = self._feed.store.mains.change(day, old, new)
        except LinkError as error:
            logger.error("the gap between %s and %s is not known: %s", old, new, error)
            return MainChange(day, old, new)
        return found

    def _move(self, gap: float, last_day: date) -> None:
        """Bring the bars up to the old contract's last day to the level of the new one."""
        evening = to_backtrader(to_ns(datetime.combine(last_day, EVENING)))
        ends = self._feed.lines.datetime.array
        count = sum(1 for end in ends if end <= evening)  # nan is the bar that is being loaded
        for name in LINES:
            line = getattr(self._feed.lines, name).array
            for index in range(count):
                line[index] += gap  # nan stays nan
