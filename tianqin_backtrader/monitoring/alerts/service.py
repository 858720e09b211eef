"""``Alerts``: observes a session and passes alerts to a thread that sends them.

    with MyStore(...) as store:
        store.alerts("dingtalk://token", "mailto://user:password@example.com")
        ...

``rules`` and ``schedule`` decide which alerts are sent and when; this module reads the session.
"""

from __future__ import annotations

import logging
import tempfile
import weakref
from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path

from ...core.clock import HOUR, MINUTE, from_ns, monotonic
from ...core.fields import number
from ...core.redaction import clean
from ...errors import CalendarError, ConfigError
from ...feeds.live_bars import Difference
from ...gateway.supervisor import State
from ..observers import Observer
from ..ports import OrderView
from ..session_view import SessionView
from .account_summary import account_lines
from .facts import (
    Alert,
    Alive,
    Checked,
    DayOver,
    Differs,
    Exposed,
    Fact,
    Failed,
    LinkSeen,
    LoginSeen,
    Rejected,
    RiskSaid,
    RiskSeen,
    Stopped,
)
from .rules import AlertRules
from .schedule import NOTHING, AlertTimes
from .sender import AlertSender, SenderCounts
from .settings import AlertSettings
from .targets import targets_of

logger = logging.getLogger(__name__)

#: Seconds for the last alerts to be sent when the program ends.
LAST_WORDS = 5.0


class Alerts(Observer):
    """The alerts of one store; created by ``store.alerts``.

    Refusals of orders during history are ignored.

    Args:
        view: The session.
        settings: The targets, events and times.
        targets: Functions that send instead of ``settings.urls``; True means the alert was
            accepted.

    Raises:
        ConfigError: There is no target, a URL is invalid, or apprise is missing.
    """

    def __init__(
        self,
        view: SessionView,
        settings: AlertSettings,
        targets: Sequence[Callable[[Alert], bool]] | None = None,
    ) -> None:
        if targets is None and not settings.urls:
            raise ConfigError('alerts need a URL to go to, such as "dingtalk://token"')
        self._view = view
        self._name = view.strategy_name
        self._rules, self._times = AlertRules(settings), AlertTimes(settings)
        self._sender = AlertSender(targets_of(settings.urls) if targets is None else targets)
        self._finalizer = weakref.finalize(self, self._sender.close, LAST_WORDS)
        self._hour, self._day = -1, date.min
        self._minute = -1
        self._account: tuple[str, ...] = ()
        self._orders: set[int] = set()
        self._refused = 0
        view.observers.add(self)

    def counts(self) -> SenderCounts:
        """Alerts sent, failed, dropped and waiting."""
        return self._sender.counts()

    def close(self) -> None:
        """Stop observing; waiting alerts get ``LAST_WORDS`` seconds."""
        self._view.observers.remove(self)
        self._finalizer()

    closed = close

    # -- calls of the session -----------------------------------------------------------------

    def round(self) -> None:
        """Check link, risk and time."""
        view = self._view
        ns = view.now_ns()
        if not ns:
            return  # no time of the market is known yet
        now = from_ns(ns)
        self._look_at_link(now)
        if view.broker is not None:
            risk = view.broker.risk
            self._tell(RiskSeen(risk.state, risk.reason), now)
        if ns // HOUR != self._hour:  # trading days change on the hour
            self._hour, self._day = ns // HOUR, view.calendar.trading_day_at(now)
        due = self._times.look(now, self._day, view.hours.trading, view.hours.boundary)
        if due is not NOTHING:
            if due.day is not None:
                self._report(due.day, now)
            if due.alive:
                self._tell(Alive(self._how_it_is()), now)
            if due.opens is not None:
                self._tell(Checked(due.opens, self._check(due.opens)), now)
        elif view.hours.trading and ns // MINUTE != self._minute:
            self._minute = ns // MINUTE
            self._account = self._account_now()

    def _look_at_link(self, now: datetime) -> None:
        link = self._view.link
        up = link.market_data_up and (link.trading_up or bool(link.trading_rests))
        wanted = up or self._view.hours.awake()
        error = "" if up else link.last_error
        self._tell(LinkSeen(up, wanted, monotonic(), link.state is State.FATAL, error), now)
        self._tell(LoginSeen(link.trading_rests), now)

    def order(self, order: OrderView) -> None:
        """Check whether it was refused."""
        if order.status not in (order.Rejected, order.Margin):
            self._orders.add(order.ref)
            return
        if self._view.feeds.in_history:
            return
        self._refused += 1
        symbol, size = order.data._dataname, abs(order.created.size)
        what = f"{symbol} {'buy' if order.isbuy() else 'sell'} {size:g}"
        reason = str(order.info.get("reason", "")) or order.getstatusname()
        self._tell(Rejected(symbol, what, reason), self._view.now())

    def exposed(self, symbol: str, lots: int, text: str) -> None:
        """Lots have lost their protection."""
        self._tell(Exposed(symbol, lots, text), self._view.now())

    def difference(self, found: Difference) -> None:
        """A delivered bar differs from the official one."""
        fact = Differs(found.symbol, from_ns(found.delivered.end), found.columns)
        self._tell(fact, self._view.now())

    def said(self, text: str) -> None:
        """Of messages to ``notify_store``, those on flattening are a risk alert."""
        if text.startswith("flatten:"):
            self._tell(RiskSaid(text), self._view.now())

    def failed(self, error: Exception) -> None:
        """From here on nobody manages the remaining orders and positions."""
        words = str(error).strip()
        text = f"{type(error).__name__}: {words}" if words else type(error).__name__
        self._tell(Failed(text, self._left()), self._view.now())

    def stopped(self, by: str) -> None:
        """See ``failed``."""
        self._tell(Stopped(by, self._left()), self._view.now())

    def _left(self) -> tuple[str, ...]:
        """The orders that remain, and the account."""
        broker = self._view.broker
        alive = [] if broker is None else [o for o in broker.get_all_orders() if o.alive()]
        working = sum(any(not leg.over for leg in order.legs) for order in alive)
        waiting = len(alive) - working
        left = [f"orders working at the exchange: {working}"] * bool(working)
        left += [f"orders that waited in the ended program: {waiting}"] * bool(waiting)
        return (*left, *self._account_now())

    def _tell(self, fact: Fact, now: datetime) -> None:
        for alert in self._rules.observe(fact, now):
            title = f"[{self._name}] {alert.title}" if self._name else alert.title
            text = f"{alert.text}\n{now:%Y-%m-%d %H:%M:%S}"
            self._sender.put(
                Alert(alert.event, alert.level, clean(title), clean(text.lstrip("\n")), alert.at)
            )
            logger.info("alert: %s", alert.title)

    # -- longer texts -------------------------------------------------------------------------

    def _account_now(self) -> tuple[str, ...]:
        account = self._view.account
        return account_lines(account.account(), account.positions())

    def _report(self, day: date, now: datetime) -> None:
        """The account's figures; after the settlement they are those of the next day."""
        known = self._account if day != self._day and self._account else self._account_now()
        differ = sum(one.corrected for one in self._view.certificate().values())
        figures = (
            *known,
            f"orders {len(self._orders)}, refused {self._refused}",
            f"bars that differ since the start: {differ}",
        )
        self._tell(DayOver(day, figures), now)
        self._orders.clear()
        self._refused = 0

    def _how_it_is(self) -> tuple[str, ...]:
        health = self._view.health()
        link = " and ".join(
            f"{name} {'up' if up else 'down'}"
            for name, up in (("market data", health.market_data_up), ("trading", health.trading_up))
        )
        boundary = f"next open or close {health.next_boundary}"
        sessions = f"new sessions today {health.reconnects_today}"
        return (f"{link}, {sessions}", boundary, *self._account_now())

    def _check(self, opens: datetime) -> dict[str, str]:
        """The checks before an open: name -> problem, "" if there is none."""
        account, broker = self._view.account.account(), self._view.broker
        reduced = broker.risk if broker is not None and broker.risk.state != "ACTIVE" else None
        link = [] if self._view.link.market_data_up else ["market data is down"]
        link += [self._view.link.no_trading] if self._view.link.no_trading else []
        funds = number(account, "balance", 0.0) > 0
        return {
            "link": " and ".join(link),
            "account": "" if funds else "not logged in, or without funds",
            "calendar": self._calendar_wrong(opens),
            "disk": self._disk_wrong(),
            "feeds": self._feeds_wrong(),
            "risk": "" if reduced is None else f"{reduced.state}: {reduced.reason}",
        }

    def _calendar_wrong(self, opens: datetime) -> str:
        calendar = self._view.calendar
        try:
            calendar.must_know(calendar.trading_day_at(opens))
        except CalendarError as error:
            return str(error)
        return ""

    def _disk_wrong(self) -> str:
        broker = self._view.broker
        kept = broker.records_folder if broker is not None else ""
        folder = Path(kept) if kept else Path.cwd()
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(bytes(4096))
                file.flush()
        except OSError as error:
            return f"{folder} is not writable: {error.strerror}"
        return ""

    def _feeds_wrong(self) -> str:
        wrong = [
            name
            for name, feed in self._view.named_feeds().items()
            if not feed.finished and (not feed.current or (feed.p.lookback and not len(feed)))
        ]
        return f"no data yet: {', '.join(wrong)}" if wrong else ""
