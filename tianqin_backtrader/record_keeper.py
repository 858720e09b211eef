"""Where a broker's records are, and the CSV files beside its journal unless others keep them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .account_scribe import AccountScribe
from .clock import SECOND, Instants, passed_ns, to_ns
from .errors import ConfigError, TianqinError
from .journal import Journal, open_journal
from .model import Fill, OrderReport

if TYPE_CHECKING:
    from .store import MyStore

logger = logging.getLogger(__name__)

#: So long after a trade all of the account's figures have come, nanoseconds.
SETTLED = 3 * SECOND
#: Packs that are waited for at the end, at most.
PACKS = 100
#: Folder of the records of a program that has no ``strategy_name``.
UNNAMED = "strategy"


def records_folder(store: MyStore, records: Any) -> Path | None:
    """The folder of a broker's records, wherever the program goes later; None for no records.

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
    return Path(records or "records", store.strategy_name or UNNAMED).absolute()


class RecordKeeper:
    """Opens the journal, and tracks performance unless an analyzer does.

    Args:
        store: Whose account it is.
        records: As of ``records_folder``.
    """

    def __init__(self, store: MyStore, records: Any) -> None:
        self._store = store
        self._folder = records_folder(store, records)
        self._tracker: Any = None
        self._looked = self._moved = self._kept = False
        self._heard_at = Instants(-SETTLED, -SETTLED)
        #: Writes the account into the journal, for every tracker of it.
        self.scribe: AccountScribe | None = None

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
        journal = open_journal(
            self._folder, account=account, clock=store.clock, market_time=market_time
        )
        self.scribe = AccountScribe(store, journal, store.strategy_name or UNNAMED)
        return journal

    def follow(self, journal: Journal | None) -> None:
        """A round of Cerebro: keep the files current."""
        if journal is None:
            return
        if not self._looked:
            self._looked = True
            self._begin(journal)
        if self._moved:
            self._moved = False
            self._take_orders(journal)
        if self._tracker is not None:
            self._tracker.next()

    def traded(self, fill: Fill) -> None:
        """Another terminal has traded on the account: nobody else looks at it for that."""
        self._moved = True
        self.heard()

    def heard(self, *_: object) -> None:
        """There was a trade."""
        self._heard_at = self._instants()

    def _instants(self) -> Instants:
        """Now; a server that tells the time tells it before the store's clock is set."""
        store = self._store
        return Instants(passed_ns(), store.gateway.virtual_now() or int(store.clock.now_ns()))

    def look_a_last_time(self, take: Callable[[list[OrderReport | Fill]], None]) -> None:
        """Before the records are closed: see what has come in the last moments.

        After a trade the account's own figures may come seconds later.

        Args:
            take: Given what the exchange says of orders.
        """
        gateway = self._store.gateway
        try:
            for number in range(PACKS):
                young = self._instants().since(self._heard_at) < SETTLED
                news = gateway.pump(0.05 if young else 0.0)
                if gateway.trading_changed():
                    take(gateway.new_reports())
                if not young and (not news or number):
                    return
        except TianqinError as error:
            logger.info("nothing more is heard of the account: %s", error)

    def told(self) -> None:
        """Strategies have been told of orders."""
        if self._tracker is not None:
            self._tracker.take_orders()

    def _take_orders(self, journal: Journal) -> None:
        from .performance_tracker import trackers

        for tracker in trackers(journal.path.parent)[:1]:
            tracker.take_orders()

    def finish(self, journal: Journal) -> None:
        """All that is owed is in the journal: write how the account stands, and bring the files up.

        Raises:
            JournalError: It cannot be written.
        """
        if not self._kept or self.scribe is None:
            return
        from .performance_tracker import bring_up

        with journal.together():
            self.scribe.take_last()
        bring_up(journal.path.parent)

    def _begin(self, journal: Journal) -> None:
        from .performance_tracker import PerformanceTracker, trackers  # pandas takes its time

        self._kept = True
        if not trackers(journal.path.parent):
            tracker = PerformanceTracker(store=self._store)
            tracker.datas = self._store.feeds
            tracker.start()
            self._tracker = tracker

    def stop(self) -> None:
        """A run of Cerebro has ended; another may follow."""
        self._looked = False
        tracker, self._tracker = self._tracker, None
        if tracker is not None:
            tracker.stop()
