"""``SessionLogin``: the HTTP requests of a new client, sent before and in the background.

A login server may take half a minute for an answer. It is asked while the old session still works,
so that orders can be sent through that session meanwhile; the new client then uses the answers.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from urllib.request import getproxies

import jwt
import requests
from tqsdk import TqApi, TqAuth
from tqsdk.exceptions import TqTimeoutError
from tqsdk.tradeable.otg.base_otg import BaseOtg

from ..core.login_words import is_unclear, not_in_service, out_of_service
from ..errors import LinkLost, LinkTimeout, LoginRefused
from .event_loop import environment, exemption

logger = logging.getLogger(__name__)


@contextmanager
def explained(*, been_in: bool) -> Iterator[None]:
    """Translate TqSdk's exceptions of a login to our errors.

    Args:
        been_in: Whether the same user has logged in successfully before.
    """
    try:
        yield
    except requests.RequestException as error:
        raise LinkLost(f"TianQin cannot be reached: {type(error).__name__}") from error
    except TqTimeoutError as error:
        raise LinkTimeout(f"TianQin did not answer within 60 s: {error}") from error
    except (OSError, ValueError) as error:  # a ValueError means that the answer is not JSON
        raise LinkLost(f"TianQin cannot be reached: {error}") from error
    except (LookupError, jwt.PyJWTError) as error:  # not the expected JSON
        raise LinkLost(f"the answer is not like TianQin's: {error!r}") from error
    except Exception as error:
        if type(error) is not Exception:  # TqSdk raises a plain Exception for everything else
            raise
        if out_of_service(error) or (been_in and is_unclear(error)):
            raise LinkLost(not_in_service(str(error))) from error
        raise LoginRefused(f"TianQin refused the login: {error}") from error


class SessionLogin(TqAuth):
    """A ``TqAuth`` that stores every answer: no request is sent twice.

    Args:
        user: The TianQin user.
        password: The user's password.
        account: A copy of TqSdk's account object, whose servers are requested, too.

    Attributes:
        asked: Whether ``ask`` has finished.
    """

    def __init__(self, user: str, password: str, account: object) -> None:
        super().__init__(user, password)
        self._accounts = getattr(account, "_account_list", [account])
        self._named = os.environ.get("TQ_MD_URL"), os.environ.get("TQ_TD_URL")
        self._answers: dict[tuple[str, ...], Any] = {}
        self._wrong: Exception | None = None
        self._wrong_of_trading: Exception | None = None
        self._wrong_of_licence: Exception | None = None
        self._addresses: list[str] = []
        self.asked = False

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the next session's requests; they contain the token."""
        return dict(self._base_headers)

    def ask(self) -> list[str]:
        """Send all requests, in a thread of its own; ``check`` raises the errors.

        Nothing is sent if all answers are known already.

        Returns:
            Addresses of the market data and trading servers, as far as they are known.
        """
        if self.asked and self._wrong is None and self._wrong_of_trading is None:
            return self._addresses
        self._addresses = addresses = []
        # Variables affect the whole program: set them only if a proxy would get this request.
        variables = exemption([self._auth_url]) if getproxies() else {}
        with environment(variables):
            self._wrong = _error_of(lambda: addresses.append(self._ask_of_market_data()))
            if self._wrong is None:
                self._wrong_of_trading = _error_of(lambda: addresses.extend(self._ask_of_trading()))
        self.asked = True
        return addresses

    def check(self, *, trading: bool) -> None:
        """Raise an error if a client would not be logged in.

        Args:
            trading: Whether the client logs in at the account's counter, too.

        Raises:
            LoginRefused: TianQin refuses this user.
            LinkLost: TianQin is unreachable or out of service.
        """
        wrong = self._wrong or (self._wrong_of_trading if trading else None)
        if wrong is not None:
            with explained(been_in=True):
                raise wrong

    def _ask_of_market_data(self) -> str:
        self.login()
        self._wrong_of_licence = _error_of(lambda: super(SessionLogin, self).expire_datetime)
        return self._named[0] or self._get_md_url(True, False)

    def _ask_of_trading(self) -> list[str]:
        """Like the constructor of ``TqApi``, with its own functions."""
        api = SimpleNamespace(_auth=self, _td_url=self._named[1])
        for account in self._accounts:
            if isinstance(account, BaseOtg):
                account._update_otg_info(api)
            if not TqApi._check_account_auth(api, account):  # this binds a new account to the user
                raise LoginRefused(f"TianQin refused the login: no {type(account).__name__}")
        return [account._td_url for account in self._accounts if isinstance(account, BaseOtg)]

    # -- requests of a client -----------------------------------------------------------------

    def login(self) -> None:
        """See ``TqAuth``; sent once."""
        self._once(("login",), super().login)

    @property
    def expire_datetime(self) -> datetime:
        """See ``TqAuth``; a failed request is not repeated."""
        if self._wrong_of_licence is not None:
            raise self._wrong_of_licence
        return super().expire_datetime

    def _get_md_url(self, stock: bool, backtest: bool) -> str:
        question = super()._get_md_url
        return str(self._once(("md", str(stock), str(backtest)), lambda: question(stock, backtest)))

    def _get_td_url(self, broker_id: str, account_id: str) -> Any:
        question = super()._get_td_url
        return self._once(("td", broker_id, account_id), lambda: question(broker_id, account_id))

    def _once(self, name: tuple[str, ...], question: Callable[[], Any]) -> Any:
        if name not in self._answers:
            self._answers[name] = question()
        return self._answers[name]


def _error_of(question: Callable[[], object]) -> Exception | None:
    """The error of a request, for a thread in which nobody could catch it."""
    try:
        question()
    except Exception as error:
        logger.debug("the login comes to nothing: %s", type(error).__name__)
        return error
    return None
