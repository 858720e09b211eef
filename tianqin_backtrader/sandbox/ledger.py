"""What one user's connections have not been told yet."""

from __future__ import annotations

from .account import Account
from .order_wire import Diff


class Ledger:
    """Gathers news about an account until it is taken.

    Attributes:
        orders, trades: By id, as they go over the wire.
        positions: Symbols of positions that have changed.
        moved: Symbols whose profit alone has changed.
        gone: Symbols that are no longer held.
        account, session: Whether these have changed.
        notices: Messages.
        profit_told_ns: When profits were last told for their own sake.
    """

    def __init__(self) -> None:
        self.profit_told_ns = 0
        self.moved: set[str] = set()
        self._clear()

    def _clear(self) -> None:
        self.orders: dict[str, Diff] = {}
        self.trades: dict[str, Diff] = {}
        self.positions: set[str] = set()
        self.gone: set[str] = set()
        self.account = False
        self.session = False
        self.notices: list[Diff] = []

    def take(self, account: Account, session: Diff) -> list[Diff]:
        """The news in order, once; an order comes with its trades."""
        trade: Diff = {}
        if self.session:
            trade["session"] = session
        if self.account:
            trade["accounts"] = {"CNY": account.wire()}
        if self.positions or self.gone:
            trade["positions"] = {
                symbol: account.holdings[symbol].wire()
                for symbol in sorted(self.positions)
                if symbol in account.holdings
            } | dict.fromkeys(sorted(self.gone - set(account.holdings)))
        if self.orders:
            trade["orders"] = self.orders
        if self.trades:
            trade["trades"] = self.trades
        notices = self.notices
        self.moved -= self.positions
        self._clear()
        return [*notices, {"trade": {account.user_id: trade}}] if trade else notices
