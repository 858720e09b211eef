"""Impossible ticks: a timestamp of another time, an invalid price, a volume that falls.

Before an open, counters have sent ticks with the coming night's time, prices of zero or of the
largest number there is, and volumes of another time. Such a tick must not spoil the day's bars: it
is left out, logged and counted.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable

from ..calendars.doubted_stamps import Clock, DoubtedStamps, can_be
from ..contracts.odd_prices import NO_PRICE, UNKNOWN, Limits, oddity
from ..core.clock import FAR, Phase
from ..core.model import NAN, Tick

logger = logging.getLogger(__name__)

#: How often one kind of impossible tick is logged for a contract; all are counted.
SAID = 3


class TickSieve:
    """Checks one contract's ticks in their order.

    Args:
        symbol: The contract.
        clock: Knows which timestamps are possible.
        same_day: Whether a timestamp is of the trading day of a later one, after its opening.
        phase_of: Returns the contract's phase at a timestamp; ``doubted_stamps.phase_at``.
        limits: Returns the price limits of the trading day of a timestamp; asked only about a
            price that is higher or lower than every one before.

    Attributes:
        last_price: The last price of the newest tick that passed, nan before the first.
    """

    def __init__(
        self,
        symbol: str,
        clock: Clock,
        same_day: Callable[[int, int], bool],
        phase_of: Callable[[int], Phase],
        limits: Callable[[int], Limits] = lambda ns: UNKNOWN,
    ) -> None:
        self._symbol, self._clock, self._same_day = symbol, clock, same_day
        self._phase_of, self._stamps = phase_of, DoubtedStamps(clock, phase_of)
        self._stamp = self._volume = 0
        self.last_price = NAN
        self._limits, self._lowest, self._highest = limits, math.inf, -math.inf
        self._wrong = UNKNOWN
        self._fallen = self._beyond = False
        self._said: Counter[str] = Counter()

    @property
    def ignored(self) -> int:
        """Ticks that were left out so far."""
        return self._said.total()

    def may_have_come(self, ns: int) -> bool:
        """Return whether a tick with this stamp can have come by now."""
        return can_be(self._clock, ns, self._phase_of)

    def passes(self, tick: Tick) -> bool:
        """Return whether a tick is possible."""
        reason = self._oddity(tick)
        if not reason:
            self._stamp, self._volume = tick.time, tick.volume
            self._fallen = self._beyond = False
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
        return self._excess(tick) or self._fall(tick)

    def _excess(self, tick: Tick) -> str:
        """Return why a price is impossible by the day's limits.

        If two ticks in a row are beyond them, they are not the day's: what TianQin says of a
        contract may be of the day before. A price that no next day allows is never accepted.
        """
        price = tick.last_price
        if price != price or self._lowest <= price <= self._highest:
            return ""  # nearly every tick
        limits = self._limits(tick.time)
        odd = oddity(self._symbol, price, limits)
        if oddity(self._symbol, price, limits.of_any_next_day):
            return odd
        if odd and self._beyond:
            self._wrong = limits
        self._beyond = bool(odd)
        if odd and limits != self._wrong:
            return odd
        self._lowest, self._highest = min(self._lowest, price), max(self._highest, price)
        return ""

    def _is_ahead(self, ns: int) -> bool:
        if self._stamps.at_rest and ns <= self._clock.now_ns():
            return False  # nearly every tick
        return not self._stamps.believes(ns)

    def _fall(self, tick: Tick) -> str:
        """Return why a volume is impossible: it never falls within a day.

        If two ticks in a row have a lower one, the volume before was wrong.
        """
        if tick.volume >= self._volume or not self._same_day(self._stamp, tick.time):
            return ""
        if self._fallen:
            return ""
        self._fallen = True
        return "its volume has fallen"
