"""``MyStore``: one TianQin session, its feeds and its broker, in one thread.

Cerebro asks each feed for a bar; a feed that has none asks the store to ``poll``; the store waits
at most once a round, for all feeds, and distributes what came.
"""

from __future__ import annotations

import logging
import math
import os
import weakref
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Self

import backtrader as bt

from . import session_calendar
from .broker import MyBroker
from .calendars.holiday_cache import tianqin_holidays
from .calendars.market_hours import MarketHours
from .contracts.continuous import MAIN, ContinuousContracts
from .contracts.instrument_provider import HURRIED, PATIENCE, InstrumentProvider
from .contracts.odd_prices import UNKNOWN, Limits, sane
from .core.clock import SECOND, MarketClock, WallClock, monotonic, passed_ns, present_ns, to_ns
from .core.context import Context
from .core.model import Instrument
from .datafeed import ONE_RUN, Dailyfeed, MinutesThenTicks, Mydatafeed, Tickfeed
from .errors import (
    ConfigError,
    LinkError,
    OrderError,
    StoreClosed,
    UnknownSymbol,
)
from .feeds.feed_list import FeedList
from .feeds.live_bars import Certificate
from .gateway.gateway import Gateway
from .gateway.login import futures_account
from .gateway.loop import EventLoop
from .gateway.loop_ports import LoopPorts
from .gateway.stop_signals import StopSignals, callers
from .gateway.supervisor import WORKS
from .monitoring.alerts.service import Alerts
from .monitoring.alerts.settings import AlertSettings
from .monitoring.health import Health
from .monitoring.live_page import LivePage
from .monitoring.observers import Observers
from .monitoring.prometheus import Monitoring
from .monitoring.session_view import SessionView
from .recording.ports import RecorderPorts
from .recording.recorder import Recorder
from .records.strategy_state import KeptState
from .rolling.ports import RollPorts
from .rolling.roll import Roll
from .rolling.roll_service import PATIENCE as ROLL_PATIENCE
from .rolling.roll_service import RollService
from .sandbox.embedded import EmbeddedSandbox
from .store_reconnect import Reconnector

logger = logging.getLogger(__name__)

#: Seconds that ``retry`` takes at most, and seconds of one wait in it.
RETRY_SECONDS, STEP = 15.0, 0.2
#: Seconds before an open at which the session is rebuilt.
REBUILD_AHEAD = 180.0
#: The feeds' default: TianQin's main contract of copper.
MAIN_CONTRACT = "KQ.m@SHFE.cu"
#: The futures company of the sandbox's ``ctp`` counter.
_SANDBOX_BROKER = "沙盒期货"


class MyStore:
    """One TianQin session.

    Args:
        key: TianQin user; default ``TQ_USER`` of the environment.
        value: Its password; default ``TQ_PASS``.
        account: An account object of tqsdk (``TqAccount(broker, id, password)``, ``TqSim()``,
            ...); default the TianQin paper account ``TqKq()``.
        strategy_name: Names this program's records.
        backtest: ``TqBacktest(start, end)`` of tqsdk.
        urls: ``TQ_*`` addresses of a TianQin-compatible server. Default: the environment
            variables of that name, else TianQin itself.
        stop_on_signals: ``with MyStore(...)`` handles Ctrl-C and SIGTERM: strategies' ``stop`` is
            called before ``cerebro.run()`` raises ``KeyboardInterrupt``, or ``SystemExit`` with
            code 0. The program's own handlers are not replaced. False: no handler is installed.
        rebuild_ahead: Seconds before an open after a long break (9:00, 13:30, 21:00) at which the
            session is rebuilt; default 180, or never if the server sends the time.
        debug: Write tqsdk's debug log, to a file of that name or to tqsdk's default.

    Attributes:
        state: A small mapping for the strategy, JSON values; with records it is restored after
            a restart.

    Raises:
        ConfigError: No user and password, or a parameter is wrong; nothing was connected.
        LoginRefused: The server refused the login; its answer is in the message.
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
        urls: Mapping[str, str] | None = None,
        rebuild_ahead: float | None = None,
        stop_on_signals: bool = True,
        debug: bool | str = False,
    ) -> None:
        key, value = key or os.environ.get("TQ_USER"), value or os.environ.get("TQ_PASS")
        if not key or not value:
            raise ConfigError(
                "no TianQin account: pass MyStore(key, value), or set TQ_USER and TQ_PASS, or "
                "use MyStore.sandbox(), which needs neither account nor network"
            )
        self.strategy_name = strategy_name
        self._urls = dict(urls or {})
        self.calendar = session_calendar.CALENDAR
        self.clock = MarketClock(WallClock(), passed=passed_ns)
        self.sandbox_server: EmbeddedSandbox | None = None
        self.feeds = FeedList()
        self.broker: MyBroker | None = None
        #: Called in every round once there is a broker.
        self.keepers: list[Callable[[], None]] = []
        self.state = KeptState()
        self.recorder: Recorder | None = None
        #: Alerts, monitoring and the live page.
        self.observers = Observers()
        self._closed = False
        self._signals = StopSignals(_stop_runs) if stop_on_signals else None
        self.gateway = Gateway(
            key, value, self.clock, account=account, backtest=backtest, urls=urls, debug=debug
        )
        self._instruments = InstrumentProvider(
            self.gateway.queries,
            self.gateway.pump,
            lambda: self.context.trading_day(),
            self._learn,
            self._patience,
        )
        self.context = Context(
            self.clock, self.calendar, self._instruments, self.observers, strategy_name
        )
        self.mains = ContinuousContracts(self.context, self.gateway, self._urls)
        self._hours = MarketHours(
            self.calendar, self.feeds, partial(present_ns, self.clock), lead=None
        )
        self.reconnector = Reconnector(self.gateway, self._hours)
        #: What the observers are shown.
        self.view = SessionView(
            self.clock,
            self.calendar,
            strategy_name,
            self.reconnector,
            self._hours,
            self.gateway.trading,
            self.feeds,
            self.observers,
        )
        self.reconnector.connect()
        self._finalizer = weakref.finalize(self, self.gateway.close)
        self.loop = EventLoop(
            LoopPorts(
                self.context,
                self.gateway,
                self.reconnector,
                self._hours,
                self._instruments,
                self.feeds,
                self.observers,
                self.keepers,
            ),
            self._learn_holidays,
        )
        self.loop.follow_clock()
        ahead = rebuild_ahead if self.clock.virtual else rebuild_ahead or REBUILD_AHEAD
        self._hours.renew_before(None if ahead is None else timedelta(seconds=ahead))
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
        stop_on_signals: bool = True,
        **options: Any,
    ) -> Self:
        """Make a store on an embedded local exchange: no account, no network.

        Args:
            seed: Selects the market; the same seed gives the same market.
            start: Trading day at whose night session the market begins, or an instant.
            days: Trading days until the market is over and the run ends.
            speed: None runs as fast as the program can; 1 is real time, 10 ten times that.
            balance: Yuan in the account at the start.
            account: As for ``MyStore``.
            strategy_name, rebuild_ahead, stop_on_signals: As for ``MyStore``.
            options: Further options of ``EmbeddedSandbox``: ``port`` (0 any free one), ``users``
                (passwords by name), ``ticks_per_pack`` (market steps in one pack, default 1),
                ``script`` of faults, ``replay`` of recorded ticks (a file or folder),
                ``counter`` (``"plain"``, ``"kq"``, or ``"ctp"``, which acts like a futures
                company's: the account is then a ``TqAccount``), ``query_seconds``, ``commission``,
                ``account_file`` (a recorded account), ``tells_time`` (False: no pack has the
                time, as with TianQin; then ``clock_ahead`` and ``clock_drift`` are the error of
                this machine's clock).

        Returns:
            A store; the exchange is its ``sandbox_server`` and is stopped by ``close``.

        Raises:
            SandboxError: The exchange did not start, for example because the port is taken.
            TypeError: No such option.
        """
        server = EmbeddedSandbox(
            seed=seed, start=start, days=days, speed=speed, balance=balance, **options
        )
        users = options.get("users") or {}
        key, value = next(iter(users.items()), ("sandbox", "sandbox"))
        if account is None and server.counter == "ctp":
            account = futures_account(_SANDBOX_BROKER, key, value)
        try:
            store = cls(
                key,
                value,
                account=account,
                strategy_name=strategy_name,
                urls=server.urls,
                rebuild_ahead=rebuild_ahead,
                stop_on_signals=stop_on_signals,
            )
        except BaseException:
            server.close()
            raise
        store.sandbox_server = server
        return store

    # -- factories ----------------------------------------------------------------------------

    def getdata(
        self, instrument: str = MAIN_CONTRACT, lookback: bool | int = False, **kwargs: Any
    ) -> Mydatafeed:
        """Make a feed of minute bars of a contract: history if requested, then live.

        Args:
            instrument: A contract, ``"SHFE.cu2612"``, or TianQin's main contract of a product,
                ``"KQ.m@SHFE.cu"``, which never expires.
            lookback: True for the latest 10 000 minutes, a number for at least that
                many, back to a trading day's opening, False for none.
            kwargs: Parameters of ``Mydatafeed`` (``adjust="back"`` for main contracts) and of
                Backtrader's feeds (``name``, ...).

        Raises:
            ConfigError: A negative lookback.
            UnknownSymbol: TianQin knows no such contract, or it has expired.
            CalendarError: The trading hours of its product are not known.
        """
        feed: Mydatafeed = self._feed(Mydatafeed, instrument, lookback, kwargs)
        return feed

    def get_daily_data(
        self, instrument: str = MAIN_CONTRACT, lookback: bool | int = False, **kwargs: Any
    ) -> Dailyfeed:
        """Make a feed of one bar per trading day, from 21:00 of the night session to 15:00.

        As ``getdata`` otherwise.

        Args:
            instrument: As for ``getdata``.
            lookback: True for all days (10 000 at most), a number for that many.
            kwargs: Parameters of ``Dailyfeed`` and of Backtrader's feeds.
        """
        feed: Dailyfeed = self._feed(Dailyfeed, instrument, lookback, kwargs)
        return feed

    def get_tick_data(self, instrument: str = MAIN_CONTRACT, **kwargs: Any) -> Tickfeed:
        """Make a feed of every tick of a contract, live; as ``getdata`` otherwise.

        Args:
            instrument: As for ``getdata``.
            kwargs: Parameters of ``Tickfeed`` and of Backtrader's feeds.
        """
        lookback = kwargs.pop("lookback", False)  # refused by the feed itself
        feed: Tickfeed = self._feed(Tickfeed, instrument, lookback, kwargs)
        return feed

    def getdata_v2(
        self, instrument: str = MAIN_CONTRACT, lookback: bool | int | None = False, **kwargs: Any
    ) -> Tickfeed:
        """Make forwardtrader's feed of that name: minutes of history if requested, then ticks.

        Args:
            instrument: As for ``getdata``.
            lookback: As for ``getdata``; False or None for ticks alone.
            kwargs: Parameters of ``Tickfeed`` and of Backtrader's feeds.
        """
        feed: Tickfeed = self._feed(MinutesThenTicks, instrument, lookback or False, kwargs)
        return feed

    def _feed(
        self, kind: Any, instrument: str, lookback: bool | int, kwargs: dict[str, Any]
    ) -> Any:
        self._must_be_open()
        if not isinstance(lookback, int) or lookback < 0:
            raise ConfigError(f"lookback is True, False or a number of bars, not {lookback!r}")
        found = self._instruments.get(instrument, PATIENCE)
        if found.expired:
            raise UnknownSymbol(
                instrument, f"{instrument} has expired ({found.expire_datetime}); choose another"
            )
        self.calendar.product(instrument)  # its sessions must be known, too
        feed = kind(store=self, dataname=instrument, lookback=lookback, **kwargs)
        self.feeds.append(feed)
        return feed

    def _learn(self, instrument: Instrument) -> None:
        self.mains.learn(instrument)
        self._learn_hours(instrument)
        self._look_ahead(instrument)

    def _look_ahead(self, instrument: Instrument) -> None:
        """Request in advance, without waiting, what an order on a contract will need."""
        if instrument.symbol.startswith(MAIN):
            if instrument.underlying_symbol:
                self._instruments.known(instrument.underlying_symbol)
        elif (
            instrument.upper_limit != instrument.upper_limit
            and not self.gateway.trading.matches_itself
        ):
            with suppress(LinkError, OrderError):
                self.gateway.queries.quote(
                    instrument.symbol
                )  # subscribes the quote, which has the price limits

    @property
    def in_history(self) -> bool:
        """Whether the run has seen only history so far.

        A daily feed, or one of a contract without a night session, may show a bar of history for
        hours while another feed is live or waits for its next bar: the run is live then.
        """
        return self.feeds.in_history

    def getbroker(self, **kwargs: Any) -> MyBroker:
        """Return this session's broker, always the same one; ``kwargs`` as for ``MyBroker``."""
        self._must_be_open()
        if self.broker is None:
            make: Any = MyBroker
            self.broker = make(store=self, **kwargs)
            self._rolls = RollService(
                RollPorts(
                    self.context,
                    self.gateway.trading,
                    self.gateway.queries,
                    self.reconnector,
                    self.broker,
                )
            )
            self.loop.broker = self.view.broker = self.broker
            self.loop.rolls = self._rolls
            self._rolls.load()
        return self.broker

    def instrument(self, symbol: str) -> Instrument:
        """Return a contract's specification of today.

        Raises:
            UnknownSymbol: TianQin knows no such contract.
            LinkError: The first request for a contract was not answered in time: within a minute
                before a run, half a second during one; at once while market data is disconnected.
        """
        return self._instruments.get(symbol)

    def instruments(self, symbols: Iterable[str]) -> list[Instrument]:
        """Return contracts' specifications of today, asked for in one query.

        Call it before ``getdata`` of many contracts, which then costs no query each.

        Args:
            symbols: ``["SHFE.cu2612", "DCE.m2701"]``.

        Raises:
            UnknownSymbol, LinkError: As for ``instrument``.
        """
        self._must_be_open()
        return self.context.instruments(symbols)

    def known_instrument(self, symbol: str) -> Instrument | None:
        """Return the same if it is known; else request it and return None without waiting."""
        return self._instruments.known(symbol)

    def last_price(self, symbol: str) -> float:
        """Return a contract's last price, quote units; nan if it is not known now.

        It comes from the quote, which is subscribed here, or from a feed's newest tick.
        """
        limits = UNKNOWN
        try:
            quote = self.gateway.queries.quote(symbol)
            price = float(quote.last_price)
            limits = Limits(quote.lower_limit, quote.upper_limit)
        except (LinkError, OrderError):
            price = math.nan
        if price == price:
            return price
        feeds = (one for one in self.feeds if self.mains.traded(one.symbol) == symbol)
        prices = (sane(symbol, one.last_price, limits) for one in feeds)
        return next((price for price in prices if price == price), math.nan)

    def is_unknown(self, symbol: str) -> bool:
        """Return whether TianQin has said that there is no such contract."""
        return self._instruments.absent(symbol)

    def _patience(self) -> float:
        """Return how many seconds a contract's specification may be waited for now."""
        if self.broker is None or not self.broker.begun:
            return PATIENCE
        return HURRIED if self.reconnector.market_data_up else 0.0

    # -- time ---------------------------------------------------------------------------------

    def now(self) -> datetime:
        """Return the exchange's time, naive Beijing."""
        return self.context.now()

    def is_trading(self, symbol: str) -> bool:
        """Return whether the symbol's market is in a session.

        Raises:
            CalendarOutOfRange: The year's holidays are not announced yet.
        """
        return self.context.is_trading(symbol)

    def is_open(self, symbol: str) -> bool:
        """As ``is_trading``, but only for display, not for trading decisions."""
        return self.context.is_open(symbol)

    @property
    def hours(self) -> MarketHours:
        """Session opens and closes of all subscribed contracts."""
        return self._hours

    def _learn_hours(self, instrument: Instrument) -> None:
        """Learn a contract's trading hours from TianQin; they are those of the real today."""
        if not self.clock.virtual:
            self.calendar.learn(
                instrument.symbol, instrument.trading_time, self.context.trading_day()
            )

    def _learn_holidays(self) -> None:
        """Learn TianQin's holidays; skipped in a market of virtual time."""
        if not self.clock.virtual:
            url = self._urls.get("TQ_CHINESE_HOLIDAY_URL")
            self.calendar.learn_holidays(tianqin_holidays(self.now().date(), url=url, seconds=3.0))

    # -- the connection -----------------------------------------------------------------------

    @property
    def tianqin(self) -> Any:
        """The current ``TqApi``, for what the library does not wrap; same thread only."""
        self._must_be_open()
        return self.gateway.api

    @property
    def market_data_up(self) -> bool:
        """Whether ticks can come."""
        return self.reconnector.market_data_up

    @property
    def trading_up(self) -> bool:
        """Whether an order would reach the exchange."""
        return self.reconnector.trading_up

    @property
    def no_trading(self) -> str:
        """Why an order would not reach the exchange, "" if it would.

        A trading login that is refused while the program runs is tried once more at most. Trading
        then pauses while market data continues, until ``resume_trading`` or, unless the refusal is
        about the password, until shortly before the next session.
        """
        return self.reconnector.no_trading

    def resume_trading(self) -> None:
        """Try a refused trading login once more, with the next wait.

        Call it when the account can log in again; a new password needs a restart.

        Raises:
            StoreClosed: ``close`` was called before.
        """
        self._must_be_open()
        self.reconnector.resume_trading()

    @property
    def last_ok_ts(self) -> float | None:
        """When data last arrived, as ``time.time()``; None if it never did."""
        heard = self.reconnector.last_ok
        return None if heard is None else to_ns(heard) / SECOND

    @property
    def backoff_secs(self) -> float:
        """Seconds until the next attempt to connect, 0 while all is well."""
        return self.reconnector.backoff

    def retry(self, symbol: str) -> bool:
        """Check the connection once; an outer loop calls this between runs.

        In trading hours the server is asked for an answer, and the session is rebuilt if there is
        none; outside of them nothing is done.

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
            return self.reconnector.state in WORKS
        answers = self.reconnector.answers
        self.reconnector.doubt()
        deadline = monotonic() + RETRY_SECONDS
        while self.reconnector.answers == answers and monotonic() < deadline:
            sessions = self.reconnector.sessions
            self.pump(STEP)
            if self.reconnector.sessions != sessions:
                break  # a new session needs no answer
        return self.reconnector.state in WORKS

    def _must_be_open(self) -> None:
        if self._closed:
            raise StoreClosed("this store was closed; make a new MyStore")

    # -- the wait -----------------------------------------------------------------------------

    def poll(self, timeout: float) -> None:
        """Wait until there is something to deliver, at most once a round of Cerebro.

        Args:
            timeout: Seconds.
        """
        self.loop.poll(timeout)

    def pump(self, timeout: float) -> None:
        """Wait for the server once and distribute what came; ``timeout`` in seconds."""
        self.loop.pump(timeout)

    def catch_up(self, deadline: float) -> None:
        """Wait until all market data that was sent until now has arrived.

        Args:
            deadline: On the clock of ``clock.monotonic``.

        Raises:
            LinkTimeout: The server did not answer by the deadline.
        """
        self.loop.catch_up(deadline)

    def alive_at(self, symbol: str) -> int:
        """Return the instant up to which a contract's market data is complete, nanoseconds."""
        return self.loop.alive_at(symbol)

    def horizon(self) -> int:
        """Return the instant up to which bars of all contracts are complete, nanoseconds."""
        return self.loop.horizon()

    @property
    def market_over(self) -> bool:
        """Whether a market of finite days has ended and every connection has said so.

        The trading connection says it last, after the settlement.
        """
        return self.loop.market_over

    # -- services -----------------------------------------------------------------------------

    def roll(
        self,
        old: str,
        new: str,
        lots: int | None = None,
        *,
        side: str | None = None,
        slice_lots: int = 1,
        max_slippage: float | None = None,
        patience: float = ROLL_PATIENCE,
    ) -> Roll:
        """Move lots to another contract of the product (移仓换月) during the run.

        A slice is closed in the old contract, then as many lots are opened in the new one, until
        all are moved. Each step is written to ``records/<strategy_name>/`` before it is taken;
        a restarted program continues the roll.

        Stop and target orders, alone or in groups, move with the lots: each stays alive for the
        lots still in the old contract, and a new order covers the lots already in the new one. Its
        prices are shifted by the difference of the two mid prices at the start of the roll, in
        whole ticks. Orders that may open are cancelled, and refused on both contracts until the
        roll is over.

        On any problem the roll is HALTED: it logs an ERROR, calls ``notify_store`` and sends
        nothing until ``roll.resume()`` or ``roll.drop()``. Until then both contracts accept exits
        only. Stops and targets stay alive; other contracts are not affected.

        Args:
            old, new: Symbols.
            lots: How many; None for all that the account holds.
            side: ``"long"`` or ``"short"``; needed if both are held.
            slice_lots: Most lots that are in neither contract at a time; raised to the new
                contract's minimum for opening.
            max_slippage: Quote units by which an order may be worse than the mid price at the
                start of its leg; default 20 price ticks.
            patience: Seconds of trading time that a leg may take.

        Raises:
            OrderError: The roll is impossible: no such lots, two products, one of the contracts is
                being rolled, fewer lots than the new contract's minimum, an order that cannot be
                moved, or the broker only reduces or is halted.
            UnknownSymbol: No such contract.
            JournalError: The plan cannot be written; nothing was sent.
        """
        self.getbroker()
        plan = self._rolls.plan(old, new, lots, side, slice_lots, max_slippage, patience)
        return self._rolls.start(plan)

    @property
    def rolls(self) -> RollService:
        """The rolls of this session, and those continued from an earlier one."""
        self.getbroker()
        return self._rolls

    def record(self, instruments: Iterable[str], path: str | Path) -> Recorder:
        """Record ticks and official minute and day bars to Parquet files while the store is open.

        Args:
            instruments: ``["SHFE.cu2612", "DCE.m2701"]``.
            path: The recording's folder; a recording of earlier days is continued.

        Raises:
            ConfigError: pyarrow is missing, or the store records already.
            UnknownSymbol: TianQin knows no such contract.
            JournalError: The folder cannot be written, or another program records into it.
        """
        self._must_be_open()
        if self.recorder is not None and not self.recorder.closed:
            raise ConfigError("this store records already: name all contracts at once")
        ports = RecorderPorts(self.context, self.gateway, self.reconnector, self)
        self.recorder = self.loop.recorder = Recorder(ports, instruments, path)
        self._hours.recorded = self.recorder.symbols
        return self.recorder

    def certificate(self) -> dict[str, Certificate]:
        """Compare the live bars delivered so far with the official ones.

        Returns:
            ``live_bars.Certificate`` by feed name; a second feed of a contract has its length
            after the name, ``"SHFE.cu2612 day"``. It has counts of bars, of ticks left out
            (``ignored``) and of equal bars at the end of history (``seam``), and the newest
            ``differences``. Each ``delivered`` bar is counted in ``equal``, ``corrected``,
            ``missing`` or ``pending``, as are other bars at the end of history; ``missing`` also
            counts bars that were left out. For tick feeds it counts ticks, and those that never
            came (``missing``).

        Source: TianQin's own kline serial, row by id.
        """
        return self.view.certificate()

    def health(self) -> Health:
        """Return the session's present state, a frozen ``health.Health``; never raises."""
        return self.view.health()

    def alerts(self, *urls: str, **settings: Any) -> Alerts:
        """Send alerts to DingTalk, WeCom, Feishu, Telegram, by mail or to any webhook.

        Args:
            urls: In apprise's format; see ``AlertSettings``.
            settings: Fields of ``AlertSettings``: ``events``, ``link_lost_after``, ...

        Raises:
            ConfigError: A URL or a setting is not understood, or apprise is missing.
        """
        return Alerts(self.view, AlertSettings(urls=urls, **settings))

    def monitor(self, port: int = 0) -> Monitoring:
        """Serve ``/health`` (JSON) and ``/metrics`` (Prometheus) on 127.0.0.1.

        Args:
            port: 0 takes a free one; the ``url`` of the result has it.

        Raises:
            ConfigError: The port is taken, or prometheus_client is missing.
        """
        return Monitoring(self.view, port)

    def serve(self, port: int = 0, token: str | None = None) -> LivePage:
        """Show this store in a browser on this machine, at the ``url`` of the result.

        Args:
            port: 0 takes a free one.
            token: The page asks for it before halt and flatten; None disables these buttons.

        Raises:
            ConfigError: The port is taken, or the token is shorter than 12 characters.
        """
        return LivePage(self.view, port, token)

    # -- what Cerebro calls -------------------------------------------------------------------

    def start(self, data: Any = None, broker: Any = None) -> None:
        """Begin a run of Cerebro, or one of its feeds.

        Feeds of another Cerebro are dropped, as nothing takes their bars.

        Raises:
            StoreClosed: ``close`` was called before.
        """
        self._must_be_open()
        if self._signals is not None:
            self._signals.run_begins()
        if data is not None:
            ours = {id(one) for one in (data, *data._env.datas)}  # == compares prices
            self.feeds[:] = [one for one in self.feeds if id(one) in ours or one._env is None]
            if not any(feed is data for feed in self.feeds):
                self.feeds.append(data)  # it was dropped for another run

    def stop(self) -> None:
        """End a run of Cerebro; orders placed in ``stop`` methods are still sent.

        Raises:
            KeyboardInterrupt: The run was ended by Ctrl-C.
            SystemExit: The run was ended by SIGTERM.
        """
        if not self._closed:
            self.pump(0.0)
        if self._signals is not None:
            self._signals.run_ended()

    def put_notification(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        """Queue a message for ``notify_store``."""
        self.context.notify(msg, *args, **kwargs)

    def get_notifications(self) -> list[tuple[Any, tuple[Any, ...], dict[str, Any]]]:
        """Return the messages for ``notify_store``; Cerebro calls this once per round, first."""
        self.loop.begin()
        news = list(self.context.unsaid)
        self.context.unsaid.clear()
        return news

    # -- end ----------------------------------------------------------------------------------

    def close(self) -> None:
        """End the session, and the sandbox if this store has one; calling it twice is harmless."""
        if self._closed:
            return
        self._closed = self.loop.closed = True
        self._finalizer.detach()
        self._tell_observers()
        self.observers.closed()
        with ExitStack() as ends:
            if self.sandbox_server is not None:
                ends.callback(self.sandbox_server.close)
            ends.callback(self.gateway.close)
            if self.broker is not None:
                ends.callback(self.broker.close_records)
                ends.callback(self.broker.look_a_last_time)
            if self.recorder is not None:
                self.recorder.close()

    def _tell_observers(self) -> None:
        if self.broker is not None:
            self.broker.tell_observers()

    def __getstate__(self) -> Any:
        """Refuse pickling: ``cerebro.optstrategy`` would copy the session to other processes."""
        raise ConfigError(ONE_RUN)

    def __enter__(self) -> Self:
        if self._signals is not None:
            self._signals.install()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        came = ""
        with ExitStack() as ends:
            if self._signals is not None:
                came = self._signals.came
                ends.callback(self._signals.restore)
            ends.callback(self.close)
            if self._closed:
                return
            self._tell_observers()
            if isinstance(error, Exception):
                self.observers.failed(error)
            elif came or isinstance(error, KeyboardInterrupt):
                self.observers.stopped(came or "Ctrl-C")


def _stop_runs() -> bool:
    """End the current runs in order; return False if none of them uses a ``MyStore``."""
    runs: list[bt.Cerebro] = list(callers(bt.Cerebro.runstrategies.__code__))
    if not any(isinstance(store, MyStore) for cerebro in runs for store in cerebro.stores):
        return False
    for cerebro in runs:
        cerebro.runstop()
    return True
