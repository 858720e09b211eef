"""The weekdays on which the exchanges are closed, from ``data/holidays.csv``.

The table has the announced years and, for the next year, the days that are fixed by law
(``expected``). TianQin's list adds one year after another.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from importlib.resources import files

from ..errors import CalendarError, CalendarOutOfRange


@dataclass(frozen=True)
class Holidays:
    """Closed weekdays, and the years for which they are known.

    Attributes:
        closed: The closed weekdays.
        first_year, last_year: The first and last year known from the exchanges' notices.
        expected_year: The last year for which at least the statutory days are known.
    """

    closed: frozenset[date]
    first_year: int
    last_year: int
    expected_year: int

    def is_trading_day(self, day: date) -> bool:
        """Whether the day is Monday to Friday and not closed; working weekends are not trading
        days.

        Warns once a year if only the statutory days are known.

        Raises:
            CalendarOutOfRange: The year is beyond all tables.
        """
        if not self.first_year <= day.year <= self.last_year:
            if not self.last_year < day.year <= self.expected_year:
                self.must_know(day)
            _warn_once(day.year)
        return day.weekday() < 5 and day not in self.closed

    def must_know(self, day: date) -> None:
        """Raise an error if the day's year is not announced: orders must not depend on a guess.

        Raises:
            CalendarOutOfRange: The day is beyond the announced years.
        """
        if not self.first_year <= day.year <= self.last_year:
            raise CalendarOutOfRange(
                f"holidays are known for {self.first_year}-{self.last_year}, not for {day}; "
                "update tianqin_backtrader or connect to TianQin, which announces each new year"
            )

    def extended(self, dates: Iterable[date]) -> Holidays:
        """These holidays, with the years that a list announces after the last known one.

        Known years do not change.
        """
        days = weekdays(dates)
        years = announced_years(days)
        closed = set(self.closed)
        year = self.last_year
        while year + 1 in years:
            year += 1
            closed = {day for day in closed if day.year != year}
            closed |= {day for day in days if day.year == year}
        if year == self.last_year:
            return self
        expected = max(self.expected_year, year)
        return replace(self, closed=frozenset(closed), last_year=year, expected_year=expected)

    def contradicted(self, dates: Iterable[date]) -> tuple[date, ...]:
        """Days on which a list contradicts these holidays, in known years that it has in full."""
        days = weekdays(dates)
        years = announced_years(days) & set(range(self.first_year, self.last_year + 1))
        return tuple(day for day in sorted(days ^ self.closed) if day.year in years)


@lru_cache(maxsize=16)
def _warn_once(year: int) -> None:
    warnings.warn(
        f"the exchanges' holidays of {year} are not announced in the packaged table; only the "
        "statutory days are known, bridge days are missing",
        stacklevel=4,
    )


def weekdays(dates: Iterable[date]) -> frozenset[date]:
    """The dates from Monday to Friday: lists of holidays include weekends."""
    return frozenset(day for day in dates if day.weekday() < 5)


def announced_years(dates: Iterable[date]) -> frozenset[int]:
    """The years that a list of closed days has in full.

    A year is full if its National Day is listed, which comes last; so a list that ends early, or
    has only the first day of the new year, does not count.
    """
    return frozenset(day.year for day in dates if day.month == 10 and day.day <= 7)


def parse_dates(dates: Iterable[date | str]) -> tuple[date, ...]:
    """Convert dates, or texts ``"YYYY-MM-DD"`` as in TianQin's list, to sorted dates.

    Raises:
        CalendarError: A text is not a date.
    """
    try:
        return tuple(
            sorted(day if isinstance(day, date) else date.fromisoformat(day) for day in dates)
        )
    except (TypeError, ValueError) as error:
        raise CalendarError(f"expected dates YYYY-MM-DD: {error}") from error


def load_holidays() -> Holidays:
    """The packaged table."""
    text = files("tianqin_backtrader").joinpath("data", "holidays.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    days = {date.fromisoformat(row["date"]): row["status"] for row in rows}
    certain = [day for day, status in days.items() if status != "expected"]
    return Holidays(
        closed=frozenset(days),
        first_year=min(certain).year,
        last_year=max(certain).year,
        expected_year=max(days).year,
    )
