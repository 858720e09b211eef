"""Requests to a server that a client would also send, with a short timeout."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import connect

from ..core.clock import SECOND, WallClock, monotonic
from ..core.http import ask, is_here
from ..errors import LinkError, LinkLost, LinkTimeout
from ..gateway.probe import certificates

#: Seconds for a connection, and for the first pack.
PATIENCE = 5.0
_PEEK = '{"aid": "peek_message"}'


class Refused(LinkError):
    """The server is reachable but refuses the connection."""


def first_word(url: str, headers: Mapping[str, str]) -> float:
    """Connect to a TianQin websocket and wait for its first pack; returns the seconds taken.

    Raises:
        Refused: The server refuses the connection, with an HTTP status.
        LinkLost: The server cannot be reached.
        LinkTimeout: The server accepts the connection and sends nothing.
    """
    logging.getLogger("websockets").setLevel(logging.INFO)  # below INFO it logs the token
    begun = monotonic()
    try:
        with connect(
            url,
            additional_headers=dict(headers),
            user_agent_header=None,
            ssl=certificates() if url.startswith("wss") else None,
            open_timeout=PATIENCE,
            close_timeout=0.1,
            proxy=None if is_here(url) else True,
        ) as line:
            line.send(_PEEK)
            try:
                line.recv(PATIENCE)
            except TimeoutError:
                raise LinkTimeout(
                    f"accepts the connection, then sends nothing for {PATIENCE:g} s"
                ) from None
            return monotonic() - begun
    except InvalidStatus as error:
        raise Refused(f"refuses the connection: HTTP {error.response.status_code}") from error
    except ssl.SSLError as error:
        raise LinkLost(f"cannot be trusted: {error.reason}") from error
    except TimeoutError as error:
        raise LinkLost(f"does not answer within {PATIENCE:g} s") from error
    except (OSError, WebSocketException) as error:
        words = getattr(error, "strerror", None) or error
        raise LinkLost(f"cannot be reached: {words}") from error


def clock_offset(url: str) -> tuple[float, float]:
    """(seconds by which a server's clock is ahead of this machine's, uncertainty plus or minus).

    The server dates its answers to the second.

    Raises:
        LinkLost: There was no answer, or one without a date.
    """
    before = WallClock().now_ns()
    try:
        headers = ask("HEAD", url, seconds=PATIENCE).headers
    except (OSError, ValueError) as error:
        raise LinkLost(f"{url} does not answer: {error}") from error
    after = WallClock().now_ns()
    try:
        stamp = parsedate_to_datetime(headers["Date"]).timestamp()
    except (TypeError, ValueError) as error:
        raise LinkLost(f"{url} does not date its answers") from error
    middle, half_way = (before + after) / 2 / SECOND, (after - before) / 2 / SECOND
    return stamp + 0.5 - middle, 0.5 + half_way
