"""``ClientMaker``: logs in to TianQin, as often as a session must be made anew."""

from __future__ import annotations

import copy
import json
import logging
import lzma
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import jwt
import requests
import tqsdk.api
from shinny_structlog import JSONFormatter
from tqsdk import TqApi, TqAuth, TqKq, TqSim
from tqsdk.exceptions import TqTimeoutError
from tqsdk.log import _get_log_name

from .client_loop import ClientLoop, closing_on_error, environment, past_proxies
from .clock import deadline_in, monotonic, seconds_until
from .data_tree import to_notice
from .errors import (
    CounterAway,
    LinkLost,
    LinkTimeout,
    LoginRefused,
    OrderError,
    TradingLoginRefused,
)
from .login_words import LoginWatch, Why, is_unclear, not_in_service, out_of_service
from .model import LOST
from .redaction import clean, hide, redacted

#: Seconds of one wait while a trading login may be refused.
_STEP = 0.1


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
    """A ``TqApi`` that does not wait for a minute when the counter refuses the login at once.

    Its constructor waits for the account's first picture. After a refusal none comes, and nothing
    is raised: the notices say it.

    Args:
        trading: False where its account is none that anybody trades on.
        patient: Whether a connection that is refused is waited for; tqsdk tries it again after
            ten seconds and more, and its caller may have better to do.
        args, kwargs: As of ``TqApi``.
    """

    def __init__(self, *args: Any, trading: bool, patient: bool, **kwargs: Any) -> None:
        self._takes_orders, self._patient = trading, patient
        self._watch: LoginWatch | None = LoginWatch()
        self._watched: set[str] = set()
        super().__init__(*args, **kwargs)
        self._watch = None

    def _setup_connection(self) -> None:
        if self._backtest is not None:  # then tqsdk adds nights to the contracts
            super()._setup_connection()
            return
        with _decoding_once():
            super()._setup_connection()

    def wait_update(self, deadline: float | None = None, *args: Any, **kwargs: Any) -> bool:
        """As of ``TqApi``.

        Raises:
            TradingLoginRefused: While it logs in.
            CounterAway: The same.
            LinkLost: The same, where it is not patient.
        """
        if self._watch is None:
            return bool(super().wait_update(deadline, *args, **kwargs))
        while True:
            step = deadline_in(_STEP)
            end = step if deadline is None else min(step, deadline)
            news = bool(super().wait_update(end, *args, **kwargs))
            self._look_at_login(self._watch)
            if news or (deadline is not None and seconds_until(deadline) <= 0):
                return news

    def insert_order(self, *args: Any, **kwargs: Any) -> Any:
        """As of ``TqApi``.

        Raises:
            OrderError: The session has market data alone.
        """
        if not self._takes_orders:
            raise OrderError("trading rests: this session is not logged in at the counter")
        return super().insert_order(*args, **kwargs)

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

    def make(self, loop: ClientLoop, *, trading: bool = True) -> Any:
        """Log in; returns the ``TqApi`` when its first picture is there.

        Args:
            loop: Its event loop; closed if it comes to nothing.
            trading: False for market data alone, without a login at the account's counter.

        Raises:
            As of the gateway's ``connect``.
        """
        self._prepare_logs()
        with (
            environment(past_proxies(self._urls)),
            closing_on_error(loop),
            loop.whole_callbacks(),
        ):
            api = self._log_in(loop, trading=trading)
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

    def _log_in(self, loop: ClientLoop, *, trading: bool) -> Any:
        try:
            return Client(
                self._account() if trading else TqSim(),
                trading=trading,
                patient=not self._been_in,
                auth=TqAuth(self._key, self._value),
                backtest=self._backtest,
                debug=self._debug,
                loop=loop,
                disable_print=True,
            )
        except requests.RequestException as error:
            raise LinkLost(f"TianQin cannot be reached: {type(error).__name__}") from error
        except TqTimeoutError as error:
            raise LinkTimeout(f"TianQin did not answer within 60 s: {error}") from error
        except (OSError, ValueError) as error:  # a ValueError is an answer that is no JSON
            raise LinkLost(f"TianQin cannot be reached: {error}") from error
        except (LookupError, jwt.PyJWTError) as error:  # an answer that is another JSON
            raise LinkLost(f"this is not how TianQin answers: {error!r}") from error
        except Exception as error:
            if type(error) is not Exception:  # what tqsdk raises for everything else
                raise
            if out_of_service(error) or (self._been_in and is_unclear(error)):
                raise LinkLost(not_in_service(str(error))) from error
            raise LoginRefused(f"TianQin refused the login: {error}") from error
