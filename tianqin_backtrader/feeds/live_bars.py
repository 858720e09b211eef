"""One contract's live bars: built from ticks, compared with TianQin's own, repaired after a gap.

Every bar is compared with the official one of the same id when that is final. If ticks are
missing (their ids are consecutive, so a gap is seen), the bars concerned wait for the official
ones, which are delivered instead. Bars before a new contract's first trade do so, too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from ..core.clock import NEVER, SECOND
from ..core.model import Bar, Tick
from .bar_builder import BarBuilder
from .tick_sieve import TickSieve

#: An official bar without a successor (before a break) is final this long after its end.
FINAL_AFTER = 2 * SECOND
#: A bar with missing ticks is delivered as it is if no official one has come for this long.
WAIT_FOR_OFFICIAL = 60 * SECOND
#: The columns that are compared.
COLUMNS = ("open", "high", "low", "close", "volume", "open_oi", "close_oi")
#: Newest differences that a certificate keeps; all are counted.
DIFFERENCES_KEPT = 1000


class Rows(Protocol):
    """Numbered rows of ticks and bars as the server sends them."""

    @property
    def last_id(self) -> int: ...

    @property
    def ready(self) -> bool: ...

    def ticks(self, first_id: int, last_id: int) -> list[Tick]: ...

    def bars(self, first_id: int, last_id: int) -> list[Bar]: ...


@dataclass(frozen=True, slots=True)
class Difference:
    """A delivered bar that differs from the official one. Repaired bars do not differ.

    Attributes:
        symbol: The contract.
        delivered: The bar that the strategy has seen.
        official: TianQin's of the same id.
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

    Each delivered bar is in one of ``equal``, ``repaired``, ``corrected``, ``missing`` and
    ``pending``. Bars of the seam are in ``seam``, ``corrected``, ``missing`` or ``pending``, and
    bars that were left out are in ``missing``; ``delivered`` has neither of them. So the sum of the
    five may be larger than ``delivered``.

    Attributes:
        delivered: Live bars that the strategy received.
        equal: Equal to the official bar in open, high, low, close, volume and open interest.
        repaired: Delivered from the official bar: after a gap in the ticks or a tick that was left
            out, or before a contract's first price.
        corrected: Different from the official bar, bars of the seam among them; see
            ``differences``.
        missing: There was no official bar to compare with, bars of the seam among them; or none to
            deliver, and the bar was left out with an error message.
        ignored: Impossible ticks, which were left out; see ``tick_sieve``.
        seam: Bars at the end of history that were also compared, and are equal.
        pending: The official bar is not final yet; bars of the seam among them.
        differences: The newest of the corrected bars.
    """

    delivered: int = 0
    equal: int = 0
    repaired: int = 0
    corrected: int = 0
    missing: int = 0
    pending: int = 0
    ignored: int = 0
    seam: int = 0
    differences: tuple[Difference, ...] = ()


class LiveBars:
    """Makes bars from ticks, and checks them against the official bars.

    Args:
        symbol: The contract.
        builder: Continues after the last bar of history.
        ticks, klines: The server's rows.
        next_bar_id: Official id of the first live bar, -1 if it is not known.
        next_tick_id: The first tick that has not been pushed yet.
        sieve: Leaves out impossible ticks.

    Attributes:
        ready: Bars to deliver as soon as they are certain.
        left_out: Bars for which neither ticks nor an official bar came.
        ticks_taken: Ticks so far.
        ticks_missing: Ticks that never came.
    """

    def __init__(
        self,
        symbol: str,
        builder: BarBuilder,
        ticks: Rows,
        klines: Rows,
        next_bar_id: int,
        next_tick_id: int,
        sieve: TickSieve,
    ) -> None:
        self.symbol, self.builder, self._sieve = symbol, builder, sieve
        self._ticks, self._klines = ticks, klines
        self._next_bar, self._next_tick = next_bar_id, next_tick_id
        self.ready: deque[Bar] = deque()
        self._suspect: set[int] = set()
        self._suspect_before = 0
        self._refused = 0  # end of the bar of a refused tick; 0 once a tick has passed since
        self._unchecked: deque[Bar] = deque()
        self._differences: deque[Difference] = deque(maxlen=DIFFERENCES_KEPT)
        self.left_out: list[Bar] = []
        self._delivered = self._equal = self._repaired = self._corrected = self._missing = 0
        self._seam_left = self._seam_equal = 0
        self.ticks_taken = self.ticks_missing = 0

    # -- in -----------------------------------------------------------------------------------

    def begin(self, last: Bar | None, ticks: Sequence[Tick], now: int) -> list[Bar]:
        """Push the ticks of the recent past, and return the bars that ended by ``now``.

        Such bars exist if the contract has not traded: the server makes them with the next tick.
        They, and the ``last`` of the official bars before them, are compared like live ones.
        """
        for tick in ticks:
            self._take(tick)
        self.flush(now)
        past: list[Bar] = []
        if not (self.ready and self.ready[0].id in self._suspect and self._suspect_before):
            past += self.ready
            self.ready.clear()
            self._suspect.clear()
        # else the first one's official bar is not final yet
        self._unchecked.extend([last, *past] if last is not None else past)
        self._seam_left = len(self._unchecked)
        return past

    def doubt_until(self, end: int) -> None:
        """Deliver bars that start before ``end`` from the official ones."""
        self._suspect_before = max(self._suspect_before, end)

    def take_ticks(self) -> int:
        """Process the ticks that have come; return the newest one's time, 0 if there was none."""
        last_id = self._ticks.last_id
        if last_id < self._next_tick:
            return 0
        ticks = self._ticks.ticks(self._next_tick, last_id)
        whole = len(ticks) == last_id + 1 - self._next_tick
        newest = 0
        for tick in ticks:
            if not whole:
                self._look_for_a_hole(tick)
            if self._take(tick):
                newest = tick.time
        if ticks:
            # Not last_id: its row may come later, or never; then the next tick shows the gap.
            self._next_tick = ticks[-1].id + 1
            self.ticks_taken += len(ticks)
        return newest

    def _take(self, tick: Tick) -> bool:
        """Push a tick into the builder; if it is impossible, deliver its bar from the official one.

        The bars up to that of the next tick, too: they begin with the price and volume in force.
        """
        if not self._sieve.passes(tick):
            self._refused = self.builder.slot.end
            self.doubt_until(self._refused + 1)
            return False
        if self._refused:
            self.doubt_until(tick.time)
            self._refused = 0
        done = self.builder.push(tick)
        if done:
            self._complete(done)
        return True

    def _look_for_a_hole(self, tick: Tick) -> None:
        """After a gap, doubt the bars from the running one to that of this tick."""
        if tick.id > self._next_tick:
            self.ticks_missing += tick.id - self._next_tick
            self._suspect_before = max(self._suspect_before, tick.time)
        self._next_tick = tick.id + 1

    def flush(self, now: int) -> None:
        """Complete the bars whose trading ended by ``now``."""
        if self.builder.slot.certain <= now:
            if self._ticks.last_id >= self._next_tick:  # the newest rows are still missing
                self._suspect_before = max(self._suspect_before, self.builder.slot.certain)
            if self._refused:
                self.doubt_until(now)
            self._complete(self.builder.flush(now))

    def _complete(self, bars: Sequence[Bar]) -> None:
        self.ready.extend(bars)
        if bars:
            self._number()

    def _number(self) -> None:
        """Give ids to the bars that have none; to a new contract's once the server has bars."""
        fresh = [bar for bar in self.ready if bar.id < 0]
        if fresh and self._next_bar < 0:
            self._next_bar = self._find_id(fresh[0])
            if self._next_bar >= 0:  # the open interest before its first bar is not known
                self._suspect.add(self._next_bar)
        if not fresh or self._next_bar < 0:
            return
        for _ in fresh:
            self.ready.pop()
        for bar in fresh:
            self.ready.append(bar._replace(id=self._next_bar))
            # A new contract has no price of its own before its first trade.
            if bar.start < self._suspect_before or bar.close != bar.close:
                self._suspect.add(self._next_bar)
            self._next_bar += 1

    def _find_id(self, bar: Bar) -> int:
        """Return the official id of a bar if it is among the newest, else -1."""
        last_id = self._klines.last_id
        rows = self._klines.bars(max(0, last_id - 600), last_id) if last_id >= 0 else []
        return next((row.id for row in rows if row.start == bar.start), -1)

    # -- out ----------------------------------------------------------------------------------

    @property
    def next_close(self) -> int:
        """When the running bar must be closed by the clock, nanoseconds."""
        return self.builder.slot.certain

    @property
    def next_final(self) -> int:
        """When an official bar to compare or to wait for is final without a successor."""
        last_id = self._klines.last_id
        if self._unchecked and self._unchecked[0].id == last_id:
            return self._unchecked[0].end + FINAL_AFTER
        bar = self.ready[0] if self.ready else None
        if bar is None or not self._unsure(bar):
            return NEVER
        return bar.end + (FINAL_AFTER if bar.id == last_id >= 0 else WAIT_FOR_OFFICIAL)

    @property
    def complete_until(self) -> int:
        """Every bar that ends by this instant is complete."""
        return self.builder.slot.end - 1

    @property
    def last_price(self) -> float:
        """The last price of the newest valid tick, nan before the first."""
        return self._sieve.last_price

    @property
    def running_day(self) -> date:
        """The trading day of the next bar to deliver."""
        if self.ready:
            return self.builder.day_of(self.ready[0])
        return self.builder.day

    def has_bar(self, horizon: int, now: int) -> bool:
        """Whether a bar that ends by ``horizon`` can be delivered."""
        while self.ready and self._is_none(self.ready[0], now):
            self.ready.popleft()
        if not self.ready or self.ready[0].end > horizon:
            return False
        if self.ready[0].id < 0:
            self._number()
        bar = self.ready[0]
        final = self._klines.ready and self._is_final(bar, now)
        return final or not self._unsure(bar) or self._given_up(bar, now)

    def _given_up(self, bar: Bar, now: int) -> bool:
        """Whether to stop waiting for the official bar; a bar without a price waits on."""
        waited = now >= bar.end + WAIT_FOR_OFFICIAL
        return self._klines.ready and waited and bar.close == bar.close

    def _is_none(self, bar: Bar, now: int) -> bool:
        """Whether there is no bar to deliver here."""
        if self._never_was(bar):
            return True
        lost = bar.id in self._suspect and self._klines.ready and self._is_final(bar, now)
        if not lost or self._klines.bars(bar.id, bar.id):
            return False
        # After an absence that exceeds what TianQin sends again our own bar would be invented.
        self._suspect.remove(bar.id)
        self._missing += 1
        self.left_out.append(bar)
        return True

    def take_left_out(self) -> list[Bar]:
        """Return the bars left out since the last call."""
        left_out, self.left_out = self.left_out, []
        return left_out

    def _never_was(self, bar: Bar) -> bool:
        """Whether the contract had no price yet, and the server's bars begin later."""
        if bar.close == bar.close or (bar.id < 0 and self._find_id(bar) >= 0):
            return False
        last_id = self._klines.last_id
        rows = self._klines.bars(last_id, last_id) if last_id >= 0 else []
        return bar.id < 0 and bool(rows) and rows[0].start > bar.start

    def _unsure(self, bar: Bar) -> bool:
        """Whether a bar waits for the official one."""
        return bar.id in self._suspect or (bar.id < 0 and bar.close != bar.close)

    def pop(self) -> Bar:
        """Remove and return the next bar to deliver; the official one if ticks are missing."""
        bar = self.ready.popleft()
        self._delivered += 1
        if bar.id in self._suspect:
            self._suspect.remove(bar.id)
            for official in self._klines.bars(bar.id, bar.id):
                if official.start == bar.start:
                    self._repaired += 1
                    if 0 < self._refused <= bar.end:  # the refused tick may have been right
                        self.builder.go_on_from(official.close, official.close_oi)
                    return _with_book_of(bar, official)
        self._unchecked.append(bar)
        return bar

    # -- the comparison -----------------------------------------------------------------------

    def _is_final(self, bar: Bar, now: int) -> bool:
        """Whether the official bar will not change any more.

        A flat bar may appear only with the next tick; before a break no successor comes.
        """
        if bar.id < 0:
            return False
        last_id = self._klines.last_id
        return last_id > bar.id or (last_id == bar.id and now >= bar.end + FINAL_AFTER)

    def check(self, now: int) -> list[Difference]:
        """Compare the bars that have become final; return the new differences."""
        new: list[Difference] = []
        while self._unchecked:
            bar = self._unchecked[0]
            if bar.id < 0:
                bar = self._unchecked[0] = bar._replace(id=self._find_id(bar))
            given_up = bar.id < 0 and self._klines.ready and now >= bar.end + WAIT_FOR_OFFICIAL
            if not given_up and not self._is_final(bar, now):
                break
            self._unchecked.popleft()
            at_seam = self._seam_left > 0
            self._seam_left -= at_seam
            rows = self._klines.bars(bar.id, bar.id) if bar.id >= 0 else []
            if not rows:
                self._missing += 1
                continue
            found = Difference(self.symbol, bar, rows[0])
            if found.columns:
                self._corrected += 1
                self._differences.append(found)
                new.append(found)
            elif at_seam:
                self._seam_equal += 1
            else:
                self._equal += 1
        return new

    def certificate(self) -> Certificate:
        """Return how the bars delivered so far compare with the official ones."""
        return Certificate(
            delivered=self._delivered,
            equal=self._equal,
            repaired=self._repaired,
            corrected=self._corrected,
            missing=self._missing,
            pending=len(self._unchecked),
            ignored=self._sieve.ignored,
            seam=self._seam_equal,
            differences=tuple(self._differences),
        )


def _with_book_of(bar: Bar, official: Bar) -> Bar:
    """Return the official bar with the order book of ours, which it lacks."""
    return official._replace(
        bid_price1=bar.bid_price1,
        ask_price1=bar.ask_price1,
        bid_volume1=bar.bid_volume1,
        ask_volume1=bar.ask_volume1,
        bid_price2=bar.bid_price2,
        ask_price2=bar.ask_price2,
    )
