"""The frozen state of the live page, and its changes since a viewer's last update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...core.clock import BEIJING_OFFSET, SECOND
from ...core.json_values import Json
from ..prometheus import health_of
from ..snapshot import Snapshot

#: A row with the number of its last change; numbers increase.
Row = tuple[int, Json]


@dataclass(frozen=True, slots=True)
class PageState:
    """The whole state, oldest first.

    Attributes:
        number: The number of the latest change.
        feeds: Name of the feed -> its contract.
        bars: Name of the feed -> rows ``[time, open, high, low, close, volume]``.
        orders, fills, equity, log: Rows of dicts; ``equity`` has ``[time, yuan]``.
        commands: Whether halt and flatten are available.
    """

    number: int
    now: Snapshot
    feeds: Mapping[str, str] = field(default_factory=dict)
    bars: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)
    orders: tuple[Row, ...] = ()
    fills: tuple[Row, ...] = ()
    equity: tuple[Row, ...] = ()
    log: tuple[Row, ...] = ()
    commands: bool = False

    def since(self, number: int, monotonic: float) -> dict[str, Json]:
        """The changes since ``number`` as JSON; -1 for everything."""
        return {
            "number": self.number,
            "full": number < 0,
            "now": health_of(self.now, monotonic),
            "commands": self.commands,
            "feeds": dict(self.feeds),
            "bars": {name: _newer(rows, number) for name, rows in self.bars.items()},
            "orders": _newer(self.orders, number),
            "fills": _newer(self.fills, number),
            "equity": _newer(self.equity, number),
            "log": _newer(self.log, number),
        }


def _newer(rows: tuple[Row, ...], number: int) -> list[Json]:
    first = len(rows)
    while first and rows[first - 1][0] > number:
        first -= 1
    return [row for _, row in rows[first:]]


def chart_time(ns: int) -> int:
    """Convert a time for the chart library: seconds that read as UTC show Beijing time."""
    return (ns + BEIJING_OFFSET) // SECOND
