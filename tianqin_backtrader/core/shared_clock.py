"""``SharedClock``: the clock of a program and of a sandbox that does not send its time.

The real TianQin does not send its time: a program has its own machine's clock, which differs from
TianQin's. Here both have one clock, which the sandbox keeps. With a ``speed`` it runs that many
times as fast as the real one, for both. Without a speed it stops while the program works, and
advances as fast as possible while the program waits: the program sends the end of its wait, and the
sandbox lets the market run until then, or until it sends something. So the result depends neither
on the computer's speed nor on chance.

On the connection between them ``WORD`` goes to the program: a time of the market, the real time at
which it was reached, and the speed; and ``SAYS`` to the sandbox: a kind (a port of the program, or
a wait that data end or do not end), and a number.
"""

from __future__ import annotations

import select
import selectors
import socket
import struct
import threading
from collections.abc import Callable

from .clock import DAY, SECOND, Machine

#: Market ns, real ns, speed.
WORD = struct.Struct("<qqd")
#: Kind, number.
SAYS = struct.Struct("<cq")
#: The program has a connection from this port; it waits until a time (market ns) or until data
#: come; it waits until a time, whatever comes.
PORT, WAITS, SLEEPS = b"P", b"W", b"S"
#: The time of a wait without an end.
NO_END = 1 << 62
#: Real seconds after which a waiting program sends its wait again, in case a message was lost.
_AGAIN = 0.25
#: Real seconds that another thread has for its answer before the shared time advances.
_THREADS = 0.05
#: Waits end at whole milliseconds of the market's time: tqsdk's calculation of a deadline takes a
#: varying number of microseconds.
_GRID = SECOND // 1000
#: The machine counts as started at the last multiple of this since 1970, so that a float of seconds
#: is precise to nanoseconds.
_BOOTS = 30 * DAY

Ready = list[tuple[selectors.SelectorKey, int]]


class SharedClock(Machine):
    """The machine's clock of a program with one waiting thread.

    Args:
        port: The port of the sandbox's clock, on 127.0.0.1.
        ahead: Seconds by which this machine's clock is ahead of the market's at the start;
            negative if it is behind.
        drift: Seconds that it gains per second; negative if it loses.

    Attributes:
        ahead: It may be changed at any time, as if somebody set the clock.
        speed: Multiple of real time; 0.0 if the clock stops until the program waits.
        gone: Whether the sandbox has ended.
    """

    def __init__(self, port: int, *, ahead: float = 0.0, drift: float = 0.0) -> None:
        self._real = Machine()
        self._market, self._at, self.speed = 0, 0, 0.0
        self._line = socket.create_connection(("127.0.0.1", port))
        self._line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._line.setblocking(False)
        self.gone = False
        self._heard, self._looks = b"", 0
        while not self._market:
            self._hear()
        self._begin = self.market_ns()
        self._boot = self._begin - self._begin % _BOOTS
        self.ahead, self._rate = ahead, 1.0 + drift

    # -- the time -----------------------------------------------------------------------------

    def market_ns(self) -> int:
        """The market's time as the sandbox has it, nanoseconds since 1970 UTC."""
        if not self.speed:
            return self._market
        return self._market + int((self._real.passed_ns() - self._at) * self.speed)

    def passed_ns(self) -> int:
        """As in ``Machine``."""
        begin = self._begin
        return begin - self._boot + int((self.market_ns() - begin) * self._rate)

    def now_ns(self) -> int:
        """As in ``Machine``."""
        return self.passed_ns() + self._boot + int(self.ahead * SECOND)

    def monotonic(self) -> float:
        """As in ``Machine``; each call adds 1 ns, or a rest of 1e-10 s would never pass."""
        self._looks += 1
        return (self.passed_ns() + self._looks) / SECOND

    # -- waiting ------------------------------------------------------------------------------

    def pause(self, seconds: float) -> None:
        """As in ``Machine``."""
        end = self._in(seconds)
        while (left := end - self.market_ns()) > 0:
            if self.speed:
                self._real.pause(left / SECOND / self.speed)
            else:  # the sandbox may send a time before the end
                self._say(SLEEPS, end)
                self._hear()

    def wait_for(self, event: threading.Event, seconds: float) -> None:
        """As in ``Machine``; the other thread runs in real time."""
        end = self._in(seconds)
        while not event.is_set() and (left := end - self.market_ns()) > 0:
            if self.speed:
                event.wait(left / SECOND / self.speed)
            elif not event.wait(_THREADS):
                self.pause(seconds)

    def selector(self) -> selectors.BaseSelector:
        """As in ``Machine``."""
        return _Waiting(self)

    def connected(self, port: int) -> None:
        """As in ``Machine``."""
        self._say(PORT, port)

    def _in(self, seconds: float) -> int:
        end = self.market_ns() + max(1, int(seconds / self._rate * SECOND))
        return -(-end // _GRID) * _GRID

    def select(self, seconds: float | None, look: Callable[[float | None], Ready]) -> Ready:
        """Let an event loop wait once; the result may be empty.

        Args:
            seconds: Maximum, in seconds of this clock; None for no end.
            look: Waits real seconds for data, also on the connection of the clock.
        """
        if self.speed:
            return look(None if seconds is None else seconds / self._rate / self.speed)
        self._say(WAITS, NO_END if seconds is None else self._in(seconds))
        return look(_AGAIN)

    # -- the connection -----------------------------------------------------------------------

    def fileno(self) -> int:
        """Return the file number of the connection."""
        return self._line.fileno()

    def listen(self) -> None:
        """Process what the sandbox has sent, without waiting."""
        while not self.gone:
            try:
                words = self._line.recv(4096)
            except BlockingIOError:
                return
            except OSError:
                words = b""
            if not words:
                self._go_on_alone()
                return
            self._heard += words
            whole = len(self._heard) - len(self._heard) % WORD.size
            if whole:
                last = whole - WORD.size
                self._market, self._at, self.speed = WORD.unpack_from(self._heard, last)
                self._heard = self._heard[whole:]

    def _hear(self) -> None:
        """Wait for a message."""
        select.select([self._line], [], [], _AGAIN)
        self.listen()

    def _say(self, what: bytes, number: int) -> None:
        if not self.gone:
            try:
                self._line.sendall(SAYS.pack(what, number))
            except OSError:
                self._go_on_alone()

    def _go_on_alone(self) -> None:
        """Continue in real time: the sandbox has ended."""
        self._market, self._at, self.speed = self.market_ns(), self._real.passed_ns(), 1.0
        self.gone = True

    def close(self) -> None:
        """Leave the sandbox's clock."""
        if not self.gone:
            self._go_on_alone()
        self._line.close()


class _Waiting(selectors.DefaultSelector):
    """The selector of an event loop, by a shared clock."""

    def __init__(self, clock: SharedClock) -> None:
        super().__init__()
        self._clock = clock
        self._listening = not clock.gone
        if self._listening:
            self.register(clock, selectors.EVENT_READ)

    def select(self, timeout: float | None = None) -> Ready:
        """As in a selector; the seconds are the clock's."""
        ready = self._look(0.0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        return self._clock.select(timeout, self._look)

    def _look(self, seconds: float | None) -> Ready:
        ready = super().select(seconds)
        if not self._listening or all(key.fileobj is not self._clock for key, _ in ready):
            return ready
        self._clock.listen()
        if self._clock.gone:
            self._listening = False
            self.unregister(self._clock)
        return [one for one in ready if one[0].fileobj is not self._clock]
