"""The products of the six exchanges, from ``data/products.csv``, and the product of a symbol."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, time, timedelta
from importlib.resources import files

from ..errors import CalendarError
from .trading_hours import (
    NIGHT_OPEN,
    ONE_DAY,
    Hours,
    Spans,
    in_force,
    parse_spans,
    parse_time,
)

EXCHANGES = ("SHFE", "INE", "DCE", "CZCE", "CFFEX", "GFEX")
#: (valid from trading day, hours), ascending.
Steps = tuple[tuple[date, Hours], ...]

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri")


@dataclass(frozen=True, slots=True)
class LastDay:
    """The last trading day of contracts that close early on it: the n-th weekday of their month.

    >>> LastDay(4, 2, time(11, 30)).of_month(2026, 12)
    datetime.date(2026, 12, 11)
    """

    weekday: int
    number: int
    close: time

    def of_month(self, year: int, month: int) -> date:
        """The day, not yet moved past holidays."""
        first = date(year, month, 1)
        ahead = (self.weekday - first.weekday()) % 7 + 7 * (self.number - 1)
        return first + timedelta(days=ahead)


@dataclass(frozen=True, slots=True)
class Product:
    """One product as the exchanges define it.

    Attributes:
        hours: (valid from trading day, hours), ascending.
        listed: Its first trading day (1 January if only the year is known).
        price_tick, volume_multiple: NaN and 0 for a product that is not in the packaged table.
        last_day: Set if contracts close early on their last trading day.
    """

    exchange_id: str
    product_id: str
    hours: Steps
    name: str = ""
    volume_multiple: int = 0
    price_tick: float = float("nan")
    listed: date = date.min
    max_limit_order_volume: int = 0
    max_market_order_volume: int = 0
    last_day: LastDay | None = None

    @property
    def key(self) -> str:
        """``"SHFE.cu"``."""
        return f"{self.exchange_id}.{self.product_id}"

    @property
    def day(self) -> tuple[tuple[date, Spans], ...]:
        """Day sessions as (valid from, spans)."""
        return tuple((since, hours.day) for since, hours in self.hours)

    @property
    def night(self) -> tuple[tuple[date, time | None], ...]:
        """Closes of the night session as (valid from, close); ``None`` means no night session."""
        return tuple(
            (since, hours.night[-1][1] if hours.night else None) for since, hours in self.hours
        )


def load_products() -> dict[str, Product]:
    """The packaged table, by ``"EXCHANGE.product"``."""
    text = files("tianqin_backtrader").joinpath("data", "products.csv").read_text(encoding="utf-8")
    products = {}
    for row in csv.DictReader(text.splitlines()):
        product = Product(
            exchange_id=row["exchange_id"],
            product_id=row["product_id"],
            hours=_parse_hours(row),
            name=row["name_cn"],
            volume_multiple=int(row["volume_multiple"]),
            price_tick=float(row["price_tick"]),
            listed=_parse_listed(row["listed"]),
            max_limit_order_volume=int(row["max_limit_order_volume"] or 0),
            max_market_order_volume=int(row["max_market_order_volume"] or 0),
            last_day=_parse_last_day(row["last_day"]),
        )
        products[product.key] = product
    return products


def _parse_hours(row: dict[str, str]) -> Steps:
    """Merge the histories of day and night sessions."""
    day = _parse_day(row["day"], row["day_history"])
    night = _parse_night(row["night_close"], row["night_history"], _parse_listed(row["listed"]))
    steps = []
    for since in sorted({step[0] for step in (*day, *night)}):
        close = in_force(night, since)
        steps.append(
            (
                since,
                Hours(in_force(day, since), ((NIGHT_OPEN, close),) if close is not None else ()),
            )
        )
    return tuple(steps)


def _parse_day(day: str, history: str) -> tuple[tuple[date, Spans], ...]:
    """``"09:15-11:30;13:00-15:15 before 2016-01-04"`` -> ((day, spans), ...)."""
    if not history:
        return ((date.min, parse_spans(day)),)
    spans, until = history.split(" before ")
    return ((date.min, parse_spans(spans)), (date.fromisoformat(until), parse_spans(day)))


def _parse_night(close: str, history: str, listed: date) -> tuple[tuple[date, time | None], ...]:
    """``"23:30 from 2014-12-15; none from 2020-02-04"`` -> ((day, close), ...)."""
    steps: list[tuple[date, time | None]] = [(date.min, None)]
    for step in filter(None, (part.strip() for part in history.split(";"))):
        what, _, since = step.rpartition(" from ")
        day = date.fromisoformat(since)
        # The first trading day of a new product has no night session before it.
        day = day + ONE_DAY if day == listed else day
        steps.append((day, parse_time(what) if what[0].isdigit() else None))
    if close and len(steps) == 1:
        steps.append((listed + ONE_DAY, parse_time(close)))
    return tuple(steps)


def _parse_listed(text: str) -> date:
    return date.fromisoformat(text if len(text) == 10 else f"{text}-01-01")


def _parse_last_day(text: str) -> LastDay | None:
    """``"Fri 2 until 11:30"``: the second Friday of the delivery month."""
    if not text:
        return None
    weekday, number, _, close = text.split()
    return LastDay(_WEEKDAYS.index(weekday), int(number), parse_time(close))


# Letters, year and month, F of monthly average futures, then an option's series, type and strike.
_CONTRACT = re.compile(r"([A-Za-z]+)(\d{3,4})(F?)(?:-?(?:MS)?-?[CP]-?\d+(?:\.\d+)?)?")


def split_symbol(symbol: str) -> tuple[str, str]:
    """(exchange, product) of a contract, option, combination, main or index symbol.

    A combination has the hours of its first leg; exchanges combine only contracts with equal hours.

    Raises:
        CalendarError: The symbol does not have this form.

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
    match = _CONTRACT.fullmatch(code.partition("&")[0].rpartition(" ")[2])
    if exchange not in EXCHANGES or match is None:
        raise CalendarError(
            f"{symbol!r} is not a symbol of {', '.join(EXCHANGES)}; expected EXCHANGE.contract, "
            "for example SHFE.cu2612 or KQ.m@SHFE.cu"
        )
    return exchange, match[1] + ("_f" if match[3] else "")


def did_you_mean(symbol: str, products: Iterable[str]) -> str:
    """Suggest a symbol for one in the wrong case or without its exchange; "" if there is none.

    >>> did_you_mean("shfe.cu2612", ["SHFE.cu"]), did_you_mean("SR701", ["CZCE.SR"])
    (' (did you mean SHFE.cu2612?)', ' (did you mean CZCE.SR701?)')
    """
    exchange, _, code = symbol.rpartition(".")
    letters = code.rstrip("0123456789")
    for key in products:
        its, _, product = key.partition(".")
        if product.lower() == letters.lower() and exchange.upper() in ("", its):
            digits = code[len(letters) :]
            if its == "CZCE" and len(digits) == 4:  # it writes the year with one digit
                digits = digits[1:]
            meant = f"{its}.{product}{digits}"
            return f" (did you mean {meant}?)" if meant != symbol else ""
    return ""


def delivery_month(symbol: str) -> tuple[int, int] | None:
    """(year, month) of a contract that writes both with two digits; ``None`` for all others.

    >>> delivery_month("CFFEX.T2612"), delivery_month("KQ.m@CFFEX.T")
    ((2026, 12), None)
    """
    match = re.fullmatch(r"[A-Z]+\.[A-Za-z]+(\d\d)(0[1-9]|1[0-2])", symbol)
    return (2000 + int(match[1]), int(match[2])) if match else None
