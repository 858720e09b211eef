"""``Trading``: the account, its orders and trades, from the client."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqsdk.diff import _get_obj
from tqsdk.exceptions import TqTimeoutError
from tqsdk.utils import _query_for_quote

from ..core.clock import Clock, WallClock, from_ns, present_ns
from ..core.model import Counter, Direction, Fill, Offset, OrderReport
from ..errors import LinkLost, OrderError, UnknownSymbol
from ..session_calendar import CALENDAR
from .client import ClientMaker
from .current_session import CurrentSession
from .order_identity import OrderIdentity, made_up
from .rows import plain, to_fill, to_report


class Trading:
    """Account, positions and orders over successive sessions.

    Args:
        session: The current session.
        maker: Knows the account.
        clock: The exchange's time.

    Attributes:
        counter: The kind of the account's counter.
        matches_itself: Whether the client matches orders itself: whole, and at their own limit
            price.
        renewable: Whether a new session finds the orders and positions of the old one. An account
            that the client simulates ends with the client.
        names_fees: Whether every trade states its fee, so that 0.0 is a fee, too.
    """

    def __init__(self, session: CurrentSession, maker: ClientMaker, clock: Clock) -> None:
        self._session, self._maker, self._clock = session, maker, clock
        self.matches_itself, self.renewable = maker.matches_itself, maker.renewable
        self.counter = Counter.CTP
        if maker.matches_itself:
            self.counter = Counter.SIM
        elif maker.is_paper:
            self.counter = Counter.KQ
        self.names_fees = self.counter is not Counter.CTP
        self._last_account: dict[str, Any] = {}
        #: Fields by their names, as of so many changes of the account.
        self._funds: dict[tuple[str, ...], tuple[float, ...]] = {}
        self._funds_seen: int | None = None
        self._funds_row: Any = {}
        self._last_positions: dict[str, dict[str, Any]] = {}
        self._orders: dict[str, tuple[Any, ...]] = {}
        self._trades: set[str] = set()
        #: Orders and trades to report again; None for all.
        self._again: tuple[list[str], list[str]] | None = None
        self._identity = OrderIdentity()
        self._tells_time = False
        self._trading: Any = None
        self._trading_news = self._unsent = self._put_off = False

    @property
    def account_id(self) -> str:
        """The account's id, from the server or else as requested; "" if there is none."""
        return str(self.account().get("user_id") or self._maker.account_id)

    def begin(self) -> None:
        """Begin a new session: everything it shows is new."""
        api = self._session.api
        self._funds_seen = None
        self._trading = api.register_update_notify(
            [api.get_account(), api.get_order(), api.get_trade()]
        )
        self._trading_news, self._again = True, None
        self._identity.new_session()
        for order_id in [one for one in self._orders if made_up(one)]:
            del self._orders[order_id]  # the new session decides whose they are

    def keep(self) -> None:
        """A session ends: keep its last state until there is another session."""
        if self._session.logged_in:
            self._last_account, self._last_positions = self.account(), self.positions()

    def insert_order(
        self,
        order_id: str,
        symbol: str,
        direction: Direction,
        offset: Offset,
        volume: int,
        limit_price: float | str | None,
        advanced: str | None = None,
    ) -> None:
        """Pass an order to the client; ``send``, or else the next wait, sends it.

        Args:
            limit_price: A price, None for a market order, ``"BEST"`` or ``"FIVELEVEL"``.
            advanced: None, ``"FAK"`` or ``"FOK"``.

        Raises:
            OrderError: The client refuses it, or nobody is logged in; nothing was sent.
        """
        api = self._session.api
        if not self._session.logged_in:
            raise OrderError("orders need a login at the account's counter")
        try:
            self._introduce(symbol)
            api.insert_order(
                symbol, str(direction), str(offset), volume, limit_price, advanced, order_id
            )
        except TqTimeoutError as error:
            raise UnknownSymbol(symbol, f"TianQin knows no contract {symbol!r}") from error
        except Exception as error:  # TqSdk raises a plain Exception
            raise OrderError(str(error)) from error
        self._unsent = True
        price = limit_price if isinstance(limit_price, int | float) else math.nan
        self._identity.sent(
            OrderReport(
                order_id, symbol, direction, offset, volume, volume, price, "ALIVE", "", "",
                present_ns(self._clock),
            )
        )  # fmt: skip

    def _introduce(self, symbol: str) -> None:
        """Give the client our specification of a contract, which it would otherwise query and wait
        for.

        The client of a new session knows no contract, and its market data may be down.
        """
        api, known = self._session.api, self._session.contracts_known.get(symbol)
        quote = _get_obj(api._data, ["quotes", symbol], api._prototype["quotes"]["#"])
        if known is None or quote.price_tick > 0:
            return
        for query in _query_for_quote([symbol], api._pre20_ins_info.keys()):
            api._send_pack(query)  # everything else that it wants to know
        quote.price_tick, quote.ins_class = known.price_tick, known.ins_class

    def cancel_order(self, order_id: str) -> None:
        """Request the cancel of an order; ``send``, or else the next wait, sends it.

        Raises:
            LinkLost: There is no session with the account's counter.
        """
        if not self._session.logged_in:
            raise LinkLost("not logged in at the account's counter at the moment")
        self._session.api.cancel_order(self._identity.counters(order_id))
        self._unsent = True

    def send(self) -> None:
        """Send the orders and cancels that were passed to the client, unless that is put off."""
        if self._unsent and not self._put_off:
            self._unsent = False
            if self._session.client is not None:
                self._session.client.send_now()

    @contextmanager
    def sent_together(self) -> Iterator[None]:
        """Send what a block passes to the client at its end: all of it is written down by then."""
        self._put_off = True
        try:
            yield
        finally:
            self._put_off = False
            self.send()

    def changed(self) -> bool:
        """Whether account, orders or trades have changed since the last call."""
        changed, self._trading_news = self._trading_news and self._session.logged_in, False
        while self._session.logged_in and not self._trading.empty():
            self._trading.recv_nowait()
            changed = True
        return changed

    def all_reports(self) -> list[OrderReport | Fill]:
        """Every order and trade that the client knows; like ``new_reports``."""
        self._orders.clear()
        self._trades.clear()
        self._again = None
        return self.new_reports()

    def new_reports(self) -> list[OrderReport | Fill]:
        """Changed orders and new trades, each trade before the end of its order.

        Incomplete objects wait. An order of ours that the gateway lists under an id of its own is
        reported under our id; so are its trades.
        """
        order_ids, trade_ids = self._take_changed()
        orders = list(self._changed_orders(order_ids))  # first: they tell whose the trades are
        news: list[OrderReport | Fill] = []
        trades = self._session.api.get_trade()
        for trade_id in trade_ids:
            trade = trades.get(trade_id)
            if trade is None or trade_id in self._trades:
                continue
            fill = to_fill(trade_id, trade, self._now(), names_fees=self.names_fees)
            if fill is not None:
                self._trades.add(trade_id)
                news.append(self._identity.fill(fill))
        return news + orders

    def _take_changed(self) -> tuple[list[str], list[str]]:
        """The ids of orders and trades that may have changed; in a new session all of them."""
        api = self._session.api
        changed, again, self._again = api.news.take_reports(), self._again, ([], [])
        if changed is None or again is None:
            return list(api.get_order()), list(api.get_trade())
        orders, trades = ([*before, *now] for before, now in zip(again, changed, strict=True))
        return list(dict.fromkeys(orders)), list(dict.fromkeys(trades))

    def fills(self) -> Iterator[Fill]:
        """Every trade that the client knows, with our id of its order."""
        for trade_id, trade in self._session.api.get_trade().items():
            fill = to_fill(trade_id, trade, self._now(), names_fees=self.names_fees)
            if fill is not None:
                yield self._identity.fill(fill)

    def _changed_orders(self, order_ids: list[str]) -> Iterator[OrderReport]:
        self._follow_day()
        orders = self._session.api.get_order()
        for order_id in sorted(order_ids, key=made_up):  # ours first: see ``OrderIdentity``
            order = orders.get(order_id)
            if order is None:
                continue
            state = (order.status, order.volume_left, order.exchange_order_id, order.last_msg)
            if self._orders.get(order_id) == state:
                continue
            report = to_report(order_id, order)
            if report is not None:
                self._orders[order_id] = state
                yield self._identity.report(report)

    def recognise(self, report: OrderReport) -> None:
        """Recognise an order of an earlier run, under whatever id the gateway lists it now.

        Args:
            report: Its last report of today with the number of the exchange; without one, the order
                as it was sent.
        """
        self._follow_day()
        self._identity.recognise(report)

    def _follow_day(self) -> None:
        told = self._session.told_now
        self._tells_time = self._tells_time or told is not None
        if told is not None or not self._tells_time:  # otherwise a new session has not sent it yet
            self._identity.begin_day(CALENDAR.trading_day_at(from_ns(self._now())))

    def _now(self) -> int:
        return self._session.told_now or WallClock().now_ns()

    def account(self) -> dict[str, Any]:
        """The account's fields with TqSdk's names, in yuan; without a session the last ones."""
        return (
            plain(self._session.api.get_account())
            if self._session.logged_in
            else dict(self._last_account)
        )

    def funds(self, *names: str) -> tuple[float, ...]:
        """Some of the account's fields, NaN if missing; a fast ``account`` for every round."""
        client = self._session.client
        if client is None or not self._session.logged_in:
            return tuple(_yuan(self._last_account.get(name)) for name in names)
        changes = client.news.account_changes
        if changes is None or changes != self._funds_seen:
            self._funds_seen, self._funds_row = changes, client.get_account()
            self._funds.clear()
        found = self._funds.get(names)
        if found is None:
            row = self._funds_row
            found = self._funds[names] = tuple(_yuan(row.get(name)) for name in names)
        return found

    def positions(self) -> dict[str, dict[str, Any]]:
        """The account's positions by symbol, fields with TqSdk's names; like ``account``."""
        if not self._session.logged_in:
            return dict(self._last_positions)
        found = self._session.api.get_position()
        return {symbol: plain(position) for symbol, position in found.items()}

    def report_again(self, order_id: str) -> None:
        """Make the next ``new_reports`` report an order and its trades once more."""
        ours = self._identity.ours
        orders = [told for told in self._orders if ours(told) == order_id]
        for told in orders:
            del self._orders[told]
        found = self._session.api.get_trade()
        trades = [
            trade_id
            for trade_id in self._trades
            if trade_id in found and ours(found[trade_id].order_id) == order_id
        ]
        self._trades.difference_update(trades)
        if self._again is not None:
            self._again = [*self._again[0], *orders], [*self._again[1], *trades]
        self._trading_news = True

    def lots(self, symbol: str, side: str) -> tuple[int, int]:
        """Lots of a side, ``"long"`` or ``"short"``: today's, and those of earlier days.

        ``pos_*`` alone moves with each trade at every counter; ``volume_*`` and the frozen lots
        are a counter's queries, seconds old, and do not mean the same at all of them.
        """
        client, positions = self._session.client, self._last_positions
        if client is not None and self._session.logged_in:
            positions = client.get_position()
        found = positions.get(symbol, {})
        return _count(found.get(f"pos_{side}_today")), _count(found.get(f"pos_{side}_his"))

    def position(self, symbol: str) -> dict[str, Any]:
        """The account's position in one contract, fields with TqSdk's names; {} if none."""
        if not self._session.logged_in:
            return self._last_positions.get(symbol, {})
        found = self._session.api.get_position()
        return plain(found[symbol]) if symbol in found else {}

    def known_orders(self) -> set[str]:
        """The ids of the orders that the client knows; in a new session, those of the exchange."""
        return set(self.orders())

    def orders(self) -> dict[str, OrderReport]:
        """Every order that the client knows, by our ids."""
        self._follow_day()
        orders = self._session.api.get_order()
        told = (to_report(order_id, orders[order_id]) for order_id in sorted(orders, key=made_up))
        named = (self._identity.report(report) for report in told if report is not None)
        return {report.order_id: report for report in named}


def _count(value: Any) -> int:
    """A number of lots, 0 where a counter gives none or ``"-"``."""
    return max(0, int(value)) if isinstance(value, int | float) and value == value else 0


def _yuan(value: Any) -> float:
    """An amount, nan where a counter gives none or ``"-"``."""
    return float(value) if isinstance(value, int | float) else math.nan
