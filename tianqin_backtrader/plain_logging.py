"""Puts the standard library's logging back in order, and keeps secrets out of it.

Importing tqsdk (through ``shinny_structlog``) replaces the root of all loggers: what is logged
afterwards reaches no handler that ``logging.basicConfig`` has made, before or later.
"""

from __future__ import annotations

import asyncio.log
import logging
import re
from collections.abc import Iterable

_TOKEN = re.compile(r"eyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]+")


def restore_logging() -> None:
    """Make loggers those of the standard library again; does nothing where they are.

    asyncio's logger is older than any import of tqsdk, so its manager is the original one.
    """
    manager = asyncio.log.logger.manager
    if logging.Logger.manager is manager:
        return

    def get_logger(name: str | None = None) -> logging.Logger:
        return manager.getLogger(name) if name and name != manager.root.name else manager.root

    logging.Logger.manager = manager
    logging.Logger.root = manager.root
    logging.getLogger = get_logger


def redacted(text: str, secrets: Iterable[str]) -> str:
    """A text without tokens and the given secrets.

    >>> redacted("Bearer eyJhbGciOi.eyJzdWIiOi.c2ln of tom:pass", ["pass"])
    'Bearer *** of tom:***'
    """
    text = _TOKEN.sub("***", text)
    for secret in secrets:
        text = text.replace(secret, "***")
    return text
