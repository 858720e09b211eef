"""Keeps secrets out of texts and log records.

It imports nothing of tqsdk, so that any module may use it before ``logging_fix`` has repaired the
loggers.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

#: Shorter secrets are not hidden: they could be ordinary words.
_SHORTEST = 4
_hidden: set[str] = set()
_TOKEN = re.compile(r"eyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]+")
#: Marks a pack of TianQin that has a settlement statement; and its text, as JSON, as JSON within a
#: JSON text, or as Python prints a dict.
_STATEMENT = "SETTLEMENT"
_CONTENT = re.compile(
    r"""(\\*["']content\\*["']\s*:\s*)(\\*["'])(?:(?!(?<!\\)\2).)*(?<!\\)\2""", re.DOTALL
)


def redacted(text: str, secrets: Iterable[str]) -> str:
    """Return a text without tokens, settlement statements and the given secrets.

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
    """Make ``clean`` and ``Redact`` remove these secrets from now on."""
    _hidden.update(secret for secret in secrets if secret and len(secret) >= _SHORTEST)


def clean(text: str) -> str:
    """Return a text without tokens, settlement statements and all hidden secrets."""
    return redacted(text, sorted(_hidden, key=len, reverse=True))


class Redact(logging.Filter):
    """Removes hidden secrets from the records of a logger or handler."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean a record; return True."""
        record.msg, record.args = clean(record.getMessage()), ()
        return True
