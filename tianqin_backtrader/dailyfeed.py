"""``Dailyfeed``: one bar a trading day."""

from __future__ import annotations

from typing import Any

import backtrader as bt

from .bar_builder import DaySlotTable, SlotTable
from .data_tree import DayRows
from .datafeed import Mydatafeed
from .errors import ConfigError
from .model import Bar


class Dailyfeed(Mydatafeed):
    """One bar a trading day, from the 21:00 of the night before to 15:00; ``store.get_daily_data``.

    Friday's night is in Monday's bar; bonds close at 15:15; products and days without a night begin
    in the morning. The bar is stamped with the day's last close and delivered there.
    """

    params: Any = (
        ("timeframe", bt.TimeFrame.Days),
        ("night_start", False),
    )

    bar_length = "day"

    def _must_be_known(self) -> None:
        if self.p.timeframe != bt.TimeFrame.Days or self.p.compression != 1:
            raise ConfigError("this feed delivers single days; cerebro.resampledata makes weeks")

    def _official_bars(self, rows: int) -> Any:
        series = self.store.gateway.charts.series(self.symbol, 86400, rows)
        return DayRows(series, self.store.calendar, self.symbol)

    def _slot_table(self) -> SlotTable:
        return DaySlotTable(self.store.calendar, self.symbol)

    @property
    def today(self) -> Bar | None:
        """The running day so far, as TianQin has it; None outside of one. Volume in lots."""
        last_id = self._klines.last_id
        bars: list[Bar] = self._klines.bars(last_id, last_id) if last_id >= 0 else []
        for bar in bars:
            if bar.end > self.store.clock.now_ns():
                return bar
        return None
