"""The latency of packs on a slow connection, in each direction."""

from __future__ import annotations

import random
from collections.abc import Callable


class Latency:
    """The latency of one connection; packs are never reordered.

    Args:
        seconds: Latency of every pack.
        jitter: Largest additional latency, random for each pack.
        over: The latency grows from 0 to ``seconds`` in so many seconds and shrinks to 0 in as
            many more: the line falls behind and catches up. None: it is constant.
        now: Returns the seconds of a clock.
        rng: Draws the jitter.
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
        """Seconds until a pack that is sent now arrives at the client."""
        self._out_at = max(self._out_at, self._now() + self._takes())
        return max(0.0, self._out_at - self._now())

    def into(self) -> float:
        """Seconds until a pack that the client sends now arrives here."""
        self._in_at = max(self._in_at, self._now() + self._takes())
        return max(0.0, self._in_at - self._now())

    def _takes(self) -> float:
        share = 1.0
        if self._over is not None:
            share = max(0.0, 1.0 - abs((self._now() - self._begun) / self._over - 1.0))
        return share * (self._seconds + self._rng.uniform(0.0, self._jitter))
