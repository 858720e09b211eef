"""The packs that a connection must be sent, one per peek."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

Diff = dict[str, Any]
#: The elements of a pack's ``data``, or a function that makes them when the pack is due.
Pack = list[Diff] | Callable[[], list[Diff]]


class SendQueue:
    """Packs in order. Diffs join the last pack unless that one must stay alone."""

    def __init__(self) -> None:
        self._packs: deque[Pack] = deque()
        self._joinable = False

    def __bool__(self) -> bool:
        return bool(self._packs)

    def __len__(self) -> int:
        return len(self._packs)

    def add(self, *diffs: Diff) -> None:
        """Add diffs; they are sent together with others that wait at the end of the queue."""
        last = self._packs[-1] if self._packs and self._joinable else None
        if isinstance(last, list):
            last.extend(diffs)
            return
        self._packs.append(list(diffs))
        self._joinable = True

    def add_pack(self, pack: Pack) -> None:
        """Add a pack that is sent alone."""
        self._packs.append(pack)
        self._joinable = False

    def take(self) -> list[Diff]:
        """The next pack's elements.

        Raises:
            IndexError: The queue is empty.
        """
        pack = self._packs.popleft()
        return pack if isinstance(pack, list) else pack()
