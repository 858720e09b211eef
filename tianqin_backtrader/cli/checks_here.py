"""The checks of ``doctor`` on this machine."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from .. import __version__
from ..errors import ConfigError
from .findings import Finding, bad, good, warning

if TYPE_CHECKING:
    from ..config.settings import Settings

#: The oldest Python that the library runs on, and the TqSdk that it is tested with.
OLDEST_PYTHON, TESTED_TQSDK = (3, 11), "3.10"
#: The bytes of a trial write.
_TRIAL = bytes(1 << 16)
_GB = 1e9


def versions() -> Finding:
    """The versions of Python and of the important packages."""
    python = ".".join(map(str, sys.version_info[:3]))
    try:
        tqsdk, backtrader = version("tqsdk"), version("backtrader")
    except PackageNotFoundError as error:
        advice = f"install it: pip install {error.name}"
        return bad("versions", f"{error.name} is not installed", advice)
    text = f"tianqin_backtrader {__version__}, Python {python}, tqsdk {tqsdk}"
    text += f", backtrader {backtrader}"
    if sys.version_info[:2] < OLDEST_PYTHON:
        return bad("versions", text, "use Python 3.11 or newer")
    if not tqsdk.startswith(f"{TESTED_TQSDK}."):
        advice = f"tested with tqsdk {TESTED_TQSDK}: pip install 'tqsdk=={TESTED_TQSDK}.*'"
        return warning("versions", text, advice)
    return good("versions", text)


def configuration(settings: Settings) -> Iterator[Finding]:
    """The configuration file and what it refers to."""
    where = f"{settings.path}" if settings.path else "no file; environment and defaults are used"
    yield good("configuration", where)
    if settings.sessions.file:
        try:
            settings.use_sessions()
            yield good("sessions", f"{settings.sessions.file} is used")
        except ConfigError as error:
            yield bad("sessions", str(error), "correct the file, or remove [sessions]")
    if settings.alerts.urls:
        try:
            settings.alerts_expanded()
            yield good("alerts", f"{len(settings.alerts.urls)} addresses")
        except ConfigError as error:
            yield bad("alerts", str(error), "set the variable in the environment of the program")


def records(folder: Path, min_free_gb: float) -> Finding:
    """Whether records can be written, and the free disk space."""
    there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    where = str(folder) if there == folder.absolute() else f"{folder} (to be created in {there})"
    try:
        with tempfile.TemporaryFile(dir=there) as trial:
            trial.write(_TRIAL)
            trial.flush()
            os.fsync(trial.fileno())
        free = shutil.disk_usage(there).free / _GB
    except OSError as error:
        return bad(
            "records",
            f"{where} is not writable: {error.strerror or error}",
            "free disk space, change the permissions or choose another folder ([records] folder, "
            "--records); orders are not sent if they cannot be recorded",
        )
    text = f"{where} is writable, {free:.1f} GB free"
    if free < min_free_gb:
        advice = f"free disk space: less than {min_free_gb:g} GB ([records] min_free_gb) is free"
        return bad("records", text, advice)
    return good("records", text)


def calendar(now: datetime) -> Finding:
    """How far the holidays are known, from the table and from TianQin."""
    from ..session_calendar import CALENDAR

    last = CALENDAR.holidays.last_year
    text = f"holidays are known until the end of {last}"
    advice = (
        f"orders for days of {last + 1} are refused until TianQin or a new version of "
        "tianqin_backtrader has its holidays: connect, or upgrade"
    )
    if now.year > last:
        return bad("calendar", text, advice)
    if (now.year, now.month) == (last, 12):
        return warning("calendar", text, advice)
    return good("calendar", text)


def limits(settings: Settings) -> Finding:
    """For live: whether limits are set."""
    if settings.risk is None:
        advice = "set max_position and max_daily_loss in [risk]"
        return warning("risk limits", "none: nothing stops a faulty strategy", advice)
    names = [name for name in settings.risk.__slots__ if getattr(settings.risk, name) is not None]
    return good("risk limits", ", ".join(f"{one} {getattr(settings.risk, one)}" for one in names))
