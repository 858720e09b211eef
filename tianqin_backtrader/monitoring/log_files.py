"""Rotating log files of JSON lines, without secrets: ``log_to("run.jsonl")``.

There is one line per record: ``{"time": "2026-11-10T09:31:00.123+08:00", "level": "WARNING",
"logger": ..., "message": ...}``, with the traceback as ``"error"`` if there is one, and everything
passed as ``extra``. Times are Beijing time by this machine's clock.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta, timezone
from logging.handlers import RotatingFileHandler
from pathlib import Path

from ..core.redaction import clean
from ..errors import ConfigError

BEIJING = timezone(timedelta(hours=8))
#: The attributes of every record; others were passed as ``extra``.
_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """See the module."""
        at = datetime.fromtimestamp(record.created, BEIJING)
        line: dict[str, object] = {
            "time": at.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": clean(record.getMessage()),
        }
        if record.exc_info:
            line["error"] = clean(self.formatException(record.exc_info))
        for name, value in vars(record).items():
            if name not in _USUAL and name not in line:
                line[name] = value if isinstance(value, int | float) else clean(str(value))
        return json.dumps(line, ensure_ascii=False)


def log_to(
    path: str | Path, level: int | str = logging.INFO, *, megabytes: float = 20, files: int = 10
) -> logging.Handler:
    """Write the log to a file: this library's records and your own.

    If logging is not set up, warnings still go to stderr as well. A second call with the same path
    changes nothing.

    Args:
        path: The newest file; older ones are beside it: ``run.jsonl.1``, ``run.jsonl.2``, ...
        level: The lowest level that is written.
        megabytes: The size at which a file is rotated.
        files: The number of older files that are kept.

    Returns:
        The handler, added to the root logger; ``logging.getLogger().removeHandler`` removes it.

    Raises:
        ConfigError: The file is not writable, or the level is unknown.
    """
    path = Path(path).absolute()
    root = logging.getLogger()
    for known in root.handlers:
        if isinstance(known, RotatingFileHandler) and known.baseFilename == str(path):
            return known
    if not (megabytes > 0 and files >= 1):
        raise ConfigError("megabytes must be above 0, and files at least 1")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(
            path, maxBytes=int(megabytes * 1e6), backupCount=files, encoding="utf-8"
        )
    except OSError as error:
        raise ConfigError(f"the log {path} cannot be written: {error.strerror}") from error
    try:
        handler.setLevel(level)
    except (ValueError, TypeError) as error:
        handler.close()
        raise ConfigError(f"unknown level {level!r}; use DEBUG, INFO, WARNING, ...") from error
    handler.setFormatter(JsonLines())
    if not root.handlers:
        console = logging.StreamHandler()
        console.setLevel(logging.WARNING)
        root.addHandler(console)
    root.addHandler(handler)
    root.setLevel(min(root.level or handler.level, handler.level))
    return handler
