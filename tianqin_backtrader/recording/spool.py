"""The rows of a recording that are not in Parquet files yet: a SQLite file, each row once.

A program that is killed loses uncommitted rows only.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from ..core.ports import Row
from ..errors import JournalError
from ..records.connections import connect
from .tracks import KINDS, Kind, is_whole

logger = logging.getLogger(__name__)

NAME = "unwritten.sqlite"
#: Pages of 4 KiB in the write-ahead log before it is written into the file.
_WAL_PAGES = 5_000


def _create_script() -> str:
    tables = [
        f"CREATE TABLE IF NOT EXISTS {kind.name} (symbol TEXT NOT NULL, "
        + ", ".join(f"{name} {'INTEGER' if is_whole(name) else 'REAL'}" for name in kind.columns)
        + ", trading_day TEXT NOT NULL, PRIMARY KEY (symbol, id)) WITHOUT ROWID;"
        for kind in KINDS
    ]
    return "\n".join(
        [
            *tables,
            "CREATE TABLE IF NOT EXISTS instruments (symbol TEXT, trading_day TEXT, fields TEXT, "
            "PRIMARY KEY (symbol, trading_day));",
            "CREATE TABLE IF NOT EXISTS tracks (kind TEXT, symbol TEXT, first_day TEXT, "
            "start INTEGER, PRIMARY KEY (kind, symbol));",
        ]
    )


class RecordingJournal:
    """The journal of one recording, for one program at a time.

    A file that is damaged (by the disk, not by a kill) is moved aside as
    ``unwritten_torn_1.sqlite``; its rows are missing then and are requested again.

    Args:
        folder: The recording's folder.

    Raises:
        JournalError: Another program records into the folder, or it is not writable.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # A separate file, which the system unlocks when the process ends.
            self._lock = connect(folder / "lock.sqlite", timeout=0)
            self._take_lock()
            try:
                self._db = self._open()
            except BaseException:
                self._lock.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise JournalError(self.path, f"cannot be opened: {error}") from error

    def _take_lock(self) -> None:
        try:
            self._lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            self._lock.close()
            raise JournalError(
                self.path, "another program records into this folder; use another path"
            ) from error

    def _open(self) -> sqlite3.Connection:
        try:
            return self._opened()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            number = 1
            while (aside := self.path.with_name(f"unwritten_torn_{number}.sqlite")).exists():
                number += 1
            logger.error("%s is damaged (%s) and moved aside as %s", self.path, error, aside.name)
            self.path.rename(aside)
            for suffix in ("-wal", "-shm"):
                self.path.with_name(NAME + suffix).unlink(missing_ok=True)
            return self._opened()

    def _opened(self) -> sqlite3.Connection:
        db = connect(self.path)
        try:
            found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise sqlite3.DatabaseError(found)
            db.execute("PRAGMA journal_mode=WAL")
            # Trading must not wait for the disk. A power cut may lose some seconds more than a
            # kill; those rows are requested again.
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute(f"PRAGMA wal_autocheckpoint={_WAL_PAGES}")
            db.executescript(_create_script())
        except BaseException:
            db.close()
            raise
        return db

    def add(self, kind: Kind, symbol: str, rows: Iterable[tuple[str, Row]]) -> None:
        """Add rows with their trading days; a row with the same id is replaced."""
        if not self._db.in_transaction:
            self._db.execute("BEGIN")
        marks = ", ".join("?" * (len(kind.columns) + 2))
        self._db.executemany(
            f"INSERT OR REPLACE INTO {kind.name} VALUES ({marks})",
            ((symbol, *row, day) for day, row in rows),
        )

    def commit(self) -> None:
        """Commit the added rows."""
        if self._db.in_transaction:
            self._db.execute("COMMIT")

    def ids(self, kind: Kind, symbol: str) -> list[int]:
        """The ids in the journal, ascending."""
        found = self._db.execute(
            f"SELECT id FROM {kind.name} WHERE symbol = ? ORDER BY id", (symbol,)
        )
        return [row[0] for row in found]

    def parts(self) -> list[tuple[Kind, str, str]]:
        """(kind, symbol, trading day) of the rows, in order of days."""
        found = [
            (kind, symbol, day)
            for kind in KINDS
            for symbol, day in self._db.execute(
                f"SELECT DISTINCT symbol, trading_day FROM {kind.name}"
            )
        ]
        return sorted(found, key=lambda part: (part[2], part[1], part[0].name))

    def rows(self, kind: Kind, symbol: str, day: str) -> list[Row]:
        """The rows of a trading day, by id; NaN is returned as None."""
        return self._db.execute(
            f"SELECT {', '.join(kind.columns)} FROM {kind.name} "
            "WHERE symbol = ? AND trading_day = ? ORDER BY id",
            (symbol, day),
        ).fetchall()

    def forget(self, kind: Kind, symbol: str, day: str) -> None:
        """Delete a trading day's rows after they were written to a file."""
        self.commit()
        self._db.execute(
            f"DELETE FROM {kind.name} WHERE symbol = ? AND trading_day = ?", (symbol, day)
        )

    def put_instrument(self, symbol: str, day: str, fields: str) -> None:
        """Store a contract's specification of a trading day."""
        self._query("INSERT OR REPLACE INTO instruments VALUES (?, ?, ?)", symbol, day, fields)

    def instrument(self, symbol: str, day: str) -> str | None:
        """The specification of a trading day, None if there is none."""
        found = self._query(
            "SELECT fields FROM instruments WHERE symbol = ? AND trading_day = ?", symbol, day
        )
        return found[0][0] if found else None

    def put_track(self, kind: Kind, symbol: str, first_day: str, start: int | None) -> None:
        """Store where a contract's recording begins."""
        self._query(
            "INSERT OR REPLACE INTO tracks VALUES (?, ?, ?, ?)", kind.name, symbol, first_day, start
        )

    def track(self, kind: Kind, symbol: str) -> tuple[str, int | None] | None:
        """(first day, first id) of a contract's recording, None if it has not begun."""
        found = self._query(
            "SELECT first_day, start FROM tracks WHERE kind = ? AND symbol = ?", kind.name, symbol
        )
        return (found[0][0], found[0][1]) if found else None

    def _query(self, statement: str, *values: str | int | None) -> list[sqlite3.Row]:
        return self._db.execute(statement, values).fetchall()

    def close(self) -> None:
        """Commit and release the folder."""
        self.commit()
        self._db.close()
        self._lock.close()
