"""Ctrl-C and SIGTERM as a question, for loops that end in order."""

from __future__ import annotations

import signal
from collections.abc import Callable


def stopped_by_signal() -> Callable[[], bool]:
    """Tells whether one has come; a wait is ended in order, not in its middle."""
    signals: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: signals.append(number))
    return lambda: bool(signals)
