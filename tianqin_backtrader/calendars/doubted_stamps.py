"""Timestamps ahead of the clock: whether the clock is wrong, or the timestamp.

Counters have stamped ticks before an open with the first instant of the coming session. Such a
tick must not end a bar or open the market too early; but a wrong clock must be corrected.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ..core.clock import FAR, MINUTE, NEAR, SECOND, Phase, from_ns

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..core.ports import Calendar

#: If stamps ahead go on for this long at the speed of time (to within ``_SAME``), the clock is
#: wrong. A clock that has been right and is to move far needs the longer time. Nanoseconds.
_APART, _APART_FAR, _SAME = 5 * SECOND, MINUTE, 2 * SECOND
#: If this many stamps in a row, over this long, go on faster, the market is played fast.
_IN_A_ROW, _AT_LEAST = 5, SECOND // 100
#: In this time before an open nothing but its auction is stamped.
_BEFORE_OPEN = timedelta(hours=1)


class Clock(Protocol):
    """The exchange's time."""

    @property
    def trusted(self) -> bool: ...

    def now_ns(self) -> int: ...

    def believes(self, ns: int, phase: Phase = Phase.TRADING) -> bool: ...

    def arrival_ns(self) -> int: ...


class _Ahead(NamedTuple):
    """Consecutive stamps ahead of the clock: the first, its arrival, the latest, their number."""

    stamp: int
    arrival: int
    latest: int
    in_a_row: int


class DoubtedStamps:
    """Checks one contract's timestamps in their order.

    A stamp ahead is accepted if later stamps go on, at the speed of time or faster: then the clock
    is wrong, or a server plays a market faster than time. Wrong stamps are single, or do not
    advance.

    Args:
        clock: Says which stamps are possible.
        phase_of: Returns the contract's phase at a stamp.

    Attributes:
        at_rest: Whether no stamp is ahead: one that is not ahead of the clock changes nothing.
    """

    def __init__(self, clock: Clock, phase_of: Callable[[int], Phase]) -> None:
        self._clock, self._phase_of = clock, phase_of
        self._ahead: _Ahead | None = None
        self._left_out = 0  # the latest rejected stamp; it is not accepted before its time
        # When the last stamp arrived that was ahead because the market is played fast.
        self._fast_at: int | None = None
        self.at_rest = True

    def believes(self, ns: int) -> bool:
        """Whether this timestamp of a tick that has just arrived can be right."""
        believed = self._believes(ns)
        self.at_rest = self._ahead is None and self._fast_at is None
        return believed

    def _believes(self, ns: int) -> bool:
        if self._can_be(ns):
            self._ahead = None
            self._slow_down(ns)
            return True
        if self._fast_at is not None and ns - self._clock.now_ns() <= FAR:
            self._fast_at = self._clock.arrival_ns()
            return True
        believed = self._goes_on(ns)
        if not believed:
            self._left_out = ns
        return believed

    def _slow_down(self, ns: int) -> None:
        """Forget a fast market if stamps are on time again: it was a burst of late ticks."""
        if self._fast_at is None or abs(ns - self._clock.now_ns()) > NEAR:
            return
        if self._clock.arrival_ns() - self._fast_at >= _APART:
            self._fast_at = None

    def _can_be(self, ns: int) -> bool:
        if ns == self._left_out and ns > self._clock.now_ns():
            return False
        return can_be(self._clock, ns, self._phase_of)

    def _goes_on(self, ns: int) -> bool:
        """Whether stamps advance at the speed of time or faster; otherwise counting restarts."""
        arrival, first = self._clock.arrival_ns(), self._ahead
        if first is None or ns < first.latest:
            self._ahead = _Ahead(ns, arrival, ns, 1)
            return False
        ahead = self._ahead = _Ahead(first.stamp, first.arrival, ns, first.in_a_row + 1)
        passed, gone = arrival - ahead.arrival, ahead.latest - ahead.stamp
        if gone >= SECOND and gone > 2 * passed and passed >= _AT_LEAST:
            if ahead.in_a_row >= _IN_A_ROW:
                self._fast_at = arrival
                return True
        far = ahead.latest - self._clock.now_ns() > FAR
        if passed < (_APART_FAR if far and self._clock.trusted else _APART):
            return False
        if abs(gone - passed) <= _SAME:
            return True
        self._ahead = _Ahead(ahead.latest, arrival, ahead.latest, 1)
        return False


def can_be(clock: Clock, ns: int, phase_of: Callable[[int], Phase]) -> bool:
    """Whether a tick of a contract with the stamp ``ns`` can have arrived by now.

    The calendar is asked only if needed, so never about an impossible year.
    """
    return clock.believes(ns, Phase.OPENING) or (
        clock.believes(ns) and clock.believes(ns, phase_of(ns))
    )


def phase_at(calendar: Calendar, symbol: str, ns: int) -> Phase:
    """Whether a stamp is within a session, at its opening instant, or shortly before."""
    moment = from_ns(ns)
    sessions = calendar.sessions(symbol, calendar.trading_day_at(moment))
    if any(start < moment <= end for start, end in sessions):
        return Phase.TRADING
    if any(start == moment for start, _ in sessions):
        return Phase.OPENING
    soon = any(start - _BEFORE_OPEN <= moment < start for start, _ in sessions)
    return Phase.PRE_OPEN if soon else Phase.TRADING
