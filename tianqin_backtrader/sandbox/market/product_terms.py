"""Terms of products that the product table does not have, from ``data/sandbox_terms.csv``.

These are delivery months, last trading days, margins, fees, a typical price and the smallest
opening order. Margins, fees and limits resemble the exchanges' of 2025 and 2026.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.resources import files

from ...session_calendar import SessionCalendar

_EVERY_MONTH = tuple(range(1, 13))
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri")
_ONE_DAY = timedelta(days=1)
_ONE_WEEK = timedelta(days=7)

#: Finds the last trading day of the contract of a year and a month.
LastDay = Callable[[SessionCalendar, int, int], date]


@dataclass(frozen=True, slots=True)
class Fees:
    """Commission: yuan per lot and share of turnover; closing today's lots has rates of its own."""

    per_lot: float = 0.0
    ratio: float = 0.0
    today_per_lot: float = 0.0
    today_ratio: float = 0.0


@dataclass(frozen=True, slots=True)
class ProductTerms:
    """Terms of one product.

    ``price`` is a typical price; ratios are shares of the price; an opening order has at least
    ``open_least`` lots.
    """

    months: tuple[int, ...]
    last_day: LastDay
    margin_ratio: float
    limit_ratio: float
    fees: Fees
    price: float
    category: tuple[str, str]
    open_least: int = 1


def _is_open(calendar: SessionCalendar, day: date) -> bool:
    """Whether the day is open; also for years not announced yet, into which contracts run."""
    return day.weekday() < 5 and day not in calendar.holidays.closed


def roll(calendar: SessionCalendar, day: date, step: int = 1) -> date:
    """The first open day from ``day`` on; backwards with ``step=-1``."""
    while not _is_open(calendar, day):
        day += timedelta(days=step)
    return day


def trading_day_of_month(calendar: SessionCalendar, first: date, number: int) -> date:
    """The ``number``-th trading day of the month of ``first``, counted from its end if negative."""
    step = 1 if number > 0 else -1
    day = roll(calendar, first if number > 0 else _end_of_month(first), step)
    for _ in range(abs(number) - 1):
        day = roll(calendar, day + step * _ONE_DAY, step)
    return day


def _end_of_month(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1) - _ONE_DAY


def _weekday_of_month(calendar: SessionCalendar, first: date, weekday: int, number: int) -> date:
    """The ``number``-th such weekday, moved past holidays; -1 is the last open one."""
    if number > 0:
        ahead = (weekday - first.weekday()) % 7 + 7 * (number - 1)
        return roll(calendar, first + timedelta(days=ahead))
    day = _end_of_month(first)
    day -= timedelta(days=(day.weekday() - weekday) % 7)
    while not _is_open(calendar, day):
        day -= _ONE_WEEK
    return day


def _last_day(text: str) -> LastDay:
    """Parse a rule for the last trading day.

    The rules are ``"date 15"``, ``"trading 10"`` (from the month's end if negative), ``"Fri 3"``,
    and ``"before -1"``, the last trading day of the month before.
    """
    kind, _, rest = text.partition(" ")
    number = int(rest)

    def find(calendar: SessionCalendar, year: int, month: int) -> date:
        first = date(year, month, 1)
        if kind == "date":
            return roll(calendar, first.replace(day=number))
        if kind == "trading":
            return trading_day_of_month(calendar, first, number)
        if kind == "before":
            return trading_day_of_month(calendar, (first - _ONE_DAY).replace(day=1), number)
        return _weekday_of_month(calendar, first, _WEEKDAYS.index(kind), number)

    return find


def _load_terms() -> dict[str, ProductTerms]:
    """The packaged table by ``"EXCHANGE.product"``, in the order of the product table."""
    data = files("tianqin_backtrader").joinpath("data", "sandbox_terms.csv")
    rules: dict[str, LastDay] = {}
    terms = {}
    for row in csv.DictReader(data.read_text(encoding="utf-8").splitlines()):
        rule = row["last_day"]
        months = row["months"]
        terms[row["product"]] = ProductTerms(
            _EVERY_MONTH if months == "all" else tuple(map(int, months.split())),
            rules.setdefault(rule, _last_day(rule)),
            float(row["margin_ratio"]),
            float(row["limit_ratio"]),
            Fees(
                float(row["fee_per_lot"]),
                float(row["fee_ratio"]),
                float(row["today_per_lot"]),
                float(row["today_ratio"]),
            ),
            float(row["price"]),
            (row["category"], row["category_cn"]),
            int(row["open_least"]),
        )
    return terms


#: All products of the packaged table.
TERMS: dict[str, ProductTerms] = _load_terms()

#: For products that only a user's file or TianQin knows; they are played from files.
OTHER_TERMS = ProductTerms(
    _EVERY_MONTH, _last_day("date 15"), 0.1, 0.1, Fees(ratio=1e-4, today_ratio=1e-4), 1000.0,
    ("", ""),
)  # fmt: skip
