"""``Journal``: order intents, reports, fills and more in one SQLite file, as they happen.

There is one file per account and strategy, open in one program at a time. Rows are added and never
changed; each call is one transaction and is recorded when it returns. An order is written before it
is sent, so that after a crash the journal and the account together say what happened to it.

``synchronous="NORMAL"``, the default, survives everything but a power cut, because the operating
system has what a killed program has written. A power cut may lose the last rows but never damages
the file; the account still knows the lost orders. ``"FULL"`` waits for the disk with every row.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Mapping, MutableMapping
from datetime import date
from pathlib import Path
from typing import Any

from ..core.clock import Clock
from ..core.fields import Fields, number
from ..core.model import Direction, Fill, Offset, OrderReport
from .csv_log import set_aside
from .journal_file import JournalFile
from .journal_queries import (
    FILLS,
    INTENT,
    LAST_POSITIONS,
    LAST_REPORT,
    LOTS_SINCE,
    NUMBERED,
    PLAN_COLUMNS,
    PLANS,
    UNANSWERED,
    Plan,
    RecordedLeg,
    recorded_leg,
    recorded_report,
)
from .journal_values import OPEN_ORDERS, OpenOrder, Origin, State, open_order, to_json, to_origin

logger = logging.getLogger(__name__)

#: The journal's file name in a folder of records.
JOURNAL = "journal.sqlite"


class Journal(JournalFile):
    """One strategy's records on one account, open for writing; its tables are in docs/journal.md.

    Units in all methods: times are nanoseconds since 1970 UTC, money is yuan, prices are quote
    units, lots are whole and positive. ``trading_day`` is the day to which a night session belongs
    (Friday night: Monday), ``exchange_time`` the time by the exchange's clock. Numbers without a
    value are NaN and are stored as NULL.

    Args:
        path: The SQLite file; created, with its folder, if it does not exist.
        account: The account's number; a journal of another account is refused.
        clock: The clock of ``received_at``.
        synchronous: ``"NORMAL"`` or ``"FULL"``.

    Attributes:
        path: The SQLite file.
        state: A persistent mapping of JSON values, used by ``store.state``.

    Raises:
        JournalError: The file is open in another program, damaged, of a newer version, of another
            account, or cannot be opened. Every method raises it if a row could not be written (a
            full disk, a deleted file); then no part of it was.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        account: str = "",
        clock: Clock | None = None,
        synchronous: str = "NORMAL",
    ) -> None:
        super().__init__(path, account=account, clock=clock, synchronous=synchronous)
        self._reported: dict[str, tuple[object, ...] | None] = {}
        self._origins: dict[str, Origin] = {}
        self.state: MutableMapping[str, Any] = State(self)

    # -- writing ------------------------------------------------------------------------------

    def intent(
        self,
        order_id: str,
        symbol: str,
        direction: Direction | str,
        offset: Offset | str,
        volume: int,
        limit_price: float | str | None,
        *,
        trading_day: date,
        exchange_time: int,
        origin: Origin | None = None,
        advanced: str | None = None,
    ) -> None:
        """Write an order that is about to be sent. It may be sent only if this returns.

        Args:
            order_id: Our own id; an order that is recorded already is not written again.
            symbol: ``"SHFE.cu2612"``.
            direction, offset: ``BUY`` or ``SELL``; ``OPEN``, ``CLOSE`` or ``CLOSETODAY``.
            volume: Lots.
            limit_price: Quote units, ``"BEST"`` or ``"FIVELEVEL"``; None for a market order.
            trading_day, exchange_time: See ``Journal``.
            origin: Where the order comes from; see ``journal_values.Origin``.
            advanced: ``"FAK"``, ``"FOK"`` or None.

        Raises:
            JournalError: It could not be written; the order must not be sent.
        """
        origin = origin or Origin()
        self._origins[order_id] = origin
        order = self._order(symbol, order_id, origin, direction, offset)
        is_new = self._add(
            "intents", exchange_time, trading_day,
            *order, volume, limit_price, advanced, origin.decision_price,
        )  # fmt: skip
        if is_new:
            self._reported[order_id] = None  # there is no report yet

    def report(self, report: OrderReport, *, trading_day: date, exchange_time: int) -> bool:
        """Write a report of the exchange on an order; False if it repeats the last report.

        Args:
            report: Of any order; those of other terminals are written, too.
            trading_day, exchange_time: See ``Journal``.
        """
        said = (report.status, report.volume_left, report.exchange_order_id, report.last_msg)
        if self._last_report(report.order_id) == said:
            return False
        origin = self.origin(report.order_id)
        self._add(
            "reports", exchange_time, trading_day,
            *self._order(
                report.symbol, report.order_id, origin, report.direction, report.offset
            ),
            report.volume_orign, report.volume_left, report.limit_price, report.status,
            report.exchange_order_id, report.last_msg,
        )  # fmt: skip
        self._reported[report.order_id] = said
        return True

    def report_refusal(
        self,
        order_id: str,
        symbol: str,
        direction: Direction,
        volume: int,
        reason: str,
        *,
        trading_day: date,
        exchange_time: int,
    ) -> None:
        """Write that a recorded order (``intent``) was never sent, and why.

        Args:
            order_id, symbol, direction, volume: As in its intent.
            reason: The text, as in ``order.info.reason``.
            trading_day, exchange_time: See ``Journal``.
        """
        origin = self.origin(order_id)
        offset = self.query("SELECT offset FROM intents WHERE order_id = ?", order_id)[0][0]
        self._add(
            "reports", exchange_time, trading_day,
            *self._order(symbol, order_id, origin, direction, offset),
            volume, volume, None, "FINISHED", "", reason,
        )  # fmt: skip
        self._reported[order_id] = ("FINISHED", volume, "", reason)

    def fill(self, fill: Fill, *, trading_day: date, volume_multiple: int) -> bool:
        """Write an execution; False if it is recorded already (by trade id and order id).

        Args:
            fill: Its ``time`` becomes the row's ``exchange_time``.
            trading_day: See ``Journal``.
            volume_multiple: Units per lot: turnover is price x volume x this.
        """
        origin = self.origin(fill.order_id)
        return self._add(
            "fills", fill.time, trading_day,
            *self._order(fill.symbol, fill.order_id, origin, fill.direction, fill.offset),
            fill.trade_id, fill.price, fill.volume, fill.commission, volume_multiple,
            origin.decision_price,
        )  # fmt: skip

    def account(
        self,
        fields: Fields,
        positions: Mapping[str, Fields],
        *,
        trading_day: date,
        exchange_time: int,
    ) -> None:
        """Write the account and its positions, in one transaction.

        Args:
            fields: Of ``tqsdk.objs.Account``.
            positions: Fields of ``tqsdk.objs.Position`` by symbol.
            trading_day, exchange_time: See ``Journal``.
        """
        with self.together():
            self._add("accounts", exchange_time, trading_day, to_json(fields))
            for symbol, position in positions.items():
                self._add("positions", exchange_time, trading_day, symbol, to_json(position))

    def equity(
        self,
        why: str,
        account: Fields,
        exposure: float,
        *,
        trading_day: date,
        exchange_time: int,
    ) -> None:
        """Write a point of the equity curve.

        Args:
            why: ``"start"``, ``"bar"``, ``"order"``, ``"update"``, ``"stop"`` or ``"settled"``.
            account: Fields of ``tqsdk.objs.Account``; ``balance``, ``available``, ``margin``,
                ``float_profit``, ``commission``, ``deposit`` and ``withdraw`` are stored.
            exposure: Value in yuan of all held lots at the last price.
            trading_day, exchange_time: See ``Journal``.
        """
        money = [account.get(name) for name in ("balance", "available", "margin", "float_profit",
                                                "commission")]  # fmt: skip
        flows = [_or_none(number(account, name)) for name in ("deposit", "withdraw")]
        self._add("equity", exchange_time, trading_day, why, *money, *flows, exposure)

    def mark(
        self, symbol: str, ohlcv: Iterable[float], *, trading_day: date, exchange_time: int
    ) -> None:
        """Write a bar: open, high, low, close, lots; ``exchange_time`` is its end."""
        self._add("marks", exchange_time, trading_day, symbol, *ohlcv)

    def note(
        self, text: str, level: str = "INFO", *, trading_day: date, exchange_time: int
    ) -> None:
        """Write a note for people to read later; ``level`` as in ``logging``."""
        self._add("notes", exchange_time, trading_day, level, text)

    def plan(
        self,
        kind: str,
        key: str,
        fields: str,
        *,
        over: bool,
        trading_day: date,
        exchange_time: int,
    ) -> None:
        """Write state that a restart needs; ``fields`` are JSON.

        Args:
            kind: ``"order"``, ``"group"``, ``"target"``, ``"held"`` or ``"risk"``.
            key: The key within its kind; its latest row is valid.
            fields: The whole state.
            over: Whether the state has ended, so that a restart need not restore it.
            trading_day, exchange_time: See ``Journal``.
        """
        self._add("plans", exchange_time, trading_day, kind, key, int(over), fields)

    # -- reading ------------------------------------------------------------------------------

    def plans(self, since: date) -> list[Plan]:
        """The latest rows of all keys not over, or written on ``since`` or later, by age."""
        return [Plan.of(row) for row in self.query(PLANS, since.isoformat())]

    def plan_of(self, kind: str, key: str) -> Plan | None:
        """The latest row of a key, over or not; None if there is none."""
        rows = self.query(f"{PLAN_COLUMNS} WHERE kind = ? AND key = ? ORDER BY seq DESC", kind, key)
        return Plan.of(rows[0]) if rows else None

    def leg(self, order_id: str) -> RecordedLeg | None:
        """Everything recorded of an exchange order, None if there is no intent."""
        rows = self.query(INTENT, order_id)
        if not rows:
            return None
        reports = self.query(LAST_REPORT, order_id)
        return recorded_leg(rows[0], reports, self.query(FILLS, order_id))

    def numbered_since(self, day: date) -> list[OrderReport]:
        """The latest report of each order that has had an exchange number since a day."""
        return [recorded_report(row) for row in self.query(NUMBERED, day.isoformat())]

    def unanswered_since(self, day: date) -> list[OrderReport]:
        """The orders since a day of which no number and no end is recorded, as they were sent.

        ``insert_date_time`` is when that was by the exchange's clock.
        """
        return [recorded_report(row) for row in self.query(UNANSWERED, day.isoformat())]

    def orders_since(self, day: date) -> set[str]:
        """Ids of the exchange orders with an intent of a trading day or later."""
        rows = self.query("SELECT order_id FROM intents WHERE trading_day >= ?", day.isoformat())
        return {order_id for (order_id,) in rows}

    def held_positions(self) -> dict[str, Fields]:
        """The latest recorded position of each contract that was held then, by symbol."""
        found = {symbol: json.loads(fields) for symbol, fields in self.query(LAST_POSITIONS)}
        return {
            symbol: fields
            for symbol, fields in found.items()
            if fields.get("pos_long") or fields.get("pos_short")
        }

    def lots_since(self, seq: int) -> dict[tuple[str, str], int]:
        """Lots by (symbol, "long" or "short") that the fills recorded after ``seq`` have added.

        They are negative if more lots were closed than opened.
        """
        return dict(((symbol, side), lots) for symbol, side, lots in self.query(LOTS_SINCE, seq))

    def open_orders(self) -> list[OpenOrder]:
        """Orders with an intent whose end is not recorded, oldest first.

        A FINISHED order is included while fills of it are missing; see
        ``journal_values.OpenOrder``.
        """
        return [open_order(row) for row in self.query(OPEN_ORDERS)]

    def origin(self, order_id: str) -> Origin:
        """The origin of an order; an empty ``Origin`` if it is not recorded."""
        if order_id not in self._origins:
            rows = self.query(
                "SELECT strategy, ref, leg, bar, decision_price FROM intents WHERE order_id = ?",
                order_id,
            )
            self._origins[order_id] = to_origin(rows[0]) if rows else Origin()
        return self._origins[order_id]

    # -- inside -------------------------------------------------------------------------------

    def _forget(self) -> None:
        self._reported.clear()
        self._origins.clear()

    def _order(
        self,
        symbol: str,
        order_id: str,
        origin: Origin,
        direction: Direction | str,
        offset: Offset | str,
    ) -> tuple[object, ...]:
        return (
            symbol, order_id, origin.strategy, origin.ref, origin.leg, origin.bar,
            str(direction), str(offset),
        )  # fmt: skip

    def _last_report(self, order_id: str) -> tuple[object, ...] | None:
        if order_id not in self._reported:
            rows = self.query(
                "SELECT status, volume_left, exchange_order_id, last_msg FROM reports "
                "WHERE order_id = ? ORDER BY seq DESC LIMIT 1",
                order_id,
            )
            if not rows:
                return None
            self._reported[order_id] = rows[0]
        return self._reported[order_id]


def _or_none(amount: float | None) -> float:
    """An amount of money; an unknown amount counts as 0."""
    return amount if amount is not None and math.isfinite(amount) else 0.0


def open_journal(
    folder: str | Path,
    *,
    account: str = "",
    clock: Clock | None = None,
    market_time: int | None = None,
) -> Journal:
    """Open a folder's journal, for the one program that writes it.

    Args:
        folder: Such as ``records/dual_ma``.
        account, clock: As for ``Journal``.
        market_time: The market's time now, if time is the market's own (a sandbox, a replay). If it
            is earlier than the last record, the market is another one: the folder's files are then
            moved to ``earlier_<n>`` in it, and new records begin.

    Raises:
        JournalError: As for ``Journal``.
    """
    folder = Path(folder)
    journal = Journal(folder / JOURNAL, account=account, clock=clock)
    last = journal.last("equity")
    if market_time is None or last is None or last["exchange_time"] <= market_time:
        return journal
    journal.close()
    kept = set_aside(folder, [file for file in folder.iterdir() if file.is_file()])
    logger.info("the market is earlier than the records in %s; they are now in %s", folder, kept)
    return Journal(folder / JOURNAL, account=account, clock=clock)
