"""Trading sessions of all products of SHFE, INE, DCE, CZCE, CFFEX and GFEX.

All times are naive Beijing time. A session is the half-open interval [open, close). A night
session belongs to the next trading day: Friday's to Monday's. There is none on the evening before a
public holiday. Call auctions are not trading. A contract trades whenever its product does: this
module does not know when a contract is listed and when it expires.

Sources: exchange notices, collected in ``data/products.csv`` and ``data/holidays.csv``. Hours that
TianQin reports of a contract have priority over them, and the user's (``use_user_sessions``) over
both.

>>> from datetime import datetime
>>> is_trading_now("SHFE.cu2612", datetime(2026, 11, 13, 21, 0))     # a Friday evening
True
>>> trading_day("SHFE.cu2612", datetime(2026, 11, 13, 21, 0))
datetime.date(2026, 11, 16)
>>> next_session_boundary("SHFE.cu2612", datetime(2026, 11, 14, 1, 0))
datetime.datetime(2026, 11, 16, 9, 0)
>>> is_auction("SHFE.cu2612", datetime(2026, 11, 13, 20, 59))
True
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from .calendars.holidays import Holidays, load_holidays
from .calendars.products import EXCHANGES, Product, Steps, did_you_mean, load_products, split_symbol
from .calendars.trading_calendar import SessionCalendar
from .calendars.trading_hours import NIGHT_OPEN, Hours, Interval, Spans
from .calendars.user_sessions import parse_user_sessions
from .errors import ConfigError

__all__ = [
    "CALENDAR",
    "CLASS_SESSIONS",
    "EXCHANGES",
    "NIGHT_OPEN",
    "Holidays",
    "Hours",
    "Interval",
    "Product",
    "SessionCalendar",
    "Spans",
    "is_auction",
    "is_trading_now",
    "is_trading_time",
    "load_holidays",
    "load_products",
    "load_user_sessions",
    "next_session_boundary",
    "resolve_intervals",
    "split_symbol",
    "trading_day",
    "use_user_sessions",
]

#: The calendar in force, used by the functions below and by every store.
CALENDAR = SessionCalendar(load_products(), load_holidays())

is_trading_now = CALENDAR.is_trading_now
is_trading_time = CALENDAR.is_trading_now
is_auction = CALENDAR.is_auction
next_session_boundary = CALENDAR.next_session_boundary
resolve_intervals = CALENDAR.resolve_intervals
trading_day = CALENDAR.trading_day


class _ClassSessions(Mapping[str, tuple[tuple[str, str], ...]]):
    """The calendar's products, each with its latest sessions as texts."""

    def __getitem__(self, key: str) -> tuple[tuple[str, str], ...]:
        hours = CALENDAR.products[key].hours[-1][1]
        return tuple((f"{a:%H:%M}", f"{b:%H:%M}") for a, b in (*hours.day, *hours.night))

    def __iter__(self) -> Iterator[str]:
        return iter(CALENDAR.products)

    def __len__(self) -> int:
        return len(CALENDAR.products)

    def __repr__(self) -> str:
        return repr(dict(self))


#: Sessions by product, (open, close) as texts; the day's first, the night last:
#: ``CLASS_SESSIONS["SHFE.cu"][-1] == ("21:00", "01:00")``. They are those of the latest rules; a
#: close before its open is on the next calendar day.
CLASS_SESSIONS: Mapping[str, tuple[tuple[str, str], ...]] = _ClassSessions()


def load_user_sessions(path: str | Path) -> dict[str, Steps]:
    """Read sessions from a TOML file; ``user_sessions`` shows its format.

    Raises:
        ConfigError: The file does not exist, or its content is invalid.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the sessions in {path} cannot be read: {error}") from error
    sessions = parse_user_sessions(text, str(path))
    for key in sessions.keys() - CALENDAR.products.keys():
        if meant := did_you_mean(key, CALENDAR.products):  # such an entry would have no effect
            raise ConfigError(f"{path}: {key} is not a product; mind the case{meant}")
    return sessions


def use_user_sessions(path: str | Path | None) -> None:
    """Use the hours of a user's file in this process, also in stores that are already open.

    They have priority over the table and over TianQin. Call this before feeds are made: a feed
    plans its bars when it starts. ``None`` removes the user's hours.

    Raises:
        ConfigError: As for ``load_user_sessions``; nothing has changed then.
    """
    CALENDAR.use_hours({} if path is None else load_user_sessions(path))
