"""The journal's file: opened by one program at a time, checked, written in transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Self

from ..core.clock import Clock, WallClock
from ..errors import JournalError
from .connections import connect
from .journal_schema import (
    SCHEMA_VERSION,
    TABLES,
    columns,
    create_script,
    insert_statement,
    upgrade_script,
)

_INSERT = {table: insert_statement(table) for table in TABLES}
#: Pages of 4 KiB after which an order waits for the disk if ``tidy`` was not called before.
_WAL_PAGES = 20_000
_CANNOT_WRITE = "cannot be written, so nothing may be sent"


class JournalFile:
    """Rows of ``TABLES``, added and never changed; arguments and errors as for ``Journal``."""

    def __init__(
        self,
        path: str | Path,
        *,
        account: str = "",
        clock: Clock | None = None,
        synchronous: str = "NORMAL",
    ) -> None:
        self.path = Path(path)
        self._clock = clock or WallClock()
        self._lock: sqlite3.Connection | None = None
        self._db: sqlite3.Connection | None = None
        with self._errors("cannot be opened"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._take_lock()
                self._open(account, synchronous)
            except BaseException:
                self.close()
                raise

    # -- opening ------------------------------------------------------------------------------

    def _take_lock(self) -> None:
        # A separate file, which the system unlocks when the process ends. Readers need no lock.
        beside = self.path.with_name(self.path.name + "-lock")
        self._lock = connect(beside, timeout=0)
        try:
            self._lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise  # a full disk, a read-only folder
            raise JournalError(
                self.path,
                "another program is writing these records; one program at a time for each "
                "account and strategy (set another strategy_name, or close the earlier "
                "store if it is in this program)",
            ) from error

    def _open(self, account: str, synchronous: str) -> None:
        self._db = db = connect(self.path)
        found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise JournalError(
                self.path, f"written by a newer version of this library (schema {version})"
            )
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(f"PRAGMA synchronous={synchronous}")
        db.execute(f"PRAGMA wal_autocheckpoint={_WAL_PAGES}")
        if version < SCHEMA_VERSION:
            db.executescript(
                f"BEGIN; {upgrade_script(version)} {create_script()} "
                f"PRAGMA user_version={SCHEMA_VERSION};COMMIT"
            )
        self._check_account(account)
        # ``seq`` continues over all tables; times never go back, even if the clock is set back.
        newest = " UNION ALL ".join(
            f"SELECT * FROM (SELECT seq, received_at FROM {table} ORDER BY seq DESC LIMIT 1)"
            for table in (*TABLES, "state")
        )
        row = db.execute(f"SELECT MAX(seq), MAX(received_at) FROM ({newest})").fetchone()
        self._seq, self._received = row[0] or 0, row[1] or 0

    def _check_account(self, account: str) -> None:
        known = self.query("SELECT value FROM meta WHERE key = 'account'")
        if account and known and known[0][0] != account:
            raise JournalError(
                self.path,
                f"holds the records of account {_short(known[0][0])}, not of {_short(account)}; "
                "give this program another strategy_name",
            )
        if account and not known:
            self.query("INSERT INTO meta VALUES ('account', ?)", account)

    # -- rows -------------------------------------------------------------------------------------

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise JournalError(self.path, "was closed")
        return self._db

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run one SQL statement and return its rows; for questions that no method answers.

        Args:
            statement: SQL over the tables of docs/journal.md, with ``?`` for each value.
            values: The values for the ``?``.

        Raises:
            JournalError: The SQL is invalid, or the file cannot be read or was closed.
        """
        with self._errors("cannot be read or written"):
            return self._connection.execute(statement, values).fetchall()

    def stamp(self) -> tuple[int, int]:
        """The next ``seq`` and the time of receipt, which never goes back."""
        self._seq += 1
        self._received = max(self._received, self._clock.now_ns())
        return self._seq, self._received

    def _add(self, table: str, exchange_time: int, trading_day: date, *values: object) -> bool:
        stamp = (*self.stamp(), exchange_time, trading_day.isoformat())
        with self._errors(_CANNOT_WRITE):
            row = (*stamp, *values)
            return self._connection.execute(_INSERT[table], row).rowcount == 1

    def last(self, table: str) -> dict[str, Any] | None:
        """The latest row of a table, by column; None if there is none."""
        rows = self.query(f"SELECT * FROM {table} ORDER BY seq DESC LIMIT 1")
        return dict(zip(columns(table), rows[0], strict=True)) if rows else None

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make one transaction of several calls: all of them are recorded, or none."""
        db = self._connection
        with self._errors(_CANNOT_WRITE):
            if db.in_transaction:
                yield
                return
            db.execute("BEGIN IMMEDIATE")
            try:
                yield
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                self._forget()
                raise

    def _forget(self) -> None:
        """Forget cached state of a transaction that was rolled back."""

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            damaged = type(error) is sqlite3.DatabaseError
            advice = (
                "; it is damaged: move it away with its -wal and -shm files, and start again"
                if damaged
                else ""
            )
            raise JournalError(self.path, f"{what}: {error}{advice}") from error

    def tidy(self) -> None:
        """Write the WAL into the main file, which waits for the disk; for use between sessions."""
        self.query("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        """Release the file; further calls do nothing."""
        for connection in (self._db, self._lock):
            if connection is not None:
                connection.close()
        self._db = self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _short(account: str) -> str:
    """The part of an account's number that may be shown."""
    return account if len(account) <= 4 else f"...{account[-4:]}"
