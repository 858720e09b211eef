"""Trading sessions of all products of SHFE, INE, DCE, CZCE, CFFEX and GFEX.

All moments are naive Beijing time. A session is the half-open interval [open, close). A night
session belongs to the next trading day: Friday's to Monday's. On the evening before a public
holiday there is none. Call auctions are not trading.

Sources: exchange notices, collected in ``data/products.csv`` and ``data/holidays.csv``.

>>> from datetime import datetime
>>> is_trading_now("SHFE.cu2612", datetime(2026, 11, 13, 21, 0))     # a Friday evening
True
>>> trading_day("SHFE.cu2612", datetime(2026, 11, 13, 21, 0))
datetime.date(2026, 11, 16)
>>> next_session_boundary("SHFE.cu2612", datetime(2026, 11, 14, 1, 0))
datetime.datetime(2026, 11, 16, 9, 0)
"""

from __future__ import annotations

import csv
import re
import warnings
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import TypeVar

from .clock import beijing_now
from .errors import CalendarError, CalendarOutOfRange

_T = TypeVar("_T")
Interval = tuple[datetime, datetime]
Spans = tuple[tuple[time, time], ...]

EXCHANGES = ("SHFE", "INE", "DCE", "CZCE", "CFFEX", "GFEX")
NIGHT_OPEN = time(21, 0)
_ONE_DAY = timedelta(days=1)
# No product had a night from the evening of 2020-02-03 to that of 2020-04-30.
_SUSPENDED = (date(2020, 2, 3), date(2020, 4, 30))


@dataclass(frozen=True, slots=True)
class Product:
    """One product as the exchanges define it.

    ``night`` and ``day`` hold what is valid from a trading day on, ascending by that day;
    a night close of ``None`` is no night.
    """

    exchange_id: str
    product_id: str
    name: str
    volume_multiple: int
    price_tick: float
    day: tuple[tuple[date, Spans], ...]
    night: tuple[tuple[date, time | None], ...]
    listed: date
    max_limit_order_volume: int
    max_market_order_volume: int

    @property
    def key(self) -> str:
        """``"SHFE.cu"``."""
        return f"{self.exchange_id}.{self.product_id}"


def _parse_time(text: str) -> time:
    hour, minute = text.split(":")
    return time(int(hour), int(minute))


def _parse_spans(text: str) -> Spans:
    spans = (span.split("-") for span in text.split(";"))
    return tuple((_parse_time(start), _parse_time(end)) for start, end in spans)


def _parse_day_history(day: str, history: str) -> tuple[tuple[date, Spans], ...]:
    if not history:
        return ((date.min, _parse_spans(day)),)
    spans, until = history.split(" before ")
    return ((date.min, _parse_spans(spans)), (date.fromisoformat(until), _parse_spans(day)))


def _parse_night(close: str, history: str, listed: date) -> tuple[tuple[date, time | None], ...]:
    """``"23:30 from 2014-12-15; none from 2020-02-04"`` -> ((day, close), ...)."""
    steps: list[tuple[date, time | None]] = [(date.min, None)]
    for step in filter(None, (part.strip() for part in history.split(";"))):
        what, _, since = step.rpartition(" from ")
        day = date.fromisoformat(since)
        # On the morning a product is first listed no night came before.
        day = day + _ONE_DAY if day == listed else day
        steps.append((day, _parse_time(what) if what[0].isdigit() else None))
    if close and len(steps) == 1:
        steps.append((listed + _ONE_DAY, _parse_time(close)))
    return tuple(steps)


def _parse_listed(text: str) -> date:
    return date.fromisoformat(text if len(text) == 10 else f"{text}-01-01")


def _table(name: str) -> Iterable[dict[str, str]]:
    text = files(__package__).joinpath("data", name).read_text(encoding="utf-8")
    return csv.DictReader(text.splitlines())


def load_products() -> dict[str, Product]:
    """The packaged table, by ``"EXCHANGE.product"``."""
    products = {}
    for row in _table("products.csv"):
        listed = _parse_listed(row["listed"])
        product = Product(
            exchange_id=row["exchange_id"],
            product_id=row["product_id"],
            name=row["name_cn"],
            volume_multiple=int(row["volume_multiple"]),
            price_tick=float(row["price_tick"]),
            day=_parse_day_history(row["day"], row["day_history"]),
            night=_parse_night(row["night_close"], row["night_history"], listed),
            listed=listed,
            max_limit_order_volume=int(row["max_limit_order_volume"] or 0),
            max_market_order_volume=int(row["max_market_order_volume"] or 0),
        )
        products[product.key] = product
    return products


@dataclass(frozen=True)
class Holidays:
    """Weekdays on which the exchanges are closed.

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

        Raises:
            CalendarOutOfRange: The year is beyond all tables.
        """
        if not self.first_year <= day.year <= self.last_year:
            self._warn_or_refuse(day)
        return day.weekday() < 5 and day not in self.closed

    def _warn_or_refuse(self, day: date) -> None:
        if self.last_year < day.year <= self.expected_year:
            _warn_once(day.year)
            return
        raise CalendarOutOfRange(
            f"holidays are known for {self.first_year}-{self.last_year}, not for {day}; "
            "update tianqin_backtrader or connect to TianQin, which announces each new year"
        )


@lru_cache(maxsize=16)
def _warn_once(year: int) -> None:
    warnings.warn(
        f"the exchanges' holidays of {year} are not announced in the packaged table; only the "
        "statutory days are known, bridge days are missing",
        stacklevel=4,
    )


def load_holidays() -> Holidays:
    """The packaged table."""
    rows = list(_table("holidays.csv"))
    days = {date.fromisoformat(row["date"]): row["status"] for row in rows}
    certain = [day for day, status in days.items() if status != "expected"]
    return Holidays(
        closed=frozenset(days),
        first_year=min(certain).year,
        last_year=max(certain).year,
        expected_year=max(days).year,
    )


_OPTION = re.compile(r"^([A-Za-z]+)(\d{3,4})(F?)(-?[CP]-?\d+.*)?$")


def split_symbol(symbol: str) -> tuple[str, str]:
    """(exchange, product) of a contract, option, combination, main or index symbol.

    Raises:
        CalendarError: The symbol has no such form.

    >>> split_symbol("SHFE.cu2612"), split_symbol("CZCE.SR701C6000"), split_symbol("KQ.m@DCE.m")
    (('SHFE', 'cu'), ('CZCE', 'SR'), ('DCE', 'm'))
    >>> split_symbol("DCE.SPC a2701&m2701"), split_symbol("DCE.l2602F")
    (('DCE', 'a'), ('DCE', 'l_f'))
    """
    exchange, _, code = symbol.partition(".")
    if exchange in ("KQ", "KQD") and code[1:2] == "@":
        exchange, _, code = code[2:].partition(".")
        if exchange in EXCHANGES and code.replace("_f", "").isalpha():
            return exchange, code
    code = code.partition("&")[0].rpartition(" ")[2]
    match = _OPTION.match(code)
    if exchange not in EXCHANGES or match is None:
        raise CalendarError(
            f"{symbol!r} is no symbol of {', '.join(EXCHANGES)}; expected EXCHANGE.contract, "
            "for example SHFE.cu2612 or KQ.m@SHFE.cu"
        )
    return exchange, match[1] + ("_f" if match[3] else "")


class SessionCalendar:
    """Sessions by product and trading day, from a table of products and one of holidays.

    The questions come in two forms: about a symbol (``is_trading_now``, ...), and about a
    trading day (``sessions``). Answers are remembered; both tables are never changed.
    """

    def __init__(self, products: Mapping[str, Product], holidays: Holidays) -> None:
        self.products = MappingProxyType(dict(products))
        self.holidays = holidays
        self._sessions = lru_cache(maxsize=65536)(self._find_sessions)
        self._keys: dict[str, str] = {}
        # symbol -> (from, to, trading): the answer of is_trading_now holds in [from, to).
        self._current: dict[str, tuple[datetime, datetime, bool]] = {}

    def product(self, symbol: str) -> Product:
        """The product of a symbol.

        Raises:
            CalendarError: No such product.
        """
        key = self._keys.get(symbol)
        if key is None:
            key = symbol if symbol in self.products else ".".join(split_symbol(symbol))
            if key not in self.products:
                raise CalendarError(
                    f"no product {key} in the session table (of {symbol!r}); mind the case: "
                    "CZCE and CFFEX write capitals, the others small letters"
                )
            self._keys[symbol] = key
        return self.products[key]

    def is_trading_day(self, day: date) -> bool:
        """Whether the exchanges are open on the date."""
        return self.holidays.is_trading_day(day)

    def next_trading_day(self, day: date) -> date:
        """The first trading day after the date."""
        return self.roll(day + _ONE_DAY)

    def previous_trading_day(self, day: date) -> date:
        """The last trading day before the date."""
        day -= _ONE_DAY
        while not self.is_trading_day(day):
            day -= _ONE_DAY
        return day

    def roll(self, day: date) -> date:
        """The date itself if it is a trading day, else the next one."""
        while not self.is_trading_day(day):
            day += _ONE_DAY
        return day

    def trading_day_at(self, now: datetime) -> date:
        """The trading day an instant belongs to, inside a session or outside.

        From 18:00 on that of the next date, else of the same date, rolled to a trading day.
        """
        return self.roll(now.date() + _ONE_DAY if now.hour >= 18 else now.date())

    def has_night(self, day: date) -> bool:
        """Whether night sessions lead into the trading day (for products that have them)."""
        evening = self.previous_trading_day(day)
        weekday = evening + (timedelta(days=3) if evening.weekday() == 4 else _ONE_DAY)
        return weekday == day and not _SUSPENDED[0] <= evening <= _SUSPENDED[1]

    def sessions(self, symbol: str, day: date) -> tuple[Interval, ...]:
        """The sessions of a trading day in order of time, the night before first.

        Args:
            symbol: A contract, or a product such as ``"SHFE.cu"``.
            day: A trading day.
        """
        return self._sessions(self.product(symbol).key, day)

    def _find_sessions(self, key: str, day: date) -> tuple[Interval, ...]:
        if not self.is_trading_day(day):
            raise CalendarError(f"{day} is not a trading day")
        product = self.products[key]
        found: list[Interval] = []
        close = _valid(product.night, day)
        if close is not None and self.has_night(day):
            evening = self.previous_trading_day(day)
            end = evening if close > NIGHT_OPEN else evening + _ONE_DAY
            found.append((datetime.combine(evening, NIGHT_OPEN), datetime.combine(end, close)))
        for start, end_time in _valid(product.day, day):
            found.append((datetime.combine(day, start), datetime.combine(day, end_time)))
        return tuple(found)

    def is_trading_now(self, symbol: str, now: datetime | None = None) -> bool:
        """Whether the product trades at ``now`` (default: the machine's clock)."""
        now = beijing_now() if now is None else now
        current = self._current.get(symbol)
        if current is None or not current[0] <= now < current[1]:
            current = self._current[symbol] = self._stretch(symbol, now)
        return current[2]

    def _stretch(self, symbol: str, now: datetime) -> tuple[datetime, datetime, bool]:
        """The longest known [from, to) around ``now`` without an open or a close."""
        day = self.trading_day_at(now)
        bounds = [edge for interval in self.sessions(symbol, day) for edge in interval]
        index = bisect_right(bounds, now)
        start = bounds[index - 1] if index else now
        if index < len(bounds):
            return start, bounds[index], index % 2 == 1
        # After the last close: nothing before 18:00, when the trading day changes.
        return start, datetime.combine(day, time(18)), False

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
        """The trading day of ``now``; the symbol must exist but does not matter otherwise."""
        self.product(symbol)
        return self.trading_day_at(beijing_now() if now is None else now)


def _valid(history: tuple[tuple[date, _T], ...], day: date) -> _T:
    """The entry in force on a trading day."""
    return history[bisect_right(history, day, key=lambda step: step[0]) - 1][1]


CALENDAR = SessionCalendar(load_products(), load_holidays())

is_trading_now = CALENDAR.is_trading_now
is_trading_time = CALENDAR.is_trading_now
next_session_boundary = CALENDAR.next_session_boundary
resolve_intervals = CALENDAR.resolve_intervals
trading_day = CALENDAR.trading_day


def _class_sessions(products: Mapping[str, Product]) -> dict[str, tuple[tuple[str, str], ...]]:
    table = {}
    for key, product in products.items():
        spans = [(f"{a:%H:%M}", f"{b:%H:%M}") for a, b in product.day[-1][1]]
        close = product.night[-1][1]
        if close is not None:
            spans.append((f"{NIGHT_OPEN:%H:%M}", f"{close:%H:%M}"))
        table[key] = tuple(spans)
    return table


#: Today's sessions by product: ``CLASS_SESSIONS["SHFE.cu"][-1] == ("21:00", "01:00")``.
CLASS_SESSIONS: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    _class_sessions(CALENDAR.products)
)
