"""Rows of ticks and bars: asked for on the wire, read from tqsdk's tree or from its frames.

The tree holds every row, exact, and an open chart costs nothing in it, while every open frame
costs time in each ``wait_update`` and is float64. But the tree is below tqsdk's public surface:
with a version it was not tested with, the frames are what is read.
"""

from __future__ import annotations

from typing import Any

from tqsdk.diff import _get_obj

from ..core.clock import SECOND
from ..core.ports import OfChart, Rows
from .rows import FrameSeries, Series

#: Rows that TianQin gives in one chart.
LARGEST_CHART = 10_000
#: Rows before the outage that a new session is asked for.
SHORT_CHART = 1_000
#: Ticks of one contract in a second at most, and how many of them are asked for again; bars that
#: are not covered by them are repaired from the official ones.
TICKS_A_SECOND, LARGEST_TICK_CHART = 2.5, 3_000


class TreeCharts:
    """Charts of a client, read from its tree.

    The series given out stay the same objects when the client is made anew (``renew``).

    Args:
        api: The ``TqApi``.
    """

    def __init__(self, api: Any) -> None:
        self._api = api
        self._series: dict[tuple[str, int], Series] = {}
        self._charts: dict[str, tuple[Series, dict[str, int]]] = {}
        self._asked = 0

    def series(self, symbol: str, seconds: int, width: int) -> Series:
        """Subscribe to the newest ``width`` ticks (``seconds`` 0) or bars; returns at once."""
        key = (symbol, seconds)
        known = self._series.get(key)
        width = min(width, LARGEST_CHART)
        if known is None or known.width < width:
            self._series[key] = self._chart(Series(symbol, seconds, width, f"{width}"), {})
        return self._series[key]

    def older(self, series: OfChart, first_id: int, width: int) -> Series:
        """Ask for rows of the past that a series does not reach; they come into the same tree.

        Args:
            series: The series.
            first_id: The oldest row wanted.
            width: How many from there on.

        Returns:
            Rows that are all there when it is ``ready``.
        """
        # A name of its own: what was asked before under one is taken back later than it is dropped.
        self._asked += 1
        asked = Series(series.symbol, series.seconds, width, f"from_{first_id}_{self._asked}")
        return self._chart(asked, {"left_kline_id": first_id})

    def drop(self, older: Rows) -> None:
        """End a request of ``older``: its rows stay, a lost link does not ask for them again."""
        del self._charts[older.chart_id]
        self._ask(older, {}, symbol="")

    def renew(self, api: Any, away: float) -> None:
        """Ask a new client for everything again.

        Args:
            api: The new ``TqApi``.
            away: Seconds since rows came; the charts reach as far back.
        """
        self._api = api
        for series, position in self._charts.values():
            width, seconds = min(series.width, SHORT_CHART), series.seconds
            if seconds:
                width = min(width + int(away / seconds), LARGEST_CHART)
            else:
                width = min(width + int(away * TICKS_A_SECOND), LARGEST_TICK_CHART)
            self._chart(series, position, width)

    def release(self, series: OfChart, keep: int) -> None:
        """Let the client forget old rows, unless a serial of the user's own looks at them."""
        if not self._is_watched(series):
            series.release(keep)

    def forget(self, series: Rows, first_id: int, last_id: int) -> None:
        """Let the client forget rows that ``older`` brought, as ``release``."""
        if not self._is_watched(series):
            series.forget(first_id, last_id)

    def _is_watched(self, series: OfChart) -> bool:
        path = series.path
        return any(
            root["_path"] == path
            for serial in self._api._serials.values()
            for root in serial["root"]
        )

    def _chart(self, series: Series, position: dict[str, int], width: int = 0) -> Series:
        # Made ahead, so that one look-up finds them whenever the server fills them.
        root = _get_obj(self._api._data, series.path)
        chart = _get_obj(self._api._data, ["charts", series.chart_id])
        series.bind(root.__dict__, chart.__dict__)
        self._charts[series.chart_id] = (series, position)
        self._ask(series, position | {"view_width": width or series.width}, series.symbol)
        return series

    def _ask(self, series: Rows, options: dict[str, int], symbol: str) -> None:
        pack = {
            "aid": "set_chart",
            "chart_id": series.chart_id,
            "ins_list": symbol,
            "duration": series.seconds * SECOND,
            "view_width": series.width,
        }
        self._api._send_pack(pack | options)


class FrameCharts:
    """The same from ``get_tick_serial`` and ``get_kline_serial``; the past ends at 10 000 rows.

    Args:
        api: The ``TqApi``.
    """

    def __init__(self, api: Any) -> None:
        self._api = api
        self._series: dict[tuple[str, int], FrameSeries] = {}

    def series(self, symbol: str, seconds: int, width: int) -> FrameSeries:
        """As of ``TreeCharts``; returns when the rows are there."""
        key = (symbol, seconds)
        known = self._series.get(key)
        width = min(width, LARGEST_CHART)
        if known is None or known.width < width:
            self._series[key] = FrameSeries(symbol, seconds, width, self._frame(*key, width))
        return self._series[key]

    def older(self, series: OfChart, first_id: int, width: int) -> FrameSeries:
        """There is none: the rows that are there stand for it."""
        return self.series(series.symbol, series.seconds, LARGEST_CHART)

    def drop(self, older: Rows) -> None:
        """Nothing to end."""

    def renew(self, api: Any, away: float) -> None:
        """As of ``TreeCharts``."""
        self._api = api
        for (symbol, seconds), series in self._series.items():
            series.bind(self._frame(symbol, seconds, series.width))

    def release(self, series: OfChart, keep: int) -> None:
        """tqsdk keeps what it has; a planned renewal of the session is what bounds it."""

    def forget(self, series: Rows, first_id: int, last_id: int) -> None:
        """As ``release``."""

    def _frame(self, symbol: str, seconds: int, width: int) -> Any:
        if seconds:
            return self._api.get_kline_serial(symbol, seconds, width)
        return self._api.get_tick_serial(symbol, width)
