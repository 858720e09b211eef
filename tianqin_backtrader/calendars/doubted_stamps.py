"""Stamps ahead of the clock: when they set it right, and when they are wrong themselves.

Counters have stamped ticks before an open with the coming session's first instant. One of them
must not end a bar, or open the market, too early; a clock that is wrong must be set right.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ..core.clock import FAR, MINUTE, NEAR, SECOND, Phase, from_ns

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..core.ports import Calendar

#: Stamps ahead that have gone on for so long, as fast as time to within ``_SAME``, show that the
#: clock is wrong; it takes longer where it has been right and is to move far, nanoseconds.
_APART, _APART_FAR, _SAME = 5 * SECOND, MINUTE, 2 * SECOND
#: So many of them in a row, over so long, that go on faster show that a market is played fast.
_IN_A_ROW, _AT_LEAST = 5, SECOND // 100
#: So long before an open nothing is stamped but its auction.
_BEFORE_OPEN = timedelta(hours=1)


class Clock(Protocol):
    """The exchange's time."""

    @property
    def trusted(self) -> bool: ...

    def now_ns(self) -> int: ...

    def believes(self, ns: int, phase: Phase = Phase.TRADING) -> bool: ...

    def arrival_ns(self) -> int: ...


class _Ahead(NamedTuple):
    """Stamps in a row that are ahead: the first and when it came, the latest, how many."""

    stamp: int
    arrival: int
    latest: int
    in_a_row: int


class DoubtedStamps:
    """Looks at one contract's stamps in their order.

    A stamp ahead is believed if those that follow go on, as time does or faster: it is the clock
    that is wrong, or a server plays a market faster than time. Wrong stamps are alone, or stand
    still.

    Args:
        clock: Says what a stamp can be.
        phase_of: That of the contract at a stamp.
    """

    def __init__(self, clock: Clock, phase_of: Callable[[int], Phase]) -> None:
        self._clock, self._phase_of = clock, phase_of
        self._ahead: _Ahead | None = None
        self._left_out = 0  # the latest stamp that was: it is not believed before its time
        # When a stamp came last that was ahead because the market is played fast.
        self._fast_at: int | None = None

    def believes(self, ns: int) -> bool:
        """Whether a tick that has just come may be stamped so."""
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
        """A burst of late ticks is no fast market: its stamps are on time again, for seconds."""
        if self._fast_at is None or abs(ns - self._clock.now_ns()) > NEAR:
            return
        if self._clock.arrival_ns() - self._fast_at >= _APART:
            self._fast_at = None

    def _can_be(self, ns: int) -> bool:
        if ns == self._left_out and ns > self._clock.now_ns():
            return False
        return can_be(self._clock, ns, self._phase_of)

    def _goes_on(self, ns: int) -> bool:
        """Whether stamps go on as time does, or faster; where not they begin anew."""
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
    """Whether a tick of a contract that is stamped ``ns`` may have come by now.

    The calendar is asked only where it matters, so not about a year that nobody believes.
    """
    return clock.believes(ns, Phase.OPENING) or (
        clock.believes(ns) and clock.believes(ns, phase_of(ns))
    )


def phase_at(calendar: Calendar, symbol: str, ns: int) -> Phase:
    """Whether a stamp is of a session, or of its opening instant, or shortly before."""
    moment = from_ns(ns)
    sessions = calendar.sessions(symbol, calendar.trading_day_at(moment))
    if any(start < moment <= end for start, end in sessions):
        return Phase.TRADING
    if any(start == moment for start, _ in sessions):
        return Phase.OPENING
    soon = any(start - _BEFORE_OPEN <= moment < start for start, _ in sessions)
    return Phase.PRE_OPEN if soon else Phase.TRADING
