"""The price and the type of an order in the exchange's terms.

Source: the exchanges' order types and TqSdk's ``TqApi.insert_order``, which raises an exception for
what an exchange does not have; this module refuses it first, with a clear message.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from ..core.model import Direction, Instrument
from ..errors import NotKnownYet, OrderError, PriceOutOfRange

#: Exchanges without market orders in TqSdk: an FAK order at the day's price limit does the same.
NO_MARKET_ORDERS = frozenset({"SHFE", "INE", "CFFEX"})
#: Price words.
BEST, FIVELEVEL = "BEST", "FIVELEVEL"
#: The exchange that has them.
WORDS_AT = "CFFEX"
#: What happens to lots that do not trade at once.
ADVANCED = (None, "FAK", "FOK")
#: A market order whose rest stays, as a limit order at the day's price limit: a stop that closes
#: becomes one. It leaves a market without a counterparty as soon as there is one.
STAYS = "STAYS"


class OrderType(StrEnum):
    """The price type of a four-way order."""

    LIMIT = "LIMIT"
    MARKET = "MARKET"
    BEST = "BEST"  # CFFEX: the best price of the other side
    FIVELEVEL = "FIVELEVEL"  # CFFEX: the best five prices of the other side


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """The requested price, word, or None for a market order; and FAK, FOK or None."""

    limit_price: float | str | None = None
    advanced: str | None = None

    @property
    def is_market(self) -> bool:
        """Whether it trades at market prices."""
        return not isinstance(self.limit_price, int | float)


def order_terms(
    limit_price: float | str | None, order_type: str | None = None, advanced: str | None = None
) -> OrderTerms:
    """Combine the parameters of a four-way order.

    Args:
        limit_price: A price, ``"BEST"``, ``"FIVELEVEL"``, or None.
        order_type: LIMIT, MARKET, BEST, FIVELEVEL, or None to derive it from ``limit_price``; FAK
            and FOK are accepted, too.
        advanced: ``"FAK"``, ``"FOK"`` or None.

    Raises:
        OrderError: They contradict each other, or a word is unknown.

    >>> order_terms(None, "BEST"), order_terms(100.0, "FAK")
    (OrderTerms(limit_price='BEST', advanced=None), OrderTerms(limit_price=100.0, advanced='FAK'))
    """
    kind = None if order_type is None else str(order_type).upper()
    if kind in ("FAK", "FOK"):
        if advanced not in (None, kind):
            raise OrderError(f"an order cannot be {kind} and {advanced} at once")
        kind, advanced = None, kind
    if advanced not in ADVANCED:
        raise OrderError(f"advanced must be None, FAK or FOK, not {advanced!r}")
    if kind is None:
        return OrderTerms(limit_price, advanced)
    if kind not in OrderType.__members__:
        raise OrderError(f"order_type must be {', '.join(OrderType)}, FAK or FOK, not {order_type}")
    if (kind == OrderType.LIMIT) != isinstance(limit_price, int | float):
        if limit_price != kind:  # the word was given twice
            raise OrderError(f"limit_price {limit_price!r} does not fit order_type {kind}")
    return OrderTerms(
        limit_price if kind == OrderType.LIMIT else None if kind == OrderType.MARKET else kind,
        advanced,
    )


def passive_price(price: float, direction: Direction, instrument: Instrument) -> float:
    """A price on the contract's tick; between two ticks it is rounded to the passive side.

    Raises:
        OrderError: The price is not a number.
    """
    if isinstance(price, bool) or not math.isfinite(price):
        raise OrderError(f"the price {price} of an order on {instrument.symbol} is not a number")
    ticks = price / instrument.price_tick
    if abs(ticks - round(ticks)) > 1e-6:
        ticks = math.floor(ticks) if direction is Direction.BUY else math.ceil(ticks)
    return round(round(ticks) * instrument.price_tick, instrument.price_decs)


def needs_limits(asked: OrderTerms, instrument: Instrument) -> bool:
    """Whether the day's price limits must be known, because the order is sent at a limit."""
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
    """The price and type to send.

    Args:
        asked: The requested terms.
        direction: The order's direction.
        instrument: The order's contract.
        limits: (upper_limit, lower_limit) of the day in quote units, NaN if unknown.
        clips: Whether a buy above the upper limit, or a sell below the lower one, is sent at the
            limit, which means the same.

    Raises:
        OrderError: The exchange has no such order, or the price is not a number.
        NotKnownYet: The order must be sent at a limit that is not known yet.
        PriceOutOfRange: The price is beyond a limit.
    """
    price, advanced = asked.limit_price, asked.advanced
    if isinstance(price, str):
        return _in_words(price, advanced, instrument)
    if advanced == "FOK" and instrument.exchange_id == "CZCE" and _is_future(instrument):
        raise OrderError(f"CZCE does not accept FOK orders on futures ({instrument.symbol})")
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
            f"the price limits of {instrument.symbol} are not known yet: give a limit price"
        )
    return OrderTerms(limit, None if advanced == STAYS else advanced or "FAK")


def _in_words(price: str, advanced: str | None, instrument: Instrument) -> OrderTerms:
    if price not in (BEST, FIVELEVEL):
        raise OrderError(f"limit_price must be a number, None, BEST or FIVELEVEL, not {price!r}")
    if instrument.exchange_id != WORDS_AT:
        raise OrderError(
            f"{price} orders exist at {WORDS_AT} only, not at {instrument.exchange_id}; "
            "limit_price=None is a market order on every exchange"
        )
    if advanced == "FOK":
        raise OrderError(f"{WORDS_AT} does not accept {price} orders with FOK")
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
