"""What a restart reads from a journal: saved states, and the records of an exchange order."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from typing import Any

from ..core.model import NAN, Direction, Fill, Offset, OrderReport

PLAN_COLUMNS = "SELECT seq, kind, key, over, fields FROM plans"
#: The latest row of each key, unless it was over before a day; in order of creation.
PLANS = """
SELECT p.seq, p.kind, p.key, p.over, p.fields
FROM (SELECT MIN(seq) AS first, MAX(seq) AS latest FROM plans GROUP BY kind, key)
JOIN plans p ON p.seq = latest
WHERE p.over = 0 OR p.trading_day >= ? ORDER BY first
"""
INTENT = """
SELECT order_id, symbol, direction, offset, volume, limit_price, trading_day, received_at
FROM intents WHERE order_id = ?
"""
LAST_REPORT = """
SELECT order_id, symbol, direction, offset, volume_orign, volume_left, limit_price, status,
       exchange_order_id, last_msg
FROM reports WHERE order_id = ? ORDER BY seq DESC LIMIT 1
"""
#: The latest report of each order that has an exchange number.
NUMBERED = """
SELECT order_id, symbol, direction, offset, volume_orign, volume_left, limit_price, status,
       exchange_order_id, last_msg
FROM reports WHERE seq IN (
    SELECT MAX(seq) FROM reports WHERE trading_day >= ? AND exchange_order_id != ''
    GROUP BY order_id
)
"""
#: Orders since a day without an exchange number or an end, as they were sent.
UNANSWERED = """
SELECT order_id, symbol, direction, offset, volume, volume,
       CASE WHEN typeof(limit_price) != 'text' THEN limit_price END, 'ALIVE', '', '', exchange_time
FROM intents WHERE trading_day >= ? AND offset != '' AND order_id NOT IN (
    SELECT order_id FROM reports WHERE exchange_order_id != '' OR status = 'FINISHED'
)
"""
FILLS = """
SELECT trade_id, order_id, symbol, direction, offset, price, volume, exchange_time, commission
FROM fills WHERE order_id = ? ORDER BY seq
"""
LAST_POSITIONS = """
SELECT symbol, fields FROM positions
WHERE seq IN (SELECT MAX(seq) FROM positions GROUP BY symbol)
"""
LOTS_SINCE = """
SELECT symbol, CASE WHEN (direction = 'BUY') = (offset = 'OPEN') THEN 'long' ELSE 'short' END,
       SUM(CASE WHEN offset = 'OPEN' THEN volume ELSE -volume END)
FROM fills WHERE seq > ? GROUP BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """A row of ``plans``: state for a restart; ``fields`` is its JSON text."""

    seq: int
    kind: str
    key: str
    over: bool
    fields: dict[str, Any]

    @classmethod
    def of(cls, row: tuple[Any, ...]) -> Plan:
        """Make it from the columns of ``PLAN_COLUMNS``."""
        seq, kind, key, over, fields = row
        return cls(seq, kind, key, bool(over), json.loads(fields))


@dataclass(frozen=True, slots=True)
class RecordedLeg:
    """An exchange order in the journal.

    Attributes:
        meant_at: When its intent was written, our clock, nanoseconds since 1970 UTC.
        report: The latest report, None if there is none.
        fills: The fills in order of arrival.
    """

    order_id: str
    symbol: str
    direction: Direction
    offset: Offset
    volume: int
    limit_price: float | str | None
    trading_day: date
    meant_at: int
    report: OrderReport | None
    fills: tuple[Fill, ...]

    @property
    def filled(self) -> int:
        """The number of filled lots."""
        return sum(fill.volume for fill in self.fills)

    @property
    def over(self) -> bool:
        """Whether its end and all its fills are recorded."""
        report = self.report
        if report is None or report.status != "FINISHED":
            return False
        return self.filled >= report.volume_orign - report.volume_left


def recorded_leg(
    intent: tuple[Any, ...], reports: list[tuple[Any, ...]], fills: list[tuple[Any, ...]]
) -> RecordedLeg:
    """Convert rows of ``INTENT``, ``LAST_REPORT`` and ``FILLS``."""
    order_id, symbol, direction, offset, volume, limit_price, day, meant_at = intent
    return RecordedLeg(
        order_id, symbol, Direction(direction), Offset(offset), volume, limit_price,
        date.fromisoformat(day), meant_at, recorded_report(reports[0]) if reports else None,
        tuple(_fill(row) for row in fills),
    )  # fmt: skip


def recorded_report(row: tuple[Any, ...]) -> OrderReport:
    """Convert a row of ``LAST_REPORT``, ``NUMBERED`` or ``UNANSWERED``."""
    order_id, symbol, direction, offset, orign, left, price, *rest = row
    return OrderReport(
        order_id, symbol, Direction(direction), Offset(offset), orign, left,
        NAN if price is None else price, *rest,
    )  # fmt: skip


def _fill(row: tuple[Any, ...]) -> Fill:
    trade_id, order_id, symbol, direction, offset, price, volume, time, fee = row
    return Fill(
        trade_id, order_id, symbol, Direction(direction), Offset(offset), price, volume, time,
        NAN if fee is None else fee,
    )  # fmt: skip
