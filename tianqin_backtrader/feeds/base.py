"""``LiveFeed``: a live feed as the store sees it, who fills it and asks what it has."""

from __future__ import annotations

import logging
from collections import deque
from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar

from ..core.clock import MINUTE, from_ns
from ..core.model import NAN, Bar
from ..gateway.liveness import NEVER
from .bar_lines import BarFeed
from .live_bars import Certificate, LiveBars
from .live_ticks import LiveTicks

if TYPE_CHECKING:
    from ..store import MyStore

logger = logging.getLogger(__name__)

#: What is not final so long after the end of its market will never be.
AFTERWARDS = MINUTE
#: Ticks and official bars that the client keeps of each contract, and ticks between two releases.
ROWS_KEPT, RELEASE_AFTER = 600, 200


class LiveFeed(BarFeed):
    """The store's side of ``Mydatafeed``."""

    #: The server's rows: ticks, and official bars.
    _ticks: Any
    _klines: Any

    CORRECTED = len(BarFeed._NOTIFNAMES)
    CLOSED = CORRECTED + 1
    MAIN_CHANGED = CLOSED + 1
    _NOTIFNAMES: ClassVar = [*BarFeed._NOTIFNAMES, "CORRECTED", "CLOSED", "MAIN_CHANGED"]

    #: As of Backtrader, which sets it when a feed starts: the line may be lost before that.
    _laststatus: int = BarFeed.CONNECTED

    def __init__(self) -> None:
        self.store: MyStore = self.p.store
        self.symbol: str = self.p.dataname
        self._history: deque[Bar] = deque()
        self._live: LiveBars | LiveTicks | None = None
        self._last_tick = self._released_at = 0
        #: When the contract's trading ends for good, nanoseconds.
        self._ends = NEVER

    @property
    def dues(self) -> tuple[int, ...]:
        """What must have passed, of the running bar, an official one and the contract itself."""
        if self._live is None:
            return ()
        close = self._live.next_close
        return (
            close if close <= self._ends else NEVER,
            self._live.next_final,
            self._ends + AFTERWARDS,
        )

    @property
    def complete_until(self) -> int:
        """Every bar that ends by this instant is complete, nanoseconds."""
        until = self._live.complete_until if self._live is not None else NEVER
        return until if until <= self._ends else NEVER

    @property
    def has_history(self) -> bool:
        """Whether history is still to be delivered."""
        return bool(self._history)

    @property
    def finished(self) -> bool:
        """Whether no bar will come any more: the market or the contract is over."""
        ended = self.store.alive_at(self.symbol) > self._ends + AFTERWARDS
        over = self.store.market_over or ended
        return bool(over and self.current and self._live is not None and not self._live.waiting)

    @property
    def current(self) -> bool:
        """Whether all that the server has is here, after a new session too."""
        return bool(self._ticks.ready and self._klines.ready)

    def has_bar(self, horizon: int) -> bool:
        """Whether a live bar that ends by ``horizon`` waits, with history done."""
        if self._history or self._live is None:
            return False
        found = self._live.has_bar(horizon, self.store.alive_at(self.symbol))
        self._tell_left_out(self._live.take_left_out())
        return found

    def _tell_left_out(self, bars: list[Bar]) -> None:
        if bars:
            text = (
                f"{self.symbol}: {len(bars)} bars from {from_ns(bars[0].start)} to "
                f"{from_ns(bars[-1].end)} are left out: their ticks did not come, and TianQin "
                "sends no bars that are so old"
            )
            logger.error("%s", text)
            self.store.put_notification(text, bars=tuple(bars))

    @property
    def running_day(self) -> date:
        """The trading day of the bar that comes next; of ticks nobody knows before one has come."""
        return self._live.running_day if isinstance(self._live, LiveBars) else date.min

    def take_ticks(self) -> int:
        """Build bars from the ticks that have come since the last call.

        Returns:
            The newest one's stamp, nanoseconds, 0 where there was none.
        """
        newest = self._live.take_ticks() if self._live is not None else 0
        self._last_tick = newest or self._last_tick
        return newest

    def flush(self, now: int) -> None:
        """Complete the bars whose trading ended by ``now``, if all ticks until then are there."""
        if self._live is not None and self._ticks.ready:
            self._live.flush(min(now, self._ends))

    def check(self) -> None:
        """Compare delivered bars with the official ones that are final by now; tell differences."""
        if self._live is None:
            return
        for found in self._live.check(self.store.alive_at(self.symbol)):
            logger.warning("%s differs from the official bar: %s", self.symbol, found)
            self.notifs.append((self.CORRECTED, (), {"difference": found}))
            self.store.observers.difference(found)

    def certificate(self) -> Certificate:
        """How the live bars delivered so far compare with the official ones."""
        return self._live.certificate() if self._live is not None else Certificate()

    def release(self) -> None:
        """Let the client forget what has been delivered, now and then."""
        if self._ticks.last_id - self._released_at < RELEASE_AFTER or self._live is None:
            return
        if self._live.waiting:
            return  # after a long absence it is older official bars that are to be delivered
        self._released_at = self._ticks.last_id
        for series in (self._ticks, self._klines):
            self.store.gateway.charts.release(series, ROWS_KEPT)

    @property
    def last_tick(self) -> int:
        """The stamp of the newest live tick, nanoseconds, 0 before one."""
        return self._last_tick

    @property
    def last_price(self) -> float:
        """That of the newest tick that can be, nan before one: in a new session, too."""
        if not self._last_tick or self._live is None or self._ticks.last_id < 0:
            return NAN
        return self._live.last_price

    @property
    def ticks_taken(self) -> int:
        """Live ticks so far."""
        return self._live.ticks_taken if self._live is not None else 0
