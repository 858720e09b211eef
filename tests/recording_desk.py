"""Recordings in tests: what the exchange itself has, and the recorder as a process of its own."""

import os
import signal
import subprocess
import sys

from tianqin_backtrader.recording.parquet_files import RecordingFiles
from tianqin_backtrader.recording.tracks import DAYS, KINDS, MINUTES, TICKS


def official_rows(server, kind, symbol, day):
    """The exchange's own rows of a trading day; ``"-"`` is no value."""
    if kind is TICKS:
        rows = server.ticks(symbol, trading_day=day)
    else:
        rows = server.bars(symbol, kind.seconds, trading_day=day)
    return [{name: None if value == "-" else value for name, value in row.items()} for row in rows]


def recorded_rows(path, kind, symbol, day):
    """The rows of a file."""
    return RecordingFiles(path).read(kind, symbol, str(day)).to_pylist()


def assert_recorded_exactly(path, server, symbols, days):
    """The files hold what the exchange has, every row once, in order; count the rows."""
    count = 0
    for symbol in symbols:
        for kind in (TICKS, MINUTES, DAYS):
            files = RecordingFiles(path)
            assert files.days(kind, symbol) == [str(day) for day in days]
            for day in days:
                official = official_rows(server, kind, symbol, day)
                recorded = recorded_rows(path, kind, symbol, day)
                names = list(official[0])
                ours = [{name: row[name] for name in names} for row in recorded]
                assert [row["id"] for row in ours] == [row["id"] for row in official]
                assert ours == official, (symbol, kind.name, day)
                types = [[type(value) for value in row.values()] for row in ours]
                assert types == [[type(value) for value in row.values()] for row in official]
                count += len(ours)
    return count


def record_process(server, symbols, path):
    """``python -m tianqin_backtrader record`` on a sandbox."""
    environment = {**os.environ, **server.urls, "TQ_USER": "u", "TQ_PASS": "p"}
    command = [
        sys.executable,
        "-m",
        "tianqin_backtrader",
        "-v",
        "record",
        *symbols,
        "--path",
        str(path),
    ]
    return subprocess.Popen(
        command,
        env=environment | {"no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def kill_at_step(process, server, step):
    """``kill -9`` when the market has made so many steps; False if the process was done before."""
    while process.poll() is None:
        if server.state()["steps"] >= step:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()
            return True
    return False


def finish(process, seconds=300):
    """Wait for the end of a recorder; its words."""
    words, _ = process.communicate(timeout=seconds)
    assert process.returncode == 0, words
    return words


def parts(path):
    """(kind, symbol, day) of all files of a recording."""
    files = RecordingFiles(path)
    return [
        (kind, symbol, day)
        for kind in KINDS
        for symbol in files.symbols(kind)
        for day in files.days(kind, symbol)
    ]
