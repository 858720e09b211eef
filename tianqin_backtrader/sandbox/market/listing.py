"""The contracts of the sandbox: real specifications, months and last trading days."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from itertools import chain

from ...errors import CalendarError
from ...session_calendar import Product, SessionCalendar, Spans, split_symbol
from .derived_instruments import (
    INDEX_OPTIONS,
    combinations_of,
    index_of,
    index_options_of,
    main_of,
    options_of,
)
from .product_terms import OTHER_TERMS, TERMS, Fees, ProductTerms, roll


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


#: The number of contracts per product that trade at a time.
MONTHS_LISTED = 6
#: Main contracts go back to this delivery year (or to the year before the start, if earlier). It
#: is fixed, because their ids are counted from there.
FIRST_YEAR = 2025
#: The first contracts of a new product have at least this long to go.
_FIRST_CONTRACTS_RUN = timedelta(days=120)


class Listing(Mapping[str, Instrument]):
    """All instruments, by symbol; those of a product are built at the first request.

    Args:
        calendar: Sessions, trading days and products.
        start, end: Contracts that trade at any time from a year or more before ``start`` to
            ``end`` are included; the main contracts' history needs the expired ones.

    Iteration is in order of product and delivery; a product's contracts are followed by its
    options and combinations, ``KQ.m@`` and ``KQ.i@``.
    """

    def __init__(self, calendar: SessionCalendar, start: date, end: date) -> None:
        self._calendar, self._start, self._end = calendar, start, end
        self._products: dict[str, dict[str, Instrument]] = {}

    def __getitem__(self, symbol: str) -> Instrument:
        try:
            exchange_id, product_id = split_symbol(symbol)
        except CalendarError as error:
            raise KeyError(symbol) from error
        return self.of_product(f"{exchange_id}.{product_id}")[symbol]

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(map(self.of_product, TERMS))

    def __len__(self) -> int:
        return sum(len(self.of_product(key)) for key in TERMS)

    def of_product(self, key: str) -> Mapping[str, Instrument]:
        """All instruments of a product (``"SHFE.cu"``); empty if unknown or not listed yet."""
        if key not in self._products:
            self._products[key] = self._make(key) if key in TERMS else {}
        return self._products[key]

    def _make(self, key: str) -> dict[str, Instrument]:
        product, terms = self._calendar.products[key], TERMS[key]
        if key in INDEX_OPTIONS:
            found = index_options_of(product, terms, self._trading(INDEX_OPTIONS[key]))
            return {one.symbol: one for one in found}
        contracts = self._contracts(product, terms)
        if not contracts:
            return {}
        return {
            one.symbol: one
            for one in (
                *contracts,
                *options_of(self._calendar, product, terms, self._alive(contracts), self._start),
                *combinations_of(product, self._alive(contracts)),
                main_of(product, contracts[0]),
                index_of(product, contracts[0]),
            )
        }

    def _contracts(self, product: Product, terms: ProductTerms) -> list[Instrument]:
        """The product's futures in order of delivery."""
        start, end = self._start, self._end
        make = _ContractMaker(self._calendar, product, terms, start)
        every = [
            make(year, month)
            for year in range(min(FIRST_YEAR, start.year - 1), end.year + 3)
            for month in terms.months
        ]
        since = product.listed + _FIRST_CONTRACTS_RUN
        contracts = [one for one in every if one.expire.date() >= since and one.listed <= end]
        alive = self._alive(contracts)
        later = sum(one.expire.date() < end for one in alive)
        return contracts[: len(contracts) - len(alive) + MONTHS_LISTED + later]

    def _alive(self, contracts: Iterable[Instrument]) -> list[Instrument]:
        return [one for one in contracts if one.expire.date() >= self._start]

    def _trading(self, key: str) -> list[Instrument]:
        futures = (one for one in self.of_product(key).values() if one.ins_class == "FUTURE")
        return self._alive(futures)


def build_instruments(calendar: SessionCalendar, start: date, end: date) -> Listing:
    """Every contract that trades at some time from a year or more before ``start`` to ``end``."""
    return Listing(calendar, start, end)


class _ContractMaker:
    """Builds a product's contracts, with the hours of ``today``."""

    def __init__(
        self, calendar: SessionCalendar, product: Product, terms: ProductTerms, today: date
    ) -> None:
        self._calendar, self._product, self._terms = calendar, product, terms
        self._trading_time = _trading_time(calendar, product, today)

    def __call__(self, year: int, month: int) -> Instrument:
        product, terms = self._product, self._terms
        digits = f"{year % 100:02d}{month:02d}"
        # CZCE writes the year with one digit; DCE marks monthly average futures with an F.
        letters, average = product.product_id.removesuffix("_f"), product.product_id.endswith("_f")
        written = digits[1:] if product.exchange_id == "CZCE" else digits
        code = f"{letters}{written}{'F' * average}"
        last_day = terms.last_day(self._calendar, year, month)
        a_year_before = last_day.replace(year=last_day.year - 1, day=28)
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
            trading_time=self._trading_time,
            listed=roll(self._calendar, max(a_year_before, product.listed)),
            expire=datetime.combine(last_day, time(15)),  # TianQin says 15:00 of bonds, too
            delivery_year=year,
            delivery_month=month,
            limit_ratio=terms.limit_ratio,
            margin_ratio=terms.margin_ratio,
            fees=terms.fees,
            category=terms.category,
        )


def contract_of(calendar: SessionCalendar, symbol: str, seen: date) -> Instrument:
    """The specification of a contract of any product, which traded on the date ``seen``.

    Margins, limits and fees are those of ``TERMS``, and guesses for other products.

    Raises:
        CalendarError: Unknown product.
    """
    product = calendar.product(symbol)
    digits = "".join(filter(str.isdigit, symbol))
    month = int(digits[-2:])
    year = int(digits[:-2]) % 10 if len(digits) == 3 else int(digits[:-2])
    step = 10 if len(digits) == 3 else 100
    # The decade in which it had not expired yet on that date (CZCE writes one digit of the year).
    year += seen.year // step * step
    if (year, month) < (seen.year, seen.month):
        year += step
    terms = TERMS.get(product.key, OTHER_TERMS)
    return replace(_ContractMaker(calendar, product, terms, seen)(year, month), symbol=symbol)


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
