"""``Tickfeed``: every tick of a contract in Backtrader."""

from __future__ import annotations

from typing import Any

import backtrader as bt

from .datafeed import Mydatafeed
from .errors import ConfigError
from .lifeline import GRACE
from .live_ticks import LiveTicks


class Tickfeed(Mydatafeed):
    """Every tick once, in order, live; made by ``MyStore.get_tick_data``.

    ``open``, ``high``, ``low`` and ``close`` are the last price (that of the tick before where the
    exchange shows none), ``volume`` the lots traded since the tick before, ``openinterest`` lots,
    ``datetime`` the exchange's stamp; bid and ask are the tick's own. There is no history of ticks.
    Bars of so many ticks: ``cerebro.resampledata(feed, timeframe=bt.TimeFrame.Ticks,
    compression=5)``, stamped with their last one.

    Raises:
        ConfigError: ``lookback`` or another length was asked for; nothing was subscribed.
    """

    params: Any = (("timeframe", bt.TimeFrame.Ticks),)

    bar_length = "ticks"

    def _must_be_known(self) -> None:
        if self.p.timeframe != bt.TimeFrame.Ticks or self.p.compression != 1:
            raise ConfigError("this feed delivers single ticks; cerebro.resampledata makes bars")
        if self.p.lookback:
            raise ConfigError("there is no history of ticks: leave lookback away")

    @property
    def heard_until(self) -> int:
        """Until when every tick has been delivered, nanoseconds; 0 while some wait."""
        waiting = self._live is None or self._live.waiting
        return 0 if waiting else int(self.store.alive_at(self.symbol)) - GRACE

    @property
    def dues(self) -> tuple[int, ...]:
        """Also when bars that are being made of ticks must be closed, if no tick closes them."""
        feeds: list[Any] = [self, *self._clones]
        made = [one for feed in feeds for one, *_ in feed._filters]
        return (*super().dues, *(one.due for one in made if hasattr(one, "due")))

    def _official_bars(self, rows: int) -> Any:
        """Ticks are what they are: the series itself says when it is ready."""
        return self.store.gateway.charts.series(self.symbol, 0, rows)

    def _begin(self) -> None:
        if self._live is not None:  # a second run: go on where the first ended
            return
        self._past.load()
        last_id = self._ticks.last_id
        if self._main is not None:
            self._main.begin([])
        before = self._ticks.ticks(last_id, last_id) if last_id >= 0 else []
        self._live = LiveTicks(
            self._ticks, last_id + 1, before[0] if before else None, self._sieve()
        )
