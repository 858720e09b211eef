"""Faults of a connection's live tick rows: some are lost, some come late."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from .quotes import Row


@dataclass(slots=True)
class _Wish:
    """The next ``count`` rows of a symbol, or of each symbol."""

    symbol: str | None
    count: int
    met: Counter[str] = field(default_factory=Counter)

    def takes(self, symbol: str) -> bool:
        """Whether the fault applies to the symbol's next row; counts it."""
        if self.symbol not in (None, symbol) or self.met[symbol] >= self.count:
            return False
        self.met[symbol] += 1
        return True


class RowFaults:
    """Loses and delays tick rows; ``last_id`` and the charts' positions advance all the same.

    >>> faults = RowFaults()
    >>> faults.shuffle("SHFE.cu2612", 1)
    >>> [list(faults.pass_on("SHFE.cu2612", {row_id: {}})) for row_id in ("7", "8", "9")]
    [[], ['8', '7'], ['9']]
    """

    def __init__(self) -> None:
        self._holes: list[_Wish] = []
        self._shuffles: list[_Wish] = []
        self._held: dict[str, dict[str, Row]] = {}

    def __bool__(self) -> bool:
        return bool(self._holes or self._shuffles)

    def hole(self, symbol: str | None, count: int) -> None:
        """Lose the next rows of a symbol; ``None`` means of every symbol."""
        self._holes.append(_Wish(symbol, count))

    def shuffle(self, symbol: str | None, count: int) -> None:
        """Send rows of a symbol after the row that follows them, ``count`` times."""
        self._shuffles.append(_Wish(symbol, count))

    def pass_on(self, symbol: str, rows: dict[str, Row]) -> dict[str, Row]:
        """The rows to send when ``rows`` are due, in order."""
        if any(wish.takes(symbol) for wish in self._holes):
            return {}
        if symbol not in self._held and any(wish.takes(symbol) for wish in self._shuffles):
            self._held[symbol] = rows
            return {}
        return {**rows, **self._held.pop(symbol, {})}
