"""``StoreSession``: a store's time, and its connection."""

from __future__ import annotations

import logging
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from .clock import SECOND, MarketClock, WallClock, from_ns, monotonic, to_ns
from .errors import CalendarOutOfRange, StoreClosed
from .gateway import Gateway
from .holiday_cache import tianqin_holidays
from .link_supervisor import WORKS
from .market_hours import MarketHours
from .model import Instrument
from .session_calendar import SessionCalendar
from .store_reconnect import Reconnector

logger = logging.getLogger(__name__)

#: Seconds that ``retry`` takes at most, and those of one wait in it.
RETRY_SECONDS, STEP = 15.0, 0.2


class StoreSession:
    """The exchange's time, and whether it can be reached; a part of ``MyStore``."""

    calendar: SessionCalendar
    clock: MarketClock
    gateway: Gateway
    reconnector: Reconnector
    _hours: MarketHours
    _urls: dict[str, str]
    _closed: bool
    _unknown_year = 0

    if TYPE_CHECKING:  # of ``MyStore``

        def put_notification(self, msg: Any, *args: Any, **kwargs: Any) -> None: ...
        def pump(self, timeout: float) -> None: ...

    # -- time ---------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The exchange's time, naive Beijing."""
        return from_ns(self.clock.now_ns() or WallClock().now_ns())

    def is_trading(self, symbol: str) -> bool:
        """Whether the symbol's market is in a session.

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
            year = self._today().year
            if year != self._unknown_year:
                self._unknown_year = year
                logger.error("nothing is sent: %s", error)
                self.put_notification(f"nothing is sent: {error}")
            return False

    def is_open(self, symbol: str) -> bool:
        """As ``is_trading``, for showing, not for trading."""
        return self.calendar.is_trading_now(symbol, self.now())

    @property
    def hours(self) -> MarketHours:
        """Opens and closes of all that is subscribed."""
        return self._hours

    def _today(self) -> date:
        return self.calendar.trading_day_at(self.now())

    def _learn_hours(self, instrument: Instrument) -> None:
        """TianQin's trading hours of a contract, which are those of the real today."""
        if not self.clock.virtual:
            self.calendar.learn(instrument.symbol, instrument.trading_time, self._today())

    def _learn_holidays(self) -> None:
        """What TianQin says of closed days, in the real present."""
        if not self.clock.virtual:
            url = self._urls.get("TQ_CHINESE_HOLIDAY_URL")
            self.calendar.learn_holidays(tianqin_holidays(self.now().date(), url=url, seconds=3.0))

    # -- the connection -----------------------------------------------------------------------

    @property
    def tianqin(self) -> Any:
        """The ``TqApi`` of the moment, for what the library does not wrap; same thread only."""
        self._must_be_open()
        return self.gateway.api

    @property
    def market_data_up(self) -> bool:
        """Whether ticks can come."""
        return self.reconnector.market_data_up

    @property
    def trading_up(self) -> bool:
        """Whether an order would reach the exchange."""
        return self.reconnector.trading_up

    @property
    def no_trading(self) -> str:
        """Why an order would not reach the exchange, "" if it would.

        A trading login that is refused while the program runs is tried once more at most; then
        trading rests and market data goes on, until ``resume_trading`` or, if the words do not
        speak of the password, shortly before the next session.
        """
        return self.reconnector.no_trading

    def resume_trading(self) -> None:
        """Try a refused trading login once more, with the next wait.

        To be called when the account can log in again; a new password needs a new program.

        Raises:
            StoreClosed: ``close`` was called before.
        """
        self._must_be_open()
        self.reconnector.resume_trading()

    @property
    def last_ok_ts(self) -> float | None:
        """When the last wait brought news, as ``time.time()`` counts; None before one."""
        heard = self.reconnector.last_ok
        return None if heard is None else to_ns(heard) / SECOND

    @property
    def backoff_secs(self) -> float:
        """Seconds until the next attempt to connect, 0 while all is well."""
        return self.reconnector.backoff

    def retry(self, symbol: str) -> bool:
        """Look after the connection once: what an outer loop calls between runs.

        In trading hours the line is asked, and made anew if it does not answer; outside of them
        nothing is done.

        Args:
            symbol: Whose trading hours count.

        Returns:
            Whether the session works.

        Raises:
            LoginRefused: The password is no longer right.
            StoreClosed: ``close`` was called before.
        """
        self._must_be_open()
        if not self.is_open(symbol):
            boundary = self.calendar.next_session_boundary(symbol, self.now())
            logger.info("%s is closed until %s", symbol, boundary)
            return self.reconnector.state in WORKS
        answers = self.reconnector.answers
        self.reconnector.doubt()
        deadline = monotonic() + RETRY_SECONDS
        while self.reconnector.answers == answers and monotonic() < deadline:
            sessions = self.reconnector.sessions
            self.pump(STEP)
            if self.reconnector.sessions != sessions:
                break  # a new one: it needs no answer
        return self.reconnector.state in WORKS

    def _must_be_open(self) -> None:
        if self._closed:
            raise StoreClosed("this store was closed; make a new MyStore")
