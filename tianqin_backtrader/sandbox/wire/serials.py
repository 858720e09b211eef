"""The rows of a series that a connection has been sent, and the alignment of several symbols."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .id_ranges import IdRanges
from .quotes import Row
from .send_queue import Diff
from .series import Series

if TYPE_CHECKING:
    from ..market.timeline import Cursor


@dataclass(slots=True, eq=False)
class Serial:
    """One series, and which of its rows the connection has been sent."""

    symbol: str
    duration: int
    series: Series
    cursor: Callable[[str], Cursor]
    sent: IdRanges = field(default_factory=IdRanges)
    last_id: int = -1
    started: bool = False
    charts: list[Chart] = field(default_factory=list)

    def diff(self, body: Diff) -> Diff:
        """``body`` at the series' path in the data tree."""
        if self.duration == 0:
            return {"ticks": {self.symbol: body}}
        return {"klines": {self.symbol: {str(self.duration): body}}}

    def newest(self) -> int:
        """Id of the newest row."""
        return self.series.last_id(self.cursor(self.symbol))

    def rows(self, left_id: int, right_id: int) -> dict[str, Row]:
        """The rows as of now; marks them as sent."""
        self.sent.add(max(left_id, 0), min(right_id, self.newest()))
        return self.series.rows(left_id, right_id, self.cursor(self.symbol))


@dataclass(slots=True, eq=False)
class Chart:
    """One ``set_chart`` of the client."""

    state: dict[str, Any]
    serials: list[Serial]
    left_id: int = -1
    right_id: int = -1
    loading: bool = False
    bound: dict[str, int] = field(default_factory=dict)
    seen: tuple[int, ...] = ()

    @property
    def chart_id(self) -> str:
        """The client's id of the chart."""
        return str(self.state["chart_id"])

    @property
    def follows(self) -> bool:
        """Whether the chart shows the newest rows."""
        return "left_kline_id" not in self.state and "focus_datetime" not in self.state

    def place(self) -> None:
        """Set ``left_id`` and ``right_id`` from the request and the newest row."""
        main, width = self.serials[0], int(self.state["view_width"])
        if "left_kline_id" in self.state:
            self.left_id = int(self.state["left_kline_id"])
            self.right_id = self.left_id + width - 1
        elif "focus_datetime" in self.state:
            focus = int(self.state["focus_datetime"])
            found = main.series.id_at(focus, main.cursor(main.symbol))
            self.left_id = found - int(self.state.get("focus_position", 0))
            self.right_id = self.left_id + width - 1
        else:
            self.right_id = main.newest()
            self.left_id = self.right_id - width + 1
        if main.newest() < 0:
            self.left_id = self.right_id = -1


def rows_of(chart: Chart, left: int, right: int) -> Diff:
    """Rows of the main serial and the rows of the others with the same stamps."""
    main = chart.serials[0]
    diff = main.diff({"data": main.rows(left, right) if left <= right else {}})
    if len(chart.serials) > 1 and left <= right:
        merge(diff, _aligned_rows(chart, left, right))
        merge(diff, main.diff({"binding": binding_of(chart, left, right)}))
    return diff


def _span(chart: Chart, other: Serial, left: int, right: int) -> tuple[dict[str, Row], int, int]:
    """Main rows from ``left`` to ``right`` and the ids of the other serial around them."""
    main = chart.serials[0]
    rows = main.series.rows(left, right, main.cursor(main.symbol)) if left <= right else {}
    if not rows or other.last_id < 0:
        return rows, 0, -1
    stamps = [row["datetime"] for row in rows.values()]
    cursor = other.cursor(other.symbol)
    low, high = (other.series.id_at(ns, cursor) for ns in (min(stamps), max(stamps)))
    return rows, max(low, 0), high


def _aligned_rows(chart: Chart, left: int, right: int) -> Diff:
    diff: Diff = {}
    for other in chart.serials[1:]:
        _, low, high = _span(chart, other, left, right)
        if low <= high:
            merge(diff, other.diff({"data": other.rows(low, high)}))
    return diff


def binding_of(chart: Chart, left: int, right: int) -> dict[str, dict[str, int]]:
    """Map the main ids to the others' ids by symbol; notes how far the alignment is final."""
    binding: dict[str, dict[str, int]] = {}
    for other in chart.serials[1:]:
        rows, low, high = _span(chart, other, left, right)
        theirs = other.series.rows(low, high, other.cursor(other.symbol)) if low <= high else {}
        by_stamp = {row["datetime"]: int(bar_id) for bar_id, row in theirs.items()}
        pairs = {
            bar_id: by_stamp[row["datetime"]]
            for bar_id, row in rows.items()
            if row["datetime"] in by_stamp
        }
        newest = max(by_stamp, default=-1)
        decided = [int(bar_id) for bar_id, row in rows.items() if row["datetime"] <= newest]
        before = chart.bound.get(other.symbol, left - 1)
        chart.bound[other.symbol] = max([before, *decided])
        if pairs:
            binding[other.symbol] = pairs
    return binding


def merge(target: Diff, diff: Diff) -> None:
    """Merge a diff into another one, recursively."""
    for key, value in diff.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            merge(target[key], value)
        else:
            target[key] = value
