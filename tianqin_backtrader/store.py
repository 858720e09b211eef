"""``MyStore``: one TianQin session, its feeds and its broker, in one thread.

Cerebro asks each feed for a bar; a feed that has none asks the store to ``poll``; the store waits
at most once a round, for all of them, and hands what came to whom it belongs.
"""

from __future__ import annotations

import logging
import os
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from . import session_calendar
from .alert_settings import AlertSettings
from .alerts import Alerts
from .broker import MyBroker
from .clock import SECOND, MarketClock, WallClock, deadline_in, from_ns, monotonic
from .datafeed import Dailyfeed, Mydatafeed
from .embedded import EmbeddedSandbox
from .errors import ConfigError, LinkError, StoreClosed, UnknownSymbol
from .gateway import Gateway
from .health import Health
from .holiday_cache import tianqin_holidays
from .instruments import Instruments
from .kept_state import KeptState
from .lifeline import NEVER, Lifeline
from .link_supervisor import State
from .live_bars import Certificate
from .live_page import LivePage
from .main_contracts import MainContracts
from .market_hours import MarketHours
from .model import Fill, Instrument, Notice, OrderReport
from .monitoring import Monitoring
from .observers import Observers
from .recorder import Recorder
from .roll import Roll
from .roll_desk import PATIENCE, RollDesk
from .store_reconnect import Reconnector
from .tickfeed import Tickfeed

logger = logging.getLogger(__name__)

#: Seconds that ``retry`` takes at most, and those of one wait in it.
RETRY_SECONDS, STEP = 15.0, 0.2
#: Seconds before an open at which the session is made anew.
REBUILD_AHEAD = 180.0
#: Waits after which the client is made to forget old ticks and bars.
RELEASE_EVERY = 500
#: What the sandbox says when its days are over.
MARKET_OVER = 2026112101


class MyStore:
    """One TianQin session.

    Args:
        key: TianQin user; default ``TQ_USER`` of the environment.
        value: Its password; default ``TQ_PASS``.
        account: An account object of tqsdk (``TqAccount(broker, id, password)``, ``TqSim()``,
            ...); default the TianQin paper account ``TqKq()``.
        strategy_name: Names this program's records.
        backtest: ``TqBacktest(start, end)`` of tqsdk.
        clock: ``"wall"``, the machine's clock set right by the exchange's stamps; ``"market"``,
            the market's own time alone. A server that announces a time of its own (the sandbox,
            tqsdk's backtest) always means ``"market"``.
        urls: ``TQ_*`` addresses of a TianQin-compatible server. Default: what the environment
            variables of that name say, else TianQin itself.
        rebuild_ahead: Seconds before an open after a long break (9:00, 13:30, 21:00) at which the
            session is made anew; default 180, or never where the server tells the time.
        debug: Write tqsdk's debug log, to a file of that name or where tqsdk keeps its own.

    Attributes:
        state: A small mapping for the strategy, JSON values; with records it is found again after
            a restart.

    Raises:
        ConfigError: No user and password, or a parameter is wrong; nothing was connected.
        LoginRefused: The server said no; its answer is in the message.
        LinkError: The server cannot be reached.
    """

    def __init__(
        self,
        key: str | None = None,
        value: str | None = None,
        *,
        account: Any = None,
        strategy_name: str = "",
        backtest: Any = None,
        clock: str = "wall",
        urls: Mapping[str, str] | None = None,
        rebuild_ahead: float | None = None,
        debug: bool | str = False,
    ) -> None:
        key, value = key or os.environ.get("TQ_USER"), value or os.environ.get("TQ_PASS")
        if not key or not value:
            raise ConfigError(
                "no TianQin account: pass MyStore(key, value), or set TQ_USER and TQ_PASS, or "
                "use MyStore.sandbox(), which needs neither account nor network"
            )
        if clock not in ("wall", "market"):
            raise ConfigError(f'clock is "wall" or "market", not {clock!r}')
        self.strategy_name = strategy_name
        self._urls = dict(urls or {})
        self.calendar = session_calendar.CALENDAR
        self.clock = MarketClock(WallClock(), virtual=clock == "market")
        self.sandbox_server: EmbeddedSandbox | None = None
        self._links_over = 0
        self.feeds: list[Mydatafeed] = []
        self.broker: MyBroker | None = None
        self._rolls: RollDesk
        self.mains = MainContracts(self, self._urls)
        #: Called in every round, as soon as there is a broker.
        self.keepers: list[Callable[[], None]] = []
        self.state = KeptState()
        self.recorder: Recorder | None = None
        #: Who listens: alerts, monitoring, the live page.
        self.observers = Observers()
        self._notifications: deque[tuple[Any, tuple[Any, ...], dict[str, Any]]] = deque()
        self._polled = False
        self._pumps = 0
        self._closed = False
        self.gateway = Gateway(
            key, value, account=account, backtest=backtest, urls=urls, debug=debug
        )
        self._instruments = Instruments(self.gateway, self._today, self._learn_hours)
        self._hours = MarketHours(self.calendar, self._symbols, self.now, lead=None)
        self.reconnector = Reconnector(self.gateway, self._hours)
        self._lifeline = Lifeline(self.clock, self.reconnector, self._next_close)
        self.reconnector.connect()
        self._finalizer = weakref.finalize(self, self.gateway.close)
        self._follow_virtual_clock()
        ahead = rebuild_ahead if self.clock.virtual else rebuild_ahead or REBUILD_AHEAD
        self._hours.lead = None if ahead is None else timedelta(seconds=ahead)
        self._sessions = self.reconnector.sessions
        self._losses = 0
        self._trading = False
        self._learn_holidays()

    @classmethod
    def sandbox(
        cls,
        *,
        seed: int = 1,
        start: date | datetime | str | None = None,
        days: int = 1,
        speed: float | None = None,
        balance: float = 1_000_000.0,
        account: Any = None,
        strategy_name: str = "",
        rebuild_ahead: float | None = None,
        **options: Any,
    ) -> Self:
        """The same store on an embedded local exchange: no account, no network.

        Args:
            seed: Names the market; the same seed is the same market.
            start: Trading day at whose night session the market begins, or an instant.
            days: Trading days until the market is over and the run ends.
            speed: None as fast as the program takes it; 1 real time; 10 ten times that.
            balance: Yuan on the account at the start.
            account: As for ``MyStore``.
            strategy_name, rebuild_ahead: As for ``MyStore``.
            options: Further options of ``EmbeddedSandbox``: ``port`` (0 any free one), ``users``
                (passwords by name), ``ticks_per_pack`` (market steps in one pack, default 1),
                ``script`` of faults, ``replay`` of recorded ticks (a file or folder).

        Returns:
            A store; the exchange is its ``sandbox_server``, and ends with ``close``.

        Raises:
            SandboxError: The exchange did not start, for example because the port is taken.
            TypeError: No such option.
        """
        server = EmbeddedSandbox(
            seed=seed, start=start, days=days, speed=speed, balance=balance, **options
        )
        users = options.get("users") or {}
        key, value = next(iter(users.items()), ("sandbox", "sandbox"))
        try:
            store = cls(
                key,
                value,
                account=account,
                strategy_name=strategy_name,
                urls=server.urls,
                rebuild_ahead=rebuild_ahead,
            )
        except BaseException:
            server.close()
            raise
        store.sandbox_server = server
        return store

    # -- factories ----------------------------------------------------------------------------

    def getdata(
        self, instrument: str = "SHFE.cu2612", lookback: bool | int = False, **kwargs: Any
    ) -> Mydatafeed:
        """Minute bars of a contract, live, after history if wanted.

        Args:
            instrument: ``"SHFE.cu2612"``, ``"KQ.m@SHFE.cu"``.
            lookback: True for the latest 10 000 minutes, a number for that many, False for none.
            kwargs: Parameters of ``Mydatafeed`` (``adjust="back"`` for main contracts) and of
                Backtrader's feeds (``name``, ...).

        Raises:
            ConfigError: A negative lookback.
            UnknownSymbol: No such contract, or it has expired; TianQin was asked.
            CalendarError: Nobody knows when its product trades.
        """
        feed: Mydatafeed = self._feed(Mydatafeed, instrument, lookback, kwargs)
        return feed

    def get_daily_data(
        self, instrument: str = "SHFE.cu2612", lookback: bool | int = False, **kwargs: Any
    ) -> Dailyfeed:
        """One bar a trading day, from the night's 21:00 to 15:00; as ``getdata`` otherwise.

        Args:
            instrument: As for ``getdata``.
            lookback: True for all days there are (10 000 at most), a number for that many.
            kwargs: Parameters of ``Dailyfeed`` and of Backtrader's feeds.
        """
        feed: Dailyfeed = self._feed(Dailyfeed, instrument, lookback, kwargs)
        return feed

    def get_tick_data(self, instrument: str = "SHFE.cu2612", **kwargs: Any) -> Tickfeed:
        """Every tick of a contract, live; as ``getdata`` otherwise.

        Args:
            instrument: As for ``getdata``.
            kwargs: Parameters of ``Tickfeed`` and of Backtrader's feeds.
        """
        lookback = kwargs.pop("lookback", False)  # refused by the feed itself
        feed: Tickfeed = self._feed(Tickfeed, instrument, lookback, kwargs)
        return feed

    def _feed(
        self, kind: Any, instrument: str, lookback: bool | int, kwargs: dict[str, Any]
    ) -> Any:
        self._must_be_open()
        if not isinstance(lookback, int) or lookback < 0:
            raise ConfigError(f"lookback is True, False or a number of bars, not {lookback!r}")
        found = self.instrument(instrument)
        if found.expired:
            raise UnknownSymbol(
                instrument, f"{instrument} has expired ({found.expire_datetime}); choose another"
            )
        self.calendar.product(instrument)  # its sessions must be known, too
        feed = kind(store=self, dataname=instrument, lookback=lookback, **kwargs)
        self.feeds.append(feed)
        return feed

    def getbroker(self, **kwargs: Any) -> MyBroker:
        """The broker of this session; always the same one. ``kwargs`` as for ``MyBroker``."""
        self._must_be_open()
        if self.broker is None:
            make: Any = MyBroker
            self.broker = make(store=self, **kwargs)
            self._rolls = RollDesk(self)
            self._rolls.load()
        return self.broker

    def roll(
        self,
        old: str,
        new: str,
        lots: int | None = None,
        *,
        side: str | None = None,
        slice_lots: int = 1,
        max_slippage: float | None = None,
        patience: float = PATIENCE,
    ) -> Roll:
        """Move lots to another contract of the product (移仓换月), while the run goes on.

        A slice is closed in the old contract, then as many lots are opened in the new one, until
        all are moved. Each step is on disk, in ``records/<strategy_name>/``, before it is taken;
        a program that is started again goes on with it. Other orders on both contracts are
        withdrawn, and refused until it is over. What goes wrong ends in HALTED: the log has an
        ERROR, ``notify_store`` is told, and the broker takes no orders until ``roll.resume()``,
        or ``roll.drop()`` and ``broker.resume()``.

        Args:
            old, new: Symbols.
            lots: How many; None for all that the account holds.
            side: ``"long"`` or ``"short"``; needed where both are held.
            slice_lots: Lots that are in neither contract at a time, at most.
            max_slippage: Quote units an order may be worse than the middle at the beginning of
                its leg; default 20 price ticks.
            patience: Seconds of trading time that a leg may take.

        Raises:
            OrderError: It cannot be: no such lots, two products, one of them is being rolled.
            UnknownSymbol: No such contract.
            JournalError: It cannot be written down; nothing was sent.
        """
        self.getbroker()
        plan = self._rolls.plan(old, new, lots, side, slice_lots, max_slippage, patience)
        return self._rolls.start(plan)

    @property
    def rolls(self) -> RollDesk:
        """The rolls of this session, and those taken up from an earlier one."""
        self.getbroker()
        return self._rolls

    def record(self, instruments: Iterable[str], path: str | Path) -> Recorder:
        """Record ticks and official minute and day bars to Parquet files while the store works.

        Args:
            instruments: ``["SHFE.cu2612", "DCE.m2701"]``.
            path: The recording's folder; it may hold earlier days, and is carried on.

        Raises:
            ConfigError: pyarrow is missing, or the store records already.
            UnknownSymbol: No such contract; TianQin was asked.
            JournalError: The folder cannot be written, or another program records into it.
        """
        self._must_be_open()
        if self.recorder is not None:
            raise ConfigError("this store records already: name all contracts at once")
        self.recorder = Recorder(self, instruments, path)
        return self.recorder

    def _symbols(self) -> set[str]:
        recorded = self.recorder.symbols if self.recorder is not None else ()
        return {*recorded, *(feed.symbol for feed in self.feeds)}

    def instrument(self, symbol: str) -> Instrument:
        """A contract's specification of today.

        Raises:
            UnknownSymbol: TianQin knows no such contract.
            LinkError: It is asked for the first time, and TianQin does not answer.
        """
        return self._instruments.get(symbol)

    def _today(self) -> date:
        return self.calendar.trading_day_at(self.now())

    def _learn_hours(self, instrument: Instrument) -> None:
        """TianQin's trading hours of a contract, which are those of the real today."""
        if not self.clock.virtual:
            self.calendar.learn(instrument.symbol, instrument.trading_time, self._today())

    @property
    def tianqin(self) -> Any:
        """The ``TqApi`` of the moment, for what the library does not wrap; same thread only."""
        self._must_be_open()
        return self.gateway.api

    def certificate(self) -> dict[str, Certificate]:
        """How the live bars delivered so far compare with the official ones.

        Returns:
            ``live_bars.Certificate`` by name of the feed: counts of bars (``delivered`` =
            ``equal`` + ``repaired`` + ``corrected`` + ``missing`` + ``pending``), and the newest
            ``differences``. Of tick feeds: ticks, and those that never came (``missing``).

        Source: TianQin's own kline serial, row by id.
        """
        return {feed._name: feed.certificate() for feed in self.feeds}

    # -- time ---------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The exchange's time, naive Beijing."""
        return from_ns(self.clock.now_ns() or WallClock().now_ns())

    def is_trading(self, symbol: str) -> bool:
        """Whether the symbol's market is in a session.

        Raises:
            CalendarOutOfRange: The year's holidays are not announced: nobody may guess with money.
        """
        now = self.now()
        self.calendar.must_know(self.calendar.trading_day_at(now))
        return self.calendar.is_trading_now(symbol, now)

    def is_open(self, symbol: str) -> bool:
        """As ``is_trading``, for showing, not for trading."""
        return self.calendar.is_trading_now(symbol, self.now())

    def _learn_holidays(self) -> None:
        """What TianQin says of closed days, in the real present."""
        if not self.clock.virtual:
            url = self._urls.get("TQ_CHINESE_HOLIDAY_URL")
            self.calendar.learn_holidays(tianqin_holidays(self.now().date(), url=url, seconds=3.0))

    def _follow_virtual_clock(self) -> None:
        now = self.gateway.virtual_now()
        if now is not None:
            if not self.clock.virtual:
                logger.info("the server tells the time: market clock")
            self.clock.virtual = True
            self.clock.stamp(now)

    # -- the wait -----------------------------------------------------------------------------

    def poll(self, timeout: float) -> None:
        """Wait until something is there to deliver, at most once a round of Cerebro.

        Args:
            timeout: Seconds.
        """
        if self._polled or self._closed or self._has_news():
            return
        self._polled = True
        deadline = monotonic() + timeout
        while True:
            left = deadline - monotonic()
            self.pump(min(left, self._lifeline.seconds_until_due()))
            if left <= 0 or self._has_news():
                return

    def pump(self, timeout: float) -> None:
        """One wait for the server, and everything it brought to where it belongs."""
        try:
            self.reconnector.wait(deadline_in(max(0.0, timeout)))
        except LinkError:
            self.observers.round()  # they see the end, too
            raise
        self._follow_virtual_clock()
        self._follow_session()
        recorded = self.recorder is not None and self.recorder.take()
        if sum(feed.take_ticks() for feed in self.feeds) or recorded:
            self.reconnector.heard()
            self._lifeline.heard()
        self._lifeline.prove(over=self.market_over and all(feed.current for feed in self.feeds))
        for feed in self.feeds:
            feed.flush(self._lifeline.closes_until)
        for feed in self.feeds:
            feed.check()
        for notice in self.reconnector.take_notices():
            self._take_notice(notice)
        if self.gateway.trading_changed():
            self._take_trading(self.gateway.new_reports())
        if self.broker is not None:  # after the reports: what orders have become of them is known
            for keeper in self.keepers:
                keeper()
            self._rolls.tend()
        self._pumps += 1
        if self._pumps % RELEASE_EVERY == 0:
            for feed in self.feeds:
                feed.release()
        self.observers.round()

    def _follow_session(self) -> None:
        """Tell feeds and broker what has become of the connection."""
        self._instruments.follow()
        if self._hours.trading != self._trading:
            self._trading = self._hours.trading
            if self._trading:
                self._instruments.ask()  # the evening's first answer may have been the old day's
            word, until = "open" if self._trading else "closed", self._hours.boundary
            logger.info("the market is %s until %s", word, until)
            self.put_notification(f"the market is {word} until {until}", until=until)
        if self.reconnector.losses != self._losses:
            self._losses = self.reconnector.losses
            for feed in self.feeds:
                feed.put_notification(feed.DISCONNECTED)
        if self.reconnector.sessions != self._sessions:
            self._sessions = self.reconnector.sessions
            self._links_over = 0
            self._learn_holidays()
            self._instruments.ask()
            self.put_notification("connected again: everything is subscribed and compared")
        if self.broker is not None:
            self.broker.follow_session(self._sessions, self.reconnector)

    def _next_close(self) -> int:
        recorded = self.recorder.next_close if self.recorder is not None else NEVER
        return min(recorded, *(feed.next_close for feed in self.feeds), NEVER)

    @property
    def alive_at(self) -> int:
        """Until when nothing can be missing of what the market sent, nanoseconds."""
        return self._lifeline.alive_at

    def _has_news(self) -> bool:
        if self._notifications or (self.feeds and all(feed.finished for feed in self.feeds)):
            return True
        if any(feed.has_history for feed in self.feeds):
            return True  # what waits behind it is not waited for
        if self.broker is not None and self.broker.has_news:
            return True
        horizon = self.horizon()
        return any(feed.has_bar(horizon) for feed in self.feeds)

    def horizon(self) -> int:
        """Bars that end by this instant are complete for every contract and may be delivered."""
        return min((feed.complete_until for feed in self.feeds), default=0)

    def _take_notice(self, notice: Notice) -> None:
        level = logging.WARNING if notice.level == "WARNING" else logging.INFO
        logger.log(level, "notice %s: %s", notice.code, notice.content)
        if notice.code == MARKET_OVER:
            self._links_over += 1
        else:
            self.put_notification(notice.content, notice=notice)

    @property
    def market_data_up(self) -> bool:
        """Whether ticks can come."""
        return self.reconnector.market_data_up

    @property
    def trading_up(self) -> bool:
        """Whether an order would reach the exchange."""
        return self.reconnector.trading_up

    @property
    def market_over(self) -> bool:
        """Whether a market of finite days has ended and every connection has said so.

        The trading side says it last, after the settlement.
        """
        return self.gateway.history_over or self._links_over >= self.gateway.links

    def _take_trading(self, reports: list[OrderReport | Fill]) -> None:
        if self.broker is not None:
            self.broker.take_reports(reports)

    # -- the connection -----------------------------------------------------------------------

    def retry(self, symbol: str) -> bool:
        """Look after the connection once: what an outer loop calls between runs.

        In trading hours the line is asked, and made anew if it does not answer; outside of them
        nothing is done.

        Args:
            symbol: Whose trading hours count.

        Returns:
            Whether the session works.

        Raises:
            LoginRefused: The password is no longer right.
            StoreClosed: ``close`` was called before.
        """
        self._must_be_open()
        if not self.is_open(symbol):
            boundary = self.calendar.next_session_boundary(symbol, self.now())
            logger.info("%s is closed until %s", symbol, boundary)
            return self.reconnector.state is State.UP
        answers = self.reconnector.answers
        self.reconnector.doubt()
        deadline = monotonic() + RETRY_SECONDS
        while self.reconnector.answers == answers and monotonic() < deadline:
            sessions = self.reconnector.sessions
            self.pump(STEP)
            if self.reconnector.sessions != sessions:
                break  # a new one: it needs no answer
        return self.reconnector.state is State.UP

    @property
    def hours(self) -> MarketHours:
        """Opens and closes of all that is subscribed."""
        return self._hours

    def health(self) -> Health:
        """How the session is now: one frozen ``health.Health``; asks nobody, raises nothing."""
        link, now = self.reconnector, self.clock.now_ns()
        stamps = {feed._name: feed.last_tick for feed in self.feeds}
        newest = max(stamps.values(), default=0)
        return Health(
            market_data_up=link.market_data_up,
            trading_up=link.trading_up,
            state=str(link.state),
            last_data={name: from_ns(ns) if ns else None for name, ns in stamps.items()},
            last_ok=link.last_ok,
            backoff=link.backoff,
            reconnects_today=link.reconnects_today,
            last_error=link.last_error,
            next_boundary=self._hours.boundary,
            lag=(now - newest) / SECOND if newest else float("nan"),
        )

    def alerts(self, *urls: str, **settings: Any) -> Alerts:
        """Tell what happens to DingTalk, WeCom, Feishu, Telegram, by mail, to any webhook.

        Args:
            urls: As apprise writes them; see ``AlertSettings``.
            settings: As of ``AlertSettings``: ``events``, ``link_lost_after``, ...

        Raises:
            ConfigError: A URL or a setting is not understood, or apprise is missing.
        """
        return Alerts(self, AlertSettings(urls=urls, **settings))

    def monitor(self, port: int = 0) -> Monitoring:
        """Serve ``/health`` (JSON) and ``/metrics`` (Prometheus) on 127.0.0.1.

        Args:
            port: 0 takes a free one; ``url`` of what is returned says which.

        Raises:
            ConfigError: The port is taken, or prometheus_client is missing.
        """
        return Monitoring(self, port)

    def serve(self, port: int = 0, token: str | None = None) -> LivePage:
        """Show this store in a browser on this machine; ``url`` of what is returned says where.

        Args:
            port: 0 takes a free one.
            token: Whoever gives it there may halt and flatten; None: nobody.

        Raises:
            ConfigError: The port is taken, or the token is shorter than 12 characters.
        """
        return LivePage(self, port, token)

    # -- what Cerebro calls -------------------------------------------------------------------

    def start(self, data: Any = None, broker: Any = None) -> None:
        """Cerebro begins a run.

        Raises:
            StoreClosed: ``close`` was called before.
        """
        self._must_be_open()

    def stop(self) -> None:
        """Cerebro has ended a run; what was ordered in ``stop`` methods still leaves."""
        if not self._closed:
            self.pump(0.0)

    def put_notification(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        """Tell ``notify_store``."""
        self.observers.said(str(msg))
        self._notifications.append((msg, args, kwargs))

    def get_notifications(self) -> list[tuple[Any, tuple[Any, ...], dict[str, Any]]]:
        """What ``notify_store`` will be told; Cerebro asks once at the start of each round."""
        self._polled = False
        news = list(self._notifications)
        self._notifications.clear()
        return news

    # -- end ----------------------------------------------------------------------------------

    def close(self) -> None:
        """End the session, and the sandbox if this store has one; twice does no harm."""
        if self._closed:
            return
        self._closed = True
        self._finalizer.detach()
        self.observers.closed()
        with ExitStack() as ends:
            if self.sandbox_server is not None:
                ends.callback(self.sandbox_server.close)
            ends.callback(self.gateway.close)
            if self.broker is not None:
                ends.callback(self.broker.close_records)
            if self.recorder is not None:
                self.recorder.close()

    def _must_be_open(self) -> None:
        if self._closed:
            raise StoreClosed("this store was closed; make a new MyStore")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
