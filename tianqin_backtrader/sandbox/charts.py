"""The charts of one market data connection: history in chunks, then rows as they come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .id_ranges import IdRanges
from .quotes import Row
from .series import Series, SeriesBook

if TYPE_CHECKING:
    from .timeline import Cursor

#: Rows of history in one pack.
CHUNK = 2000

Diff = dict[str, Any]
#: The elements of a pack's ``data``, or what makes them when the pack is due.
Pack = list[Diff] | Callable[[], list[Diff]]


@dataclass(slots=True, eq=False)
class Serial:
    """One series as far as the connection has been sent it."""

    symbol: str
    duration: int
    series: Series
    cursor: Callable[[str], Cursor]
    sent: IdRanges = field(default_factory=IdRanges)
    last_id: int = -1
    started: bool = False
    charts: list[Chart] = field(default_factory=list)

    def diff(self, body: Diff) -> Diff:
        """``body`` at the series' place in the tree."""
        if self.duration == 0:
            return {"ticks": {self.symbol: body}}
        return {"klines": {self.symbol: {str(self.duration): body}}}

    def newest(self) -> int:
        """Id of the newest row now."""
        return self.series.last_id(self.cursor(self.symbol))

    def rows(self, left_id: int, right_id: int) -> dict[str, Row]:
        """Rows now, marked as sent."""
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
        """The client's name of it."""
        return str(self.state["chart_id"])

    @property
    def follows(self) -> bool:
        """Whether it shows the newest rows."""
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


class ChartBook:
    """All charts of a connection.

    Args:
        book: The series.
        cursor: Where a symbol is now.
        known: Whether a symbol exists.
        watch, unwatch: Called with a symbol for each chart that begins or ends to show it.
    """

    def __init__(
        self,
        book: SeriesBook,
        cursor: Callable[[str], Cursor],
        known: Callable[[str], bool],
        watch: Callable[[str], object],
        unwatch: Callable[[str], object],
    ) -> None:
        self._book = book
        self._cursor = cursor
        self._known = known
        self._watch = watch
        self._unwatch = unwatch
        self.charts: dict[str, Chart] = {}
        self._serials: dict[tuple[str, int], Serial] = {}
        self._by_symbol: dict[str, list[Serial]] = {}

    def set_chart(self, request: dict[str, Any]) -> list[Pack]:
        """Make, change or remove a chart; returns the packs to send, each after its own peek."""
        chart_id = str(request["chart_id"])
        before = self.charts.get(chart_id)
        if not request.get("ins_list"):
            self.remove(chart_id)
            return [[{"charts": {chart_id: None}}]] if before else []
        state = dict(request)
        if before is not None and before.state["ins_list"] == state["ins_list"]:
            if before.state["duration"] == state["duration"]:
                return self._change(before, state)
        self.remove(chart_id)
        symbols = [name for name in str(state["ins_list"]).split(",") if self._known(name)]
        serials = [self._serial(name, int(state["duration"])) for name in symbols]
        chart = self.charts[chart_id] = Chart(state, serials)
        for serial in serials:
            serial.charts.append(chart)
            self._watch(serial.symbol)
        return self._load(chart, state)

    def remove(self, chart_id: str) -> None:
        """Forget a chart; rows of its serials that are no longer followed may change unseen."""
        chart = self.charts.pop(chart_id, None)
        if chart is None:
            return
        for serial in chart.serials:
            serial.charts.remove(chart)
            self._unwatch(serial.symbol)
            if not serial.charts and serial.started:
                serial.started = False
                serial.sent.discard_from(serial.last_id)

    def close(self) -> None:
        """Forget all charts."""
        for chart_id in list(self.charts):
            self.remove(chart_id)

    def advance(self, cursor: Cursor, element: Diff) -> None:
        """Add what a symbol's newest tick has changed to a pack's element."""
        for serial in self._by_symbol.get(cursor.symbol, ()):
            if serial.started:
                self._advance_serial(serial, cursor, element)

    def bind(self, element: Diff) -> None:
        """Add the alignment of bars that have become known to a pack's element."""
        for chart in self.charts.values():
            newest = tuple(serial.last_id for serial in chart.serials)
            if len(newest) < 2 or not chart.serials[0].started or newest == chart.seen:
                continue
            chart.seen = newest
            main = chart.serials[0]
            start = min(chart.bound.values(), default=main.last_id) + 1
            body = _binding(chart, start, main.last_id)
            if body:
                _merge(element, main.diff({"binding": body}))

    def _advance_serial(self, serial: Serial, cursor: Cursor, element: Diff) -> None:
        last_id, rows = serial.series.moved(cursor)
        body: Diff = {"data": rows}
        if last_id != serial.last_id:
            body["last_id"] = last_id
            serial.sent.add(serial.last_id, last_id)
            serial.last_id = last_id
            for chart in serial.charts:
                if chart.follows and chart.serials[0] is serial:
                    width = int(chart.state["view_width"])
                    chart.right_id, chart.left_id = last_id, last_id - width + 1
                    place = {"left_id": chart.left_id, "right_id": chart.right_id}
                    element.setdefault("charts", {})[chart.chart_id] = place
        if serial.duration == 0:
            element.setdefault("ticks", {})[serial.symbol] = body
        else:
            bars = element.setdefault("klines", {}).setdefault(serial.symbol, {})
            bars[str(serial.duration)] = body

    def _serial(self, symbol: str, duration: int) -> Serial:
        serial = self._serials.get((symbol, duration))
        if serial is None:
            series = self._book.get(symbol, duration)
            serial = Serial(symbol, duration, series, self._cursor)
            self._serials[symbol, duration] = serial
            self._by_symbol.setdefault(symbol, []).append(serial)
        return serial

    def _change(self, chart: Chart, state: dict[str, Any]) -> list[Pack]:
        gone = {name: None for name in chart.state if name not in state}
        chart.state = state
        chart.bound = {}
        return self._load(chart, {**state, **gone})

    def _load(self, chart: Chart, state: Diff) -> list[Pack]:
        """The packs of a new or changed chart: the request, the rows, the end."""
        chart_id = chart.chart_id
        head = {"left_id": chart.left_id, "right_id": chart.right_id, "state": state}
        fresh: Diff = {}
        for serial in chart.serials:
            if not serial.started:
                _merge(fresh, serial.diff({"last_id": -1}))
        if not chart.serials:
            done = {**head, "more_data": False, "ready": True}
            return [[{"charts": {chart_id: done}}]]
        chart.loading = True
        chart.place()
        head |= {"more_data": True, "ready": False}
        packs: list[Pack] = [[{"charts": {chart_id: head}, **fresh, "mdhis_more_data": True}]]
        main = chart.serials[0]
        newest = main.newest()
        gaps = main.sent.missing(max(chart.left_id, 0), min(chart.right_id, newest))
        if len(chart.serials) > 1:  # alignment is needed even where all rows have been sent
            gaps = [(max(chart.left_id, 0), min(chart.right_id, newest))]
        chunks = _chunks(gaps)
        first = chunks[0] if chunks else (0, -1)
        packs.append(self._first_chunk(chart, *first))
        for left, right in chunks[1:]:
            packs.append(self._later_chunk(chart, left, right))
        packs.append(self._end(chart))
        return packs

    def _first_chunk(self, chart: Chart, left: int, right: int) -> Pack:
        data: Diff = {}
        for serial in chart.serials:
            serial.last_id = serial.newest()
            serial.started = True
            body: Diff = {"last_id": serial.last_id}
            if serial.last_id >= 0:
                body["data"] = serial.rows(serial.last_id, serial.last_id)
            _merge(data, serial.diff(body))
        _merge(data, _rows(chart, left, right))
        place = {"left_id": chart.left_id, "right_id": chart.right_id}
        return [data, {"charts": {chart.chart_id: place}, "mdhis_more_data": True}]

    def _later_chunk(self, chart: Chart, left: int, right: int) -> Pack:
        return lambda: [_rows(chart, left, right), {"mdhis_more_data": True}]

    def _end(self, chart: Chart) -> Pack:
        def make() -> list[Diff]:
            chart.loading = False
            more = any(other.loading for other in self.charts.values())
            data: Diff = {}
            _merge(data, chart.serials[0].diff({"data": {}}))
            if self.charts.get(chart.chart_id) is not chart:
                return [{"mdhis_more_data": more}]
            done = {"more_data": False, "ready": True}
            return [data, {"charts": {chart.chart_id: done}, "mdhis_more_data": more}]

        return make


def _rows(chart: Chart, left: int, right: int) -> Diff:
    """Rows of the main serial with those of the others that share their stamps."""
    main = chart.serials[0]
    diff = main.diff({"data": main.rows(left, right) if left <= right else {}})
    if len(chart.serials) > 1 and left <= right:
        _merge(diff, _aligned_rows(chart, left, right))
        _merge(diff, main.diff({"binding": _binding(chart, left, right)}))
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
            _merge(diff, other.diff({"data": other.rows(low, high)}))
    return diff


def _binding(chart: Chart, left: int, right: int) -> dict[str, dict[str, int]]:
    """Own ids to the others' ids by symbol; notes up to where nothing more can be aligned."""
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


def _chunks(gaps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Cut ranges into at most ``CHUNK`` ids each, newest first."""
    chunks = []
    for left, right in reversed(gaps):
        while left <= right:
            low = max(left, right - CHUNK + 1)
            chunks.append((low, right))
            right = low - 1
    return chunks


def _merge(target: Diff, diff: Diff) -> None:
    for key, value in diff.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = value
