"""One market data connection: its subscriptions and the packs it is sent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..market.timeline import Cursor, Step, Timeline
from .charts import ChartBook
from .quotes import Row, changed, quote_datetime
from .send_queue import Diff, SendQueue
from .series import SeriesBook

if TYPE_CHECKING:
    from ..market.listing import Instrument
    from .instrument_query import InstrumentQuery

logger = logging.getLogger(__name__)

#: How many trading days back the last quote of a contract without a trade today may be.
_QUOTE_DAYS = 20


@dataclass(frozen=True, slots=True)
class MdContext:
    """Objects that all market data connections share.

    Attributes:
        clock: Returns the elements that give a new connection the virtual time; empty in real time.
    """

    instruments: Mapping[str, Instrument]
    timeline: Timeline
    book: SeriesBook
    query: InstrumentQuery
    clock: Callable[[], list[Diff]]

    def quote(self, symbol: str) -> Row:
        """The whole quote now; that of the last day traded if there is no tick yet today."""
        cursor = self.timeline.cursor(symbol)
        view = self.book.views.get(symbol, cursor.day.trading_day)
        if cursor.k >= 0:
            settled = cursor.day.trading_day < self.timeline.trading_day
            return view.quote(cursor.k, settled=settled)
        for _ in range(_QUOTE_DAYS):
            before = self.book.views.previous(view)
            if before is None:
                break
            view = before
            if len(view.day):
                return view.quote(len(view.day) - 1, settled=True)
        return {"instrument_id": symbol}


class MdSession:
    """The state of one connection, without a socket.

    Attributes:
        peek_open: Whether the client waits for an answer.
        outbox: The packs to send.
    """

    def __init__(self, context: MdContext) -> None:
        self._context = context
        timeline = context.timeline
        self.charts = ChartBook(
            context.book,
            timeline.cursor,
            context.instruments.__contains__,
            timeline.watch,
            timeline.unwatch,
        )
        self.quotes: dict[str, Row] = {}
        self.ins_list = ""
        self.peek_open = False
        self.outbox = SendQueue()
        head: Diff = {"account_id": "", "ins_list": "", "mdhis_more_data": False}
        self.outbox.add(*context.clock(), head)

    greeting: tuple[dict[str, Any], ...] = (
        {"aid": "rsp_login", "account_id": "", "session_id": "MDSESSION"},
    )

    @property
    def subscribed(self) -> bool:
        """Whether the connection follows any symbol."""
        return bool(self.quotes or self.charts.charts)

    @property
    def waits(self) -> bool:
        """Whether the client has been sent everything and has peeked for more."""
        return self.peek_open and not self.outbox

    def receive(self, pack: Mapping[str, Any]) -> None:
        """Handle one pack of the client."""
        aid = pack.get("aid")
        if aid == "peek_message":
            self.peek_open = True
        elif aid == "subscribe_quote":
            self._subscribe_quote(str(pack.get("ins_list") or ""))
        elif aid == "set_chart":
            for answer in self.charts.set_chart(dict(pack)):
                self.outbox.add_pack(answer)
        elif aid == "ins_query":
            self._ins_query(pack)
        else:
            logger.debug("market data pack %r is ignored", aid)

    def on_step(self, step: Step) -> bool:
        """Add the changes of a step; returns whether there are any for this connection."""
        element: Diff = {}
        for cursor in step.ticks:
            symbol = cursor.symbol
            before = self.quotes.get(symbol)
            if before is not None:
                now = self._context.book.views.get(symbol, cursor.day.trading_day).quote(cursor.k)
                element.setdefault("quotes", {})[symbol] = changed(before, now)
                self.quotes[symbol] = now
            self.charts.advance(cursor, element)
        if element:
            self.charts.bind(element)
            self.outbox.add(element)
        return bool(element)

    def show_odd(self, cursor: Cursor, row: Row) -> bool:
        """Send an impossible tick as the newest row; bars ignore it.

        The quote shows it until the next tick. Returns whether the connection shows the symbol.
        """
        element: Diff = {}
        before = self.quotes.get(cursor.symbol)
        if before is not None:
            now = before | row | {"datetime": quote_datetime(row["datetime"])}
            element["quotes"] = {cursor.symbol: changed(before, now)}
            self.quotes[cursor.symbol] = now
        self.charts.advance(cursor, element)
        if element:
            self.outbox.add(element)
        return bool(element)

    def settle(self) -> None:
        """Send the day's close and settlement prices of the subscribed quotes."""
        element: dict[str, Row] = {}
        timeline, views = self._context.timeline, self._context.book.views
        for symbol, before in self.quotes.items():
            cursor = timeline.cursor(symbol)
            if cursor.k < 0 or cursor.day.trading_day != timeline.trading_day:
                continue
            now = views.get(symbol, timeline.trading_day).quote(cursor.k, settled=True)
            element[symbol] = changed(before, now)
            self.quotes[symbol] = now
        if element:
            self.outbox.add({"quotes": element})

    def close(self) -> None:
        """Stop following all symbols."""
        for symbol in self.quotes:
            self._context.timeline.unwatch(symbol)
        self.quotes = {}
        self.charts.close()

    def _subscribe_quote(self, ins_list: str) -> None:
        known = self._context.instruments
        wanted = dict.fromkeys(name for name in ins_list.split(",") if name in known)
        for symbol in [name for name in self.quotes if name not in wanted]:
            del self.quotes[symbol]
            self._context.timeline.unwatch(symbol)
        fresh: dict[str, Row] = {}
        for symbol in wanted:
            if symbol not in self.quotes:
                self._context.timeline.watch(symbol)
                fresh[symbol] = self.quotes[symbol] = self._context.quote(symbol)
        if fresh:
            self.outbox.add({"quotes": fresh})
        self.ins_list = ins_list
        self.outbox.add({"ins_list": ins_list})

    def _ins_query(self, pack: Mapping[str, Any]) -> None:
        query_id, query = str(pack.get("query_id")), str(pack.get("query") or "")
        answer = None
        if query:
            answer = self._context.query.answer(query, pack.get("variables") or {})
        self.outbox.add({"symbols": {query_id: answer}})
