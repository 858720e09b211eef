"""``ClientMaker``: logs in to TianQin and creates a client, for every new session."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import lzma
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import tqsdk
import tqsdk.api
from shinny_structlog import JSONFormatter
from tqsdk import TqApi, TqAuth, TqKq, TqSim
from tqsdk.log import _get_log_name

from ..core.clock import deadline_in, monotonic, seconds_until
from ..core.login_words import LoginWatch, Why
from ..core.model import CONNECTED, LOST
from ..core.redaction import clean, hide, redacted
from ..errors import CounterAway, LinkLost, OrderError, TradingLoginRefused
from .event_loop import ClientLoop, closing_on_error, environment, past_proxies
from .news import News
from .rows import to_notice
from .session_login import SessionLogin, explained

logger = logging.getLogger(__name__)

#: The versions of TqSdk whose inner parts are known.
TESTED_TQSDK = "3.10"
TESTED: bool = tqsdk.__version__.startswith(f"{TESTED_TQSDK}.")
#: Seconds of one wait while a trading login may be refused.
_STEP = 0.1
#: Seconds in which market data must connect, and as many for its first pack, in a renewed
#: session; more if the line is slow and the probe was given more time.
PICTURE = 5.0


class _Redacting(JSONFormatter):
    """TqSdk's own format, without secrets and settlement statements."""

    def __init__(self, password: str) -> None:
        super().__init__()
        self._password = password

    def format(self, record: logging.LogRecord) -> str:
        """See TqSdk."""
        return redacted(clean(super().format(record)), [self._password])


@lru_cache(maxsize=1)
def _decoded(path: str) -> Any:
    """TqSdk's file of contracts before 2020; clients only read it."""
    with lzma.open(path, "rt", encoding="utf-8") as file:
        return json.load(file)


@contextmanager
def _decoding_once() -> Iterator[None]:
    """Decode that 9 MB file once: TqSdk decodes it for every client, which takes half a second."""

    def opened(path: str, *args: Any, **kwargs: Any) -> Any:
        return nullcontext(SimpleNamespace(read=lambda: path))

    tqsdk.api.lzma, tqsdk.api.json = SimpleNamespace(open=opened), SimpleNamespace(loads=_decoded)
    try:
        yield
    finally:
        tqsdk.api.lzma, tqsdk.api.json = lzma, json


class Client(TqApi):
    """A ``TqApi`` that stops waiting when it is known that nothing will come.

    The constructor of ``TqApi`` waits for the first packs of market data and of the account, for a
    minute. After a refusal none come and nothing is raised; only notices report the refusal.

    Args:
        trading: False if nobody trades on its account.
        patience: Seconds to wait for silent market data, as in ``PICTURE``; then a refused
            connection also ends the wait. TqSdk repeats it after ten seconds or more, which is
            too late for the caller. With infinity it waits for both.
        args, kwargs: As for ``TqApi``.
    """

    def __init__(self, *args: Any, trading: bool, patience: float, **kwargs: Any) -> None:
        self._takes_orders, self._patience = trading, patience
        self._patient = math.isinf(patience)
        self._watch: LoginWatch | None = LoginWatch()
        self._watched: set[str] = set()
        self._md_silent_at, self._md_refused = math.inf, False
        self.news = News(sure=TESTED)
        super().__init__(*args, **kwargs)
        self._watch = None

    def _setup_connection(self) -> None:
        if self._backtest is not None:  # a back-test: TqSdk adds nights to the contracts
            super()._setup_connection()
            return
        with _decoding_once():
            super()._setup_connection()
        if not self._patient:
            self._listen_to_market_data()

    def _listen_to_market_data(self) -> None:
        """Observe notices directly: TqSdk holds them back until the first pack of market data."""
        line, self._md_silent_at = self._ws_md_recv_chan, monotonic() + self._patience
        pass_on = line.send

        async def send(pack: Mapping[str, Any]) -> None:
            if self._watch is not None:
                self._hear_market_data(pack)
            await pass_on(pack)

        line.send = send

    def _hear_market_data(self, pack: Mapping[str, Any]) -> None:
        for difference in pack.get("data", ()):
            codes = [notice["code"] for notice in difference.get("notify", {}).values()]
            self._md_refused = self._md_refused or LOST in codes
            if CONNECTED in codes:
                self._md_silent_at = monotonic() + self._patience
            if difference.get("mdhis_more_data") is False:
                self._md_silent_at = math.inf

    def wait_update(self, deadline: float | None = None, *args: Any, **kwargs: Any) -> bool:
        """See ``TqApi``.

        Raises:
            TradingLoginRefused: During login.
            CounterAway: During login.
            LinkLost: During login, if it is not patient.
        """
        if self._watch is None:
            return bool(super().wait_update(deadline, *args, **kwargs))
        left = math.inf if deadline is None else seconds_until(deadline)
        end = monotonic() + left
        while True:
            news = bool(super().wait_update(deadline_in(min(_STEP, left)), *args, **kwargs))
            self._look_at_market_data()
            self._look_at_login(self._watch)
            left = end - monotonic()
            if news or left <= 0:
                return news

    def _wait_update(self, *args: Any, **kwargs: Any) -> bool:
        """See ``TqApi``; every wait passes here, also those of its own queries."""
        before = self._diffs
        try:
            return bool(super()._wait_update(*args, **kwargs))
        finally:
            if self._diffs is not before:
                self.news.note(self._diffs)

    def insert_order(self, *args: Any, **kwargs: Any) -> Any:
        """See ``TqApi``.

        Raises:
            OrderError: The session has market data only.
        """
        if not self._takes_orders:
            raise OrderError("trading is paused: this session is not logged in at the counter")
        return super().insert_order(*args, **kwargs)

    def _run_until_idle(self, async_run: bool = False) -> None:
        """See ``TqApi``; its loop starts and stops once, not after each step of a pack's way."""
        if not TESTED or async_run:
            super()._run_until_idle(async_run)
            return
        while self._check_rev != self._event_rev:
            self._look_for_idle()
            try:
                self._run_once()
            finally:
                self._idle_check.cancel()

    def _look_for_idle(self) -> None:
        self._idle_check = self._loop.call_soon(self._stop_when_idle, self._event_rev + 1)

    def _stop_when_idle(self, events: int) -> None:
        """Stop the loop if nothing was scheduled after ``events``; else look again, after that."""
        if self._event_rev == events:
            self._check_event(events)
        else:
            self._look_for_idle()

    def send_now(self) -> None:
        """Write to the sockets what the client was given, without receiving anything.

        TqSdk does so at the beginning of its next wait; until then strategies and feeds take their
        time. Errors of its tasks are left to that wait. In a notebook, whose own loop is running,
        and with versions of TqSdk that were not tested, the wait sends, too.
        """
        if not TESTED or self._exceptions or asyncio._get_running_loop() is not None:
            return
        try:
            with self._loop.whole_callbacks:
                self._run_until_idle(async_run=False)
        except Exception as error:
            self._exceptions.append(error)

    def close(self) -> None:
        """See ``TqApi``; a client that is given up during login does not wait for close frames."""
        if self._watch is None or self._patient:
            super().close()
            return
        self._loop.abort_connections()
        try:
            super().close()
        except Exception as error:  # of tasks whose connection was broken
            logger.info("a session that was given up ended with: %s", error)

    def _look_at_market_data(self) -> None:
        if self._md_refused:
            raise LinkLost("the server has just refused a connection")
        if monotonic() > self._md_silent_at:
            raise LinkLost("market data takes connections and says nothing")

    def _look_at_login(self, watch: LoginWatch) -> None:
        for key, notice in list(self._data.get("notify", {}).items()):
            if key not in self._watched:
                self._watched.add(key)
                heard = to_notice(notice)
                if heard.code == LOST and not self._patient:
                    raise LinkLost("the server has just refused a connection")
                watch.hear(heard, monotonic())
        refusal = watch.verdict(monotonic())
        if refusal is None:
            return
        if refusal.why is Why.AWAY:
            raise CounterAway(refusal)
        raise TradingLoginRefused(refusal)


class ClientMaker:
    """Creates a ``TqApi``, and raises our own errors if it cannot.

    Args:
        key, value, account, backtest, urls, debug: As for ``Gateway``.
    """

    def __init__(
        self,
        key: str,
        value: str,
        account: Any,
        backtest: Any,
        urls: Mapping[str, str] | None,
        debug: bool | str,
    ) -> None:
        self._key, self._value = key, value
        if backtest is not None and account is None:
            account = TqSim()  # the only kind of account with a past
        for one in getattr(account, "_account_list", [account]):
            if value == key:  # the embedded exchange's are not secret
                continue
            hide(value, str(getattr(one, "_password", "")))
            if not isinstance(one, TqKq | TqSim):
                hide(str(getattr(one, "_account_id", "")))
        self._given = account
        # TqSdk's account objects have the state of one session; each connection gets a new one.
        self._template = copy.deepcopy(account)
        self._backtest, self._urls, self._debug = backtest, dict(urls or {}), debug
        self._been_in = False

    @property
    def matches_itself(self) -> bool:
        """Whether its clients match orders themselves."""
        return isinstance(self._template, TqSim)

    @property
    def is_paper(self) -> bool:
        """Whether the account is TianQin's paper account."""
        return self._template is None or isinstance(self._template, TqKq)

    @property
    def renewable(self) -> bool:
        """Whether a new client finds the orders and positions of the previous one."""
        return self._backtest is None and not self.matches_itself

    @property
    def account_id(self) -> str:
        """Broker and number of the account, or the user of a paper account.

        It is "" for an account that ends with its client.
        """
        if not self.renewable:
            return ""
        broker = str(getattr(self._template, "_broker_id", "快期模拟"))
        number = str(getattr(self._template, "_account_id", ""))
        user = self._key if self.is_paper or not number else ""
        return " ".join(filter(None, (broker, number, user)))

    def login(self) -> SessionLogin:
        """A new login, not started; the next client may be created with it."""
        with environment(past_proxies(self._urls)):
            account = copy.deepcopy(self._template)
            return SessionLogin(self._key, self._value, TqKq() if account is None else account)

    def make(
        self,
        loop: ClientLoop,
        login: SessionLogin | None = None,
        *,
        trading: bool = True,
        patience: float = 0.0,
    ) -> Any:
        """Log in; returns the ``TqApi`` after its first packs.

        Args:
            loop: Its event loop; closed on failure.
            login: A finished login; without it TianQin is asked now.
            trading: False for market data only, without a login at the account's counter.
            patience: Seconds in which a server answers on this line.

        Raises:
            As for ``Gateway.connect``.
        """
        self._prepare_logs()
        with (
            environment(past_proxies(self._urls)),
            closing_on_error(loop),
            loop.whole_callbacks,
        ):
            api = self._log_in(loop, login, patience, trading=trading)
        self._been_in = True
        if trading:
            self._given = None  # the next connection starts from the template
        if not self._debug:
            # TqSdk makes a log record of every pack, even if nobody reads it.
            logging.getLogger("TqApi").setLevel(logging.WARNING)
        return api

    def _prepare_logs(self) -> None:
        """Prepare logging before TqSdk does: its log and its websockets' contain the token."""
        logging.getLogger("websockets").setLevel(logging.INFO)
        client = logging.getLogger("TqApi")
        if self._debug and not client.handlers:
            path = self._debug if isinstance(self._debug, str) else _get_log_name()
            handler = logging.FileHandler(path, encoding="utf-8")
            handler.setFormatter(_Redacting(self._value))
            client.addHandler(handler)
            client.setLevel(logging.DEBUG)

    def _account(self) -> Any:
        account = self._given if self._given is not None else copy.deepcopy(self._template)
        return TqKq() if account is None else account

    def _log_in(
        self, loop: ClientLoop, login: SessionLogin | None, patience: float, *, trading: bool
    ) -> Any:
        with explained(been_in=self._been_in):
            return Client(
                self._account() if trading else TqSim(),
                trading=trading,
                patience=max(PICTURE, patience) if self._been_in else math.inf,
                auth=login or TqAuth(self._key, self._value),
                backtest=self._backtest,
                debug=self._debug,
                loop=loop,
                disable_print=True,
            )
