"""The contracts of the sandbox: true specifications, real months and last trading days."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, time

from ..session_calendar import Product, SessionCalendar, Spans
from .derived import combinations_of, index_of, main_of, options_of
from .terms import OTHER_TERMS, TERMS, Fees, Terms, roll


@dataclass(frozen=True, slots=True)
class Instrument:
    """A future, a product's main contract (``ins_class`` CONT) or index, an option or combination.

    ``limit_ratio`` and ``margin_ratio`` are shares of the price; ``expire`` is the end of the last
    trading day, naive Beijing; ``trading_time`` is as TianQin writes it, hours past 24 included.
    Options have an ``underlying``, a strike and a class (CALL or PUT), combinations two ``legs``.
    """

    symbol: str
    exchange_id: str
    code: str
    ins_class: str
    product_id: str
    name: str
    price_tick: float
    price_decs: int
    volume_multiple: int
    max_limit_order_volume: int
    max_market_order_volume: int
    open_least: int
    trading_time: dict[str, list[list[str]]]
    listed: date
    expire: datetime
    delivery_year: int
    delivery_month: int
    limit_ratio: float
    margin_ratio: float
    fees: Fees
    category: tuple[str, str]
    underlying: str = ""
    strike_price: float | None = None
    option_class: str = ""
    legs: tuple[str, ...] = ()


#: Contracts per product that trade at a time.
MONTHS_LISTED = 6
#: The main contracts' past goes back to this delivery year (or to the one before the start): it
#: does not move on with the start, for their ids are counted from there.
FIRST_YEAR = 2025


def build_instruments(calendar: SessionCalendar, start: date, end: date) -> dict[str, Instrument]:
    """Every contract that trades at some time from a year or more before ``start`` to ``end``.

    Those that have expired are there because the main contracts' past needs them. After each
    product's contracts come its options and combinations, ``KQ.m@`` and ``KQ.i@``.

    Returns:
        By symbol, in order of product and delivery.
    """
    instruments: dict[str, Instrument] = {}
    for key, terms in TERMS.items():
        product = calendar.products[key]
        contracts = [
            _contract(calendar, product, terms, year, month, start)
            for year in range(min(FIRST_YEAR, start.year - 1), end.year + 3)
            for month in terms.months
        ]
        expired = [one for one in contracts if one.expire.date() < start]
        alive = [one for one in contracts if one.listed <= end and one.expire.date() >= start]
        later = sum(one.expire.date() < end for one in alive)
        for one in expired + alive[: MONTHS_LISTED + later]:
            instruments[one.symbol] = one
        trading = [one for one in alive if one.symbol in instruments]
        for one in (
            *options_of(calendar, product, terms, trading, start),
            *combinations_of(product, trading),
            main_of(product, contracts[0]),
            index_of(product, contracts[0]),
        ):
            instruments[one.symbol] = one
    return instruments


def _contract(
    calendar: SessionCalendar, product: Product, terms: Terms, year: int, month: int, today: date
) -> Instrument:
    digits = f"{year % 100:02d}{month:02d}"
    code = product.product_id + (digits[1:] if product.exchange_id == "CZCE" else digits)
    last_day = terms.last_day(calendar, year, month)
    return Instrument(
        symbol=f"{product.exchange_id}.{code}",
        exchange_id=product.exchange_id,
        code=code,
        ins_class="FUTURE",
        product_id=product.product_id,
        name=f"{product.name}{digits}",
        price_tick=product.price_tick,
        price_decs=max(0, len(f"{product.price_tick:g}".partition(".")[2])),
        volume_multiple=product.volume_multiple,
        max_limit_order_volume=product.max_limit_order_volume,
        max_market_order_volume=product.max_market_order_volume,
        open_least=terms.open_least,
        trading_time=_trading_time(calendar, product, today),
        listed=roll(calendar, last_day.replace(year=last_day.year - 1, day=28)),
        expire=datetime.combine(last_day, time(15)),  # so TianQin says of bonds, too
        delivery_year=year,
        delivery_month=month,
        limit_ratio=terms.limit_ratio,
        margin_ratio=terms.margin_ratio,
        fees=terms.fees,
        category=terms.category,
    )


def contract_of(calendar: SessionCalendar, symbol: str, seen: date) -> Instrument:
    """The specification of a contract of any product that was seen trading on a date.

    Margins, limits and fees of products outside ``TERMS`` are guesses.

    Raises:
        CalendarError: No such product.
    """
    product = calendar.product(symbol)
    digits = "".join(filter(str.isdigit, symbol))
    month = int(digits[-2:])
    year = int(digits[:-2]) % 10 if len(digits) == 3 else int(digits[:-2])
    step = 10 if len(digits) == 3 else 100
    # The decade (CZCE writes one digit) in which it had not expired yet when it was seen.
    year += seen.year // step * step
    if (year, month) < (seen.year, seen.month):
        year += step
    terms = TERMS.get(product.key, OTHER_TERMS)
    return replace(_contract(calendar, product, terms, year, month, seen), symbol=symbol)


def _trading_time(
    calendar: SessionCalendar, product: Product, today: date
) -> dict[str, list[list[str]]]:
    def written(spans: Spans) -> list[list[str]]:
        return [
            [f"{a:%H:%M}:00", f"{b.hour if b > a else b.hour + 24:02d}:{b.minute:02d}:00"]
            for a, b in spans
        ]

    hours = calendar.hours(product.key, today)
    return {"day": written(hours.day), "night": written(hours.night)}
