"""What the product table does not hold: delivery months, last trading days, margins and fees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from ..session_calendar import SessionCalendar

_EVERY_MONTH = tuple(range(1, 13))


@dataclass(frozen=True, slots=True)
class Fees:
    """Commission: yuan per lot and share of turnover; closing today's lots has own rates."""

    per_lot: float = 0.0
    ratio: float = 0.0
    today_per_lot: float = 0.0
    today_ratio: float = 0.0


@dataclass(frozen=True, slots=True)
class Terms:
    """Of one product. ``price`` is where its price stands; ratios are shares of the price;
    an order opens ``open_least`` lots at least.
    """

    months: tuple[int, ...]
    last_day: Callable[[SessionCalendar, int, int], date]
    margin_ratio: float
    limit_ratio: float
    fees: Fees
    price: float
    category: tuple[str, str]
    open_least: int = 1


def _is_open(calendar: SessionCalendar, day: date) -> bool:
    """As the calendar has it, without its refusal: contracts run into years not announced yet."""
    return day.weekday() < 5 and day not in calendar.holidays.closed


def roll(calendar: SessionCalendar, day: date, step: int = 1) -> date:
    """The first open day from ``day`` on; towards the past with ``step=-1``."""
    while not _is_open(calendar, day):
        day += timedelta(days=step)
    return day


def _fifteenth(calendar: SessionCalendar, year: int, month: int) -> date:
    return roll(calendar, date(year, month, 15))


def _tenth_trading_day(calendar: SessionCalendar, year: int, month: int) -> date:
    day = roll(calendar, date(year, month, 1))
    for _ in range(9):
        day = roll(calendar, day + timedelta(days=1))
    return day


def _end_of_month_before(calendar: SessionCalendar, year: int, month: int) -> date:
    return roll(calendar, date(year, month, 1) - timedelta(days=1), -1)


def _weekday_of_month(weekday: int, number: int) -> Callable[[SessionCalendar, int, int], date]:
    def find(calendar: SessionCalendar, year: int, month: int) -> date:
        first = date(year, month, 1)
        day = first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (number - 1))
        return roll(calendar, day)

    return find


_METALS = ("NONFERROUS_METALS", "有色金属")
_PRECIOUS = ("PRECIOUS_METALS", "贵金属")
_FERROUS = ("FERROUS", "黑色金属")
_ODD = (1, 3, 5, 7, 8, 9, 11, 12)

TERMS: dict[str, Terms] = {
    "SHFE.cu": Terms(
        _EVERY_MONTH, _fifteenth, 0.09, 0.07, Fees(ratio=5e-5, today_ratio=1e-4), 78000, _METALS
    ),
    "SHFE.rb": Terms(
        _EVERY_MONTH, _fifteenth, 0.07, 0.05, Fees(ratio=1e-4, today_ratio=1e-4), 3200, _FERROUS
    ),
    "SHFE.au": Terms(_EVERY_MONTH, _fifteenth, 0.12, 0.1, Fees(per_lot=10), 780, _PRECIOUS),
    "SHFE.ag": Terms(
        _EVERY_MONTH, _fifteenth, 0.13, 0.11, Fees(ratio=5e-5, today_ratio=5e-5), 9800, _PRECIOUS
    ),
    "INE.sc": Terms(
        _EVERY_MONTH, _end_of_month_before, 0.1, 0.08, Fees(per_lot=20), 480, ("OIL", "石油")
    ),
    "DCE.m": Terms(
        _ODD, _tenth_trading_day, 0.07, 0.06, Fees(per_lot=1.5, today_per_lot=1.5), 3000,
        ("GREASE", "油脂油料"),
    ),
    "DCE.i": Terms(
        _EVERY_MONTH, _tenth_trading_day, 0.11, 0.09, Fees(ratio=1e-4, today_ratio=1e-4), 780,
        _FERROUS,
    ),
    "CZCE.SR": Terms(
        (1, 3, 5, 7, 9, 11), _tenth_trading_day, 0.07, 0.06, Fees(per_lot=3), 5600,
        ("SOFT_COMMODITY", "软商"),
    ),
    "CZCE.MA": Terms(
        _EVERY_MONTH, _tenth_trading_day, 0.08, 0.07, Fees(ratio=1e-4, today_ratio=1e-4), 2300,
        ("CHEMICAL", "化工"),
    ),
    "CZCE.TA": Terms(
        _EVERY_MONTH, _tenth_trading_day, 0.07, 0.06, Fees(per_lot=3), 4700, ("CHEMICAL", "化工")
    ),
    "CFFEX.IF": Terms(
        _EVERY_MONTH, _weekday_of_month(4, 3), 0.12, 0.1,
        Fees(ratio=2.3e-5, today_ratio=2.3e-4), 4500, ("EQUITY_INDEX", "股指期货"),
    ),
    "CFFEX.T": Terms(
        (3, 6, 9, 12), _weekday_of_month(4, 2), 0.02, 0.02, Fees(per_lot=3), 108,
        ("TREASURY_BOND", "国债期货"),
    ),
    "GFEX.lc": Terms(
        _EVERY_MONTH, _tenth_trading_day, 0.1, 0.09, Fees(ratio=8e-5, today_ratio=8e-5), 88000,
        _METALS, open_least=3,
    ),
    "GFEX.si": Terms(
        _EVERY_MONTH, _tenth_trading_day, 0.1, 0.09, Fees(ratio=1e-4, today_ratio=0.0), 9200,
        _METALS,
    ),
}  # fmt: skip

#: For products whose terms are not in the table; played from files.
OTHER_TERMS = Terms(
    _EVERY_MONTH, _fifteenth, 0.1, 0.1, Fees(ratio=1e-4, today_ratio=1e-4), 1000.0, ("", "")
)
