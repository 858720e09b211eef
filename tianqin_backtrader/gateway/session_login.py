"""``SessionLogin``: what a client asks over HTTP as it is made, asked before and beside the run.

A login server may take half a minute for an answer. It is asked while the old session still lives,
so that orders leave through that one meanwhile; the new client finds every answer there.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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
    """What tqsdk raises of a login becomes an error of ours.

    Args:
        been_in: Whether the same user has been let in before.
    """
    try:
        yield
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
        if out_of_service(error) or (been_in and is_unclear(error)):
            raise LinkLost(not_in_service(str(error))) from error
        raise LoginRefused(f"TianQin refused the login: {error}") from error


class SessionLogin(TqAuth):
    """A ``TqAuth`` that keeps every answer: what was asked once is not asked again.

    Args:
        user: Of TianQin.
        password: Its password.
        account: A copy of tqsdk's account object, whose servers are asked for, too.

    Attributes:
        asked: Whether ``ask`` is done.
    """

    def __init__(self, user: str, password: str, account: Any) -> None:
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
        """Of the next session's requests; they hold the token."""
        return dict(self._base_headers)

    def ask(self) -> list[str]:
        """Ask for everything, in a thread of its own; what goes wrong is for ``check``.

        Where all is known already nothing is asked.

        Returns:
            Addresses of the servers of market data and trading, as far as they are known.
        """
        if self.asked and self._wrong is None and self._wrong_of_trading is None:
            return self._addresses
        self._addresses = addresses = []
        # The variables are the whole program's: they are touched where a proxy would get this.
        variables = exemption([self._auth_url]) if getproxies() else {}
        with environment(variables):
            self._wrong = _error_of(lambda: addresses.append(self._ask_of_market_data()))
            if self._wrong is None:
                self._wrong_of_trading = _error_of(lambda: addresses.extend(self._ask_of_trading()))
        self.asked = True
        return addresses

    def check(self, *, trading: bool) -> None:
        """Whether a client would be let in.

        Args:
            trading: Whether it is to log in at the account's counter, too.

        Raises:
            LoginRefused: TianQin does not let this user in.
            LinkLost: It cannot be reached, or is not in service.
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
        """As the constructor of ``TqApi`` does, with its own functions."""
        api: Any = SimpleNamespace(_auth=self, _td_url=self._named[1])
        for account in self._accounts:
            if isinstance(account, BaseOtg):
                account._update_otg_info(api)
            if not TqApi._check_account_auth(api, account):  # it binds an account that is new
                raise LoginRefused(f"TianQin refused the login: no {type(account).__name__}")
        return [account._td_url for account in self._accounts if isinstance(account, BaseOtg)]

    # -- what a client asks -------------------------------------------------------------------

    def login(self) -> None:
        """As of ``TqAuth``, once."""
        self._once(("login",), super().login)

    @property
    def expire_datetime(self) -> Any:
        """As of ``TqAuth``; what could not be learnt is not asked for again."""
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
    """What a question comes to in a thread where nobody could take an error."""
    try:
        question()
    except Exception as error:
        logger.debug("the login comes to nothing: %s", type(error).__name__)
        return error
    return None
