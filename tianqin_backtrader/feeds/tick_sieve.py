"""Ticks that cannot be: a stamp of another time, a price that is none, a volume that falls.

Counters have sent, before an open, ticks that are stamped with the coming night's time, prices of
zero or of the largest number there is, and volumes of another moment. One of them must not end the
day's bars: it is left out, said, and counted.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from ..calendars.doubted_stamps import Clock, DoubtedStamps
from ..contracts.odd_prices import NO_PRICE, oddity
from ..core.clock import FAR, Phase
from ..core.model import NAN, Tick

logger = logging.getLogger(__name__)

#: Times that one kind of oddity is said of a contract; all are counted.
SAID = 3


class TickSieve:
    """Looks at one contract's ticks in their order.

    Args:
        symbol: The contract.
        clock: Says what a stamp can be.
        same_day: Whether a stamp is of the trading day of a later one, after its opening.
        phase_of: That of the contract at a stamp; ``doubted_stamps.phase_at``.

    Attributes:
        last_price: That of the last tick that passed, nan before one.
    """

    def __init__(
        self,
        symbol: str,
        clock: Clock,
        same_day: Callable[[int, int], bool],
        phase_of: Callable[[int], Phase],
    ) -> None:
        self._symbol, self._clock, self._same_day = symbol, clock, same_day
        self._stamps = DoubtedStamps(clock, phase_of)
        self._stamp = self._volume = 0
        self.last_price = NAN
        self._fallen = False
        self._said: Counter[str] = Counter()

    @property
    def ignored(self) -> int:
        """Ticks that were left out so far."""
        return self._said.total()

    def passes(self, tick: Tick) -> bool:
        """Whether a tick may be what it says."""
        reason = self._oddity(tick)
        if not reason:
            self._stamp, self._volume, self._fallen = tick.time, tick.volume, False
            self.last_price = tick.last_price
            return True
        self._said[reason] += 1
        if self._said[reason] <= SAID:
            logger.warning("%s: a tick is left out, %s: %s", self._symbol, reason, tick)
        return False

    def _oddity(self, tick: Tick) -> str:
        plain = 0 < tick.last_price < NO_PRICE
        if not plain and (odd := oddity(self._symbol, tick.last_price)):
            return odd
        if tick.time < self._stamp - FAR:
            return "its stamp is long before the last one"
        if tick.time > self._stamp and self._is_ahead(tick.time):
            return "its stamp is ahead"
        return self._fall(tick)

    def _is_ahead(self, ns: int) -> bool:
        if self._stamps.at_rest and ns <= self._clock.now_ns():
            return False  # nearly every tick
        return not self._stamps.believes(ns)

    def _fall(self, tick: Tick) -> str:
        """A day's volume only grows; where two in a row are lower, the one before was wrong."""
        if tick.volume >= self._volume or not self._same_day(self._stamp, tick.time):
            return ""
        if self._fallen:
            return ""
        self._fallen = True
        return "its volume has fallen"
