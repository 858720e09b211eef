"""The contents of a recording: kinds of rows, columns, recorded and missing ids.

Rows are tuples: the id, then the columns with TqSdk's names. This module opens no file and sends no
request.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime

from ..core.clock import HOUR, from_ns
from ..core.model import NAN, Instrument
from ..core.ports import Calendar, Row

Span = tuple[int, int]

_LEVELS = range(1, 6)
_BOOK = tuple(
    f"{side}_{what}{level}"
    for level in _LEVELS
    for side in ("bid", "ask")
    for what in ("price", "volume")
)
_WHOLE = ("id", "datetime", "volume", "open_interest", "open_oi", "close_oi")
#: Rows per request.
LARGEST_REQUEST = 8_000
#: Rows per request while searching for the first row of the first day.
SEEKING_STEP = 2_000
#: How often a row is requested in a session before it counts as unavailable.
TRIES = 3


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of rows.

    Attributes:
        name: The name of its folder and table.
        seconds: Length of a bar; 0 for ticks.
        columns: ``id`` first.
    """

    name: str
    seconds: int
    columns: tuple[str, ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns from the server."""
        return self.columns[1:]


def is_whole(column: str) -> bool:
    """Whether a column holds integers.

    >>> [is_whole(name) for name in ("volume", "ask_volume5", "ask_price5")]
    [True, True, False]
    """
    return column in _WHOLE or "_volume" in column


_BAR = ("id", "datetime", "open", "high", "low", "close", "volume", "open_oi", "close_oi")
TICKS = Kind(
    "ticks",
    0,
    ("id", "datetime", "last_price", "average", "highest", "lowest", "volume", "amount",
     "open_interest", *_BOOK),
)  # fmt: skip
MINUTES = Kind("minutes", 60, _BAR)
DAYS = Kind("days", 86400, _BAR)
KINDS = (TICKS, MINUTES, DAYS)


class IdSet:
    """A set of ids as disjoint ranges.

    >>> ids = IdSet([(1, 3), (7, 9)])
    >>> ids.add(4, 4)
    >>> ids.missing(0, 10)
    [(0, 0), (5, 6), (10, 10)]
    >>> len(ids), 4 in ids, ids.first, ids.last
    (7, True, 1, 9)
    """

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in spans:
            self.add(first, last)

    def add(self, first: int, last: int) -> None:
        """Add a range, both ends included; an empty range changes nothing."""
        if first > last:
            return
        left = bisect_left(self._lasts, first - 1)
        right = bisect_right(self._firsts, last + 1)
        if left < right:
            first = min(first, self._firsts[left])
            last = max(last, self._lasts[right - 1])
        self._firsts[left:right] = [first]
        self._lasts[left:right] = [last]

    def add_ids(self, ids: Iterable[int]) -> None:
        """Add single ids, fastest in ascending order."""
        first = last = -2
        for one in ids:
            if one == last + 1:
                last = one
                continue
            if last >= 0:
                self.add(first, last)
            first = last = one
        if last >= 0:
            self.add(first, last)

    def missing(self, first: int, last: int) -> list[Span]:
        """The ranges inside a range that are not in the set, ascending."""
        found = []
        index = bisect_left(self._lasts, first)
        while first <= last:
            if index == len(self._firsts) or self._firsts[index] > last:
                found.append((first, last))
                break
            if self._firsts[index] > first:
                found.append((first, self._firsts[index] - 1))
            first = self._lasts[index] + 1
            index += 1
        return found

    def __iter__(self) -> Iterator[Span]:
        return zip(self._firsts, self._lasts, strict=True)

    def __contains__(self, one: int) -> bool:
        index = bisect_left(self._lasts, one)
        return index < len(self._firsts) and self._firsts[index] <= one

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self)

    @property
    def is_one_range(self) -> bool:
        """Whether there are no gaps."""
        return len(self._firsts) == 1

    @property
    def first(self) -> int:
        """The smallest id, -1 if there is none."""
        return self._firsts[0] if self._firsts else -1

    @property
    def last(self) -> int:
        """The largest id, -1 if there is none."""
        return self._lasts[-1] if self._lasts else -1


class Track:
    """Which rows of one contract and kind are recorded, and which must be requested.

    Args:
        have: The recorded ids.
        start: The first id of the recording; None if unknown: that of the first row of
            ``first_day``.
        first_day: The first trading day of the recording, ``"2026-11-10"``.

    Attributes:
        newest: The newest id that is final on the server, -1 if there is none.
    """

    def __init__(self, have: IdSet, start: int | None, first_day: str) -> None:
        self.have, self.start, self.first_day = have, start, first_day
        self.newest = have.last
        # The lowest wanted id so far, while the start is searched for.
        self._reached = start if start is not None else have.first
        self._given_up = IdSet()
        self._tries: Counter[int] = Counter()

    def see(self, left_id: int, final_id: int) -> None:
        """Note that rows up to ``final_id`` are final, and from ``left_id`` on at hand."""
        self.newest = max(self.newest, final_id)
        if self._reached < 0 <= self.newest:
            self._reached = max(0, min(left_id, self.newest))

    def take(self, rows: Iterable[tuple[str, Row]], again: int = 1 << 62) -> list[tuple[str, Row]]:
        """Select the rows that must be written.

        Args:
            rows: Trading day and row, ascending.
            again: Rows from this id on are selected even if recorded: they may have changed.
        """
        taken = []
        for day, row in rows:
            row_id = row[0]
            if day < self.first_day:
                if row_id >= self._reached:
                    self.start = self._reached = row_id + 1
            elif row_id >= again or row_id not in self.have:
                taken.append((day, row))
        self.have.add_ids(row[0] for _, row in taken)
        return taken

    def seek(self) -> None:
        """Continue the search for the first day's first row, if it is unknown."""
        if self.start is None and self._reached >= 0 and self.askable() is None:
            if self._reached == 0:
                self.start = 0
            self._reached = max(0, self._reached - SEEKING_STEP)

    @property
    def whole(self) -> bool:
        """Whether nothing is missing; fast in the usual case."""
        have = self.have
        return have.is_one_range and have.last == self.newest and have.first == self.start

    @property
    def holes(self) -> list[Span]:
        """The missing ids, ascending."""
        return self.have.missing(self._reached, self.newest) if self._reached >= 0 else []

    def askable(self) -> Span | None:
        """The next ids to request from the server; None if there are none."""
        for first, last in self.holes:
            for left, right in self._given_up.missing(first, last):
                return left, min(right, left + LARGEST_REQUEST - 1)
        return None

    def answered(self, span: Span) -> None:
        """Note that a range was requested and the available rows were recorded."""
        for first, last in self.have.missing(max(span[0], self._reached), span[1]):
            self._tries[first] += 1
            if self._tries[first] < TRIES:
                continue
            if self.start is None and first == self._reached:  # TianQin's history begins here
                self.start = self._reached = last + 1
            self._given_up.add(first, last)

    def try_again(self) -> None:
        """Request missing rows again: a new session may have them."""
        self._given_up = IdSet()
        self._tries.clear()

    @property
    def complete(self) -> bool:
        """Whether everything available is recorded, and the start is known."""
        return self.start is not None and self.askable() is None


class DayOfTime:
    """Trading days of instants as texts; the day changes on the hour in Beijing.

    Args:
        calendar: Trading days.
    """

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._known: dict[int, str] = {}

    def __call__(self, ns: int) -> str:
        hour = ns // HOUR
        day = self._known.get(hour)
        if day is None:
            day = self._calendar.trading_day_at(from_ns(ns)).isoformat()
            self._known = {hour: day} if len(self._known) > 1000 else self._known | {hour: day}
        return day


def instrument_fields(instrument: Instrument) -> dict[str, object]:
    """A contract's specification as JSON values."""
    fields: dict[str, object] = {
        name: None if value != value else value for name, value in asdict(instrument).items()
    }
    expires = instrument.expire_datetime
    fields["expire_datetime"] = None if expires is None else expires.isoformat()
    return fields


def instrument_of(fields: dict[str, object]) -> Instrument:
    """Convert JSON values back to a specification.

    Raises:
        TypeError: A field is missing or unknown.
    """
    prices = ("price_tick", "upper_limit", "lower_limit", "pre_settlement", "margin", "commission")
    values = fields | {name: NAN for name in prices if fields.get(name) is None}
    expires = fields.get("expire_datetime")
    values["expire_datetime"] = None if expires is None else datetime.fromisoformat(str(expires))
    return Instrument(**values)  # type: ignore[arg-type]  # a wrong one is a TypeError
