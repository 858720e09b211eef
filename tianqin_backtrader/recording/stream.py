"""One contract's rows of one kind, as they arrive: which of them are new and final."""

from __future__ import annotations

from ..core.clock import MINUTE, NEVER, from_ns, to_ns
from ..core.context import Context
from ..core.ports import ChartPort, Row, Rows
from ..errors import ConfigError
from .tracks import DAYS, MINUTES, TICKS, DayOfTime, Kind, Track

#: Newest rows that are subscribed to; older ones are requested.
WIDTHS = {TICKS: 500, MINUTES: 600, DAYS: 10}
#: A bar without a successor is final this long after its trading ends.
AFTERWARDS = MINUTE


class Stream:
    """One contract's rows of one kind.

    Args:
        context: Has the calendar.
        bars: Returns rows of ticks and bars.
        kind, symbol: Which rows.
        track: Which of them are recorded.
        day_of: Returns trading days.
    """

    def __init__(
        self,
        context: Context,
        bars: ChartPort,
        kind: Kind,
        symbol: str,
        track: Track,
        day_of: DayOfTime,
    ) -> None:
        self._context, self.kind, self.symbol, self.track = context, kind, symbol, track
        self._day_of = day_of
        self.series = bars.charts.series(symbol, kind.seconds, WIDTHS[kind])
        self._taken = track.have.last
        self._running: tuple[int, int] = (-1, NEVER)
        self._calls = 0

    def new_rows(self, alive_at: int) -> list[tuple[str, Row]]:
        """The rows that have become final since the last call.

        Raises:
            ConfigError: The recorded rows are of another market.
        """
        last_id = self.series.last_id
        if last_id < 0:
            return []
        self._calls += 1
        if self._calls == 1 and last_id < self._taken:
            raise ConfigError(
                f"the folder has {self.kind.name} of {self.symbol} up to id {self._taken}, this "
                f"market ends with {last_id}: it is another market's, choose another folder"
            )
        final_id = last_id if self.kind is TICKS else self._final_id(last_id, alive_at)
        if final_id <= self._taken:
            return []
        self.track.see(self.series.left_id, final_id)
        # A bar is recorded again together with the next one: its final values may come late.
        again = self._taken if self.kind is not TICKS else NEVER
        first = min(self._taken + 1, again) if self._taken >= 0 else self.series.left_id
        rows = self.pick(self.series, first, final_id, again)
        self._taken = final_id
        return rows

    @property
    def live(self) -> bool:
        """Whether the latest rows have just happened; the first ones may be days old."""
        return self._calls > 1

    def pick(
        self, series: Rows, first_id: int, last_id: int, again: int = NEVER
    ) -> list[tuple[str, Row]]:
        """The rows of a series in a range that must be written."""
        rows = series.rows(max(0, first_id), last_id, self.kind.fields)
        dated = [(self._day_of(int(row[1])), row) for row in rows if row[1]]
        return self.track.take(dated, again)

    def _final_id(self, last_id: int, alive_at: int) -> int:
        if self._running[0] != last_id:
            rows = self.series.rows(last_id, last_id, self.kind.fields)
            if not rows:
                return last_id - 1
            self._running = (last_id, self._end(int(rows[0][1])) + AFTERWARDS)
        return last_id if alive_at > self._running[1] else last_id - 1

    def _end(self, start: int) -> int:
        if self.kind is MINUTES:
            return start + MINUTE
        sessions = self._context.calendar.sessions(self.symbol, from_ns(start).date())
        return to_ns(sessions[-1][1])

    @property
    def next_close(self) -> int:
        """When the running bar is final without a successor, nanoseconds."""
        running_id, final_at = self._running
        return final_at if running_id > self._taken else NEVER
