"""Repairs the standard library's logging, and keeps secrets out of it.

Importing TqSdk (through ``shinny_structlog``) replaces the root logger: later records reach no
handler of ``logging.basicConfig``. It also replaces the class of all new loggers by one that hides
a record's ``extra``.
"""

from __future__ import annotations

import asyncio.log
import logging
import sys

from ..core.redaction import redacted as redacted


def restore_logging() -> None:
    """Make loggers those of the standard library again, except TqSdk's; may be called twice.

    asyncio's logger is older than any import of TqSdk, so its manager is the original one.
    """
    manager = asyncio.log.logger.manager
    if logging.Logger.manager is manager:
        return
    logging.setLoggerClass(logging.Logger)
    manager.loggerClass = _make_logger  # type: ignore[assignment]
    for name, known in manager.loggerDict.items():
        if _is_tqsdks(name) and isinstance(known, logging.Logger):
            known.__class__ = _tqsdks_class()  # a logger that existed before the import

    def get_logger(name: str | None = None) -> logging.Logger:
        return manager.getLogger(name) if name and name != manager.root.name else manager.root

    logging.Logger.manager = manager
    logging.Logger.root = manager.root
    logging.getLogger = get_logger


def _tqsdks_class() -> type[logging.Logger]:
    found: type[logging.Logger] = sys.modules["shinny_structlog"].ShinnyLogger
    return found


def _is_tqsdks(name: str) -> bool:
    return name.partition(".")[0] == "TqApi"


def _make_logger(name: str) -> logging.Logger:
    """Make TqSdk's loggers with its own class, because they log with keywords of that class."""
    make = _tqsdks_class() if _is_tqsdks(name) else logging.Logger
    logger: logging.Logger = make(name)
    return logger
