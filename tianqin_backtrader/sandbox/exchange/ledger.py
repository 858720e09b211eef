"""News of an account that its connections have not been sent yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .account import Account
from .counter import Refusal

Diff = dict[str, Any]


@dataclass(frozen=True, slots=True)
class OrderReport:
    """An order at a moment.

    Attributes:
        row: The row of the plain counter.
        margin, commission: What its remaining lots freeze or, once it is finished, had frozen.
        seqno: The account's sequence number of orders and trades.
        refusal: The refusal, if it was refused.
    """

    row: Diff
    margin: float = 0.0
    commission: float = 0.0
    seqno: int = 0
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class TradeReport:
    """An execution; ``row`` is that of the plain counter."""

    row: Diff
    seqno: int = 0


@dataclass(frozen=True, slots=True)
class Notice:
    """A notification: its code, its words, and whether it is a warning."""

    code: int
    content: str
    warning: bool = True


Report = OrderReport | TradeReport


@dataclass(slots=True)
class News:
    """Everything that has happened since the last news.

    Attributes:
        reports: Orders and trades, in order.
        notices: Notifications.
        positions: Symbols of positions that have changed.
        gone: Symbols that are no longer held.
        account, session: Whether these have changed.
        profit: Whether profit is reported although nothing else has changed.
        settled: Whether a trading day has ended.
    """

    reports: list[Report] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    positions: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    account: bool = False
    session: bool = False
    profit: bool = False
    settled: bool = False

    def __bool__(self) -> bool:
        return bool(self.account or self.reports or self.notices or self.positions or self.session)


class Ledger:
    """Gathers news of an account until it is taken.

    Attributes:
        news: News that has not been taken.
        moved: Symbols of which only the profit has changed.
        profit_told_ns: When a change of profit alone was last reported.
    """

    def __init__(self) -> None:
        self.profit_told_ns = 0
        self.moved: set[str] = set()
        self.news = News()

    def take(self) -> News | None:
        """The news, once; None if there is none."""
        if not self.news:
            return None
        news, self.news = self.news, News()
        self.moved -= news.positions
        return news


def plain_diffs(news: News, account: Account, session: Diff, first: int) -> list[Diff]:
    """Convert news to diffs in order; an order comes with its trades.

    Args:
        news: The news.
        account: The account.
        session: The row of the trading day.
        first: Number of the first notice.
    """
    trade: Diff = {}
    if news.session:
        trade["session"] = session
    if news.account:
        trade["accounts"] = {"CNY": account.wire()}
    if news.positions or news.gone:
        trade["positions"] = {
            symbol: account.holdings[symbol].wire()
            for symbol in sorted(news.positions)
            if symbol in account.holdings
        } | dict.fromkeys(sorted(news.gone - set(account.holdings)))
    orders = {one.row["order_id"]: one.row for one in news.reports if isinstance(one, OrderReport)}
    if orders:
        trade["orders"] = orders
    trades = {one.row["trade_id"]: one.row for one in news.reports if isinstance(one, TradeReport)}
    if trades:
        trade["trades"] = trades
    notices = [plain_notice(one, first + number) for number, one in enumerate(news.notices)]
    return [*notices, {"trade": {account.user_id: trade}}] if trade else notices


def plain_notice(notice: Notice, number: int) -> Diff:
    """Convert a notice to a diff under a key of its own."""
    message = {
        "type": "MESSAGE",
        "level": "WARNING" if notice.warning else "INFO",
        "code": notice.code,
        "content": notice.content,
    }
    return {"notify": {f"x{number}": message}}
