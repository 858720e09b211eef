"""Probes whether websocket servers accept connections and answer, in the background.

A server that accepts connections but is silent would block a new session for a minute, and with it
trading. So would a slow login server; it is asked as soon as the other servers have answered.
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

import certifi
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import connect

from ..core.clock import monotonic, wait_for

logger = logging.getLogger(__name__)

#: A request that every TianQin server answers, logged in or not.
_PEEK = '{"aid": "peek_message"}'
#: Answers to an expired token: the server is reachable, and a login comes next.
_OLD_TOKEN = frozenset({401, 403})
#: After this many failed probes in a row the addresses of the old session may be outdated.
IN_VAIN = 2
#: Seconds for which a login can be used by the next probe, too.
LOGIN_AGAIN = 30.0


class NextLogin(Protocol):
    """The login of the next session."""

    @property
    def asked(self) -> bool: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    def ask(self) -> Sequence[str]: ...


_L = TypeVar("_L", bound=NextLogin)


class ServerProbe:
    """One attempt to connect to all addresses; connections are closed once they answer.

    It runs in a thread of its own, which touches nothing but its result.

    Args:
        urls: ``ws://`` or ``wss://`` addresses; others count as reachable.
        headers: Those of the client; a server that refuses them is reachable.
        patience: Seconds in which a server must accept, and again in which it must answer.
        login: Asked next if all servers answer; returns the addresses of the next session, which
            may differ. Their servers must accept its headers.
    """

    def __init__(
        self,
        urls: Sequence[str],
        headers: Mapping[str, str],
        patience: float,
        login: NextLogin | None = None,
    ) -> None:
        self._urls, self._login = list(urls), login
        self._headers, self._patience = dict(headers), patience
        self._answer: bool | None = None
        self._done = threading.Event()
        threading.Thread(target=self._ask, name="probe", daemon=True).start()

    def answer(self, timeout: float = 0.0) -> bool | None:
        """True: all servers answer; False: one does not; None: unknown after ``timeout`` seconds.

        True says nothing about the login, except that it has been tried.
        """
        wait_for(self._done, timeout)
        return self._answer

    def _ask(self) -> None:
        there = False
        try:
            heard = [url for url in self._urls if self._let_in(url)]
            if self._login is not None:
                for url in self._login.ask():
                    if url not in heard:
                        self._peek(url, self._login.headers)
            there = True
        except (OSError, WebSocketException) as error:  # a TimeoutError is an OSError
            logger.debug("the server is unreachable: %s", error)
        except Exception:  # without a result there would be no further probe
            logger.exception("the server cannot be probed")
        finally:
            self._answer = there
            self._done.set()

    def _let_in(self, url: str) -> bool:
        """Whether a reachable server accepts the old session's token."""
        try:
            self._peek(url, self._headers)
        except InvalidStatus as error:
            if error.response.status_code not in _OLD_TOKEN:
                raise
            return False
        return True

    def _peek(self, url: str, headers: Mapping[str, str]) -> None:
        if not url.startswith(("ws://", "wss://")):
            return
        with connect(
            url,
            additional_headers=headers,
            user_agent_header=None,
            ssl=certificates() if url.startswith("wss") else None,
            open_timeout=self._patience,
            close_timeout=self._patience,
            proxy=None if "://127.0.0.1" in url else True,
        ) as line:
            line.send(_PEEK)
            line.recv(timeout=self._patience)


class ServerProbes(Generic[_L]):
    """Probes for successive sessions.

    Addresses and token of the old session may be outdated, and then no server answers: after some
    failed probes the login is asked first. It is asked again only after a while.

    Args:
        new_login: Creates a login that has not been asked.

    Attributes:
        login: That of the newest probe; None once a session has used it.
    """

    def __init__(self, new_login: Callable[[], _L]) -> None:
        self._new_login = new_login
        self.login: _L | None = None
        self._made_at = 0.0
        self._last: ServerProbe | None = None
        self._in_vain = 0

    def probe(
        self, urls: Sequence[str], headers: Mapping[str, str], patience: float
    ) -> ServerProbe:
        """Start the next probe; arguments as for ``ServerProbe``."""
        answer = self._last.answer() if self._last is not None else None
        if answer is not None:
            self._in_vain = 0 if answer else self._in_vain + 1
        login_first, now = self._in_vain >= IN_VAIN, monotonic()
        login = self.login
        good = login is not None and login.asked and now - self._made_at < LOGIN_AGAIN
        if login is None or not (login_first and good):
            login, self._made_at = self._new_login(), now
        self.login = login
        self._last = ServerProbe(() if login_first else urls, headers, patience, login)
        return self._last


def certificates() -> ssl.SSLContext:
    """The client's certificates: the machine's and certifi's."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
