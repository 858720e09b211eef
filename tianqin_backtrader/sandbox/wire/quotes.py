"""Ticks in the wire format: rows of tick serials, and quotes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core.clock import SECOND, from_ns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..market.ticks import DayTicks

#: "No value" in the wire format; the client replaces it with its default (NaN for prices).
NO_VALUE = "-"
_QUOTE_LEVELS = 10
_BLOCK = 256

Row = dict[str, Any]


def _wire(column: NDArray[Any]) -> list[Any]:
    """Convert to Python numbers, with ``"-"`` for NaN."""
    values = column.tolist()
    if column.dtype.kind != "f":
        return values  # type: ignore[no-any-return]
    return [value if value == value else NO_VALUE for value in values]


def quote_datetime(ns: int) -> str:
    """Format as ``YYYY-MM-DD HH:MM:SS.ffffff`` in Beijing time."""
    second, rest = divmod(ns, SECOND)
    global _second
    if _second[0] != second:
        _second = (second, from_ns(second * SECOND).strftime("%Y-%m-%d %H:%M:%S"))
    return f"{_second[1]}.{rest // 1000:06d}"


_second: tuple[int, str] = (-1, "")


class DayView:
    """One symbol's trading day in wire format, converted from numpy in blocks on demand."""

    def __init__(self, day: DayTicks) -> None:
        self.day = day
        self._blocks: dict[int, list[Row]] = {}
        traded = day.volume > 0
        self._first_trade = int(traded.argmax()) if traded.any() else len(day)
        self._fixed: Row = {
            "instrument_id": day.symbol,
            "upper_limit": _number(day.upper_limit),
            "lower_limit": _number(day.lower_limit),
            "pre_open_interest": int(day.pre_open_interest),
            "pre_settlement": _number(day.pre_settlement),
            "pre_close": _number(day.pre_close),
            **_missing_levels(day.levels),
        }

    def row(self, k: int) -> Row:
        """The tick serial's row of the day's ``k``-th tick; callers must not change it."""
        block = self._blocks.get(k // _BLOCK)
        if block is None:
            block = self._convert(k // _BLOCK)
        return block[k % _BLOCK]

    def rows(self, start: int, stop: int) -> dict[str, Row]:
        """Rows of the ticks ``start <= k < stop`` by id."""
        first = self.day.first_id
        return {str(first + k): self.row(k) for k in range(start, stop)}

    def quote(self, k: int, *, settled: bool = False) -> Row:
        """The whole quote after the day's ``k``-th tick.

        Args:
            k: The tick, from 0 on.
            settled: Whether the day has ended, so that ``close`` and ``settlement`` are known.
        """
        quote = {**self._fixed, **self.row(k)}
        quote["datetime"] = quote_datetime(quote["datetime"])
        traded = k >= self._first_trade
        quote["open"] = self.row(self._first_trade)["last_price"] if traded else NO_VALUE
        quote["close"] = _number(self.day.close) if settled else NO_VALUE
        quote["settlement"] = _number(self.day.settlement) if settled else NO_VALUE
        return quote

    def _convert(self, index: int) -> list[Row]:
        day = self.day
        part = slice(index * _BLOCK, min((index + 1) * _BLOCK, len(day)))
        names = ["datetime", "last_price", "average", "highest", "lowest"]
        columns = [
            _wire(column[part])
            for column in (day.time, day.last_price, day.average, day.highest, day.lowest)
        ]
        for level in range(day.levels):
            for side in ("ask", "bid"):
                names += [f"{side}_price{level + 1}", f"{side}_volume{level + 1}"]
                columns.append(_wire(getattr(day, f"{side}_price")[part, level]))
                columns.append(_wire(getattr(day, f"{side}_volume")[part, level]))
        names += ["volume", "amount", "open_interest"]
        columns += [_wire(column[part]) for column in (day.volume, day.amount, day.open_interest)]
        rows = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
        self._blocks[index] = rows
        return rows


def changed(before: Row | None, now: Row) -> Row:
    """The fields of a quote that differ from those sent; all of them the first time."""
    if before is None:
        return now
    return {name: value for name, value in now.items() if before.get(name) != value}


def _number(value: float) -> float | str:
    return float(value) if value == value else NO_VALUE


def _missing_levels(levels: int) -> Row:
    return {
        f"{side}_{what}{level}": None
        for level in range(levels + 1, _QUOTE_LEVELS + 1)
        for side in ("ask", "bid")
        for what in ("price", "volume")
    }
