"""Requests over HTTP, each with an end to its wait."""

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
    """What a server has said.

    Attributes:
        status: HTTP's; 200 of a file.
        body: Bytes as they came.
        headers: By name, whatever its case.
    """

    status: int
    body: bytes
    headers: Mapping[str, str]


def is_here(url: str) -> bool:
    """Whether an address is on this machine."""
    return urlsplit(url).hostname in _ON_THIS_MACHINE


def ask(method: str, url: str, *, seconds: float, json: Json = None) -> Answer:
    """Ask once; a refusal is an answer, too. A proxy of the environment gets no request to here.

    Args:
        method: ``"GET"``, ``"POST"``, ``"HEAD"``, ...
        url: ``http``, ``https``, or ``file`` to read a copy.
        seconds: Until the connection is made, and between two pieces of the answer.
        json: Sent as the body.

    Raises:
        OSError: There is no answer, or no such file.
        ValueError: It is no such address.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Answer(200, Path(url2pathname(parts.path)).read_bytes(), {})
    with requests.Session() as session:
        session.trust_env = not is_here(url)
        answer = session.request(method, url, json=json, timeout=seconds)
        return Answer(answer.status_code, answer.content, answer.headers)


def fetch(url: str, *, seconds: float) -> bytes:
    """What is there.

    Raises:
        OSError: There is no answer, a refusal, or no such file.
        ValueError: It is no such address.
    """
    answer = ask("GET", url, seconds=seconds)
    if answer.status >= 400:
        raise OSError(f"HTTP Error {answer.status}")
    return answer.body
