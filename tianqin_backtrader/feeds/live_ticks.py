"""One contract's live ticks, each once and in order, as bars of a single price."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from ..core.clock import NEVER
from ..core.model import NAN, Bar, Tick
from .live_bars import Certificate, Difference, LiveBars, Rows
from .tick_sieve import TickSieve


class NewestRow:
    """The newest tick of a series.

    Args:
        ticks: The server's rows.
    """

    def __init__(self, ticks: Rows) -> None:
        self._ticks = ticks

    @property
    def ready(self) -> bool:
        """Whether the requested past has arrived."""
        return self._ticks.ready

    def newest(self) -> Tick | None:
        """The newest tick, None before the first."""
        last_id = self._ticks.last_id
        rows = self._ticks.ticks(last_id, last_id) if last_id >= 0 else []
        return rows[0] if rows else None


class LiveTicks:
    """Ticks as they come, with the interface of ``LiveBars``.

    A tick's bar has the last price in all four prices (the previous tick's if the exchange shows
    none), the lots traded since the previous tick, and the order book.

    Args:
        ticks: The server's rows.
        next_tick_id: The first tick to deliver.
        before: The tick before it, for the lots traded since.
        sieve: Leaves out impossible ticks.
        seam: Compares the bars that were delivered before the first tick.

    Attributes:
        ticks_taken: Ticks so far.
        ticks_missing: Ticks that never came.
    """

    #: Nothing waits for a tick, and no clock completes one.
    complete_until = next_close = NEVER

    def __init__(
        self, ticks: Rows, next_tick_id: int, before: Tick | None, sieve: TickSieve,
        seam: LiveBars | None = None,
    ) -> None:  # fmt: skip
        self._ticks, self._next_tick, self._sieve = ticks, next_tick_id, sieve
        self._seam = seam
        self._price = before.last_price if before is not None else NAN
        self._volume = before.volume if before is not None else 0
        self._oi = before.open_interest if before is not None else 0
        self.ready: deque[Bar] = deque()
        self.ticks_taken = self.ticks_missing = 0

    def take(self) -> int:
        """Queue the ticks that have come; return the newest one's time, 0 if there was none."""
        last_id = self._ticks.last_id
        if last_id < self._next_tick:
            return 0
        ticks = self._ticks.ticks(self._next_tick, last_id)
        if not ticks:
            return 0
        # Not last_id: its row may come later.
        self.ticks_missing += ticks[-1].id + 1 - self._next_tick - len(ticks)
        self._next_tick = ticks[-1].id + 1
        taken = [tick for tick in ticks if self._sieve.passes(tick)]
        self.ticks_taken += len(taken)
        self.ready.extend(map(self._bar, taken))
        return taken[-1].time if taken else 0

    def _bar(self, tick: Tick) -> Bar:
        if tick.last_price == tick.last_price:
            self._price = tick.last_price
        # The cumulative volume begins again with each day.
        traded = tick.volume - self._volume if tick.volume >= self._volume else tick.volume
        opened, self._volume, self._oi = self._oi, tick.volume, tick.open_interest
        price = self._price
        return Bar(
            tick.time, tick.time, price, price, price, price, traded, opened, self._oi,
            *tick[6:12], id=tick.id,
        )  # fmt: skip

    def flush(self, now: int) -> None:
        """Do nothing: a tick is complete when it comes."""

    @property
    def last_price(self) -> float:
        """The last price of the newest valid tick, nan before the first."""
        return self._sieve.last_price

    def has_bar(self, horizon: int) -> bool:
        """Whether there is a tick to deliver."""
        return bool(self.ready)

    def pop(self) -> Bar:
        """Remove and return the next tick."""
        return self.ready.popleft()

    @property
    def next_final(self) -> int:
        """When an official bar of the seam is final without a successor."""
        return self._seam.next_final if self._seam is not None else NEVER

    def check(self, now: int) -> list[Difference]:
        """Compare the bars before the first tick; ticks are TianQin's own and are not compared."""
        return self._seam.check(now) if self._seam is not None else []

    #: No bars are left out.
    left_out: tuple[Bar, ...] = ()

    def take_left_out(self) -> list[Bar]:
        """Return no bars: a tick waits for nothing."""
        return []

    def certificate(self) -> Certificate:
        """Return counts of ticks and of the seam; ``equal`` is 0: ticks are not compared."""
        seam = self._seam.certificate() if self._seam is not None else Certificate()
        return replace(
            seam,
            delivered=self.ticks_taken - len(self.ready),
            missing=self.ticks_missing + seam.missing,
            ignored=self._sieve.ignored,
        )
