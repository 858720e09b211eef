"""Ticks per second that are recorded, against what bare tqsdk delivers; bytes per tick; reading.

Run with ``python -m pytest -m bench -s tests/bench/test_recorder_speed.py``. Both sides take the
same ticks from a sandbox of the same seed, in turn; what means something are the ratios.
"""

import statistics
import time

import pytest
from bare_client import bare_rate
from test_tick_path import DAYS, ROUNDS, START, contracts

from tianqin_backtrader import MyStore
from tianqin_backtrader.recording.parquet_files import RecordingFiles
from tianqin_backtrader.recording.spool import RecordingJournal
from tianqin_backtrader.recording.tracks import MINUTES, TICKS
from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox

#: Symbols, market steps in a pack, ticks to take.
CASES = ((1, 1, 4000), (10, 1, 6000), (50, 1, 8000), (1, 20, 10_000), (10, 20, 20_000))
#: Below it something is broken: the bare client's frames cost more than the recorder's rows.
FLOOR = 0.8
#: Ticks of a busy contract's day.
BUSY_DAY = 41_400


def delivered(symbols, per_pack, wanted):
    """Ticks per second of the bare client that is sent the same: ticks, minutes and days."""
    with EmbeddedSandbox(start=START, days=DAYS, ticks_per_pack=per_pack) as server:
        return bare_rate(server, symbols, wanted, (60, 86400))


def recorded(symbols, per_pack, wanted, path):
    """Ticks per second into the journal, minutes and days included."""
    with MyStore.sandbox(start=START, days=DAYS, ticks_per_pack=per_pack) as store:
        recorder = store.record(symbols, path)
        while not recorder.caught_up:  # the day so far, from the history
            store.pump(0.5)
        first, began = recorder.rows_written, time.perf_counter()
        while recorder.rows_written - first < wanted:
            store.pump(0.5)
        rate = (recorder.rows_written - first) / (time.perf_counter() - began)
        assert not recorder.failed
    return rate


@pytest.mark.bench
@pytest.mark.timeout(1800)
def test_recorder_against_bare_client(tmp_path):
    names, broken = contracts(50), []
    print("\nsymbols  steps/pack  bare ticks/s  recorded ticks/s  ratio")
    for count, per_pack, wanted in CASES:
        symbols = names[:count]
        pairs = [
            (
                delivered(symbols, per_pack, wanted),
                recorded(symbols, per_pack, wanted, tmp_path / f"{count}_{per_pack}_{turn}"),
            )
            for turn in range(ROUNDS)
        ]
        ratio = statistics.median(ours / theirs for theirs, ours in pairs)
        theirs = statistics.median(pair[0] for pair in pairs)
        ours = statistics.median(pair[1] for pair in pairs)
        print(f"{count:7d}  {per_pack:10d}  {theirs:12.0f}  {ours:16.0f}  {ratio:5.2f}", flush=True)
        if ratio < FLOOR:
            broken.append((count, per_pack, ratio))
    assert broken == []


@pytest.mark.bench
@pytest.mark.timeout(600)
def test_bytes_and_reading_of_a_busy_day(tmp_path):
    symbol, day = "SHFE.cu2612", "2026-11-10"
    with MyStore.sandbox(start=f"{day} 14:55:00", ticks_per_pack=50) as store:
        store.record(symbol, tmp_path / "day").run()
    files = RecordingFiles(tmp_path / "day")
    rows = [tuple(row.values()) for row in files.read(TICKS, symbol, day).to_pylist()]
    size = files.path(TICKS, symbol, day).stat().st_size
    print(f"\n{len(rows)} ticks of the sandbox: {size / len(rows):.1f} bytes a tick")
    busy = [
        (row_id, rows[0][1] + row_id * 500_000_000, *rows[row_id % len(rows)][2:])
        for row_id in range(BUSY_DAY)
    ]
    journal = RecordingJournal(tmp_path / "busy")
    began = time.perf_counter()
    journal.add(TICKS, symbol, [(day, row) for row in busy])
    journal.commit()
    journalled = time.perf_counter()
    files = RecordingFiles(tmp_path / "busy")
    files.merge(TICKS, symbol, day, journal.rows(TICKS, symbol, day), None)
    written = time.perf_counter()
    journal.close()
    print(
        f"{BUSY_DAY} ticks: journal {BUSY_DAY / (journalled - began):.0f} ticks/s, "
        f"to a file in {1000 * (written - journalled):.0f} ms"
    )
    times = []
    for _ in range(5):
        began = time.perf_counter()
        frame = files.read(TICKS, symbol, day).to_pandas()
        times.append(time.perf_counter() - began)
        assert len(frame) == BUSY_DAY
    print(f"reading them back into pandas: {1000 * statistics.median(times):.0f} ms")
    assert MINUTES.name in {path.name for path in (tmp_path / "day").iterdir()}
