"""``SharedClock``: the machine's clock of a program and of a sandbox that keeps silent about time.

The real TianQin tells no time: a program has its machine's clock, which is not TianQin's. Here both
have one clock, which the sandbox keeps. With a ``speed`` it runs so many times as fast as the real
one, for both. Without one it stands while the program works, and goes on, as fast as it can, while
the program waits: the program says until when it waits, the sandbox lets the market go on until
then, or until something is sent. So no computer is too slow for it, and no run is like another by
chance.

The line between them carries ``WORD`` to the program: a moment of the market, the real instant
it was at, and how many times as fast as the real one it goes on; and ``SAYS`` to the sandbox: what
(a port of the program's, or a wait, awake or not for what comes meanwhile), and a number.
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
#: What, number.
SAYS = struct.Struct("<cq")
#: A connection of the program begins at this port; it waits until a moment (market ns) or for what
#: comes; it waits and hears nothing.
PORT, WAITS, SLEEPS = b"P", b"W", b"S"
#: The moment of a wait without an end.
NO_END = 1 << 62
#: Real seconds after which a program that waits says so again, should a word have been lost.
_AGAIN = 0.25
#: Real seconds that another thread has for its answer before time passes in which it has none.
_THREADS = 0.05
#: Waits end at whole milliseconds of the market's time: what tqsdk makes of a deadline differs by
#: the microseconds that its sums take.
_GRID = SECOND // 1000
#: The machine was started at the last whole multiple of this since 1970: an event loop must see
#: nanoseconds in a float of seconds.
_BOOTS = 30 * DAY

Ready = list[tuple[selectors.SelectorKey, int]]


class SharedClock(Machine):
    """The machine of a program, one thread of which waits.

    Args:
        port: Where the sandbox keeps the clock, on 127.0.0.1.
        ahead: Seconds by which this machine's clock is ahead of the market's at the start; below 0
            it is behind.
        drift: Seconds that it gains in each second; below 0 it loses.

    Attributes:
        ahead: May be changed at any time: somebody sets the clock.
        speed: Times real time; 0.0 while it stands until the program waits.
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
        """As of ``Machine``."""
        begin = self._begin
        return begin - self._boot + int((self.market_ns() - begin) * self._rate)

    def now_ns(self) -> int:
        """As of ``Machine``."""
        return self.passed_ns() + self._boot + int(self.ahead * SECOND)

    def monotonic(self) -> float:
        """As of ``Machine``. To look takes a nanosecond, or a rest of 1e-10 s would never pass."""
        self._looks += 1
        return (self.passed_ns() + self._looks) / SECOND

    # -- waiting ------------------------------------------------------------------------------

    def pause(self, seconds: float) -> None:
        """As of ``Machine``."""
        end = self._in(seconds)
        while (left := end - self.market_ns()) > 0:
            if self.speed:
                self._real.pause(left / SECOND / self.speed)
            else:  # the line may tell the time before the end has come
                self._say(SLEEPS, end)
                self._hear()

    def wait_for(self, event: threading.Event, seconds: float) -> None:
        """As of ``Machine``; the other thread lives in real time."""
        end = self._in(seconds)
        while not event.is_set() and (left := end - self.market_ns()) > 0:
            if self.speed:
                event.wait(left / SECOND / self.speed)
            elif not event.wait(_THREADS):
                self.pause(seconds)

    def selector(self) -> selectors.BaseSelector:
        """As of ``Machine``."""
        return _Waiting(self)

    def connected(self, port: int) -> None:
        """As of ``Machine``."""
        self._say(PORT, port)

    def _in(self, seconds: float) -> int:
        end = self.market_ns() + max(1, int(seconds / self._rate * SECOND))
        return -(-end // _GRID) * _GRID

    def select(self, seconds: float | None, look: Callable[[float | None], Ready]) -> Ready:
        """Let a loop wait once; nothing may have come.

        Args:
            seconds: Of this clock, at most; None is without an end.
            look: Waits real seconds for news, those on the line of the clock among them.
        """
        if self.speed:
            return look(None if seconds is None else seconds / self._rate / self.speed)
        self._say(WAITS, NO_END if seconds is None else self._in(seconds))
        return look(_AGAIN)

    # -- the line -----------------------------------------------------------------------------

    def fileno(self) -> int:
        """Of the line."""
        return self._line.fileno()

    def listen(self) -> None:
        """Take what the sandbox has said, without waiting for it."""
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
        """Wait for a word."""
        select.select([self._line], [], [], _AGAIN)
        self.listen()

    def _say(self, what: bytes, number: int) -> None:
        if not self.gone:
            try:
                self._line.sendall(SAYS.pack(what, number))
            except OSError:
                self._go_on_alone()

    def _go_on_alone(self) -> None:
        """The sandbox has ended: time goes on as it does everywhere."""
        self._market, self._at, self.speed = self.market_ns(), self._real.passed_ns(), 1.0
        self.gone = True

    def close(self) -> None:
        """Leave the sandbox's clock."""
        if not self.gone:
            self._go_on_alone()
        self._line.close()


class _Waiting(selectors.DefaultSelector):
    """Waits as a loop's selector does, by a shared clock."""

    def __init__(self, clock: SharedClock) -> None:
        super().__init__()
        self._clock = clock
        self._listening = not clock.gone
        if self._listening:
            self.register(clock, selectors.EVENT_READ)

    def select(self, timeout: float | None = None) -> Ready:
        """As of a selector; the seconds are the clock's."""
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
