"""The Parquet files of a recording: one for each kind of rows, symbol and trading day.

    folder/ticks/symbol=SHFE.cu2612/trading_day=2026-11-10/rows.parquet
    folder/minutes/...   folder/days/...

A file is replaced atomically. The metadata of its schema have the contract's specification of the
day. DuckDB, pandas and polars can read the folders directly.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from ..core.files import replacing, unfinished
from ..core.ports import Row
from ..errors import ConfigError
from .tracks import KINDS, IdSet, Kind, is_whole

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)

NAME = "rows.parquet"
_TORN = "rows.torn"
_INSTRUMENT = b"tianqin_instrument"
_KIND = b"tianqin_kind"
_RISING = ("id", "datetime")


def parquet() -> ModuleType:
    """Import pyarrow.parquet.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError("recordings need pyarrow: pip install pyarrow") from error
    found: ModuleType = pyarrow.parquet
    return found


def arrow_errors() -> tuple[type[Exception], ...]:
    """The exceptions of pyarrow."""
    import pyarrow as pa

    return (pa.ArrowException,)


def _torn_errors() -> tuple[type[Exception], ...]:
    return (OSError, *arrow_errors())  # a wrong checksum is an OSError


def schema_of(kind: Kind) -> pa.Schema:
    """The columns: integers as int64, prices as float64, null where the market has no value."""
    parquet()
    import pyarrow as pa

    return pa.schema(
        [(name, pa.int64() if is_whole(name) else pa.float64()) for name in kind.columns]
    )


class RecordingFiles:
    """The files of one recording.

    Args:
        folder: The recording's folder.

    Raises:
        ConfigError: pyarrow is missing.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._parquet = parquet()

    # -- contents -----------------------------------------------------------------------------

    def path(self, kind: Kind, symbol: str, day: str) -> Path:
        """The path of a trading day's file, which may not exist yet."""
        symbol = quote(symbol, safe="@")
        return self.folder / kind.name / f"symbol={symbol}" / f"trading_day={day}" / NAME

    def symbols(self, kind: Kind) -> list[str]:
        """The recorded contracts, sorted."""
        found = (self.folder / kind.name).glob("symbol=*")
        return sorted(unquote(path.name.partition("=")[2]) for path in found)

    def days(self, kind: Kind, symbol: str) -> list[str]:
        """A contract's trading days, ``"2026-11-10"``, ascending."""
        found = self.path(kind, symbol, "*").parent.parent.glob(f"trading_day=*/{NAME}")
        return sorted(path.parent.name.partition("=")[2] for path in found)

    def ids(self, kind: Kind, symbol: str) -> IdSet:
        """The ids of a contract, read from the files' metadata if these have no gaps."""
        found = IdSet()
        for day in self.days(kind, symbol):
            path = self.path(kind, symbol, day)
            head = self._parquet.read_metadata(path)
            spans = [
                head.row_group(group).column(0).statistics for group in range(head.num_row_groups)
            ]
            first, last = min(one.min for one in spans), max(one.max for one in spans)
            if last - first + 1 == head.num_rows:
                found.add(first, last)
            else:
                found.add_ids(self.read(kind, symbol, day, ["id"]).column(0).to_pylist())
        return found

    # -- reading and writing ------------------------------------------------------------------

    def read(self, kind: Kind, symbol: str, day: str, columns: list[str] | None = None) -> pa.Table:
        """A trading day as a ``pyarrow.Table``, in order of ids.

        Raises:
            FileNotFoundError: It is not recorded.
        """
        path = self.path(kind, symbol, day)
        with path.open("rb") as file:  # given its name, pyarrow would add the folders as columns
            return self._parquet.read_table(file, columns=columns, page_checksum_verification=True)

    def instrument(self, kind: Kind, symbol: str, day: str) -> dict[str, object] | None:
        """The specification in a file, None if it has none."""
        head = self._parquet.read_schema(self.path(kind, symbol, day)).metadata or {}
        text = head.get(_INSTRUMENT)
        found: dict[str, object] | None = None if text is None else json.loads(text)
        return found

    def merge(
        self, kind: Kind, symbol: str, day: str, rows: Iterable[Row], instrument: str | None
    ) -> None:
        """Write rows into a trading day's file; they replace rows with the same ids.

        Args:
            rows: In order of ids, None for NaN.
            instrument: The contract's specification as JSON; None keeps the one in the file.

        Raises:
            OSError: The file cannot be written; the previous one is unchanged.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        schema, path = schema_of(kind), self.path(kind, symbol, day)
        columns = list(zip(*rows, strict=True)) or [()] * len(kind.columns)
        arrays = [
            pa.array(values, type=field.type) for values, field in zip(columns, schema, strict=True)
        ]
        table = pa.Table.from_arrays(arrays, schema=schema)
        metadata = {_KIND: kind.name.encode()}
        before = self._before(kind, symbol, day)
        if before is not None:
            held = (before.schema.metadata or {}).get(_INSTRUMENT)
            if held is not None:
                metadata[_INSTRUMENT] = held
            kept = pc.invert(pc.is_in(before["id"], table["id"].combine_chunks()))
            before = before.filter(kept).replace_schema_metadata(None)
            table = pa.concat_tables([before, table]).sort_by("id")
        if instrument is not None:
            metadata[_INSTRUMENT] = instrument.encode()
        self._write(path, table.replace_schema_metadata(metadata))

    def _before(self, kind: Kind, symbol: str, day: str) -> pa.Table | None:
        """The table in the file, None if there is no file or it is damaged."""
        try:
            return self.read(kind, symbol, day)
        except FileNotFoundError:
            return None
        except _torn_errors():
            self._put_aside(self.path(kind, symbol, day))
            return None

    def _put_aside(self, path: Path) -> Path:
        logger.error("%s is damaged and moved aside", path)
        aside = path.with_name(_TORN)
        os.replace(path, aside)
        return aside

    def _write(self, path: Path, table: pa.Table) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, durable=True) as file:
            self._parquet.write_table(
                table, file, compression="zstd", write_page_checksum=True,
                use_dictionary=[name for name in table.column_names if name not in _RISING],
                column_encoding=dict.fromkeys(_RISING, "DELTA_BINARY_PACKED"),
            )  # fmt: skip

    # -- after a crash ------------------------------------------------------------------------

    def repair(self) -> list[Path]:
        """Remove unfinished files and move unreadable ones aside.

        Returns:
            The unreadable files, now named ``rows.torn``; their rows are missing.
        """
        torn = []
        for path in self._all(unfinished(NAME)):
            path.unlink()
        for path in self._all(NAME):
            if not self._whole(path):
                torn.append(self._put_aside(path))
        return torn

    def _all(self, name: str) -> Iterator[Path]:
        for kind in KINDS:
            yield from (self.folder / kind.name).glob(f"symbol=*/trading_day=*/{name}")

    def _whole(self, path: Path) -> bool:
        import pyarrow as pa

        try:
            return bool(self._parquet.read_metadata(path).num_rows)
        except (pa.ArrowException, OSError):
            return False
