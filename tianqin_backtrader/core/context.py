"""``Context``: what every room is told of the outside: the time, contracts, and whom to tell."""

from __future__ import annotations

import logging
from collections import deque
from datetime import date, datetime

from ..errors import CalendarOutOfRange
from .clock import MarketClock, WallClock, from_ns
from .model import Instrument
from .ports import Calendar, Contracts, Watchers

logger = logging.getLogger(__name__)

Notification = tuple[object, tuple[object, ...], dict[str, object]]


class Context:
    """The market's time and calendar, contracts, and the way to ``notify_store``.

    Args:
        clock: The exchange's time; 0 while nobody knows it.
        calendar: Trading days and sessions.
        contracts: Specifications.
        watchers: Told beside the strategies.
        strategy_name: Names this program's records.
    """

    def __init__(
        self,
        clock: MarketClock,
        calendar: Calendar,
        contracts: Contracts,
        watchers: Watchers,
        strategy_name: str = "",
    ) -> None:
        self.clock, self.calendar = clock, calendar
        self.strategy_name = strategy_name
        self._contracts, self._watchers = contracts, watchers
        self.unsaid: deque[Notification] = deque()
        self._unknown_year = 0

    # -- time ---------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The exchange's time, naive Beijing; the machine's while nothing is known of it."""
        return from_ns(self.clock.now_ns() or WallClock().now_ns())

    def now_ns(self) -> int:
        """The exchange's time, nanoseconds since 1970 UTC; 0 while nothing is known of it."""
        return self.clock.now_ns()

    def trading_day(self) -> date:
        """Of now."""
        return self.calendar.trading_day_at(self.now())

    def is_trading(self, symbol: str) -> bool:
        """Whether a contract's market is in a session.

        Raises:
            CalendarOutOfRange: The year's holidays are not announced: nobody may guess with money.
        """
        now = self.now()
        self.calendar.must_know(self.calendar.trading_day_at(now))
        return self.calendar.is_trading_now(symbol, now)

    def may_trade(self, symbol: str) -> bool:
        """As ``is_trading``; what waits waits on in a year that is not announced. Told once."""
        try:
            return self.is_trading(symbol)
        except CalendarOutOfRange as error:
            year = self.trading_day().year
            if year != self._unknown_year:
                self._unknown_year = year
                logger.error("nothing is sent: %s", error)
                self.notify(f"nothing is sent: {error}")
            return False

    # -- contracts ----------------------------------------------------------------------------

    def instrument(self, symbol: str) -> Instrument:
        """A contract's specification of today.

        Raises:
            UnknownSymbol: TianQin knows no such contract.
            LinkError: It is asked for the first time, and TianQin does not answer.
        """
        return self._contracts.get(symbol)

    def known_instrument(self, symbol: str) -> Instrument | None:
        """The same, if it is known; else it is asked for beside the run. Nothing is waited for."""
        return self._contracts.known(symbol)

    def is_unknown(self, symbol: str) -> bool:
        """Whether TianQin has said that there is no such contract."""
        return self._contracts.absent(symbol)

    # -- words --------------------------------------------------------------------------------

    def notify(self, text: object, *args: object, **facts: object) -> None:
        """Tell ``notify_store``, in the next round of Cerebro."""
        self._watchers.said(str(text))
        self.unsaid.append((text, args, facts))

    def announce(self, logger: logging.Logger, level: int, text: str, **facts: object) -> None:
        """Log a text, and tell ``notify_store`` the same."""
        logger.log(level, "%s", text, stacklevel=2)
        self.notify(text, **facts)

    def exposed(self, symbol: str, lots: int, text: str) -> None:
        """Lots that are held have lost their protection."""
        self._watchers.exposed(symbol, lots, text)
