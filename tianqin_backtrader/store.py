"""``MyStore``: one TianQin session, its feeds and its broker, in one thread.

Cerebro asks each feed for a bar; a feed that has none asks the store to ``poll``; the store waits
at most once a round, for all of them, and hands what came to whom it belongs.
"""

from __future__ import annotations

import math
import os
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from datetime import date, datetime, timedelta
from typing import Any, Self

import backtrader as bt

from . import session_calendar
from .broker import MyBroker
from .clock import MarketClock, WallClock, passed_ns
from .dailyfeed import Dailyfeed
from .datafeed import ONE_RUN, Mydatafeed
from .embedded import EmbeddedSandbox
from .errors import ConfigError, LinkError, OrderError, UnknownSymbol
from .gateway import Gateway
from .instruments import HURRIED, PATIENCE, Instruments
from .kept_state import KeptState
from .main_contracts import MAIN, MainContracts
from .market_hours import MarketHours
from .minutes_then_ticks import MinutesThenTicks
from .model import Instrument
from .observers import Observers
from .recorder import Recorder
from .roll_desk import RollDesk
from .stop_signals import StopSignals, callers
from .store_reconnect import Reconnector
from .store_round import Round
from .store_services import StoreServices
from .store_session import StoreSession
from .tianqin_login import futures_account
from .tickfeed import Tickfeed

#: Seconds before an open at which the session is made anew.
REBUILD_AHEAD = 180.0
#: The feeds' default: TianQin's main contract of copper.
MAIN_CONTRACT = "KQ.m@SHFE.cu"
#: The futures company of the sandbox's ``ctp`` counter.
_SANDBOX_BROKER = "沙盒期货"


class MyStore(StoreServices, StoreSession):
    """One TianQin session.

    Args:
        key: TianQin user; default ``TQ_USER`` of the environment.
        value: Its password; default ``TQ_PASS``.
        account: An account object of tqsdk (``TqAccount(broker, id, password)``, ``TqSim()``,
            ...); default the TianQin paper account ``TqKq()``.
        strategy_name: Names this program's records.
        backtest: ``TqBacktest(start, end)`` of tqsdk.
        urls: ``TQ_*`` addresses of a TianQin-compatible server. Default: what the environment
            variables of that name say, else TianQin itself.
        stop_on_signals: ``with MyStore(...)`` takes Ctrl-C and SIGTERM: strategies' ``stop`` is
            called before ``cerebro.run()`` is left by ``KeyboardInterrupt``, or by ``SystemExit``
            with code 0. Handlers of the program's own are left alone; False: all are.
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
        self.feeds: list[Mydatafeed] = []
        self.broker: MyBroker | None = None
        self.mains = MainContracts(self, self._urls)
        #: Called in every round, as soon as there is a broker.
        self.keepers: list[Callable[[], None]] = []
        self.state = KeptState()
        self.recorder: Recorder | None = None
        #: Who listens: alerts, monitoring, the live page.
        self.observers = Observers()
        self._unsaid: deque[tuple[Any, tuple[Any, ...], dict[str, Any]]] = deque()
        self._closed = False
        self._signals = StopSignals(_stop_runs) if stop_on_signals else None
        self.gateway = Gateway(
            key, value, account=account, backtest=backtest, urls=urls, debug=debug
        )
        self._instruments = Instruments(self.gateway, self._today, self._learn, self._patience)
        self._hours = MarketHours(self.calendar, self._symbols, self.now, lead=None)
        self.reconnector = Reconnector(self.gateway, self._hours)
        self.reconnector.connect()
        self._finalizer = weakref.finalize(self, self.gateway.close)
        self._round = Round(self, self._instruments, self._unsaid, self._learn_holidays)
        self._round.follow_clock()
        ahead = rebuild_ahead if self.clock.virtual else rebuild_ahead or REBUILD_AHEAD
        self._hours.lead = None if ahead is None else timedelta(seconds=ahead)
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
        """The same store on an embedded local exchange: no account, no network.

        Args:
            seed: Names the market; the same seed is the same market.
            start: Trading day at whose night session the market begins, or an instant.
            days: Trading days until the market is over and the run ends.
            speed: None as fast as the program takes it; 1 real time; 10 ten times that.
            balance: Yuan on the account at the start.
            account: As for ``MyStore``.
            strategy_name, rebuild_ahead, stop_on_signals: As for ``MyStore``.
            options: Further options of ``EmbeddedSandbox``: ``port`` (0 any free one), ``users``
                (passwords by name), ``ticks_per_pack`` (market steps in one pack, default 1),
                ``script`` of faults, ``replay`` of recorded ticks (a file or folder),
                ``counter`` (``"plain"``, ``"kq"``, or ``"ctp"``, which is a futures company's:
                the account is then a ``TqAccount``), ``query_seconds``, ``commission``,
                ``account_file`` (a recorded account), ``tells_time`` (False: no pack tells the
                time, as with TianQin; then ``clock_ahead`` and ``clock_drift`` of this machine's
                clock).

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
        """Minute bars of a contract, live, after history if wanted.

        Args:
            instrument: A contract, ``"SHFE.cu2612"``, or TianQin's main contract of a product,
                ``"KQ.m@SHFE.cu"``, which never expires.
            lookback: True for the latest 10 000 minutes, a number for at least so
                many, back to a trading day's opening, False for none.
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
        self, instrument: str = MAIN_CONTRACT, lookback: bool | int = False, **kwargs: Any
    ) -> Dailyfeed:
        """One bar a trading day, from the night's 21:00 to 15:00; as ``getdata`` otherwise.

        Args:
            instrument: As for ``getdata``.
            lookback: True for all days there are (10 000 at most), a number for that many.
            kwargs: Parameters of ``Dailyfeed`` and of Backtrader's feeds.
        """
        feed: Dailyfeed = self._feed(Dailyfeed, instrument, lookback, kwargs)
        return feed

    def get_tick_data(self, instrument: str = MAIN_CONTRACT, **kwargs: Any) -> Tickfeed:
        """Every tick of a contract, live; as ``getdata`` otherwise.

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
        """forwardtrader's feed of that name: minutes of history if wanted, then every tick.

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
        """Ask beside the run for what an order on a contract will need; orders do not wait."""
        if instrument.symbol.startswith(MAIN):
            if instrument.underlying_symbol:
                self._instruments.known(instrument.underlying_symbol)
        elif instrument.upper_limit != instrument.upper_limit and not self.gateway.matches_itself:
            with suppress(LinkError, OrderError):
                self.gateway.quote(instrument.symbol)  # subscribed: the limits are in it, too

    @property
    def in_history(self) -> bool:
        """Whether all that the run has seen is history.

        A feed of days, or of a contract without a night, shows a bar of history for hours while
        another one is live, or waits for its next bar: the run is live then.
        """
        begun = [feed for feed in self.feeds if len(feed)]
        return bool(begun) and all(feed.history_phase for feed in begun)

    def getbroker(self, **kwargs: Any) -> MyBroker:
        """The broker of this session; always the same one. ``kwargs`` as for ``MyBroker``."""
        self._must_be_open()
        if self.broker is None:
            make: Any = MyBroker
            self.broker = make(store=self, **kwargs)
            self._rolls = self._round.rolls = RollDesk(self)
            self._rolls.load()
        return self.broker

    def _symbols(self) -> set[str]:
        recorded = self.recorder.symbols if self.recorder is not None else ()
        return {*recorded, *(feed.symbol for feed in self.feeds)}

    def instrument(self, symbol: str) -> Instrument:
        """A contract's specification of today.

        Raises:
            UnknownSymbol: TianQin knows no such contract.
            LinkError: It is asked for the first time, and TianQin does not answer: for a minute
                before a run, for half a second while one goes on, at once while market data is
                away.
        """
        return self._instruments.get(symbol)

    def known_instrument(self, symbol: str) -> Instrument | None:
        """The same, if it is known; else it is asked for beside the run. Nothing is waited for."""
        return self._instruments.known(symbol)

    def last_price(self, symbol: str) -> float:
        """A contract's last price, quote units, as far as it is known now; nan if it is not.

        That of the quote, which is subscribed here, or of a feed's newest tick.
        """
        try:
            price = float(self.gateway.quote(symbol).last_price)
        except (LinkError, OrderError):
            price = math.nan
        if price == price:
            return price
        prices = (one.last_price for one in self.feeds if self.mains.traded(one.symbol) == symbol)
        return next((price for price in prices if price == price), math.nan)

    def is_unknown(self, symbol: str) -> bool:
        """Whether TianQin has said that there is no such contract."""
        return self._instruments.absent(symbol)

    def _patience(self) -> float:
        """Seconds that a contract may be waited for now."""
        if self.broker is None or not self.broker.begun:
            return PATIENCE
        return HURRIED if self.reconnector.market_data_up else 0.0

    # -- the wait -----------------------------------------------------------------------------

    def poll(self, timeout: float) -> None:
        """Wait until something is there to deliver, at most once a round of Cerebro.

        Args:
            timeout: Seconds.
        """
        if not self._closed:
            self._round.poll(timeout)

    def pump(self, timeout: float) -> None:
        """One wait for the server, and everything it brought to where it belongs."""
        self._round.pump(timeout)

    def catch_up(self, deadline: float) -> None:
        """Wait until all that market data has sent until now is here.

        Args:
            deadline: By ``clock.monotonic``.

        Raises:
            LinkTimeout: It does not answer.
        """
        self._round.catch_up(deadline)

    def alive_at(self, symbol: str) -> int:
        """Until when nothing can be missing of what the market sent of a contract, nanoseconds."""
        return self._round.lifeline.alive_at(symbol)

    def horizon(self) -> int:
        """Bars that end by this instant are complete for every contract and may be delivered."""
        return self._round.horizon()

    @property
    def market_over(self) -> bool:
        """Whether a market of finite days has ended and every connection has said so.

        The trading side says it last, after the settlement.
        """
        return self._round.market_over

    # -- what Cerebro calls -------------------------------------------------------------------

    def start(self, data: Any = None, broker: Any = None) -> None:
        """Cerebro begins a run, and one of its feeds.

        Feeds that another Cerebro has are let go: nobody takes their bars.

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
                self.feeds.append(data)  # it was let go for another run, and comes back

    def stop(self) -> None:
        """Cerebro has ended a run; what was ordered in ``stop`` methods still leaves.

        Raises:
            KeyboardInterrupt: It was ended by Ctrl-C.
            SystemExit: It was ended by SIGTERM.
        """
        if not self._closed:
            self.pump(0.0)
        if self._signals is not None:
            self._signals.run_ended()

    def put_notification(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        """Tell ``notify_store``."""
        self.observers.said(str(msg))
        self._unsaid.append((msg, args, kwargs))

    def get_notifications(self) -> list[tuple[Any, tuple[Any, ...], dict[str, Any]]]:
        """What ``notify_store`` will be told; Cerebro asks once at the start of each round."""
        self._round.begin()
        news = list(self._unsaid)
        self._unsaid.clear()
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
                ends.callback(self.broker.look_a_last_time)
            if self.recorder is not None:
                self.recorder.close()

    def __getstate__(self) -> Any:
        """Refused: ``cerebro.optstrategy`` would copy the session to other processes."""
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
            if isinstance(error, Exception):
                self.observers.failed(error)
            elif came or isinstance(error, KeyboardInterrupt):
                self.observers.stopped(came or "Ctrl-C")


def _stop_runs() -> bool:
    """Have the runs that go on end in order; False if none of a ``MyStore`` does."""
    runs = list(callers(bt.Cerebro.runstrategies.__code__))
    if not any(isinstance(store, MyStore) for cerebro in runs for store in cerebro.stores):
        return False
    for cerebro in runs:
        cerebro.runstop()
    return True
