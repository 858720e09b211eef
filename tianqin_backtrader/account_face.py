"""The broker's face towards the account: what Backtrader and strategies ask of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import backtrader as bt
from backtrader.position import Position

from .account_view import SIDES, AccountView, OrderCost
from .books import Balance, Books
from .errors import ConfigError
from .feed_names import symbol_of
from .main_contracts import MAIN
from .order_desk import OrderDesk

if TYPE_CHECKING:
    from .store import MyStore


class _Positions(dict[Any, Position]):
    """Positions by feed; of clones and of feeds of others, too, which Backtrader asks for."""

    def __init__(self, broker: AccountFace, known: dict[Any, Position]) -> None:
        super().__init__(known)
        self._broker = broker

    def __missing__(self, data: Any) -> Position:
        return self._broker.getposition(data, clone=False)


class AccountFace:
    """Funds, positions and costs; a part of ``MyBroker``."""

    store: MyStore
    comminfo: dict[Any, Any]
    _account: AccountView
    _desk: OrderDesk

    @property
    def books(self) -> Books:
        """What our own fills come to: ``start`` and ``fees`` in yuan, ``fills`` their number."""
        return self._account.books

    def getcash(self) -> float:
        """Available funds, yuan; also ``get_cash``.

        The account's ``available``, less what orders bind that it does not hold yet: those of this
        ``next()`` and, behind a futures company, those of the last seconds.
        """
        return self._account.available()

    def getvalue(self, datas: Any = None) -> float:
        """The account's equity (``balance``), yuan; also ``get_value``.

        Args:
            datas: Feeds, for the margin held in their contracts instead; that of a short is
                negative. Lots that Market orders are still to get count as held: so a target of
                ``order_target_value`` and ``order_target_percent`` is the same target however
                often it is given.
        """
        if datas is None:
            return self._account.funds("balance")
        return sum(self._worth(data) for data in datas)

    def _worth(self, data: Any) -> float:
        position = self.getposition(data)
        lots = position.size + self._coming(data)
        if not lots:
            return 0.0
        price = data.close[0] if len(data) else position.price  # before its first bar
        worth = self.getcommissioninfo(data).getvaluesize(lots, price)
        return math.copysign(worth, lots)

    def _coming(self, data: Any) -> int:
        """Signed lots that Market orders on a feed's contract are still to get.

        Backtrader's simulation fills them before the next bar, and scripts rely on it.
        """
        symbol = data._dataname
        if not isinstance(symbol, str):
            return 0
        behind = self.store.mains.behind(symbol)
        return sum(
            ticket.direction.sign * ticket.left
            for ticket in self._desk.on_their_way()
            if ticket.symbol in behind and ticket.order.exectype == bt.Order.Market
        )

    get_cash = getcash
    get_value = getvalue

    @property
    def margin(self) -> float:
        """Margin of all positions, yuan, as the account says (``margin``)."""
        return self._account.funds("margin")

    def get_account(self) -> dict[str, Any]:
        """All fields of the account as TqSdk names them: ``balance``, ``available``, ``margin``,
        ``float_profit``, ``commission``, ``static_balance`` ... in yuan, ``risk_ratio`` a fraction.

        Source: ``tqsdk.objs.Account``. A copy of now.
        """
        return dict(self.store.gateway.account())

    @property
    def positions(self) -> dict[Any, Position]:
        """Net positions by feed, as Backtrader has them; see ``getposition``."""
        return _Positions(
            self, {data: self.getposition(data, clone=False) for data in self.store.feeds}
        )

    def getposition(self, data: Any, clone: bool = True, side: str | None = None) -> Position:
        """Position of the fills (and of what was held at the start) in a feed's contract.

        That of a main contract is in the contract behind it now and, as long as it has not been
        rolled or closed, in the one before, at their average price.

        Args:
            data: A feed, its name, or a symbol. In feeds of others (``PandasData``) nothing is
                held.
            clone: Whether a copy is given.
            side: ``"long"`` or ``"short"`` for that side alone, shorts negative; None for the net.

        Returns:
            Backtrader's ``Position``: ``size`` in signed lots, ``price`` in quote units; flat for
            a contract that was never traded.

        Raises:
            ConfigError: Another side.
        """
        if side is not None and side not in SIDES:
            raise ConfigError(f'side is "long", "short" or None, not {side!r}')
        symbol = self._symbol_of(data) if isinstance(data, str) else data._dataname
        if not isinstance(symbol, str):
            return Position()
        if symbol.startswith(MAIN):
            return self._account.joined(self.store.mains.behind(symbol), side)
        position = self._account.position(symbol, side)
        return position.clone() if clone else position

    def get_account_position(self, instrument: str) -> dict[str, Any]:
        """The account's position in a contract, fields as TqSdk names them; {} when flat.

        Lots: ``pos_long``, ``pos_short``, each in ``_today`` and ``_his``, ``volume_long_frozen``
        and ``volume_short_frozen`` (in working closes); ``open_price_long`` ... in quote units;
        ``float_profit``, ``margin`` in yuan. Behind a futures company only ``pos_...`` is of now:
        all else is what it has answered last, seconds ago, and 0 right after an opening.

        Args:
            instrument: A symbol, or the name of a feed; of a main contract, in the contract behind
                it now. One that does not exist is flat, too.

        Source: ``tqsdk.objs.Position``. A copy of now.
        """
        return self.get_account_positions().get(self._traded(instrument), {})

    def get_account_positions(self) -> dict[str, dict[str, Any]]:
        """The account's positions that are not flat, by symbol; see ``get_account_position``."""
        return self._account.account_positions()

    def balance(self) -> Balance:
        """Start, profit, fees and equity by our own books, yuan; open lots at the last price.

        Counted from the fills alone, so that it can be held against the account's own ``balance``.
        """
        return self._account.balance()

    def getcommissioninfo(self, data: Any) -> Any:
        """Multiplier, margin and commission of a feed's contract, as ``bt.CommissionInfo``.

        Margin and commission are yuan per lot, TianQin's of the day; what the user has set with
        ``setcommission(name=)`` goes first.

        Raises:
            UnknownSymbol: No such contract.
        """
        if data._name in self.comminfo:
            return self.comminfo[data._name]
        if not isinstance(data._dataname, str):
            return self.comminfo[None]
        return self._account.comminfo(self.store.mains.traded(data._dataname))

    def order_cost(
        self, instrument: str, size: int, price: float | None = None, *, closes: bool = False
    ) -> OrderCost:
        """What an order would take from the available funds, yuan.

        Args:
            instrument: A symbol, or the name of a feed.
            size: Lots.
            price: Where the margin has to be worked out; default the last price.
            closes: Whether it closes: then it takes no margin.

        Returns:
            ``margin``, ``commission`` and their ``total``, yuan.

        Raises:
            UnknownSymbol: No such contract.

        Source: margin and commission per lot of TianQin's quote, those of your broker where the
        account is with one.
        """
        symbol, last = self._traded(instrument), self._or_last(price, instrument)
        return self._account.cost(symbol, abs(size), last, closes=closes)

    def max_lots(self, instrument: str, price: float | None = None, share: float = 1.0) -> int:
        """Lots that a share of the available funds can open now; 0 if the contract asks for more.

        Args:
            instrument: A symbol, or the name of a feed.
            price: Quote units; default the last price.
            share: Fraction of the available funds, 0 to 1.

        Raises:
            UnknownSymbol: No such contract.
        """
        symbol, last = self._traded(instrument), self._or_last(price, instrument)
        return self._account.max_lots(symbol, last, share)

    def _symbol_of(self, instrument: str) -> str:
        return symbol_of(self.store.feeds, instrument)

    def _traded(self, instrument: str) -> str:
        """The contract behind a symbol, or behind the symbol of a feed's name."""
        return str(self.store.mains.traded(self._symbol_of(instrument)))

    def _or_last(self, price: float | None, instrument: str) -> float:
        symbol = self._symbol_of(instrument)
        self.store.instrument(symbol)  # UnknownSymbol at once: a quote of nothing is waited for
        return float(self.store.last_price(symbol)) if price is None else price
