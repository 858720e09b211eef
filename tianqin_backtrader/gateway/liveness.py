"""Determines until when market data are complete, which closes bars by the clock.

A line may be dead without notice, or slow, and a program may be suspended while its clock goes on.
So the clock alone closes no bar. A bar's end has passed when a tick of its exchange has a later
stamp, or when the server has answered a request that was sent later: packs on a line keep their
order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Protocol

from ..core.clock import NEVER, SECOND, UNSURE, MarketClock

#: A bar is closed this long after its end if no later tick of its contract has closed it before:
#: the stamps of different contracts of an exchange are not in order.
GRACE = SECOND // 2
#: What is not final this long after the end of a market will never be.
AFTERWARDS = 120 * SECOND

#: A contract, and the instant that must have passed there, nanoseconds.
Due = tuple[str, int]


class Line(Protocol):
    """What can be asked: the reconnector."""

    @property
    def answers(self) -> int: ...

    def doubt(self) -> bool: ...


@cache
def exchange_of(symbol: str) -> str:
    """The exchange that stamps a contract's ticks, also those of a continuous contract.

    >>> exchange_of("SHFE.cu2612"), exchange_of("KQ.m@CFFEX.IF")
    ('SHFE', 'CFFEX')
    """
    return symbol.rpartition("@")[2].partition(".")[0]


class Liveness:
    """Proves that market data are complete.

    Args:
        clock: The exchanges' time.
        line: Sends requests to the server.
    """

    def __init__(self, clock: MarketClock, line: Line) -> None:
        self._clock, self._line = clock, line
        self._stamps: dict[str, int] = {}
        self._answered = self._asked = self._answers = 0

    def alive_at(self, symbol: str) -> int:
        """Until when market data of a contract are complete, nanoseconds."""
        return max(self._answered, self._stamps.get(exchange_of(symbol), 0))

    def bars_close_until(self, symbol: str) -> int:
        """Bars of a contract that end by this instant may be closed, nanoseconds."""
        return self.alive_at(symbol) - GRACE

    def heard(self, symbol: str, stamp: int) -> None:
        """Note a tick.

        Args:
            symbol: The contract.
            stamp: The exchange's stamp, nanoseconds.
        """
        exchange = exchange_of(symbol)
        self._stamps[exchange] = max(self._stamps.get(exchange, 0), stamp)

    def answered(self, asked: int) -> None:
        """Note that the server has answered a request.

        Args:
            asked: The value of ``passed`` when it was sent.
        """
        self._answered = max(self._answered, asked)

    def passed(self) -> int:
        """The instant that has certainly passed at the exchanges by the clock, nanoseconds."""
        now = self._clock.now_ns()
        return now if self._clock.trusted else now - UNSURE

    def prove(self, dues: Iterable[Due], first: int, *, over: bool) -> None:
        """If a bar is due and nothing has arrived since its end, send a request.

        Args:
            dues: What must be proved.
            first: No due is earlier, nanoseconds.
            over: Whether a market of finite days has ended and all its data have arrived.
        """
        if self._clock.virtual or over:  # its time comes on the same line
            self._answered = self._clock.now_ns() + (AFTERWARDS if over else 0)
            return
        if self._line.answers != self._answers:
            self._answers = self._line.answers
            self.answered(self._asked)
        passed = self.passed()
        if first + GRACE > passed:
            return
        if any(due <= passed for due in self._unproved(dues)) and self._line.doubt():
            self._asked = passed

    def seconds_until_due(self, dues: Iterable[Due], first: int) -> float:
        """Seconds until the next bar is due; the answer to a request also wakes the waiter.

        Args:
            dues, first: As for ``prove``.
        """
        if self._clock.virtual:
            return float("inf")
        passed = self.passed()
        if first + GRACE > passed:
            return (first + GRACE - passed) / SECOND + 0.001 if first < NEVER else float("inf")
        waits = [due - passed for due in self._unproved(dues) if due > passed]
        return min(waits) / SECOND + 0.001 if waits else float("inf")

    def _unproved(self, dues: Iterable[Due]) -> Iterator[int]:
        for symbol, due in dues:
            if self.alive_at(symbol) < due + GRACE:
                yield due + GRACE
