"""``Mydatafeed``: minute bars in Backtrader, first from history, then built from live ticks."""

from __future__ import annotations

import logging
from collections import deque
from datetime import time
from typing import Any

import backtrader as bt

from .bar_builder import BarBuilder
from .clock import DAY, MINUTE, from_ns, to_backtrader, to_ns
from .errors import ConfigError, LinkTimeout
from .model import Bar

logger = logging.getLogger(__name__)

#: What ``lookback=True`` means.
LOOKBACK = 10_000
#: Ticks asked for at the start: enough for the running minute and the price in force before it.
RECENT_TICKS = 500
#: No market that trades today was silent for so long: longer than any holiday.
ANOTHER_TIME = 30 * DAY
#: Seconds to wait for history before giving up.
HISTORY_TIMEOUT = 60.0


class Mydatafeed(bt.feed.DataBase):
    """Minute bars of one contract, live; made by ``MyStore.getdata``.

    Bars carry their right edge in naive Beijing time: 09:01 is 09:00-09:01. A live bar is
    delivered as soon as it is certain, together with the other contracts' bars of that minute.

    Lines beside Backtrader's own: ``bid_price ask_price bid_volume ask_volume`` (level 1, also as
    ``bid_price1`` ...), ``bid_price2 ask_price2``: the book at the bar's end, nan where the
    market shows none, and in history.

    Params:
        store: The ``MyStore``.
        lookback: Minutes of history first; True is 10 000.
        night_start: History begins with a night opening (a day's first opening for products
            without night), so that it holds whole trading days.
        qcheck: Seconds a round of Cerebro waits for news.
    """

    lines: Any = ("bid_price", "ask_price", "bid_volume", "ask_volume", "bid_price2", "ask_price2")
    linealias = (
        ("bid_price", "bid_price1"),
        ("ask_price", "ask_price1"),
        ("bid_volume", "bid_volume1"),
        ("ask_volume", "ask_volume1"),
    )
    params = (
        ("store", None),
        ("lookback", False),
        ("night_start", True),
        ("timeframe", bt.TimeFrame.Minutes),
        ("qcheck", 0.5),
    )

    def __init__(self) -> None:
        if self.p.timeframe != bt.TimeFrame.Minutes or self.p.compression != 1:
            raise ConfigError("this feed delivers bars of one minute; use cerebro.resampledata")
        self.store = self.p.store
        self.symbol: str = self.p.dataname
        width = LOOKBACK if self.p.lookback is True else self.p.lookback
        self._width = int(width)
        gateway = self.store.gateway
        # One more than wanted: the newest row is the running minute.
        self._klines = gateway.series(self.symbol, 60, max(self._width + 1, 2))
        self._ticks = gateway.series(self.symbol, 0, RECENT_TICKS)
        self._ready: deque[Bar] = deque()
        self._history: deque[Bar] = deque()
        self._history_end = 0.0
        self._next_tick = -1
        self._builder: BarBuilder | None = None
        self.ticks_taken = 0

    # -- Backtrader's side --------------------------------------------------------------------

    def setenvironment(self, env: Any) -> None:
        """Cerebro takes the feed in: the store runs with it, orders are told at once."""
        super().setenvironment(env)
        env.addstore(self.store)
        env.p.quicknotify = True

    def islive(self) -> bool:
        """Bars come one by one: no preloading."""
        return True

    def haslivedata(self) -> bool:
        """Whether a bar can be had without waiting."""
        return bool(self._history) or self.has_bar(self.store.horizon())

    def start(self) -> None:
        """Load history and stand at the running minute."""
        super().start()
        self.store.start(data=self)
        self.put_notification(self.DELAYED)
        self._begin()

    def _load(self) -> bool | None:
        if self._history:
            return self._deliver(self._history.popleft())
        if self._builder is None:
            return False
        self.store.poll(self._qcheck)
        if self.has_bar(self.store.horizon()):
            return self._deliver(self._ready.popleft())
        if self._laststatus != self.LIVE:
            self.put_notification(self.LIVE)
        return False if self.store.market_over else None

    def _deliver(self, bar: Bar) -> bool:
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
        return True

    @property
    def history_phase(self) -> bool:
        """True while the bar in ``next()`` is from history, False for every live bar."""
        return len(self) > 0 and self.lines.datetime[0] <= self._history_end

    # -- the store's side ---------------------------------------------------------------------

    @property
    def next_close(self) -> int:
        """When the running bar must be closed by the clock, nanoseconds."""
        return self._builder.slot.certain if self._builder is not None else 1 << 62

    @property
    def complete_until(self) -> int:
        """Every bar that ends by this instant is complete, nanoseconds."""
        return self._builder.slot.start if self._builder is not None else 1 << 62

    def has_bar(self, horizon: int) -> bool:
        """Whether a live bar that ends by ``horizon`` waits, with history done."""
        return bool(self._ready) and not self._history and self._ready[0].end <= horizon

    def take_ticks(self) -> None:
        """Build bars from the ticks that have come since the last call."""
        last_id = self._ticks.last_id
        builder = self._builder
        if builder is None or last_id < self._next_tick:
            return
        ticks = self._ticks.ticks(self._next_tick, last_id)
        self._next_tick = last_id + 1
        self.ticks_taken += len(ticks)
        for tick in ticks:
            done = builder.push(tick)
            if done:
                self._ready.extend(done)
        if ticks:
            self.store.clock.stamp(ticks[-1].time)

    def flush(self, now: int) -> None:
        """Complete the bars whose trading ended by ``now``."""
        if self._builder is not None and self._builder.slot.certain <= now:
            self._ready.extend(self._builder.flush(now))

    # -- history ------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._builder is not None:  # a second run: go on where the first ended
            return
        self._await_series()
        self._join_the_servers_time()
        builder = self.store.bar_builder(self.symbol, 1)
        final = self._final_bars()
        if final:
            builder.begin_after(final[-1].end, final[-1].close, final[-1].close_oi)
        else:
            builder.begin_after(to_ns(self.store.now()) // MINUTE * MINUTE, float("nan"), 0)
        wanted = self._whole_days(final[-self._width :]) if self._width else []
        self._history = deque(wanted)
        self._history_end = to_backtrader(wanted[-1].end) if wanted else 0.0
        logger.info("%s: %d bars of history", self.symbol, len(wanted))
        last_id = self._ticks.last_id
        if last_id >= 0:
            for tick in self._ticks.ticks(self._ticks.left_id, last_id):
                self._ready.extend(builder.push(tick))
        self._next_tick = last_id + 1
        self._builder = builder

    def _await_series(self) -> None:
        store = self.store
        waited = 0
        while not (self._klines.ready and self._ticks.ready):
            if not store.gateway.pump(HISTORY_TIMEOUT / 20):
                waited += 1
            if waited >= 20:
                raise LinkTimeout(f"TianQin sent no history of {self.symbol} within a minute")

    def _join_the_servers_time(self) -> None:
        """A server may play another time without saying so: its newest tick is months old."""
        clock, last_id = self.store.clock, self._ticks.last_id
        newest = self._ticks.ticks(last_id, last_id) if last_id >= 0 else []
        if newest and not clock.trusted and newest[0].time < clock.now_ns() - ANOTHER_TIME:
            clock.stamp(newest[0].time)

    def _final_bars(self) -> list[Bar]:
        """What is finished of the official bars: all but the running one."""
        last_id = self._klines.last_id
        if last_id < 0:
            return []
        bars = self._klines.bars(self._klines.left_id, last_id)
        now = to_ns(self.store.now())
        if bars and bars[-1].id == last_id and bars[-1].end > now:
            bars.pop()
        return bars

    def _whole_days(self, bars: list[Bar]) -> list[Bar]:
        if not self.p.night_start:
            return bars
        calendar, symbol = self.store.calendar, self.symbol
        for index, bar in enumerate(bars):
            start = from_ns(bar.start)
            if start.time() < time(9) or (index and bar.start == bars[index - 1].end):
                continue
            day = calendar.trading_day_at(start)
            if calendar.sessions(symbol, day)[0][0] == start:
                return bars[index:]
        return []
