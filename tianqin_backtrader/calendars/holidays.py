"""The weekdays on which the exchanges are closed, from ``data/holidays.csv``.

The table holds what the exchanges have announced, and for the next year the days that the law
already fixes (``expected``). TianQin's list carries it on, year by year.
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
    """Closed weekdays, and for which years they are known.

    Attributes:
        closed: The closed weekdays.
        first_year, last_year: The years that are known from the exchanges' notices.
        expected_year: The last year for which at least the statutory days are known.
    """

    closed: frozenset[date]
    first_year: int
    last_year: int
    expected_year: int

    def is_trading_day(self, day: date) -> bool:
        """Monday to Friday and not closed; working weekends are not trading days.

        Warns once a year, where only the statutory days are known.

        Raises:
            CalendarOutOfRange: The year is beyond all tables.
        """
        if not self.first_year <= day.year <= self.last_year:
            if not self.last_year < day.year <= self.expected_year:
                self.must_know(day)
            _warn_once(day.year)
        return day.weekday() < 5 and day not in self.closed

    def must_know(self, day: date) -> None:
        """Refuse a day whose year is not announced: nothing may be staked on a guess.

        Raises:
            CalendarOutOfRange: The day is beyond the announced years.
        """
        if not self.first_year <= day.year <= self.last_year:
            raise CalendarOutOfRange(
                f"holidays are known for {self.first_year}-{self.last_year}, not for {day}; "
                "update tianqin_backtrader or connect to TianQin, which announces each new year"
            )

    def extended(self, dates: Iterable[date]) -> Holidays:
        """With the years that a list of closed days announces after the last known one.

        Known years stay as they are.
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
        """Days of the known years that a list holds in whole on which the two disagree."""
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
    """Those from Monday to Friday: lists of holidays hold the weekends, too."""
    return frozenset(day for day in dates if day.weekday() < 5)


def announced_years(dates: Iterable[date]) -> frozenset[int]:
    """The years a list of closed days holds in whole.

    A year does when its National Day is in: that comes last, so a list that breaks off early,
    or begins the new year with its first day, is not taken for a whole year.
    """
    return frozenset(day.year for day in dates if day.month == 10 and day.day <= 7)


def parse_dates(dates: Iterable[date | str]) -> tuple[date, ...]:
    """Dates, or texts ``"YYYY-MM-DD"`` as TianQin lists them, to sorted dates.

    Raises:
        CalendarError: A text is no date.
    """
    try:
        return tuple(
            sorted(day if isinstance(day, date) else date.fromisoformat(day) for day in dates)
        )
    except (TypeError, ValueError) as error:
        raise CalendarError(f"dates YYYY-MM-DD were expected: {error}") from error


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
