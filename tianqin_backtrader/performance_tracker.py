"""``PerformanceTracker``: writes orders, trades, positions, account and equity; statistics.

As an analyzer::

    cerebro.addanalyzer(PerformanceTracker)
    [strategy] = cerebro.run()
    strategy.analyzers.performancetracker.report()

Without Cerebro, in a program with its own loop: ``tracker = PerformanceTracker(store=store)``,
``tracker.start()``, ``tracker.update()`` after each wait, ``tracker.stop()``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Protocol, Unpack

import backtrader as bt
import pandas as pd

from .core.clock import MINUTE, SECOND, Instants, passed_ns, to_ns
from .core.context import Context
from .core.model import Fill, OrderReport
from .core.ports import Underlyings
from .errors import ConfigError, JournalError, TianqinError
from .feeds.feed_list import FeedList
from .records.account_log import Account, AccountLog
from .records.journal import Journal, open_journal
from .records.metrics import Statistics, StatisticsOptions
from .records.records import Records, WrittenRecords
from .records.shared_folder import SharedFolder

logger = logging.getLogger(__name__)

#: After this time all of the account's figures include a trade, nanoseconds.
SETTLED = 3 * SECOND
#: The most packs to wait for at the end.
PACKS = 100
#: The folder name of a program without a ``strategy_name``.
UNNAMED = "strategy"


class RecordedBroker(Account, Protocol):
    """The account that is recorded, and its orders; ``MyBroker``."""

    @property
    def journal(self) -> Journal | None: ...
    @property
    def account_log(self) -> AccountLog | None: ...
    @property
    def records_broken(self) -> bool: ...
    def records_failed(self, error: JournalError) -> None: ...
    def get_all_orders(self) -> Iterable[bt.Order]: ...


class RecordedTrading(Protocol):
    """The reports of the exchange; ``Trading``."""

    @property
    def account_id(self) -> str: ...
    def changed(self) -> bool: ...
    def new_reports(self) -> list[OrderReport | Fill]: ...


class RecordedGateway(Protocol):
    """The session; ``Gateway``."""

    @property
    def trading(self) -> RecordedTrading: ...
    @property
    def renewable(self) -> bool: ...
    @property
    def told_now(self) -> int | None: ...
    def pump(self, timeout: float) -> bool: ...


class RecordedSession(Protocol):
    """The session of the account; ``MyStore``."""

    context: Context
    feeds: FeedList

    @property
    def broker(self) -> RecordedBroker | None: ...
    @property
    def gateway(self) -> RecordedGateway: ...
    @property
    def mains(self) -> Underlyings: ...
    def getbroker(self) -> RecordedBroker: ...


#: The open folders of this process.
_OPEN: dict[Path, SharedFolder[PerformanceTracker]] = {}


def trackers(folder: Path) -> list[PerformanceTracker]:
    """The trackers that write the files of a folder."""
    shared = _OPEN.get(folder.absolute())
    return [] if shared is None else list(shared.users)


def bring_up(folder: Path) -> None:
    """Bring the files of a folder up to date with its journal.

    Raises:
        JournalError: A file cannot be written.
    """
    shared = _OPEN.get(folder.absolute())
    if shared is not None:
        shared.records.refresh()
    else:
        WrittenRecords(folder).close()


def _open_journal(session: RecordedSession, folder: Path) -> Journal:
    clock, now = session.context.clock, session.context.now()
    market_time = to_ns(now) if clock.virtual else None
    account = session.gateway.trading.account_id
    return open_journal(folder, account=account, clock=clock, market_time=market_time)


class _MetaTracker(bt.analyzer.MetaAnalyzer):
    """Allows creating the analyzer outside a strategy, too."""

    def donew(cls, *args: object, **kwargs: object) -> object:
        if kwargs.get("store") is None:
            return super().donew(*args, **kwargs)
        tracker, args, kwargs = bt.MetaParams.donew(cls, *args, **kwargs)
        tracker._children, tracker.strategy, tracker._parent, tracker.datas = [], None, None, []
        tracker.create_analysis()
        return tracker, args, kwargs


class PerformanceTracker(bt.Analyzer, metaclass=_MetaTracker):
    """Writes ``records/<strategy_name>/``, readable while the program runs and afterwards.

    Params:
        name: The folder's name; default the store's ``strategy_name``, else the strategy's class.
        folder: The parent of such folders; default ``"records"``. If the broker keeps a journal,
            name and folder are not used: the files are beside the journal.
        store: A ``MyStore``, to use the tracker without Cerebro.
        bars: Write the bars of minute feeds (a contract's shortest), for the report's pictures.

    Attributes:
        folder: The records' folder, after ``start``.

    Raises:
        JournalError: Records cannot be written; within a run it ends the run.
        ConfigError: The strategy's broker is not that of a ``MyStore``.
    """

    params = (("name", ""), ("folder", "records"), ("store", None), ("bars", True))
    _ended = True  # until it is started

    def start(self) -> None:
        """Open the records and write the present state of the account.

        Raises:
            ConfigError: There is no broker of a ``MyStore``, or ``folder`` differs from the folder
                of the broker's records.
            JournalError: The records cannot be opened, or another program has opened them.
        """
        store = self.p.store or getattr(self.strategy.broker, "store", None)
        if store is None or store.broker is None:
            raise ConfigError("PerformanceTracker needs the broker of a MyStore: call getbroker")
        self._session: RecordedSession = store
        self._context = self._session.context
        self._broker: RecordedBroker = store.broker
        name = type(self.strategy).__name__ if self.strategy is not None else "records"
        folder = self.p.name or self._context.strategy_name or name
        given = self._broker.journal
        path = Path(self.p.folder, folder) if given is None else given.path.parent
        self.folder = path.absolute()
        if self.p.folder != "records" and self.folder != Path(self.p.folder, folder).absolute():
            raise ConfigError(
                f"the broker keeps these records in {self.folder}: use "
                "getbroker(records=folder), or getbroker(records=False) to let the tracker "
                "alone keep records"
            )
        self._leave_what_has_ended()
        if self.folder not in _OPEN:
            _OPEN[self.folder] = SharedFolder(self.folder, given, self._open_journal, _OPEN.pop)
        self._shared = _OPEN[self.folder]
        strategy = name if self.strategy is not None else folder
        kept = self._broker.account_log
        self._account_log = kept or AccountLog(
            self._context, self._broker, store.mains, self._shared.journal, strategy
        )
        self._minute = -1
        self._trading = True
        self._delivered: dict[bt.DataBase, int] = {}
        self._minutes = self._minute_feeds()
        self._shared.users.append(self)
        self._ended = False
        try:
            self._take_all("start")
        except BaseException:
            self._ended = True
            self._shared.leave(self)
            raise

    def _open_journal(self) -> Journal:
        return _open_journal(self._session, self.folder)

    def _leave_what_has_ended(self) -> None:
        """Stop trackers of a run that ended with an error; a notebook may start another run."""
        running = [] if self.strategy is None else self.strategy.env.runningstrats
        shared = _OPEN.get(self.folder)
        for user in [] if shared is None else list(shared.users):
            if not any(user.strategy is one for one in running):
                user._ended = True
                user._shared.leave(user)

    # -- called by Cerebro --------------------------------------------------------------------

    def notify_order(self, order: bt.Order) -> None:
        """An order has changed."""
        if self._shared.given is None:  # otherwise the broker has written it
            self._account_log.take_order(order)
        self._take_all("order")

    def take_orders(self) -> None:
        """Update the files after the broker has written changes of orders."""
        self._take_all("order")

    def next(self) -> None:
        """A bar has been delivered."""
        if self._shared.users[0] is not self or self._session.feeds.in_history:
            return
        if self._halted():
            return
        minute = to_ns(self._context.now()) // MINUTE
        bars = self._new_bars()
        if minute == self._minute and not bars:
            return  # a tick feed has no bar
        self._minute = minute
        with self._errors():
            with self._shared.journal.together():
                if self.p.bars:
                    for feed in bars:
                        self._account_log.take_bar(feed)
                self._account_log.take_equity("bar")
            trading = self._is_trading()
            if self._trading and not trading:
                self._account_log.take_account()
                self._shared.journal.tidy()
            self._trading = trading
            self._shared.records.refresh()

    def _is_trading(self) -> bool:
        """Whether the market of one of the feeds is open."""
        now, is_open = self._context.now(), self._context.calendar.is_trading_now
        return any(is_open(feed.symbol, now) for feed in self._session.feeds)

    prenext = next
    nextstart = next

    def stop(self) -> None:
        """The run has ended: write the account's state, and release the files."""
        if self._ended:
            return
        self._ended = True
        self._take_all("stop")
        self._shared.leave(self)

    # -- public -------------------------------------------------------------------------------

    def update(self) -> None:
        """Write the changes since the last call; for programs without Cerebro.

        Raises:
            JournalError: They cannot be written.
        """
        if self._shared.given is None:
            for order in self._broker.get_all_orders():
                self._account_log.take_order(order)
        self._take_all("update")

    def statistics(self, **options: Unpack[StatisticsOptions]) -> Statistics:
        """Statistics of all records, earlier runs included.

        Args:
            options: As for ``metrics.statistics``: ``days_per_year`` (trading days, default 250),
                ``risk_free`` (annual, a fraction, default 0).

        Returns:
            ``metrics.Statistics``: yuan, ratios as fractions, after fees, without deposits; NaN if
            a divisor is 0.

        Raises:
            JournalError: The records cannot be read.
        """
        with Records(self.folder) as records:
            return records.statistics(**options)

    def to_dataframe(self, kind: str = "trade") -> pd.DataFrame:
        """Records as a table, oldest first; times are naive Beijing timestamps.

        Args:
            kind: ``"order"``, one row per exchange order in its present state; ``"trade"``, one per
                execution; ``"equity"``, one per point of the curve; ``"account"``, one per trading
                day; ``"position"``, one per trading day and contract. docs/journal.md, "The CSV
                files", has the columns; units are yuan, quote units and lots.

        Raises:
            KeyError: Unknown kind.
            JournalError: The records cannot be read.
        """
        with Records(self.folder) as records:
            return records.to_dataframe(kind)

    def report(self, path: str | Path | None = None) -> Path:
        """Write the HTML report, with its pictures also as PNG files beside it.

        Args:
            path: The HTML file; default ``report.html`` in the records' folder.

        Returns:
            The path.

        Raises:
            JournalError: The records cannot be read, or there are none yet.
        """
        from .records.report import write_report  # matplotlib is slow to import

        return write_report(self.folder, path)

    def get_analysis(self) -> dict[str, object]:
        """The statistics as a dict of plain values, like Backtrader's analyzers."""
        return asdict(self.statistics())

    # -- inside -------------------------------------------------------------------------------

    def _take_all(self, why: str) -> None:
        if self._halted():
            return
        with self._errors():
            with self._shared.journal.together():
                self._account_log.take_equity(why)
                self._account_log.take_account()
            self._shared.records.refresh()

    def _halted(self) -> bool:
        """Whether trading is halted because the broker's records cannot be written."""
        return self._shared.given is not None and self._broker.records_broken

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """If the records are the broker's, halt trading when they cannot be written; else raise."""
        try:
            yield
        except JournalError as error:
            if self._shared.given is None:
                raise
            self._broker.records_failed(error)

    def _new_bars(self) -> list[bt.DataBase]:
        """The minute feeds with a new live bar; of each contract only the shortest."""
        shortest: dict[str, bt.DataBase] = {}
        for feed in self._minutes:
            shortest.setdefault(self._session.mains.traded(feed.symbol), feed)
        found = [
            feed
            for feed in shortest.values()
            if self._delivered.get(feed, 0) != len(feed) and not feed.history_phase
        ]
        self._delivered |= {feed: len(feed) for feed in found}
        return found

    def _minute_feeds(self) -> list[bt.DataBase]:
        """Minute feeds, shortest bars first; of equal ones those of main contracts last."""
        ours = {id(feed) for feed in self._session.feeds}  # == compares prices
        found = [
            feed
            for feed in self.datas
            if id(feed) in ours and feed.p.timeframe == bt.TimeFrame.Minutes
        ]
        traded = self._session.mains.traded
        return sorted(
            found, key=lambda feed: (feed.p.compression, traded(feed.symbol) != feed.symbol)
        )


def records_folder(session: RecordedSession, records: object) -> Path | None:
    """The absolute path of a broker's records; None for no records.

    Args:
        session: A paper or live account has records, and so has a session with a
            ``strategy_name``.
        records: The user's choice: None for that rule, False for no records, or the parent folder.

    Raises:
        ConfigError: ``records`` is none of these.
    """
    if records is False:
        return None
    if records is not None and not isinstance(records, str | Path):
        raise ConfigError(f"records is a folder, None or False, not {records!r}")
    name = session.context.strategy_name
    real = not session.context.clock.virtual and session.gateway.renewable
    if records is None and not name and not real:
        return None
    return Path(records or "records", name or UNNAMED).absolute()


class RecordKeeper:
    """Opens the journal, and runs a tracker unless an analyzer does.

    Args:
        session: The session of the account.
        records: As for ``records_folder``.
    """

    def __init__(self, session: RecordedSession, records: object) -> None:
        self._session = session
        self._folder = records_folder(session, records)
        self._tracker: PerformanceTracker | None = None
        self._looked = self._moved = self._kept = False
        self._heard_at = Instants(-SETTLED, -SETTLED)
        #: Writes the account to the journal, for all its trackers.
        self.account_log: AccountLog | None = None

    def open(self) -> Journal | None:
        """The journal; None without records.

        Raises:
            JournalError: It cannot be opened, or another program has opened it.
        """
        if self._folder is None:
            return None
        session, name = self._session, self._session.context.strategy_name or UNNAMED
        journal = _open_journal(session, self._folder)
        self.account_log = AccountLog(
            session.context, session.getbroker(), session.mains, journal, name
        )
        return journal

    def follow(self, journal: Journal) -> None:
        """Keep the files current; called in each round of Cerebro."""
        if not self._looked:
            self._looked = True
            self._begin(journal)
        if self._moved:
            self._moved = False
            self._take_orders(journal)
        if self._tracker is not None:
            self._tracker.next()

    def traded(self) -> None:
        """Note a trade of another terminal on the account, so that the account is recorded."""
        self._moved = True
        self.heard()

    def heard(self) -> None:
        """Note that there was a trade."""
        self._heard_at = self._instants()

    def _instants(self) -> Instants:
        """The present; a server that sends the time sends it before our clock is set."""
        session = self._session
        market = session.gateway.told_now or session.context.now_ns()
        return Instants(passed_ns(), market)

    def look_a_last_time(self, take: Callable[[list[OrderReport | Fill]], None]) -> None:
        """Before the records are closed, wait for the last reports.

        After a trade the account's figures may arrive seconds later.

        Args:
            take: Called with the reports and fills that have arrived.
        """
        gateway = self._session.gateway
        try:
            for number in range(PACKS):
                young = self._instants().since(self._heard_at) < SETTLED
                news = gateway.pump(0.05 if young else 0.0)
                if gateway.trading.changed():
                    take(gateway.trading.new_reports())
                if not young and (not news or number):
                    return
        except TianqinError as error:
            logger.info("the connection has ended, no more reports of the account: %s", error)

    def told(self) -> None:
        """Update the files after strategies have been notified of orders."""
        if self._tracker is not None:
            self._tracker.take_orders()

    def _take_orders(self, journal: Journal) -> None:
        for tracker in trackers(journal.path.parent)[:1]:
            tracker.take_orders()

    def finish(self, journal: Journal) -> None:
        """Write the account's final state and update the files; the journal owes nothing any more.

        Raises:
            JournalError: They cannot be written.
        """
        if not self._kept or self.account_log is None:
            return
        with journal.together():
            self.account_log.take_last()
        bring_up(journal.path.parent)

    def _begin(self, journal: Journal) -> None:
        self._kept = True
        if not trackers(journal.path.parent):
            tracker = PerformanceTracker(store=self._session)
            tracker.datas = self._session.feeds
            tracker.start()
            self._tracker = tracker

    def stop(self) -> None:
        """A run of Cerebro has ended; another one may follow."""
        self._looked = False
        tracker, self._tracker = self._tracker, None
        if tracker is not None:
            tracker.stop()
