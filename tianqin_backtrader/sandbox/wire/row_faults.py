"""Faults of a connection's live rows: some ticks are lost, some ticks and bars come late."""

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

    def takes(self, symbol: str, duration: int = 0) -> bool:
        """Whether the fault applies to the next row of a symbol's series; counts it."""
        series = f"{symbol} {duration}"
        if self.symbol not in (None, symbol) or self.met[series] >= self.count:
            return False
        self.met[series] += 1
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


class LateBars:
    """Withholds bars; they come together with those of a later tick.

    >>> late = LateBars()
    >>> late.hold("SHFE.cu2612", 2)
    >>> [late.pass_on("SHFE.cu2612", 60, {row_id: {}}) for row_id in ("7", "8", "8")]
    [{}, {}, {'7': {}, '8': {}}]
    """

    def __init__(self) -> None:
        self._wishes: list[_Wish] = []
        self._held: dict[tuple[str, int], dict[str, Row]] = {}

    def __bool__(self) -> bool:
        return bool(self._wishes)

    def hold(self, symbol: str | None, count: int) -> None:
        """Withhold what the next ``count`` ticks of a symbol change; ``None``: of every symbol."""
        self._wishes.append(_Wish(symbol, count))

    def pass_on(self, symbol: str, duration: int, rows: dict[str, Row]) -> dict[str, Row]:
        """The rows to send when ``rows`` are due; none while they are withheld."""
        rows = {**self._held.pop((symbol, duration), {}), **rows}
        if any(wish.takes(symbol, duration) for wish in self._wishes):
            self._held[symbol, duration] = rows
            return {}
        return rows
