"""The exchange of the sandbox: accepts orders, matches them with the ticks, keeps accounts.

The market does not react: own trades take lots of the order book until the next tick shows it
again, and do not move prices. An incoming order takes the opposite levels; its remainder rests
behind the volume shown at its price, and fills as trades consume that queue or the opposite side
reaches it. Futures are traded; options and combinations are only shown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from typing import Any

from ...core.clock import MINUTE, from_ns
from ...session_calendar import SessionCalendar
from ..faults import FaultError
from ..market.listing import Instrument
from ..market.ticks import DayTicks
from . import counter as said
from .account import Account, Holding, to_price, to_ticks
from .book import Book, Working
from .commission import trade_fee
from .counter import PLAIN, Counter, Refusal
from .frozen_lots import freeze, unfreeze
from .ledger import Diff, Ledger, News, Notice, OrderReport, TradeReport, plain_diffs
from .order_rules import (
    NOT_FOUND,
    NOT_TRADED,
    Order,
    Situation,
    field_error,
    refusal,
)
from .order_wire import read_order, refused_order, report, wire_order


class Exchange:
    """All accounts and all working orders.

    Args:
        instruments: By symbol.
        calendar: Trading hours.
        counter: The counter whose rules apply to orders, commission and refusals.
    """

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        calendar: SessionCalendar,
        counter: Counter = PLAIN,
    ) -> None:
        self._instruments, self._calendar = instruments, calendar
        self.counter = counter
        self._accounts: dict[str, Account] = {}
        self._ledgers: dict[str, Ledger] = {}
        self._orders: dict[str, dict[str, Order]] = defaultdict(dict)
        self._trades: dict[str, dict[str, TradeReport]] = defaultdict(dict)
        self._unreadable: dict[str, dict[str, OrderReport]] = defaultdict(dict)
        self._working: dict[str, Working] = defaultdict(Working)
        self._shown: dict[str, tuple[DayTicks, int]] = {}
        self._books: dict[str, Book] = {}
        self._trading_day: date | None = None
        self._rejects: list[tuple[str | None, str]] = []
        self._seqno: dict[str, int] = defaultdict(int)
        self._serial = 0
        self._now_ns = 0

    # -- days and accounts --------------------------------------------------------------------

    def open_account(self, user_id: str, balance: float = 1_000_000.0) -> None:
        """Create an account with ``balance`` yuan unless it exists."""
        if user_id not in self._accounts:
            self._accounts[user_id] = Account(user_id, round(balance * 100))
            self._ledgers[user_id] = Ledger()

    def start_day(self, trading_day: date) -> None:
        """Begin a trading day."""
        self._trading_day = trading_day
        for ledger in self._ledgers.values():
            ledger.news.session = True

    def session_end(self, symbol: str) -> None:
        """Withdraw the contract's working orders after its last close of the day."""
        for order in list(self._working[symbol]):
            self._finish(order, "已撤单")

    def settle(self, trading_day: date, settlement: Mapping[str, float]) -> None:
        """End a trading day: mark to settlement; the day's orders and trades leave the snapshot.

        Contracts that expire on the day are flat afterwards, at the settlement price. The orders
        are not deleted by diffs: the TqSdk client cannot process that for trades and stops.

        Args:
            trading_day: The day that ends.
            settlement: symbol -> settlement price, for every traded symbol that has one.
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
            ledger.news.gone |= held - set(account.holdings)
            ledger.news.positions |= set(account.holdings)
            ledger.news.account = ledger.news.settled = True
            ledger.moved.clear()
        self._orders.clear()
        self._unreadable.clear()
        self._trades.clear()
        self._shown.clear()
        self._books.clear()

    # -- the market ---------------------------------------------------------------------------

    def on_tick(self, symbol: str, day: DayTicks, k: int) -> None:
        """Show tick ``k`` of the contract's day and match orders with it."""
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
        """The order book of the newest tick, made on demand; None before the day's first tick."""
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
        """Mark lots to the last price; profit alone is reported once a minute of market time."""
        book = self._book(symbol)
        if book is None or not book.last:
            return
        self._now_ns = book.time
        holding.last = book.last
        ledger = self._ledgers[user_id]
        ledger.moved.add(symbol)
        if self._now_ns - ledger.profit_told_ns >= MINUTE:
            ledger.profit_told_ns = self._now_ns
            ledger.news.positions |= ledger.moved
            ledger.news.account = ledger.news.profit = True
            ledger.moved = set()

    # -- orders -------------------------------------------------------------------------------

    def insert(self, user_id: str, pack: Mapping[str, Any], now_ns: int) -> None:
        """Accept an insert pack; a refusal also creates an order."""
        self._now_ns = max(self._now_ns, now_ns)
        symbol = f"{pack.get('exchange_id')}.{pack.get('instrument_id')}"
        order_id = str(pack.get("order_id"))
        if order_id in self._orders[user_id] or order_id in self._unreadable[user_id]:
            self._say_refused(user_id, said.TWICE, f" {order_id}")
            return
        words = field_error(pack)
        if words:
            clean = {**pack, "order_id": order_id, "volume": 0, "limit_price": None}
            self._refuse_unread(user_id, clean, words)
            return
        instrument = self._instruments.get(symbol)
        if instrument is None or instrument.ins_class != "FUTURE" or not self._listed(instrument):
            words = (
                NOT_FOUND if instrument is None else NOT_TRADED.get(instrument.ins_class, NOT_FOUND)
            )
            clean = {"limit_price": 0.0, **pack, "order_id": order_id}
            self._refuse_unread(user_id, clean, words, f" {symbol}")
            return
        order = read_order(user_id, order_id, instrument, pack, now_ns)
        order.seqno = self._next_seqno(user_id)
        self._orders[user_id][order_id] = order
        words = self._forced_reject(user_id) or self._refusal(order, now_ns)
        if words:
            order.refusal = self._say_refused(user_id, words, exchange_id=instrument.exchange_id)
            order.status, order.last_msg = "FINISHED", order.refusal.words
            self._touch(order)
            return
        self._accept(order)

    def _listed(self, instrument: Instrument) -> bool:
        return self._trading_day is None or instrument.listed <= self._trading_day

    def _say_refused(
        self, user_id: str, reason: str, more: str = "", exchange_id: str = ""
    ) -> Refusal:
        """Notify the user of a refused order in the counter's words; returns the refusal."""
        found = self.counter.refusal(reason)
        words = found.words.format(exchange=exchange_id) if exchange_id else found.words
        told = Refusal(found.code, words, found.by_exchange)
        content = self.counter.refused.format(words=words + more)
        self._notify(user_id, told.code, content)
        return told

    def _refuse_unread(
        self, user_id: str, pack: Mapping[str, Any], reason: str, more: str = ""
    ) -> None:
        """Refuse a pack that cannot be read as an order; the user still gets an order row."""
        told = self._say_refused(user_id, reason, more)
        row = refused_order(user_id, pack, told.words)
        one = OrderReport(row, seqno=self._next_seqno(user_id), refusal=told)
        self._unreadable[user_id][row["order_id"]] = one
        self._ledgers[user_id].news.reports.append(one)

    def cancel(self, user_id: str, order_id: str, now_ns: int) -> None:
        """Withdraw an order; a refusal is only a notification."""
        self._now_ns = max(self._now_ns, now_ns)
        order = self._orders[user_id].get(order_id)
        reason, more = "", ""
        if order is None:
            reason, more = said.CANCEL_UNKNOWN, f" {order_id}"
        elif order.status == "FINISHED":
            reason = said.CANCEL_FINISHED
        elif not self._takes_now(order.instrument.symbol, now_ns):
            reason = said.CANCEL_CLOSED
        else:
            self._finish(order, "已撤单")
        if reason:
            told = self.counter.cancel_refusal(reason)
            content = self.counter.cancel_refused.format(words=told.words + more)
            self._notify(user_id, told.code, content)

    def _takes_now(self, symbol: str, now_ns: int) -> bool:
        """Whether orders and cancels are accepted: the contract trades, or they may wait."""
        open_now = self._calendar.is_trading_now(symbol, from_ns(now_ns))
        return open_now or self.counter.waits_for_open

    def reject_next(self, user_id: str | None, message: str, count: int = 1) -> None:
        """Refuse the next ``count`` orders (of a user, or of any) with this message."""
        self._rejects += [(user_id, message)] * count

    def _forced_reject(self, user_id: str) -> str:
        for index, (whose, message) in enumerate(self._rejects):
            if whose in (None, user_id):
                del self._rejects[index]
                return message
        return ""

    def _refusal(self, order: Order, now_ns: int) -> str:
        return refusal(order, self._situation(order, now_ns))

    def _situation(self, order: Order, now_ns: int, *, forced: bool = False) -> Situation:
        """What an order is checked against; a forced trade ignores limits and trading hours."""
        book = None if forced else self._book(order.instrument.symbol)
        now = from_ns(now_ns)
        return Situation(
            account=self._accounts[order.user_id],
            upper=book.upper if book else 1 << 60,
            lower=book.lower if book else 0,
            open_now=forced or self._takes_now(order.instrument.symbol, now_ns),
            expired=now > order.instrument.expire,
            counter=self.counter,
        )

    def _accept(self, order: Order) -> None:
        self._serial += 1
        order.exchange_order_id = f"{self._serial:012d}"
        order.last_msg = "未成交"
        symbol = order.instrument.symbol
        book = self._book(symbol)
        account = self._accounts[order.user_id]
        settlement = self._pre_settlement(order)
        freeze(account, order, book.upper if book else 0, self.counter, settlement)
        self._touch(order)
        trades_now = self._calendar.is_trading_now(symbol, from_ns(order.insert_ns))
        if book is not None and trades_now:
            for ticks, lots in book.incoming_fills(order):
                self._trade(order, ticks, lots)
        if order.status == "ALIVE":
            if order.time_condition == "IOC":
                self._finish(order, "已撤单")
            else:
                order.queue_ahead = book.queue_at(order) if book else 0
                self._working[symbol].add(order)

    def _pre_settlement(self, order: Order) -> int:
        """The last settlement price in ticks; an approximation before the first tick."""
        shown = self._shown.get(order.instrument.symbol)
        if shown is not None and shown[0].pre_settlement == shown[0].pre_settlement:
            return to_ticks(shown[0].pre_settlement, order.instrument)
        holding = self._accounts[order.user_id].holdings.get(order.instrument.symbol)
        return (holding.last if holding is not None else 0) or order.limit or 0

    # -- matching -----------------------------------------------------------------------------

    def foreign_trade(self, user_id: str, pack: Mapping[str, Any], now_ns: int) -> None:
        """Book a trade without an order, such as a forced close or an exchange for physicals.

        Args:
            user_id: The user.
            pack: Like that of an order; ``limit_price`` is the trade's price.
            now_ns: The time of the trade.

        Raises:
            FaultError: Unknown future, or not enough lots free to close.
        """
        self._now_ns = max(self._now_ns, now_ns)
        symbol = f"{pack.get('exchange_id')}.{pack.get('instrument_id')}"
        instrument = self._instruments.get(symbol)
        if instrument is None or instrument.ins_class != "FUTURE":
            raise FaultError(f"{symbol} is not a future of this market")
        order = read_order(user_id, "", instrument, pack, now_ns)
        words = refusal(order, self._situation(order, now_ns, forced=True))
        if words in (said.NOT_ENOUGH_HELD, said.NOT_ENOUGH_HIS, said.NOT_ENOUGH_TODAY):
            raise FaultError(f"{symbol} has not enough lots free of working orders: {words}")
        assert order.limit is not None
        self._serial += 1
        order.exchange_order_id = f"{self._serial:012d}"
        account = self._accounts[user_id]
        freeze(account, order, 0, self.counter, self._pre_settlement(order))
        self._execute(order, order.limit, order.volume)
        news = self._ledgers[user_id].news
        news.account = True
        news.positions.add(symbol)

    def _trade(self, order: Order, ticks: int, volume: int) -> None:
        """Book an execution of an order, and report both."""
        self._execute(order, ticks, volume)
        if order.volume_left:
            order.last_msg = "部分成交"
            self._touch(order)
        else:
            self._finish(order, "全部成交")

    def _execute(self, order: Order, ticks: int, volume: int) -> None:
        """Book an execution; it closes the lots that the order had frozen."""
        account, ins = self._accounts[order.user_id], order.instrument
        his = unfreeze(account, order, volume)
        order.volume_left -= volume
        fee = 0
        for lots, today in ((his, False), (volume - his, True)):
            if lots:
                fee += self._book_lots(account, order, ticks, lots, today=today)
        holding = account.holding(ins)
        book = self._book(ins.symbol)
        holding.last = (book.last if book else 0) or ticks
        order.trades += 1
        number = order.trades if order.order_id else int(order.exchange_order_id)
        trade_id = f"{order.order_id}|{number}"
        row = {
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
        told = TradeReport(row, self._next_seqno(order.user_id))
        self._trades[order.user_id][trade_id] = told
        self._ledgers[order.user_id].news.reports.append(told)

    def _book_lots(
        self, account: Account, order: Order, ticks: int, lots: int, *, today: bool
    ) -> int:
        """Book lots of an execution; returns their commission, fen."""
        ins, side = order.instrument, account.holding(order.instrument).side(long=order.long)
        fee = trade_fee(
            self.counter,
            side,
            order,
            ticks,
            lots,
            today=today,
            settlement=self._pre_settlement(order),
        )
        if order.opens:
            return account.open(ins, lots, ticks, long=order.long, fee=fee)
        return account.close(ins, lots, ticks, long=order.long, today=today, fee=fee)

    def _finish(self, order: Order, words: str) -> None:
        unfreeze(self._accounts[order.user_id], order, order.volume_left)
        order.status, order.last_msg = "FINISHED", words
        self._working[order.instrument.symbol].discard(order)
        self._touch(order)

    # -- reports to users ---------------------------------------------------------------------

    def _touch(self, order: Order) -> None:
        news = self._ledgers[order.user_id].news
        news.reports.append(report(order))
        if order.exchange_order_id:
            news.account = True
            if not order.opens or order.trades:
                news.positions.add(order.instrument.symbol)

    def _notify(self, user_id: str, code: int, content: str) -> None:
        self.say(user_id, Notice(code, content))

    def say(self, user_id: str, notice: Notice) -> None:
        """Queue a notice to the user."""
        self._ledgers[user_id].news.notices.append(notice)

    def _next_seqno(self, user_id: str) -> int:
        self._seqno[user_id] += 1
        return self._seqno[user_id]

    def take_news(self, user_id: str) -> News | None:
        """The user's unreported news, once; None if there is none."""
        return self._ledgers[user_id].take()

    def take_diffs(self, user_id: str) -> list[Diff]:
        """The news as the plain counter reports it, in order; an order comes with its trades."""
        news = self.take_news(user_id)
        if news is None:
            return []
        first = self._serial + 1
        self._serial += len(news.notices)
        return plain_diffs(news, self._accounts[user_id], self.session(user_id), first)

    def account(self, user_id: str) -> Account:
        """The account of a user."""
        return self._accounts[user_id]

    def reports(self, user_id: str) -> list[OrderReport]:
        """All orders of the day, as they are now."""
        orders = [report(order) for order in self._orders[user_id].values()]
        return [*orders, *self._unreadable[user_id].values()]

    def trades(self, user_id: str) -> list[TradeReport]:
        """All trades of the day."""
        return list(self._trades[user_id].values())

    def snapshot(self, user_id: str) -> Diff:
        """The whole account, as sent after login."""
        account = self._accounts[user_id]
        holdings = account.holdings.items()
        orders = self._orders[user_id].items()
        return {
            "trade": {
                user_id: {
                    "user_id": user_id,
                    "session": self.session(user_id),
                    "accounts": {"CNY": account.wire()},
                    "positions": {symbol: holding.wire() for symbol, holding in holdings},
                    "orders": {order_id: wire_order(order) for order_id, order in orders}
                    | {order_id: one.row for order_id, one in self._unreadable[user_id].items()},
                    "trades": {name: one.row for name, one in self._trades[user_id].items()},
                    "trade_more_data": False,
                }
            }
        }

    def session(self, user_id: str) -> Diff:
        """The ``session`` row with the trading day."""
        return {"user_id": user_id, "trading_day": f"{self._trading_day:%Y%m%d}"}
