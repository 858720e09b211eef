"""What is known of a contract's lots: who chooses among them, what they cost, how many at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import numpy as np

from ..core.model import Counter, Instrument
from ..errors import VolumeOutOfRange


class Closing(StrEnum):
    """Which lots an exchange takes for a plain CLOSE."""

    APART = "apart"  # earlier days' only; CLOSETODAY takes today's
    OLDEST_FIRST = "oldest_first"  # earlier days' first, then today's
    NEWEST_FIRST = "newest_first"  # today's first, as TqSdk's TargetPosTask and vnpy assume


#: Where today's lots need their own offset.
CLOSES_TODAY_APART = frozenset({"SHFE", "INE"})
#: Which lots a counter takes for a plain CLOSE where they are not apart.
CHOOSES: Mapping[Counter, Closing] = MappingProxyType(
    {
        Counter.KQ: Closing.NEWEST_FIRST,
        Counter.CTP: Closing.OLDEST_FIRST,  # and it asks the fee of today's
        Counter.SIM: Closing.OLDEST_FIRST,
    }
)


class Priority(StrEnum):
    """Which lots go first where we may choose."""

    TODAY_FIRST = "today_first"
    YESTERDAY_FIRST = "yesterday_first"
    YESTERDAY_ONLY = "yesterday_only"  # never closes today's lots; a close beyond is refused
    LOCK = "lock"  # instead of closing today's lots, opens the other side
    CHEAPEST = "cheapest"  # one of the others, by ``LotFees``


def priority_refusal(priority: Priority, exchange_id: str, counter: Counter) -> str:
    """Why a priority cannot be kept at an exchange; "" if it can.

    Outside SHFE and INE the paper account closes today's lots first, and futures companies ask the
    fee of today's lots for older ones.
    """
    spares = priority in (Priority.LOCK, Priority.YESTERDAY_ONLY)
    if not spares or exchange_id in CLOSES_TODAY_APART or counter is Counter.SIM:
        return ""
    return (
        f"priority={str(priority)!r} cannot be kept at {exchange_id}: there the counter chooses "
        "which lots a close takes; use another priority"
    )


@dataclass(frozen=True, slots=True)
class LotFees:
    """Yuan for one lot."""

    close_today: float
    close_history: float
    open: float

    @property
    def priority(self) -> Priority:
        """The cheapest way out of today's lots.

        Locking costs an opening now and, on a later day, the closing of both sides.
        """
        if self.close_today > self.open + 2 * self.close_history:
            return Priority.LOCK
        if self.close_today < self.close_history:
            return Priority.TODAY_FIRST
        return Priority.YESTERDAY_FIRST


@dataclass(frozen=True, slots=True)
class LotLimits:
    """Lots of one order: at most ``most`` (0: no limit), and ``open_least`` if it opens."""

    most: int = 0
    open_least: int = 1

    @classmethod
    def of(cls, instrument: Instrument, *, market_order: bool) -> LotLimits:
        """What a contract allows today."""
        one = instrument
        if market_order:
            return cls(one.max_market_order_volume, max(one.open_min_market_order_volume, 1))
        return cls(one.max_limit_order_volume, max(one.open_min_limit_order_volume, 1))

    def pieces(self, volume: int, *, opens: bool) -> tuple[int, ...]:
        """``volume`` lots as orders within the limits, as few as there can be.

        Raises:
            VolumeOutOfRange: They cannot be opened in orders that are large enough.

        >>> LotLimits(most=10, open_least=4).pieces(11, opens=True)
        (6, 5)
        """
        if not volume:
            return ()
        most = self.most or volume
        full, rest = divmod(volume, most)
        if not opens or (rest or most) >= self.open_least:
            return (most,) * full + (rest,) * bool(rest)
        # The orders before lend what the last one lacks.
        orders = full + 1 if rest else full
        if volume // orders < self.open_least:
            raise VolumeOutOfRange(
                f"to open {volume} lots, but an order opens {self.open_least} at least"
                + (f" and {self.most} at most" if self.most else "")
            )
        return tuple(volume // orders + (i < volume % orders) for i in range(orders))


NO_LIMITS = LotLimits()


def plain(value: Any) -> Any:
    """numpy's numbers as Python's own: they are looked at by type, and kept as JSON."""
    return value.item() if isinstance(value, np.generic) else value


def whole_lots(size: float) -> int:
    """A number of lots.

    Raises:
        VolumeOutOfRange: It is not whole, or not positive.
    """
    whole = isinstance(size, int | float) and not isinstance(size, bool) and math.isfinite(size)
    if not whole or size != int(size) or size <= 0:
        raise VolumeOutOfRange(f"an order needs a positive whole number of lots, not {size}")
    return int(size)
