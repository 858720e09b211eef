"""The exchange of the sandbox: takes orders, matches them against the played book, keeps accounts.

The market is played: own trades take what the book shows until the next tick shows it again, and
do not move it. An incoming order takes the opposite levels; what is left rests behind the volume
shown at its price, and fills as trades eat that queue or the opposite side reaches it. Futures
are traded; options and combinations are shown only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from typing import Any

from ..clock import MINUTE, from_ns
from ..session_calendar import SessionCalendar
from .account import Account, Holding, to_price, to_ticks
from .book import Book, Working
from .freezing import freeze, unfreeze
from .instruments import Instrument
from .ledger import Ledger
from .order_rules import (
    NOT_FOUND,
    NOT_TRADED,
    Order,
    Situation,
    field_error,
    refusal,
)
from .order_wire import Diff, read_order, refused_order, wire_order
from .ticks import DayTicks

_REJECTED = 2026112003
_CANCEL_REFUSED = 2026112004


class Exchange:
    """All accounts and all working orders.

    Args:
        instruments: By symbol.
        calendar: Trading hours.
    """

    def __init__(self, instruments: Mapping[str, Instrument], calendar: SessionCalendar) -> None:
        self._instruments, self._calendar = instruments, calendar
        self._accounts: dict[str, Account] = {}
        self._ledgers: dict[str, Ledger] = {}
        self._orders: dict[str, dict[str, Order]] = defaultdict(dict)
        self._trades: dict[str, dict[str, Diff]] = defaultdict(dict)
        self._unreadable: dict[str, dict[str, Diff]] = defaultdict(dict)
        self._working: dict[str, Working] = defaultdict(Working)
        self._shown: dict[str, tuple[DayTicks, int]] = {}
        self._books: dict[str, Book] = {}
        self._trading_day: date | None = None
        self._rejects: list[tuple[str | None, str]] = []
        self._serial = 0
        self._now_ns = 0

    # -- days and accounts --------------------------------------------------------------------

    def open_account(self, user_id: str, balance: float = 1_000_000.0) -> None:
        """Make an account with ``balance`` yuan, unless it is there."""
        if user_id not in self._accounts:
            self._accounts[user_id] = Account(user_id, round(balance * 100))
            self._ledgers[user_id] = Ledger()

    def start_day(self, trading_day: date) -> None:
        """The trading day begins."""
        self._trading_day = trading_day
        for ledger in self._ledgers.values():
            ledger.session = True

    def session_end(self, symbol: str) -> None:
        """The contract's last close of the day: the exchange withdraws what still works."""
        for order in list(self._working[symbol]):
            self._finish(order, "已撤单")

    def settle(self, trading_day: date, settlement: Mapping[str, float]) -> None:
        """End a trading day: mark to settlement; the day's orders and trades leave the snapshot.

        Contracts that expire with the day are flat after it, at the settlement price. The orders
        are not deleted by differences: the client cannot take that for trades and stops.

        Args:
            trading_day: The day that ends.
            settlement: symbol -> settlement price, for every symbol that was traded and has one.
        """
        for symbol in list(self._working):
            self.session_end(symbol)
        prices = {
            symbol: to_ticks(price, self._instruments[symbol])
            for symbol, price in settlement.items()
        }
        for user_id, account in self._accounts.items():
            ledger = self._ledgers[user_id]
            held = set(account.holdings)
            account.settle(prices, trading_day)
            ledger.gone |= held - set(account.holdings)
            ledger.positions |= set(account.holdings)
            ledger.moved.clear()
            ledger.account = True
        self._orders.clear()
        self._unreadable.clear()
        self._trades.clear()
        self._shown.clear()
        self._books.clear()

    # -- the market ---------------------------------------------------------------------------

    def on_tick(self, symbol: str, day: DayTicks, k: int) -> None:
        """The market shows tick ``k`` of the contract's day."""
        self._shown[symbol] = day, k
        self._books.pop(symbol, None)
        working = self._working.get(symbol)
        if working:
            self._match_working(working, symbol)
        for user_id, account in self._accounts.items():
            holding = account.holdings.get(symbol)
            if holding is not None and holding.held:
                self._mark(user_id, account, holding, symbol)

    def _book(self, symbol: str) -> Book | None:
        """The book of the newest tick, made when somebody looks; None before the day's first."""
        if symbol not in self._books and symbol in self._shown:
            self._books[symbol] = Book(*self._shown[symbol], self._instruments[symbol])
        return self._books.get(symbol)

    def _match_working(self, working: Working, symbol: str) -> None:
        book = self._book(symbol)
        assert book is not None  # it has just been shown
        self._now_ns = book.time
        for order in working.reached(book):
            for ticks, lots in book.resting_fills(order):
                self._trade(order, ticks, lots)

    def _mark(self, user_id: str, account: Account, holding: Holding, symbol: str) -> None:
        """Mark lots to the last price; profit alone is told once a minute of market time."""
        book = self._book(symbol)
        if book is None or not book.last:
            return
        self._now_ns = book.time
        holding.last = book.last
        ledger = self._ledgers[user_id]
        ledger.moved.add(symbol)
        if self._now_ns - ledger.profit_told_ns >= MINUTE:
            ledger.profit_told_ns = self._now_ns
            ledger.positions |= ledger.moved
            ledger.moved = set()
            ledger.account = True

    # -- orders -------------------------------------------------------------------------------

    def insert(self, user_id: str, pack: Mapping[str, Any], now_ns: int) -> None:
        """Take an order as it comes over the wire; a refusal is an order, too."""
        self._now_ns = max(self._now_ns, now_ns)
        symbol = f"{pack.get('exchange_id')}.{pack.get('instrument_id')}"
        order_id = str(pack.get("order_id"))
        if order_id in self._orders[user_id] or order_id in self._unreadable[user_id]:
            self._notify(user_id, _REJECTED, f"下单失败,重复的报单编号 {order_id}")
            return
        words = field_error(pack)
        if words:
            clean = {**pack, "order_id": order_id, "volume": 0, "limit_price": None}
            self._refuse_unread(user_id, refused_order(user_id, clean, words), words)
            return
        instrument = self._instruments.get(symbol)
        if instrument is None or instrument.ins_class != "FUTURE" or not self._listed(instrument):
            words = (
                NOT_FOUND if instrument is None else NOT_TRADED.get(instrument.ins_class, NOT_FOUND)
            )
            clean = {"limit_price": 0.0, **pack, "order_id": order_id}
            row = refused_order(user_id, clean, words)
            self._refuse_unread(user_id, row, f"{words} {symbol}")
            return
        order = read_order(user_id, order_id, instrument, pack, now_ns)
        self._orders[user_id][order_id] = order
        words = self._forced_reject(user_id) or self._refusal(order, now_ns)
        if words:
            order.status, order.last_msg = "FINISHED", words
            self._notify(user_id, _REJECTED, f"下单失败,{words}")
            self._touch(order)
            return
        self._accept(order)

    def _listed(self, instrument: Instrument) -> bool:
        return self._trading_day is None or instrument.listed <= self._trading_day

    def _refuse_unread(self, user_id: str, row: Diff, words: str) -> None:
        """Refuse what cannot be made an order of ours; the user is told one all the same."""
        self._notify(user_id, _REJECTED, f"下单失败,{words}")
        self._unreadable[user_id][row["order_id"]] = row
        self._ledgers[user_id].orders[row["order_id"]] = row

    def cancel(self, user_id: str, order_id: str, now_ns: int) -> None:
        """Withdraw an order; a refusal is only a notification."""
        self._now_ns = max(self._now_ns, now_ns)
        order = self._orders[user_id].get(order_id)
        if order is None:
            self._notify(user_id, _CANCEL_REFUSED, f"撤单失败,找不到报单 {order_id}")
        elif order.status == "FINISHED":
            self._notify(user_id, _CANCEL_REFUSED, "撤单失败,CTP:报单已全成交或已撤销，不能再撤")
        elif not self._calendar.is_trading_now(order.instrument.symbol, from_ns(now_ns)):
            self._notify(user_id, _CANCEL_REFUSED, "撤单失败,CTP:当前状态禁止此项操作")
        else:
            self._finish(order, "已撤单")

    def reject_next(self, user_id: str | None, message: str, count: int = 1) -> None:
        """Refuse the next ``count`` orders (of a user, or of anybody) with these words."""
        self._rejects += [(user_id, message)] * count

    def _forced_reject(self, user_id: str) -> str:
        for index, (whose, message) in enumerate(self._rejects):
            if whose in (None, user_id):
                del self._rejects[index]
                return message
        return ""

    def _refusal(self, order: Order, now_ns: int) -> str:
        book = self._book(order.instrument.symbol)
        now = from_ns(now_ns)
        situation = Situation(
            account=self._accounts[order.user_id],
            upper=book.upper if book else 1 << 60,
            lower=book.lower if book else 0,
            open_now=self._calendar.is_trading_now(order.instrument.symbol, now),
            expired=now > order.instrument.expire,
        )
        return refusal(order, situation)

    def _accept(self, order: Order) -> None:
        self._serial += 1
        order.exchange_order_id = f"{self._serial:012d}"
        order.last_msg = "未成交"
        symbol = order.instrument.symbol
        book = self._book(symbol)
        freeze(self._accounts[order.user_id], order, book.upper if book else 0)
        self._touch(order)
        if book is not None:
            for ticks, lots in book.incoming_fills(order):
                self._trade(order, ticks, lots)
        if order.status == "ALIVE":
            if order.time_condition == "IOC":
                self._finish(order, "已撤单")
            else:
                order.queue_ahead = book.queue_at(order) if book else 0
                self._working[symbol].add(order)

    # -- matching -----------------------------------------------------------------------------

    def _trade(self, order: Order, ticks: int, volume: int) -> None:
        """Book an execution; it closes the lots that the order had frozen, earlier days' first."""
        account, ins = self._accounts[order.user_id], order.instrument
        his = unfreeze(account, order, volume)
        order.volume_left -= volume
        if order.opens:
            fee = account.open(ins, volume, ticks, long=order.long)
        else:
            fee = 0
            for lots, today in ((his, False), (volume - his, True)):
                if lots:
                    fee += account.close(ins, lots, ticks, long=order.long, today=today)
        holding = account.holding(ins)
        book = self._book(ins.symbol)
        holding.last = (book.last if book else 0) or ticks
        order.trades += 1
        trade_id = f"{order.order_id}|{order.trades}"
        self._trades[order.user_id][trade_id] = {
            "user_id": order.user_id,
            "order_id": order.order_id,
            "trade_id": trade_id,
            "exchange_trade_id": f"{order.exchange_order_id}{order.trades:03d}",
            "exchange_id": ins.exchange_id,
            "instrument_id": ins.code,
            "direction": order.direction,
            "offset": order.offset,
            "price": to_price(ticks, ins),
            "volume": volume,
            "trade_date_time": self._now_ns,
            "commission": fee / 100,
        }
        self._ledgers[order.user_id].trades[trade_id] = self._trades[order.user_id][trade_id]
        if order.volume_left:
            order.last_msg = "部分成交"
            self._touch(order)
        else:
            self._finish(order, "全部成交")

    def _finish(self, order: Order, words: str) -> None:
        unfreeze(self._accounts[order.user_id], order, order.volume_left)
        order.status, order.last_msg = "FINISHED", words
        self._working[order.instrument.symbol].discard(order)
        self._touch(order)

    # -- what users are told ------------------------------------------------------------------

    def _touch(self, order: Order) -> None:
        ledger = self._ledgers[order.user_id]
        ledger.orders[order.order_id] = wire_order(order)
        if order.exchange_order_id:
            ledger.account = True
            if not order.opens or order.trades:
                ledger.positions.add(order.instrument.symbol)

    def _notify(self, user_id: str, code: int, content: str) -> None:
        self._serial += 1
        message = {"type": "MESSAGE", "level": "WARNING", "code": code, "content": content}
        self._ledgers[user_id].notices.append({"notify": {f"x{self._serial}": message}})

    def take_diffs(self, user_id: str) -> list[Diff]:
        """What the user has not been told yet, in order; an order comes with its trades."""
        return self._ledgers[user_id].take(self._accounts[user_id], self._session(user_id))

    def snapshot(self, user_id: str) -> Diff:
        """The whole account, as sent after login."""
        account = self._accounts[user_id]
        holdings = account.holdings.items()
        orders = self._orders[user_id].items()
        return {
            "trade": {
                user_id: {
                    "user_id": user_id,
                    "session": self._session(user_id),
                    "accounts": {"CNY": account.wire()},
                    "positions": {symbol: holding.wire() for symbol, holding in holdings},
                    "orders": {order_id: wire_order(order) for order_id, order in orders}
                    | self._unreadable[user_id],
                    "trades": dict(self._trades[user_id]),
                    "trade_more_data": False,
                }
            }
        }

    def _session(self, user_id: str) -> Diff:
        return {"user_id": user_id, "trading_day": f"{self._trading_day:%Y%m%d}"}
