"""The price and the type of an order as the exchange takes them.

Source: the exchanges' order types and TqSdk's ``TqApi.insert_order``, which raises for what an
exchange does not have; here it is refused in words before it gets there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from ..core.model import Direction, Instrument
from ..errors import NotKnownYet, OrderError, PriceOutOfRange

#: Exchanges without market orders in tqsdk: a limit at the price limit, FAK, does the same.
NO_MARKET_ORDERS = frozenset({"SHFE", "INE", "CFFEX"})
#: Prices that are words.
BEST, FIVELEVEL = "BEST", "FIVELEVEL"
#: The exchange where they exist.
WORDS_AT = "CFFEX"
#: What the rest of an order that does not trade at once becomes.
ADVANCED = (None, "FAK", "FOK")
#: A market order whose rest stays, as a limit at the day's limit: what a stop that closes becomes.
#: It gets out of a market without another side as soon as there is one.
STAYS = "STAYS"


class OrderType(StrEnum):
    """How a four-way order is priced."""

    LIMIT = "LIMIT"
    MARKET = "MARKET"
    BEST = "BEST"  # CFFEX: the best price of the other side
    FIVELEVEL = "FIVELEVEL"  # CFFEX: the best five prices of the other side


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """What is asked for: a price, a word or None for a market order; and FAK, FOK or None."""

    limit_price: float | str | None = None
    advanced: str | None = None

    @property
    def is_market(self) -> bool:
        """Whether the market makes the price."""
        return not isinstance(self.limit_price, int | float)


def order_terms(
    limit_price: float | str | None, order_type: str | None = None, advanced: str | None = None
) -> OrderTerms:
    """What the parameters of a four-way order mean together.

    Args:
        limit_price: A price, ``"BEST"``, ``"FIVELEVEL"``, or None.
        order_type: LIMIT, MARKET, BEST, FIVELEVEL, or None for what ``limit_price`` says; FAK and
            FOK are taken here, too.
        advanced: ``"FAK"``, ``"FOK"`` or None.

    Raises:
        OrderError: They contradict each other, or a word is none of these.

    >>> order_terms(None, "BEST"), order_terms(100.0, "FAK")
    (OrderTerms(limit_price='BEST', advanced=None), OrderTerms(limit_price=100.0, advanced='FAK'))
    """
    kind = None if order_type is None else str(order_type).upper()
    if kind in ("FAK", "FOK"):
        if advanced not in (None, kind):
            raise OrderError(f"an order cannot be {kind} and {advanced} at once")
        kind, advanced = None, kind
    if advanced not in ADVANCED:
        raise OrderError(f"advanced is None, FAK or FOK, not {advanced!r}")
    if kind is None:
        return OrderTerms(limit_price, advanced)
    if kind not in OrderType.__members__:
        raise OrderError(f"order_type is one of {', '.join(OrderType)}, FAK, FOK; not {order_type}")
    if (kind == OrderType.LIMIT) != isinstance(limit_price, int | float):
        if limit_price != kind:  # "BEST" said twice
            raise OrderError(f"limit_price {limit_price!r} does not fit order_type {kind}")
    return OrderTerms(
        limit_price if kind == OrderType.LIMIT else None if kind == OrderType.MARKET else kind,
        advanced,
    )


def passive_price(price: float, direction: Direction, instrument: Instrument) -> float:
    """A price on the contract's tick; one between two ticks goes to the passive side.

    Raises:
        OrderError: The price is no number.
    """
    if isinstance(price, bool) or not math.isfinite(price):
        raise OrderError(f"the price {price} of an order on {instrument.symbol} is no number")
    ticks = price / instrument.price_tick
    if abs(ticks - round(ticks)) > 1e-6:
        ticks = math.floor(ticks) if direction is Direction.BUY else math.ceil(ticks)
    return round(round(ticks) * instrument.price_tick, instrument.price_decs)


def needs_limits(asked: OrderTerms, instrument: Instrument) -> bool:
    """Whether the day's price limits must be known: the order is sent as a limit there."""
    return asked.limit_price is None and (
        asked.advanced == STAYS or not _has_market_orders(instrument)
    )


def exchange_terms(
    asked: OrderTerms,
    direction: Direction,
    instrument: Instrument,
    limits: tuple[float, float],
    *,
    clips: bool = False,
) -> OrderTerms:
    """The price and type that are sent.

    Args:
        asked: What the order wants.
        direction: Its side.
        instrument: Its contract.
        limits: (upper_limit, lower_limit) of the day in quote units, nan where not known.
        clips: Send a buy above the upper limit, a sell below the lower one, at that limit, where
            it means the same.

    Raises:
        OrderError: The exchange has no such order, or the price is no number.
        NotKnownYet: The limits that it is sent at are not known.
        PriceOutOfRange: The price is beyond a limit.
    """
    price, advanced = asked.limit_price, asked.advanced
    if isinstance(price, str):
        return _in_words(price, advanced, instrument)
    if advanced == "FOK" and instrument.exchange_id == "CZCE" and _is_future(instrument):
        raise OrderError(f"CZCE takes no FOK orders on futures ({instrument.symbol})")
    if price is not None:
        exact = passive_price(price, direction, instrument)
        if clips:
            upper, lower = limits
            beyond = exact > upper if direction is Direction.BUY else exact < lower
            if beyond:
                return OrderTerms(upper if direction is Direction.BUY else lower, advanced)
        _check_limits(exact, limits, instrument)
        return OrderTerms(exact, advanced)
    if not needs_limits(asked, instrument):
        return asked
    limit = limits[0 if direction is Direction.BUY else 1]
    if not math.isfinite(limit):
        raise NotKnownYet(
            f"no price limits of {instrument.symbol} are known yet: give a limit price"
        )
    return OrderTerms(limit, None if advanced == STAYS else advanced or "FAK")


def _in_words(price: str, advanced: str | None, instrument: Instrument) -> OrderTerms:
    if price not in (BEST, FIVELEVEL):
        raise OrderError(f"limit_price is a number, None, BEST or FIVELEVEL, not {price!r}")
    if instrument.exchange_id != WORDS_AT:
        raise OrderError(
            f"{price} orders exist at {WORDS_AT} only, not at {instrument.exchange_id}; "
            "limit_price=None is a market order on every exchange"
        )
    if advanced == "FOK":
        raise OrderError(f"{WORDS_AT} takes no {price} orders with FOK")
    return OrderTerms(price, advanced)


def _check_limits(price: float, limits: tuple[float, float], instrument: Instrument) -> None:
    upper, lower = limits
    if price > upper:
        raise PriceOutOfRange(
            f"the price {price} on {instrument.symbol} is above the day's limit {upper} (涨停板)"
        )
    if price < lower:
        raise PriceOutOfRange(
            f"the price {price} on {instrument.symbol} is below the day's limit {lower} (跌停板)"
        )


def _has_market_orders(instrument: Instrument) -> bool:
    if instrument.exchange_id == "DCE":
        return _is_future(instrument)
    return instrument.exchange_id not in NO_MARKET_ORDERS


def _is_future(instrument: Instrument) -> bool:
    return not instrument.ins_class or instrument.ins_class == "FUTURE"
