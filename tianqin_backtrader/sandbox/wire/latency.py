"""How long packs are on their way on a line that is slow, each way."""

from __future__ import annotations

import random
from collections.abc import Callable


class Latency:
    """The latency of one line; packs do not overtake each other.

    Args:
        seconds: Of every pack.
        jitter: Seconds more at most, another number for each pack.
        over: Seconds in which the latency grows from nothing to ``seconds``, and in which it is
            gone again: the line falls behind and catches up. None: it is always the same.
        now: Seconds of a clock.
        rng: Makes the jitter.
    """

    def __init__(
        self,
        seconds: float,
        jitter: float,
        over: float | None,
        now: Callable[[], float],
        rng: random.Random,
    ) -> None:
        self._seconds, self._jitter, self._over = seconds, jitter, over
        self._now, self._rng = now, rng
        self._begun = now()
        self._out_at = self._in_at = 0.0

    def out(self) -> float:
        """Seconds that what is sent now takes."""
        self._out_at = max(self._out_at, self._now() + self._takes())
        return max(0.0, self._out_at - self._now())

    def into(self) -> float:
        """Seconds until what comes now is there."""
        self._in_at = max(self._in_at, self._now() + self._takes())
        return max(0.0, self._in_at - self._now())

    def _takes(self) -> float:
        share = 1.0
        if self._over is not None:
            share = max(0.0, 1.0 - abs((self._now() - self._begun) / self._over - 1.0))
        return share * (self._seconds + self._rng.uniform(0.0, self._jitter))
