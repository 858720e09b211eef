"""HTTP requests, each with a time-out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

import requests

from .json_values import Json

_ON_THIS_MACHINE = frozenset({"127.0.0.1", "::1", "localhost"})


class Answer(NamedTuple):
    """A server's answer.

    Attributes:
        status: The HTTP status; 200 for a file.
        body: The bytes as they came.
        headers: By name, in any case.
    """

    status: int
    body: bytes
    headers: Mapping[str, str]


def is_here(url: str) -> bool:
    """Whether an address is on this machine."""
    return urlsplit(url).hostname in _ON_THIS_MACHINE


def ask(method: str, url: str, *, seconds: float, json: Json = None) -> Answer:
    """Send one request; an HTTP error is an answer, too. No proxy is used for this machine.

    Args:
        method: ``"GET"``, ``"POST"``, ``"HEAD"``, ...
        url: ``http``, ``https``, or ``file`` to read a copy.
        seconds: Time-out of the connection, and of each wait for data.
        json: Sent as the body.

    Raises:
        OSError: There is no answer, or no such file.
        ValueError: The address is invalid.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Answer(200, Path(url2pathname(parts.path)).read_bytes(), {})
    with requests.Session() as session:
        session.trust_env = not is_here(url)
        answer = session.request(method, url, json=json, timeout=seconds)
        return Answer(answer.status_code, answer.content, answer.headers)


def fetch(url: str, *, seconds: float) -> bytes:
    """Return the content of an address.

    Raises:
        OSError: There is no answer, an HTTP error, or no such file.
        ValueError: The address is invalid.
    """
    answer = ask("GET", url, seconds=seconds)
    if answer.status >= 400:
        raise OSError(f"HTTP Error {answer.status}")
    return answer.body
