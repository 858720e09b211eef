"""``BarFeed``: the lines of our feeds, and how a bar is written into them."""

from __future__ import annotations

from typing import Any

import backtrader as bt

from ..core.clock import to_backtrader
from ..core.model import Bar
from ..errors import ConfigError
from .resampling import DayClone, DayReplayer, DayResampler, NotCounted
from .session_timers import follow_sessions

#: What is said to a timezone.
BEIJING_TIME = "bars are stamped in Beijing time: leave tz away"


class BarFeed(bt.feed.DataBase):
    """A feed whose bars carry the book: what live and recorded feeds have in common."""

    lines: Any = ("bid_price", "ask_price", "bid_volume", "ask_volume", "bid_price2", "ask_price2")
    linealias = (
        ("bid_price", "bid_price1"),
        ("ask_price", "ask_price1"),
        ("bid_volume", "bid_volume1"),
        ("ask_volume", "ask_volume1"),
    )

    #: The Cerebro that has taken it in; Backtrader's name.
    _env: Any = None
    _timers_know = False
    resampling = NotCounted()

    @property
    def heard_until(self) -> int:
        """Until when every tick has been delivered, nanoseconds; feeds of bars say nothing."""
        return 0

    def qbuffer(self, savemem: int = 0, replaying: bool = False) -> None:
        """As of every Backtrader feed; resamplers need one more place."""
        super().qbuffer(savemem=savemem, replaying=replaying or bool(self._filters))

    def clone(self, **kwargs: Any) -> Any:
        """The same bars for another place in the run."""
        make: Any = DayClone
        return make(dataname=self, **kwargs)

    def resample(self, **kwargs: Any) -> None:
        """As of every Backtrader feed, by sessions."""
        self.addfilter(DayResampler, **kwargs)

    def replay(self, **kwargs: Any) -> None:
        """As of every Backtrader feed, by sessions."""
        self.addfilter(DayReplayer, **kwargs)

    def start(self) -> None:
        """Cerebro begins a run.

        Raises:
            ConfigError: ``Cerebro(tz=...)`` was said: strategies' own clock would be moved.
        """
        super().start()
        self._timers_know = False
        if self._env is not None and self._env.p.tz is not None:
            raise ConfigError(BEIJING_TIME)

    # Cerebro starts timers after feeds. In each round it calls one of these two, before timers.

    def do_qcheck(self, onoff: bool, qlapse: float) -> None:
        """As of every Backtrader feed."""
        self._let_timers_know()
        super().do_qcheck(onoff, qlapse)

    def advance_peek(self) -> float:
        """As of every Backtrader feed."""
        self._let_timers_know()
        return float(super().advance_peek())

    def _let_timers_know(self) -> None:
        """See that timers of this run go by the sessions of our feeds."""
        if not self._timers_know:
            self._timers_know = True
            follow_sessions(self._env, (BarFeed, DayClone))

    def _must_be_beijing_time(self) -> None:
        """Refuse ``tz`` and ``tzinput``: Backtrader would move the stamps.

        Raises:
            ConfigError: It was given.
        """
        if self.p.tz is not None or self.p.tzinput is not None:
            raise ConfigError(BEIJING_TIME)

    def _write(self, bar: Bar) -> None:
        lines = self.lines
        lines.datetime[0] = to_backtrader(bar.end)
        lines.open[0] = bar.open
        lines.high[0] = bar.high
        lines.low[0] = bar.low
        lines.close[0] = bar.close
        lines.volume[0] = bar.volume
        lines.openinterest[0] = bar.close_oi
        lines.bid_price[0] = bar.bid_price1
        lines.ask_price[0] = bar.ask_price1
        lines.bid_volume[0] = bar.bid_volume1
        lines.ask_volume[0] = bar.ask_volume1
        lines.bid_price2[0] = bar.bid_price2
        lines.ask_price2[0] = bar.ask_price2
