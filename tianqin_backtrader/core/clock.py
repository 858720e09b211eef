"""Time: the only place that asks the machine's clock, and the three ways a moment is written.

The machine's clock, and waiting by it, can be put in by a test: ``live_on``.

A moment is an ``int`` of nanoseconds since 1970-01-01 UTC on the wire and in the core, a naive
``datetime`` of Beijing time where a user looks, and a ``float`` of days in Backtrader's lines.
"""

from __future__ import annotations

import selectors
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import Enum
from typing import NamedTuple, Protocol

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
BEIJING_OFFSET = 8 * HOUR

_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
#: A stamp may be so far ahead of a clock that no live stamp has set yet, and of one that has been
#: set, nanoseconds.
FAR, NEAR = 5 * MINUTE, 3 * SECOND
#: How wrong the machine's clock may be before the market has been heard.
UNSURE = 120 * SECOND
#: What a clock may lose in a minute in which nothing sets it right (9 s a day), nanoseconds.
_LOST = MINUTE // 10_000
#: What the best stamps are forgotten by in a minute: the machine's clock may gain, nanoseconds.
_FORGOTTEN = SECOND // 10
#: What no clock gains between two looks: it was set, nanoseconds.
_SET = SECOND // 5
#: What is left of a wait when it is over, seconds: sums of floats leave some.
OVER = 0.0005
_ORDINAL_1970 = 719163  # date(1970, 1, 1).toordinal()


def to_ns(moment: datetime) -> int:
    """Nanoseconds since 1970 UTC of a naive Beijing ``datetime``.

    >>> to_ns(datetime(2026, 11, 9, 21, 0))
    1794229200000000000
    """
    return (moment - _EPOCH) // _MICROSECOND * 1000 - BEIJING_OFFSET


def from_ns(ns: int) -> datetime:
    """Naive Beijing ``datetime`` of nanoseconds since 1970 UTC, cut to microseconds.

    >>> from_ns(1794229200000000000)
    datetime.datetime(2026, 11, 9, 21, 0)
    """
    return _EPOCH + timedelta(microseconds=(ns + BEIJING_OFFSET) // 1000)


def to_backtrader(ns: int) -> float:
    """Days since 0001-01-01 as Backtrader keeps them, of Beijing time.

    Equal to ``backtrader.date2num`` bit for bit on whole minutes. All feeds must use this one
    function: another order of the same sums differs in the last bit, and then bars of two
    contracts no longer share a stamp.
    """
    return (ns + BEIJING_OFFSET) / SECOND / 86400.0 + _ORDINAL_1970


def from_backtrader(days: float) -> int:
    """Nanoseconds since 1970 UTC of Backtrader's days, to the nearest millisecond.

    >>> from_backtrader(to_backtrader(1794229200500000000))
    1794229200500000000
    """
    milliseconds = round((days - _ORDINAL_1970) * 86400_000)
    return milliseconds * 1_000_000 - BEIJING_OFFSET


class Phase(Enum):
    """What a contract's day is at when a tick of it is stamped.

    Counters have stamped ticks before an open with the session's first instant, minutes early.
    """

    TRADING = "trading, or hours before it"
    PRE_OPEN = "shortly before an open"
    OPENING = "the first instant of a session"


class Clock(Protocol):
    """Where the present comes from."""

    def now_ns(self) -> int:
        """Nanoseconds since 1970 UTC."""
        ...


def sleepless(clocks: object) -> int | None:
    """The clock that is never set and goes on while the machine sleeps, for ``clock_gettime``.

    On Linux that is the one of the boot. On a Mac, which counts ``UPTIME_RAW`` apart, it is
    ``MONOTONIC_RAW``, while ``time.monotonic`` stands; on Linux that one stands, too.

    Args:
        clocks: Has those of the platform: the module ``time``.

    Returns:
        None where ``time.monotonic`` is it, as on Windows.
    """
    found: int | None = getattr(clocks, "CLOCK_BOOTTIME", None)
    if found is None and hasattr(clocks, "CLOCK_UPTIME_RAW"):
        found = getattr(clocks, "CLOCK_MONOTONIC_RAW", None)
    return found


_SLEEPLESS = sleepless(time)


class Machine:
    """The clock of the machine that the program runs on, and waiting by it; this is the real one.

    A program that the embedded exchange keeps silent about the time has another: ``SharedClock``.
    """

    def now_ns(self) -> int:
        """Nanoseconds since 1970 UTC; somebody may set it."""
        return time.time_ns()

    def passed_ns(self) -> int:
        """Nanoseconds of a clock that is never set, and goes on while the machine sleeps."""
        return time.monotonic_ns() if _SLEEPLESS is None else time.clock_gettime_ns(_SLEEPLESS)

    def monotonic(self) -> float:
        """Seconds of a clock that is never set, for time-outs; it may stand in a sleep."""
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        """Let time pass where there is nothing that could be waited for."""
        time.sleep(seconds)

    def wait_for(self, event: threading.Event, seconds: float) -> None:
        """Wait for what another thread says, so long at most."""
        event.wait(seconds)

    def selector(self) -> selectors.BaseSelector:
        """What an event loop waits with; its seconds are those of ``monotonic``."""
        return selectors.DefaultSelector()

    def connected(self, port: int) -> None:
        """An event loop has made a connection, from this port of the machine."""


_machine = Machine()


def machine() -> Machine:
    """The machine whose clock is in force."""
    return _machine


def live_on(another: Machine | None) -> None:
    """All of the library goes by another machine's clock from now on; None: by the real one."""
    global _machine
    _machine = another or Machine()


class WallClock:
    """The machine's clock."""

    def now_ns(self) -> int:
        """Nanoseconds since 1970 UTC."""
        return _machine.now_ns()


class MarketClock:
    """The exchange's time.

    By default the machine's clock, set right by the stamps of live ticks (exchanges have been
    seen 17 s ahead of it). With ``virtual`` the market's own time alone: it moves with stamps
    and with what the server announces, never by itself.

    Args:
        wall: The machine's clock.
        virtual: As the attribute.
        passed: Nanoseconds of a clock that is never set: the machine's is then followed when it
            is made faster or slower, and not when it is set, once the market has been heard of.

    Attributes:
        virtual: Whether the machine's clock plays no part.
        trusted: Whether the market has been heard of yet.
    """

    def __init__(
        self, wall: Clock, *, virtual: bool = False, passed: Callable[[], int] | None = None
    ) -> None:
        self._wall, self._passed = wall, passed
        self.virtual = virtual
        self.trusted = False
        self._latest = 0
        # Largest (stamp - arrival) of this minute and of the last: the one least delayed.
        self._offset = self._offset_before = 0
        self._minute = -1
        # The largest of long before, and whether a live stamp has been among them.
        self._best, self._heard_live = 0, False
        self._ahead = self._was_set = 0
        self._started = False  # once ``_ahead`` is known and the market has been heard

    def now_ns(self) -> int:
        """Nanoseconds since 1970 UTC."""
        if self.virtual:
            return self._latest
        arrival, offset = self._unset(), max(self._offset, self._offset_before)
        if arrival // MINUTE > self._minute + 1 and abs(self._best) <= FAR:
            offset = max(offset, self._best)  # the last stamps may have come long after their time
        return arrival + offset

    def believes(self, ns: int, phase: Phase = Phase.TRADING) -> bool:
        """Whether a tick that is stamped ``ns`` may have come by now.

        Until a live stamp has set this clock, a stamp may be minutes ahead of it or of the
        machine's. Afterwards it may not be ahead of the clock as the best stamps of long before
        would have it: a late line, or one that was away, has set it back. Or it is what the
        machine's clock says, which may have gone on while nothing else did. Where no stamp has
        come for hours, that clock may have lost seconds; an open that comes early tells nothing.

        Args:
            ns: The stamp, nanoseconds.
            phase: Of the contract then; ``doubted_stamps.phase_at``.
        """
        now, wall = self.now_ns(), self._wall.now_ns()
        if self.virtual:
            return ns - now <= FAR
        if not self._heard_live:
            return ns - max(now, wall) <= (FAR if phase is Phase.TRADING else UNSURE)
        error = self._best if abs(self._best) <= FAR else 0
        arrival = self._unset()
        near = NEAR
        if phase is not Phase.OPENING:
            near += max(0, arrival // MINUTE - self._minute) * _LOST
        if ns - max(now, arrival + error) <= near:
            return True
        return abs(ns - wall - error) <= near

    def arrival_ns(self) -> int:
        """Now, on a scale that nobody sets: for what passes between two ticks, nanoseconds."""
        return self._passed() if self._passed is not None else self._wall.now_ns()

    def stamp(self, ns: int) -> None:
        """A tick stamped ``ns`` has just come, or the server has told its time."""
        self.join(ns)
        self._heard_live = True

    def join(self, ns: int) -> None:
        """The market has been at ``ns``, maybe long ago: go on from there until ticks come."""
        self.trusted = True
        self._latest = max(self._latest, ns)
        if self.virtual:
            return
        arrival = self._unset()
        offset = ns - arrival
        minute = arrival // MINUTE
        self._best = max(offset, self._best) if self._heard_live else offset
        if minute == self._minute:
            self._offset = max(self._offset, offset)
            return
        self._best = max(offset, self._best - _FORGOTTEN)
        self._offset_before = self._offset if minute == self._minute + 1 else offset
        self._minute, self._offset = minute, offset

    def _unset(self) -> int:
        """The machine's clock as if nobody had set it since the market was heard."""
        now = self._wall.now_ns()
        if self._passed is not None:
            ahead = now - self._passed()
            step = ahead - self._ahead
            if self._started and abs(step) > _SET:
                self._was_set += step
            self._ahead, self._started = ahead, self.trusted
        return now - self._was_set


def beijing_now() -> datetime:
    """Naive Beijing time of the machine's clock, whatever its timezone."""
    return from_ns(_machine.now_ns())


def ahead_of_utc(moment: datetime) -> timedelta:
    """How far a moment is ahead of the machine's UTC, both naive.

    What Backtrader's resamplers add to the machine's UTC to know what time it is.
    """
    return moment - (_EPOCH + timedelta(microseconds=_machine.now_ns() // 1000))


def monotonic() -> float:
    """Seconds of a clock that is never set; for time-outs."""
    return _machine.monotonic()


def present_ns(market: Clock) -> int:
    """The exchange's time; the machine's while nothing is known of it: nanoseconds since 1970."""
    return market.now_ns() or WallClock().now_ns()


def passed_ns() -> int:
    """Nanoseconds of a clock that is never set, and goes on while the machine sleeps."""
    return _machine.passed_ns()


class Instants(NamedTuple):
    """A moment by this machine's time that is never set and by the market's, nanoseconds.

    The market's may be the faster one, in a rehearsal.
    """

    machine: int
    market: int

    def since(self, then: Instants) -> int:
        """Nanoseconds that have passed since then, by the clock that has gone further."""
        return max(self.machine - then.machine, self.market - then.market)


def instants(market: Clock) -> Instants:
    """Now.

    Args:
        market: The exchange's time.
    """
    return Instants(passed_ns(), market.now_ns())


def deadline_in(seconds: float) -> float:
    """The moment ``seconds`` from now as ``TqApi.wait_update`` wants it (``time.time()`` based).

    tqsdk takes the same clock off again and lets its event loop wait for what is left, so these
    are seconds of the loop's clock.
    """
    return time.time() + seconds


def seconds_until(deadline: float) -> float:
    """Seconds left until a moment on the scale of ``deadline_in``; to be asked at once."""
    return deadline - time.time()


def pause(seconds: float) -> None:
    """Let time pass where there is nothing that could be waited for."""
    _machine.pause(seconds)


def wait_for(event: threading.Event, seconds: float) -> None:
    """Wait for what another thread says, so long at most."""
    _machine.wait_for(event, seconds)
