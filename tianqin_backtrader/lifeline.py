"""Until when nothing can be missing of what the market sent: what closes bars by the clock.

A line that is dead without anybody knowing would leave a bar without its last ticks. So before a
bar is closed by the clock a tick of any contract must have come since, or the answer to a question.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from .clock import SECOND, MarketClock

#: A bar is closed by the clock this long after its end, if no later tick has closed it before.
GRACE = SECOND // 2
#: What is not final so long after the end of a market will never be.
AFTERWARDS = 120 * SECOND
NEVER = 1 << 62


class Line(Protocol):
    """What can be asked: the reconnector."""

    @property
    def answers(self) -> int: ...

    def doubt(self) -> bool: ...


class Lifeline:
    """The proof that the line lives.

    Args:
        clock: The exchange's time.
        line: Is asked.
        next_close: Gives the end of the next bar, nanoseconds.

    Attributes:
        alive_at: Until when nothing can be missing, nanoseconds.
    """

    def __init__(self, clock: MarketClock, line: Line, next_close: Callable[[], int]) -> None:
        self._clock, self._line, self._next_close = clock, line, next_close
        self.alive_at = 0
        self._asked_at = self._answers = 0

    @property
    def closes_until(self) -> int:
        """Bars that end by this instant may be closed, nanoseconds."""
        return self.alive_at - GRACE

    def heard(self) -> None:
        """A tick has come."""
        self.alive_at = self._clock.now_ns()

    def prove(self, *, over: bool) -> None:
        """See whether a bar is due, and ask if nothing has been heard since its end.

        Args:
            over: Whether a market of finite days has ended and all of it is here.
        """
        if self._clock.virtual:  # its time comes on the same line
            self.alive_at = self._clock.now_ns() + (AFTERWARDS if over else 0)
            return
        if self._line.answers != self._answers:
            self._answers = self._line.answers
            self.alive_at = max(self.alive_at, self._asked_at)
        now, due = self._clock.now_ns(), self._next_close() + GRACE
        if self._clock.trusted and self.alive_at < due <= now and self._line.doubt():
            self._asked_at = now

    def seconds_until_due(self) -> float:
        """Until the next bar must be closed; the answer to a question wakes whoever waits."""
        left = (self._next_close() + GRACE - self._clock.now_ns()) / SECOND
        return float("inf") if self._clock.virtual or left < 0 else left + 0.001
