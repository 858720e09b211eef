"""Converts the client's data tree to values: rows by id, contracts, orders, trades.

TqSdk merges everything the server sends into one tree of entities. It has every tick and bar
exactly, while the client's quote has only the newest state and its frames are float64. The tree is
passed in; this module does not import TqSdk.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import pandas as pd

from ..contracts.odd_prices import sane
from ..core.clock import SECOND, from_ns
from ..core.fields import Fields, number
from ..core.model import NAN, Bar, Direction, Fill, Instrument, Notice, Offset, OrderReport, Tick
from ..core.ports import Row
from ..core.redaction import clean

#: Of a bar: its start, prices, volume and open interest. The start, in whole seconds, is exact.
_COLUMNS = 8


class Dropped:
    """Bars that the client has dropped since a session began, for another run in it.

    A server does not send a row twice on a connection. They are kept as numbers, 64 bytes a bar.

    Args:
        most: How many are kept; a longer history is kept whole.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.clear()

    def clear(self) -> None:
        """Forget all of them: a new session's server sends them again."""
        self._numbers, self._first_id = array("d"), 0

    def keep(self, bars: Sequence[Bar]) -> None:
        """Add bars, in the order of their ids; the oldest ones are forgotten."""
        numbers, self._most = self._numbers, max(self._most, len(bars))
        for bar in bars:
            if not numbers:
                self._first_id = bar.id
            missing = bar.id - self._first_id - len(numbers) // _COLUMNS
            if missing >= 0:
                numbers.extend([NAN] * (_COLUMNS * missing))
                numbers.extend(bar[:1] + bar[2 : _COLUMNS + 1])
        excess = max(0, len(numbers) // _COLUMNS - self._most)
        del numbers[: _COLUMNS * excess]
        self._first_id += excess

    def get(self, row_id: int, length: int) -> Bar | None:
        """The bar of an id, None if it is not kept; ``length`` in nanoseconds."""
        place = _COLUMNS * (row_id - self._first_id)
        found = self._numbers[place : place + _COLUMNS] if place >= 0 else ()
        if not found or found[0] != found[0]:
            return None
        start, opened, high, low, close, *lots = found
        begin, (volume, open_oi, close_oi) = int(start), map(int, lots)
        return Bar(
            begin, begin + length, opened, high, low, close, volume, open_oi, close_oi, id=row_id
        )


class Series:
    """The ticks or bars of one symbol in the client's data tree, read by id.

    Attributes:
        symbol: The contract.
        seconds: Length of a bar; 0 for ticks.
        width: The number of past rows that are requested.
        chart_id: The id of the request.

    Args:
        symbol, seconds, width: As above.
        name: Distinguishes the request from others for the same rows.
        dropped: Takes the bars that are dropped.
    """

    def __init__(
        self, symbol: str, seconds: int, width: int, name: str, dropped: Dropped | None = None
    ) -> None:
        self.symbol, self.seconds, self.width = symbol, seconds, width
        self._dropped = dropped or Dropped(0)
        self.chart_id = f"TQBT_{symbol}_{seconds}_{name}"
        self._root: Mapping[str, Any] = {}
        self._chart: Mapping[str, Any] = {}
        self._released = -1

    def bind(self, root: Mapping[str, Any], chart: Mapping[str, Any]) -> None:
        """Read from this entity from now on.

        Args:
            root: The attributes of the tree's entity that has ``data`` and ``last_id``.
            chart: Those of the chart that requests the rows.
        """
        self._root, self._chart = root, chart
        self._released = -1

    @property
    def path(self) -> list[str]:
        """Its path in the tree."""
        if self.seconds == 0:
            return ["ticks", self.symbol]
        return ["klines", self.symbol, str(self.seconds * SECOND)]

    @property
    def ready(self) -> bool:
        """Whether all requested past rows have arrived."""
        return bool(self._chart.get("ready", False))

    @property
    def last_id(self) -> int:
        """The newest id, -1 if there is none, or if the past rows have not arrived yet."""
        return int(self._root.get("last_id", -1)) if self._chart.get("ready", False) else -1

    @property
    def left_id(self) -> int:
        """The oldest id of the requested past, at least 0."""
        return max(0, int(self._chart.get("left_id", -1)))

    def ticks(self, first_id: int, last_id: int) -> list[Tick]:
        """The ticks of a range of ids, both included; missing rows are left out."""
        rows = self._root["data"].__dict__
        found = (rows.get(str(row_id)) for row_id in range(first_id, last_id + 1))
        return [
            Tick(
                row_id,
                row.datetime,
                row.last_price,
                row.volume,
                row.amount,
                row.open_interest,
                row.bid_price1,
                row.ask_price1,
                row.bid_volume1,
                row.ask_volume1,
                row.bid_price2,
                row.ask_price2,
            )
            for row_id, row in zip(range(first_id, last_id + 1), found, strict=True)
            if row is not None
        ]

    def bars(self, first_id: int, last_id: int) -> list[Bar]:
        """The bars of a range of ids, both included; missing rows are left out."""
        rows = self._root["data"].__dict__
        length = self.seconds * SECOND
        bars = []
        for row_id in range(first_id, last_id + 1):
            row = rows.get(str(row_id))
            if row is None:
                if (kept := self._dropped.get(row_id, length)) is not None:
                    bars.append(kept)
            else:
                start = row.datetime
                bars.append(
                    Bar(
                        start, start + length, row.open, row.high, row.low, row.close,
                        row.volume, row.open_oi, row.close_oi, id=row_id,
                    )
                )  # fmt: skip
        return bars

    def rows(self, first_id: int, last_id: int, fields: Sequence[str]) -> list[Row]:
        """Rows of a range of ids: the id, then the given fields; missing rows are left out."""
        rows, pick = self._root["data"].__dict__, itemgetter(*fields)
        found = ((row_id, rows.get(str(row_id))) for row_id in range(first_id, last_id + 1))
        return [(row_id, *pick(row.__dict__)) for row_id, row in found if row is not None]

    def forget(self, first_id: int, last_id: int) -> None:
        """Drop a range of ids that ``release`` does not reach."""
        rows = self._root["data"].__dict__
        for row_id in range(first_id, last_id + 1):
            rows.pop(str(row_id), None)

    def release(self, keep: int) -> None:
        """Drop all but the newest ``keep`` rows, which the client would keep for ever."""
        until = self.last_id - keep
        if until <= self._released:
            return
        rows = self._root["data"].__dict__
        first = self._released
        if first < 0:
            first = min((int(key) for key in rows if key.isdigit()), default=until)
        if self.seconds:
            self._dropped.keep(self.bars(first, until - 1))
        for row_id in range(first, until):
            rows.pop(str(row_id), None)
        self._released = until


class FrameSeries:
    """Like ``Series``, read from a frame of TqSdk's public interface, as far as the frame goes.

    Args:
        symbol, seconds, width: As for ``Series``.
        frame: What ``get_tick_serial`` or ``get_kline_serial`` returned.
    """

    ready = True
    #: TqSdk has chosen the chart's id.
    chart_id = ""

    def __init__(self, symbol: str, seconds: int, width: int, frame: pd.DataFrame) -> None:
        self.symbol, self.seconds, self.width = symbol, seconds, width
        self.bind(frame)

    def bind(self, frame: pd.DataFrame) -> None:
        """Read from this frame from now on."""
        self._frame = frame

    @property
    def path(self) -> list[str]:
        """Empty: a frame has no path."""
        return []

    @property
    def last_id(self) -> int:
        """The newest id, -1 if there is none."""
        return int(self._frame["id"].iloc[-1])

    @property
    def left_id(self) -> int:
        """The oldest id of the frame, at least 0."""
        return max(0, int(self._frame["id"].iloc[0]))

    def ticks(self, first_id: int, last_id: int) -> list[Tick]:
        """See ``Series``; missing levels are NaN."""
        found = []
        for row in self._rows(first_id, last_id):
            volumes = (row["bid_volume1"], row["ask_volume1"])
            bid_volume, ask_volume = (int(one) if one == one else 0 for one in volumes)
            found.append(
                Tick(
                    int(row["id"]), _to_microsecond(row["datetime"]), row["last_price"],
                    int(row["volume"]), row["amount"], int(row["open_interest"]),
                    row["bid_price1"], row["ask_price1"], bid_volume, ask_volume,
                    row.get("bid_price2", NAN), row.get("ask_price2", NAN),
                )
            )  # fmt: skip
        return found

    def bars(self, first_id: int, last_id: int) -> list[Bar]:
        """See ``Series``."""
        found = []
        for row in self._rows(first_id, last_id):
            start = _to_microsecond(row["datetime"])
            found.append(
                Bar(
                    start, start + self.seconds * SECOND, row["open"], row["high"], row["low"],
                    row["close"], int(row["volume"]), int(row["open_oi"]), int(row["close_oi"]),
                    id=int(row["id"]),
                )
            )  # fmt: skip
        return found

    def rows(self, first_id: int, last_id: int, fields: Sequence[str]) -> list[Row]:
        """See ``Series``; stamps are exact to the microsecond."""
        first, *others = fields
        return [
            (int(row["id"]), _field(row, first), *(_field(row, name) for name in others))
            for row in self._rows(first_id, last_id)
        ]

    def forget(self, first_id: int, last_id: int) -> None:
        """Do nothing: the frame has a fixed length."""

    def _rows(self, first_id: int, last_id: int) -> list[dict[str, float]]:
        ids = self._frame["id"]
        inside = self._frame[(ids >= max(0, first_id)) & (ids <= last_id)]
        rows: list[dict[str, float]] = inside.to_dict("records")
        return rows

    def release(self, keep: int) -> None:
        """Do nothing: the frame has a fixed length."""


def _field(row: Mapping[str, float], name: str) -> float:
    return _to_microsecond(row[name]) if name == "datetime" else row.get(name, NAN)


def _to_microsecond(float_ns: float) -> int:
    """Frames are float64, exact to 256 nanoseconds only."""
    return round(float_ns / 1000) * 1000


#: An earlier time of a trade means "no time". The first hour of 2000, nanoseconds.
_FIRST_TIME = 946_656_000 * SECOND


_DIRECTIONS, _OFFSETS = frozenset(map(str, Direction)), frozenset(map(str, Offset))


def to_instrument(raw: Mapping[str, Any]) -> Instrument:
    expire = raw.get("expire_datetime")
    edges = (raw.get("underlying") or {}).get("edges") or []
    return Instrument(
        symbol=raw["instrument_id"],
        ins_class=raw.get("class") or "",
        exchange_id=raw.get("exchange_id") or "",
        product_id=raw.get("product_id") or "",
        price_tick=number(raw, "price_tick"),
        price_decs=int(number(raw, "price_decs", 0)),
        volume_multiple=int(number(raw, "volume_multiple", number(raw, "index_multiple", 1))),
        expired=bool(raw.get("expired", False)),
        expire_datetime=from_ns(int(expire)) if expire else None,
        upper_limit=sane(raw["instrument_id"], number(raw, "upper_limit")),
        lower_limit=sane(raw["instrument_id"], number(raw, "lower_limit")),
        pre_settlement=number(raw, "settlement_price"),
        margin=number(raw, "margin"),
        commission=number(raw, "commission"),
        max_limit_order_volume=int(number(raw, "max_limit_order_volume", 0)),
        max_market_order_volume=int(number(raw, "max_market_order_volume", 0)),
        open_min_limit_order_volume=int(number(raw, "open_min_limit_order_volume", 0)),
        open_min_market_order_volume=int(number(raw, "open_min_market_order_volume", 0)),
        underlying_symbol=edges[0]["node"]["instrument_id"] if edges else "",
        trading_time=raw.get("trading_time") or {},
    )


def to_report(order_id: str, order: Fields) -> OrderReport | None:
    """Convert an order of the client; None while its own fields have not arrived.

    For a trade that comes before its order, or has none, the client shows an order without fields.
    """
    direction, offset = _word(order, "direction"), _word(order, "offset")
    if direction not in _DIRECTIONS or offset not in _OFFSETS or not _word(order, "status"):
        return None
    symbol = _symbol(order)
    if symbol is None:
        return None
    return OrderReport(
        order_id=order_id,
        symbol=symbol,
        direction=Direction(direction),
        offset=Offset(offset),
        volume_orign=_lots(order, "volume_orign"),
        volume_left=_lots(order, "volume_left"),
        limit_price=number(order, "limit_price"),  # market orders have none
        status=_word(order, "status"),
        exchange_order_id=_word(order, "exchange_order_id"),
        last_msg=_word(order, "last_msg"),
        insert_date_time=_lots(order, "insert_date_time"),
    )


def to_fill(trade_id: str, trade: Fields, now: int, *, names_fees: bool = True) -> Fill | None:
    """Convert a trade of the client; None while its fields have not arrived.

    Trades made by a broker or an exchange (forced closes, exchange for physicals) may have no
    order: their order id is unknown, or "".

    Args:
        trade_id: Its key.
        trade: The client's object.
        now: Nanoseconds, used for a trade that has no time.
        names_fees: Whether a fee of 0.0 is a fee; otherwise it means that none is stated.
    """
    direction, offset, symbol = _word(trade, "direction"), _word(trade, "offset"), _symbol(trade)
    price, volume = number(trade, "price"), _lots(trade, "volume")
    known = direction in _DIRECTIONS and offset in _OFFSETS
    if not known or symbol is None or volume <= 0 or price != price:
        return None
    time, fee = trade.get("trade_date_time"), number(trade, "commission")
    return Fill(
        trade_id=trade_id,
        order_id=str(trade.get("order_id") or ""),
        symbol=symbol,
        direction=Direction(direction),
        offset=Offset(offset),
        price=price,
        volume=volume,
        time=int(time) if isinstance(time, int | float) and time > _FIRST_TIME else now,
        commission=fee if fee or names_fees else NAN,
        exchange_trade_id=_word(trade, "exchange_trade_id"),
    )


def _lots(raw: Fields, name: str) -> int:
    lots = number(raw, name, 0)
    return int(lots) if lots == lots else 0


def _word(raw: Fields, name: str) -> str:
    """A text without the blanks that a counter pads it with; "" if missing."""
    value = raw.get(name)
    return value.strip() if isinstance(value, str) else ""


def _symbol(raw: Fields) -> str | None:
    parts = _word(raw, "exchange_id"), _word(raw, "instrument_id")
    return ".".join(parts) if all(parts) else None


def plain(entity: Fields) -> dict[str, float | str]:
    """The fields of an account or a position; "-", which means no value, becomes NaN."""
    return {
        name: NAN if value == "-" else value
        for name, value in entity.items()
        if isinstance(value, int | float | str)
    }


#: Replaces a settlement statement, which contains the account, its owner and its holdings.
STATEMENT_CAME = "the settlement statement of the day has come; TqSdk confirms it"


def to_notice(raw: Fields) -> Notice:
    """Convert a notification, without secrets and without the text of a settlement statement."""
    kind = str(raw.get("type", ""))
    content = str(raw.get("content", ""))
    return Notice(
        code=int(number(raw, "code", 0)),
        level=str(raw.get("level", "INFO")),
        content=STATEMENT_CAME if kind == "SETTLEMENT" else clean(content),
        conn_id=str(raw.get("conn_id", "")),
        type=kind,
    )
