"""Log files of JSON lines that rotate, without secrets: ``log_to("run.jsonl")``.

One line a record: ``{"time": "2026-11-10T09:31:00.123+08:00", "level": "WARNING", "logger": ...,
"message": ...}``, with ``"error"``, the traceback, where there is one, and what was passed as
``extra``. Times are Beijing time of this machine's clock.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta, timezone
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from ..core.redaction import clean
from ..errors import ConfigError

BEIJING = timezone(timedelta(hours=8))
#: What every record has; the rest was passed as ``extra``.
_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """As described above."""
        at = datetime.fromtimestamp(record.created, BEIJING)
        line: dict[str, Any] = {
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
    """Write what the program logs to a file, this library's records and your own.

    Where nobody has set up logging, warnings still go to stderr as well. The same path again
    changes nothing.

    Args:
        path: The newest file; older ones are beside it: ``run.jsonl.1``, ``run.jsonl.2``, ...
        level: What is below is not written.
        megabytes: A file's size, at which it is put aside.
        files: How many older ones are kept.

    Returns:
        The handler, on the root logger: ``logging.getLogger().removeHandler`` ends it.

    Raises:
        ConfigError: The file cannot be written, or there is no such level.
    """
    path = Path(path).absolute()
    root = logging.getLogger()
    for known in root.handlers:
        if isinstance(known, RotatingFileHandler) and known.baseFilename == str(path):
            return known
    if not (megabytes > 0 and files >= 1):
        raise ConfigError("a log has files of more than 0 megabytes, and keeps at least one")
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
        raise ConfigError(f"no log level {level!r}; there are DEBUG, INFO, WARNING, ...") from error
    handler.setFormatter(JsonLines())
    if not root.handlers:
        console = logging.StreamHandler()
        console.setLevel(logging.WARNING)
        root.addHandler(console)
    root.addHandler(handler)
    root.setLevel(min(root.level or handler.level, handler.level))
    return handler
