"""Ticks that cannot be: a stamp minutes away, a price that is none, a volume that falls.

Counters have sent, before an open, ticks that are stamped with the coming night's time, prices of
zero or of the largest number there is, and volumes of another moment. One of them must not end the
day's bars: it is left out, said, and counted.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, Protocol

from .clock import FAR, MINUTE, SECOND
from .model import Tick

logger = logging.getLogger(__name__)

#: Stamps far ahead that have gone on for so long, as fast as time to within ``_SAME``, show that
#: the clock is wrong; it takes longer where the market has been heard before, nanoseconds.
_APART, _APART_HEARD, _SAME = 5 * SECOND, MINUTE, 2 * SECOND
#: So many of them in a row, over so long, that go on faster show that a market is played fast.
_IN_A_ROW, _AT_LEAST = 5, SECOND // 100
#: Nothing costs so much, yuan; CTP writes the largest ``double`` where there is no price.
NO_PRICE = 1e12
#: Times that one kind of oddity is said of a contract; all are counted.
SAID = 3


class Clock(Protocol):
    """The exchange's time."""

    @property
    def trusted(self) -> bool: ...

    def believes(self, ns: int) -> bool: ...

    def arrival_ns(self) -> int: ...


class _Ahead(NamedTuple):
    """Stamps in a row that are far ahead: the first and when it came, the latest, how many."""

    stamp: int
    arrival: int
    latest: int
    in_a_row: int


class TickSieve:
    """Looks at one contract's ticks in their order.

    A stamp far ahead is believed if those that follow go on, as time does or faster: it is the
    clock that is wrong, or a server plays a market faster than time. Wrong stamps of a coming
    session stand still.

    Args:
        symbol: The contract.
        clock: Says what a stamp can be.
        same_day: Whether a stamp is of the trading day of a later one, after its opening.
    """

    def __init__(
        self,
        symbol: str,
        clock: Clock,
        same_day: Callable[[int, int], bool],
    ) -> None:
        self._symbol, self._clock, self._same_day = symbol, clock, same_day
        self._combination = "&" in symbol
        self._stamp = self._volume = 0
        self._fallen = False
        self._ahead: _Ahead | None = None
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
        if tick.time > self._stamp and self._is_far_ahead(tick.time):
            return "its stamp is far ahead"
        return self._fall(tick)

    def _is_far_ahead(self, ns: int) -> bool:
        if self._clock.believes(ns):
            self._ahead = None
            return False
        arrival, first = self._clock.arrival_ns(), self._ahead
        if first is None or ns < first.latest:
            self._ahead = _Ahead(ns, arrival, ns, 1)
            return True
        self._ahead = _Ahead(first.stamp, first.arrival, ns, first.in_a_row + 1)
        passed, gone = arrival - first.arrival, ns - first.stamp
        fast = gone >= SECOND and gone > 2 * passed and passed >= _AT_LEAST
        if fast and self._ahead.in_a_row >= _IN_A_ROW:
            return False
        if passed < (_APART_HEARD if self._clock.trusted else _APART):
            return True
        if abs(gone - passed) <= _SAME:
            return False
        self._ahead = None
        return True

    def _fall(self, tick: Tick) -> str:
        """A day's volume only grows; where two in a row are lower, the one before was wrong."""
        if tick.volume >= self._volume or not self._same_day(self._stamp, tick.time):
            return ""
        if self._fallen:
            return ""
        self._fallen = True
        return "its volume has fallen"
