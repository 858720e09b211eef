"""Time: the only module that reads the machine's clock, and the three forms of a time.

A test can replace the machine's clock, and waiting by it, with ``live_on``.

A time is an ``int`` of nanoseconds since 1970-01-01 UTC on the wire and in the core, a naive
``datetime`` of Beijing time for users, and a ``float`` of days in Backtrader's lines.
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
#: An instant that does not come, nanoseconds since 1970 UTC.
NEVER = 1 << 62

_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
#: How far a timestamp may be ahead of the clock before a live stamp has set it, and afterwards,
#: nanoseconds.
FAR, NEAR = 5 * MINUTE, 3 * SECOND
#: How wrong the machine's clock may be before a live stamp has set the clock, nanoseconds.
UNSURE = 120 * SECOND
#: What a clock may lose in a minute without a correction (9 s per day), nanoseconds.
_LOST = MINUTE // 10_000
#: By how much the best offset decays per minute, as the machine's clock may gain, nanoseconds.
_FORGOTTEN = SECOND // 10
#: If the clock gains or loses more than this between two readings, it was set, nanoseconds.
_SET = SECOND // 5
#: A wait with less than this left is over, seconds: sums of floats have rounding errors.
OVER = 0.0005
_ORDINAL_1970 = 719163  # date(1970, 1, 1).toordinal()


def to_ns(moment: datetime) -> int:
    """Convert a naive Beijing ``datetime`` to nanoseconds since 1970 UTC.

    >>> to_ns(datetime(2026, 11, 9, 21, 0))
    1794229200000000000
    """
    return (moment - _EPOCH) // _MICROSECOND * 1000 - BEIJING_OFFSET


def from_ns(ns: int) -> datetime:
    """Convert nanoseconds since 1970 UTC to a naive Beijing ``datetime``, cut to microseconds.

    >>> from_ns(1794229200000000000)
    datetime.datetime(2026, 11, 9, 21, 0)
    """
    return _EPOCH + timedelta(microseconds=(ns + BEIJING_OFFSET) // 1000)


def to_backtrader(ns: int) -> float:
    """Convert nanoseconds since 1970 UTC to Backtrader's days since 0001-01-01, Beijing time.

    The result equals ``backtrader.date2num`` bit for bit on whole minutes. All feeds must use this
    function: the same sums in another order differ in the last bit, and then bars of two contracts
    no longer have the same timestamp.
    """
    return (ns + BEIJING_OFFSET) / SECOND / 86400.0 + _ORDINAL_1970


def from_backtrader(days: float) -> int:
    """Convert Backtrader's days to nanoseconds since 1970 UTC, to the nearest millisecond.

    >>> from_backtrader(to_backtrader(1794229200500000000))
    1794229200500000000
    """
    milliseconds = round((days - _ORDINAL_1970) * 86400_000)
    return milliseconds * 1_000_000 - BEIJING_OFFSET


class Phase(Enum):
    """The phase of a contract's day at a tick's timestamp.

    Counters have stamped ticks before an open with the session's first instant, minutes early.
    """

    TRADING = "trading, or hours before it"
    PRE_OPEN = "shortly before an open"
    OPENING = "the first instant of a session"


class Clock(Protocol):
    """A source of the present time."""

    def now_ns(self) -> int:
        """Nanoseconds since 1970 UTC."""
        ...


def sleepless(clocks: object) -> int | None:
    """Return the ``clock_gettime`` id of the clock that is never set and counts suspended time.

    On Linux that is ``CLOCK_BOOTTIME``, on a Mac, which also has ``CLOCK_UPTIME_RAW``, it is
    ``CLOCK_MONOTONIC_RAW``. On both ``time.monotonic`` stops while the machine is suspended.

    Args:
        clocks: Has the platform's clock ids: the module ``time``.

    Returns:
        The id; None if ``time.monotonic`` is such a clock, as on Windows.
    """
    found: int | None = getattr(clocks, "CLOCK_BOOTTIME", None)
    if found is None and hasattr(clocks, "CLOCK_UPTIME_RAW"):
        found = getattr(clocks, "CLOCK_MONOTONIC_RAW", None)
    return found


_SLEEPLESS = sleepless(time)


class Machine:
    """The real clock of the machine that the program runs on, and waiting by it.

    Programs whose embedded exchange does not send its time use another one: ``SharedClock``.
    """

    def now_ns(self) -> int:
        """Return nanoseconds since 1970 UTC; this clock may be set."""
        return time.time_ns()

    def passed_ns(self) -> int:
        """Return nanoseconds of a clock that is never set, and counts suspended time."""
        return time.monotonic_ns() if _SLEEPLESS is None else time.clock_gettime_ns(_SLEEPLESS)

    def monotonic(self) -> float:
        """Return seconds of a clock that is never set, for time-outs; it may stop in suspension."""
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        """Sleep; for waits without an event to wait for."""
        time.sleep(seconds)

    def wait_for(self, event: threading.Event, seconds: float) -> None:
        """Wait for another thread's event, at most this long."""
        event.wait(seconds)

    def selector(self) -> selectors.BaseSelector:
        """Return the selector of an event loop; its seconds are those of ``monotonic``."""
        return selectors.DefaultSelector()

    def connected(self, port: int) -> None:
        """Note that an event loop has made a connection from this local port."""


_machine = Machine()


def machine() -> Machine:
    """Return the machine whose clock is used."""
    return _machine


def live_on(another: Machine | None) -> None:
    """Make the whole library use another machine's clock; None: the real one."""
    global _machine
    _machine = another or Machine()


class WallClock:
    """The machine's clock."""

    def now_ns(self) -> int:
        """Nanoseconds since 1970 UTC."""
        return _machine.now_ns()


class MarketClock:
    """The exchange's time.

    By default it is the machine's clock, corrected by the timestamps of live ticks (exchanges have
    been seen 17 s ahead of it). With ``virtual`` it is the market's own time alone: it advances
    with timestamps and with the time that the server sends, never by itself.

    Args:
        wall: The machine's clock.
        virtual: As the attribute.
        passed: Nanoseconds of a clock that is never set. With it, once the market's time is known,
            the machine's clock is followed if it is slewed, but not if it is set.

    Attributes:
        virtual: Whether the machine's clock is ignored.
        trusted: Whether the market's time is known yet.
    """

    def __init__(
        self, wall: Clock, *, virtual: bool = False, passed: Callable[[], int] | None = None
    ) -> None:
        self._wall, self._passed = wall, passed
        self.virtual = virtual
        self.trusted = False
        self._latest = 0
        # Largest (stamp - arrival) of this minute and of the last: of the least delayed tick.
        self._offset = self._offset_before = 0
        self._minute = -1
        # The largest over a long time, and whether a live stamp was among them.
        self._best, self._heard_live = 0, False
        self._ahead = self._was_set = 0
        self._started = False  # once ``_ahead`` and the market's time are known

    def now_ns(self) -> int:
        """Nanoseconds since 1970 UTC."""
        if self.virtual:
            return self._latest
        arrival, offset = self._unset(), max(self._offset, self._offset_before)
        if arrival // MINUTE > self._minute + 1 and abs(self._best) <= FAR:
            offset = max(offset, self._best)  # the last stamps may have come long after their time
        return arrival + offset

    def believes(self, ns: int, phase: Phase = Phase.TRADING) -> bool:
        """Return whether a tick with the timestamp ``ns`` may have come by now.

        Until a live stamp has set this clock, a stamp may be minutes ahead of it or of the
        machine's clock. Afterwards it may not be ahead of the time by the best offset known: a slow
        or lost connection may have set the clock back. It may also agree with the machine's clock,
        which may have gone on while the other one stopped. If no stamp has come for hours, the
        clock may have lost seconds; but an open that seems early is no evidence of that.

        Args:
            ns: The timestamp, nanoseconds.
            phase: The contract's phase then; ``doubted_stamps.phase_at``.
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
        """Return the present, nanoseconds, for the time between ticks; of ``passed`` if given."""
        return self._passed() if self._passed is not None else self._wall.now_ns()

    def stamp(self, ns: int) -> None:
        """Take the timestamp of a tick that has just come, or the time that the server sent."""
        self.join(ns)
        self._heard_live = True

    def join(self, ns: int) -> None:
        """Continue from ``ns``, a time the market has reached, maybe long ago, until ticks come."""
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
        """Return the machine's clock as if it had not been set since the market's time is known."""
        now = self._wall.now_ns()
        if self._passed is not None:
            ahead = now - self._passed()
            step = ahead - self._ahead
            if self._started and abs(step) > _SET:
                self._was_set += step
            self._ahead, self._started = ahead, self.trusted
        return now - self._was_set


def beijing_now() -> datetime:
    """Return the naive Beijing time of the machine's clock, whatever its timezone."""
    return from_ns(_machine.now_ns())


def ahead_of_utc(moment: datetime) -> timedelta:
    """Return how far a time is ahead of the machine's UTC, both naive.

    Backtrader's resamplers add this to the machine's UTC to get the present time.
    """
    return moment - (_EPOCH + timedelta(microseconds=_machine.now_ns() // 1000))


def monotonic() -> float:
    """Return seconds of a clock that is never set; for time-outs."""
    return _machine.monotonic()


def present_ns(market: Clock) -> int:
    """Return the exchange's time, the machine's while it is unknown; nanoseconds since 1970 UTC."""
    return market.now_ns() or WallClock().now_ns()


def passed_ns() -> int:
    """Return nanoseconds of a clock that is never set, and counts suspended time."""
    return _machine.passed_ns()


class Instants(NamedTuple):
    """A time by the machine's clock that is never set, and by the market's, nanoseconds.

    The market's clock may be the faster one, in a rehearsal.
    """

    machine: int
    market: int

    def since(self, then: Instants) -> int:
        """Return the nanoseconds since ``then``, by the clock that has advanced more."""
        return max(self.machine - then.machine, self.market - then.market)


def instants(market: Clock) -> Instants:
    """Return the present time.

    Args:
        market: The exchange's time.
    """
    return Instants(passed_ns(), market.now_ns())


def deadline_in(seconds: float) -> float:
    """Return the deadline ``seconds`` from now for ``TqApi.wait_update`` (by ``time.time()``).

    tqsdk subtracts the same clock again and lets its event loop wait for the rest, so these are
    seconds of the loop's clock.
    """
    return time.time() + seconds


def seconds_until(deadline: float) -> float:
    """Return the seconds until a deadline of ``deadline_in``; to be called at once."""
    return deadline - time.time()


def pause(seconds: float) -> None:
    """Sleep; for waits without an event to wait for."""
    _machine.pause(seconds)


def wait_for(event: threading.Event, seconds: float) -> None:
    """Wait for another thread's event, at most this long."""
    _machine.wait_for(event, seconds)
