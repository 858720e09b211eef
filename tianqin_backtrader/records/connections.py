"""Connections to SQLite files, for one thread after the other."""

from __future__ import annotations

import sqlite3
from pathlib import Path


def connect(path: Path | str, *, timeout: float = 5.0, uri: bool = False) -> sqlite3.Connection:
    """Open a file, each statement a transaction of its own.

    A run of Cerebro may have a thread of its own while the store is closed in another: they take
    turns, so SQLite need not insist on one thread.

    Args:
        path: The file, or its URI.
        timeout: Seconds to wait for a lock.
        uri: Whether it is a URI.
    """
    return sqlite3.connect(
        path, timeout=timeout, isolation_level=None, check_same_thread=False, uri=uri
    )
