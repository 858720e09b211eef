"""``MinutesThenTicks``: minute bars of history, then every tick."""

from __future__ import annotations

from typing import Any

import backtrader as bt

from .clock import from_ns
from .datafeed import Mydatafeed
from .errors import ConfigError
from .live_bars import LiveBars
from .live_ticks import LiveTicks
from .model import Bar
from .tickfeed import Tickfeed

#: What strategies written for forwardtrader call on themselves.
FOUR_WAY = ("buy_open", "sell_open", "buy_close", "sell_close")


class MinutesThenTicks(Tickfeed):
    """What ``MyStore.getdata_v2`` makes.

    History, where it is wanted, is of minute bars (``history_phase``), stamped at their right edge;
    the running minute's ticks follow, and then each as it comes, as ``Tickfeed`` delivers them.
    Those of opening auctions are left out, and their lots are the first tick's after it. So
    ``cerebro.resampledata(feed, timeframe=bt.TimeFrame.Minutes)`` beside the feed itself makes one
    row of minutes of both.

    Raises:
        ConfigError: Another length was asked for; nothing was subscribed.
    """

    def _must_be_known(self) -> None:
        if self.p.timeframe != bt.TimeFrame.Ticks or self.p.compression != 1:
            raise ConfigError(
                "getdata_v2 delivers single ticks after minutes of history: getdata delivers "
                "minutes (compression=), cerebro.resampledata makes bars of ticks"
            )

    def _official_bars(self, rows: int) -> Any:
        return Mydatafeed._official_bars(self, rows)

    def _begin(self) -> None:
        if self._live is not None:  # a second run: go on where the first ended
            return
        Mydatafeed._begin(self)
        last_id = self._ticks.last_id
        newest = self._ticks.ticks(self._ticks.left_id, last_id) if last_id >= 0 else []
        since = self._history[-1].end if self._history else 0
        seen = [tick for tick in newest if tick.time <= since or not self._history]
        first = seen[-1].id + 1 if seen else newest[0].id if newest else 0
        before, seam = seen[-1] if seen else None, self._live
        assert isinstance(seam, LiveBars)
        self._live = LiveTicks(self._ticks, first, before, self._sieve(), seam)

    def _deliver(self, bar: Bar) -> bool | None:  # type: ignore[override]  # None: nothing yet
        if bar.end > bar.start:  # a minute of history
            return super()._deliver(bar)
        calendar, at = self.store.calendar, from_ns(bar.end)
        if calendar.is_auction(self.symbol, at) and not calendar.is_trading_now(self.symbol, at):
            self._in_auction += bar.volume
            return None
        bar = bar._replace(volume=bar.volume + self._in_auction)
        self._in_auction = 0
        return super()._deliver(bar)

    #: Lots of an auction that no delivered tick has had yet.
    _in_auction = 0
    _lent = False

    def start(self) -> None:
        """As every feed of a run."""
        self._lent = False
        super().start()

    def _load(self) -> bool | None:
        if not self._lent:
            self._lend_four_way()
        return super()._load()

    def _lend_four_way(self) -> None:
        """The run's strategies may call the broker's four-way orders on themselves."""
        self._lent = True
        broker = self.store.broker
        for strategy in self._env.runningstrats if broker is not None else ():
            for name in FOUR_WAY:
                if not hasattr(strategy, name):
                    setattr(strategy, name, getattr(broker, name))
