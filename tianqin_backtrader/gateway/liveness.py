"""Until when nothing can be missing of what the market sent: what closes bars by the clock.

A line may be dead without anybody knowing, or late, and a program may stand still while its clock
goes on. So the clock alone closes nothing. A bar's end has passed when a tick of its exchange is
stamped later, or when the server has answered a question that was asked later: what comes on a
line comes in its order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from ..core.clock import SECOND, UNSURE, MarketClock

#: A bar is closed so long after its end, if no later tick of its contract has closed it before:
#: contracts of an exchange are not stamped in one order.
GRACE = SECOND // 2
#: What is not final so long after the end of a market will never be.
AFTERWARDS = 120 * SECOND
NEVER = 1 << 62


class Line(Protocol):
    """What can be asked: the reconnector."""

    @property
    def answers(self) -> int: ...

    def doubt(self) -> bool: ...


def exchange_of(symbol: str) -> str:
    """Whose stamps a contract's ticks have, a continuous one's too.

    >>> exchange_of("SHFE.cu2612"), exchange_of("KQ.m@CFFEX.IF")
    ('SHFE', 'CFFEX')
    """
    return symbol.rpartition("@")[2].partition(".")[0]


class Liveness:
    """The proof that the line lives.

    Args:
        clock: The exchanges' time.
        line: Is asked.
        dues: What is to be proved: contracts, and the instants that must have passed there.
    """

    def __init__(
        self, clock: MarketClock, line: Line, dues: Callable[[], Iterable[tuple[str, int]]]
    ) -> None:
        self._clock, self._line, self._dues = clock, line, dues
        self._stamps: dict[str, int] = {}
        self._answered = self._asked = self._answers = 0

    def alive_at(self, symbol: str) -> int:
        """Until when nothing can be missing of a contract, nanoseconds."""
        return max(self._answered, self._stamps.get(exchange_of(symbol), 0))

    def bars_close_until(self, symbol: str) -> int:
        """Bars of a contract that end by this instant may be closed, nanoseconds."""
        return self.alive_at(symbol) - GRACE

    def heard(self, symbol: str, stamp: int) -> None:
        """A tick has come.

        Args:
            symbol: Of which contract.
            stamp: The exchange's, nanoseconds.
        """
        exchange = exchange_of(symbol)
        self._stamps[exchange] = max(self._stamps.get(exchange, 0), stamp)

    def answered(self, asked: int) -> None:
        """The server has answered a question.

        Args:
            asked: What had ``passed`` when it was asked.
        """
        self._answered = max(self._answered, asked)

    def passed(self) -> int:
        """What instant has passed at the exchanges for sure, nanoseconds, by the clock."""
        now = self._clock.now_ns()
        return now if self._clock.trusted else now - UNSURE

    def prove(self, *, over: bool) -> None:
        """See whether a bar is due, and ask if nothing has been heard since its end.

        Args:
            over: Whether a market of finite days has ended and all of it is here.
        """
        if self._clock.virtual or over:  # its time comes on the same line
            self._answered = self._clock.now_ns() + (AFTERWARDS if over else 0)
            return
        if self._line.answers != self._answers:
            self._answers = self._line.answers
            self.answered(self._asked)
        passed = self.passed()
        if any(due <= passed for due in self._unproved()) and self._line.doubt():
            self._asked = passed

    def seconds_until_due(self) -> float:
        """Until something can be proved next; the answer to a question wakes whoever waits."""
        if self._clock.virtual:
            return float("inf")
        passed = self.passed()
        waits = [due - passed for due in self._unproved() if due > passed]
        return min(waits) / SECOND + 0.001 if waits else float("inf")

    def _unproved(self) -> Iterator[int]:
        for symbol, due in self._dues():
            if self.alive_at(symbol) < due + GRACE:
                yield due + GRACE
