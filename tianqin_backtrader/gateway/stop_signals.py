"""Ctrl-C and SIGTERM in ``with MyStore(...)``: the first signal ends the run in order.

Strategies' ``stop`` is called; then ``cerebro.run()`` raises ``KeyboardInterrupt`` or, after
SIGTERM, ``SystemExit`` with code 0, which systemd and containers treat as a clean end. Without a
run, and with a second signal, these are raised at once, after SIGTERM with code 143.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from types import CodeType, FrameType
from typing import ClassVar

#: The handlers that ``signal.signal`` accepts.
Handler = Callable[[int, FrameType | None], object] | int | signal.Handlers | None
#: Signal -> its name, and the handler that Python installs by default.
SIGNALS: dict[int, tuple[str, Handler]] = {
    int(signal.SIGINT): ("Ctrl-C", signal.default_int_handler),
    int(signal.SIGTERM): ("SIGTERM", signal.SIG_DFL),
}


class StopSignals:
    """The signal handlers of one store; of several stores those of the first one are active.

    Args:
        stop_run: Asks the current run to end; False if there is none.

    Attributes:
        came: The signal that has come, ``"Ctrl-C"`` or ``"SIGTERM"``; "" before.
    """

    #: The object whose handlers are active.
    holder: ClassVar[StopSignals | None] = None
    #: Takes the next signal, to handle it between two callbacks; see ``WholeCallbacks``.
    put_off: ClassVar[Callable[[Callable[[], object]], None] | None] = None

    def __init__(self, stop_run: Callable[[], bool]) -> None:
        self._stop_run = stop_run
        self._number = 0
        self._left = False
        self._installed: list[int] = []

    @property
    def came(self) -> str:
        """See ``StopSignals``."""
        number = self._in_force._number
        return SIGNALS[number][0] if number else ""

    @property
    def _in_force(self) -> StopSignals:
        return StopSignals.holder or self

    def install(self) -> None:
        """Handle signals for which the program has no handler of its own; main thread only."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number, (_, default) in SIGNALS.items():
            if signal.getsignal(number) is default:
                signal.signal(number, self.handle)
                self._installed.append(number)
                StopSignals.holder = self

    def restore(self) -> None:
        """Restore the previous handlers, unless others were set meanwhile."""
        for number in self._installed:
            if signal.getsignal(number) == self.handle:
                signal.signal(number, SIGNALS[number][1])
        self._installed.clear()
        if StopSignals.holder is self:
            StopSignals.holder = None

    def handle(self, number: int, frame: object = None) -> None:
        """The handler for ``signal.signal``.

        Raises:
            KeyboardInterrupt: There is no run that could end in order, or it is the second signal.
            SystemExit: The same after SIGTERM.
        """
        put_off, StopSignals.put_off = StopSignals.put_off, None  # a second one comes at once
        if put_off is not None:
            put_off(partial(self.handle, number))
            return
        first, self._number = not self.came, number
        if not (first and self._stop_run()):
            self._leave(128 + number)

    def run_begins(self) -> None:
        """Do not begin a run after a signal that has not been handled yet.

        Raises:
            As for ``run_ended``.
        """
        self.run_ended()
        self._in_force._number, self._in_force._left = 0, False

    def run_ended(self) -> None:
        """Leave the program if a signal has ended the run.

        Raises:
            KeyboardInterrupt: The signal was Ctrl-C.
            SystemExit: The signal was SIGTERM.
        """
        holder = self._in_force
        if holder._number and not holder._left:
            holder._leave(0)

    def _leave(self, code: int) -> None:
        self._left = True
        if self._number == signal.SIGTERM:
            raise SystemExit(code)
        raise KeyboardInterrupt


def callers(code: CodeType) -> Iterator[object]:
    """The objects whose method of this code is running in this thread, innermost first."""
    frame = sys._getframe()
    while frame is not None:
        if frame.f_code is code:
            yield frame.f_locals["self"]
        frame = frame.f_back  # type: ignore[assignment]


class WholeCallbacks:
    """A block in which a loop runs: signals are handled between two callbacks, not inside one.

    TqSdk would leave unfinished tasks. This applies to Ctrl-C, and to SIGTERM in ``with
    MyStore(...)``. A signal outside of callbacks is handled at the end of the block, and a second
    one at once. The user's own handlers are not changed.

    Args:
        schedule: Lets the loop call a function soon; from a signal's handler.
    """

    def __init__(self, schedule: Callable[[Callable[[], None]], asyncio.Handle]) -> None:
        self._schedule = schedule
        self._came: tuple[asyncio.Handle, Callable[[], None]] | None = None
        self._swapped = False

    def __enter__(self) -> None:
        """Put signals off; in another thread than the main one nothing is done."""
        if threading.current_thread() is not threading.main_thread():
            return
        if StopSignals.holder is not None:  # nearly always: another handler costs system calls
            StopSignals.put_off = self._take
        # Also then: Jupyter sets Python's own handler for each cell.
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._put_off_default)
            self._swapped = True

    def __exit__(self, *_: object) -> None:
        """Handle a signal that has come and was not handled yet."""
        if StopSignals.put_off == self._take:
            StopSignals.put_off = None
        self._restore()
        if self._came is not None:
            scheduled, act = self._came
            scheduled.cancel()
            act()

    def _put_off_default(self, number: int, frame: FrameType | None) -> None:
        self._restore()
        self._take(partial(signal.default_int_handler, number, None))

    def _restore(self) -> None:
        if self._swapped:
            self._swapped = False
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _take(self, act: Callable[[], object]) -> None:
        """Let the loop call a signal's handler; this wakes it."""

        def handle() -> None:
            self._came = None
            act()

        self._came = self._schedule(handle), handle
