"""Reads a journal's rows for users: CSV rows, data frames, values for statistics.

Columns have TqSdk's names; times are naive Beijing time, to the millisecond. The journal is read
through a separate connection, while its program runs or afterwards.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from ..core.clock import from_ns
from ..core.model import NAN, Direction, Offset
from ..errors import JournalError
from .connections import connect
from .equity_curve import EquityPoint
from .round_trips import Execution

Row = tuple[Any, ...]

_ORDER_FACTS = """symbol, substr(symbol, 1, instr(symbol, '.') - 1) AS exchange_id,
               substr(symbol, instr(symbol, '.') + 1) AS instrument_id,
               direction, offset, strategy, ref, leg, bar"""
#: kind -> SQL over journal rows after a ``seq``, with the CSV file's column names and order.
LOGS: dict[str, str] = {
    # One row per change: the last row of an order_id is its present state.
    "order": f"""
        SELECT trading_day, exchange_time AS date_time, order_id, exchange_order_id, {_ORDER_FACTS},
               volume_orign, volume_left, limit_price, status, last_msg, seq
        FROM (
            SELECT *, volume AS volume_orign, volume AS volume_left, '' AS exchange_order_id,
                   'INTENT' AS status, '' AS last_msg FROM intents WHERE seq > :seq
        ) UNION ALL
        SELECT trading_day, exchange_time, order_id, exchange_order_id, {_ORDER_FACTS},
               volume_orign, volume_left, limit_price, status, last_msg, seq
        FROM reports WHERE seq > :seq ORDER BY seq""",
    "trade": f"""
        SELECT trading_day, exchange_time AS trade_date_time, trade_id, order_id, {_ORDER_FACTS},
               price, volume, commission, volume_multiple, decision_price, seq
        FROM fills WHERE seq > :seq ORDER BY seq""",
    "equity": """
        SELECT trading_day, exchange_time AS date_time, why, balance, available, margin,
               float_profit, commission, deposit, withdraw, exposure, seq
        FROM equity WHERE seq > :seq ORDER BY seq""",
}
_TIMES = frozenset({"date_time", "trade_date_time", "bar"})

_SETTLED = "SELECT trading_day, balance FROM equity WHERE why = 'settled' AND seq > ?"


def moment(ns: int) -> str:
    """Naive Beijing time as text, empty for 0.

    >>> moment(1794229200500000000)
    '2026-11-09 21:00:00.500'
    """
    return from_ns(ns).isoformat(sep=" ", timespec="milliseconds") if ns else ""


class JournalReader:
    """Reads a journal; its program may be writing it.

    Args:
        path: The SQLite file.

    Raises:
        JournalError: It does not exist, or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            raise JournalError(path, "no records here")
        self._db = connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        self._db.execute("PRAGMA query_only=1")
        self._columns: dict[str, list[str]] = {}

    def close(self) -> None:
        """Close the connection; further calls do nothing."""
        self._db.close()

    def rows(self, statement: str, values: Any = ()) -> Iterator[Row]:
        """The rows of a SQL query.

        Raises:
            JournalError: The file cannot be read.
        """
        try:
            yield from self._db.execute(statement, values)
        except sqlite3.Error as error:
            raise JournalError(self.path, f"cannot be read: {error}") from error

    def log_columns(self, kind: str) -> list[str]:
        """The columns of one of ``LOGS``."""
        if kind not in self._columns:
            try:
                cursor = self._db.execute(f"SELECT * FROM ({LOGS[kind]}) LIMIT 0", {"seq": 0})
            except sqlite3.Error as error:
                raise JournalError(self.path, f"cannot be read: {error}") from error
            self._columns[kind] = [column[0] for column in cursor.description]
        return self._columns[kind]

    def log(self, kind: str, after_seq: int = 0) -> list[Row]:
        """Rows of one of ``LOGS`` with times as text, in order of ``seq``."""
        times = [place for place, name in enumerate(self.log_columns(kind)) if name in _TIMES]
        found = []
        for row in self.rows(LOGS[kind], {"seq": after_seq}):
            cells = list(row)
            for place in times:
                cells[place] = moment(cells[place])
            found.append(tuple(cells))
        return found

    def accounts(self, after_seq: int = 0) -> Iterator[tuple[int, str, dict[str, Any]]]:
        """(seq, trading day, fields) of the latest account row of each trading day."""
        for seq, day, fields in self.rows(
            "SELECT MAX(seq), trading_day, fields FROM accounts WHERE seq > ? GROUP BY trading_day",
            (after_seq,),
        ):
            yield seq, day, json.loads(fields)

    def positions(self, after_seq: int = 0) -> Iterator[tuple[int, str, str, dict[str, Any]]]:
        """(seq, trading day, symbol, fields) of the latest position row of each day and symbol."""
        for seq, day, symbol, fields in self.rows(
            "SELECT MAX(seq), trading_day, symbol, fields FROM positions WHERE seq > ? "
            "GROUP BY trading_day, symbol",
            (after_seq,),
        ):
            yield seq, day, symbol, json.loads(fields)

    def settlements(self, after_seq: int) -> dict[str, float]:
        """trading day -> balance after its settlement, for those that the program saw."""
        return dict(self.rows(_SETTLED, (after_seq,)))

    def executions(self) -> list[Execution]:
        """All fills by time; an unknown fee counts as 0."""
        found = self.rows(
            "SELECT exchange_time, trading_day, symbol, direction, offset, price, volume, "
            "COALESCE(commission, 0.0), volume_multiple, strategy, decision_price FROM fills "
            "ORDER BY exchange_time, seq"
        )
        days: dict[str, date] = {}
        return [
            Execution(
                time, _day(day, days), symbol, Direction(direction), Offset(offset), price, volume,
                commission, multiple, strategy, NAN if decision is None else decision,
            )
            for time, day, symbol, direction, offset, price, volume, commission, multiple,
            strategy, decision in found
        ]  # fmt: skip

    def equity(self) -> list[EquityPoint]:
        """All equity points, in order of writing."""
        days: dict[str, date] = {}
        return [
            EquityPoint(time, _day(day, days), *money)
            for time, day, *money in self.rows(
                "SELECT exchange_time, trading_day, balance, deposit, withdraw, exposure "
                "FROM equity ORDER BY seq"
            )
        ]

    def marks(self, symbol: str) -> list[Row]:
        """(end in nanoseconds, open, high, low, close, volume) of a contract's bars."""
        return list(
            self.rows(
                "SELECT exchange_time, open, high, low, close, volume FROM marks "
                "WHERE symbol = ? ORDER BY exchange_time",
                (symbol,),
            )
        )


def _day(text: str, known: dict[str, date]) -> date:
    if text not in known:
        known[text] = date.fromisoformat(text)
    return known[text]
