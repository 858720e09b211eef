"""A feed's history: official bars of the past, and where they end."""

from __future__ import annotations

import logging
from datetime import time
from functools import partial
from typing import Any

from ..calendars.doubted_stamps import can_be, phase_at
from ..core.clock import DAY, from_ns, monotonic, to_ns
from ..core.context import Context
from ..core.model import Bar, Tick
from ..core.ports import ChartPort, ProofPort
from ..errors import LinkTimeout

logger = logging.getLogger(__name__)

#: Older bars asked for at a time.
LARGEST_REQUEST = 8_000
#: A newest tick of this age is of another time: no holiday is so long.
ANOTHER_TIME = 30 * DAY
#: Minutes in the longest trading day, with a night session to 2:30; rounded up.
LONGEST_DAY = 600
#: Seconds without an answer after which loading fails.
HISTORY_TIMEOUT = 60.0


class FeedHistory:
    """The past of one contract.

    Args:
        context: Calendar and time.
        bars: Rows of the past.
        proof: Knows until when market data are complete.
        symbol: The contract.
        klines, ticks: The server's rows.
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
        ticks: Any,
        width: int,
        *,
        whole_days: bool,
    ) -> None:
        self._context, self._bars, self._proof, self._symbol = context, bars, proof, symbol
        self._klines, self._ticks, self._width = klines, ticks, width
        self._whole_days = whole_days and width > 0
        self._first_id = 0

    def load(self) -> None:
        """Request the history, in as many requests as it takes, and wait for it.

        Raises:
            LinkTimeout: No answer came within a minute.
        """
        self._await(self._klines, self._ticks)
        charts = self._bars.charts
        margin = LONGEST_DAY if self._whole_days else 0
        first_id = max(0, self._klines.last_id - self._width - margin)
        left_id = self._klines.left_id
        while self._width and left_id > first_id:
            width = min(left_id - first_id, LARGEST_REQUEST)
            left_id -= width
            here = 1 - (left_id - first_id) / max(1, self._klines.last_id - first_id)
            logger.info("%s: asking for %.0f %% of the history", self._symbol, 100 * here)
            older = charts.older(self._klines, left_id, width)
            self._await(older)
            charts.drop(older)
        self._first_id = left_id
        self._join_the_servers_time()
        self._proof.catch_up(monotonic() + HISTORY_TIMEOUT)

    def _await(self, *series: Any) -> None:
        deadline = monotonic() + HISTORY_TIMEOUT
        while not all(one.ready for one in series):
            self._bars.pump(max(0.0, deadline - monotonic()))
            if monotonic() >= deadline:
                raise LinkTimeout(f"TianQin sent no history of {self._symbol} within a minute")

    def _join_the_servers_time(self) -> None:
        """Set the clock to a server that replays the past: its newest tick is months old."""
        clock, last_id = self._context.clock, self._ticks.last_id
        newest = self._ticks.ticks(last_id, last_id) if last_id >= 0 else []
        if newest and not clock.trusted and newest[0].time < clock.now_ns() - ANOTHER_TIME:
            clock.join(newest[0].time)

    def final_and_running(self) -> tuple[list[Bar], Bar | None]:
        """Return the official bars that are finished, and the running one."""
        last_id = self._klines.last_id
        if last_id < 0:
            return [], None
        bars: list[Bar] = self._klines.bars(self._first_id, last_id)
        if bars and bars[-1].id == last_id and bars[-1].end > self.passed():
            return bars[:-1], bars[-1]
        return bars, None

    def passed(self) -> int:
        """Return until when market data are complete, nanoseconds.

        That is the timestamp of a tick, or the time of a request that the server has answered. The
        machine's clock alone does not make a bar history.
        """
        if self._context.clock.virtual:
            return int(self._context.clock.now_ns())
        last_id = self._ticks.last_id
        newest: list[Tick] = self._ticks.ticks(last_id, last_id) if last_id >= 0 else []
        phase_of = partial(phase_at, self._context.calendar, self._symbol)
        stamps = [
            one.time - 1 for one in newest if can_be(self._context.clock, one.time, phase_of)
        ]  # fmt: skip
        alive_at: int = self._proof.alive_at(self._symbol)
        return max(alive_at, *stamps, 0)

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
        opening = calendar.sessions(self._symbol, calendar.trading_day_at(start))[0][0]
        return bar.start <= to_ns(opening) < bar.end
