"""One contract's live bars: TianQin's own, each as soon as it is final.

A bar is final when the next one has begun, or when it is proved that its time is over: before a
break, and where nothing trades. A bar that TianQin makes only with the next tick is made here, flat
as TianQin's will be. Every bar is compared with TianQin's once more later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from ..core.clock import NEVER, SECOND
from ..core.model import NAN, OLD_TICK, Bar, Tick
from .slots import Slot, SlotCursor
from .tick_sieve import TickSieve

#: A bar without a successor (before a break) is final this long after its end.
FINAL_AFTER = 2 * SECOND
#: Bars among which the first of a contract without history is looked for.
NEWEST = 600
#: One that lacks a tick which its quote has shown is waited for so long; longer, and it would hold
#: up the other contracts.
BEHIND = 10 * SECOND
#: The columns that are compared.
COLUMNS = ("open", "high", "low", "close", "volume", "open_oi", "close_oi")
#: Newest differences that a certificate keeps; all are counted.
DIFFERENCES_KEPT = 1000
#: The order book in a bar, and one that nobody has seen.
_BOOK = Bar._fields[9:15]
_NO_BOOK = (NAN, NAN, 0, 0, NAN, NAN)


class Rows(Protocol):
    """Numbered rows of ticks and bars as the server sends them."""

    @property
    def last_id(self) -> int: ...

    @property
    def ready(self) -> bool: ...

    def ticks(self, first_id: int, last_id: int) -> list[Tick]: ...

    def bars(self, first_id: int, last_id: int) -> list[Bar]: ...


class Newest(Protocol):
    """Knows a contract's newest tick: its quote, or its series of ticks."""

    @property
    def ready(self) -> bool: ...

    def newest(self) -> Tick | None: ...


class SeenTicks(Protocol):
    """Ticks as a quote shows them; some may be left out."""

    def take(self) -> Sequence[Tick]: ...


class NoQuote:
    """In place of a quote that is not subscribed."""

    ready = True

    def newest(self) -> None:
        """No tick."""

    def take(self) -> Sequence[Tick]:
        """No ticks."""
        return ()


@dataclass(frozen=True, slots=True)
class Difference:
    """A delivered bar that differs from TianQin's final one.

    Attributes:
        symbol: The contract.
        delivered: The bar that the strategy has seen.
        official: TianQin's of the same time.
    """

    symbol: str
    delivered: Bar
    official: Bar

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that differ."""
        names = ("start", *COLUMNS)
        pairs = ((getattr(self.delivered, name), getattr(self.official, name)) for name in names)
        return tuple(name for name, (a, b) in zip(names, pairs, strict=True) if a != b)


@dataclass(frozen=True, slots=True)
class Certificate:
    """Counts of a contract's live bars, and of the bars at the end of its history (the seam).

    Each delivered bar is in one of ``equal``, ``corrected``, ``missing`` and ``pending``. Bars of
    the seam are in ``seam``, ``corrected``, ``missing`` or ``pending``, and bars that were left out
    are in ``missing``; ``delivered`` has neither of them. So the sum of the four may be larger than
    ``delivered``.

    Attributes:
        delivered: Live bars that the strategy received.
        equal: Equal to TianQin's final bar in open, high, low, close, volume and open interest.
        corrected: Different from TianQin's final bar, bars of the seam among them; see
            ``differences``.
        missing: TianQin has no such bar, bars of the seam among them; or it no longer sends it, and
            the bar was left out with an error message.
        ignored: Impossible ticks, which were left out; see ``tick_sieve``.
        seam: Bars at the end of history that were also compared, and are equal.
        pending: TianQin's bar is not final yet; bars of the seam among them.
        differences: The newest of the corrected bars.
    """

    delivered: int = 0
    equal: int = 0
    corrected: int = 0
    missing: int = 0
    pending: int = 0
    ignored: int = 0
    seam: int = 0
    differences: tuple[Difference, ...] = ()


class LiveBars:
    """Takes TianQin's bars as they become final.

    Args:
        symbol: The contract.
        cursor: Where the next bar begins by the sessions.
        klines: TianQin's bars.
        quote: Shows the ticks, which have the order book.
        sieve: Leaves out impossible ticks.
        last: The last bar of history, None if there is none.

    Attributes:
        ready: Bars to deliver.
        left_out: Bars that TianQin no longer sends.
        ticks_taken: Possible ticks that the quote has shown.
    """

    def __init__(
        self,
        symbol: str,
        cursor: SlotCursor,
        klines: Rows,
        quote: SeenTicks,
        sieve: TickSieve,
        last: Bar | None,
    ) -> None:
        self.symbol, self._cursor, self._klines = symbol, cursor, klines
        self._quote, self._sieve = quote, sieve
        self.ready: deque[Bar] = deque()
        self.left_out: list[Bar] = []
        #: The newest complete bar, and the id of the next one of TianQin, -1 if it is not known.
        self._last, self._next_id = last, -1 if last is None else last.id + 1
        #: The running bar, as far as TianQin has it.
        self._running: Bar | None = None
        #: The last tick of the running slot, or before it, that was shown, and later ones.
        self._shown: Tick | None = None
        self._ticks: deque[Tick] = deque()
        self.ticks_taken = 0
        #: Until when a tick is waited for that the running bar lacks.
        self._due = 0
        self._unchecked: deque[Bar] = deque()
        self._check_id = -1 if last is None else last.id  # those of TianQin before it are compared
        self._differences: deque[Difference] = deque(maxlen=DIFFERENCES_KEPT)
        self._delivered = self._equal = self._corrected = self._missing = 0
        self._seam_left = self._seam_equal = 0

    # -- in -----------------------------------------------------------------------------------

    def begin(self, now: int) -> list[Bar]:
        """Return the bars after history that ended by ``now``.

        Such bars exist if the contract has not traded: the server makes them with the next tick.
        They, and the last bar of history, are compared like live ones.
        """
        last = self._last
        self.take()
        self.flush(now)
        past = list(self.ready)
        self.ready.clear()
        self._unchecked.extend([last, *past] if last is not None else past)
        self._seam_left = len(self._unchecked)
        return past

    def take(self) -> int:
        """Take what has come; return the newest valid tick's stamp, 0 if there is no tick.

        A session's first quote has not just come: it does not tell the time. A bar that has begun
        has a tick, later than its start; a session's first one may have that of the auction before.
        """
        running = self._running
        ticks = [tick for tick in self._quote.take() if self._sieve.passes(tick)]
        self.ticks_taken += len(ticks)
        self._ticks.extend(ticks)
        self._take_rows()
        self._book_at(self._cursor.slot.certain)
        if ticks and ticks[-1].id != OLD_TICK:
            return ticks[-1].time
        begun, slot = self._running, self._cursor.slot
        if begun is None or (running is not None and running.id == begun.id):
            return 0
        return begun.start + 1 if begun.start == slot.start and not slot.opens_segment else 0

    def _book_at(self, ns: int) -> tuple[float, ...]:
        """The order book at an instant, not before that of the last call."""
        while self._ticks and self._ticks[0].time <= ns:
            self._shown = self._ticks.popleft()
        return _NO_BOOK if self._shown is None else self._shown[6:12]

    def _take_rows(self) -> None:
        """Complete the bars that have a successor, and look at the running one."""
        last_id = self._klines.last_id
        if last_id < 0:  # of a new session, before it has everything
            self._shown = None  # its book is an old one
            return
        if self._next_id < 0:
            newest = self._klines.bars(max(0, last_id - NEWEST), last_id)
            self._next_id = self._check_id = newest[0].id if newest else -1
        if last_id < self._next_id or self._next_id < 0:
            return
        rows = self._klines.bars(self._next_id, last_id)
        if rows and rows[-1].id == last_id and not self._may_have_begun(rows[-1]):
            rows.pop()
            last_id -= 1
        for row in rows:
            if row.id > self._next_id:
                self._leave_out(row)
            if row.id == last_id:
                self._run(row)
                return
            self._next_id = row.id + 1
            if self._is_new(row):
                self._complete(row)
        self._running = None

    def _may_have_begun(self, row: Bar) -> bool:
        """Whether a bar can have begun by now: a tick with an impossible stamp may have made it."""
        running = self._running
        known = running is not None and running.id == row.id
        return known or self._sieve.may_have_come(row.start + 1)

    def _is_new(self, row: Bar) -> bool:
        """Whether a bar has not been completed yet, by the clock."""
        return self._last is None or row.start > self._last.start

    def _run(self, row: Bar) -> None:
        """Note the running bar; the slots before it that have no bar are none of TianQin's."""
        self._running = row
        if row.start > self._cursor.slot.start:
            self._cursor.begin_after(row.start)
            self._due = 0

    def _complete(self, bar: Bar) -> None:
        slot = self._cursor.slot
        book = self._book_at(slot.certain if bar.start == slot.start else bar.end)
        bar = bar._replace(**dict(zip(_BOOK, book, strict=True)))  # type: ignore[arg-type]
        self.ready.append(bar)
        self._last, self._running, self._due = bar, None, 0
        if bar.start == slot.start:
            self._cursor.step()
        else:
            self._cursor.begin_after(max(bar.end, slot.start))

    def _leave_out(self, row: Bar) -> None:
        """Note the bars before this one that TianQin no longer sends."""
        for _ in range(row.id - self._next_id):
            slot = self._cursor.slot
            if slot.start >= row.start:
                break
            self.left_out.append(Bar(slot.start, slot.end, NAN, NAN, NAN, NAN, 0, 0, 0))
            self._missing += 1
            self._cursor.step()
        self._next_id = row.id

    def flush(self, now: int) -> None:
        """Complete the bars whose trading ended by ``now``."""
        running = self._running
        if running is not None and running.start < self._cursor.slot.start:
            if self._is_new(running) and running.end + FINAL_AFTER <= now:
                self._next_id = running.id + 1
                self._complete(running)
            running = None
        while (slot := self._cursor.slot).certain <= now:
            if running is not None and running.start != slot.start:
                running = None
            due = self._complete_by(running)
            if now < due:
                self._due = due
                return
            if running is not None:
                self._next_id = running.id + 1
                self._complete(running)
                running = None
            elif (flat := self._flat(slot)) is not None:
                self._complete(flat)
            else:
                self._cursor.step()
                self._due = 0

    def _complete_by(self, running: Bar | None) -> int:
        """When the running bar is completed: later than its end if a tick in it seems to lack."""
        shown, slot, last = self._shown, self._cursor.slot, self._last
        if shown is not None and (last is None or shown.time > last.end):
            if running is None and shown.time <= slot.start:  # of the auction
                return slot.certain + FINAL_AFTER
            if running is None or _lacks(running, shown):
                return slot.certain + BEHIND
        return slot.certain + FINAL_AFTER if self._ticks else slot.certain

    def _flat(self, slot: Slot) -> Bar | None:
        """Return the bar of a time without ticks; None before the contract's first price."""
        last = self._last
        if last is None or last.close != last.close:
            return None
        price, oi = last.close, last.close_oi
        return Bar(slot.start, slot.end, price, price, price, price, 0, oi, oi)

    # -- out ----------------------------------------------------------------------------------

    @property
    def next_close(self) -> int:
        """When the running bar must be completed by the clock, nanoseconds."""
        return max(self._cursor.slot.certain, self._due)

    @property
    def next_final(self) -> int:
        """When TianQin's bar of the next one to compare is final without two successors."""
        if not self._unchecked or self._unchecked[0].id > self._klines.last_id:
            return NEVER
        bar = self._unchecked[0]
        return bar.end + FINAL_AFTER if bar.id >= 0 else NEVER

    @property
    def complete_until(self) -> int:
        """Every bar that ends by this instant is complete."""
        return self._cursor.slot.end - 1

    @property
    def last_price(self) -> float:
        """The last price of the newest valid tick, nan before the first."""
        price = self._sieve.last_price
        return self._running.close if price != price and self._running is not None else price

    @property
    def running_day(self) -> date:
        """The trading day of the next bar to deliver."""
        return self._cursor.day_of(self.ready[0].end - 1) if self.ready else self._cursor.day

    def has_bar(self, horizon: int) -> bool:
        """Whether a bar that ends by ``horizon`` can be delivered."""
        return bool(self.ready) and self.ready[0].end <= horizon

    def take_left_out(self) -> list[Bar]:
        """Return the bars left out since the last call."""
        left_out, self.left_out = self.left_out, []
        return left_out

    def pop(self) -> Bar:
        """Remove and return the next bar to deliver."""
        bar = self.ready.popleft()
        self._delivered += 1
        self._unchecked.append(bar)
        return bar

    # -- the comparison -----------------------------------------------------------------------

    def check(self, now: int) -> list[Difference]:
        """Compare the bars that are final at TianQin; return the new differences."""
        new: list[Difference] = []
        while self._unchecked:
            bar = self._unchecked[0]
            row = self._official(bar)
            if row is None and not self._is_missing(bar):
                break
            if row is not None and not self._is_final(row, now):
                break
            self._unchecked.popleft()
            if row is not None:
                self._check_id = row.id + 1
            at_seam = self._seam_left > 0
            self._seam_left -= at_seam
            if row is None:
                self._missing += 1
                continue
            found = Difference(self.symbol, bar, row)
            if found.columns:
                self._corrected += 1
                self._differences.append(found)
                new.append(found)
            elif at_seam:
                self._seam_equal += 1
            else:
                self._equal += 1
        return new

    def _official(self, bar: Bar) -> Bar | None:
        """TianQin's bar of the same time, None if there is none yet."""
        last_id = self._klines.last_id
        if last_id < 0 or self._check_id < 0:
            return None
        first, last = (bar.id, bar.id) if bar.id >= 0 else (self._check_id, last_id)
        return next((row for row in self._klines.bars(first, last) if row.start == bar.start), None)

    def _is_missing(self, bar: Bar) -> bool:
        """Whether TianQin has later bars, but not this one."""
        last_id = self._klines.last_id
        newest = self._klines.bars(last_id, last_id) if last_id >= 0 else []
        return bool(newest) and newest[0].start > bar.start

    def _is_final(self, row: Bar, now: int) -> bool:
        """Whether TianQin's bar will not change any more: with ticks that came late it may."""
        return self._klines.last_id > row.id + 1 or now >= row.end + FINAL_AFTER

    def certificate(self) -> Certificate:
        """Return how the bars delivered so far compare with TianQin's."""
        return Certificate(
            delivered=self._delivered,
            equal=self._equal,
            corrected=self._corrected,
            missing=self._missing,
            ignored=self._sieve.ignored,
            seam=self._seam_equal,
            pending=len(self._unchecked),
            differences=tuple(self._differences),
        )


def _lacks(bar: Bar, tick: Tick) -> bool:
    """Whether a bar does not end with this tick of it."""
    pairs = ((tick.last_price, bar.close), (tick.open_interest, bar.close_oi))
    return any(one == one != other for one, other in pairs)
