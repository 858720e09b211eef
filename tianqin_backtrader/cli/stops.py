"""Ctrl-C and SIGTERM as a condition to check, for loops that must end in order."""

from __future__ import annotations

import signal
from collections.abc import Callable


def stopped_by_signal() -> Callable[[], bool]:
    """Returns a function that tells whether a signal has come; waits are not interrupted."""
    signals: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: signals.append(number))
    return lambda: bool(signals)
