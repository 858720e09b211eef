"""Login without a session: a user's permissions, and the addresses of servers.

TqSdk's ``TqAuth`` sends the requests, as it does for a ``TqApi``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import requests
from tqsdk import TqAccount, TqAuth, TqKq

from ..core.login_words import not_in_service, out_of_service
from ..errors import ConfigError, LinkLost, LoginRefused
from .event_loop import environment, past_proxies
from .logging_fix import redacted, restore_logging

restore_logging()

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Licence:
    """A user's permissions.

    Attributes:
        features: TianQin's names; ``futr`` is futures data and trading.
        accounts: Futures accounts that are bound to the user.
        product: TianQin's name of the product.
        expires: Naive Beijing time; 2099-12-31 for free users.
    """

    features: frozenset[str]
    accounts: frozenset[str]
    product: str
    expires: datetime


def futures_account(broker: str, number: str, password: str) -> TqAccount:
    """TqSdk's account object for a futures company."""
    return TqAccount(broker, number, password)


class TianqinLogin:
    """One login to TianQin.

    Args:
        user: The TianQin user.
        password: The user's password.

    Attributes:
        auth_url: The address of the login server.

    Raises:
        LoginRefused: Wrong user or password; with TianQin's words.
        LinkLost: The server is unreachable or its answer is invalid.
    """

    def __init__(self, user: str, password: str) -> None:
        self._password = password
        self._auth = TqAuth(user, password)
        self.auth_url = str(self._auth._auth_url)
        self._ask(self._auth.login)

    def licence(self) -> Licence:
        """The user's permissions, and when they end.

        Raises:
            LinkLost: TianQin does not answer.
        """
        expires = self._ask(lambda: self._auth.expire_datetime, refusal=LinkLost)
        grants = self._auth._grants
        return Licence(
            frozenset(grants.get("features", ())),
            frozenset(grants.get("accounts", ())),
            str(self._auth._product_type),
            expires.replace(tzinfo=None),
        )

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request; they contain the token."""
        return dict(self._auth._base_headers)

    def market_data_url(self) -> str:
        """The address to which ``TqApi`` would connect.

        Raises:
            LinkLost: TianQin does not answer.
        """
        named = os.environ.get("TQ_MD_URL")
        return named or self._ask(lambda: str(self._auth._get_md_url(True, False)), LinkLost)

    def trading_url(self, broker: str = "", number: str = "") -> str:
        """The address of an account's trading server; without a broker, of the paper account.

        Raises:
            ConfigError: TianQin does not know the broker.
            LinkLost: TianQin does not answer.
        """
        named = os.environ.get("TQ_TD_URL")
        if named:
            return named
        name = broker or TqKq()._broker_id
        return self._ask(lambda: str(self._auth._get_td_url(name, number)[0]), ConfigError)

    def _plain(self, words: str) -> str:
        """A server's words without secrets, in case it quotes the request."""
        return redacted(words, [self._password] if len(self._password) > 3 else [])

    def _ask(self, question: Callable[[], _T], refusal: type[Exception] = LoginRefused) -> _T:
        try:
            with environment(past_proxies({"TQ_AUTH_URL": self.auth_url})):
                return question()
        except requests.RequestException as error:
            raise LinkLost(f"TianQin cannot be reached: {type(error).__name__}") from error
        except (OSError, ValueError, KeyError) as error:  # not the expected JSON
            raise LinkLost(f"{self.auth_url} does not answer like TianQin: {error!r}") from error
        except Exception as error:
            if type(error) is not Exception:  # TqSdk raises a plain Exception for everything else
                raise
            words = self._plain(str(error))
            if out_of_service(error):
                raise LinkLost(not_in_service(words)) from error
            raise refusal(f"TianQin refused: {words}") from error
