"""The charts of one market data connection: history in chunks, then new rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .row_faults import LateBars, RowFaults
from .send_queue import Diff, Pack
from .serials import Chart, Serial, binding_of, merge, rows_of
from .series import SeriesBook

if TYPE_CHECKING:
    from ..market.timeline import Cursor

#: Rows of history in one pack.
CHUNK = 2000


class ChartBook:
    """All charts of a connection.

    Args:
        book: The series.
        cursor: Returns the present position of a symbol.
        known: Whether a symbol exists.
        watch, unwatch: Called with a symbol for each chart that begins or stops showing it.

    Attributes:
        tick_faults: Faults of live tick rows.
        late_bars: Withholds bars.
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
        self.tick_faults, self.late_bars = RowFaults(), LateBars()
        self.charts: dict[str, Chart] = {}
        self._serials: dict[tuple[str, int], Serial] = {}
        self._by_symbol: dict[str, list[Serial]] = {}
        self._aligned: list[Chart] = []

    def set_chart(self, request: dict[str, Any]) -> list[Pack]:
        """Add, change or remove a chart; returns the packs to send, one per peek."""
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
        if len(serials) > 1:
            self._aligned.append(chart)
        for serial in serials:
            serial.charts.append(chart)
            self._watch(serial.symbol)
        return self._load(chart, state)

    def remove(self, chart_id: str) -> None:
        """Remove a chart; later changes to its rows are not sent."""
        chart = self.charts.pop(chart_id, None)
        if chart is None:
            return
        if chart in self._aligned:
            self._aligned.remove(chart)
        for serial in chart.serials:
            serial.charts.remove(chart)
            self._unwatch(serial.symbol)
            if not serial.charts and serial.started:
                serial.started = False
                serial.sent.discard_from(serial.last_id)

    def close(self) -> None:
        """Remove all charts."""
        for chart_id in list(self.charts):
            self.remove(chart_id)

    def advance(self, cursor: Cursor, element: Diff) -> None:
        """Add the changes of a symbol's newest tick to a pack's element."""
        for serial in self._by_symbol.get(cursor.symbol, ()):
            if serial.started:
                self._advance_serial(serial, cursor, element)

    def bind(self, element: Diff) -> None:
        """Add the newly known alignment of bars to a pack's element."""
        for chart in self._aligned:
            newest = tuple(serial.last_id for serial in chart.serials)
            if not chart.serials[0].started or newest == chart.seen:
                continue
            chart.seen = newest
            main = chart.serials[0]
            start = min(chart.bound.values(), default=main.last_id) + 1
            body = binding_of(chart, start, main.last_id)
            if body:
                merge(element, main.diff({"binding": body}))

    def _advance_serial(self, serial: Serial, cursor: Cursor, element: Diff) -> None:
        last_id, rows = serial.series.moved(cursor)
        if serial.duration and self.late_bars:
            rows = self.late_bars.pass_on(serial.symbol, serial.duration, rows)
            if not rows:
                return
        if serial.duration == 0 and self.tick_faults:
            rows = self.tick_faults.pass_on(serial.symbol, rows)
            for row_id in map(int, rows):  # a lost row is sent if the client asks again
                serial.sent.add(row_id, row_id)
        elif last_id != serial.last_id:
            serial.sent.add(serial.last_id, last_id)
        body: Diff = {"data": rows}
        if last_id != serial.last_id:
            body["last_id"] = last_id
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
        """The packs of a new or changed chart: the request, the rows, and the end mark."""
        chart_id = chart.chart_id
        head = {"left_id": chart.left_id, "right_id": chart.right_id, "state": state}
        fresh: Diff = {}
        for serial in chart.serials:
            if not serial.started:
                merge(fresh, serial.diff({"last_id": -1}))
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
        if len(chart.serials) > 1:  # needed even if all rows have been sent
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
            merge(data, serial.diff(body))
        merge(data, rows_of(chart, left, right))
        place = {"left_id": chart.left_id, "right_id": chart.right_id}
        return [data, {"charts": {chart.chart_id: place}, "mdhis_more_data": True}]

    def _later_chunk(self, chart: Chart, left: int, right: int) -> Pack:
        return lambda: [rows_of(chart, left, right), {"mdhis_more_data": True}]

    def _end(self, chart: Chart) -> Pack:
        def make() -> list[Diff]:
            chart.loading = False
            more = any(other.loading for other in self.charts.values())
            data: Diff = {}
            merge(data, chart.serials[0].diff({"data": {}}))
            if self.charts.get(chart.chart_id) is not chart:
                return [{"mdhis_more_data": more}]
            done = {"more_data": False, "ready": True}
            return [data, {"charts": {chart.chart_id: done}, "mdhis_more_data": more}]

        return make


def _chunks(gaps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Cut ranges into chunks of at most ``CHUNK`` ids, newest first."""
    chunks = []
    for left, right in reversed(gaps):
        while left <= right:
            low = max(left, right - CHUNK + 1)
            chunks.append((low, right))
            right = low - 1
    return chunks
