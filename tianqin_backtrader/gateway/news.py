"""``News``: what a client's waits have brought, so that a round costs what came."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

#: A part of TqSdk's tree: branch, name, fields.
Difference = Mapping[str, Mapping[str, object]]


class News:
    """Notes which contracts have new rows, and which orders and trades have changed.

    It begins with everything: what a new client's first packs have brought is not known.

    Attributes:
        quotes: What is called with the changes of a contract's quote, in their order.
        account_changes: How often the account may have changed; None if that is not known.

    Args:
        sure: Whether every wait is noted; otherwise everything may be new at any time.
    """

    def __init__(self, *, sure: bool) -> None:
        self._sure = sure
        self.quotes: dict[str, list[Callable[[Mapping[str, object]], None]]] = {}
        self.account_changes: int | None = 0 if sure else None
        self._all_rows = self._all_reports = True
        self._contracts: set[str] = set()
        self._orders: dict[str, None] = {}  # in the order in which they came
        self._trades: dict[str, None] = {}

    def note(self, differences: Iterable[Difference]) -> None:
        """Note the differences that a wait has merged into the client's tree."""
        for difference in differences:
            for branch in ("ticks", "klines"):
                if branch in difference:
                    self._contracts.update(difference[branch])
            for symbol, changes in difference.get("quotes", {}).items():
                if symbol in self.quotes and isinstance(changes, Mapping):
                    for note in self.quotes[symbol]:
                        note(changes)
                    self._contracts.add(symbol)
            for chart in difference.get("charts", {}).values():
                # Rows of a request count once all of them have come.
                if not isinstance(chart, Mapping) or "ready" in chart:
                    self._all_rows = True
            if "trade" in difference and self.account_changes is not None:
                self.account_changes += 1
            for account in difference.get("trade", {}).values():
                if isinstance(account, Mapping):
                    self._orders.update(dict.fromkeys(account.get("orders") or ()))
                    self._trades.update(dict.fromkeys(account.get("trades") or ()))

    def take_contracts(self) -> set[str] | None:
        """Return the contracts with new ticks or bars since the last call; None for all."""
        whole, self._all_rows = self._all_rows or not self._sure, False
        contracts, self._contracts = self._contracts, set()
        return None if whole else contracts

    def take_reports(self) -> tuple[list[str], list[str]] | None:
        """Return the ids of orders and trades that have changed since the last call; None: all."""
        whole, self._all_reports = self._all_reports or not self._sure, False
        orders, self._orders = self._orders, {}
        trades, self._trades = self._trades, {}
        return None if whole else (list(orders), list(trades))
