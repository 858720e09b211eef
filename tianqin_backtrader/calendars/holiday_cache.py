"""TianQin's list of closed days: fetched from time to time, kept on disk.

    calendar.learn_holidays(tianqin_holidays(today))

A copy is renewed each year and, from November on, when the next year is announced, each week until
that year is in it. Without a connection the copy is used, and without a copy the packaged table. A
copy belongs to the address it came from: the holidays of a local exchange are not taken for
TianQin's.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

from ..core.http import fetch
from ..errors import CalendarError, ConfigError, LinkError
from .holidays import announced_years, parse_dates

logger = logging.getLogger(__name__)

_URL = "https://files.shinnytech.com/shinny_chinese_holiday.json"
_NOVEMBER = 11
_WEEK = 7


@dataclass(frozen=True, slots=True)
class HolidayCopy:
    """A list as it was fetched.

    Attributes:
        source: The address it came from.
        fetched: The Beijing date on which it was fetched.
        dates: The closed days, ascending.
    """

    source: str
    fetched: date
    dates: tuple[date, ...]

    def is_stale(self, today: date) -> bool:
        """Whether there may be a newer list."""
        known = max(announced_years(self.dates), default=0)
        if self.fetched.year != today.year or known < today.year:
            return True
        waiting = today.month >= _NOVEMBER and known == today.year
        return waiting and (today - self.fetched).days >= _WEEK


def tianqin_holidays(
    today: date, *, url: str | None = None, path: Path | None = None, seconds: float = 10.0
) -> tuple[date, ...]:
    """TianQin's list of closed days, from the copy on disk if that is recent.

    Failures are warnings in the log, not errors: the packaged table remains.

    Args:
        today: Beijing date.
        url: The address; by default TqSdk's, which ``TQ_CHINESE_HOLIDAY_URL`` replaces.
        path: The copy; by default ``default_path()``.
        seconds: How long to wait for an answer.

    Returns:
        The closed days, ascending; empty if there is neither an answer nor a copy.

    Raises:
        ConfigError: ``url`` is not an http address.
    """
    url = holiday_url() if url is None else url
    path = default_path() if path is None else path
    copy = read_copy(path)
    if copy is not None and copy.source != url:
        copy = None
    if copy is not None and not copy.is_stale(today):
        return copy.dates
    try:
        dates = fetch_holidays(url, seconds=seconds)
    except (LinkError, CalendarError) as error:
        known = "the packaged table" if copy is None else f"the copy of {copy.fetched}"
        logger.warning("using the holidays of %s: %s", known, error)
        return () if copy is None else copy.dates
    try:
        write_copy(path, HolidayCopy(url, today, dates))
    except OSError as error:
        logger.warning("TianQin's holidays cannot be saved in %s: %s", path, error)
    return dates


def holiday_url() -> str:
    """The address from which TqSdk fetches the list."""
    return os.environ.get("TQ_CHINESE_HOLIDAY_URL") or _URL


def default_path() -> Path:
    """The copy in the user's cache directory: ``$XDG_CACHE_HOME``, else ``~/.cache``."""
    root = os.environ.get("XDG_CACHE_HOME")
    folder = Path(root) if root else Path.home() / ".cache"
    return folder / "tianqin_backtrader" / "holidays.json"


def fetch_holidays(url: str, *, seconds: float = 10.0) -> tuple[date, ...]:
    """Fetch TianQin's list.

    Raises:
        ConfigError: ``url`` is not an http address.
        LinkError: There was no answer, or a refusal.
        CalendarError: The answer is not a list of dates.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise ConfigError(f"{url!r} is not an http address; see TQ_CHINESE_HOLIDAY_URL")
    try:
        text = fetch(url, seconds=seconds)
    except (OSError, ValueError) as error:
        raise LinkError(f"{url} did not return the holidays: {error}") from error
    return _parse(url, text)


def read_copy(path: Path) -> HolidayCopy | None:
    """The copy on disk; ``None`` if there is none, or (with a warning) if it is damaged."""
    try:
        kept = json.loads(path.read_bytes())
        dates = parse_dates(kept["dates"])
        copy = HolidayCopy(str(kept["source"]), date.fromisoformat(kept["fetched"]), dates)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s is damaged and ignored: %r", path, error)
        return None
    if not dates:
        logger.warning("%s is damaged and ignored: it has no dates", path)
        return None
    return copy


def write_copy(path: Path, copy: HolidayCopy) -> None:
    """Write a list atomically: readers see the old file or the new one.

    Raises:
        OSError: The directory is not writable.
    """
    text = json.dumps(
        {
            "source": copy.source,
            "fetched": copy.fetched.isoformat(),
            "dates": [day.isoformat() for day in copy.dates],
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=path.name, delete=False
    ) as file:
        file.write(text)
    try:
        os.replace(file.name, path)
    except OSError:
        os.unlink(file.name)
        raise


def _parse(url: str, text: bytes) -> tuple[date, ...]:
    try:
        listed = json.loads(text)
    except ValueError as error:
        raise CalendarError(f"{url} did not return a JSON list of holidays: {error}") from error
    dates = parse_dates(listed) if isinstance(listed, list) else ()
    if not dates:
        raise CalendarError(f"{url} did not return a list of holidays: {listed!r:.80}")
    return dates
