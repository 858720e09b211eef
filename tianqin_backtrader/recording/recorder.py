"""``Recorder``: writes a session's ticks and official bars to disk, each row once.

It is called at every wait of the store and never waits itself. Rows go into a journal that is
committed every second; a finished trading day is moved from there to Parquet files. Missing ids are
requested from TianQin's history. ``MyStore.record`` creates it.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from ..calendars.doubted_stamps import DoubtedStamps, phase_at
from ..contracts.instrument_provider import Answer
from ..core.clock import monotonic, to_ns
from ..core.model import Instrument
from ..core.ports import Row, Rows
from ..errors import ConfigError, JournalError, TianqinError
from ..records.csv_log import csv_lines, replace_file
from .parquet_files import RecordingFiles, arrow_errors
from .ports import RecorderPorts
from .spool import RecordingJournal
from .stream import Stream
from .tracks import (
    KINDS,
    TICKS,
    DayOfTime,
    Kind,
    Span,
    Track,
    instrument_fields,
)  # fmt: skip

logger = logging.getLogger(__name__)

#: Seconds after which rows are committed, and after which a request is repeated.
COMMIT_EVERY, ANSWER_TIMEOUT = 1.0, 60.0
#: Ticks that the client keeps per contract, and waits after which it drops older ones.
ROWS_KEPT, RELEASE_EVERY = 1000, 500


class Recorder:
    """Records contracts of a session; created by ``MyStore.record``.

    Args:
        ports: The parts of the session that it needs.
        symbols: Contracts, main contracts, indexes.
        path: The recording's folder; it may have earlier days.

    Attributes:
        symbols: As given.
        failed: Why the recording has stopped, "" if it has not.
        rows_written: Rows recorded in this session.

    Raises:
        UnknownSymbol: There is no such contract.
        JournalError: The folder is not writable, or another program records into it.
        ConfigError: pyarrow is missing, or no contract was named.
    """

    def __init__(self, ports: RecorderPorts, symbols: Iterable[str], path: str | Path) -> None:
        self.symbols = tuple(dict.fromkeys([symbols] if isinstance(symbols, str) else symbols))
        if not self.symbols:
            raise ConfigError("name at least one contract to record, such as KQ.m@SHFE.cu")
        self._context, self._gateway = ports.context, ports.gateway
        self._link, self._waits = ports.link, ports.waits
        context, calendar = ports.context, ports.context.calendar
        found = context.instruments(self.symbols)
        instruments = dict(zip(self.symbols, found, strict=True))
        self._files = RecordingFiles(path)
        self._errors: tuple[type[Exception], ...] = (
            sqlite3.Error, OSError, TianqinError, *arrow_errors()
        )  # fmt: skip
        self.folder = self._files.folder
        self._journal = RecordingJournal(self.folder)
        self.failed, self.rows_written, self._closed = "", 0, False
        self._day_of = DayOfTime(calendar)
        self._stamps = {
            symbol: DoubtedStamps(context.clock, partial(phase_at, calendar, symbol))
            for symbol in self.symbols
        }
        self._asked: dict[tuple[str, str], tuple[float, Answer]] = {}
        self._instruments: set[tuple[str, str]] = set()
        self._request: tuple[Stream, Span, Rows, float] | None = None
        self._starts: dict[Stream, int] = {}
        self._turn, self._takes, self._sessions = 0, 0, self._link.sessions
        self._committed = monotonic()
        self._today = self._day_of(to_ns(context.now()))
        try:
            self._begin(instruments)
        except self._errors as error:
            self._journal.close()
            raise JournalError(self.folder, f"cannot be continued: {error}") from error
        logger.info("recording %s into %s", ", ".join(self.symbols), self.folder)

    def _begin(self, instruments: dict[str, Instrument]) -> None:
        """Repair damage of a crash, and read what is recorded."""
        self._files.repair()
        self._parts = dict.fromkeys(self._journal.parts())
        for symbol, instrument in instruments.items():
            self._keep_instrument(symbol, self._today, instrument)
        self._instruments.clear()  # yesterday's in the evening: the first tick requests them
        self._streams = [
            self._stream(kind, symbol, self._today) for symbol in self.symbols for kind in KINDS
        ]

    def _stream(self, kind: Kind, symbol: str, today: str) -> Stream:
        have = self._files.ids(kind, symbol)
        have.add_ids(self._journal.ids(kind, symbol))
        known = self._journal.track(kind, symbol)
        if known is None:
            days = self._files.days(kind, symbol)
            # For a folder without its journal the recording begins with the first row.
            known = (days[0], have.first) if days else (today, None)
            self._journal.put_track(kind, symbol, *known)
        first_day, start = known
        track = Track(have, start, first_day)
        return Stream(self._context, self._gateway, kind, symbol, track, self._day_of)

    # -- called by the store ------------------------------------------------------------------

    def take(self) -> list[tuple[str, int]]:
        """Record new rows; returns contracts and the stamps of their newest live ticks.

        Errors are not raised: a recording that fails must not end the trading beside it.
        """
        if self.failed or self._closed:
            return []
        try:
            return self._take()
        except self._errors as error:
            self.failed = f"{type(error).__name__}: {error}"
            logger.exception("the recording into %s has stopped", self.folder)
            self._context.notify(f"the recording has stopped: {self.failed}")
            return []

    def _take(self) -> list[tuple[str, int]]:
        if self._link.sessions != self._sessions:
            self._sessions = self._link.sessions
            self._asked.clear()  # requests of the old session
            for stream in self._streams:
                stream.track.try_again()
        stamps = []
        for stream in self._streams:
            rows = stream.new_rows(self._waits.alive_at(stream.symbol))
            if rows:
                self._write(stream, rows)
                if stream.kind is TICKS:
                    day, newest = rows[-1]
                    stamp = int(newest[1])
                    if stream.live and self._stamps[stream.symbol].believes(stamp):
                        stamps.append((stream.symbol, stamp))
                    self._need_instrument(stream.symbol, day)
        if self._gateway.connected:
            self._take_instruments()
            self._repair()
        if monotonic() - self._committed > COMMIT_EVERY:
            self._journal.commit()
            self._committed = monotonic()
        self._end_a_day()
        self._takes += 1
        if self._takes % RELEASE_EVERY == 0:
            for stream in self._streams:
                if stream.kind is TICKS:
                    self._gateway.charts.release(stream.series, ROWS_KEPT)
        return stamps

    @property
    def dues(self) -> list[tuple[str, int]]:
        """Contracts, and when their running bars are final without a successor, nanoseconds."""
        return [(stream.symbol, stream.next_close) for stream in self._streams]

    def _write(self, stream: Stream, rows: list[tuple[str, Row]]) -> None:
        self._journal.add(stream.kind, stream.symbol, rows)
        self.rows_written += len(rows)
        for day in {day for day, _ in rows}:
            self._parts[stream.kind, stream.symbol, day] = None

    # -- missing rows -------------------------------------------------------------------------

    def _repair(self) -> None:
        """Request missing rows, one range at a time, and record the answers."""
        if self._request is None:
            self._next_request()
            return
        stream, span, asked, since = self._request
        came = asked.ready
        # Piece by piece: rows that the client drops before the answer is complete are lost.
        rows = stream.pick(asked, *span) if stream.series.last_id >= 0 else []
        if rows:
            self._write(stream, rows)
        if not came and monotonic() - since < ANSWER_TIMEOUT:
            return
        charts = self._gateway.charts
        charts.drop(asked)
        if stream.kind is TICKS:
            charts.forget(stream.series, span[0], min(span[1], stream.series.last_id - ROWS_KEPT))
        if came:
            stream.track.answered(span)
        self._request = None

    def _next_request(self) -> None:
        for _ in self._streams:
            stream = self._streams[self._turn % len(self._streams)]
            self._turn += 1
            track = stream.track
            if (track.whole and stream in self._starts) or stream.series.last_id < 0:
                continue
            track.seek()
            self._keep_start(stream)
            span = track.askable()
            if span is not None:
                logger.info("%s: requesting %s %d to %d", stream.symbol, stream.kind.name, *span)
                width = span[1] - span[0] + 1
                asked = self._gateway.charts.older(stream.series, span[0], width)
                self._request = (stream, span, asked, monotonic())
                return

    def _keep_start(self, stream: Stream) -> None:
        track, start = stream.track, stream.track.start
        if start is not None and start != self._starts.get(stream):
            self._starts[stream] = start
            self._journal.put_track(stream.kind, stream.symbol, track.first_day, start)

    # -- specifications -----------------------------------------------------------------------

    def _need_instrument(self, symbol: str, day: str) -> None:
        key = (symbol, day)
        if key in self._instruments or key in self._asked or not self._gateway.connected:
            return
        if day == self._day_of(to_ns(self._context.now())):  # TianQin reports only today's
            self._asked[key] = monotonic(), self._gateway.queries.ask_instruments([symbol])

    def _take_instruments(self) -> None:
        for key, (since, answer) in list(self._asked.items()):
            found = answer()
            if found:
                self._keep_instrument(*key, found[key[0]])
            if found is not None or monotonic() - since > ANSWER_TIMEOUT:
                del self._asked[key]

    def _keep_instrument(self, symbol: str, day: str, instrument: Instrument) -> None:
        self._instruments.add((symbol, day))
        fields = json.dumps(instrument_fields(instrument), ensure_ascii=False)
        self._journal.put_instrument(symbol, day, fields)

    # -- into files ---------------------------------------------------------------------------

    def _end_a_day(self) -> None:
        """Write one finished trading day to a file, if there is any."""
        now = self._context.clock.now_ns()
        if now:
            self._today = self._day_of(now)
        for part in self._parts:
            if part[2] < self._today and not self._is_busy(part):
                self._to_file(*part)
                del self._parts[part]
                self._list_holes()
                return

    def _is_busy(self, part: tuple[Kind, str, str]) -> bool:
        """Whether rows of it are being requested, after which it would be rewritten."""
        stream = self._request[0] if self._request is not None else None
        return stream is not None and (stream.kind, stream.symbol) == part[:2]

    def _to_file(self, kind: Kind, symbol: str, day: str) -> None:
        self._journal.commit()
        rows = self._journal.rows(kind, symbol, day)
        self._files.merge(kind, symbol, day, rows, self._journal.instrument(symbol, day))
        self._journal.forget(kind, symbol, day)
        logger.info("%s of %s, %s: %d rows to a file", kind.name, symbol, day, len(rows))

    def _list_holes(self) -> None:
        lines = csv_lines([("kind", "symbol", "first_id", "last_id"), *self.holes()])
        replace_file(self.folder / "holes.csv", lines)

    def holes(self) -> list[tuple[str, str, int, int]]:
        """The missing rows: (kind, symbol, first id, last id)."""
        return [
            (stream.kind.name, stream.symbol, *span)
            for stream in self._streams
            for span in stream.track.holes
        ]

    @property
    def caught_up(self) -> bool:
        """Whether all available past rows are recorded."""
        return self._request is None and all(
            stream.track.complete and stream.series.ready for stream in self._streams
        )

    @property
    def closed(self) -> bool:
        """Whether it is closed, so that the store may record again."""
        return self._closed

    @property
    def complete(self) -> bool:
        """Whether the market has ended and everything available is recorded."""
        newest = all(one.track.newest >= one.series.last_id for one in self._streams)
        return newest and self.caught_up and not self._asked

    # -- life ---------------------------------------------------------------------------------

    def run(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Record until ``stopped`` or the end of a market of finite days, and do nothing else.

        Raises:
            JournalError: The recording has failed.
            LinkError: The session cannot be renewed.
        """
        while not stopped() and not (self._waits.market_over and self.complete):
            self._waits.pump(0.5)
            if self.failed:
                raise JournalError(self.folder, f"the recording has stopped: {self.failed}")

    def close(self) -> None:
        """Write everything into files, and the list of holes; further calls do nothing."""
        if self._closed:
            return
        if not self.failed and self._gateway.connected:
            self.take()
        self._closed = True
        try:
            for part in list(self._parts):
                self._to_file(*part)
            self._list_holes()
        except self._errors as error:
            raise JournalError(self.folder, f"cannot be written: {error}") from error
        finally:
            self._journal.close()
        logger.info("recorded %d rows into %s", self.rows_written, self.folder)
