"""What the rules of ``risk`` look at: the limits, an order, and what it meets.

Prices are in quote units, money in yuan, moments in nanoseconds since 1970 UTC.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from datetime import date
from enum import StrEnum

from ..core.model import NAN, Direction
from ..errors import ConfigError


class GuardState(StrEnum):
    """What may be sent. Cancels always may."""

    ACTIVE = "ACTIVE"  # all that the limits allow
    REDUCING = "REDUCING"  # of that, what makes the position smaller
    HALTED = "HALTED"  # nothing; by a loss or a full disk, nothing but exits taken before


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """Limits; None or False is off.

    Attributes:
        max_order_size: Lots of one order.
        max_position: Net lots of a contract, with all that works in that direction filled.
        max_price_distance: Of a limit price from the last price, as a share of it (0.02).
        orders_per_second: Of all contracts, in any second, as the exchange counts: every leg.
            What was accepted before, as a stop that fires, waits for its turn.
        orders_per_day: Of one contract, every leg.
        cancels_per_day: Of one contract. They are never refused; when they are used up, only
            orders that reduce are sent.
        max_daily_loss: Yuan; looked at in every round. Reached, it leads to ``on_loss``, and orders
            that could make a position larger are withdrawn (all but exits where that is HALTED).
        on_loss: REDUCING or HALTED.
        no_self_trade: Refuse what would trade with an own order.
        no_repeat_within: Seconds in which the same order is not taken again.
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
    """An order that somebody wants to send.

    ``price`` is None for a market order. ``closes`` is said of an order that is known to close
    only, such as one of the four-way orders. ``orders`` are the exchange orders that it becomes.
    ``taken`` is one that its strategy was told to be accepted: a stop that fires, or an order that
    is sent again on another day; it is no repetition by mistake. Orders that differ only in these
    two are the same order.
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
    """An own order on the same contract that works at the exchange."""

    direction: Direction
    volume_left: int
    price: float | None


@dataclass(frozen=True, slots=True)
class RiskContext:
    """What an order meets.

    Attributes:
        now: Nanoseconds since 1970 UTC.
        trading_day: The day it belongs to.
        position: Net lots of the contract.
        working: Our orders on it.
        last_price: nan if there is none.
        day_profit: Yuan since the day began, realised or not, fees taken off.
    """

    now: int
    trading_day: date
    position: int = 0
    working: tuple[OwnOrder, ...] = ()
    last_price: float = NAN
    day_profit: float = 0.0

    def works(self, direction: Direction) -> int:
        """Lots that work in a direction."""
        return sum(own.volume_left for own in self.working if own.direction is direction)


def reduces(intent: OrderIntent, context: RiskContext) -> bool:
    """Whether an order can only make the position smaller, whatever else is filled."""
    held = -context.position * intent.direction.sign
    return intent.closes or context.works(intent.direction) + intent.volume <= held
