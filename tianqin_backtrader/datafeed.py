"""``Mydatafeed``: minute bars in Backtrader, first from history, then built from live ticks."""

from __future__ import annotations

import logging
from collections import deque
from datetime import timedelta
from functools import partial
from typing import Any

import backtrader as bt

from .bar_builder import BarBuilder, SlotTable
from .clock import MINUTE, ahead_of_utc, from_ns, to_backtrader, to_ns
from .doubted_stamps import phase_at
from .errors import ConfigError
from .feed_clone import FeedClone
from .feed_history import FeedHistory
from .feed_names import named
from .lifeline import NEVER
from .line_trim import keep_latest, level
from .live_bars import FINAL_AFTER, LiveBars
from .live_feed import LiveFeed
from .main_bars import MainBars
from .main_contracts import MAIN
from .model import Bar
from .tick_sieve import TickSieve

logger = logging.getLogger(__name__)

#: What ``lookback=True`` means.
LOOKBACK = 10_000
#: Bars as TianQin cuts them, in minutes.
COMPRESSIONS = (1, 3, 5, 15, 30, 60)
#: Official bars asked for at least: as many can be missed and delivered later.
RECENT_BARS = 600
#: Ticks asked for at the start: enough for the running minute and the price in force before it.
RECENT_TICKS = 500
#: Filters of Backtrader that need all bars at once, or one session a day, or fill days twice.
_OF_WHOLE_RUNS = (
    bt.filters.CalendarDays,
    bt.filters.Renko,
    bt.filters.DaySplitter_Close,
    bt.filters.SessionFiller,
)
#: What is said to ``cerebro.optstrategy``.
ONE_RUN = (
    "cerebro.optstrategy would trade the account once for each parameter: optimize on recorded "
    "bars (RecordedData), and run cerebro.addstrategy here"
)


class Mydatafeed(LiveFeed):
    """Minute bars of one contract, live; made by ``MyStore.getdata``.

    Every live bar is compared with TianQin's own of the same id once that is final; a difference is
    told (``notify_data`` with status ``CORRECTED`` and the keyword ``difference``) and counted in
    ``certificate()``.

    Statuses told to ``notify_data``: DELAYED while history is delivered, LIVE, CLOSED outside of
    trading hours, DISCONNECTED, NOTSUBSCRIBED when the contract has ended, CORRECTED,
    MAIN_CHANGED (keyword ``change``, a ``MainChange`` with day, old, new and gap) when another
    contract is behind a main contract: before the first bar of the new one, of days in the evening.

    Bars carry their right edge in naive Beijing time: 09:01 is 09:00-09:01. A live bar is
    delivered as soon as it is certain, together with the other contracts' bars of that minute.

    Lines: prices as the exchange quotes them, ``volume`` in lots, ``openinterest`` in lots at the
    bar's end. Beside Backtrader's own: ``bid_price ask_price bid_volume ask_volume`` (level 1, also
    as ``bid_price1`` ...), ``bid_price2 ask_price2``: the book at the bar's end, nan where the
    market shows none, and in history.

    Params:
        store: The ``MyStore``.
        compression: Minutes of a bar as TianQin cuts them: 1, 3, 5, 15, 30 or 60.
        lookback: Bars of history first; True is 10 000.
        night_start: History begins with a night opening (a day's first opening for products
            without night), so that it holds whole trading days: those within the latest 10 000
            bars, or of a number at least so many bars. False: exactly the number.
        keep_bars: Values kept in Backtrader's lines, of the feed and of the indicators on it, for
            runs over months: at least 10, and as many as the indicators need for their first
            value; the strategy looks back no further either. None keeps all.
        adjust: None, or ``"back"`` for a main contract (``KQ.m@...``): prices of earlier
            contracts are moved by the gaps between closes, so that there are no jumps and the
            newest prices are the real ones (前复权, with differences). At a change while it runs,
            in the evening for days, too, the bars there have been are moved in their lines; what
            indicators have remembered, and the bars of clones and resamplers, are not.
        qcheck: Seconds a round of Cerebro waits for news.

    Raises:
        ConfigError: A parameter is wrong; nothing was subscribed. With the first bar, when an
            indicator needs more than ``keep_bars``.
        LinkTimeout: From ``start``: TianQin sent no history within a minute.
    """

    params: Any = (
        ("store", None),
        ("lookback", False),
        ("night_start", True),
        ("keep_bars", None),
        ("adjust", None),
        ("timeframe", bt.TimeFrame.Minutes),
        ("qcheck", 0.5),
    )

    def __init__(self) -> None:
        super().__init__()
        self._must_be_known()
        self._must_be_beijing_time()
        if self.keep_bars is not None and not self.keep_bars >= 10:
            raise ConfigError(f"keep_bars is None or at least 10, not {self.keep_bars!r}")
        self._main = MainBars(self) if self.p.dataname.startswith(MAIN) else None
        if self.p.adjust not in (None, "back") or (self.p.adjust and self._main is None):
            raise ConfigError(f'adjust is None, or "back" for a main contract: {self.p.adjust!r}')
        self._clones: list[FeedClone] = []
        width = LOOKBACK if self.p.lookback is True else self.p.lookback
        self._width = int(width)
        # One more than wanted: the newest row is the running bar.
        self._klines = self._official_bars(max(self._width + 1, RECENT_BARS))
        self._ticks = self.store.gateway.charts.series(self.symbol, 0, RECENT_TICKS)
        self._history_end = 0.0
        whole_days = self.p.night_start and self.p.lookback is not True
        self._past = FeedHistory(
            self.store, self.symbol, self._klines, self._ticks, self._width, whole_days=whole_days
        )

    #: Its name, told apart from those of the other feeds.
    _told_as = ""
    #: Bars that have been trimmed.
    trimmed = 0

    @property
    def keep_bars(self) -> int | None:
        """As of the parameter."""
        keep: int | None = self.p.keep_bars
        return keep

    def _must_be_known(self) -> None:
        if self.p.timeframe != bt.TimeFrame.Minutes:
            raise ConfigError("this feed delivers minutes; get_daily_data delivers days")
        if self.p.compression not in COMPRESSIONS:
            raise ConfigError(f"compression is one of {COMPRESSIONS}, not {self.p.compression}")

    @property
    def bar_length(self) -> str:
        """How long a bar is, in words for people."""
        return f"{self.p.compression} min"

    def _official_bars(self, rows: int) -> Any:
        """TianQin's own bars: history, and what live bars are compared with."""
        return self.store.gateway.charts.series(self.symbol, 60 * self.p.compression, rows)

    def _slot_table(self) -> SlotTable:
        return SlotTable(self.store.calendar, self.symbol, self.p.compression * MINUTE)

    # -- Backtrader's side --------------------------------------------------------------------

    def setenvironment(self, env: Any) -> None:
        """Cerebro takes the feed in: the store runs with it, orders are told at once.

        Raises:
            ConfigError: It has taken it in already: each of the two places would get other bars.
        """
        if any(one is self for one in env.datas):
            raise ConfigError(
                f"{self._name} is in this run already: add feed.clone(), or add the feed before it "
                "is resampled or replayed"
            )
        super().setenvironment(env)
        env.addstore(self.store)
        env.p.quicknotify = True

    def clone(self, **kwargs: Any) -> FeedClone:
        """The same bars for another place in the run."""
        make: Any = FeedClone
        clone: FeedClone = make(dataname=self, **kwargs)
        self._clones.append(clone)
        return clone

    def _timeoffset(self) -> timedelta:
        return ahead_of_utc(self.store.now())

    def islive(self) -> bool:
        """Bars come one by one: no preloading."""
        return True

    def haslivedata(self) -> bool:
        """Whether a bar can be had without waiting."""
        made = bool(self._history or self._barstack)
        return made or self.has_bar(self.store.horizon())

    def start(self) -> None:
        """Load history and stand at the running minute."""
        super().start()
        self.trimmed = 0
        self._must_be_one_live_run()
        self.store.start(data=self)
        self._told_as = next(name for name, feed in named(self.store.feeds).items() if feed is self)
        if isinstance(self._env.broker, bt.brokers.BackBroker) and self is self.store.feeds[0]:
            logger.warning(
                "orders of this run stay in Backtrader's own simulation; "
                "cerebro.setbroker(store.getbroker()) sends them to the account"
            )
        self._begin()
        if self._history:
            self.put_notification(self.DELAYED)

    def _must_be_one_live_run(self) -> None:
        """Refuse what only a back-test can do.

        Raises:
            ConfigError: Cerebro was told to optimize, to trade at the open of a finished bar, to
                chain feeds (a chain ends with the first round without a bar, or never waits), or to
                filter what only a whole run's bars can be filtered by.
        """
        if not any(one is self for one in self._env.datas):
            raise ConfigError(
                "chaindata and rolloverdata do not take live feeds: getdata('KQ.m@SHFE.cu', "
                "adjust='back') goes from one contract to the next"
            )
        for one, *_ in self._filters:
            if isinstance(one, _OF_WHOLE_RUNS):
                raise ConfigError(
                    f"{type(one).__name__} is a filter for back-tests alone: it fails on bars that "
                    "come one by one, fills days twice, or knows no breaks and nights"
                )
        if self._env._dooptimize:
            raise ConfigError(ONE_RUN)
        if self._env.p.cheat_on_open:
            raise ConfigError(
                "cheat_on_open: a live bar is known when it has ended, nothing can be traded at "
                "its open any more; order in next()"
            )

    def _load(self) -> bool | None:
        if self._history:
            return self._deliver(self._history.popleft())
        if self._live is None:
            return False
        self.store.poll(self._qcheck)
        if self.finished:
            if not self.store.market_over and self._laststatus != self.NOTSUBSCRIBED:
                logger.info("%s has ended: no more bars", self.symbol)
                self.put_notification(self.NOTSUBSCRIBED)
            return False
        if self.has_bar(self.store.horizon()):
            self._tell(self.LIVE)
            bar = self._live.pop()
            if self._main is not None:
                self._main.look(bar)
            return self._deliver(bar)
        if self._main is not None:
            self._main.look_ahead()
        self._tell(self.CLOSED if self._is_closed() else self.LIVE)
        return None

    def _is_closed(self) -> bool:
        """Whether there is a break, and its last bar has been delivered."""
        begun = self._laststatus in (self.LIVE, self.CLOSED, self.DISCONNECTED)
        if not begun or self._live is None or self.store.is_open(self.symbol):
            return False
        return not self._live.waiting and self._live.next_close > self.store.clock.now_ns()

    def _tell(self, status: int) -> None:
        """Tell ``notify_data`` what has changed; a lost connection stays until data can come."""
        if status != self._laststatus and self.store.market_data_up:
            self.put_notification(status)

    def stop(self) -> None:
        """Cerebro ends a run."""
        super().stop()
        if self.keep_bars:
            level(self._env.runningstrats)

    def buflen(self) -> int:
        """Bars there have been, as if none had been trimmed; Cerebro compares it with ``len``."""
        return int(self.lines.buflen()) + self.trimmed

    def _deliver(self, bar: Bar) -> bool:
        if self.keep_bars:
            keep_latest(self._env.runningstrats, self, self.keep_bars)
        self._write(bar)
        self.store.observers.bar(self._told_as, bar)
        return True

    @property
    def history_phase(self) -> bool:
        """True while the bar in ``next()`` is from history, False for every live bar."""
        return len(self) > 0 and self.lines.datetime[0] <= self._history_end

    # -- history ------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._live is not None:  # a second run: go on where the first ended
            return
        self._past.load()
        expires = self.store.instrument(self.symbol).expire_datetime
        self._ends = to_ns(expires) if expires is not None else NEVER
        builder = BarBuilder(self._slot_table())
        final = self._stand(builder)
        last_id = self._ticks.last_id
        next_bar = final[-1].id + 1 if final else -1
        live = LiveBars(
            self.symbol, builder, self._ticks, self._klines, next_bar, last_id + 1, self._sieve()
        )
        ticks = self._ticks.ticks(self._ticks.left_id, last_id) if last_id >= 0 else []
        if ticks and not builder.knows_volume_from(ticks[0].time):
            live.doubt_until(builder.slot.end)
        final += live.begin(final[-1] if final else None, ticks, self._past.passed())
        wanted = self._past.newest(final, night_start=self.p.night_start)
        if self._main is not None:
            wanted = self._main.begin(wanted)
        self._history = deque(wanted)
        self._history_end = to_backtrader(wanted[-1].end) if wanted else 0.0
        logger.info("%s: %d bars of history", self.symbol, len(wanted))
        self._live = live

    def _sieve(self) -> TickSieve:
        calendar = self.store.calendar

        def same_day(before: int, now: int) -> bool:
            day = calendar.trading_day_at(from_ns(now))  # before it opens its volume begins anew
            return before > to_ns(calendar.sessions(self.symbol, day)[0][0])

        return TickSieve(
            self.symbol, self.store.clock, same_day, partial(phase_at, calendar, self.symbol)
        )

    def _stand(self, builder: BarBuilder) -> list[Bar]:
        """Place the builder behind what is final of the official bars; those."""
        final, running = self._past.final_and_running()
        now = self._past.passed()
        if final:
            builder.begin_after(final[-1].end, final[-1].close, final[-1].close_oi)
        else:
            builder.begin_after(now // MINUTE * MINUTE, float("nan"), 0)
        if running is not None and running.start == builder.slot.start:
            if builder.slot.certain + FINAL_AFTER <= now:  # a break has cut it
                final.append(running)
                builder.begin_after(running.end, running.close, running.close_oi)
            else:
                builder.resume(running)
        return final
