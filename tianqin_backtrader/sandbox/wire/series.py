"""Numbered rows of ticks and bars of one symbol, up to the market's present."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from datetime import date
from typing import TYPE_CHECKING, Protocol

from ...core.clock import from_ns
from ...session_calendar import SessionCalendar
from ..market.bars import BarSeries
from .quotes import DayView, Row

if TYPE_CHECKING:
    from ..market.market import Market
    from ..market.ticks import DayTicks
    from ..market.timeline import Cursor

_VIEWS = 256


class Series(Protocol):
    """Rows with consecutive ids; a cursor marks the market's present."""

    def last_id(self, cursor: Cursor) -> int:
        """Id of the newest row; -1 if there is none."""
        ...

    def rows(self, left_id: int, right_id: int, cursor: Cursor) -> dict[str, Row]:
        """The existing rows with ids from ``left_id`` to ``right_id``, both included."""
        ...

    def id_at(self, ns: int, cursor: Cursor) -> int:
        """Id of the first row that does not end before the instant, at most the newest."""
        ...

    def moved(self, cursor: Cursor) -> tuple[int, dict[str, Row]]:
        """Newest id, and the rows that the cursor's newest tick has changed or begun."""
        ...


class DayViews:
    """A cache of trading days in wire format."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._views: OrderedDict[tuple[str, date], DayView] = OrderedDict()

    def get(self, symbol: str, trading_day: date) -> DayView:
        """The view of a symbol's trading day."""
        key = (symbol, trading_day)
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = DayView(self._market.day(symbol, trading_day))
            if len(self._views) > _VIEWS:
                self._views.popitem(last=False)
        else:
            self._views.move_to_end(key)
        return view

    def forget(self) -> None:
        """Forget all days after a change of the market."""
        self._views.clear()

    def previous(self, view: DayView) -> DayView | None:
        """The trading day before; ``None`` before the first."""
        days = self._market.days(view.day.symbol)
        index = bisect_left(days, view.day.trading_day)
        return self.get(view.day.symbol, days[index - 1]) if index else None

    def on(self, symbol: str, trading_day: date) -> DayView:
        """The view of a trading day, or of the nearest trading day of the symbol."""
        days = self._market.days(symbol)
        return self.get(symbol, days[min(bisect_left(days, trading_day), len(days) - 1)])


class TickSeries:
    """The ticks of a symbol over all its days, including odd ticks that a fault has inserted.

    An odd tick is a row with an id of its own; the ids of later ticks are higher by one.
    """

    def __init__(self, views: DayViews, calendar: SessionCalendar) -> None:
        self._views = views
        self._calendar = calendar
        # By symbol: the exchange's own id of the tick before the odd one, and its row.
        self._odd: dict[str, list[tuple[int, Row]]] = {}

    def put_odd(self, cursor: Cursor, changes: Row) -> Row:
        """Insert a copy of the newest row, with changes, after it."""
        last = self.last_id(cursor)
        row = {**self.rows(last, last, cursor)[str(last)], **changes}
        self._odd.setdefault(cursor.symbol, []).append((self._own_id(cursor), row))
        return row

    def _own_id(self, cursor: Cursor) -> int:
        return int(cursor.day.first_id) + cursor.k

    def _shift(self, symbol: str, own_id: int) -> int:
        return sum(before < own_id for before, _ in self._odd.get(symbol, ()))

    def last_id(self, cursor: Cursor) -> int:
        """Id of the newest tick."""
        return self._own_id(cursor) + len(self._odd.get(cursor.symbol, ()))

    def rows(self, left_id: int, right_id: int, cursor: Cursor) -> dict[str, Row]:
        """Rows by id; days in descending order, rows of a day in ascending order."""
        odd = self._odd.get(cursor.symbol)
        if not odd:
            return self._own_rows(left_id, right_id, cursor)
        own = self._own_rows(left_id - len(odd), right_id, cursor)
        found = {int(key) + self._shift(cursor.symbol, int(key)): row for key, row in own.items()}
        found |= {before + 1 + number: row for number, (before, row) in enumerate(odd)}
        return {str(key): row for key, row in found.items() if left_id <= key <= right_id}

    def _own_rows(self, left_id: int, right_id: int, cursor: Cursor) -> dict[str, Row]:
        found: dict[str, Row] = {}
        right = min(right_id, self._own_id(cursor))
        view: DayView | None = self._view(cursor)
        while view is not None and right >= left_id:
            first = int(view.day.first_id)
            if first <= right:
                found.update(view.rows(max(left_id - first, 0), right + 1 - first))
                right = first - 1
            view = self._views.previous(view)
        return found

    def id_at(self, ns: int, cursor: Cursor) -> int:
        """Id of the first tick at or after the instant."""
        own_id = self._own_id_at(ns, cursor)
        return own_id + self._shift(cursor.symbol, own_id)

    def _own_id_at(self, ns: int, cursor: Cursor) -> int:
        last = self._own_id(cursor)
        view: DayView | None = self._view(cursor)
        wanted = self._calendar.trading_day_at(from_ns(ns))
        if wanted < cursor.day.trading_day:
            view = self._views.on(cursor.symbol, wanted)
        while view is not None:
            k = int(view.day.time.searchsorted(ns))
            if k > 0:
                return min(int(view.day.first_id) + k, last)
            found = int(view.day.first_id)
            view = self._views.previous(view)
            if view is None or (len(view.day) and view.day.time[-1] < ns):
                return min(found, last)
        return min(0, last)

    def moved(self, cursor: Cursor) -> tuple[int, dict[str, Row]]:
        """The newest tick alone."""
        last, own_id = self.last_id(cursor), self._own_id(cursor)
        odd = self._odd.get(cursor.symbol)
        if odd and odd[-1][0] == own_id:
            return last, {str(last): odd[-1][1]}
        return last, {str(last): self._view(cursor).row(cursor.k)}

    def _view(self, cursor: Cursor) -> DayView:
        return self._views.get(cursor.symbol, cursor.day.trading_day)


class SeriesBook:
    """All series, created on demand and shared by all connections."""

    def __init__(self, market: Market, calendar: SessionCalendar) -> None:
        self.views = DayViews(market)
        self._market = market
        self._ticks = TickSeries(self.views, calendar)
        self._bars: dict[tuple[str, int], _Bars] = {}

    def put_odd(self, cursor: Cursor, changes: Row) -> Row:
        """Insert an impossible tick after the newest one; returns its row."""
        return self._ticks.put_odd(cursor, changes)

    def get(self, symbol: str, duration: int) -> Series:
        """The ticks (duration 0) or bars of a symbol."""
        if duration == 0:
            return self._ticks
        series = self._bars.get((symbol, duration))
        if series is None:
            bars = BarSeries(self._market, symbol, duration)
            series = self._bars[symbol, duration] = _Bars(bars)
        return series

    def forget(self) -> None:
        """Forget prices after a change of the market; times and ids are unchanged."""
        self.views.forget()
        for bars in self._bars.values():
            bars.forget()


class _Bars:
    """Bars as a ``Series``."""

    def __init__(self, bars: BarSeries) -> None:
        self._bars = bars
        self._moved_at: tuple[DayTicks | None, int] = (None, -1)
        self._moved: tuple[int, dict[str, Row]] = (-1, {})

    def forget(self) -> None:
        """Forget prices after a change of the market."""
        self._bars.forget()

    def last_id(self, cursor: Cursor) -> int:
        """Id of the running bar."""
        return int(self._bars.running_id(cursor.day.trading_day, cursor.k))

    def rows(self, left_id: int, right_id: int, cursor: Cursor) -> dict[str, Row]:
        """Rows by id."""
        found = self._bars.rows(left_id, right_id, cursor.day.trading_day, cursor.k)
        return {str(bar_id): row for bar_id, row in found.items()}

    def id_at(self, ns: int, cursor: Cursor) -> int:
        """Id of the bar that covers the instant."""
        return min(self._bars.id_at(ns), self.last_id(cursor))

    def moved(self, cursor: Cursor) -> tuple[int, dict[str, Row]]:
        """The running bar and those begun by the tick; shared by all callers within one step."""
        if self._moved_at != (cursor.day, cursor.k):
            self._moved_at = (cursor.day, cursor.k)
            found = self._bars.moved(cursor.day.trading_day, cursor.k)
            self._moved = max(found), {str(bar_id): row for bar_id, row in found.items()}
        return self._moved
