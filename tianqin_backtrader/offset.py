"""From one order to the exchange's legs: which lots are closed, and with which offset.

SHFE and INE keep today's lots apart: CLOSETODAY closes those of today only, CLOSE those of
earlier days only, and a close over both must be split. Elsewhere CLOSE takes both.

Source: TqSdk, ``TqApi.insert_order``, parameter ``offset``; the exchanges' rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .model import Offset

#: Where today's lots need their own offset.
CLOSES_TODAY_APART = frozenset({"SHFE", "INE"})


@dataclass(frozen=True, slots=True)
class Leg:
    """One order as the exchange takes it: positive lots with one offset."""

    offset: Offset
    volume: int


@dataclass(frozen=True, slots=True)
class Closable:
    """Lots of one side that can be closed now: held, less what working closes have frozen."""

    today: int
    history: int

    def __post_init__(self) -> None:
        if self.today < 0 or self.history < 0:
            raise ValueError(f"lots cannot be negative: {self}")

    @property
    def total(self) -> int:
        """Both together."""
        return self.today + self.history

    def less(self, legs: Iterable[Leg], *, closes_today_apart: bool) -> Closable:
        """What stays after closes that are on their way to the exchange.

        Where today's lots are not apart, it is the exchange that chooses; history goes first.
        """
        today, history = self.today, self.history
        for leg in legs:
            if leg.offset is Offset.CLOSETODAY:
                today -= leg.volume
            else:
                over = 0 if closes_today_apart else max(0, leg.volume - history)
                history -= leg.volume - over
                today -= over
        return Closable(max(0, today), max(0, history))


def closable_lots(position: Mapping[str, Any], side: str) -> Closable:
    """What can be closed of one side of an account's position.

    Args:
        position: Fields as TqSdk names them (``pos_long_today``, ``volume_long_frozen_today`` ...).
        side: ``"long"`` or ``"short"``.
    """
    held_today = int(position.get(f"pos_{side}_today", 0))
    held_history = int(position.get(f"pos_{side}_his", 0))
    frozen_today = int(position.get(f"volume_{side}_frozen_today", 0))
    frozen_history = int(position.get(f"volume_{side}_frozen_his", 0))
    return Closable(max(0, held_today - frozen_today), max(0, held_history - frozen_history))


def split_close(volume: int, closable: Closable, *, closes_today_apart: bool) -> tuple[Leg, ...]:
    """Legs that close ``volume`` lots, today's first; as many as can be closed, never more.

    Args:
        volume: Positive lots.
        closable: Unfrozen lots of the side that is closed.
        closes_today_apart: True at SHFE and INE.

    Returns:
        At most two legs; their lots add up to ``min(volume, closable.total)``.

    >>> legs = split_close(4, Closable(today=2, history=5), closes_today_apart=True)
    >>> [(str(leg.offset), leg.volume) for leg in legs]
    [('CLOSETODAY', 2), ('CLOSE', 2)]
    """
    if volume <= 0:
        raise ValueError(f"lots to close must be positive, not {volume}")
    volume = min(volume, closable.total)
    if not closes_today_apart:
        parts = [(Offset.CLOSE, volume)]
    else:
        today = min(volume, closable.today)
        parts = [(Offset.CLOSETODAY, today), (Offset.CLOSE, volume - today)]
    return tuple(Leg(offset, lots) for offset, lots in parts if lots)


def split_order(volume: int, closable: Closable, *, closes_today_apart: bool) -> tuple[Leg, ...]:
    """Legs of a Backtrader order: close the other side first, open what is left.

    Args:
        volume: Positive lots.
        closable: Unfrozen lots of the opposite side (the short side for a buy).
        closes_today_apart: True at SHFE and INE.

    Returns:
        One to three legs whose lots add up to ``volume``, in sending order.

    >>> legs = split_order(5, Closable(today=2, history=1), closes_today_apart=True)
    >>> [(str(leg.offset), leg.volume) for leg in legs]
    [('CLOSETODAY', 2), ('CLOSE', 1), ('OPEN', 2)]
    """
    closing: tuple[Leg, ...] = ()
    if closable.total:
        closing = split_close(volume, closable, closes_today_apart=closes_today_apart)
    left = volume - sum(leg.volume for leg in closing)
    return (*closing, Leg(Offset.OPEN, left)) if left else closing
