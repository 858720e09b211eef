"""The values that a journal stores and returns."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

from ..core.model import NAN, Direction, Offset


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an order comes from: the strategy, its order, that order's leg, and the bar.

    ``ref`` is Backtrader's number of the order, ``leg`` counts from 0, ``bar`` is the bar's end in
    nanoseconds since 1970 UTC (0 without one). ``decision_price`` is the price on which the
    strategy decided, NaN if unknown; slippage is measured from it.
    """

    strategy: str = ""
    ref: int = 0
    leg: int = 0
    bar: int = 0
    decision_price: float = NAN


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order whose end is not recorded. ``status`` is "" if there is no report.

    ``filled`` counts the lots of recorded fills: a FINISHED order is still open while fills of it
    are missing.
    """

    order_id: str
    symbol: str
    direction: Direction
    offset: Offset
    volume: int
    limit_price: float | str | None
    filled: int
    status: str
    exchange_order_id: str
    trading_day: date
    origin: Origin


OPEN_ORDERS = """
SELECT i.order_id, i.symbol, i.direction, i.offset, i.volume, i.limit_price,
       COALESCE((SELECT SUM(f.volume) FROM fills f WHERE f.order_id = i.order_id), 0) AS filled,
       COALESCE(r.status, ''), COALESCE(r.exchange_order_id, ''), i.trading_day,
       i.strategy, i.ref, i.leg, i.bar, i.decision_price
FROM intents i LEFT JOIN reports r
  ON r.seq = (SELECT MAX(seq) FROM reports WHERE order_id = i.order_id)
WHERE i.offset != '' AND filled < i.volume
  AND (r.status IS NULL OR r.status != 'FINISHED' OR filled < r.volume_orign - r.volume_left)
ORDER BY i.seq
"""


def open_order(row: tuple[Any, ...]) -> OpenOrder:
    """Convert a row of ``OPEN_ORDERS``."""
    order_id, symbol, direction, offset, volume, limit_price, filled, status, exchange_id = row[:9]
    return OpenOrder(
        order_id, symbol, Direction(direction), Offset(offset), volume, limit_price,
        filled, status, exchange_id, date.fromisoformat(row[9]), to_origin(row[10:]),
    )  # fmt: skip


def to_origin(row: tuple[Any, ...]) -> Origin:
    """Convert strategy, ref, leg, bar, decision_price; SQLite stores NaN as NULL."""
    strategy, ref, leg, bar, price = row
    return Origin(strategy, ref, leg, bar, NAN if price is None else price)


def to_json(fields: Mapping[str, object]) -> str:
    """Fields as JSON text; NaN becomes null."""
    plain = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in fields.items()
        if not name.startswith("_")
    }
    return json.dumps(plain, ensure_ascii=False, default=str)


class _Journal(Protocol):
    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]: ...
    def stamp(self) -> tuple[int, int]: ...


class State(MutableMapping[str, Any]):
    """State of a strategy that survives a restart: texts as keys, JSON as values.

    Each assignment is recorded when it returns. A key has only its latest value.
    """

    def __init__(self, journal: _Journal) -> None:
        self._journal = journal

    def __getitem__(self, key: str) -> Any:
        rows = self._journal.query("SELECT value FROM state WHERE key = ?", key)
        if not rows:
            raise KeyError(key)
        return json.loads(rows[0][0])

    def __setitem__(self, key: str, value: Any) -> None:
        text = json.dumps(value, ensure_ascii=False)
        self._journal.query(
            "INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?)", key, text, *self._journal.stamp()
        )

    def __delitem__(self, key: str) -> None:
        self[key]  # KeyError
        self._journal.query("DELETE FROM state WHERE key = ?", key)

    def __iter__(self) -> Iterator[str]:
        return iter([key for (key,) in self._journal.query("SELECT key FROM state ORDER BY key")])

    def __len__(self) -> int:
        count: int = self._journal.query("SELECT COUNT(*) FROM state")[0][0]
        return count
