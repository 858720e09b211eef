"""Trading days: which dates are trading days, and the trading day of an instant."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from ..errors import CalendarError
from .holidays import Holidays
from .trading_hours import NEXT_DAY_FROM, ONE_DAY

_MONDAY = 0
# There were no night sessions from the evening of 2020-02-03 to that of 2020-04-30.
_SUSPENDED = (date(2020, 2, 3), date(2020, 4, 30))


class TradingDays:
    """The trading days of all six exchanges, which have had the same closed days since 2015.

    Attributes:
        holidays: The known closed days.
    """

    def __init__(self, holidays: Holidays) -> None:
        self.holidays = holidays

    def is_trading_day(self, day: date) -> bool:
        """Whether the exchanges are open on the date."""
        return self.holidays.is_trading_day(day)

    def must_know(self, day: date) -> None:
        """Raise an error if the day's year is not announced yet; for the check before an order.

        Raises:
            CalendarOutOfRange: The day is beyond the announced years.
        """
        self.holidays.must_know(day)

    def next_trading_day(self, day: date) -> date:
        """The first trading day after the date."""
        return self.roll(day + ONE_DAY)

    def previous_trading_day(self, day: date) -> date:
        """The last trading day before the date."""
        day -= ONE_DAY
        while not self.is_trading_day(day):
            day -= ONE_DAY
        return day

    def roll(self, day: date) -> date:
        """The date itself if it is a trading day, else the next trading day."""
        while not self.is_trading_day(day):
            day += ONE_DAY
        return day

    def trading_day_at(self, now: datetime) -> date:
        """The trading day of an instant, inside a session or outside.

        It is that of the next date from 18:00 on, else of the same date, moved to a trading day.

        Raises:
            CalendarError: ``now`` is not a datetime, or has a timezone.
        """
        if not isinstance(now, datetime) or now.tzinfo is not None:
            raise CalendarError(f"times are naive Beijing datetimes; convert {now!r} first")
        late = now.time() >= NEXT_DAY_FROM
        return self.roll(now.date() + ONE_DAY if late else now.date())

    def has_night(self, day: date) -> bool:
        """Whether the trading day has night sessions, for products with night sessions."""
        weekday = day - (timedelta(days=3) if day.weekday() == _MONDAY else ONE_DAY)
        # A closed weekday in between makes it the evening before a holiday.
        return self.is_trading_day(weekday) and not _SUSPENDED[0] <= weekday <= _SUSPENDED[1]
