"""How long an order is valid, from Backtrader's ``valid``.

Exchange orders end at the day's close. An order that is valid longer is sent again the next day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Protocol

from ..core.clock import DAY, from_ns, to_backtrader
from ..errors import CalendarError, OrderError

_ORIGIN = to_backtrader(0)


class Calendar(Protocol):
    """The parts of the trading calendar that are needed."""

    def sessions(self, symbol: str, day: date) -> tuple[tuple[datetime, datetime], ...]:
        """(open, close) of the sessions of a trading day."""
        ...

    def trading_day_at(self, now: datetime) -> date:
        """The trading day of a time."""
        ...

    def next_trading_day(self, day: date) -> date:
        """The trading day after a day."""
        ...


@dataclass(frozen=True, slots=True)
class TimeInForce:
    """How long an order is valid.

    Attributes:
        until: Its last moment, naive Beijing time; None if it has none of its own.
        over_days: Whether it is sent again after the day's close has ended it.
    """

    until: datetime | None = None
    over_days: bool = False

    def expired(self, now: datetime) -> bool:
        """Whether it has expired."""
        return self.until is not None and now > self.until


#: The exchange's rule: valid until the day's close, whose cancel counts as a cancel.
EXCHANGE_DAY = TimeInForce()
GOOD_TILL_CANCELLED = TimeInForce(over_days=True)


def validity(valid: Any, symbol: str, now: datetime, calendar: Calendar) -> TimeInForce:
    """The meaning of Backtrader's ``valid`` at a time.

    Args:
        valid: None for until cancelled; 0 or ``Order.DAY`` for the trading day until its last
            close, and after that for the next one; a date for the trading day of that date; a
            datetime or Backtrader's number of one; a timedelta from now.
        symbol: The contract whose sessions apply.
        now: Naive Beijing time.
        calendar: The trading calendar.

    Raises:
        OrderError: ``valid`` is none of these, or is in the past.
    """
    if valid is None:
        return GOOD_TILL_CANCELLED
    today = calendar.trading_day_at(now)
    if day_is_over(symbol, today, now, calendar):
        today = calendar.next_trading_day(today)  # a daily bar arrives after the close
    until = _until(valid, symbol, now, today, calendar)
    if until < now:
        raise OrderError(f"the order was valid until {until}, and it is {now} now")
    return TimeInForce(until, over_days=until > last_close(symbol, today, calendar))


def last_close(symbol: str, day: date, calendar: Calendar) -> datetime:
    """The last close of a trading day; midnight of a day without trading."""
    try:
        return calendar.sessions(symbol, day)[-1][1]
    except (CalendarError, IndexError):
        return datetime.combine(day, time.max)


def day_is_over(symbol: str, day: date, now: datetime, calendar: Calendar) -> bool:
    """Whether a trading day has had its last close.

    From then on the exchange may have settled it and no longer list its orders and trades. The next
    day begins hours later.
    """
    return now >= last_close(symbol, day, calendar)


def _until(valid: Any, symbol: str, now: datetime, today: date, calendar: Calendar) -> datetime:
    if isinstance(valid, timedelta):
        return now + valid if valid else last_close(symbol, today, calendar)
    if isinstance(valid, datetime):
        return valid
    if isinstance(valid, date):
        return last_close(symbol, valid, calendar)
    if isinstance(valid, int | float) and not isinstance(valid, bool) and valid == valid:
        if not valid:
            return last_close(symbol, today, calendar)
        if abs(valid - _ORIGIN) < 100 * 366:
            return from_ns(round((valid - _ORIGIN) * DAY))
    raise OrderError(f"valid must be None, a date, datetime, timedelta or 0, not {valid!r}")
