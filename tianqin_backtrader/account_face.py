"""The broker's face towards the account: what Backtrader and strategies ask of it."""

from __future__ import annotations

from typing import Any

from backtrader.position import Position

from .account_view import SIDES, AccountView, OrderCost
from .books import Balance, Books
from .errors import ConfigError
from .main_contracts import MAIN


class AccountFace:
    """Funds, positions and costs; a part of ``MyBroker``."""

    store: Any
    comminfo: dict[Any, Any]
    _account: AccountView

    @property
    def books(self) -> Books:
        """What our own fills come to."""
        return self._account.books

    def getcash(self) -> float:
        """Available funds, yuan."""
        return self._account.funds("available")

    def getvalue(self, datas: Any = None) -> float:
        """The account's equity, or the margin held in the given feeds, yuan."""
        if datas is None:
            return self._account.funds("balance")
        return sum(  # type: ignore[no-any-return]
            self.getcommissioninfo(data).getvalue(self.getposition(data), data.close[0])
            for data in datas
        )

    get_cash = getcash
    get_value = getvalue

    @property
    def margin(self) -> float:
        """Margin of all positions, yuan."""
        return self._account.funds("margin")

    def get_account(self) -> dict[str, Any]:
        """All fields of the account as TqSdk names them."""
        return dict(self.store.gateway.account())

    @property
    def positions(self) -> dict[Any, Position]:
        """Net positions by feed, as Backtrader has them."""
        return {data: self.getposition(data, clone=False) for data in self.store.feeds}

    def getposition(self, data: Any, clone: bool = True, side: str | None = None) -> Position:
        """Position of the fills (and of what was held at the start) in a feed's contract.

        That of a main contract is in the contract behind it now and, as long as it has not been
        rolled or closed, in the one before, at their average price.

        Args:
            data: A feed, or a symbol.
            clone: Whether a copy is given.
            side: ``"long"`` or ``"short"`` for that side alone, shorts negative; None for the net.

        Raises:
            ConfigError: Another side.
        """
        if side is not None and side not in SIDES:
            raise ConfigError(f'side is "long", "short" or None, not {side!r}')
        symbol = data if isinstance(data, str) else data._dataname
        if symbol.startswith(MAIN):
            return self._account.joined(self.store.mains.behind(symbol), side)
        position = self._account.position(symbol, side)
        return position.clone() if clone else position

    def get_account_position(self, instrument: str) -> dict[str, Any]:
        """The account's position in a contract, fields as TqSdk names them; {} when flat.

        Of a main contract: in the contract behind it now.
        """
        return self.get_account_positions().get(self.store.mains.traded(instrument), {})

    def get_account_positions(self) -> dict[str, dict[str, Any]]:
        """The account's positions that are not flat, by symbol."""
        return self._account.account_positions()

    def balance(self) -> Balance:
        """Start, profit and fees by our own books; open lots at the account's last price."""
        return self._account.balance()

    def getcommissioninfo(self, data: Any) -> Any:
        """Multiplier, margin and commission of a contract; what the user has set first."""
        if data._name in self.comminfo:
            return self.comminfo[data._name]
        return self._account.comminfo(self.store.mains.traded(data._dataname))

    def order_cost(
        self, instrument: str, size: int, price: float | None = None, *, closes: bool = False
    ) -> OrderCost:
        """What an order would take from the available funds, yuan.

        Args:
            instrument: A symbol.
            size: Lots.
            price: Where the margin has to be worked out; default the last price.
            closes: Whether it closes: then it takes no margin.
        """
        return self._account.cost(
            self.store.mains.traded(instrument),
            abs(size),
            self._or_last(price, instrument),
            closes=closes,
        )

    def max_lots(self, instrument: str, price: float | None = None, share: float = 1.0) -> int:
        """Lots that a share of the available funds can open now."""
        return self._account.max_lots(
            self.store.mains.traded(instrument), self._or_last(price, instrument), share
        )

    def _or_last(self, price: float | None, symbol: str) -> float:
        return float(self.store.gateway.quote(symbol).last_price) if price is None else price
