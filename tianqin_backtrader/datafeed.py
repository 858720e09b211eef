"""``Mydatafeed``: TianQin's minute bars in Backtrader, first of history, then live ones."""

from __future__ import annotations

import logging
from array import array
from collections import deque
from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property, partial
from typing import Any

import backtrader as bt

from .calendars.doubted_stamps import phase_at
from .contracts.continuous import MAIN
from .contracts.odd_prices import UNKNOWN, Limits
from .core.clock import MINUTE, NEVER, ahead_of_utc, from_ns, to_backtrader, to_ns
from .core.model import Bar
from .core.ports import OfChart
from .errors import ConfigError
from .feeds.bar_feeds import LiveFeed
from .feeds.continuous_feed import MainBars
from .feeds.day_rows import DayRows
from .feeds.feed_clone import FeedClone
from .feeds.history import FeedHistory, load_together
from .feeds.live_bars import LiveBars, Newest, NoQuote
from .feeds.live_ticks import LiveTicks, NewestRow
from .feeds.names import named
from .feeds.slots import DaySlotTable, SlotCursor, SlotTable
from .feeds.tick_sieve import TickSieve
from .feeds.trimming import keep_latest, level, must_suffice, trim_run
from .gateway.liveness import GRACE
from .gateway.quote_ticks import QuoteTicks

logger = logging.getLogger(__name__)

#: What ``lookback=True`` means.
LOOKBACK = 10_000
#: Bars as TianQin cuts them, in minutes.
COMPRESSIONS = (1, 3, 5, 15, 30, 60)
#: Least number of official bars requested: as many can be missed and delivered later.
RECENT_BARS = 600
#: Ticks requested at the start, the newest of which is the one before the first live tick.
RECENT_TICKS = 500
#: Filters of Backtrader that need all bars at once, or one session a day, or fill days twice.
_OF_WHOLE_RUNS = (
    bt.filters.CalendarDays,
    bt.filters.Renko,
    bt.filters.DaySplitter_Close,
    bt.filters.SessionFiller,
)
#: The error message for ``cerebro.optstrategy``.
ONE_RUN = (
    "cerebro.optstrategy would trade the account once for each parameter: optimize on recorded "
    "bars (RecordedData), and run cerebro.addstrategy here"
)

#: Methods that strategies written for forwardtrader call on ``self``.
FOUR_WAY = ("buy_open", "sell_open", "buy_close", "sell_close")


class Mydatafeed(LiveFeed):
    """Minute bars of one contract, live; made by ``MyStore.getdata``.

    Every live bar is compared with TianQin's own of the same id once that is final; a difference is
    reported (``notify_data`` with status ``CORRECTED`` and the keyword ``difference``) and counted
    in ``certificate()``.

    Statuses in ``notify_data``: DELAYED while history is delivered, LIVE, CLOSED outside of
    trading hours, DISCONNECTED, NOTSUBSCRIBED when the contract has ended, CORRECTED,
    MAIN_CHANGED (keyword ``change``, a ``MainChange`` with day, old, new and gap) when a main
    contract has another underlying contract: before its first bar; for daily bars in the evening.

    Bars carry their right edge in naive Beijing time: 09:01 is 09:00-09:01. A live bar is
    delivered as soon as it is certain, together with the other contracts' bars of that minute.

    Lines: prices as the exchange quotes them, ``volume`` in lots, ``openinterest`` in lots at the
    bar's end. Besides Backtrader's own: ``bid_price ask_price bid_volume ask_volume`` (level 1,
    also as ``bid_price1`` ...), ``bid_price2 ask_price2``: the order book at the bar's end, nan if
    the market has no quote, and in history.

    Params:
        store: The ``MyStore``.
        compression: Minutes of a bar as TianQin cuts them: 1, 3, 5, 15, 30 or 60.
        lookback: Number of bars of history; True is 10 000.
        night_start: History begins with a night opening (a day's first opening for products
            without night session), so that it has whole trading days: with ``lookback=True`` those
            within the newest 10 000 bars, with a number at least as many bars. False: exactly the
            number.
        keep_bars: Values kept in Backtrader's lines, of the feed and of the indicators on it, for
            runs over months: at least 10, and as many as the indicators need for their first
            value; the strategy cannot look back further either. None keeps all.
        adjust: None, or ``"back"`` for a main contract (``KQ.m@...``): prices of earlier
            contracts are shifted by the gaps between closes, so that there are no jumps and the
            newest prices are the real ones (前复权, with differences). At a change during the run
            (for daily bars in the evening) earlier bars are shifted in the feed's lines; values of
            indicators, and bars of clones and resamplers, are not.
        quotes: False leaves out the contract's quote, which makes a round with many contracts
            faster: the lines bid and ask stay nan. Orders, stops and risk rules subscribe to the
            quotes that they need themselves.
        qcheck: Seconds a round of Cerebro waits for data.

    Raises:
        ConfigError: A parameter is wrong; nothing was subscribed. With the first bar, if an
            indicator needs more than ``keep_bars``.
        LinkTimeout: From ``start``: TianQin sent no history within a minute.
    """

    params: Any = (
        ("store", None),
        ("lookback", False),
        ("night_start", True),
        ("keep_bars", None),
        ("adjust", None),
        ("quotes", True),
        ("timeframe", bt.TimeFrame.Minutes),
        ("qcheck", 0.5),
    )

    def __init__(self) -> None:
        super().__init__()
        self._must_be_known()
        self._must_be_beijing_time()
        if self.keep_bars is not None and not self.keep_bars >= 10:
            raise ConfigError(f"keep_bars is None or at least 10, not {self.keep_bars!r}")
        if not isinstance(self.p.quotes, bool):
            raise ConfigError(f"quotes is True or False, not {self.p.quotes!r}")
        if self.delivers_ticks and not self.p.quotes:
            raise ConfigError("ticks have their own order book: leave out quotes")
        self._main = MainBars(self) if self.p.dataname.startswith(MAIN) else None
        if self.p.adjust not in (None, "back") or (self.p.adjust and self._main is None):
            raise ConfigError(f'adjust is None, or "back" for a main contract: {self.p.adjust!r}')
        self._clones: list[FeedClone] = []
        width = LOOKBACK if self.p.lookback is True else self.p.lookback
        self._width = int(width)
        # One more than wanted: the newest row is the running bar.
        self._klines = self._official_bars(max(self._width + 1, RECENT_BARS))
        self._quote = self._subscribed_quote()
        self._newest = self._newest_tick()
        self._charts = self._requested()
        whole_days = self.p.night_start and self.p.lookback is not True
        self._past = FeedHistory(
            self.store.context,
            self.store.gateway,
            self.store,
            self.symbol,
            self._klines,
            self._newest,
            self._width,
            whole_days=whole_days,
        )

    #: Its name, which differs from those of the other feeds.
    _told_as = ""
    #: Bars that have been trimmed.
    trimmed = 0
    #: Until when it has nothing to say, nanoseconds, with which status and state of the calendar.
    _rests_until = _rests_as = _rests_by = 0

    @property
    def keep_bars(self) -> int | None:
        """The parameter ``keep_bars``."""
        keep: int | None = self.p.keep_bars
        return keep

    def _must_be_known(self) -> None:
        if self.p.timeframe != bt.TimeFrame.Minutes:
            raise ConfigError("this feed delivers minutes; get_daily_data delivers days")
        if self.p.compression not in COMPRESSIONS:
            raise ConfigError(f"compression is one of {COMPRESSIONS}, not {self.p.compression}")

    @property
    def bar_length(self) -> str:
        """The length of a bar, as displayed."""
        return f"{self.p.compression} min"

    def _official_bars(self, rows: int) -> Any:
        """TianQin's own bars: history, and what live bars are compared with."""
        return self.store.gateway.charts.series(self.symbol, 60 * self.p.compression, rows)

    def _newest_tick(self) -> Newest:
        """What knows the contract's newest tick."""
        return self._quote

    def _subscribed_quote(self) -> QuoteTicks | NoQuote:
        return self.store.gateway.quotes.of(self.symbol) if self.p.quotes else NoQuote()

    def _requested(self) -> tuple[OfChart, ...]:
        """All series that are requested, the one with the most rows first."""
        if self.store.gateway.in_back_test:  # its time goes from tick to tick only if ticks come
            return (self._tick_series(), self._klines)
        return (self._klines,)

    def _tick_series(self) -> Any:
        return self.store.gateway.charts.series(self.symbol, 0, RECENT_TICKS)

    def _slot_table(self) -> SlotTable:
        return SlotTable(self.store.calendar, self.symbol, self.p.compression * MINUTE)

    # -- Backtrader's side --------------------------------------------------------------------

    def setenvironment(self, env: Any) -> None:
        """Add the store to Cerebro, and let orders be notified at once; called by Cerebro.

        Raises:
            ConfigError: Cerebro has this feed already: each of the two would miss bars.
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
        """Return a feed of the same bars, for a second use in the run."""
        make: Any = FeedClone
        clone: FeedClone = make(dataname=self, **kwargs)
        self._clones.append(clone)
        return clone

    def _timeoffset(self) -> timedelta:
        return ahead_of_utc(self.store.now())

    def islive(self) -> bool:
        """Return True: bars come one by one, without preloading."""
        return True

    def haslivedata(self) -> bool:
        """Return whether a bar can be delivered without waiting."""
        if self._history or self._barstack or self.put_back:
            return True
        return self.waits and self.has_bar(self._loop.horizon())

    def next(self, datamaster: Any = None, ticks: bool = True) -> bool | None:
        """As in Backtrader, which asks every feed in every round, nearly always in vain."""
        if not self._history:
            if not self._loop.polled:
                self._loop.poll(self._qcheck)
            if not self.waits and self._rests():
                return None
        self.put_back = False
        loaded: bool | None = super().next(datamaster, ticks)
        return loaded

    def rewind(self, size: int = 1) -> None:
        """As in Backtrader, when another feed has an earlier bar."""
        super().rewind(size)
        self.put_back = self.waits = True

    def start(self) -> None:
        """Load history, and begin live bars at the running minute."""
        super().start()
        self.trimmed, self._ended, self.put_back, self._rests_until = 0, False, False, 0
        self._must_be_one_live_run()
        self.store.start(data=self)
        self._told_as = next(name for name, feed in named(self.store.feeds).items() if feed is self)
        if isinstance(self._env.broker, bt.brokers.BackBroker) and self is self.store.feeds[0]:
            logger.warning(
                "orders of this run stay in Backtrader's own simulation; "
                "cerebro.setbroker(store.getbroker()) sends them to the account"
            )
        if self._env.p.oldsync:  # which never says how long a feed may wait
            self._qcheck = self.p.qcheck
        self._begin()
        self._look_up()
        if self._history:
            self.put_notification(self.DELAYED)

    def _must_be_one_live_run(self) -> None:
        """Refuse what only a back-test can do.

        Raises:
            ConfigError: Cerebro is to optimize, to trade at the open of a finished bar, to chain
                feeds (a chain ends with the first round without a bar, or never waits), or to use
                a filter that needs all bars of a run at once.
        """
        if not any(one is self for one in self._env.datas):
            raise ConfigError(
                "chaindata and rolloverdata do not take live feeds: getdata('KQ.m@SHFE.cu', "
                "adjust='back') continues from one contract to the next"
            )
        for one, *_ in self._filters:
            if isinstance(one, _OF_WHOLE_RUNS):
                raise ConfigError(
                    f"{type(one).__name__} is a filter for back-tests alone: it fails on bars that "
                    "come one by one, fills days twice, or ignores breaks and night sessions"
                )
        if self._env._dooptimize:
            raise ConfigError(ONE_RUN)
        if self._env.p.cheat_on_open:
            raise ConfigError(
                "cheat_on_open: a live bar is known only when it has ended, so nothing can be "
                "traded at its open any more; order in next()"
            )

    def _load(self) -> bool | None:
        if self._history:
            self.store.feeds.in_history = not self.store.feeds.live
            bar = self._history.popleft()
            self._look_up()
            return self._deliver(bar)
        if self._live is None:
            return False
        if self._ended:
            return False
        if self._over and self.finished:
            if not self._market_over:
                logger.info("%s has ended: no more bars", self.symbol)
                self.put_notification(self.NOTSUBSCRIBED)
                self._ended = True
            return False
        if self._live.ready and self.has_bar(self._loop.horizon()):
            self._tell(self.LIVE)
            if not self.store.feeds.live:
                self.store.feeds.go_live()
            bar = self._live.pop()
            self._look_up()
            if self._main is not None:
                self._main.look(bar)
            return self._deliver(bar)
        if self._main is not None:
            self._main.look_ahead()
        self._tell(self.CLOSED if self._is_closed() else self.LIVE)
        self._look_up()
        self._rest()
        return None

    def _rest(self) -> None:
        """Nothing is to be delivered or notified until news come, or the market opens or closes."""
        context, status = self.store.context, self._laststatus
        same = status == (self.LIVE if context.is_open(self.symbol) else self.CLOSED)
        self._rests_until = context.same_until(self.symbol) if same and not self._filters else 0
        self._rests_as, self._rests_by = status, context.calendar.changes

    def _rests(self) -> bool:
        """Whether that still holds."""
        if self._loop.now_ns >= self._rests_until or self._laststatus != self._rests_as:
            return False
        if self.store.calendar.changes != self._rests_by:
            return False
        if self._main is not None:
            self._main.look_ahead()
        return True

    def _is_closed(self) -> bool:
        """Whether the market is closed, and the last bar before that has been delivered."""
        begun = self._laststatus in (self.LIVE, self.CLOSED, self.DISCONNECTED)
        if not begun or self._live is None or self.store.context.is_open(self.symbol):
            return False
        return not self._live.ready and self._live.next_close > self.store.clock.now_ns()

    def _tell(self, status: int) -> None:
        """Notify a changed status; that of a lost connection stays until data can come."""
        if status != self._laststatus and self.store.market_data_up:
            self.put_notification(status)

    def stop(self) -> None:
        """End a run; called by Cerebro."""
        super().stop()
        if self.keep_bars:
            level(self._env.runningstrats)

    def buflen(self) -> int:
        """Return the number of bars including trimmed ones; Cerebro compares it with ``len``."""
        return int(self.lines.buflen()) + self.trimmed

    def _deliver(self, bar: Bar) -> bool:
        if self.keep_bars:
            keep_latest(self._env.runningstrats, self, self.keep_bars)
        self._write(bar)
        if self.store.observers.listening:
            self.store.observers.bar(self._told_as, bar)
        return True

    @property
    def history_phase(self) -> bool:
        """True while the bar in ``next()`` is from history, False for every live bar."""
        return len(self) > 0 and self.lines.datetime[0] <= self.history_end

    # -- history ------------------------------------------------------------------------------

    def load_history(self) -> Sequence[float]:
        """Write the whole history into the lines, without delivering it; for ``WarmUpCerebro``.

        Returns:
            The timestamps of its bars.

        Raises:
            ConfigError: An indicator needs more than ``keep_bars``.
        """
        if self.keep_bars:
            for strategy in self._env.runningstrats:
                must_suffice(strategy, self, self.keep_bars)
        while self._history and to_backtrader(self._history[0].end) < self.fromdate:
            self._history.popleft()
        self._write_all(self._history)
        return array("d", self.lines.datetime.array[: len(self._history)])

    def unload_history(self) -> None:
        """Empty the lines again: Cerebro will take history bar by bar."""
        self.reset()
        self.extend(size=self._env.p.lookahead)

    def finish_history(self) -> None:
        """Count the history that is in the lines as delivered."""
        bars = list(self._history)
        self._history.clear()
        self._look_up()
        if not bars:
            return
        self._tick_fill(force=True)
        self.store.feeds.in_history = not self.store.feeds.live
        if self.store.observers.listening:
            for bar in bars:
                self.store.observers.bar(self._told_as, bar)
        if self.keep_bars:
            trim_run(self._env.runningstrats, self, self.keep_bars)

    def _begin(self) -> None:
        if self._live is not None:  # a second run: go on where the first ended
            return
        self._load_histories()
        expires = self.store.instrument(self.symbol).expire_datetime
        self._ends = to_ns(expires) if expires is not None else NEVER
        final = self._past.final()
        since = final[-1].end if final else self._past.passed() // MINUTE * MINUTE
        cursor = SlotCursor(self._slot_table(), since)
        last = final[-1] if final else None
        live = LiveBars(self.symbol, cursor, self._klines, self._quote, self._sieve(), last)
        final += live.begin(self._past.passed())
        wanted = self._past.newest(final, night_start=self.p.night_start)
        if self._main is not None:
            wanted = self._main.begin(wanted)
        self._history = deque(wanted)
        self.history_end = to_backtrader(wanted[-1].end) if wanted else 0.0
        logger.info("%s: %d bars of history", self.symbol, len(wanted))
        self._live = live

    def _load_histories(self) -> None:
        """Wait for the history of all feeds of this run, with the first one that begins."""
        feeds = [one for one in self._env.datas if isinstance(one, Mydatafeed)]
        load_together(
            [one._past for one in feeds if one.store is self.store], self.store.gateway, self.store
        )

    def _sieve(self) -> TickSieve:
        calendar = self.store.calendar

        def same_day(before: int, now: int) -> bool:
            day = calendar.trading_day_at(from_ns(now))  # its volume begins anew before it opens
            return before > to_ns(calendar.sessions(self.symbol, day)[0][0])

        def limits(ns: int) -> Limits:
            known = self.store.context.known_instrument(self.symbol)
            if (
                known is None
                or calendar.trading_day_at(from_ns(ns)) != self.store.context.trading_day()
            ):
                return UNKNOWN
            return Limits(known.lower_limit, known.upper_limit)

        phase_of = partial(phase_at, calendar, self.symbol)
        return TickSieve(self.symbol, self.store.clock, same_day, phase_of, limits)


class Dailyfeed(Mydatafeed):
    """One bar per trading day, from 21:00 of the evening before to 15:00; ``store.get_daily_data``.

    Friday's night session is in Monday's bar; bonds close at 15:15; products and days without a
    night session begin in the morning. The bar is stamped with the day's last close, and delivered
    then.
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
        """TianQin's bar of the running trading day; None if no day runs. Volume in lots."""
        last_id = self._klines.last_id
        bars: list[Bar] = self._klines.bars(last_id, last_id) if last_id >= 0 else []
        for bar in bars:
            if bar.end > self.store.clock.now_ns():
                return bar
        return None


class Tickfeed(Mydatafeed):
    """Every live tick once, in order; made by ``MyStore.get_tick_data``.

    ``open``, ``high``, ``low`` and ``close`` are the last price (the previous tick's if the
    exchange shows none), ``volume`` is the lots traded since the previous tick, ``openinterest`` is
    in lots, ``datetime`` is the exchange's timestamp; bid and ask are the tick's own. There is no
    history of ticks. ``cerebro.resampledata(feed, timeframe=bt.TimeFrame.Ticks, compression=5)``
    makes bars of five ticks, stamped with their last one.

    Raises:
        ConfigError: ``lookback`` or another length was requested; nothing was subscribed.
    """

    params: Any = (("timeframe", bt.TimeFrame.Ticks),)

    bar_length, delivers_ticks = "ticks", True

    def _must_be_known(self) -> None:
        if self.p.timeframe != bt.TimeFrame.Ticks or self.p.compression != 1:
            raise ConfigError("this feed delivers single ticks; cerebro.resampledata makes bars")
        if self.p.lookback:
            raise ConfigError("there is no history of ticks: leave out lookback")

    @property
    def heard_until(self) -> int:
        """Until when every tick has been delivered, nanoseconds; 0 while ticks wait."""
        waiting = self._live is None or self._live.ready
        return 0 if waiting else self._alive_at - GRACE

    @property
    def dues(self) -> tuple[int, ...]:
        """As in other feeds, and when bars made of ticks must be closed if no tick closes them."""
        return (*super().dues, *(one.due for one in self._made() if hasattr(one, "due")))

    def _made(self) -> list[Any]:
        """Return what makes bars of the ticks."""
        feeds: list[Any] = [self, *self._clones]
        return [one for feed in feeds for one, *_ in feed._filters]

    def _look_up(self) -> None:
        super()._look_up()
        if self._made():
            self.first_due = 0  # their dues change as they get ticks

    def _official_bars(self, rows: int) -> Any:
        """Return the series of ticks: they are compared with nothing."""
        return self._ticks

    def _subscribed_quote(self) -> NoQuote:
        return NoQuote()

    def _newest_tick(self) -> Newest:
        return NewestRow(self._ticks)

    def _requested(self) -> tuple[OfChart, ...]:
        return (self._ticks,)

    @cached_property
    def _ticks(self) -> Any:
        return self._tick_series()

    def _begin(self) -> None:
        if self._live is not None:  # a second run: go on where the first ended
            return
        self._load_histories()
        if self._main is not None:
            self._main.begin([])
        self._live = LiveTicks(
            self._ticks, self._ticks.last_id + 1, self._newest.newest(), self._sieve()
        )


class MinutesThenTicks(Tickfeed):
    """Minute bars of history, then live ticks; made by ``MyStore.getdata_v2``.

    History, if requested, consists of minute bars (``history_phase``), stamped at their right edge;
    the running minute's ticks follow, and then each tick as it comes, as in ``Tickfeed``. Ticks of
    opening auctions are left out, and their lots are counted with the first tick after the auction.
    So ``cerebro.resampledata(feed, timeframe=bt.TimeFrame.Minutes)`` beside the feed itself makes
    one series of minutes from both.

    Raises:
        ConfigError: Another length was requested; nothing was subscribed.
    """

    def _must_be_known(self) -> None:
        if self.p.timeframe != bt.TimeFrame.Ticks or self.p.compression != 1:
            raise ConfigError(
                "getdata_v2 delivers single ticks after minutes of history: getdata delivers "
                "minutes (compression=), cerebro.resampledata makes bars of ticks"
            )

    def _official_bars(self, rows: int) -> Any:
        return Mydatafeed._official_bars(self, rows)

    def _requested(self) -> tuple[OfChart, ...]:
        return (self._ticks, self._klines)

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

    #: Lots of an auction that no delivered tick includes yet.
    _in_auction = 0
    _lent = False

    def start(self) -> None:
        """Begin a run; called by Cerebro."""
        self._lent = False
        super().start()

    def _load(self) -> bool | None:
        if not self._lent:
            self._lend_four_way()
        return super()._load()

    def _lend_four_way(self) -> None:
        """Give the run's strategies the broker's four-way orders as methods of their own."""
        self._lent = True
        broker = self.store.broker
        for strategy in self._env.runningstrats if broker is not None else ():
            for name in FOUR_WAY:
                if not hasattr(strategy, name):
                    setattr(strategy, name, getattr(broker, name))
