"""Reads a folder of the recorder's Parquet files for replay: ticks, and facts about days.

    folder/ticks/symbol=SHFE.cu2612/trading_day=2026-11-10/rows.parquet
    folder/minutes/...

Nothing of the recorder is imported: the folder layout is the interface.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ...errors import SandboxError
from .instrument_fields import commission_per_lot, margin_per_lot
from .listing import Instrument
from .product_terms import Fees

if TYPE_CHECKING:
    import pandas as pd

_SPECIFICATION = b"tianqin_instrument"


@dataclass(frozen=True, slots=True)
class RecordedFacts:
    """Facts about a contract's day beside its ticks; None if they were not recorded.

    Attributes:
        specification: As TianQin sent it, in fields of the library's ``Instrument``.
        pre_close: The price in force before the day's first trade.
        pre_open_interest: The open interest of the day before.
    """

    specification: dict[str, Any]
    pre_close: float | None = None
    pre_open_interest: int | None = None

    def number(self, name: str) -> float | None:
        """A number of the specification, None if it has none."""
        value = self.specification.get(name)
        return float(value) if isinstance(value, int | float) else None


def is_recording(path: Path) -> bool:
    """Whether a folder was written by the recorder."""
    return any((path / "ticks").glob("symbol=*/trading_day=*/rows.parquet"))


def read_recording(
    path: Path,
) -> tuple[dict[str, list[pd.DataFrame]], dict[tuple[str, date], RecordedFacts]]:
    """(frames of ticks by symbol, facts by symbol and trading day).

    Raises:
        SandboxError: pyarrow is missing, or a file is damaged.
    """
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise SandboxError("recordings need pyarrow: pip install pyarrow") from error
    frames: dict[str, list[pd.DataFrame]] = {}
    facts = {}
    for symbol, day, file in _files(path / "ticks"):
        try:
            ticks = _table(parquet, file)
            beside = path / "minutes" / file.relative_to(path / "ticks")
            minutes = _table(parquet, beside) if beside.exists() else None
        except (OSError, ValueError) as error:
            raise SandboxError(
                f"{file} cannot be read ({error}); continuing to record into the folder repairs it"
            ) from error
        frames.setdefault(symbol, []).append(ticks.to_pandas())
        text = (ticks.schema.metadata or {}).get(_SPECIFICATION)
        specification = json.loads(text) if text is not None else {}
        first = minutes.slice(0, 1).to_pylist() if minutes is not None else []
        facts[symbol, day] = RecordedFacts(
            specification,
            first[0]["open"] if first else None,
            first[0]["open_oi"] if first else None,
        )
    return frames, facts


def _files(folder: Path) -> Iterator[tuple[str, date, Path]]:
    for file in sorted(folder.glob("symbol=*/trading_day=*/rows.parquet")):
        symbol = unquote(file.parent.parent.name.partition("=")[2])
        yield symbol, date.fromisoformat(file.parent.name.partition("=")[2]), file


def _table(parquet: Any, file: Path) -> Any:
    with file.open("rb") as opened:  # given its name, pyarrow would add the folders as columns
        return parquet.read_table(opened)


def as_recorded(instrument: Instrument, facts: RecordedFacts) -> Instrument:
    """The contract with recorded terms instead of guessed ones."""
    price, margin = facts.number("pre_settlement"), facts.number("margin")
    commission, multiple = facts.number("commission"), facts.number("volume_multiple")
    if multiple:
        instrument = replace(instrument, volume_multiple=int(multiple))
    if tick := facts.number("price_tick"):
        decimals = int(facts.number("price_decs") or 0)
        instrument = replace(instrument, price_tick=tick, price_decs=decimals)
    # A guess that agrees with the recording stays: it holds at other prices, too.
    if price and margin and margin != margin_per_lot(instrument, price):
        ratio = margin / (price * instrument.volume_multiple)
        instrument = replace(instrument, margin_ratio=ratio)
    if price and commission is not None and commission != commission_per_lot(instrument, price):
        fees = Fees(per_lot=commission, today_per_lot=commission)
        instrument = replace(instrument, fees=fees)
    return instrument
