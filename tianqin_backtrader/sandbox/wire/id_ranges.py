"""Sets of ids kept as ranges."""

from __future__ import annotations


class IdRanges:
    """A set of ids that have been sent.

    >>> ids = IdRanges()
    >>> ids.add(5, 9)
    >>> ids.missing(3, 12)
    [(3, 4), (10, 12)]
    """

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []

    def add(self, left: int, right: int) -> None:
        """Add the ids from ``left`` to ``right``, both included; nothing if ``right < left``."""
        if right < left:
            return
        if self._ranges and self._ranges[-1][0] <= left <= self._ranges[-1][1] + 1:
            last = self._ranges[-1]
            self._ranges[-1] = (last[0], max(last[1], right))
            return
        apart = []
        for low, high in self._ranges:
            if high + 1 < left or right + 1 < low:
                apart.append((low, high))
            else:
                left, right = min(left, low), max(right, high)
        self._ranges = sorted([*apart, (left, right)])

    def missing(self, left: int, right: int) -> list[tuple[int, int]]:
        """The ranges between ``left`` and ``right`` that are not in the set, ascending."""
        gaps = []
        for low, high in self._ranges:
            if high < left:
                continue
            if low > right:
                break
            if low > left:
                gaps.append((left, low - 1))
            left = high + 1
        if left <= right:
            gaps.append((left, right))
        return gaps

    def discard_from(self, first: int) -> None:
        """Remove ``first`` and all ids above."""
        kept = [(low, min(high, first - 1)) for low, high in self._ranges]
        self._ranges = [(low, high) for low, high in kept if low <= high]
