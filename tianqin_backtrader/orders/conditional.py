"""Orders that wait in the program for a price or a time: stops, trailing stops, Close.

The exchanges' own stop orders are not available through TqSdk, so such an order is held here and is
sent when it fires. The meaning is Backtrader's: a buy stop fires at or above its price, a sell
stop at or below; a trailing stop follows the price in the favourable direction only.

Prices are in quote units, times in nanoseconds since 1970 UTC. A state is a value: ``to_dict``
converts it for the journal, ``from_dict`` restores it.

Source: Backtrader, ``order.py`` (``trailadjust``) and ``brokers/bbroker.py`` (``_try_exec_stop``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from ..core.model import Direction
from ..errors import OrderError


class Kind(StrEnum):
    """Backtrader's names of these orders."""

    STOP = "Stop"
    STOP_LIMIT = "StopLimit"
    STOP_TRAIL = "StopTrail"
    STOP_TRAIL_LIMIT = "StopTrailLimit"
    CLOSE = "Close"


class Status(StrEnum):
    """The state of a conditional order."""

    WAITING = "WAITING"
    TRIGGERED = "TRIGGERED"  # its order is being sent, or has been
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"


class Event(StrEnum):
    """What can happen to a conditional order."""

    HOLD = "HOLD"  # neither its time nor its price has come
    FIRE = "FIRE"
    EXPIRE = "EXPIRE"
    CANCEL = "CANCEL"


#: status -> event -> next status. A final status never changes.
TRANSITIONS: Mapping[Status, Mapping[Event, Status]] = MappingProxyType(
    {
        Status.WAITING: {
            Event.HOLD: Status.WAITING,
            Event.FIRE: Status.TRIGGERED,
            Event.EXPIRE: Status.EXPIRED,
            Event.CANCEL: Status.CANCELLED,
        },
        **{
            over: dict.fromkeys(Event, over)
            for over in (Status.TRIGGERED, Status.EXPIRED, Status.CANCELLED)
        },
    }
)

LIMITS = frozenset({Kind.STOP_LIMIT, Kind.STOP_TRAIL_LIMIT})
TRAILS = frozenset({Kind.STOP_TRAIL, Kind.STOP_TRAIL_LIMIT})


@dataclass(frozen=True, slots=True)
class ConditionalOrder:
    """One order that waits; made by ``stop``, ``trailing_stop`` and ``at_close``.

    Attributes:
        volume: Positive lots.
        stop_price: The price is compared with it; None for CLOSE.
        limit_price: Of the order that is sent; None for a market order.
        trail_amount: Distance of a trailing stop in quote units, None if it is a share.
        trail_percent: Distance as a share of the price (0.02 is two per cent).
        limit_offset: Distance of a trailing stop's limit below its stop.
        due_ns: When CLOSE fires.
        valid_until_ns: The last time at which it may fire; None for no end.
    """

    kind: Kind
    direction: Direction
    volume: int
    stop_price: float | None = None
    limit_price: float | None = None
    trail_amount: float | None = None
    trail_percent: float | None = None
    limit_offset: float = 0.0
    due_ns: int | None = None
    valid_until_ns: int | None = None
    status: Status = Status.WAITING

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for the journal."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> ConditionalOrder:
        """Restore the state that ``to_dict`` wrote.

        Raises:
            OrderError: ``found`` is no such state.
        """
        try:
            values = dict(found)
            for name, of in (("kind", Kind), ("direction", Direction), ("status", Status)):
                values[name] = of(values[name])
            if missing := {field.name for field in fields(cls)} - set(values):
                raise KeyError(*sorted(missing))
            return cls(**values)
        except (KeyError, TypeError, ValueError) as error:
            raise OrderError(f"no conditional order: {found!r} ({error})") from error


@dataclass(frozen=True, slots=True)
class Trigger:
    """An order to send now; ``price`` is the last price then, nan if there was none."""

    direction: Direction
    volume: int
    limit_price: float | None
    price: float
    time: int


def stop(
    direction: Direction,
    volume: int,
    stop_price: float,
    *,
    limit_price: float | None = None,
    valid_until_ns: int | None = None,
) -> ConditionalOrder:
    """Make a Stop, or a StopLimit if a limit price is given.

    Raises:
        OrderError: A price is not a number, or the lots are not positive.
    """
    _check(volume, stop_price, limit_price)
    kind = Kind.STOP if limit_price is None else Kind.STOP_LIMIT
    return ConditionalOrder(
        kind, direction, volume, stop_price, limit_price, valid_until_ns=valid_until_ns
    )


def trailing_stop(
    direction: Direction,
    volume: int,
    reference_price: float,
    *,
    trail_amount: float | None = None,
    trail_percent: float | None = None,
    limit_price: float | None = None,
    valid_until_ns: int | None = None,
) -> ConditionalOrder:
    """Make a StopTrail, or a StopTrailLimit if a limit price is given.

    Args:
        direction: BUY trails above the price, SELL below it.
        volume: Positive lots.
        reference_price: The price it trails first: the order's own, or the last price.
        trail_amount: Distance in quote units; has precedence over ``trail_percent``.
        trail_percent: Distance as a share of the price it trails.
        limit_price: Its distance from ``reference_price`` becomes that of the limit from the stop.
        valid_until_ns: The last time at which it may fire.

    Raises:
        OrderError: The distance or the lots are not positive, or a price is not a number.

    >>> order = trailing_stop(Direction.SELL, 1, 100.0, trail_amount=4.0, limit_price=99.0)
    >>> order.stop_price, order.limit_price
    (96.0, 95.0)
    """
    _check(volume, reference_price, limit_price)
    distance = trail_amount or trail_percent
    if not distance or not math.isfinite(distance) or distance < 0:
        raise OrderError(
            f"a trailing stop needs a positive distance, not trailamount={trail_amount}, "
            f"trailpercent={trail_percent}"
        )
    order = ConditionalOrder(
        Kind.STOP_TRAIL if limit_price is None else Kind.STOP_TRAIL_LIMIT,
        direction,
        volume,
        trail_amount=trail_amount or None,
        trail_percent=None if trail_amount else trail_percent,
        limit_offset=0.0 if limit_price is None else reference_price - limit_price,
        valid_until_ns=valid_until_ns,
    )
    return _trailed(order, reference_price)


def at_close(
    direction: Direction, volume: int, due_ns: int, *, valid_until_ns: int | None = None
) -> ConditionalOrder:
    """Make Backtrader's Close: a market order in the last seconds before the day's last close.

    Args:
        direction: The side.
        volume: Positive lots.
        due_ns: When to send it.
        valid_until_ns: The close itself, after which the order is not sent.
    """
    _check(volume, None, None)
    return ConditionalOrder(
        Kind.CLOSE, direction, volume, due_ns=due_ns, valid_until_ns=valid_until_ns
    )


def on_price(
    state: ConditionalOrder, price: float, now: int
) -> tuple[ConditionalOrder, Trigger | None]:
    """Apply the last price and the time to an order.

    Args:
        state: The state before.
        price: The last price; nan if there is none, then only the time counts.
        now: Nanoseconds since 1970 UTC.

    Returns:
        The state after, and the order to send if it fired; it fires once.
    """
    event = _event(state, price, now)
    status = TRANSITIONS[state.status][event]
    if status is Status.TRIGGERED and state.status is Status.WAITING:
        fired = Trigger(state.direction, state.volume, state.limit_price, price, now)
        return replace(state, status=status), fired
    if status is Status.WAITING and state.kind in TRAILS and math.isfinite(price):
        return _trailed(state, price), None
    return state if status is state.status else replace(state, status=status), None


def cancel(state: ConditionalOrder) -> ConditionalOrder:
    """Cancel an order; a final state stays as it is."""
    return replace(state, status=TRANSITIONS[state.status][Event.CANCEL])


def resize(state: ConditionalOrder, volume: int) -> ConditionalOrder:
    """Return the same order with another number of lots."""
    _check(volume, None, None)
    return replace(state, volume=volume)


def _event(state: ConditionalOrder, price: float, now: int) -> Event:
    if state.valid_until_ns is not None and now > state.valid_until_ns:
        return Event.EXPIRE
    if state.kind is Kind.CLOSE:
        return Event.FIRE if state.due_ns is not None and now >= state.due_ns else Event.HOLD
    if state.stop_price is None or not math.isfinite(price):
        return Event.HOLD
    beyond = (price - state.stop_price) * state.direction.sign
    # Sums of prices have rounding errors: 3.1 + 0.2 is a little more than 3.3.
    reached = beyond >= 0 or math.isclose(price, state.stop_price, rel_tol=1e-9, abs_tol=1e-9)
    return Event.FIRE if reached else Event.HOLD


def _trailed(state: ConditionalOrder, price: float) -> ConditionalOrder:
    """Move the stop after the price if that is the favourable direction."""
    distance = state.trail_amount or abs(price) * (state.trail_percent or 0.0)
    stop_price = price + distance * state.direction.sign
    old = state.stop_price
    if old is not None and (old - stop_price) * state.direction.sign <= 0:
        return state
    limited = state.kind in LIMITS
    limit_price = stop_price - state.limit_offset if limited else None
    return replace(state, stop_price=stop_price, limit_price=limit_price)


def _check(volume: int, price: float | None, limit_price: float | None) -> None:
    if isinstance(volume, bool) or not isinstance(volume, int) or volume <= 0:
        raise OrderError(f"an order needs a positive whole number of lots, not {volume}")
    for each in (price, limit_price):
        if each is not None and not math.isfinite(each):
            raise OrderError(f"the price {each} of an order is no number")
