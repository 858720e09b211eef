"""The clock that a sandbox shares with its clients' programs if its packs carry no time.

``core.shared_clock`` is the other end and describes the protocol.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ...core.shared_clock import NO_END, PORT, SAYS, SLEEPS, WORD


class ClockLine(asyncio.Protocol):
    """The connection of one program.

    Attributes:
        ports: The local ports of its connections to the sandbox.
        until: The moment until which it waits, market nanoseconds; None while it works.
        hears: Whether data sent to it ends the wait.
    """

    def __init__(self, lines: ClockLines) -> None:
        self._lines = lines
        self._heard = b""
        self._told: bytes | None = None
        self._transport: asyncio.Transport | None = None
        self.ports: set[int] = set()
        self.until: int | None = None
        self.hears = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A program begins to use the clock."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._lines.lines.append(self)
        self.tell()

    def connection_lost(self, error: Exception | None) -> None:
        """The program has ended: nobody waits for it."""
        self._lines.lines.remove(self)
        self._lines.on_wait()

    def data_received(self, data: bytes) -> None:
        """Read what the program reports about itself."""
        self._heard += data
        whole = len(self._heard) - len(self._heard) % SAYS.size
        said, self._heard = self._heard[:whole], self._heard[whole:]
        for what, number in SAYS.iter_unpack(said):
            if what == PORT:
                self.ports.add(number)
            else:
                self.until, self.hears = number, what != SLEEPS
                self._lines.on_wait()

    def tell(self) -> None:
        """Send the time if it has changed."""
        word = self._lines.word()
        if word != self._told and self._transport is not None:
            self._told = word
            self._transport.write(word)

    def wake(self) -> None:
        """End the program's wait."""
        self.until = None
        self.tell()


class ClockLines:
    """All programs that use the clock.

    Args:
        time: Returns the market's time and the real time when it was so, both in nanoseconds, and
            the speed; 0.0 if time waits for the programs.
        on_wait: Called when a program begins to wait, or has ended.

    Attributes:
        lines: The connections.
        stopped_until: Until this moment, market nanoseconds, the programs are stopped.
    """

    def __init__(
        self, time: Callable[[], tuple[int, int, float]], on_wait: Callable[[], None]
    ) -> None:
        self._time, self.on_wait = time, on_wait
        self.lines: list[ClockLine] = []
        self.stopped_until = 0

    def __bool__(self) -> bool:
        return bool(self.lines)

    def word(self) -> bytes:
        """The message with the present time."""
        return WORD.pack(*self._time())

    @property
    def next_wake(self) -> int | None:
        """The earliest wake-up time if all programs wait; None while one works."""
        untils = [line.until for line in self.lines]
        if any(until is None for until in untils):
            return None
        first = min((until for until in untils if until is not None), default=NO_END)
        return max(first, self.stopped_until)

    def wake(self) -> None:
        """Wake the programs whose time has come."""
        now, _, _ = self._time()
        for line in self.lines:
            if line.until is not None and max(line.until, self.stopped_until) <= now:
                line.wake()

    def sends_to(self, port: int) -> None:
        """Note that data will be sent to that port: its program will work."""
        for line in self.lines:
            if port in line.ports:
                if line.until is not None and line.hears:
                    line.wake()
                else:
                    line.tell()

    def hears(self, port: int) -> bool:
        """Whether the program with that port, if known, is woken by data sent to it."""
        return all(line.hears for line in self.lines if port in line.ports)

    def tell(self) -> None:
        """Send the time to all programs, after a jump."""
        for line in self.lines:
            line.tell()
