"""``LivePage``: shows a running session in a browser; created by ``store.serve``.

    page = store.serve()          # before the run; open page.url
    cerebro.run()

It shows bars with own trades, equity, positions, orders, health and the log since ``serve`` was
called, on 127.0.0.1 only. It is read-only unless a token is given: then it can also halt and
flatten. The store's own thread executes these commands.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import count
from pathlib import Path
from queue import Empty, Full, Queue

from ...core.clock import MINUTE, monotonic
from ...core.fields import number
from ...core.json_values import Json
from ...core.model import Bar, Fill
from ...core.redaction import clean
from ...errors import ConfigError, TianqinError
from ..http_server import Answer, LocalServer, Site
from ..ports import OrderView
from ..prometheus import Publisher, health_page, metrics_page
from ..session_view import SessionView
from .page_state import PageState, Row, chart_time

logger = logging.getLogger(__name__)

#: Rows kept: bars per feed, orders, fills, minutes of equity, lines of log.
BARS, ORDERS, FILLS, EQUITY, LOG = 600, 200, 500, 3000, 300
#: The most commands that wait for the store's thread.
ASKED = 8
#: Seconds between two updates of a viewer, and after which an idle stream is kept alive.
LOOK_EVERY, ALIVE_EVERY = 0.25, 5.0
#: Shorter tokens could be guessed.
SHORTEST_TOKEN = 12

_STATIC = Path(__file__).parent / "static"
_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/lightweight-charts.js": ("lightweight-charts.js", "text/javascript; charset=utf-8"),
    "/licence": ("lightweight-charts.LICENSE.txt", "text/plain; charset=utf-8"),
}


class LivePage(Publisher):
    """The live page on a local port.

    Args:
        view: The session.
        port: The port; 0 takes any free one.
        token: Allows halt and flatten; at least 12 characters. None: the page is read-only.

    Attributes:
        url: The address, ``"http://127.0.0.1:.../"``.
        page: The newest ``PageState``; any thread may read it.

    Raises:
        ConfigError: The port is in use, or the token is too short.
    """

    def __init__(self, view: SessionView, port: int = 0, token: str | None = None) -> None:
        if token is not None and len(token) < SHORTEST_TOKEN:
            raise ConfigError(f"a token must have at least {SHORTEST_TOKEN} characters")
        self._numbers = count(1)
        self._bars: dict[str, deque[Row]] = {}
        self._frozen_bars: dict[str, tuple[Row, ...]] = {}
        self._orders: dict[int, Row] = {}
        self._fills: deque[Row] = deque(maxlen=FILLS)
        self._fill_ids: set[tuple[int, str]] = set()
        self._equity: deque[Row] = deque(maxlen=EQUITY)
        self._minute, self._worth = -1, 0.0
        self._token = token
        self._asked: Queue[str] = Queue(ASKED)
        self._log = _LogRows(self._next)
        super().__init__(view)
        for order in view.broker.get_all_orders() if view.broker is not None else ():
            self.order(order)
        self.publish(monotonic())
        logging.getLogger().addHandler(self._log)
        try:
            self._server = LocalServer(self._site(), port)
        except ConfigError:
            self._leave()
            raise
        self.url = self._server.url
        logger.info("the live page is at %s", self.url)

    def close(self) -> None:
        """Stop serving; further calls do nothing."""
        self._leave()
        self._server.close()

    closed = close

    def _leave(self) -> None:
        self._view.observers.remove(self)
        logging.getLogger().removeHandler(self._log)

    def _site(self) -> Site:
        pages: dict[str, Callable[[], Answer]] = {
            path: _file(name, kind) for path, (name, kind) in _FILES.items()
        }
        pages["/state"] = lambda: Answer.json(self.page.since(-1, monotonic()))
        pages["/health"] = health_page(self)
        try:
            pages["/metrics"] = metrics_page(self)
        except ConfigError as error:
            logger.info("no /metrics: %s", error)
        commands = {f"/command/{name}": self._ask(name) for name in ("halt", "flatten")}
        return Site(pages, {"/events": self._events}, commands, self._token)

    # -- in the store's thread ----------------------------------------------------------------

    def round(self) -> None:
        """Execute commands, and publish if it is time."""
        if not self._asked.empty():
            self._obey()
        ns = self._view.now_ns()
        if ns // MINUTE != self._minute:
            self._minute = ns // MINUTE
            self._take_equity(ns)
        super().round()

    def bar(self, name: str, bar: Bar) -> None:
        """Store a bar."""
        rows = self._bars.get(name)
        if rows is None:
            rows = self._bars[name] = deque(maxlen=BARS)
        row = [chart_time(bar.end), bar.open, bar.high, bar.low, bar.close, bar.volume]
        if all(value == value for value in row):
            rows.append((self._next(), row))
            self._frozen_bars.pop(name, None)

    def order(self, order: OrderView) -> None:
        """Store the order's state and its new fills."""
        super().order(order)
        for leg in order.legs:
            for fill in leg.fills.values():
                if (order.ref, fill.trade_id) not in self._fill_ids:
                    self._fill_ids.add((order.ref, fill.trade_id))
                    self._fills.append((self._next(), _fill_row(fill)))
        if not order.alive():  # all its fills are stored
            self._fill_ids = {one for one in self._fill_ids if one[0] != order.ref}
        self._orders.pop(order.ref, None)  # the latest change comes last
        row = _order_row(order, self._view.now())
        self._orders[order.ref] = (self._next(), row)
        if order.status in (order.Rejected, order.Margin):
            self._log.add("WARNING", f"{row['symbol']} {row['direction']} refused: {row['reason']}")
        if len(self._orders) > ORDERS:
            del self._orders[next(iter(self._orders))]

    def said(self, text: str) -> None:
        """Add messages to ``notify_store`` to the log."""
        self._log.add("INFO", text)

    def publish(self, now: float) -> None:
        """Take a snapshot and freeze the rows."""
        super().publish(now)
        for name, rows in self._bars.items():
            if name not in self._frozen_bars:
                self._frozen_bars[name] = tuple(rows)
        number = self._next()
        self.page = PageState(
            number=number,
            now=self.latest,
            feeds={name: feed.symbol for name, feed in self._view.named_feeds().items()},
            bars=dict(self._frozen_bars),
            orders=tuple(self._orders.values()),
            fills=tuple(self._fills),
            equity=tuple(self._equity),
            log=self._log.rows(number),
            commands=self._token is not None,
        )

    def _next(self) -> int:
        return next(self._numbers)

    def _take_equity(self, ns: int) -> None:
        worth = number(self._view.account.account(), "balance", 0.0)
        if ns and worth and worth != self._worth:
            self._worth = worth
            self._equity.append((self._next(), [chart_time(ns), worth]))

    def _obey(self) -> None:
        while True:
            try:
                name = self._asked.get_nowait()
            except Empty:
                return
            broker = self._view.broker
            logger.warning("%s was requested on the live page", name)
            if broker is None:
                logger.error("%s: this session has no broker", name)
                continue
            try:
                getattr(broker, name)(f"{name} on the live page")
            except TianqinError as error:
                logger.error("%s is not complete, request it again: %s", name, error)

    # -- in threads of the server -------------------------------------------------------------

    def _ask(self, name: str) -> Callable[[], Answer]:
        def ask() -> Answer:
            try:
                self._asked.put_nowait(name)
            except Full:
                text = "too many commands are waiting: the strategy is busy or the program hangs\n"
                return Answer(text.encode(), status=503)
            return Answer.json({"asked": name}, status=202)

        return ask

    def _events(self, ended: threading.Event) -> Iterator[str]:
        number, last = -1, 0.0
        while True:
            page, now = self.page, monotonic()
            if page.number != number:
                yield json.dumps(page.since(number, now), ensure_ascii=False, allow_nan=False)
                number, last = page.number, now
            elif now - last > ALIVE_EVERY:
                yield ""
                last = now
            if ended.wait(LOOK_EVERY):
                return


class _LogRows(logging.Handler):
    """The newest lines of the log, from any thread."""

    def __init__(self, number: Callable[[], int]) -> None:
        super().__init__(logging.INFO)
        self._number = number
        self._rows: deque[Row] = deque(maxlen=LOG)

    def emit(self, record: logging.LogRecord) -> None:
        """Store a record."""
        text = clean(record.getMessage())
        self.add(record.levelname, text, record.created)

    def add(self, level: str, text: str, created: float | None = None) -> None:
        """Store a line."""
        record_time = logging.makeLogRecord({}).created if created is None else created
        row: dict[str, Json] = {
            "time": chart_time(int(record_time * 1e9)),
            "level": level,
            "text": clean(text),
        }
        with self.lock:  # type: ignore[union-attr]
            self._rows.append((self._number(), row))

    def rows(self, until: int) -> tuple[Row, ...]:
        """The stored lines, without those that other threads have added after number ``until``."""
        with self.lock:  # type: ignore[union-attr]
            return tuple(row for row in self._rows if row[0] <= until)


def _file(name: str, kind: str) -> Callable[[], Answer]:
    answer = Answer((_STATIC / name).read_bytes(), kind)
    return lambda: answer


def _fill_row(fill: Fill) -> dict[str, Json]:
    return {
        "time": chart_time(fill.time),
        "symbol": fill.symbol,
        "direction": str(fill.direction),
        "offset": str(fill.offset),
        "volume": fill.volume,
        "price": fill.price,
    }


def _order_row(order: OrderView, now: datetime) -> dict[str, Json]:
    price = order.created.price
    return {
        "ref": order.ref,
        "time": f"{now:%m-%d %H:%M:%S}",
        "symbol": order.data._dataname,
        "direction": "BUY" if order.isbuy() else "SELL",
        "kind": order.getordername(),
        "size": abs(order.created.size),
        "filled": abs(order.executed.size),
        "price": price if isinstance(price, int | float) and price == price else None,
        "status": order.getstatusname(),
        "alive": order.alive(),
        "reason": clean(str(order.info.get("reason", ""))),
    }
