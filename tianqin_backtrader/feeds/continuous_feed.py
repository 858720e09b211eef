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
    """Detects the change, and shifts prices if the feed is adjusted.

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
        """Note the present contract; return the history, adjusted if the feed is.

        Raises:
            LinkError: The closes that the adjustment needs are missing.
        """
        store, symbol = self._feed.store, self._feed.symbol
        self._contract = store.mains.traded(symbol)
        store.mains.ask()  # there is time to wait now; also if no contract is named yet
        store.mains.behind(symbol)
        if not (self._adjusts and history):
            return history
        changes = store.mains.changes(symbol, self._day_of(history[0]))
        if changes and changes[-1].old == self._contract:
            changes.pop()  # this evening's, which TianQin has not made yet; it will be seen live
        known = [change for change in changes if not math.isnan(change.gap)]
        if len(known) < len(changes):
            gone = [f"{one.old} -> {one.new}" for one in changes if math.isnan(one.gap)]
            raise LinkError(
                f"{symbol} cannot be adjusted: closes are missing at {', '.join(gone)}; "
                "ask for less history (lookback), or for raw bars"
            )
        return back_adjusted(history, self._day_of, known)

    def _day_of(self, bar: Bar) -> date:
        # The day in which the bar ends.
        day: date = self._feed.store.calendar.trading_day_at(from_ns(bar.end - 1))
        return day

    def look(self, bar: Bar) -> None:
        """Before a live bar is delivered: check whether it is the first of another contract."""
        new = self._another()
        if new and self._day_of(bar) >= self._since:  # else a late bar of the previous contract
            self._follow(new)

    def look_ahead(self) -> None:
        """Follow a change once all bars of the days before it are delivered; no bar is ready.

        So daily bars are shifted in the evening, as in a program that starts then.
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
        """The present underlying contract if it has changed, else ""."""
        contract: str = self._feed.store.mains.traded(self._feed.symbol)
        if not self._contract:
            self._contract = contract  # TianQin has only now named it
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
        feed._env._datanotify()  # before the bar, not in the next round

    def _change(self, day: date, old: str, new: str) -> MainChange:
        try:
            found: MainChange = self._feed.store.mains.change(day, old, new)
        except LinkError as error:
            logger.error("the gap between %s and %s is not known: %s", old, new, error)
            return MainChange(day, old, new)
        return found

    def _move(self, gap: float, last_day: date) -> None:
        """Shift the bars up to the old contract's last day to the level of the new one."""
        evening = to_backtrader(to_ns(datetime.combine(last_day, EVENING)))
        ends = self._feed.lines.datetime.array
        count = sum(1 for end in ends if end <= evening)  # the bar being loaded has nan
        for name in LINES:
            line = getattr(self._feed.lines, name).array
            for index in range(count):
                line[index] += gap  # nan stays nan
