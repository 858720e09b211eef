"""A market played from tick files, CSV or Parquet, instead of the generated one.

Columns have TqSdk's names. Required: ``datetime`` (nanoseconds since 1970 UTC), ``last_price``,
``volume``, ``amount``, ``open_interest``; optional: ``bid_price1`` ... ``ask_volume5``,
``highest``, ``lowest``, ``average``, ``id``. The contract is in a column ``symbol`` or in the
file's name (``ticks_SHFE.cu2612.csv``). The recorder's folders can be played, too, with the
recorded limits, margins and settlement prices.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.clock import HOUR, from_ns
from ...errors import SandboxError
from ...session_calendar import SessionCalendar
from ..faults import FaultError
from .limit_lock import LimitLock
from .listing import Instrument, contract_of
from .recorded_days import RecordedFacts, as_recorded, is_recording, read_recording
from .ticks import FIVE_LEVELS, LEVELS, DayTicks, Floats, Ints

if TYPE_CHECKING:
    import pandas as pd

_SYMBOL = re.compile(r"(SHFE|INE|DCE|CZCE|CFFEX|GFEX)\.[A-Za-z]+\d{3,4}")
#: The distance between ticks that had the same stamp.
MICROSECOND = 1_000
_NEEDED = ("datetime", "last_price", "volume", "amount", "open_interest")


class FileMarket:
    """The trading days found in a file or in a folder's files.

    Args:
        path: A ``.csv``, ``.csv.gz`` or ``.parquet`` file, a folder of them, or the recorder's
            folder.
        calendar: Sessions and trading days.

    Raises:
        SandboxError: The path has no usable ticks; the message says what is missing.
    """

    def __init__(self, path: str, calendar: SessionCalendar) -> None:
        self.calendar = calendar
        self._days: dict[str, dict[date, DayTicks]] = {}
        self.instruments: Mapping[str, Instrument] = {}
        instruments = {}
        frames, facts = _read(Path(path))
        for symbol, frame in frames.items():
            stamps = frame["datetime"].to_numpy(np.int64)
            first = calendar.trading_day_at(from_ns(int(stamps[0])))
            contract = contract_of(calendar, symbol, first)
            if (symbol, first) in facts:
                contract = as_recorded(contract, facts[symbol, first])
            instruments[symbol] = contract
            known = {day: one for (name, day), one in facts.items() if name == symbol}
            self._days[symbol] = _split(frame, stamps, contract, calendar, known)
        self.instruments = instruments

    @property
    def first_day(self) -> date:
        """The earliest trading day of any contract."""
        return min(min(days) for days in self._days.values())

    @property
    def last_day(self) -> date:
        """The latest trading day of any contract."""
        return max(max(days) for days in self._days.values())

    def must_have(self, begins: date | datetime, days: int) -> None:
        """Check that all requested days are in the files.

        Raises:
            SandboxError: Some of the days are not.
        """
        if isinstance(begins, datetime):
            day = self.calendar.trading_day_at(begins)
        else:
            day = self.calendar.roll(begins)
        last = day
        for _ in range(days - 1):
            last = self.calendar.next_trading_day(last)
        if not self.first_day <= day <= last <= self.last_day:
            raise SandboxError(
                f"the files hold trading days from {self.first_day} to {self.last_day}; "
                f"{day} to {last} were requested: choose start and days within them"
            )

    def days(self, symbol: str) -> tuple[date, ...]:
        """The trading days of a contract in the files."""
        return tuple(self._days[symbol])

    def day(self, symbol: str, trading_day: date) -> DayTicks:
        """The ticks of a trading day; KeyError where there are none."""
        return self._days[symbol][trading_day]

    def tick_count(self, symbol: str, trading_day: date) -> int:
        """How many ticks the trading day has; 0 where there are none."""
        day = self._days[symbol].get(trading_day)
        return 0 if day is None else len(day)

    def lock(self, symbol: str, day: date, lock: LimitLock) -> None:
        """Raise FaultError: recorded ticks are played as they are."""
        raise FaultError(f"{symbol} is played from files and cannot be held at a limit")

    def main_contract(self, product_key: str, trading_day: date) -> str:
        """Raise KeyError: files hold contracts, no main contracts."""
        raise KeyError(f"no main contract of {product_key} in the files, asked for {trading_day}")

    def main_table(self) -> dict[str, list[tuple[date, str]]]:
        """Empty: files hold no main contracts."""
        return {}


def _read(path: Path) -> tuple[dict[str, pd.DataFrame], dict[tuple[str, date], RecordedFacts]]:
    """(frames by symbol, ascending and without duplicates; facts about days)."""
    facts: dict[tuple[str, date], RecordedFacts] = {}
    if is_recording(path):
        frames, facts = read_recording(path)
        frames = {symbol: found for symbol, found in frames.items() if _SYMBOL.fullmatch(symbol)}
    else:
        frames = _read_files(path)
    if not frames:
        raise SandboxError(f"{path}: there is no .csv or .parquet file of a future's ticks")
    return {symbol: _in_order(parts) for symbol, parts in frames.items()}, facts


def _in_order(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Merge a contract's files, which may overlap, without duplicates.

    Exchanges that stamp to the second give several ticks one stamp. They are played a microsecond
    apart, as TianQin sends them, and the last one exactly at the stamp, so all are in its minute.
    """
    import pandas as pd

    if all("id" in part and part["id"].notna().all() for part in parts):
        keys = ["datetime", "id"]
        rows = pd.concat(parts).drop_duplicates(keys)
    else:
        keys = ["datetime"]
        columns = list(_NEEDED)
        # Equal rows in one file are different ticks; equal rows in two files are one tick.
        places = [part.groupby(columns, dropna=False).cumcount() for part in parts]
        numbered = [part.assign(_place=place) for part, place in zip(parts, places, strict=True)]
        rows = pd.concat(numbered).drop_duplicates([*columns, "_place"]).drop(columns="_place")
    rows = rows.sort_values(keys, kind="stable")
    apart = np.arange(len(rows)) * MICROSECOND
    stamps = rows["datetime"].to_numpy(np.int64)
    return rows.assign(datetime=np.minimum.accumulate((stamps - apart)[::-1])[::-1] + apart)


def _read_files(path: Path) -> dict[str, list[pd.DataFrame]]:
    import pandas as pd

    files = sorted(path.iterdir()) if path.is_dir() else [path]
    frames: dict[str, list[pd.DataFrame]] = {}
    for file in files:
        if file.name.endswith((".csv", ".csv.gz")):
            frame = pd.read_csv(file)
        elif file.suffix == ".parquet":
            frame = pd.read_parquet(file)
        else:
            continue
        missing = [name for name in _NEEDED if name not in frame]
        if missing:
            raise SandboxError(f"{file}: no column {', '.join(missing)}; it needs {_NEEDED}")
        for symbol, part in _by_symbol(file, frame):
            frames.setdefault(symbol, []).append(part)
    return frames


def _by_symbol(file: Path, frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    if "symbol" in frame:
        return [(str(symbol), part) for symbol, part in frame.groupby("symbol")]
    found = _SYMBOL.search(file.name)
    if found is None:
        raise SandboxError(f"{file}: no column symbol, no contract like SHFE.cu2612 in the name")
    return [(found[0], frame)]


def _split(
    frame: pd.DataFrame,
    stamps: Ints,
    instrument: Instrument,
    calendar: SessionCalendar,
    facts: Mapping[date, RecordedFacts],
) -> dict[date, DayTicks]:
    """One ``DayTicks`` per trading day."""
    hours, inverse = np.unique(stamps // HOUR, return_inverse=True)
    # A trading day changes on the hour in Beijing.
    day_of_hour = [calendar.trading_day_at(from_ns(int(hour) * HOUR)) for hour in hours]
    ordinals = np.array([day.toordinal() for day in day_of_hour])[inverse]
    first_id = int(frame["id"].iloc[0]) if "id" in frame else 0
    bounds = [*np.flatnonzero(np.diff(ordinals, prepend=-1)), len(stamps)]
    days: dict[date, DayTicks] = {}
    before: DayTicks | None = None
    for begin, end in pairwise(bounds):
        day = date.fromordinal(int(ordinals[begin]))
        before = _day(frame.iloc[begin:end], day, first_id + int(begin), instrument, before)
        if day in facts:
            before = _with_facts(before, facts[day], facts.get(calendar.next_trading_day(day)))
        days[day] = before
    return days


def _with_facts(day: DayTicks, known: RecordedFacts, following: RecordedFacts | None) -> DayTicks:
    """A day with its recorded facts, and with its settlement price recorded on the next day."""
    found: dict[str, Any] = {
        "pre_settlement": known.number("pre_settlement"),
        "upper_limit": known.number("upper_limit"),
        "lower_limit": known.number("lower_limit"),
        "pre_close": known.pre_close,
        "pre_open_interest": known.pre_open_interest,
        "settlement": following.number("pre_settlement") if following is not None else None,
    }
    return replace(day, **{name: value for name, value in found.items() if value is not None})


def _day(
    frame: pd.DataFrame,
    trading_day: date,
    first_id: int,
    instrument: Instrument,
    before: DayTicks | None,
) -> DayTicks:
    last = _column(frame, "last_price")
    traded = last[~np.isnan(last)]
    volume, amount = _whole(frame, "volume"), _column(frame, "amount")
    close = float(traded[-1]) if len(traded) else float("nan")
    first = float(traded[0]) if len(traded) else close
    reference = before.settlement if before is not None else first
    levels = LEVELS if instrument.exchange_id in FIVE_LEVELS else 1
    interest = _whole(frame, "open_interest")
    tick, decimals = instrument.price_tick, instrument.price_decs
    upper = reference * (1 + instrument.limit_ratio)
    lower = reference * (1 - instrument.limit_ratio)
    return DayTicks(
        symbol=instrument.symbol,
        trading_day=trading_day,
        first_id=first_id,
        levels=levels,
        time=frame["datetime"].to_numpy(np.int64),
        last_price=last,
        average=_column(frame, "average"),
        highest=_column(frame, "highest", np.fmax.accumulate(last)),
        lowest=_column(frame, "lowest", np.fmin.accumulate(last)),
        volume=volume,
        amount=amount,
        open_interest=interest,
        bid_price=_levels(frame, "bid_price"),
        ask_price=_levels(frame, "ask_price"),
        bid_volume=np.nan_to_num(_levels(frame, "bid_volume")).astype(np.int64),
        ask_volume=np.nan_to_num(_levels(frame, "ask_volume")).astype(np.int64),
        pre_settlement=reference,
        pre_close=before.close if before is not None else first,
        pre_open_interest=int(before.open_interest[-1] if before is not None else interest[0]),
        upper_limit=round(np.floor(upper / tick + 1e-9) * tick, decimals),
        lower_limit=round(np.ceil(lower / tick - 1e-9) * tick, decimals),
        settlement=_settlement(instrument, volume, amount, close),
        close=close,
    )


def _settlement(instrument: Instrument, volume: Ints, amount: Floats, close: float) -> float:
    """The day's average price, rounded to the tick."""
    lots = int(volume[-1]) * instrument.volume_multiple
    average = float(amount[-1]) / lots if lots and amount[-1] == amount[-1] else close
    ticks = round(average / instrument.price_tick) if average == average else 0
    return round(ticks * instrument.price_tick, instrument.price_decs)


def _column(frame: pd.DataFrame, name: str, otherwise: Floats | None = None) -> Floats:
    if name in frame:
        return np.asarray(frame[name], np.float64)
    return np.full(len(frame), np.nan) if otherwise is None else otherwise


def _whole(frame: pd.DataFrame, name: str) -> Ints:
    return np.asarray(frame[name], np.float64).astype(np.int64)


def _levels(frame: pd.DataFrame, name: str) -> Floats:
    columns: list[Any] = [_column(frame, f"{name}{level}") for level in range(1, LEVELS + 1)]
    return np.column_stack(columns)
