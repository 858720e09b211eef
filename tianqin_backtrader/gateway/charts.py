"""Rows of ticks and bars: subscribed on the wire, read from TqSdk's tree or from its frames.

The tree holds every row exactly, and an open chart costs nothing in it, while every open frame
costs time in each ``wait_update`` and is float64. But the tree is not TqSdk's public interface:
with versions that were not tested, frames are used.
"""

from __future__ import annotations

import pandas as pd
from tqsdk import TqApi
from tqsdk.diff import _get_obj

from ..core.clock import SECOND
from ..core.ports import OfChart, Rows
from .rows import Dropped, FrameSeries, Series

#: The most rows of one chart.
LARGEST_CHART = 10_000
#: Rows before an outage that a new session requests.
SHORT_CHART = 1_000
#: The most ticks of one contract per second, and the most that are requested again; a certificate
#: counts those that these do not cover.
TICKS_A_SECOND, LARGEST_TICK_CHART = 2.5, 3_000


class TreeCharts:
    """Charts of a client, read from its tree.

    Returned series stay the same objects when the client is replaced (``renew``).

    Args:
        api: The ``TqApi``.
    """

    def __init__(self, api: TqApi) -> None:
        self._api = api
        self._series: dict[tuple[str, int], Series] = {}
        self._dropped: dict[tuple[str, int], Dropped] = {}
        self._charts: dict[str, tuple[Series, dict[str, int]]] = {}
        self._asked = 0

    def series(self, symbol: str, seconds: int, width: int) -> Series:
        """Subscribe to the newest ``width`` ticks (``seconds`` 0) or bars; returns at once."""
        key = (symbol, seconds)
        known = self._series.get(key)
        width = min(width, LARGEST_CHART)
        if known is None or known.width < width:
            dropped = self._dropped.setdefault(key, Dropped(LARGEST_CHART))
            made = Series(symbol, seconds, width, f"{width}", dropped)
            self._series[key] = self._chart(made, {})
        return self._series[key]

    def older(self, series: OfChart, first_id: int, width: int) -> Series:
        """Request past rows that a series does not reach; they arrive in the same tree.

        Args:
            series: The series.
            first_id: The oldest row wanted.
            width: The number of rows from there on.

        Returns:
            A series that has all its rows when it is ``ready``.
        """
        # A unique name: the server handles the end of a request later than ``drop``.
        self._asked += 1
        asked = Series(series.symbol, series.seconds, width, f"from_{first_id}_{self._asked}")
        return self._chart(asked, {"left_kline_id": first_id})

    def drop(self, older: Rows) -> None:
        """End a request of ``older``: its rows stay, but a new client does not request them."""
        del self._charts[older.chart_id]
        self._ask(older, {}, symbol="")

    def renew(self, api: TqApi, away: float) -> None:
        """Request everything again from a new client.

        Args:
            api: The new ``TqApi``.
            away: Seconds since the last rows; the charts reach back as far.
        """
        self._api = api
        for dropped in self._dropped.values():
            dropped.clear()
        for series, position in self._charts.values():
            width, seconds = min(series.width, SHORT_CHART), series.seconds
            if seconds:
                width = min(width + int(away / seconds), LARGEST_CHART)
            else:
                width = min(width + int(away * TICKS_A_SECOND), LARGEST_TICK_CHART)
            self._chart(series, position, width)

    def release(self, series: OfChart, keep: int) -> None:
        """Let the client drop old rows, unless a serial of the user shows them."""
        if not self._is_watched(series):
            series.release(keep)

    def forget(self, series: Rows, first_id: int, last_id: int) -> None:
        """Let the client drop rows of ``older``; like ``release``."""
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
        # Created ahead, so that one look-up finds them even before the server fills them.
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
    """Like ``TreeCharts``, with ``get_tick_serial`` and ``get_kline_serial``; at most 10 000 rows.

    Args:
        api: The ``TqApi``.
    """

    def __init__(self, api: TqApi) -> None:
        self._api = api
        self._series: dict[tuple[str, int], FrameSeries] = {}

    def series(self, symbol: str, seconds: int, width: int) -> FrameSeries:
        """See ``TreeCharts``; returns when the rows have arrived."""
        key = (symbol, seconds)
        known = self._series.get(key)
        width = min(width, LARGEST_CHART)
        if known is None or known.width < width:
            self._series[key] = FrameSeries(symbol, seconds, width, self._frame(*key, width))
        return self._series[key]

    def older(self, series: OfChart, first_id: int, width: int) -> FrameSeries:
        """The existing rows: frames cannot request older ones."""
        return self.series(series.symbol, series.seconds, LARGEST_CHART)

    def drop(self, older: Rows) -> None:
        """Do nothing: there is no request to end."""

    def renew(self, api: TqApi, away: float) -> None:
        """See ``TreeCharts``."""
        self._api = api
        for (symbol, seconds), series in self._series.items():
            series.bind(self._frame(symbol, seconds, series.width))

    def release(self, series: OfChart, keep: int) -> None:
        """Do nothing: TqSdk keeps its rows; a planned renewal of the session limits them."""

    def forget(self, series: Rows, first_id: int, last_id: int) -> None:
        """Do nothing, like ``release``."""

    def _frame(self, symbol: str, seconds: int, width: int) -> pd.DataFrame:
        if seconds:
            return self._api.get_kline_serial(symbol, seconds, width)
        return self._api.get_tick_serial(symbol, width)
