"""``ClientMaker``: logs in to TianQin, as often as a session must be made anew."""

from __future__ import annotations

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
from .rows import to_notice
from .session_login import SessionLogin, explained

logger = logging.getLogger(__name__)

#: Seconds of one wait while a trading login may be refused.
_STEP = 0.1
#: Seconds that market data may take to connect, and as many more for its first picture, in a
#: session that is made anew; more where the line is late and its probe was given longer.
PICTURE = 5.0


class _Redacting(JSONFormatter):
    """tqsdk's own format, without secrets and settlement statements."""

    def __init__(self, password: str) -> None:
        super().__init__()
        self._password = password

    def format(self, record: logging.LogRecord) -> str:
        """As of tqsdk."""
        return redacted(clean(super().format(record)), [self._password])


@lru_cache(maxsize=1)
def _decoded(path: str) -> Any:
    """The contracts of before 2020 that come with tqsdk; its clients read them and never write."""
    with lzma.open(path, "rt", encoding="utf-8") as file:
        return json.load(file)


@contextmanager
def _decoding_once() -> Iterator[None]:
    """tqsdk decodes its 9 MB of them for every client, which takes half a second of a round."""

    def opened(path: str, *args: Any, **kwargs: Any) -> Any:
        return nullcontext(SimpleNamespace(read=lambda: path))

    tqsdk.api.lzma, tqsdk.api.json = SimpleNamespace(open=opened), SimpleNamespace(loads=_decoded)
    try:
        yield
    finally:
        tqsdk.api.lzma, tqsdk.api.json = lzma, json


class Client(TqApi):
    """A ``TqApi`` that does not wait for a minute when it is known that nothing will come.

    Its constructor waits for the first pictures of market data and of the account. After a refusal
    none comes, and nothing is raised: the notices say it.

    Args:
        trading: False where its account is none that anybody trades on.
        patience: Seconds that silent market data is waited for, as of ``PICTURE``, and then a
            refused connection ends it, too: tqsdk tries it again after ten seconds and more, and
            its caller may have better to do. With infinity both are waited for.
        args, kwargs: As of ``TqApi``.
    """

    def __init__(self, *args: Any, trading: bool, patience: float, **kwargs: Any) -> None:
        self._takes_orders, self._patience = trading, patience
        self._patient = math.isinf(patience)
        self._watch: LoginWatch | None = LoginWatch()
        self._watched: set[str] = set()
        self._md_silent_at, self._md_refused = math.inf, False
        super().__init__(*args, **kwargs)
        self._watch = None

    def _setup_connection(self) -> None:
        if self._backtest is not None:  # then tqsdk adds nights to the contracts
            super()._setup_connection()
            return
        with _decoding_once():
            super()._setup_connection()
        if not self._patient:
            self._listen_to_market_data()

    def _listen_to_market_data(self) -> None:
        """Until its first picture tqsdk holds everything back, notices too: hear them before."""
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
        """As of ``TqApi``.

        Raises:
            TradingLoginRefused: While it logs in.
            CounterAway: The same.
            LinkLost: The same, where it is not patient.
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

    def insert_order(self, *args: Any, **kwargs: Any) -> Any:
        """As of ``TqApi``.

        Raises:
            OrderError: The session has market data alone.
        """
        if not self._takes_orders:
            raise OrderError("trading rests: this session is not logged in at the counter")
        return super().insert_order(*args, **kwargs)

    def close(self) -> None:
        """As of ``TqApi``; one that is given up as it is made waits for no good-bye."""
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
    """Makes a ``TqApi``, and values of what is wrong where it cannot.

    Args:
        key, value, account, backtest, urls, debug: As of ``Gateway``.
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
            account = TqSim()  # the only kind of account that has a past
        for one in getattr(account, "_account_list", [account]):
            if value == key:  # the embedded exchange's are no secrets
                continue
            hide(value, str(getattr(one, "_password", "")))
            if not isinstance(one, TqKq | TqSim):
                hide(str(getattr(one, "_account_id", "")))
        self._given = account
        # tqsdk's account objects hold the state of one session; each connection gets a new one.
        self._template = copy.deepcopy(account)
        self._backtest, self._urls, self._debug = backtest, dict(urls or {}), debug
        self._been_in = False

    @property
    def matches_itself(self) -> bool:
        """Whether its clients fill orders themselves."""
        return isinstance(self._template, TqSim)

    @property
    def is_paper(self) -> bool:
        """Whether the account is TianQin's paper account."""
        return self._template is None or isinstance(self._template, TqKq)

    @property
    def renewable(self) -> bool:
        """Whether another client finds what the one before had."""
        return self._backtest is None and not self.matches_itself

    @property
    def account_id(self) -> str:
        """Broker and number of the account, or the user whose paper account it is.

        "" for one that dies with its client.
        """
        if not self.renewable:
            return ""
        broker = str(getattr(self._template, "_broker_id", "快期模拟"))
        number = str(getattr(self._template, "_account_id", ""))
        user = self._key if self.is_paper or not number else ""
        return " ".join(filter(None, (broker, number, user)))

    def login(self) -> SessionLogin:
        """One that has not begun; the next client may be made with it."""
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
        """Log in; returns the ``TqApi`` when its first picture is there.

        Args:
            loop: Its event loop; closed if it comes to nothing.
            login: One that has been asked; without it TianQin is asked now.
            trading: False for market data alone, without a login at the account's counter.
            patience: Seconds in which a server on this line answers.

        Raises:
            As of the gateway's ``connect``.
        """
        self._prepare_logs()
        with (
            environment(past_proxies(self._urls)),
            closing_on_error(loop),
            loop.whole_callbacks(),
        ):
            api = self._log_in(loop, login, patience, trading=trading)
        self._been_in = True
        if trading:
            self._given = None  # the next connection starts from the template
        if not self._debug:
            # tqsdk makes a log record of every pack, whether anybody reads it or not.
            logging.getLogger("TqApi").setLevel(logging.WARNING)
        return api

    def _prepare_logs(self) -> None:
        """Before tqsdk does: what it and its websockets log of a login holds the token."""
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
