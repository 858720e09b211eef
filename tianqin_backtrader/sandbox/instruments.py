"""The contracts of the sandbox: true specifications, real months and last trading days."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta

from ..session_calendar import NIGHT_OPEN, Product, SessionCalendar

_EVERY_MONTH = tuple(range(1, 13))


@dataclass(frozen=True, slots=True)
class Fees:
    """Commission: yuan per lot and share of turnover; closing today's lots has own rates."""

    per_lot: float = 0.0
    ratio: float = 0.0
    today_per_lot: float = 0.0
    today_ratio: float = 0.0


@dataclass(frozen=True, slots=True)
class Instrument:
    """One contract, or the main contract of a product (``ins_class`` CONT).

    ``limit_ratio`` and ``margin_ratio`` are shares of the price; ``expire`` is the end of the last
    trading day, naive Beijing; ``trading_time`` is as TianQin writes it, hours past 24 included.
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
    trading_time: dict[str, list[list[str]]]
    listed: date
    expire: datetime
    delivery_year: int
    delivery_month: int
    limit_ratio: float
    margin_ratio: float
    fees: Fees
    category: tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Terms:
    """What the product table does not hold: months, margins, fees, where the price stands."""

    months: tuple[int, ...]
    last_day: Callable[[SessionCalendar, int, int], date]
    margin_ratio: float
    limit_ratio: float
    fees: Fees
    price: float
    category: tuple[str, str]


def _is_open(calendar: SessionCalendar, day: date) -> bool:
    """As the calendar has it, without its refusal: contracts run into years not announced yet."""
    return day.weekday() < 5 and day not in calendar.holidays.closed


def _roll(calendar: SessionCalendar, day: date, step: int = 1) -> date:
    while not _is_open(calendar, day):
        day += timedelta(days=step)
    return day


def _fifteenth(calendar: SessionCalendar, year: int, month: int) -> date:
    return _roll(calendar, date(year, month, 15))


def _tenth_trading_day(calendar: SessionCalendar, year: int, month: int) -> date:
    day = _roll(calendar, date(year, month, 1))
    for _ in range(9):
        day = _roll(calendar, day + timedelta(days=1))
    return day


def _end_of_month_before(calendar: SessionCalendar, year: int, month: int) -> date:
    return _roll(calendar, date(year, month, 1) - timedelta(days=1), -1)


def _weekday_of_month(weekday: int, number: int) -> Callable[[SessionCalendar, int, int], date]:
    def find(calendar: SessionCalendar, year: int, month: int) -> date:
        first = date(year, month, 1)
        day = first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (number - 1))
        return _roll(calendar, day)

    return find


_METALS = ("NONFERROUS_METALS", "有色金属")
_PRECIOUS = ("PRECIOUS_METALS", "贵金属")
_FERROUS = ("FERROUS", "黑色金属")
_ODD = (1, 3, 5, 7, 8, 9, 11, 12)

TERMS: dict[str, _Terms] = {
    "SHFE.cu": _Terms(
        _EVERY_MONTH, _fifteenth, 0.09, 0.07, Fees(ratio=5e-5, today_ratio=1e-4), 78000, _METALS
    ),
    "SHFE.rb": _Terms(
        _EVERY_MONTH, _fifteenth, 0.07, 0.05, Fees(ratio=1e-4, today_ratio=1e-4), 3200, _FERROUS
    ),
    "SHFE.au": _Terms(_EVERY_MONTH, _fifteenth, 0.12, 0.1, Fees(per_lot=10), 780, _PRECIOUS),
    "SHFE.ag": _Terms(
        _EVERY_MONTH, _fifteenth, 0.13, 0.11, Fees(ratio=5e-5, today_ratio=5e-5), 9800, _PRECIOUS
    ),
    "INE.sc": _Terms(
        _EVERY_MONTH, _end_of_month_before, 0.1, 0.08, Fees(per_lot=20), 480, ("OIL", "石油")
    ),
    "DCE.m": _Terms(
        _ODD, _tenth_trading_day, 0.07, 0.06, Fees(per_lot=1.5, today_per_lot=1.5), 3000,
        ("GREASE", "油脂油料"),
    ),
    "DCE.i": _Terms(
        _EVERY_MONTH, _tenth_trading_day, 0.11, 0.09, Fees(ratio=1e-4, today_ratio=1e-4), 780,
        _FERROUS,
    ),
    "CZCE.SR": _Terms(
        (1, 3, 5, 7, 9, 11), _tenth_trading_day, 0.07, 0.06, Fees(per_lot=3), 5600,
        ("SOFT_COMMODITY", "软商"),
    ),
    "CZCE.MA": _Terms(
        _EVERY_MONTH, _tenth_trading_day, 0.08, 0.07, Fees(ratio=1e-4, today_ratio=1e-4), 2300,
        ("CHEMICAL", "化工"),
    ),
    "CZCE.TA": _Terms(
        _EVERY_MONTH, _tenth_trading_day, 0.07, 0.06, Fees(per_lot=3), 4700, ("CHEMICAL", "化工")
    ),
    "CFFEX.IF": _Terms(
        _EVERY_MONTH, _weekday_of_month(4, 3), 0.12, 0.1,
        Fees(ratio=2.3e-5, today_ratio=2.3e-4), 4500, ("EQUITY_INDEX", "股指期货"),
    ),
    "CFFEX.T": _Terms(
        (3, 6, 9, 12), _weekday_of_month(4, 2), 0.02, 0.02, Fees(per_lot=3), 108,
        ("TREASURY_BOND", "国债期货"),
    ),
    "GFEX.lc": _Terms(
        _EVERY_MONTH, _tenth_trading_day, 0.1, 0.09, Fees(ratio=8e-5, today_ratio=8e-5), 88000,
        _METALS,
    ),
    "GFEX.si": _Terms(
        _EVERY_MONTH, _tenth_trading_day, 0.1, 0.09, Fees(ratio=1e-4, today_ratio=0.0), 9200,
        _METALS,
    ),
}  # fmt: skip

#: Contracts per product that trade at a time.
MONTHS_LISTED = 6
#: The main contracts' past goes back to this delivery year (or to the one before the start): it
#: does not move on with the start, for their ids are counted from there.
FIRST_YEAR = 2025


def build_instruments(calendar: SessionCalendar, start: date, end: date) -> dict[str, Instrument]:
    """Every contract that trades at some time from a year or more before ``start`` to ``end``.

    Those that have expired are there because the main contracts' past needs them. ``KQ.m@`` of
    each product comes last.

    Returns:
        By symbol, in order of product and delivery.
    """
    instruments: dict[str, Instrument] = {}
    for key, terms in TERMS.items():
        product = calendar.products[key]
        contracts = [
            _contract(calendar, product, terms, year, month)
            for year in range(min(FIRST_YEAR, start.year - 1), end.year + 3)
            for month in terms.months
        ]
        expired = [one for one in contracts if one.expire.date() < start]
        alive = [one for one in contracts if one.listed <= end and one.expire.date() >= start]
        later = sum(one.expire.date() < end for one in alive)
        for one in expired + alive[: MONTHS_LISTED + later]:
            instruments[one.symbol] = one
        main = _main(product, contracts[0])
        instruments[main.symbol] = main
    return instruments


def _contract(
    calendar: SessionCalendar, product: Product, terms: _Terms, year: int, month: int
) -> Instrument:
    digits = f"{year % 100:02d}{month:02d}"
    code = product.product_id + (digits[1:] if product.exchange_id == "CZCE" else digits)
    last_day = terms.last_day(calendar, year, month)
    close = time(15, 15) if product.day[-1][1][-1][1] > time(15) else time(15)
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
        trading_time=_trading_time(product),
        listed=_roll(calendar, last_day.replace(year=last_day.year - 1, day=28)),
        expire=datetime.combine(last_day, close),
        delivery_year=year,
        delivery_month=month,
        limit_ratio=terms.limit_ratio,
        margin_ratio=terms.margin_ratio,
        fees=terms.fees,
        category=terms.category,
    )


#: For products whose terms are not in the table; played from files.
_OTHER_TERMS = _Terms(
    _EVERY_MONTH, _fifteenth, 0.1, 0.1, Fees(ratio=1e-4, today_ratio=1e-4), 1000.0, ("", "")
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
    terms = TERMS.get(product.key, _OTHER_TERMS)
    return replace(_contract(calendar, product, terms, year, month), symbol=symbol)


def _main(product: Product, contract: Instrument) -> Instrument:
    return replace(
        contract,
        symbol=f"KQ.m@{product.key}",
        exchange_id="KQ",
        code=f"m@{product.key}",
        ins_class="CONT",
        name=f"{product.name}主连",
        expire=datetime(2099, 12, 31, 15),
    )


def _trading_time(product: Product) -> dict[str, list[list[str]]]:
    day = [[f"{a:%H:%M}:00", f"{b:%H:%M}:00"] for a, b in product.day[-1][1]]
    close = product.night[-1][1]
    if close is None:
        return {"day": day, "night": []}
    hour = close.hour if close > NIGHT_OPEN else close.hour + 24
    return {"day": day, "night": [["21:00:00", f"{hour:02d}:{close.minute:02d}:00"]]}
