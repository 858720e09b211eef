"""A feed's history: official bars of the past, and where they end."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import time
from functools import partial
from typing import Any

from ..calendars.doubted_stamps import can_be, phase_at
from ..core.clock import DAY, NEVER, from_ns, monotonic, to_ns
from ..core.context import Context
from ..core.model import Bar
from ..core.ports import ChartPort, ProofPort
from ..errors import LinkTimeout
from .live_bars import Newest

logger = logging.getLogger(__name__)

#: Older bars asked for at a time.
LARGEST_REQUEST = 8_000
#: A newest tick of this age is of another time: no holiday is so long.
ANOTHER_TIME = 30 * DAY
#: Minutes in the longest trading day, with a night session to 2:30; rounded up.
LONGEST_DAY = 600
#: Seconds without an answer after which loading fails, and between two words about its progress.
HISTORY_TIMEOUT, PROGRESS_EVERY = 60.0, 1.0


class FeedHistory:
    """The past of one contract.

    Attributes:
        symbol: The contract.

    Args:
        context: Calendar and time.
        bars: Rows of the past.
        proof: Knows until when market data are complete.
        symbol: The contract.
        klines: The server's rows.
        newest: Knows the newest tick.
        width: Number of bars of history.
        whole_days: Whether to add the bars before, back to the opening of that trading day.
    """

    def __init__(
        self,
        context: Context,
        bars: ChartPort,
        proof: ProofPort,
        symbol: str,
        klines: Any,
        newest: Newest,
        width: int,
        *,
        whole_days: bool,
    ) -> None:
        self._context, self._bars, self._proof, self.symbol = context, bars, proof, symbol
        self._klines, self._newest, self._width = klines, newest, width
        self._whole_days = whole_days and width > 0
        #: The oldest row that is wanted, once all have arrived; the oldest one requested so far.
        self._first_id, self._left_id = -1, -1
        self._older: Any = None

    @property
    def loaded(self) -> bool:
        """Whether all its rows have arrived."""
        return self._first_id >= 0

    def follow(self) -> bool:
        """Take a step: request what is missing, or find that nothing is; False: rows must come."""
        if self.loaded or not (self._klines.ready and self._newest.ready):
            return False
        charts, last_id = self._bars.charts, self._klines.last_id
        if self._older is None:
            self._left_id = self._klines.left_id
        elif not self._older.ready:
            return False
        else:
            charts.drop(self._older)
        margin = LONGEST_DAY if self._whole_days else 0
        first_id = max(0, last_id - self._width - margin)
        if not self._width or self._left_id <= first_id:
            self._first_id = self._left_id
            self._join_the_servers_time()
            return True
        width = min(self._left_id - first_id, LARGEST_REQUEST)
        self._left_id -= width
        self._older = charts.older(self._klines, self._left_id, width)
        return True

    def _join_the_servers_time(self) -> None:
        """Set the clock to a server that replays the past: its newest data are months old."""
        clock, last_id, tick = self._context.clock, self._klines.last_id, self._newest.newest()
        rows = self._klines.bars(last_id, last_id) if last_id >= 0 and self._klines.seconds else []
        newest = tick.time if tick is not None else rows[0].start + 1 if rows else NEVER
        if not clock.trusted and newest < clock.now_ns() - ANOTHER_TIME:
            clock.join(newest)

    def final(self) -> list[Bar]:
        """Return the official bars that are finished."""
        last_id = self._klines.last_id
        if last_id < 0:
            return []
        bars: list[Bar] = self._klines.bars(self._first_id, last_id)
        if bars and bars[-1].id == last_id and bars[-1].end > self.passed():
            return bars[:-1]
        return bars

    def passed(self) -> int:
        """Return until when market data are complete, nanoseconds.

        That is the timestamp of a tick, or the time of a request that the server has answered. The
        machine's clock alone does not make a bar history.
        """
        if self._context.clock.virtual:
            return int(self._context.clock.now_ns())
        alive_at, tick = self._proof.alive_at(self.symbol), self._newest.newest()
        phase_of = partial(phase_at, self._context.calendar, self.symbol)
        if tick is None or not can_be(self._context.clock, tick.time, phase_of):
            return alive_at
        return max(alive_at, tick.time - 1)

    def newest(self, bars: list[Bar], *, night_start: bool) -> list[Bar]:
        """Return the finished bars to deliver: the newest ones, whole trading days if wanted."""
        begin = max(0, len(bars) - self._width)
        if not (night_start and self._width):
            return bars[begin:] if self._width else []
        back = range(begin, -1, -1) if self._whole_days else ()
        places = (*back, *range(begin, len(bars)))
        found = next((place for place in places if self._opens_a_day(bars, place)), None)
        if found is None:
            return bars[begin:] if self._whole_days else []
        return bars[found:]

    def _opens_a_day(self, bars: list[Bar], place: int) -> bool:
        """Whether a trading day opens within a bar; hour bars of CFFEX begin before the open.

        The contract's very first bar counts, too: its first day has no night session.
        """
        if place >= len(bars) or (place and bars[place].start == bars[place - 1].end):
            return False
        bar, calendar = bars[place], self._context.calendar
        start = from_ns(bar.start)
        if bar.id == 0:
            return True
        if start.time() < time(9):
            return False
        opening = calendar.sessions(self.symbol, calendar.trading_day_at(start))[0][0]
        return bar.start <= to_ns(opening) < bar.end


def load_together(histories: Sequence[FeedHistory], bars: ChartPort, proof: ProofPort) -> None:
    """Request histories side by side, and wait for all of them.

    Args:
        histories: Those of the feeds of a run; loaded ones cost nothing.
        bars: Waits for the server.
        proof: Proves that nothing is missing behind the histories.

    Raises:
        LinkTimeout: Nothing of them came for a minute.
    """
    missing = [one for one in histories if not one.loaded]
    if not missing:
        return
    everything, told_at = len(missing), monotonic()
    deadline = told_at + HISTORY_TIMEOUT
    while missing:
        # No short cut: each of them requests what it misses.
        if any([one.follow() for one in missing]):
            deadline = monotonic() + HISTORY_TIMEOUT
            missing = [one for one in missing if not one.loaded]
            if monotonic() - told_at >= PROGRESS_EVERY:
                told_at = monotonic()
                logger.info("%d of %d histories have come", everything - len(missing), everything)
            continue
        bars.pump(max(0.0, deadline - monotonic()))
        if monotonic() >= deadline:
            names = ", ".join(one.symbol for one in missing)
            raise LinkTimeout(f"TianQin sent no history of {names} within a minute")
    proof.catch_up(monotonic() + HISTORY_TIMEOUT)
