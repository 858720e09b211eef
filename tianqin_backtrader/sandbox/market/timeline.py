"""The market's time: the next ticks of all followed symbols, and the clock's events.

One step is everything that happens at the next moment. Nothing happens between two steps; the
caller skips that time or waits for it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from ...core.clock import from_ns, to_ns
from ...session_calendar import SessionCalendar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    from .ticks import DayTicks

    class DaySource(Protocol):
        """The part of a market that the timeline needs."""

        @property
        def day(self) -> Callable[[str, date], DayTicks]: ...

        def days(self, symbol: str) -> Sequence[date]: ...


#: When the exchange settles and the next trading day begins.
SETTLEMENT = time(15, 30)
_AUCTION_NIGHT = time(20, 59)
_AUCTION_DAY = time(8, 59)
#: The end of a session is announced this long after it.
_CLOCK_DELAY = timedelta(seconds=1)
_SETTLES, _PAUSES, _CLOSES = "settles", "pauses", "closes "


@dataclass(slots=True, eq=False)
class Cursor:
    """A symbol's position in a trading day: ``k`` is its newest tick, -1 before the first."""

    symbol: str
    day: DayTicks
    times: list[int]
    k: int


@dataclass(frozen=True, slots=True)
class Step:
    """Everything that happens at one moment.

    Attributes:
        time_ns: The moment.
        ticks: Cursors that have just advanced by one tick.
        closed: Products (``"SHFE.cu"``) that have just had the last close of their trading day.
        settles: Whether the trading day ends here; the next one begins after the step.
    """

    time_ns: int
    ticks: tuple[Cursor, ...] = ()
    closed: tuple[str, ...] = ()
    settles: bool = False


def auction_open(calendar: SessionCalendar, trading_day: date) -> datetime:
    """20:59 of the evening before, or 08:59 if the trading day has no night session."""
    if calendar.has_night(trading_day):
        return datetime.combine(calendar.previous_trading_day(trading_day), _AUCTION_NIGHT)
    return datetime.combine(trading_day, _AUCTION_DAY)


class Timeline:
    """The clock, and a heap of the next ticks.

    Args:
        market: The source of the ticks.
        calendar: Sessions and trading days.
        start: A trading day (the market begins at its first auction) or a moment.
        days: Trading days after which the market stops.
    """

    def __init__(
        self, market: DaySource, calendar: SessionCalendar, start: date | datetime, days: int = 1
    ) -> None:
        self._market = market
        self._calendar = calendar
        if isinstance(start, datetime):
            self.trading_day = calendar.trading_day_at(start)
            begin = start
            if start.time() >= SETTLEMENT and start.hour < 18:
                self.trading_day = calendar.next_trading_day(start.date())
        else:
            self.trading_day = calendar.roll(start)
            begin = auction_open(calendar, self.trading_day)
        self.start_ns = self.now_ns = to_ns(begin)
        last = self.trading_day
        for _ in range(days - 1):
            last = calendar.next_trading_day(last)
        self.last_day = last
        self.end_ns = to_ns(datetime.combine(last, SETTLEMENT))
        self.finished = False
        self._live: dict[str, Cursor] = {}
        self._watchers: dict[str, int] = {}
        self._ticks: list[tuple[int, str]] = []
        self._events: list[tuple[int, str]] = []
        self._products: dict[str, int] = {}
        self._schedule_events(())

    @property
    def live(self) -> Iterable[str]:
        """The followed symbols."""
        return self._live.keys()

    def watch(self, symbol: str) -> Cursor:
        """Follow a symbol from now on; every call counts."""
        self._watchers[symbol] = self._watchers.get(symbol, 0) + 1
        if symbol not in self._live:
            cursor = self._live[symbol] = self.locate(symbol)
            if cursor.k + 1 < len(cursor.times):
                heappush(self._ticks, (cursor.times[cursor.k + 1], symbol))
            key = self._calendar.product(symbol).key
            if key not in self._products:
                self._schedule_events((key,))
        return self._live[symbol]

    def unwatch(self, symbol: str) -> None:
        """Undo one ``watch``."""
        left = self._watchers.get(symbol, 0) - 1
        if left > 0:
            self._watchers[symbol] = left
        elif self._watchers.pop(symbol, None) is not None:
            del self._live[symbol]
            self._ticks = [entry for entry in self._ticks if entry[1] != symbol]
            heapify(self._ticks)

    def cursor(self, symbol: str) -> Cursor:
        """The present position of a symbol, followed or not."""
        return self._live.get(symbol) or self.locate(symbol)

    def locate(self, symbol: str) -> Cursor:
        """The present position of a symbol, by the clock.

        An expired contract is at the end of its last day, one not listed yet before its first.
        """
        days = self._market.days(symbol)
        index = max(bisect_right(days, self.trading_day) - 1, 0)
        day = self._market.day(symbol, days[index])
        times: list[int] = day.time.tolist()
        k = int(day.time.searchsorted(self.now_ns, side="right")) - 1
        return Cursor(symbol, day, times, k)

    def refresh(self) -> None:
        """Reload the days after a change of the market; the times of ticks are unchanged."""
        for symbol, cursor in self._live.items():
            cursor.day = self._market.day(symbol, cursor.day.trading_day)

    def next_time(self) -> int | None:
        """The time of the next step; ``None`` after the last trading day."""
        if self.finished:
            return None
        event = self._events[0][0]
        return min(event, self._ticks[0][0]) if self._ticks else event

    def step(self) -> Step:
        """Make the next step.

        Raises:
            RuntimeError: The last trading day has ended.
        """
        moment = self.next_time()
        if moment is None:
            raise RuntimeError("the last trading day has ended")
        self.now_ns = max(self.now_ns, moment)
        moved = []
        heap = self._ticks
        while heap and heap[0][0] == moment:
            _, symbol = heappop(heap)
            cursor = self._live[symbol]
            cursor.k += 1
            moved.append(cursor)
            if cursor.k + 1 < len(cursor.times):
                heappush(heap, (cursor.times[cursor.k + 1], symbol))
        closed = []
        settles = False
        while self._events and self._events[0][0] == moment:
            _, kind = heappop(self._events)
            settles = settles or kind == _SETTLES
            if kind.startswith(_CLOSES):
                closed.append(kind.removeprefix(_CLOSES))
        return Step(moment, tuple(moved), tuple(closed), settles)

    def advance_clock(self, now_ns: int) -> None:
        """Let time pass without a step, never past the next step."""
        limit = self.next_time()
        self.now_ns = max(self.now_ns, now_ns if limit is None else min(now_ns, limit))

    def next_day(self) -> bool:
        """Begin the next trading day after a step that settles; False after the last day."""
        if self.trading_day >= self.last_day:
            self.finished = True
            return False
        self.trading_day = self._calendar.next_trading_day(self.trading_day)
        self._ticks = []
        for symbol in self._live:
            cursor = self._live[symbol] = self.locate(symbol)
            if cursor.k + 1 < len(cursor.times):
                self._ticks.append((cursor.times[cursor.k + 1], symbol))
        heapify(self._ticks)
        products = tuple(self._products)
        self._products, self._events = {}, []
        self._schedule_events(products)
        return True

    def _schedule_events(self, products: Iterable[str]) -> None:
        """Schedule the clock's remaining events of this trading day."""
        if not self._events:
            moment = datetime.combine(self.trading_day, SETTLEMENT)
            heappush(self._events, (to_ns(moment), _SETTLES))
        for key in products:
            self._products[key] = 1
            ends = [end for _, end in self._calendar.sessions(key, self.trading_day)]
            for end in ends:
                moment = end + _CLOCK_DELAY
                kind = _CLOSES + key if end == ends[-1] else _PAUSES
                if to_ns(moment) > self.now_ns:
                    heappush(self._events, (to_ns(moment), kind))

    def in_session(self, moment_ns: int) -> bool:
        """Whether any followed product trades at this moment."""
        moment, calendar = from_ns(moment_ns), self._calendar
        return any(
            begin <= moment < end
            for key in self._products
            for begin, end in calendar.sessions(key, self.trading_day)
        )

    def moment(self) -> datetime:
        """The present as naive Beijing time."""
        return from_ns(self.now_ns)
