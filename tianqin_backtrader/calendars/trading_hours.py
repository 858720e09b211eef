"""Hours of trading: a day's sessions and those of the night before it, without dates.

>>> hours = Hours(parse_spans("09:00-11:30;13:30-15:00"), parse_spans("21:00-25:00"))
>>> str(hours)
'09:00-11:30 13:30-15:00, night 21:00-01:00'
>>> hours == Hours.of_trading_time({
...     "day": [["09:00:00", "11:30:00"], ["13:30:00", "15:00:00"]],
...     "night": [["21:00:00", "25:00:00"]],
... })
True
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import TypeVar

from ..errors import CalendarError

_T = TypeVar("_T")
Interval = tuple[datetime, datetime]
Spans = tuple[tuple[time, time], ...]

NIGHT_OPEN = time(21, 0)
#: From this time on an instant outside sessions belongs to the trading day of the next date.
NEXT_DAY_FROM = time(18, 0)
ONE_DAY = timedelta(days=1)

# TianQin continues the hours of a night past 24; no session lasts for two nights.
_TIME = re.compile(r"([0-3]?\d):([0-5]\d)(?::([0-5]\d))?")


@dataclass(frozen=True, slots=True)
class Hours:
    """The sessions of one trading day.

    Attributes:
        day: (open, close) of the sessions on its date, in order of time.
        night: The same for the evening before; a close that is not later than its open is on
            the next date.

    Raises:
        CalendarError: A session is empty, overlaps the one before, or is on the wrong side of
            18:00, where the trading day changes.
    """

    day: Spans
    night: Spans = ()

    def __post_init__(self) -> None:
        for opens, closes in self.night:
            if opens < NEXT_DAY_FROM:
                raise CalendarError(f"the night {opens:%H:%M}-{closes:%H:%M} opens before 18:00")
        for opens, closes in self.day:
            if not opens < closes <= NEXT_DAY_FROM:
                raise CalendarError(
                    f"the session {opens:%H:%M}-{closes:%H:%M} must end after it begins, and by "
                    "18:00; later sessions belong to night"
                )
        some_day = date(2000, 1, 2)
        sessions = self.on(some_day, some_day - ONE_DAY)
        for (_, before), (after, _) in pairwise(sessions):
            if after < before:
                raise CalendarError(f"sessions overlap, or are out of order: {self}")

    @classmethod
    def of_trading_time(
        cls, trading_time: Mapping[str, Sequence[Sequence[str]] | None] | None
    ) -> Hours | None:
        """Parse TianQin's ``trading_time``; ``None`` if it is empty, as for main contracts.

        Args:
            trading_time: ``{"day": [["09:00:00", "10:15:00"], ...], "night": [["21:00:00",
                "25:00:00"]]}``; an empty, missing or null night means no night session.

        Raises:
            CalendarError: It cannot be parsed.
        """
        if not trading_time or not trading_time.get("day"):
            return None
        try:
            day, night = (
                tuple((parse_time(opens), parse_time(closes)) for opens, closes in part or ())
                for part in (trading_time["day"], trading_time.get("night"))
            )
        except (TypeError, ValueError) as error:
            raise CalendarError(f"trading_time {trading_time!r} cannot be read: {error}") from error
        return cls(day, night)

    def on(self, day: date, evening: date | None) -> tuple[Interval, ...]:
        """The sessions with dates, in order of time.

        Args:
            day: The trading day.
            evening: The date on which its night session begins; ``None`` if it has none.
        """
        found: list[Interval] = []
        for opens, closes in self.night if evening is not None else ():
            assert evening is not None
            end = evening if closes > opens else evening + ONE_DAY
            found.append((datetime.combine(evening, opens), datetime.combine(end, closes)))
        for opens, closes in self.day:
            found.append((datetime.combine(day, opens), datetime.combine(day, closes)))
        return tuple(found)

    def __str__(self) -> str:
        day, night = (
            " ".join(f"{opens:%H:%M}-{closes:%H:%M}" for opens, closes in part)
            for part in (self.day, self.night)
        )
        return f"{day}, night {night}" if night else f"{day}, no night"


def parse_time(text: str) -> time:
    """Parse ``"HH:MM"`` or ``"HH:MM:SS"``; hours past 24 are those of the next date.

    Raises:
        CalendarError: The text does not have this form.

    >>> parse_time("26:30:00")
    datetime.time(2, 30)
    """
    match = _TIME.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise CalendarError(f"{text!r} is not a time; expected HH:MM, for example 21:00")
    return time(int(match[1]) % 24, int(match[2]), int(match[3] or 0))


def parse_spans(texts: str | Iterable[str]) -> Spans:
    """Parse ``"09:00-10:15;10:30-11:30"``, or its parts, to (open, close) pairs.

    Raises:
        CalendarError: A part is not ``HH:MM-HH:MM``.
    """
    spans = []
    for text in texts.split(";") if isinstance(texts, str) else texts:
        parts = text.split("-") if isinstance(text, str) else []
        if len(parts) != 2:
            raise CalendarError(f"{text!r} is not a session; expected HH:MM-HH:MM")
        spans.append((parse_time(parts[0].strip()), parse_time(parts[1].strip())))
    return tuple(spans)


def in_force(history: Sequence[tuple[date, _T]], day: date) -> _T:
    """The entry valid on a trading day, from entries (valid from, value) in ascending order."""
    return history[bisect_right(history, day, key=lambda step: step[0]) - 1][1]
