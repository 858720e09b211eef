"""Sends alerts in a thread of its own, which handles nothing but messages.

Each target has its own queue, so a target that hangs or refuses does not delay the others for long.
Queues are short: a full queue drops its oldest alert and counts it.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ...core.clock import monotonic
from .facts import Alert

logger = logging.getLogger(__name__)

#: The most alerts that wait for one target.
CAPACITY = 50
#: Seconds until a failed alert is sent again; after the last attempt it is given up.
RETRIES = (5.0, 30.0, 120.0)

#: Sends one alert; returns whether the target accepted it.
Target = Callable[[Alert], bool]


@dataclass(frozen=True, slots=True)
class SenderCounts:
    """Counts over all targets.

    They are alerts accepted, given up after all attempts, dropped from a full queue, and waiting;
    ``errors`` counts failed attempts.
    """

    sent: int = 0
    failed: int = 0
    dropped: int = 0
    waiting: int = 0
    errors: int = 0


class _Line:
    """One target and its queue."""

    def __init__(self, number: int, target: Target, capacity: int) -> None:
        self.number, self.target = number, target
        self.waiting: deque[Alert] = deque()
        self.capacity = capacity
        self.tries = 0
        self.due = 0.0
        self.sent = self.failed = self.dropped = self.errors = 0
        self.untold = 0  # dropped alerts that the target has not been told of
        self.said = False


class AlertSender:
    """Accepts alerts at once and sends them later.

    Args:
        targets: The targets.
        capacity: The most alerts that wait for each.
        retries: Seconds between the attempts for one alert.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        capacity: int = CAPACITY,
        retries: Sequence[float] = RETRIES,
    ) -> None:
        self._lines = [_Line(n, target, capacity) for n, target in enumerate(targets, 1)]
        self._retries = tuple(retries)
        self._changed = threading.Condition()
        self._ending = False
        self._thread = threading.Thread(target=self._work, name="alerts", daemon=True)
        self._thread.start()

    def put(self, alert: Alert) -> None:
        """Queue an alert; returns at once."""
        with self._changed:
            for line in self._lines:
                if len(line.waiting) >= line.capacity:
                    line.waiting.popleft()
                    line.tries = 0
                    line.dropped += 1
                    line.untold += 1
                line.waiting.append(alert)
            self._changed.notify_all()

    def counts(self) -> SenderCounts:
        """Counts of the alerts so far."""
        with self._changed:
            lines = self._lines
            return SenderCounts(
                sum(line.sent for line in lines),
                sum(line.failed for line in lines),
                sum(line.dropped for line in lines),
                sum(len(line.waiting) for line in lines),
                sum(line.errors for line in lines),
            )

    def close(self, timeout: float = 5.0) -> None:
        """Send waiting alerts once more, for at most ``timeout`` seconds, and end the thread."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._thread.join(timeout)
        left = self.counts().waiting
        if left:
            logger.warning("%d alerts were not sent", left)

    # -- in the thread ------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._changed:
                line = self._next_line()
                while line is None:
                    if self._ending:
                        return
                    self._changed.wait(self._seconds_to_wait())
                    line = self._next_line()
                alert, untold = line.waiting[0], line.untold
            taken = self._attempt(line, alert, untold)
            with self._changed:
                line.untold -= untold if taken else 0
                self._book(line, alert, taken)

    def _next_line(self) -> _Line | None:
        """A target to which an alert may be sent now."""
        now = monotonic()
        ready = [line for line in self._lines if line.waiting and (self._ending or line.due <= now)]
        return min(ready, key=lambda line: line.due, default=None)

    def _seconds_to_wait(self) -> float | None:
        due = [line.due for line in self._lines if line.waiting]
        return max(0.0, min(due) - monotonic()) if due else None

    def _attempt(self, line: _Line, alert: Alert, untold: int) -> bool:
        if untold:
            text = f"{alert.text}\n({untold} older alerts were dropped)"
            alert = replace(alert, text=text)
        try:
            taken, why = line.target(alert), "it was not accepted"
        except Exception as error:  # of any library that sends: trading must not be affected
            taken, why = False, type(error).__name__  # its text may contain the address
        if not taken and not line.said:
            line.said = True
            logger.warning("alerts to target %d fail (%s); logged once", line.number, why)
        elif taken and line.said:
            line.said = False
            logger.info("alerts to target %d are accepted again", line.number)
        return taken

    def _book(self, line: _Line, alert: Alert, taken: bool) -> None:
        line.errors += not taken
        line.due = monotonic()
        if not line.waiting or line.waiting[0] is not alert:
            line.sent += taken  # it may have been dropped from the full queue meanwhile
            line.dropped -= taken
            line.tries = 0
            return
        over = taken or self._ending or line.tries >= len(self._retries)
        if over:
            line.waiting.popleft()
            line.tries = 0
            line.sent += taken
            line.failed += not taken
        else:
            line.due += self._retries[line.tries]
            line.tries += 1
