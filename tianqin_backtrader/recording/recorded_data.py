"""``RecordedData``: a recording as an offline feed for Backtrader's own back-tests."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import backtrader as bt
import numpy as np

from ..contracts.odd_prices import UNKNOWN, Limits
from ..core.clock import MINUTE, Phase, to_ns
from ..core.model import NAN, Bar, Instrument, Tick
from ..errors import ConfigError
from ..feeds.bar_feeds import BarFeed
from ..feeds.live_ticks import LiveTicks
from ..feeds.tick_sieve import TickSieve
from ..session_calendar import CALENDAR
from .parquet_files import RecordingFiles
from .tracks import DAYS, MINUTES, TICKS, Kind, instrument_of

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

_KINDS = {
    bt.TimeFrame.Ticks: TICKS,
    bt.TimeFrame.Minutes: MINUTES,
    bt.TimeFrame.Days: DAYS,
}
_BOOK = ("bid_price1", "ask_price1", "bid_volume1", "ask_volume1", "bid_price2", "ask_price2")


class RecordedData(BarFeed):
    """One contract's recorded minutes, days or ticks, with the stamps and lines of the live feeds.

        data = RecordedData(dataname="SHFE.cu2612", path="recording")
        cerebro.adddata(data)
        cerebro.broker.addcommissioninfo(data.comminfo(), name=data._name)

    Minute bars carry the recorded order book at their end (NaN without recorded ticks). Use
    ``cerebro.resampledata`` for longer bars.

    Params:
        dataname: The contract.
        path: The recording's folder.
        timeframe: ``bt.TimeFrame.Minutes`` (default), ``Days`` or ``Ticks``.

    Raises:
        ConfigError: The folder has no data of the contract, or pyarrow is missing.
    """

    params = (("path", ""), ("timeframe", bt.TimeFrame.Minutes))

    #: Strategies read this from live feeds.
    history_phase = False

    def __init__(self) -> None:
        self._must_be_beijing_time()
        self.symbol: str = self.p.dataname
        kind = _KINDS.get(self.p.timeframe)
        if kind is None or self.p.compression != 1:
            raise ConfigError("a recording has ticks, 1-minute bars and daily bars")
        self._kind: Kind = kind
        self._files = RecordingFiles(Path(self.p.path))
        self.days: list[str] = self._files.days(kind, self.symbol)
        if not self.days:
            known = ", ".join(self._files.symbols(kind)) or "nothing"
            raise ConfigError(f"{self.p.path} has no {kind.name} of {self.symbol}; it has {known}")
        self._bars: Iterator[Bar] = iter(())

    def instrument(self, day: str | None = None) -> Instrument:
        """The contract's specification of a trading day, by default of the latest recorded one.

        Raises:
            ConfigError: No specification was recorded.
        """
        for one in reversed(self.days) if day is None else [day]:
            for kind in (self._kind, TICKS, MINUTES):
                if self._files.path(kind, self.symbol, one).exists():
                    fields = self._files.instrument(kind, self.symbol, one)
                    if fields is not None:
                        return instrument_of(fields)
        raise ConfigError(f"no specification of {self.symbol} was recorded")

    def comminfo(self, day: str | None = None) -> bt.CommissionInfo:
        """Multiplier, margin and commission (yuan per lot) for Backtrader's own broker.

        Args:
            day: As in ``instrument``.

        Raises:
            ConfigError: TianQin states no margin: a main contract, an option, an index.
        """
        found = self.instrument(day)
        if found.margin != found.margin:
            raise ConfigError(
                f"no margin of {self.symbol} was recorded: create a bt.CommissionInfo "
                f"with mult={found.volume_multiple}, or use that of a future"
            )
        return bt.CommissionInfo(
            commission=found.commission if found.commission == found.commission else 0.0,
            mult=found.volume_multiple,
            margin=found.margin,
            commtype=bt.CommInfoBase.COMM_FIXED,
            stocklike=False,
        )

    def start(self) -> None:
        """Start at the first day."""
        super().start()
        self._bars = self._all_bars()

    def _all_bars(self) -> Iterator[Bar]:
        before: Tick | None = None
        for day in self.days:
            if self._kind is TICKS:
                ticks = _ticks(self._files.read(TICKS, self.symbol, day))
                limits = self._limits(day)
                yield from _tick_bars(self.symbol, ticks, before, limits)
                before = ticks[-1]
            else:
                yield from self._official_bars(day)

    def _limits(self, day: str) -> Limits:
        fields = self._files.instrument(TICKS, self.symbol, day) or {}
        lower, upper = fields.get("lower_limit"), fields.get("upper_limit")
        if isinstance(lower, int | float) and isinstance(upper, int | float):
            return Limits(lower, upper)
        return UNKNOWN

    def _official_bars(self, day: str) -> Iterator[Bar]:
        rows = self._files.read(self._kind, self.symbol, day).to_pylist()
        last_close = CALENDAR.sessions(self.symbol, date.fromisoformat(day))[-1][1]
        ends = [
            row["datetime"] + MINUTE if self._kind is MINUTES else to_ns(last_close) for row in rows
        ]
        books = self._books(day, ends) if self._kind is MINUTES else [(NAN,) * 6] * len(rows)
        for row, end, book in zip(rows, ends, books, strict=True):
            prices = (row["open"], row["high"], row["low"], row["close"])
            lots = (row["volume"], row["open_oi"], row["close_oi"])
            yield Bar._make((row["datetime"], end, *prices, *lots, *book, row["id"]))

    def _books(self, day: str, ends: list[int]) -> list[tuple[float, ...]]:
        """The order book at each bar's end."""
        if not self._files.path(TICKS, self.symbol, day).exists():
            return [(NAN,) * 6] * len(ends)
        ticks = self._files.read(TICKS, self.symbol, day, ["datetime", *_BOOK])
        stamps = ticks["datetime"].to_numpy()
        places = np.searchsorted(stamps, np.array(ends), side="right") - 1
        table = np.column_stack([_floats(ticks[name]) for name in _BOOK])
        table = np.vstack([table, np.full(len(_BOOK), NAN)])  # -1: before the day's first tick
        return [tuple(row) for row in table[places].tolist()]

    def _load(self) -> bool:
        bar = next(self._bars, None)
        if bar is None:
            return False
        self._write(bar)
        return True


class _AnyTime:
    """The clock of a recording, which is later than all its stamps."""

    trusted = True

    def now_ns(self) -> int:
        """A time after all stamps."""
        return 1 << 62

    def believes(self, ns: int, phase: Phase = Phase.TRADING) -> bool:
        """Every stamp is valid."""
        return True

    def arrival_ns(self) -> int:
        """No time passes."""
        return 0


class _Rows(NamedTuple):
    """Ticks with the interface that ``LiveTicks`` reads."""

    all_ticks: list[Tick]

    @property
    def last_id(self) -> int:
        """The newest id."""
        return self.all_ticks[-1].id

    def ticks(self, first_id: int, last_id: int) -> list[Tick]:
        """All ticks."""
        return self.all_ticks


def _tick_bars(
    symbol: str, ticks: list[Tick], before: Tick | None, limits: Limits
) -> Iterator[Bar]:
    """The tick bars of one day."""
    sieve = TickSieve(
        symbol, _AnyTime(), same_day=lambda *_: True, phase_of=lambda _: Phase.TRADING,
        limits=lambda _: limits,
    )  # fmt: skip
    live = LiveTicks(_Rows(ticks), ticks[0].id, before, sieve)  # type: ignore[arg-type]
    live.take()
    while live.ready:
        yield live.pop()


def _ticks(table: pa.Table) -> list[Tick]:
    names = ("last_price", "volume", "amount", "open_interest", *_BOOK)
    whole = ("volume", "open_interest", "bid_volume1", "ask_volume1")
    columns = [
        table[name].to_pylist() if name in whole else _floats(table[name]).tolist()
        for name in names
    ]
    ids = (table["id"].to_pylist(), table["datetime"].to_pylist())
    return [Tick(*row) for row in zip(*ids, *columns, strict=True)]


def _floats(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)
