"""Asks whether a websocket server takes connections and speaks, without holding anything up.

One that takes connections and is silent would hold up a new session for a minute, and with it the
trading of the old one.
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Mapping, Sequence

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
    """

    def __init__(self, urls: Sequence[str], headers: Mapping[str, str], patience: float) -> None:
        self._urls = [url for url in urls if url.startswith(("ws://", "wss://"))]
        self._headers, self._patience = dict(headers), patience
        self._answer: bool | None = None
        self._done = threading.Event()
        threading.Thread(target=self._ask, name="knock", daemon=True).start()

    def answer(self, timeout: float = 0.0) -> bool | None:
        """True: all are there; False: one is not; None: not known after ``timeout`` seconds."""
        wait_for(self._done, timeout)
        return self._answer

    def _ask(self) -> None:
        there = False
        try:
            for url in self._urls:
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
            there = True
        except (OSError, WebSocketException) as error:  # a TimeoutError is an OSError
            logger.debug("the server is away: %s", error)
        except Exception:  # the end of this thread: without an answer nobody would knock again
            logger.exception("the server cannot be knocked at")
        finally:
            self._answer = there
            self._done.set()


def certificates() -> ssl.SSLContext:
    """The same as the client's: the machine's and those that come with certifi."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
