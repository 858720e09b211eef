"""Where a broker's records are, and the CSV files beside its journal unless others keep them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .clock import to_ns
from .errors import ConfigError
from .journal import Journal, open_journal

#: Folder of the records of a program that has no ``strategy_name``.
UNNAMED = "strategy"


def records_folder(store: Any, records: Any) -> Path | None:
    """The folder of a broker's records, None for no records.

    Args:
        store: Paper and live accounts have records, and every store with a ``strategy_name``.
        records: What the user says: None for that rule, False for none, or the folder above.

    Raises:
        ConfigError: It is neither.
    """
    if records is False:
        return None
    if records is not None and not isinstance(records, str | Path):
        raise ConfigError(f"records is a folder, None or False, not {records!r}")
    real = not store.clock.virtual and store.gateway.renewable
    if records is None and not store.strategy_name and not real:
        return None
    return Path(records or "records", store.strategy_name or UNNAMED)


class RecordKeeper:
    """Opens the journal, and tracks performance unless an analyzer does.

    Args:
        store: Whose account it is.
        records: As of ``records_folder``.
    """

    def __init__(self, store: Any, records: Any) -> None:
        self._store = store
        self._folder = records_folder(store, records)
        self._tracker: Any = None
        self._looked = False

    def open(self) -> Journal | None:
        """The journal; None where no records are kept.

        Raises:
            JournalError: It cannot be opened, or another program has it.
        """
        if self._folder is None:
            return None
        store = self._store
        account = store.gateway.account_id
        market_time = to_ns(store.now()) if store.clock.virtual else None
        return open_journal(
            self._folder, account=account, clock=store.clock, market_time=market_time
        )

    def follow(self, journal: Journal | None) -> None:
        """A round of Cerebro: keep the files current."""
        if journal is None:
            return
        if not self._looked:
            self._looked = True
            self._begin(journal)
        if self._tracker is not None:
            self._tracker.next()

    def told(self) -> None:
        """Strategies have been told of orders."""
        if self._tracker is not None:
            self._tracker.take_orders()

    def _begin(self, journal: Journal) -> None:
        from .performance_tracker import PerformanceTracker, tracked  # pandas takes its time

        if not tracked(journal.path.parent):
            self._tracker = PerformanceTracker(store=self._store)
            self._tracker.datas = self._store.feeds
            self._tracker.start()

    def stop(self) -> None:
        """A run of Cerebro has ended; another may follow."""
        self._looked = False
        tracker, self._tracker = self._tracker, None
        if tracker is not None:
            tracker.stop()
