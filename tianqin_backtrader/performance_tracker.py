"""``PerformanceTracker``: orders, trades, positions, account and equity to disk; statistics.

As an analyzer::

    cerebro.addanalyzer(PerformanceTracker)
    [strategy] = cerebro.run()
    strategy.analyzers.performancetracker.report()

By itself, in a program with a loop of its own: ``tracker = PerformanceTracker(store=store)``,
``tracker.start()``, ``tracker.update()`` after each wait, ``tracker.stop()``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import backtrader as bt
import pandas as pd

from .account_scribe import AccountScribe
from .clock import MINUTE, to_ns
from .errors import ConfigError, JournalError
from .journal import Journal, open_journal
from .metrics import Statistics
from .records import Records, WrittenRecords

if TYPE_CHECKING:
    from .broker import MyBroker
    from .store import MyStore

logger = logging.getLogger(__name__)

#: Of this process, by folder: the trackers of several strategies write into the same records.
_OPEN: dict[Path, _Folder] = {}


def trackers(folder: Path) -> list[PerformanceTracker]:
    """Those that keep the files of a folder."""
    shared = _OPEN.get(folder.absolute())
    return [] if shared is None else list(shared.users)


def bring_up(folder: Path) -> None:
    """Bring the files of a folder up to its journal.

    Raises:
        JournalError: One cannot be written.
    """
    shared = _OPEN.get(folder.absolute())
    if shared is not None:
        shared.records.refresh()
    else:
        WrittenRecords(folder).close()


class _Folder:
    """Journal and files of a folder, and the trackers that use them."""

    def __init__(self, folder: Path, store: MyStore) -> None:
        self.folder = folder
        self.users: list[PerformanceTracker] = []
        # The broker's own, if it keeps one, or else ours.
        self.given: Journal | None = store.broker.journal if store.broker else None
        self.journal = self.given or _open(folder, store)
        try:
            self.records = WrittenRecords(folder)
        except BaseException:
            if self.given is None:
                self.journal.close()
            raise

    def leave(self, user: PerformanceTracker) -> None:
        """Close everything behind the last one."""
        self.users.remove(user)
        if not self.users:
            del _OPEN[self.folder]
            self.records.close()
            if self.given is None:
                self.journal.close()


def _open(folder: Path, store: MyStore) -> Journal:
    account = store.gateway.account_id
    market_time = to_ns(store.now()) if store.clock.virtual else None
    return open_journal(folder, account=account, clock=store.clock, market_time=market_time)


class _MetaTracker(bt.analyzer.MetaAnalyzer):
    """Lets an analyzer be made outside of a strategy, too."""

    def donew(cls, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("store") is None:
            return super().donew(*args, **kwargs)
        tracker, args, kwargs = bt.MetaParams.donew(cls, *args, **kwargs)
        tracker._children, tracker.strategy, tracker._parent, tracker.datas = [], None, None, []
        tracker.create_analysis()
        return tracker, args, kwargs


class PerformanceTracker(bt.Analyzer, metaclass=_MetaTracker):
    """Keeps ``records/<strategy_name>/``; usable while the program runs and afterwards.

    Params:
        name: The folder's name; default the store's ``strategy_name``, else the strategy's class.
        folder: Where such folders are; default ``"records"``. Neither counts where the broker
            keeps a journal: the files are beside it.
        store: A ``MyStore``, to use the tracker without Cerebro.
        bars: Keep the bars of minute feeds (a contract's shortest), for the report's pictures.

    Attributes:
        folder: The records' folder, once started.

    Raises:
        JournalError: Records cannot be written; from inside a run it ends the run.
        ConfigError: The strategy's broker is not that of a ``MyStore``.
    """

    params = (("name", ""), ("folder", "records"), ("store", None), ("bars", True))
    _ended = True  # until it is started

    def start(self) -> None:
        """Open the records and write down where the account stands.

        Raises:
            ConfigError: There is no broker of a ``MyStore``, or ``folder`` is not the one that the
                broker keeps its records in.
            JournalError: The records cannot be opened, or another program has them.
        """
        store = self.p.store or getattr(self.strategy.broker, "store", None)
        if store is None or store.broker is None:
            raise ConfigError("PerformanceTracker records the account of a MyStore: call getbroker")
        self._store: MyStore = store
        self._broker: MyBroker = store.broker
        name = type(self.strategy).__name__ if self.strategy is not None else "records"
        folder = self.p.name or self._store.strategy_name or name
        given = self._broker.journal
        path = Path(self.p.folder, folder) if given is None else given.path.parent
        self.folder = path.absolute()
        if self.p.folder != "records" and self.folder != Path(self.p.folder, folder).absolute():
            raise ConfigError(
                f"the broker keeps these records in {self.folder}: say "
                "getbroker(records=folder), or getbroker(records=False) to leave them to the "
                "tracker alone"
            )
        self._leave_what_has_ended()
        if self.folder not in _OPEN:
            _OPEN[self.folder] = _Folder(self.folder, self._store)
        self._shared = _OPEN[self.folder]
        strategy = name if self.strategy is not None else folder
        kept = self._broker.account_scribe
        self._scribe = kept or AccountScribe(self._store, self._shared.journal, strategy)
        self._minute = -1
        self._trading = True
        self._delivered: dict[Any, int] = {}
        self._minutes = self._minute_feeds()
        self._shared.users.append(self)
        self._ended = False
        try:
            self._take_all("start")
        except BaseException:
            self._ended = True
            self._shared.leave(self)
            raise

    def _leave_what_has_ended(self) -> None:
        """A run that ended with an error has stopped nothing; in a notebook the next one begins."""
        running = [] if self.strategy is None else self.strategy.env.runningstrats
        shared = _OPEN.get(self.folder)
        for user in [] if shared is None else list(shared.users):
            if not any(user.strategy is one for one in running):
                user._ended = True
                user._shared.leave(user)

    # -- what Cerebro calls -------------------------------------------------------------------

    def notify_order(self, order: Any) -> None:
        """An order has changed."""
        if self._shared.given is None:  # else the broker has written it
            self._scribe.take_order(order)
        self._take_all("order")

    def take_orders(self) -> None:
        """Orders have changed, and the broker has written it."""
        self._take_all("order")

    def next(self) -> None:
        """A bar has been delivered."""
        if self._shared.users[0] is not self or self._store.in_history:
            return
        if self._halted():
            return
        minute = to_ns(self._store.now()) // MINUTE
        bars = self._new_bars()
        if minute == self._minute and not bars:
            return  # a tick feed
        self._minute = minute
        with self._errors():
            with self._shared.journal.together():
                if self.p.bars:
                    for feed in bars:
                        self._scribe.take_bar(feed)
                self._scribe.take_equity("bar")
            trading = any(self._store.is_open(one._dataname) for one in self._store.feeds)
            if self._trading and not trading:
                self._scribe.take_account()
                self._shared.journal.tidy()
            self._trading = trading
            self._shared.records.refresh()

    prenext = next
    nextstart = next

    def stop(self) -> None:
        """The run has ended: write down where the account stands, and give the files free."""
        if self._ended:
            return
        self._ended = True
        self._take_all("stop")
        self._shared.leave(self)

    # -- for everybody ------------------------------------------------------------------------

    def update(self) -> None:
        """Write down what has changed since the last call; for programs without Cerebro.

        Raises:
            JournalError: It cannot be written.
        """
        if self._shared.given is None:
            for order in self._broker.get_all_orders():
                self._scribe.take_order(order)
        self._take_all("update")

    def statistics(self, **options: Any) -> Statistics:
        """Figures over everything on record, earlier runs included.

        Args:
            options: As for ``metrics.statistics``: ``days_per_year`` (trading days, default 250),
                ``risk_free`` (annual, a fraction, default 0).

        Returns:
            ``metrics.Statistics``: yuan, ratios as fractions, after fees, deposits taken out; nan
            where there is nothing to divide by.

        Raises:
            JournalError: The records cannot be read.
        """
        with Records(self.folder) as records:
            return records.statistics(**options)

    def to_dataframe(self, kind: str = "trade") -> pd.DataFrame:
        """Records as a table, oldest first; moments are naive Beijing timestamps.

        Args:
            kind: ``"order"``, a row for each exchange order as it stands now; ``"trade"``, for each
                execution; ``"equity"``, for each point of the curve; ``"account"``, for each
                trading day; ``"position"``, for each trading day and contract. Columns are in
                docs/journal.md, "The CSV files"; yuan, quote units, lots.

        Raises:
            KeyError: No such kind.
            JournalError: The records cannot be read.
        """
        with Records(self.folder) as records:
            return records.to_dataframe(kind)

    def report(self, path: str | Path | None = None) -> Path:
        """Write the HTML report, its pictures inside and as PNG files beside it.

        Args:
            path: Of the HTML file; default ``report.html`` in the records' folder.

        Returns:
            The path.

        Raises:
            ConfigError: matplotlib is missing (``pip install 'tianqin_backtrader[plot]'``).
            JournalError: The records cannot be read, or there are none yet.
        """
        from .report import write_report  # matplotlib is an extra

        return write_report(self.folder, path)

    def get_analysis(self) -> dict[str, Any]:
        """The statistics as a dict of plain values, as Backtrader's analyzers have it."""
        return asdict(self.statistics())

    # -- inside -------------------------------------------------------------------------------

    def _take_all(self, why: str) -> None:
        if self._halted():
            return
        with self._errors():
            with self._shared.journal.together():
                self._scribe.take_equity(why)
                self._scribe.take_account()
            self._shared.records.refresh()

    def _halted(self) -> bool:
        """Whether the broker's records cannot be written, which it has told."""
        return self._shared.given is not None and self._broker.records_broken

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """What cannot be written into the broker's records halts its trading; else it is raised."""
        try:
            yield
        except JournalError as error:
            if self._shared.given is None:
                raise
            self._broker.records_failed(error)

    def _new_bars(self) -> list[Any]:
        """The minute feeds with a new live bar, of each contract the shortest alone."""
        shortest: dict[str, Any] = {}
        for feed in self._minutes:
            shortest.setdefault(self._store.mains.traded(feed.symbol), feed)
        found = [
            feed
            for feed in shortest.values()
            if self._delivered.get(feed, 0) != len(feed) and not feed.history_phase
        ]
        self._delivered |= {feed: len(feed) for feed in found}
        return found

    def _minute_feeds(self) -> list[Any]:
        """Shortest bars first; of equal ones those of main contracts last."""
        ours = {id(feed) for feed in self._store.feeds}  # == compares prices
        found = [
            feed
            for feed in self.datas
            if id(feed) in ours and feed.p.timeframe == bt.TimeFrame.Minutes
        ]
        traded = self._store.mains.traded
        return sorted(
            found, key=lambda feed: (feed.p.compression, traded(feed.symbol) != feed.symbol)
        )
