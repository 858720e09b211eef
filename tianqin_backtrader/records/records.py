"""The records of one strategy in a folder: the journal and CSV files made from it.

``order.csv``, ``trade.csv`` and ``equity.csv`` grow by lines; ``position.csv`` and ``account.csv``
have one row per trading day (and contract) and are replaced as a whole. All of them can be deleted:
they are made from ``journal.sqlite``.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Unpack

import pandas as pd

from .csv_log import CsvLog, csv_lines, replace_file, set_aside
from .journal import JOURNAL
from .metrics import Statistics, StatisticsOptions, statistics
from .rows import LOGS, JournalReader

logger = logging.getLogger(__name__)

KINDS = ("order", "trade", "position", "account", "equity")
_DAY_KEYS = {"account": ("trading_day",), "position": ("trading_day", "symbol")}


class DayTable:
    """Rows that may change until their day ends: ``account`` or ``position``.

    Attributes:
        rows: Fields by (trading day,) or (trading day, symbol).
    """

    def __init__(self, kind: str) -> None:
        self._keys = _DAY_KEYS[kind]
        self.rows: dict[tuple[str, ...], dict[str, object]] = {}

    def columns(self) -> list[str]:
        """Key columns first, then every field that any row has."""
        fields = dict.fromkeys(name for row in self.rows.values() for name in row)
        return [*self._keys, *(name for name in fields if name not in self._keys)]

    def table(self) -> list[tuple[object, ...]]:
        """Rows in order of days, with ``columns``."""
        names = self.columns()[len(self._keys) :]
        return [(*key, *(self.rows[key].get(name) for name in names)) for key in sorted(self.rows)]

    def text(self) -> str:
        """The text of the CSV file."""
        return csv_lines([self.columns(), *self.table()])


class Records:
    """Reads a folder of records, also while its program runs.

    Args:
        folder: Such as ``records/dual_ma``.

    Raises:
        JournalError: There are no records, or they cannot be read.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.reader = JournalReader(self.folder / JOURNAL)
        self._days = {kind: DayTable(kind) for kind in _DAY_KEYS}
        self._seen = 0

    def to_dataframe(self, kind: str) -> pd.DataFrame:
        """One kind of records; times are naive Beijing timestamps.

        Args:
            kind: ``"order"`` (one row per order, in its present state), ``"trade"``,
                ``"position"``, ``"account"`` or ``"equity"``.

        Raises:
            KeyError: Unknown kind.
        """
        if kind in self._days:
            self._follow_days()
            frame = pd.DataFrame(self._days[kind].table(), columns=self._days[kind].columns())
        else:
            frame = pd.DataFrame(self.reader.log(kind), columns=self.reader.log_columns(kind))
        if kind == "order":
            frame = frame.drop_duplicates("order_id", keep="last").reset_index(drop=True)
        for name in frame.columns.intersection(["date_time", "trade_date_time", "bar"]):
            frame[name] = pd.to_datetime(frame[name].replace("", None))
        frame["trading_day"] = pd.to_datetime(frame["trading_day"])
        return frame

    def statistics(self, **options: Unpack[StatisticsOptions]) -> Statistics:
        """All statistics; ``options`` as for ``metrics.statistics``."""
        return statistics(self.reader.executions(), self.reader.equity(), **options)

    def _follow_days(self) -> set[str]:
        """Read new account and position rows; returns the kinds that changed."""
        seen, changed = self._seen, set()
        accounts, positions = self._days["account"], self._days["position"]
        for seq, day, fields in self.reader.accounts(seen):
            before = accounts.rows.get((day,), {}).get("settlement_balance")
            accounts.rows[(day,)] = fields | {"settlement_balance": before}
            self._seen = max(self._seen, seq)
            changed.add("account")
        for seq, day, symbol, fields in self.reader.positions(seen):
            positions.rows[(day, symbol)] = fields
            self._seen = max(self._seen, seq)
            changed.add("position")
        for day, balance in self.reader.settlements(seen).items():
            row = accounts.rows.get((day,))
            if row is not None and row["settlement_balance"] != balance:
                row["settlement_balance"] = balance
                changed.add("account")
        return changed

    def close(self) -> None:
        """Close the files; further calls do nothing."""
        self.reader.close()

    def __enter__(self) -> Records:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class WrittenRecords(Records):
    """A folder of records whose CSV files are kept current, by the program that has the journal.

    Raises:
        JournalError: A file cannot be opened or written.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__(folder)
        self._logs = self._open_logs()
        if not all(self._fits(kind, log) for kind, log in self._logs.items()):
            # Files of a journal that was moved away: perhaps all that is left of it, so keep them.
            for log in self._logs.values():
                log.close()
            kept = set_aside(self.folder, self.folder.glob("*.csv"))
            logger.warning("files of another journal are now in %s", kept)
            self._logs = self._open_logs()
        self._follow_days()
        for kind, table in self._days.items():
            replace_file(self.folder / f"{kind}.csv", table.text())
        self.refresh()

    def _open_logs(self) -> dict[str, CsvLog]:
        return {
            kind: CsvLog(self.folder / f"{kind}.csv", self.reader.log_columns(kind))
            for kind in LOGS
        }

    def _fits(self, kind: str, log: CsvLog) -> bool:
        """Whether the file's last line is in the journal."""
        if not log.last_line:
            return True
        rows = self.reader.log(kind, log.last_seq - 1)
        return bool(rows) and csv_lines(rows[:1]) == log.last_line

    def refresh(self) -> None:
        """Bring the files up to date with the journal.

        Raises:
            JournalError: A file cannot be written.
        """
        for kind, log in self._logs.items():
            log.append(self.reader.log(kind, log.last_seq))
        for kind in self._follow_days():
            replace_file(self.folder / f"{kind}.csv", self._days[kind].text())

    def close(self) -> None:
        """Close the files; further calls do nothing."""
        for log in self._logs.values():
            log.close()
        super().close()
