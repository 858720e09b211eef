"""``ClientMaker``: logs in to TianQin, as often as a session must be made anew."""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Mapping
from typing import Any

import jwt
import requests
from shinny_structlog import JSONFormatter
from tqsdk import TqApi, TqAuth, TqKq, TqSim
from tqsdk.exceptions import TqTimeoutError
from tqsdk.log import _get_log_name

from .client_loop import ClientLoop, closing_on_error, environment, past_proxies
from .errors import LinkLost, LinkTimeout, LoginRefused
from .redaction import hide, redacted

#: In the words of a client that finds the servers down for their daily maintenance.
OUT_OF_SERVICE = ("运维", "名称服务")
#: In its words about a server's answer, the HTTP status.
_STATUS = re.compile(r"(?:认证失败 \(|失败。)(\d{3})\b")
#: Where it says the same of a server in trouble as of a user who may not.
_UNCLEAR = ("不支持该期货公司", "授权到期日期失败")
_BUSY = frozenset({"408", "425", "429"})


class _Redacting(JSONFormatter):
    """tqsdk's own format, without the token and the password."""

    def __init__(self, password: str) -> None:
        super().__init__()
        self._password = password

    def format(self, record: logging.LogRecord) -> str:
        """As of tqsdk."""
        return redacted(super().format(record), [self._password])


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
        if value != key:  # the embedded exchange's is no secret
            hide(value, str(getattr(account, "_password", "")))
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

    def make(self, loop: ClientLoop) -> Any:
        """Log in; returns the ``TqApi`` when its first picture is there.

        Args:
            loop: Its event loop; closed if it comes to nothing.

        Raises:
            As of the gateway's ``connect``.
        """
        self._prepare_logs()
        with (
            environment(past_proxies(self._urls)),
            closing_on_error(loop),
            loop.whole_callbacks(),
        ):
            api = self._log_in(loop)
        self._been_in = True
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

    def _log_in(self, loop: ClientLoop) -> Any:
        account = self._given if self._given is not None else copy.deepcopy(self._template)
        try:
            return TqApi(
                TqKq() if account is None else account,
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
                raise LinkLost(f"TianQin is not in service: {error}") from error
            raise LoginRefused(f"TianQin refused the login: {error}") from error


def out_of_service(error: Exception) -> bool:
    """Whether a client says that the servers are in trouble, or down for daily maintenance."""
    found = _STATUS.search(str(error))
    if found is not None and (found[1] >= "500" or found[1] in _BUSY):
        return True
    return any(word in str(error) for word in OUT_OF_SERVICE)


def is_unclear(error: Exception) -> bool:
    """Whether a client says what it says of servers in trouble, too."""
    return any(word in str(error) for word in _UNCLEAR)
