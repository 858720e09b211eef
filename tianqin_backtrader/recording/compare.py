"""Compares two days: ``python -m tianqin_backtrader compare DIR_A DIR_B``.

It compares what both folders have: of a recording the ticks, minutes and days of the same contract
and trading day (bars without TianQin's ids, which a replay numbers anew), and of records
``order.csv`` and ``trade.csv`` without ids of orders and trades: what the strategy did.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..core.clock import from_ns
from ..errors import ConfigError
from .parquet_files import RecordingFiles
from .tracks import KINDS, TICKS, Kind

#: The columns of an order's first row and of a trade that show what the strategy did.
_SIGNALS = {
    "order.csv": ("bar", "symbol", "direction", "offset", "volume_orign", "limit_price"),
    "trade.csv": ("trade_date_time", "symbol", "direction", "offset", "volume", "price"),
}


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison.

    Attributes:
        counts: The number of equal rows by kind.
        difference: The first difference in words, "" if there is none.
    """

    counts: dict[str, int] = field(default_factory=dict)
    difference: str = ""

    @property
    def equal(self) -> bool:
        """Whether no difference was found."""
        return not self.difference

    def __str__(self) -> str:
        same = ", ".join(f"{count} {name}" for name, count in self.counts.items()) or "nothing"
        return f"equal: {same}" if self.equal else f"{self.difference}\nbefore it equal: {same}"


def compare_folders(one: str | Path, other: str | Path) -> Comparison:
    """Compare two folders of recordings, of records, or of both.

    Raises:
        ConfigError: They have nothing in common to compare.
    """
    counts: dict[str, int] = {}
    compared = False
    first, second = Path(one), Path(other)
    for kind, symbol, day in _common_parts(first, second):
        compared = True
        count, difference = _compare_parts(
            kind, RecordingFiles(first), RecordingFiles(second), symbol, day
        )
        counts[kind.name] = counts.get(kind.name, 0) + count
        if difference:
            return Comparison(counts, difference)
    for name, columns in _SIGNALS.items():
        if not (first / name).exists() or not (second / name).exists():
            continue
        compared = True
        ours, theirs = _signals(first / name, columns), _signals(second / name, columns)
        count, difference = _first_difference(ours, theirs, columns, name)
        counts[f"{name.removesuffix('.csv')}s"] = count
        if difference:
            return Comparison(counts, difference)
    if not compared:
        raise ConfigError(
            f"{one} and {other} have no trading day of a contract and no order.csv in common"
        )
    return Comparison(counts)


def _common_parts(one: Path, other: Path) -> list[tuple[Kind, str, str]]:
    if not any((one / kind.name).is_dir() for kind in KINDS):
        return []
    ours, theirs = RecordingFiles(one), RecordingFiles(other)
    parts = [
        (kind, symbol, day)
        for kind in KINDS
        for symbol in ours.symbols(kind)
        for day in ours.days(kind, symbol)
        if theirs.path(kind, symbol, day).exists()
    ]
    return sorted(parts, key=lambda part: (part[2], part[1], KINDS.index(part[0])))


def _compare_parts(
    kind: Kind, ours: RecordingFiles, theirs: RecordingFiles, symbol: str, day: str
) -> tuple[int, str]:
    columns = list(kind.columns if kind is TICKS else kind.fields)
    tables = [files.read(kind, symbol, day, columns) for files in (ours, theirs)]
    if tables[0].equals(tables[1]):
        return len(tables[0]), ""
    one, other = (list(zip(*table.to_pydict().values(), strict=True)) for table in tables)
    return _first_difference(one, other, columns, f"{symbol} {day} {kind.name}")


def _signals(path: Path, columns: Sequence[str]) -> list[tuple[object, ...]]:
    """Rows of a CSV file; of each order only the first."""
    seen: set[str] = set()
    found = []
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            key = row.get("order_id", "") if path.name == "order.csv" else row.get("trade_id", "")
            if key not in seen:
                seen.add(key)
                found.append(tuple(row.get(name, "") for name in columns))
    return found


def _first_difference(
    one: Sequence[tuple[object, ...]],
    other: Sequence[tuple[object, ...]],
    columns: Iterable[str],
    what: str,
) -> tuple[int, str]:
    """(equal rows before it, the difference in words)."""
    names = tuple(columns)
    for count, (ours, theirs) in enumerate(zip(one, other, strict=False)):
        for name, a, b in zip(names, ours, theirs, strict=True):
            if a != b:
                return count, f"{what}, row {count + 1} {_where(names, ours)}: {name} {a} != {b}"
    count = min(len(one), len(other))
    if len(one) != len(other):
        longer = one if len(one) > count else other
        where = _where(names, longer[count])
        return count, f"{what}: {len(one)} rows != {len(other)} rows, the first extra is {where}"
    return count, ""


def _where(names: Sequence[str], row: tuple[object, ...]) -> str:
    stamp = dict(zip(names, row, strict=True)).get("datetime")
    if isinstance(stamp, int):
        return f"of {from_ns(stamp)}"
    return f"of {row[0]}"
