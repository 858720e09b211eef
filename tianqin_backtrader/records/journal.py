"""``Journal``: what was meant, sent, reported and filled, in one SQLite file, as it happens.

One file for each account and strategy, one program at a time. Rows are added and never changed;
each call is one transaction and is on record when it returns. An order is written down before it
is sent, so that after a crash the journal and the account together say what became of it.

``synchronous="NORMAL"``, the default, survives everything but a power cut: what a killed program
has written is with the operating system. A power cut may take the last rows and never damages the
file; what it took the account still knows. ``"FULL"`` waits for the disk with every row.
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
    Plan,
    RecordedLeg,
    recorded_leg,
    recorded_report,
)
from .journal_values import OPEN_ORDERS, OpenOrder, Origin, State, open_order, to_json, to_origin

logger = logging.getLogger(__name__)

#: Its name in a folder of records.
JOURNAL = "journal.sqlite"


class Journal(JournalFile):
    """One strategy's records on one account, open for writing; its tables are in docs/journal.md.

    Everywhere: moments are nanoseconds since 1970 UTC, money is yuan, prices are quote units, lots
    are whole and positive, ``trading_day`` is the day that a night's session belongs to (Friday
    night: Monday's), ``exchange_time`` when it happened by the exchange's clock. Numbers that the
    market does not quote are nan and are kept as NULL.

    Args:
        path: The SQLite file; made if it is not there, with its folder.
        account: The account's number; a journal of another one is refused.
        clock: Stamps ``received_at``.
        synchronous: ``"NORMAL"`` or ``"FULL"``.

    Attributes:
        path: The SQLite file.
        state: A mapping of JSON values, kept; what ``store.state`` is written to.

    Raises:
        JournalError: Another program has it, it is damaged, of a newer version, of another
            account, or cannot be opened. From every method: the row could not be written (a full
            disk, a file taken away); then nothing of it was.
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
        """Write down an order that is about to be sent. Send it only if this returns.

        Args:
            order_id: Chosen by us; one that is on record already is not written again.
            symbol: ``"SHFE.cu2612"``.
            direction, offset: ``BUY`` or ``SELL``; ``OPEN``, ``CLOSE`` or ``CLOSETODAY``.
            volume: Lots.
            limit_price: Quote units, ``"BEST"`` or ``"FIVELEVEL"``, None at the market.
            trading_day, exchange_time: As everywhere.
            origin: Where it comes from; see ``journal_values.Origin``.
            advanced: ``"FAK"``, ``"FOK"`` or None.

        Raises:
            JournalError: It could not be written: the order must not be sent.
        """
        origin = origin or Origin()
        self._origins[order_id] = origin
        order = self._order(symbol, order_id, origin, direction, offset)
        is_new = self._add(
            "intents", exchange_time, trading_day,
            *order, volume, limit_price, advanced, origin.decision_price,
        )  # fmt: skip
        if is_new:
            self._reported[order_id] = None  # nothing was ever reported

    def report(self, report: OrderReport, *, trading_day: date, exchange_time: int) -> bool:
        """Write down what the exchange says of an order; False if it said so before.

        Args:
            report: Of an order on record or not: the orders of others are written down, too.
            trading_day, exchange_time: As everywhere.
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
        """Write down that an order on record (``intent``) was never sent, and why.

        Args:
            order_id, symbol, direction, volume: As its intent has them.
            reason: In words, as ``order.info.reason`` has them.
            trading_day, exchange_time: As everywhere.
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
        """Write down an execution; False if it is on record (by trade id and order id).

        Args:
            fill: Its ``time`` is the row's ``exchange_time``.
            trading_day: As everywhere.
            volume_multiple: Units of a lot: turnover is price x volume x this.
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
        fields: Mapping[str, Any],
        positions: Mapping[str, Mapping[str, Any]],
        *,
        trading_day: date,
        exchange_time: int,
    ) -> None:
        """Write down the account and its positions, in one transaction.

        Args:
            fields: Of ``tqsdk.objs.Account``.
            positions: Fields of ``tqsdk.objs.Position`` by symbol.
            trading_day, exchange_time: As everywhere.
        """
        with self.together():
            self._add("accounts", exchange_time, trading_day, to_json(fields))
            for symbol, position in positions.items():
                self._add("positions", exchange_time, trading_day, symbol, to_json(position))

    def equity(
        self,
        why: str,
        account: Mapping[str, Any],
        exposure: float,
        *,
        trading_day: date,
        exchange_time: int,
    ) -> None:
        """Write down a point of the equity curve.

        Args:
            why: ``"start"``, ``"bar"``, ``"order"``, ``"update"``, ``"stop"`` or ``"settled"``.
            account: Fields of ``tqsdk.objs.Account``; ``balance``, ``available``, ``margin``,
                ``float_profit``, ``commission``, ``deposit`` and ``withdraw`` are kept.
            exposure: Yuan of all lots held, at the last price.
            trading_day, exchange_time: As everywhere.
        """
        money = [account.get(name) for name in ("balance", "available", "margin", "float_profit",
                                                "commission")]  # fmt: skip
        flows = [_or_none(account.get(name)) for name in ("deposit", "withdraw")]
        self._add("equity", exchange_time, trading_day, why, *money, *flows, exposure)

    def mark(
        self, symbol: str, ohlcv: Iterable[float], *, trading_day: date, exchange_time: int
    ) -> None:
        """Write down a bar: open, high, low, close, lots; ``exchange_time`` is its end."""
        self._add("marks", exchange_time, trading_day, symbol, *ohlcv)

    def note(
        self, text: str, level: str = "INFO", *, trading_day: date, exchange_time: int
    ) -> None:
        """Write down what a person should find later; ``level`` as in ``logging``."""
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
        """Write down what a restart is to find again; ``fields`` are JSON.

        Args:
            kind: ``"order"``, ``"group"``, ``"target"``, ``"held"`` or ``"risk"``.
            key: Which one; its latest row counts.
            fields: All there is to know of it.
            over: Nothing is left of it to find.
            trading_day, exchange_time: As everywhere.
        """
        self._add("plans", exchange_time, trading_day, kind, key, int(over), fields)

    # -- reading ------------------------------------------------------------------------------

    def plans(self, since: date) -> list[Plan]:
        """Latest rows of all that is not over, or was written on ``since`` or later, by age."""
        return [Plan.of(row) for row in self.query(PLANS, since.isoformat())]

    def plan_of(self, kind: str, key: str) -> Plan | None:
        """The latest row of a key, over or not; None if there is none."""
        rows = self.query(f"{PLAN_COLUMNS} WHERE kind = ? AND key = ? ORDER BY seq DESC", kind, key)
        return Plan.of(rows[0]) if rows else None

    def leg(self, order_id: str) -> RecordedLeg | None:
        """All that is on record of an exchange order, None if it was never meant to be sent."""
        rows = self.query(INTENT, order_id)
        if not rows:
            return None
        reports = self.query(LAST_REPORT, order_id)
        return recorded_leg(rows[0], reports, self.query(FILLS, order_id))

    def numbered_since(self, day: date) -> list[OrderReport]:
        """The latest report of each order that an exchange has given a number since a day."""
        return [recorded_report(row) for row in self.query(NUMBERED, day.isoformat())]

    def orders_since(self, day: date) -> set[str]:
        """Ids of the exchange orders meant to be sent on a trading day or later."""
        rows = self.query("SELECT order_id FROM intents WHERE trading_day >= ?", day.isoformat())
        return {order_id for (order_id,) in rows}

    def held_positions(self) -> dict[str, dict[str, Any]]:
        """The latest position on record of each contract that was held then, by symbol."""
        found = {symbol: json.loads(fields) for symbol, fields in self.query(LAST_POSITIONS)}
        return {
            symbol: fields
            for symbol, fields in found.items()
            if fields.get("pos_long") or fields.get("pos_short")
        }

    def lots_since(self, seq: int) -> dict[tuple[str, str], int]:
        """Lots by (symbol, "long" or "short") that the fills on record after ``seq`` have added.

        Negative where they have closed more than they have opened.
        """
        return dict(((symbol, side), lots) for symbol, side, lots in self.query(LOTS_SINCE, seq))

    def open_orders(self) -> list[OpenOrder]:
        """Orders that were meant to be sent and whose end is not on record, oldest first.

        See ``journal_values.OpenOrder``: a FINISHED one is here while fills of it are missing.
        """
        return [open_order(row) for row in self.query(OPEN_ORDERS)]

    def origin(self, order_id: str) -> Origin:
        """Where an order comes from; an empty ``Origin`` if it is not on record."""
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
    """An amount of money; one that is not known is none."""
    return amount if amount is not None and math.isfinite(amount) else 0.0


def open_journal(
    folder: str | Path,
    *,
    account: str = "",
    clock: Clock | None = None,
    market_time: int | None = None,
) -> Journal:
    """A folder's journal, for the one program that writes it.

    Args:
        folder: Such as ``records/dual_ma``.
        account, clock: As for ``Journal``.
        market_time: Where time is the market's own (a sandbox, a replay): its time now. A market
            that is earlier than the last record is another one; the folder's files are then moved
            to ``earlier_<n>`` in it, and records begin anew.

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
    logger.info("a market earlier than the records in %s: they are now in %s", folder, kept)
    return Journal(folder / JOURNAL, account=account, clock=clock)
