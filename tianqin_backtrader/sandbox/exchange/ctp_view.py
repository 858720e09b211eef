"""A broker's account behind TianQin's trading gateway: what clients are sent, and when.

Orders and trades are sent as they happen, each in a pack of its own; with a trade comes the
``pos_*`` that the gateway calculates itself. Other fields of positions and the account are queried
from CTP, which answers one query in 1.1 s: positions first, then the account, and again as long as
orders have changed since the answered query was sent. Time is market time.

Source: open-trade-gateway, 2020-03, read for its behaviour; recordings of 2020 and 2021.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from ...core.clock import SECOND
from . import counter_rows as rows
from .counter import FRONT_BACK, FRONT_LOST, LOGGED_IN_AGAIN
from .ledger import Diff, News, Notice, OrderReport, TradeReport
from .views import ALONE, Notices, Parcel, session_parcel

if TYPE_CHECKING:
    from .exchange import Exchange

MILLISECOND = SECOND // 1000
#: Between two queries to CTP.
QUERY_EVERY = 1100 * MILLISECOND
#: How long an answer takes, seconds.
QUERY_AGES = (0.1, 2.3)
#: How long the first snapshot after a login takes, seconds.
LOGIN_TAKES = (1.0, 3.0)
#: How long a report of CTP is under way, milliseconds.
REPORT_TAKES = (2, 30)
COMMISSIONS = ("zero", "dash", "absent")
_OTHER_SESSION = 0x5A5A5A5A
_SETTLEMENT = (325, "SETTLEMENT")


@dataclass(frozen=True, slots=True)
class CtpOptions:
    """How slow a broker's counter is, and what it leaves out.

    Attributes:
        seed: Determines the delays.
        query_seconds: How long every answer to a query takes; None draws it with the seed.
        commission: The commission field of a trade: ``"zero"``, ``"dash"`` or ``"absent"``; None
            uses each in turn.
    """

    seed: int = 0
    query_seconds: float | None = None
    commission: str | None = None


@dataclass(slots=True)
class Query:
    """Numbers of the newest wanted and of the newest answered query of one kind."""

    wanted: int = 0
    answered: int = 0

    @property
    def open(self) -> bool:
        """Whether CTP must be queried."""
        return self.wanted > self.answered


class CtpView:
    """One account as the gateway shows it.

    Args:
        exchange: The exchange with its own records.
        user_id: The user.
        options: Of the counter.
    """

    def __init__(self, exchange: Exchange, user_id: str, options: CtpOptions) -> None:
        self._exchange, self._user_id, self._options = exchange, user_id, options
        self._random = random.Random(f"{options.seed} {user_id}")
        self._session_id = self._random.getrandbits(31)
        self._notices = Notices(user_id, self._session_id)
        self._agenda: list[tuple[int, int, Callable[[int], list[Parcel]]]] = []
        self._serial = 0
        self._reported_ns = 0
        self._front_back_ns: int | None = None
        self.tells_lost = False
        self._said: list[Parcel] = []
        self._begin_day()

    def _begin_day(self) -> None:
        """Forget everything; the gateway queries it anew."""
        self._orders: dict[str, Diff] = {}
        self._trades: dict[str, Diff] = {}
        self._positions: dict[str, Diff] = {}
        self._account: Diff | None = None
        self._shown_ids: dict[str, str] = {}
        self._exact_ids: dict[str, str] = {}
        self._accepted: set[str] = set()
        self._seqno = 0
        self._position, self._money = Query(), Query()
        self._next_query_ns = self._answered_ns = 0
        self._ready = False  # whether the first snapshot is complete
        self._learning = False  # whether it has been queried
        self._statement_told = False

    # -- time ---------------------------------------------------------------------------------

    def due_ns(self) -> int | None:
        """When something will be sent, or queried from CTP."""
        if self._front_back_ns is not None:
            return self._front_back_ns
        moments = [self._agenda[0][0]] if self._agenda else []
        if self._ready and (self._position.open or self._money.open):
            moments.append(self._next_query_ns)
        return min(moments, default=None)

    def _later(self, at_ns: int, action: Callable[[int], list[Parcel]]) -> None:
        self._serial += 1
        heappush(self._agenda, (at_ns, self._serial, action))

    def take(self, now_ns: int) -> list[Parcel]:
        """All parcels that are due by now, in order."""
        news = self._exchange.take_news(self._user_id)
        if news is not None:
            self._hear(news, now_ns)
        told, self._said = self._said, []
        while (due := self.due_ns()) is not None and due <= now_ns:
            if self._front_back_ns is not None:
                self._come_back(now_ns)
            elif self._agenda and self._agenda[0][0] <= due:
                told += heappop(self._agenda)[2](due)
            else:
                self._ask(due)
        return told

    # -- the front ----------------------------------------------------------------------------

    def say(self, notice: Notice) -> None:
        """Send a message of the gateway itself at once."""
        self._said += self._notices.parcels([notice])

    @property
    def front_lost(self) -> bool:
        """Whether the gateway has lost CTP's front."""
        return self._front_back_ns is not None

    def lose_front(self, until_ns: int, *, tells: bool) -> None:
        """Lose CTP's front: nothing comes from it until a moment.

        Args:
            until_ns: When it is back.
            tells: Whether orders are answered by a message until then, or not at all.
        """
        self._front_back_ns, self.tells_lost = until_ns, tells
        self.say(Notice(*FRONT_LOST, warning=False))

    def _come_back(self, now_ns: int) -> None:
        """The front is back; what was due meanwhile is sent."""
        self._front_back_ns = None
        kept = sorted(self._agenda)
        self._agenda = []
        for code, words in (FRONT_BACK, LOGGED_IN_AGAIN):
            told = self._notices.parcel(code, words)
            self._later(now_ns, lambda _, told=told: [told])  # type: ignore[misc]
        for at_ns, _, action in kept:
            self._later(max(at_ns, now_ns), action)
        self._next_query_ns = max(self._next_query_ns, now_ns)
        self._wish(now_ns)

    # -- queries ------------------------------------------------------------------------------

    def _wish(self, at_ns: int) -> None:
        """Request new queries of positions and the account after a change."""
        if not (self._position.open or self._money.open):
            self._next_query_ns = max(self._next_query_ns, at_ns)
        self._position.wanted += 1
        self._money.wanted += 1

    def _ask(self, at_ns: int) -> None:
        """Send the next query to CTP: positions first, then the account."""
        self._next_query_ns = at_ns + QUERY_EVERY
        self._answered_ns = max(self._answered_ns, at_ns + self._query_ns())
        answer_ns = self._answered_ns  # CTP answers queries in their order
        account = self._exchange.account(self._user_id)
        if self._position.open:
            wanted = self._position.wanted
            found = {
                symbol: rows.ctp_queried(self._exchange.counter, holding)
                for symbol, holding in account.holdings.items()
            }
            self._later(answer_ns, lambda _: self._answer_positions(wanted, found))
        else:
            wanted = self._money.wanted
            row = rows.account_row(account)
            self._later(answer_ns, lambda _: self._answer_account(wanted, row))

    def _query_ns(self) -> int:
        seconds = self._options.query_seconds
        if seconds is None:
            seconds = self._random.uniform(*QUERY_AGES)
        return int(seconds * SECOND)

    def _answer_positions(self, wanted: int, found: dict[str, Diff]) -> list[Parcel]:
        self._position.answered = max(self._position.answered, wanted)
        for symbol, fields in found.items():
            self._positions[symbol] = self._known(symbol) | fields
        changed = self._mark(list(found))
        return [self._pack(positions=changed, accounts=self._marked_account())]

    def _answer_account(self, wanted: int, row: Diff) -> list[Parcel]:
        self._money.answered = max(self._money.answered, wanted)
        self._account = row
        return [self._pack(accounts=self._marked_account())]

    def _known(self, symbol: str) -> Diff:
        """A position's row, created with zeros at the first call."""
        if symbol not in self._positions:
            holding = self._exchange.account(self._user_id).holdings[symbol]
            self._positions[symbol] = rows.ctp_empty(self._user_id, holding)
        return self._positions[symbol]

    def _mark(self, symbols: list[str]) -> dict[str, Diff]:
        """Position rows at the last price."""
        holdings = self._exchange.account(self._user_id).holdings
        for symbol in symbols:
            if symbol in holdings:
                self._positions[symbol] = rows.ctp_marked(self._positions[symbol], holdings[symbol])
        return {symbol: self._positions[symbol] for symbol in symbols}

    def _marked_account(self) -> dict[str, Diff]:
        """The account row; its profit follows the positions', unless a query is open."""
        assert self._account is not None
        if not self._money.open:
            self._account = rows.ctp_account_marked(self._account, self._positions)
        return {"CNY": self._account}

    def _pack(self, **changed: Diff) -> Parcel:
        return Parcel(ALONE, ({"trade": {self._user_id: rows.branches(self._user_id, **changed)}},))

    # -- news of the exchange -----------------------------------------------------------------

    def _hear(self, news: News, now_ns: int) -> None:
        # If no client drives the market, answers were sent before their time.
        self._next_query_ns = min(self._next_query_ns, now_ns + QUERY_EVERY)
        if not self._agenda:
            self._reported_ns = min(self._reported_ns, now_ns)
            self._answered_ns = min(self._answered_ns, now_ns)
        held: list[TradeReport] = []
        for one in news.reports:
            if isinstance(one, TradeReport):
                held.append(one)  # the order row comes first
                continue
            self._report(now_ns, one)
            for trade in held:
                self._report(now_ns, trade)
            held.clear()
        for trade in held:  # trades without an order
            self._report(now_ns, trade)
        for notice in news.notices:
            told = self._notices.parcels([notice])
            self._later(self._arrival(now_ns), lambda _, told=told: told)  # type: ignore[misc]
        if news.settled:
            self._new_day(now_ns, sorted(news.gone))
        elif news.profit and self._ready:
            symbols = sorted(news.positions & set(self._positions))
            self._later(now_ns, lambda _: self._tell_profit(symbols))

    def _tell_profit(self, symbols: list[str]) -> list[Parcel]:
        if not self._ready:
            return []
        return [self._pack(positions=self._mark(symbols), accounts=self._marked_account())]

    def _arrival(self, now_ns: int) -> int:
        """When CTP's next report arrives; reports keep their order."""
        delay = self._random.randint(*REPORT_TAKES) * MILLISECOND
        self._reported_ns = max(self._reported_ns, now_ns) + delay
        return self._reported_ns

    def _report(self, now_ns: int, report: OrderReport | TradeReport) -> None:
        """Schedule CTP's report of an order or a trade."""
        if isinstance(report, TradeReport):
            self._later(self._arrival(now_ns), lambda _: self._on_trade(report))
            return
        order_id = report.row["order_id"]
        passed_on = report.refusal is None or report.refusal.by_exchange
        if passed_on and order_id not in self._accepted:
            self._accepted.add(order_id)
            self._later(
                self._arrival(now_ns), lambda at: self._on_order(report, at, submitted=True)
            )
        self._later(self._arrival(now_ns), lambda at: self._on_order(report, at))

    def _on_order(
        self, report: OrderReport, at_ns: int, *, submitted: bool = False
    ) -> list[Parcel]:
        shown_id = self.shown_id(report.row["order_id"])
        row = rows.ctp_order(report, shown_id, self._seqno)
        self._seqno += 1
        if submitted:
            row = rows.ctp_submitted(row)
        before = self._orders.get(shown_id)
        self._orders[shown_id] = row
        if report.refusal is None or report.refusal.by_exchange:
            self._wish(at_ns)
        told = [self._pack(orders={shown_id: row})] if self._ready else []
        return told + self._remarks(row, before, refused=report.refusal is not None)

    def _remarks(self, row: Diff, before: Diff | None, *, refused: bool) -> list[Parcel]:
        """The gateway's messages on an order that the exchange has accepted or withdrawn."""
        if refused or before is None or row["order_id"].startswith("SERVER."):
            return []
        words = rows.in_words(row)
        if row["exchange_order_id"] and not before["exchange_order_id"]:
            return [self._notices.parcel(328, f"下单成功，{words}")]
        if row["status"] == "FINISHED" and row["volume_left"]:
            return [self._notices.parcel(329, f"撤单成功，{words}")]
        return []

    def _on_trade(self, report: TradeReport) -> list[Parcel]:
        exact_id = report.row["order_id"]
        row = rows.ctp_trade(report, self.shown_id(exact_id), self._seqno, self._commission())
        self._seqno += 1
        self._trades[row["trade_id"]] = row
        if not self._ready:
            return []
        symbol = f"{row['exchange_id']}.{row['instrument_id']}"
        self._positions[symbol] = rows.ctp_moved(self._known(symbol), row)
        told = self._pack(
            trades={row["trade_id"]: row},
            positions=self._mark([symbol]),
            accounts=self._marked_account(),
        )
        return [self._notices.parcel(331, rows.trade_in_words(row)), told]

    def _commission(self) -> str:
        return self._options.commission or COMMISSIONS[len(self._trades) % len(COMMISSIONS)]

    # -- ids ----------------------------------------------------------------------------------

    def shown_id(self, order_id: str) -> str:
        """The id under which clients see an order of the exchange."""
        return self._shown_ids.get(order_id, order_id)

    def exact_id(self, order_id: str) -> str:
        """The exchange's id of an order that clients see; "" if the gateway has forgotten it."""
        if order_id in self._shown_ids:
            return ""
        return self._exact_ids.get(order_id, order_id)

    def forget_ids(self) -> int:
        """Forget which orders clients of the gateway sent: they look like another terminal's.

        So do those whose first report is still to come.

        Returns:
            The number of forgotten orders.
        """
        sent = [report.row["order_id"] for report in self._exchange.reports(self._user_id)]
        known = dict.fromkeys([*self._orders, *sent])
        forgotten = [
            one for one in known if not one.startswith("SERVER.") and one not in self._shown_ids
        ]
        for order_id in forgotten:
            shown_id = self.server_id(len(self._shown_ids) + 1)
            self._shown_ids[order_id], self._exact_ids[shown_id] = shown_id, order_id
            if order_id in self._orders:
                row = self._orders.pop(order_id)
                self._orders[shown_id] = row | {"order_id": shown_id}
            for trade_id, trade in list(self._trades.items()):
                if trade["order_id"] == order_id:
                    del self._trades[trade_id]
                    new_id = f"{shown_id}|{trade['exchange_trade_id']}"
                    self._trades[new_id] = trade | {"order_id": shown_id, "trade_id": new_id}
        return len(forgotten)

    def server_id(self, number: int, *, own: bool = True) -> str:
        """The id that the gateway gives to an order that no client of it sent.

        Args:
            number: The order's reference in its session.
            own: Whether it is the gateway's own session, or another terminal's.
        """
        session_id = self._session_id if own else self._session_id ^ _OTHER_SESSION
        return f"SERVER.{number:>12}.{session_id:08x}.1"

    def positions(self) -> Parcel:
        """All positions as they are shown."""
        return self._pack(positions=dict(self._positions))

    # -- logins and days ----------------------------------------------------------------------

    def login(self, now_ns: int) -> list[Parcel]:
        """A message and the trading day, and the snapshot if the gateway has it."""
        told = [
            self._notices.parcel(self._exchange.counter.login_code, "登录成功"),
            session_parcel(self._user_id, self._exchange.session(self._user_id)),
        ]
        if self._ready:
            return [*told, self._picture()]
        if not self._learning:
            self._learn(now_ns)
        return told

    def _learn(self, now_ns: int) -> None:
        """Query everything from CTP, which takes time."""
        self._learning = True
        takes = self._random.uniform(*LOGIN_TAKES)
        self._later(now_ns + int(takes * SECOND), lambda _: self._first_picture())

    def _first_picture(self) -> list[Parcel]:
        exchange, user_id = self._exchange, self._user_id
        account = exchange.account(user_id)
        self._ready = True
        for symbol, holding in account.holdings.items():
            row = self._known(symbol) | rows.ctp_queried(exchange.counter, holding)
            for name in rows.SIDES:
                row |= {f"pos_{name}_today": 0, f"pos_{name}_his": row[f"volume_{name}_yd"]}
            self._positions[symbol] = row
        self._learn_orders()
        for trade in sorted(self._trades.values(), key=lambda row: int(row["seqno"])):
            symbol = f"{trade['exchange_id']}.{trade['instrument_id']}"
            self._positions[symbol] = rows.ctp_moved(self._known(symbol), trade)
        self._account = rows.account_row(account)
        self._mark(list(self._positions))
        told = [self._picture()]
        if not self._statement_told:
            self._statement_told = True
            told.append(self._statement())
        return told

    def _learn_orders(self) -> None:
        """Orders and trades of the day from before this gateway started."""
        for report in self._exchange.reports(self._user_id):
            order_id = report.row["order_id"]
            self._accepted.add(order_id)
            shown_id = self.shown_id(order_id)
            if shown_id not in self._orders:
                self._orders[shown_id] = rows.ctp_order(report, shown_id, self._seqno)
                self._seqno += 1
        for trade in self._exchange.trades(self._user_id):
            shown_id = self.shown_id(trade.row["order_id"])
            row = rows.ctp_trade(trade, shown_id, self._seqno, self._commission())
            if row["trade_id"] not in self._trades:
                self._trades[row["trade_id"]] = row
                self._seqno += 1

    def _picture(self) -> Parcel:
        assert self._account is not None
        return self._pack(
            accounts={"CNY": self._account},
            positions=dict(self._positions),
            orders=dict(self._orders),
            trades=dict(self._trades),
        )

    def _statement(self) -> Parcel:
        code, kind = _SETTLEMENT
        return self._notices.parcel(code, self._statement_text(), kind=kind)

    def _statement_text(self) -> str:
        account = self._exchange.account(self._user_id).wire()
        return (
            "                         交易结算单(盯市)\n"
            f"客户号 Client ID：  {self._user_id}\n"
            f"日期 Date：{self._exchange.session(self._user_id)['trading_day']}\n"
            "资金状况  币种：人民币  Account Summary  Currency：CNY\n"
            f"期初结存 Balance b/f：{account['pre_balance']:.2f}\n"
            f"客户权益 Client Equity：{account['balance']:.2f}\n"
            f"可用资金 Fund Avail.：{account['available']:.2f}\n"
        )

    def _new_day(self, now_ns: int, gone: list[str]) -> None:
        """Begin a trading day: the gateway logs in to CTP again and queries everything."""
        told = []
        while self._agenda:
            at, _, action = heappop(self._agenda)
            told += action(at)
        self._begin_day()
        told.append(session_parcel(self._user_id, self._exchange.session(self._user_id)))
        if gone:
            told.append(self._pack(positions=dict.fromkeys(gone)))
        self._later(now_ns, lambda _: told)
        self._learn(now_ns)
