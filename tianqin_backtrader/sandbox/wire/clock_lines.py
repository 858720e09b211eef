"""The clock that a sandbox which tells no time has in common with its clients' programs.

The other end, and what is said on the line, is in ``shared_clock``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ...core.shared_clock import NO_END, PORT, SAYS, SLEEPS, WORD


class ClockLine(asyncio.Protocol):
    """One program.

    Attributes:
        ports: Of its connections.
        until: The moment until which it waits, market nanoseconds; None while it works.
        hears: Whether what is sent to it ends the wait.
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
        """A program begins to live on the clock."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._lines.lines.append(self)
        self.tell()

    def connection_lost(self, error: Exception | None) -> None:
        """It has ended: nobody waits for it."""
        self._lines.lines.remove(self)
        self._lines.on_wait()

    def data_received(self, data: bytes) -> None:
        """It says what it does."""
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
        """Say what time it is, if that is news."""
        word = self._lines.word()
        if word != self._told and self._transport is not None:
            self._told = word
            self._transport.write(word)

    def wake(self) -> None:
        """Its wait is over."""
        self.until = None
        self.tell()


class ClockLines:
    """All programs that live on the clock.

    Args:
        time: The market's time, nanoseconds; the real instant it was at, likewise; and how many
            times as fast time goes on, 0.0 where it waits for the programs.
        on_wait: Called when one of them begins to wait, or has ended.

    Attributes:
        lines: Their ends here.
        stopped_until: The programs are stopped until this moment, market nanoseconds.
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
        """What a program is told."""
        return WORD.pack(*self._time())

    @property
    def next_wake(self) -> int | None:
        """Until when all wait; None while one works."""
        untils = [line.until for line in self.lines]
        if any(until is None for until in untils):
            return None
        first = min((until for until in untils if until is not None), default=NO_END)
        return max(first, self.stopped_until)

    def wake(self) -> None:
        """Wake those whose moment has come."""
        now, _, _ = self._time()
        for line in self.lines:
            if line.until is not None and max(line.until, self.stopped_until) <= now:
                line.wake()

    def sends_to(self, port: int) -> None:
        """Something will be sent to that port: whose it is will work."""
        for line in self.lines:
            if port in line.ports:
                if line.until is not None and line.hears:
                    line.wake()
                else:
                    line.tell()

    def hears(self, port: int) -> bool:
        """Whether the program with that port, if it is one of these, hears what is sent to it."""
        return all(line.hears for line in self.lines if port in line.ports)

    def tell(self) -> None:
        """The time has jumped."""
        for line in self.lines:
            line.tell()
