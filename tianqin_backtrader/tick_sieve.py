"""Ticks that cannot be: a stamp minutes away, a price that is none, a volume that falls.

Counters have sent, before an open, ticks that are stamped with the coming night's time, prices of
zero or of the largest number there is, and volumes of another moment. One of them must not end the
day's bars: it is left out, said, and counted.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from .clock import MINUTE
from .model import Tick

logger = logging.getLogger(__name__)

#: A stamp may be so far from the present, or before the tick before it, nanoseconds.
FAR = 5 * MINUTE
#: Nothing costs so much, yuan; CTP writes the largest ``double`` where there is no price.
NO_PRICE = 1e12
#: Times that one kind of oddity is said of a contract; all are counted.
SAID = 3


class TickSieve:
    """Looks at one contract's ticks in their order.

    Args:
        symbol: The contract.
        believes: Whether a stamp can be of now, or earlier.
        same_day: Whether a stamp is of the trading day of a later one, after its opening.
    """

    def __init__(
        self,
        symbol: str,
        believes: Callable[[int], bool],
        same_day: Callable[[int, int], bool],
    ) -> None:
        self._symbol, self._believes, self._same_day = symbol, believes, same_day
        self._combination = "&" in symbol
        self._stamp = self._volume = 0
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
            return True
        self._said[reason] += 1
        if self._said[reason] <= SAID:
            logger.warning("%s: a tick is left out, %s: %s", self._symbol, reason, tick)
        return False

    def _oddity(self, tick: Tick) -> str:
        price = tick.last_price
        if price == 0 and not self._combination:
            return "its price is 0"
        if not (price != price or -NO_PRICE < price < NO_PRICE):
            return "its price is none"
        if tick.time < self._stamp - FAR:
            return "its stamp is long before the last one"
        if tick.time > self._stamp and not self._believes(tick.time):
            return "its stamp is far ahead"
        return self._fall(tick)

    def _fall(self, tick: Tick) -> str:
        """A day's volume only grows; where two in a row are lower, the one before was wrong."""
        if tick.volume >= self._volume or not self._same_day(self._stamp, tick.time):
            return ""
        if self._fallen:
            return ""
        self._fallen = True
        return "its volume has fallen"
