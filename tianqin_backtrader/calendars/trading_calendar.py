"""The trading calendar: the sessions and trading days of every symbol.

It opens no file and no connection: tables and the hours of TianQin and of the user are passed to
    it.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from functools import lru_cache
from typing import NamedTuple

from ..core.clock import WallClock, beijing_now, from_ns, to_ns
from ..core.model import MarketPhase, PhaseSpan
from ..errors import CalendarError
from .auctions import auctions
from .holidays import Holidays, parse_dates
from .products import Product, Steps, delivery_month
from .session_table import HoursBook, TradingTime
from .trading_days import TradingDays
from .trading_hours import NEXT_DAY_FROM, ONE_DAY, Hours, Interval

logger = logging.getLogger(__name__)

_WALL = WallClock()
#: Night sessions that opened late, by exchange and trading day; DCE had a failure on 2019-12-25.
_OPENED_LATE = {("DCE", date(2019, 12, 26)): datetime(2019, 12, 25, 22, 30)}


class _Stretch(NamedTuple):
    """The span in which an answer of ``is_trading_now`` is valid: [start, end), also in ns."""

    start: datetime
    end: datetime
    trading: bool
    from_ns: int
    to_ns: int


class SessionCalendar(TradingDays):
    """Sessions by symbol and trading day.

    The hours of a symbol are, in this order: the user's; those that TianQin reported, from the
    trading day of the report on; the product table's. Answers are cached until one of these
    changes.

    Attributes:
        changes: How often it has learned something.
    """

    def __init__(self, products: Mapping[str, Product], holidays: Holidays) -> None:
        super().__init__(holidays)
        self._book = HoursBook(products)
        self._contradicted: frozenset[date] = frozenset()
        self._sessions = lru_cache(maxsize=65536)(self._find_sessions)
        self._current: dict[str, _Stretch] = {}
        self.changes = 0

    @property
    def products(self) -> Mapping[str, Product]:
        """The known products, read-only, by ``"EXCHANGE.product"``."""
        return self._book.products

    # -- updates ------------------------------------------------------------------------------

    def learn(self, symbol: str, trading_time: TradingTime | None, today: date) -> bool:
        """Take a contract's own hours from TianQin, valid from a trading day on.

        Earlier days keep their hours. A difference from the product table is logged once, as a
        warning; so are hours that cannot be parsed, which change nothing. The user's hours have
        priority. A product that is not in the table gets these hours for all days.

        Args:
            symbol: The contract. For a main contract, pass the hours of its underlying contract.
            trading_time: As in ``Quote.trading_time``; empty or None changes nothing.
            today: The present trading day. TianQin reports only today's hours: a back-test must not
                pass them for a day of the past.

        Returns:
            Whether the hours of the symbol have changed.

        Raises:
            CalendarError: The symbol is not of the six exchanges.
        """
        changed = self._book.learn(symbol, trading_time, today)
        if changed:
            self._forget()
        return changed

    def learn_holidays(self, dates: Iterable[date | str]) -> None:
        """Take TianQin's list of closed days: it adds the years announced since, nothing else.

        If it contradicts a known year, the table has priority and a warning is logged once.

        Args:
            dates: Dates, or texts ``"YYYY-MM-DD"``; an empty list changes nothing.

        Raises:
            CalendarError: A text is not a date.
        """
        days = parse_dates(dates)
        contradicted = frozenset(self.holidays.contradicted(days)) - self._contradicted
        if contradicted:
            self._contradicted |= contradicted
            logger.warning(
                "TianQin and the holiday table disagree on %s; the table is used",
                ", ".join(map(str, sorted(contradicted))),
            )
        extended = self.holidays.extended(days)
        if extended is not self.holidays:
            logger.info("holidays are known until the end of %s", extended.last_year)
            self.holidays = extended
            self._forget()

    def use_hours(self, hours: Mapping[str, Steps]) -> None:
        """Replace the user's hours, by product.

        Args:
            hours: By ``"EXCHANGE.product"``: (valid from, hours), ascending. Before the first entry
                a product has the table's hours; a product that is not in the table has none.
        """
        self._book.use(hours)
        self._forget()

    def _forget(self) -> None:
        self._sessions.cache_clear()
        self._current.clear()
        self.changes += 1

    # -- sessions -----------------------------------------------------------------------------

    def product(self, symbol: str) -> Product:
        """The product of a symbol.

        Raises:
            CalendarError: Unknown product.
        """
        return self._book.product(symbol)

    def hours(self, symbol: str, day: date) -> Hours:
        """The regular hours of a trading day, without regard to holidays and last trading days.

        Raises:
            CalendarError: Unknown product.
        """
        return self._book.hours(symbol, day)

    def sessions(self, symbol: str, day: date) -> tuple[Interval, ...]:
        """The sessions of a trading day in order of time, starting with the night session.

        Args:
            symbol: A contract, or a product such as ``"SHFE.cu"``.
            day: A trading day.

        Raises:
            CalendarError: Unknown product, or the exchanges are closed on the day.
        """
        product = self.product(symbol)
        alone = self._book.has_own(symbol) or product.last_day is not None
        return self._sessions(symbol if alone else product.key, day)

    def _find_sessions(self, symbol: str, day: date) -> tuple[Interval, ...]:
        if not self.is_trading_day(day):
            raise CalendarError(f"{day} is not a trading day")
        product, hours = self.product(symbol), self.hours(symbol, day)
        night = bool(hours.night) and self.has_night(day)
        found = hours.on(day, self.previous_trading_day(day) if night else None)
        opened = _OPENED_LATE.get((product.exchange_id, day), datetime.min)
        closed = self._last_close(product, symbol, day)
        return tuple(
            (max(start, opened), min(end, closed))
            for start, end in found
            if start < closed and end > opened
        )

    def _last_close(self, product: Product, symbol: str, day: date) -> datetime:
        """The contract's last close if the day is its last one; else the maximum datetime."""
        month = delivery_month(symbol)
        if product.last_day is None or month != (day.year, day.month):
            return datetime.max
        if day != self.roll(product.last_day.of_month(*month)):
            return datetime.max
        return datetime.combine(day, product.last_day.close)

    # -- times --------------------------------------------------------------------------------

    def is_trading_now(self, symbol: str, now: datetime | None = None) -> bool:
        """Whether the symbol trades at ``now`` (default: the machine's clock).

        It is called for every tick: an answer is cached until the next open or close, and the
        machine's clock is compared in nanoseconds, without making a ``datetime``.
        """
        current = self._current.get(symbol)
        if now is None:
            ns = _WALL.now_ns()
            if current is not None and current.from_ns <= ns < current.to_ns:
                return current.trading
            now = from_ns(ns)
        try:
            if current is None or not current.start <= now < current.end:
                current = self._current[symbol] = self._stretch(symbol, now)
        except TypeError as error:
            raise CalendarError(f"times are naive Beijing datetimes, not {now!r}") from error
        return current.trading

    def _stretch(self, symbol: str, now: datetime) -> _Stretch:
        """The longest known span around ``now`` without an open or a close."""
        day = self.trading_day_at(now)
        bounds = [edge for interval in self.sessions(symbol, day) for edge in interval]
        index = bisect_right(bounds, now)
        start = bounds[index - 1] if index else now
        # After the last close nothing changes before 18:00, when the next trading day begins.
        end = bounds[index] if index < len(bounds) else datetime.combine(day, NEXT_DAY_FROM)
        return _Stretch(start, end, index % 2 == 1, to_ns(start), to_ns(end))

    def next_session_boundary(self, symbol: str, now: datetime | None = None) -> datetime:
        """The next open or close strictly after ``now``."""
        now = beijing_now() if now is None else now
        day = self.trading_day_at(now)
        while True:
            for interval in self.sessions(symbol, day):
                for edge in interval:
                    if edge > now:
                        return edge
            day = self.next_trading_day(day)

    def resolve_intervals(self, symbol: str, now: datetime | None = None) -> list[Interval]:
        """The sessions of the trading day of ``now``."""
        now = beijing_now() if now is None else now
        return list(self.sessions(symbol, self.trading_day_at(now)))

    def trading_day(self, symbol: str, now: datetime | None = None) -> date:
        """The trading day of ``now``; the symbol must exist but makes no difference otherwise."""
        self.product(symbol)
        return self.trading_day_at(beijing_now() if now is None else now)

    def phase_at(self, symbol: str, moment: datetime) -> PhaseSpan:
        """Whether orders are taken; a closing auction within a session is an auction."""
        day = self.trading_day_at(moment)
        sessions = self.sessions(symbol, day)
        held = auctions(self.product(symbol).key, day, sessions)
        edges = [edge for span in (*sessions, *held) for edge in span if edge > moment]
        # After the last of them: nothing before 18:00, when the trading day changes.
        until = min(edges, default=datetime.combine(moment, NEXT_DAY_FROM))
        if until <= moment:  # it is evening, and there is no night
            until += ONE_DAY
        trading = _is_within(moment, sessions)
        phase = MarketPhase.TRADING if trading else MarketPhase.CLOSED
        if _is_within(moment, held):
            phase = MarketPhase.AUCTION
        return PhaseSpan(phase, trading, until)

    def is_auction(self, symbol: str, now: datetime | None = None) -> bool:
        """Whether a call auction takes place at ``now``, including the matching minute.

        Opening auctions are outside sessions. The closing auction of CFFEX's index options is the
        end of their last session, so they also trade then, at one price.
        """
        now = beijing_now() if now is None else now
        day = self.trading_day_at(now)
        held = auctions(self.product(symbol).key, day, self.sessions(symbol, day))
        return _is_within(now, held)


def _is_within(moment: datetime, spans: Iterable[Interval]) -> bool:
    return any(start <= moment < end for start, end in spans)
