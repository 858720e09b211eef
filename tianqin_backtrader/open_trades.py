"""The open trades of strategies, where lots come and go without an order of theirs.

Backtrader makes trades of the fills of its own orders alone. Lots that were held before the run,
and trades by another hand, would leave trades that never close, and closes that are told as
openings.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import backtrader as bt

from .allocation import LotsChange, allocate
from .main_contracts import MAIN
from .unsubscribed_data import UnsubscribedData, has_bar


class OpenTrades:
    """Changes them as the lots held have changed.

    Args:
        store: Knows the feeds.
        stand_in: Gives what stands for the feed of a contract that has none.
    """

    def __init__(self, store: Any, stand_in: Callable[[str], UnsubscribedData]) -> None:
        self._store, self._stand_in = store, stand_in
        self._waiting: list[LotsChange] = []

    @property
    def strategies(self) -> list[Any]:
        """Those of the run, as far as there are any."""
        envs = (feed._env for feed in self._store.feeds if feed._env is not None)
        return next((list(env.runningstrats) for env in envs), [])

    @property
    def at_work(self) -> bool:
        """Whether strategies are called: a feed has a bar."""
        return any(has_bar(feed) for feed in self._store.feeds)

    def begin(self) -> None:
        """A run begins with what is held then."""
        self._waiting.clear()

    def give(self, lots: Mapping[str, tuple[int, float]]) -> None:
        """Let what was held before the run be open trades of the first strategy.

        Args:
            lots: Net lots and their price by symbol.
        """
        for symbol, (size, price) in lots.items():
            self._add(LotsChange(symbol, size, price))

    def take(self, change: LotsChange) -> None:
        """Let trades of the other side be closed by a change, and told; what is left opens.

        It waits while the contract is not known, and while the feed of a trade has no bar:
        Backtrader stamps the end of a trade with its time.
        """
        self._waiting.append(change)
        self.tend()

    def tend(self) -> None:
        """Every round: see to changes that wait."""
        waiting, self._waiting = self._waiting, []
        for change in waiting:
            found = list(self._open_trades(change.symbol))
            known = self._store.known_instrument(change.symbol) is not None
            if known and all(has_bar(trade.data) for _, trade in found):
                self._carry_out(change, found)
            else:
                self._waiting.append(change)

    def _carry_out(self, change: LotsChange, found: list[tuple[Any, Any]]) -> None:
        sizes, rest = allocate(change.size, [trade.size for _, trade in found])
        fee = change.fee / abs(change.size)
        for (strategy, trade), size in zip(found, sizes, strict=True):
            if size:
                _update(strategy, trade, size, change.price, fee * abs(size))
        if rest:
            self._add(LotsChange(change.symbol, rest, change.price, fee * abs(rest)))
        for (strategy, trade), size in zip(found, sizes, strict=True):
            if size and trade.isclosed:
                _tell(strategy, trade)

    # -- trades -------------------------------------------------------------------------------

    def _open_trades(self, symbol: str) -> Iterator[tuple[Any, Any]]:
        for strategy in self.strategies:
            for data, by_id in list(strategy._trades.items()):
                if self._is_of(data, symbol):
                    for trades in list(by_id.values()):
                        if trades and trades[-1].isopen:
                            yield strategy, trades[-1]

    def _add(self, change: LotsChange) -> None:
        """Lots for an open trade of their side, else for a new one of the first strategy."""
        same = (one for one in self._open_trades(change.symbol) if one[1].size * change.size > 0)
        found = next(same, None) or self._new_trade(change.symbol)
        if found is not None:
            strategy, trade = found
            _update(strategy, trade, change.size, change.price, change.fee)
            trade.justopened = False  # it is not told as an opening of the strategy's own

    def _new_trade(self, symbol: str) -> tuple[Any, Any] | None:
        for strategy in self.strategies:
            for data in strategy.datas:
                # One made of a feed is none of the store's: orders are on the feed.
                if any(data is one for one in self._store.feeds) and self._is_of(data, symbol):
                    return strategy, _trade_of(strategy, data)
        for strategy in self.strategies:
            return strategy, _trade_of(strategy, self._stand_in(symbol))
        return None

    def _is_of(self, data: Any, symbol: str) -> bool:
        """Whether lots of a contract are traded through a feed."""
        name = data._dataname
        if not isinstance(name, str) or not name.startswith(MAIN):
            return bool(name == symbol)
        mains = self._store.mains
        of_product = symbol.startswith(name.removeprefix(MAIN))  # else nobody need be asked
        return of_product and (symbol == mains.traded(name) or symbol in mains.behind(name))


def _trade_of(strategy: Any, data: Any) -> Any:
    trade = bt.Trade(data=data, historyon=strategy._tradehistoryon)
    strategy._trades[data][0].append(trade)
    return trade


def _update(strategy: Any, trade: Any, size: int, price: float, fee: float) -> None:
    data = trade.data
    kind = bt.BuyOrder if size > 0 else bt.SellOrder
    order = kind(data=data, size=size, price=price, simulated=not has_bar(data))
    comminfo = strategy.broker.getcommissioninfo(data)
    if math.isnan(fee):
        fee = comminfo.getcommission(size, price)
    trade.update(order, size, price, 0.0, fee, 0.0, comminfo)


def _tell(strategy: Any, trade: Any) -> None:
    """As ``Strategy._addnotification`` does it."""
    strategy._tradespending.append(copy.copy(trade))
    if strategy.cerebro.p.quicknotify:
        strategy._notify(qtrades=[copy.copy(trade)])
