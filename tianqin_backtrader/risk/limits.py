"""What the risk rules compare: the limits, an order, and the facts about it.

Prices are in quote units, money in yuan, times in nanoseconds since 1970 UTC.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from datetime import date
from enum import StrEnum

from ..core.model import NAN, Direction
from ..errors import ConfigError


class GuardState(StrEnum):
    """Which orders may be sent. Cancels are always sent."""

    ACTIVE = "ACTIVE"  # all orders within the limits
    REDUCING = "REDUCING"  # of these, orders that reduce the position
    HALTED = "HALTED"  # none; after a loss or with a full disk, only exits accepted before


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """Limits; None or False is off.

    Attributes:
        max_order_size: Lots of one order.
        max_position: Net lots of a contract if all working orders of that direction are filled.
        max_price_distance: Distance of a limit price from the last price, as a share of it (0.02).
        orders_per_second: Orders of all contracts in any second, as the exchange counts: every leg.
            An order that was accepted before, such as a stop that fires, waits until it is allowed.
        orders_per_day: Orders of one contract, every leg.
        cancels_per_day: Cancels of one contract. They are never refused; once the number is
            reached, only orders that reduce the position are sent.
        max_daily_loss: Yuan, checked in every round. If it is reached, the state becomes
            ``on_loss``, and orders that could increase a position are withdrawn (with HALTED all
            orders except exits).
        on_loss: REDUCING or HALTED.
        no_self_trade: Refuse orders that would trade with an own order.
        no_repeat_within: Seconds in which the same order is refused.
    """

    max_order_size: int | None = None
    max_position: int | None = None
    max_price_distance: float | None = None
    orders_per_second: int | None = None
    orders_per_day: int | None = None
    cancels_per_day: int | None = None
    max_daily_loss: float | None = None
    on_loss: GuardState = GuardState.REDUCING
    no_self_trade: bool = False
    no_repeat_within: float | None = None

    def __post_init__(self) -> None:
        for limit in fields(self):
            value = getattr(self, limit.name)
            if isinstance(value, int | float) and not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"{limit.name} is a limit, it cannot be {value}")
        if self.max_daily_loss == 0:
            raise ConfigError("max_daily_loss is an amount of yuan, it cannot be 0")
        if self.on_loss not in (GuardState.REDUCING, GuardState.HALTED):
            raise ConfigError(f"on_loss is REDUCING or HALTED, not {self.on_loss}")


@dataclass(frozen=True, slots=True)
class OrderIntent:
    """An order before it is sent.

    ``price`` is None for a market order. ``closes`` is True if the order is known to close only,
    such as a four-way close. ``orders`` is the number of exchange orders that it becomes. ``taken``
    is True if it was notified as accepted before: a stop that fires, or an order that is sent again
    on another day, which is no repetition by mistake. Orders that differ only in the last two are
    the same order.
    """

    symbol: str
    direction: Direction
    volume: int
    price: float | None = None
    closes: bool = False
    orders: int = field(default=1, compare=False)
    taken: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class OwnOrder:
    """An own order on the same contract that is at the exchange."""

    direction: Direction
    volume_left: int
    price: float | None


@dataclass(frozen=True, slots=True)
class RiskContext:
    """The facts about an order.

    Attributes:
        now: Nanoseconds since 1970 UTC.
        trading_day: The present trading day.
        position: Net lots of the contract.
        working: Own orders on it at the exchange.
        last_price: The last price; nan if there is none.
        day_profit: Yuan since the day began, realised or not, less fees.
    """

    now: int
    trading_day: date
    position: int = 0
    working: tuple[OwnOrder, ...] = ()
    last_price: float = NAN
    day_profit: float = 0.0

    def works(self, direction: Direction) -> int:
        """Return the lots of working orders in a direction."""
        return sum(own.volume_left for own in self.working if own.direction is direction)


def reduces(intent: OrderIntent, context: RiskContext) -> bool:
    """Return whether an order can only reduce the position, whatever else is filled."""
    held = -context.position * intent.direction.sign
    return intent.closes or context.works(intent.direction) + intent.volume <= held
