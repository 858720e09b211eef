"""Asks whether websocket servers take connections and speak, without holding anything up.

One that takes connections and is silent would hold up a new session for a minute, and with it the
trading of the old one. So would a login server, which is asked as soon as the others are there.
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

#: What every TianQin server answers, logged in or not.
_PEEK = '{"aid": "peek_message"}'
#: Answers to a token that is not good any more: the server is there, and a login comes next.
_OLD_TOKEN = frozenset({401, 403})
#: After so many probes in a row that came to nothing the old session's addresses may be no more.
IN_VAIN = 2
#: Seconds in which a login is good for the next probe, too.
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
    """One attempt to connect to all addresses, begun at once and thrown away when it is made.

    It runs in a thread of its own, which touches nothing but its answer.

    Args:
        urls: ``ws://`` or ``wss://`` addresses; others are taken for there.
        headers: Those of the client itself; a server that does not let them in is there.
        patience: Seconds that a server may take to let us in, and those to answer.
        login: What is asked next, when all are there; gives the addresses of the next session,
            which may be others. They must let its headers in.
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
        """True: all are there; False: one is not; None: not known after ``timeout`` seconds.

        True says nothing of the login, but that it has been tried.
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
            logger.debug("the server is away: %s", error)
        except Exception:  # the end of this thread: without an answer nobody would probe again
            logger.exception("the server cannot be probed")
        finally:
            self._answer = there
            self._done.set()

    def _let_in(self, url: str) -> bool:
        """Whether a server that is there takes the old session's token."""
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
    """Probes for one session after the other.

    The addresses and the token of the old session may be no more, and then nobody answers: after
    some probes in vain the login comes first. It is asked again after a while only.

    Args:
        new_login: Makes one that has not been asked.

    Attributes:
        login: That of the newest probe; None once a session has been made with it.
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
        """The next one; all as of ``ServerProbe``."""
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
    """The same as the client's: the machine's and those that come with certifi."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
