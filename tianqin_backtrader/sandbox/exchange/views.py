"""What the clients of an account are sent, and when: the counter's side of the wire."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from . import counter_rows as rows
from .ledger import Diff, News, Notice, OrderReport, TradeReport

if TYPE_CHECKING:
    from .exchange import Exchange

#: How diffs are sent: with other pending ones, in a pack of their own, or at once without a peek.
JOINED, ALONE, UNASKED = "joined", "alone", "unasked"


@dataclass(frozen=True, slots=True)
class Parcel:
    """Diffs that belong in one pack."""

    how: str
    diffs: tuple[Diff, ...]


class View(Protocol):
    """One account as its clients see it."""

    def due_ns(self) -> int | None:
        """When something must be sent because of time alone; None if nothing waits."""
        ...

    def take(self, now_ns: int) -> list[Parcel]:
        """The parcels due by now, in order, each once."""
        ...

    def login(self, now_ns: int) -> list[Parcel]:
        """The parcels that a connection is sent at login."""
        ...

    def exact_id(self, order_id: str) -> str:
        """The exchange's id of an order, from the id that clients see."""
        ...

    def say(self, notice: Notice) -> None:
        """Send the clients a notice with the next news."""
        ...

    def positions(self) -> Parcel:
        """All positions as they are shown."""
        ...


class PlainView:
    """Shows the exchange's records at once."""

    def __init__(self, exchange: Exchange, user_id: str) -> None:
        self._exchange, self._user_id = exchange, user_id
        self._logins = 0

    def due_ns(self) -> int | None:
        """None: nothing waits."""
        return None

    def take(self, now_ns: int) -> list[Parcel]:
        """One pack of diffs, if there is news."""
        diffs = self._exchange.take_diffs(self._user_id)
        return [Parcel(JOINED, tuple(diffs))] if diffs else []

    def login(self, now_ns: int) -> list[Parcel]:
        """A notice and the whole account."""
        self._logins += 1
        message = {"type": "MESSAGE", "level": "INFO", "code": 0, "content": "登录成功"}
        notice = {"notify": {f"td_{self._user_id}_{self._logins}": message}}
        return [Parcel(JOINED, (notice, self._exchange.snapshot(self._user_id)))]

    def exact_id(self, order_id: str) -> str:
        """Ids are the same."""
        return order_id

    def say(self, notice: Notice) -> None:
        """See ``View``."""
        self._exchange.say(self._user_id, notice)

    def positions(self) -> Parcel:
        """All positions of the account."""
        holdings = self._exchange.account(self._user_id).holdings
        rows = {symbol: one.wire() for symbol, one in holdings.items()}
        return Parcel(JOINED, ({"trade": {self._user_id: {"positions": rows}}},))


class Notices:
    """Notices of a counter's server, each under a key of its own."""

    def __init__(self, user_id: str, session_id: int) -> None:
        self._user_id, self._session_id = user_id, session_id
        self._told = 0

    def parcel(
        self, code: int, content: str, *, level: str = "INFO", kind: str = "MESSAGE"
    ) -> Parcel:
        """A notice, sent without a peek in a pack of its own."""
        self._told += 1
        message = {
            "type": kind,
            "level": level,
            "code": code,
            "session_id": self._session_id,
            "content": content,
        }
        return Parcel(UNASKED, ({"notify": {f"{self._user_id}_{self._told}": message}},))

    def parcels(self, notices: Iterable[Notice]) -> list[Parcel]:
        """Notices of the exchange."""
        return [
            self.parcel(one.code, one.content, level="WARNING" if one.warning else "INFO")
            for one in notices
        ]


def session_parcel(user_id: str, session: Diff) -> Parcel:
    """The trading day alone, which is sent without a peek before the first snapshot."""
    return Parcel(UNASKED, ({"trade": {user_id: {"session": session}}},))


class KqView:
    """TianQin's paper account: everything at once, in its own row format."""

    def __init__(self, exchange: Exchange, user_id: str) -> None:
        self._exchange, self._user_id = exchange, user_id
        self._notices = Notices(user_id, 1)
        self._alive: set[str] = set()

    def due_ns(self) -> int | None:
        """None: nothing waits."""
        return None

    def exact_id(self, order_id: str) -> str:
        """Ids are the same."""
        return order_id

    def say(self, notice: Notice) -> None:
        """See ``View``."""
        self._exchange.say(self._user_id, notice)

    def positions(self) -> Parcel:
        """All positions of the account."""
        diff = rows.branches(self._user_id, positions=self._positions())
        return Parcel(ALONE, ({"trade": {self._user_id: diff}},))

    def _positions(self) -> dict[str, Diff]:
        holdings = self._exchange.account(self._user_id).holdings
        return {symbol: rows.kq_position(self._user_id, one) for symbol, one in holdings.items()}

    def take(self, now_ns: int) -> list[Parcel]:
        """Notices, each alone, and one diff: orders, trades, positions and the account."""
        news = self._exchange.take_news(self._user_id)
        if news is None:
            return []
        told = self._notices.parcels(news.notices)
        for one in news.reports:
            told += self._remarks(one)
        session = self._exchange.session(self._user_id)
        if news.session:
            told.append(session_parcel(self._user_id, session))
        diff = self._diff(news)
        if diff is not None:
            told.append(Parcel(JOINED, ({"trade": {self._user_id: diff}},)))
        return told

    def _remarks(self, report: OrderReport | TradeReport) -> list[Parcel]:
        """The paper account's notices of accepted orders and of trades."""
        row = report.row
        if isinstance(report, TradeReport):
            return [self._notices.parcel(406, rows.trade_in_words(row))]
        if report.refusal is not None:
            return []
        order_id = row["order_id"]
        said = []
        if order_id not in self._alive:
            self._alive.add(order_id)
            said.append(self._notices.parcel(417, "下单成功"))
        if row["status"] == "FINISHED" and row["volume_left"]:
            said.append(self._notices.parcel(419, "撤单成功"))
        return said

    def _diff(self, news: News) -> Diff | None:
        account = self._exchange.account(self._user_id)
        changed: Diff = {}
        if news.account:
            changed["accounts"] = {"CNY": rows.account_row(account)}
        if news.positions or news.gone:
            changed["positions"] = {
                symbol: rows.kq_position(self._user_id, account.holdings[symbol])
                for symbol in sorted(news.positions)
                if symbol in account.holdings
            } | dict.fromkeys(sorted(news.gone - set(account.holdings)))
        orders = [one for one in news.reports if isinstance(one, OrderReport)]
        if orders:
            changed["orders"] = {one.row["order_id"]: rows.kq_order(one) for one in orders}
        trades = [rows.kq_trade(one) for one in news.reports if isinstance(one, TradeReport)]
        if trades:
            changed["trades"] = {row["trade_id"]: row for row in trades}
        return rows.branches(self._user_id, **changed) if changed else None

    def login(self, now_ns: int) -> list[Parcel]:
        """A notice, the trading day alone, and the whole account."""
        exchange, user_id = self._exchange, self._user_id
        session = exchange.session(user_id)
        orders = [rows.kq_order(one) for one in exchange.reports(user_id)]
        trades = [rows.kq_trade(one) for one in exchange.trades(user_id)]
        picture = rows.branches(
            user_id,
            accounts={"CNY": rows.account_row(exchange.account(user_id))},
            positions=self._positions(),
            orders={row["order_id"]: row for row in orders},
            trades={row["trade_id"]: row for row in trades},
        )
        picture |= {"session": session, "position_ready": True}
        return [
            self._notices.parcel(exchange.counter.login_code, "登录成功"),
            session_parcel(user_id, session),
            Parcel(ALONE, ({"trade": {user_id: picture}},)),
        ]


class RecordedView(PlainView):
    """Shows a recorded account at login instead of the exchange's; it cannot be traded.

    Args:
        recorded: Its ``accounts``, ``positions``, ``orders`` and ``trades``.
    """

    def __init__(self, exchange: Exchange, user_id: str, recorded: Mapping[str, Diff]) -> None:
        super().__init__(exchange, user_id)
        self._recorded = {
            kind: {
                key: row | ({"user_id": user_id} if "user_id" in row else {})
                for key, row in recorded.get(kind, {}).items()
            }
            for kind in ("accounts", "positions", "orders", "trades")
        }

    def login(self, now_ns: int) -> list[Parcel]:
        """The recorded account."""
        picture = rows.branches(self._user_id, **self._recorded)
        session = self._exchange.session(self._user_id)
        return [
            session_parcel(self._user_id, session),
            Parcel(ALONE, ({"trade": {self._user_id: picture | {"session": session}}},)),
        ]


class TradesFirst:
    """Sends an order's trade shortly before the order.

    Attributes:
        waiting: Ids of the orders, each with the parcels held back.
    """

    def __init__(self) -> None:
        self.waiting: dict[str, list[Parcel]] = {}

    def sort(self, user_id: str, parcels: list[Parcel]) -> list[Parcel]:
        """The parcels to send now, in order."""
        for order_id in list(self.waiting):
            told: list[Parcel] = []
            for parcel in parcels:
                told += self._sort(user_id, order_id, parcel)
            parcels = told
        return parcels

    def _sort(self, user_id: str, order_id: str, parcel: Parcel) -> list[Parcel]:
        if order_id not in self.waiting:
            return [parcel]
        rest, orders, traded = [], [], False
        for diff in parcel.diffs:
            branch = diff.get("trade", {}).get(user_id, {})
            traded = traded or any(
                row["order_id"] == order_id for row in branch.get("trades", {}).values()
            )
            if order_id not in branch.get("orders", {}):
                rest.append(diff)
                continue
            others = {key: row for key, row in branch["orders"].items() if key != order_id}
            rest.append({"trade": {user_id: branch | {"orders": others}}})
            one = {"user_id": user_id, "orders": {order_id: branch["orders"][order_id]}}
            orders.append(Parcel(ALONE, ({"trade": {user_id: one}},)))
        if traded:
            return [Parcel(ALONE, tuple(rest)), *self.waiting.pop(order_id), *orders]
        self.waiting[order_id] += orders
        return [Parcel(parcel.how, tuple(rest))]
