"""Asks whether websocket servers take connections and speak, without holding anything up.

One that takes connections and is silent would hold up a new session for a minute, and with it the
trading of the old one. So would a login server, which is asked as soon as the others are there.
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence

import certifi
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from .clock import wait_for

logger = logging.getLogger(__name__)

#: What every TianQin server answers, logged in or not.
_PEEK = '{"aid": "peek_message"}'


class Knock:
    """One attempt to connect to all addresses, begun at once and thrown away when it is made.

    It runs in a thread of its own, which touches nothing but its answer.

    Args:
        urls: ``ws://`` or ``wss://`` addresses; others are taken for there.
        headers: Those of the client itself.
        patience: Seconds that a server may take to let us in, and those to answer.
        log_in: What is done next, when all are there; gives the addresses of the next session,
            which may be others.
    """

    def __init__(
        self,
        urls: Sequence[str],
        headers: Mapping[str, str],
        patience: float,
        log_in: Callable[[], Sequence[str]] = lambda: (),
    ) -> None:
        self._urls, self._log_in = list(urls), log_in
        self._headers, self._patience = dict(headers), patience
        self._answer: bool | None = None
        self._done = threading.Event()
        threading.Thread(target=self._ask, name="knock", daemon=True).start()

    def answer(self, timeout: float = 0.0) -> bool | None:
        """True: all are there; False: one is not; None: not known after ``timeout`` seconds.

        True says nothing of the login, but that it has been tried.
        """
        wait_for(self._done, timeout)
        return self._answer

    def _ask(self) -> None:
        there = False
        try:
            for url in self._urls:
                self._peek(url)
            for url in self._log_in():
                if url not in self._urls:
                    self._peek(url)
            there = True
        except (OSError, WebSocketException) as error:  # a TimeoutError is an OSError
            logger.debug("the server is away: %s", error)
        except Exception:  # the end of this thread: without an answer nobody would knock again
            logger.exception("the server cannot be knocked at")
        finally:
            self._answer = there
            self._done.set()

    def _peek(self, url: str) -> None:
        if not url.startswith(("ws://", "wss://")):
            return
        with connect(
            url,
            additional_headers=self._headers,
            user_agent_header=None,
            ssl=certificates() if url.startswith("wss") else None,
            open_timeout=self._patience,
            close_timeout=self._patience,
            proxy=None if "://127.0.0.1" in url else True,
        ) as line:
            line.send(_PEEK)
            line.recv(timeout=self._patience)


def certificates() -> ssl.SSLContext:
    """The same as the client's: the machine's and those that come with certifi."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
