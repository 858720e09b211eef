"""Keeps secrets out of texts and log records.

It imports nothing of tqsdk, so that any module may use it before ``logging_fix`` has put the
loggers in order.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

#: Shorter ones are words that must be readable.
_SHORTEST = 4
_hidden: set[str] = set()
_TOKEN = re.compile(r"eyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]+")
#: Marks a pack of TianQin's that holds a settlement statement; and the text in it, as JSON, as
#: JSON in a text of JSON, or as Python shows a dict.
_STATEMENT = "SETTLEMENT"
_CONTENT = re.compile(
    r"""(\\*["']content\\*["']\s*:\s*)(\\*["'])(?:(?!(?<!\\)\2).)*(?<!\\)\2""", re.DOTALL
)


def redacted(text: str, secrets: Iterable[str]) -> str:
    """A text without tokens, settlement statements and the given secrets.

    >>> redacted("Bearer eyJhbGciOi.eyJzdWIiOi.c2ln of tom:pass", ["pass"])
    'Bearer *** of tom:***'
    """
    text = _TOKEN.sub("***", text)
    if _STATEMENT in text:
        text = _CONTENT.sub(r"\1\2***\2", text)
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def hide(*secrets: str) -> None:
    """Keep secrets out of everything that ``clean`` and ``Redact`` see, from now on."""
    _hidden.update(secret for secret in secrets if secret and len(secret) >= _SHORTEST)


def clean(text: str) -> str:
    """A text without tokens and all that was ever hidden, the longest first."""
    return redacted(text, sorted(_hidden, key=len, reverse=True))


class Redact(logging.Filter):
    """Takes hidden secrets out of the records of a logger or handler."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Every record passes."""
        record.msg, record.args = clean(record.getMessage()), ()
        return True
