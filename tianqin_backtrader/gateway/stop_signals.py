"""Ctrl-C and SIGTERM in ``with MyStore(...)``: the first one ends the run in order.

Strategies' ``stop`` is called, then ``cerebro.run()`` is left by ``KeyboardInterrupt`` or, after
SIGTERM, by ``SystemExit`` with code 0, which is what systemd and containers take for a clean end.
Where nothing runs, and with a second one, that comes at once, after SIGTERM with code 143.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any, ClassVar

#: What ends a program -> how it is called, and the handler that is nobody's own.
SIGNALS: dict[int, tuple[str, Any]] = {
    int(signal.SIGINT): ("Ctrl-C", signal.default_int_handler),
    int(signal.SIGTERM): ("SIGTERM", signal.SIG_DFL),
}


class StopSignals:
    """The handlers of one store; of several stores the first one's are in force for all.

    Args:
        stop_run: Asks the run that goes on to end; False if none does.

    Attributes:
        came: What has come, ``"Ctrl-C"`` or ``"SIGTERM"``; "" before that.
    """

    #: Whose handlers are in force.
    _holder: ClassVar[StopSignals | None] = None

    def __init__(self, stop_run: Callable[[], bool]) -> None:
        self._stop_run = stop_run
        self._number = 0
        self._left = False
        self._installed: list[int] = []

    @property
    def came(self) -> str:
        """As above."""
        number = self._in_force._number
        return SIGNALS[number][0] if number else ""

    @property
    def _in_force(self) -> StopSignals:
        return StopSignals._holder or self

    def install(self) -> None:
        """Take the signals that the program has no handler of its own for; main thread only."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number, (_, default) in SIGNALS.items():
            if signal.getsignal(number) is default:
                signal.signal(number, self.handle)
                self._installed.append(number)
                StopSignals._holder = self

    def restore(self) -> None:
        """Put back what was there; handlers that were set meanwhile stay."""
        for number in self._installed:
            if signal.getsignal(number) == self.handle:
                signal.signal(number, SIGNALS[number][1])
        self._installed.clear()
        if StopSignals._holder is self:
            StopSignals._holder = None

    def handle(self, number: int, frame: object = None) -> None:
        """Of ``signal.signal``.

        Raises:
            KeyboardInterrupt: Nothing runs that could end in order, or it is the second one.
            SystemExit: The same after SIGTERM.
        """
        first, self._number = not self.came, number
        if not (first and self._stop_run()):
            self._leave(128 + number)

    def run_begins(self) -> None:
        """Nothing begins when a signal has come and not been obeyed yet.

        Raises:
            As of ``run_ended``.
        """
        self.run_ended()
        self._in_force._number, self._in_force._left = 0, False

    def run_ended(self) -> None:
        """Leave, if a signal has ended the run.

        Raises:
            KeyboardInterrupt: Ctrl-C did.
            SystemExit: SIGTERM did.
        """
        holder = self._in_force
        if holder._number and not holder._left:
            holder._leave(0)

    def _leave(self, code: int) -> None:
        self._left = True
        if self._number == signal.SIGTERM:
            raise SystemExit(code)
        raise KeyboardInterrupt


def callers(code: CodeType) -> Iterator[Any]:
    """The objects whose method of this code is being run by this thread, innermost first."""
    frame = sys._getframe()
    while frame is not None:
        if frame.f_code is code:
            yield frame.f_locals["self"]
        frame = frame.f_back  # type: ignore[assignment]


def puts_off(handler: Any) -> bool:
    """Whether a handler may be called a little later, between two callbacks of a loop."""
    ours = isinstance(getattr(handler, "__self__", None), StopSignals)
    return ours or handler is signal.default_int_handler
