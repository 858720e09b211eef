"""``Context``: what every room knows of its surroundings: time, contracts, notifications."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from datetime import date, datetime

from ..errors import CalendarOutOfRange
from .clock import HOUR, MarketClock, from_ns, present_ns, to_ns
from .model import Instrument, MarketPhase, PhaseSpan
from .ports import Calendar, Contracts, Watchers

logger = logging.getLogger(__name__)

Notification = tuple[object, tuple[object, ...], dict[str, object]]


class Context:
    """The market's time and calendar, contracts, and notifications.

    Args:
        clock: The exchange's time; 0 while it is unknown.
        calendar: Trading days and sessions.
        contracts: Specifications.
        watchers: Notified besides the strategies, at once.
        strategy_name: The name of this program's records.
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
        self._hour = (-1, -1)
        self._day = date.min
        self._spans: dict[str, tuple[int, int, PhaseSpan]] = {}
        self._known_year = 0

    # -- time ---------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The exchange's time, naive Beijing; the machine's while it is unknown."""
        return from_ns(self.present_ns())

    def present_ns(self) -> int:
        """The same, nanoseconds since 1970 UTC."""
        return present_ns(self.clock)

    def now_ns(self) -> int:
        """The exchange's time, nanoseconds since 1970 UTC; 0 while it is unknown."""
        return self.clock.now_ns()

    def trading_day(self) -> date:
        """The present trading day."""
        ns = self.present_ns()
        hour = ns // HOUR, self.calendar.changes
        if hour != self._hour:  # days begin with an hour
            self._day = self.calendar.trading_day_at(from_ns(ns))
            self._hour = hour
            self._known_year = 0
            self._spans.clear()
        return self._day

    def day_of(self, ns: int) -> date:
        """The trading day of an instant, nanoseconds since 1970 UTC."""
        today = self.trading_day()
        return today if ns // HOUR == self._hour[0] else self.calendar.trading_day_at(from_ns(ns))

    def is_trading(self, symbol: str) -> bool:
        """Whether a contract's market is in a session.

        Raises:
            CalendarOutOfRange: The year's holidays are not announced; they are never guessed.
        """
        now = self.now()
        self.calendar.must_know(self.calendar.trading_day_at(now))
        return self.calendar.is_trading_now(symbol, now)

    def phase(self, symbol: str) -> MarketPhase:
        """Whether a contract's market takes orders now.

        Raises:
            CalendarOutOfRange: As in ``is_trading``.
        """
        day = self.trading_day()
        if day.year != self._known_year:
            self.calendar.must_know(day)
            self._known_year = day.year
        return self._span(symbol).phase

    def is_open(self, symbol: str) -> bool:
        """Like ``is_trading``, but for display only: the year's holidays may be unknown."""
        self.trading_day()
        return self._span(symbol).trading

    def same_until(self, symbol: str) -> int:
        """Until when a contract's market stays as it is, nanoseconds since 1970 UTC."""
        self.trading_day()
        self._span(symbol)
        return self._spans[symbol][1]

    def _span(self, symbol: str) -> PhaseSpan:
        ns, found = self.present_ns(), self._spans.get(symbol)
        if found is None or not found[0] <= ns < found[1]:
            span = self.calendar.phase_at(symbol, from_ns(ns))
            found = self._spans[symbol] = ns, to_ns(span.until), span
        return found[2]

    def takes_orders(self, symbol: str) -> bool:
        """Whether a contract's market is in a session, and in no auction.

        In a year whose holidays are not announced nothing is sent, and waiting orders wait on; that
        is notified once.
        """
        try:
            return self.phase(symbol) is MarketPhase.TRADING
        except CalendarOutOfRange as error:
            year = self.trading_day().year
            if year != self._unknown_year:
                self._unknown_year = year
                logger.error("nothing is sent: %s", error)
                self.notify(f"nothing is sent: {error}")
            return False

    # -- contracts ----------------------------------------------------------------------------

    def instrument(self, symbol: str) -> Instrument:
        """Return a contract's specification of today.

        Raises:
            UnknownSymbol: TianQin has no such contract.
            LinkError: It is requested for the first time, and TianQin does not answer.
        """
        found = self._contracts.at_hand.get(symbol)
        return found if found is not None else self._contracts.get(symbol)

    def instruments(self, symbols: Iterable[str]) -> list[Instrument]:
        """Return the same of several contracts; those that are unknown cost one request."""
        return self._contracts.get_list(symbols)

    def known_instrument(self, symbol: str) -> Instrument | None:
        """Return the same if it is known; otherwise request it in the background, return None."""
        return self._contracts.known(symbol)

    def is_unknown(self, symbol: str) -> bool:
        """Whether TianQin has answered that there is no such contract."""
        return self._contracts.absent(symbol)

    # -- notifications ------------------------------------------------------------------------

    def notify(self, text: object, *args: object, **facts: object) -> None:
        """Call ``notify_store`` in the next round of Cerebro."""
        self._watchers.said(str(text))
        self.unsaid.append((text, args, facts))

    def announce(self, logger: logging.Logger, level: int, text: str, **facts: object) -> None:
        """Log a text, and notify it."""
        logger.log(level, "%s", text, stacklevel=2)
        self.notify(text, **facts)

    def exposed(self, symbol: str, lots: int, text: str) -> None:
        """Report held lots that have lost their protection."""
        self._watchers.exposed(symbol, lots, text)
