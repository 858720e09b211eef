"""Adjust strategies' open trades to lots that come and go without their orders.

Backtrader makes trades only of fills of its own orders. Without this module, lots held before the
run and foreign trades would cause trades that never close, and closes notified as openings.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import backtrader as bt

from ..account.allocation import LotsChange, allocate
from ..contracts.continuous import MAIN
from ..core.context import Context
from ..core.ports import Feeds, Underlyings
from ..feeds.feed_list import PlaceholderFeed, has_bar

#: A strategy, a feed and Backtrader's ``tradeid``.
_Place = tuple[Any, Any, int]


class OpenTrades:
    """Adjusts open trades to changes of the lots held.

    Args:
        context: Knows contracts.
        feeds: The feeds of the run.
        mains: Knows the contracts behind main contracts.
        stand_in: Returns a placeholder for a contract that has no feed.

    Attributes:
        waiting: Changes that cannot be made yet.
        given: Lots that no order of the trade's strategy has opened, by the trade's number.
    """

    def __init__(
        self,
        context: Context,
        feeds: Feeds,
        mains: Underlyings,
        stand_in: Callable[[str], PlaceholderFeed],
    ) -> None:
        self._context, self._feeds, self._mains = context, feeds, mains
        self._stand_in = stand_in
        self.waiting: list[LotsChange] = []
        self.given: Counter[int] = Counter()

    @property
    def strategies(self) -> list[Any]:
        """The strategies of the run, [] if there are none yet."""
        envs = (feed._env for feed in self._feeds if feed._env is not None)
        return next((list(env.runningstrats) for env in envs), [])

    @property
    def at_work(self) -> bool:
        """Whether strategies are being called, which needs a bar of a feed."""
        return any(has_bar(feed) for feed in self._feeds)

    def begin(self) -> None:
        """Begin a run with the present positions."""
        self.waiting.clear()
        self.given.clear()

    def give(
        self, lots: Mapping[str, tuple[int, float]], exits: Mapping[str, list[tuple[Any, int]]]
    ) -> None:
        """Make open trades of lots held before the run, for the owners of their exits.

        Lots without an exit go to the first exit's owner, or else to the first strategy.

        Args:
            lots: Net lots and their price by symbol.
            exits: The orders that will close them, each with its lots, by symbol.
        """
        for symbol, (size, price) in lots.items():
            for place, share in self._shares(size, exits.get(symbol, [])):
                self._add(LotsChange(symbol, share, price), place)

    def _shares(
        self, size: int, exits: Iterable[tuple[Any, int]]
    ) -> list[tuple[_Place | None, int]]:
        """Return signed lots for each place; None stands for any place."""
        wanted: dict[_Place | None, int] = {}
        place: _Place | None
        for order, lots in exits:  # a stop and its target cover the same lots
            place = self._place(order)
            wanted[place] = max(lots, wanted.get(place, 0))
        left, shares = abs(size), wanted.copy()
        for place in wanted:
            shares[place] = min(wanted[place], left)
            left -= shares[place]
        first = next(iter(wanted), None)
        shares[first] = shares.get(first, 0) + left
        return [(place, lots if size > 0 else -lots) for place, lots in shares.items() if lots]

    def make_way(self, order: Any, symbol: str) -> None:
        """Before a fill is notified, move the lots that it closes into its owner's trade.

        Lots that were held before the run may be in another strategy's trade.
        """
        closed = sum(bit.closed for bit in order.executed.iterpending())
        if not closed or not self.strategies:
            return
        place = self._place(order)
        own = _last_trade(*place)
        if own is not None and own.size * closed > 0:
            return  # it adds to the other side, as Backtrader counts each strategy separately
        missing = int(abs(closed)) - (abs(own.size) if own is not None else 0)
        for strategy, trade in list(self._open_trades(symbol)):
            lots = min(missing, self.given[trade.ref], abs(trade.size))
            if trade is not own and trade.size * closed < 0 and lots > 0:
                own = own or _trade_of(*place)
                self._move(strategy, trade, (place[0], own), lots)
                missing -= lots

    def _move(self, giver: Any, source: Any, to: tuple[Any, Any], lots: int) -> None:
        """Move lots from one trade to another, with their share of profit and commission."""
        taker, target = to
        share = lots / abs(source.size)
        fee, pnl = source.commission * share, source.pnl * share
        size = lots if source.size > 0 else -lots
        goes_on = not target.size and target.data is source.data
        _update(taker, target, size, source.price, fee)
        if goes_on:
            target.baropen, target.dtopen = source.baropen, source.dtopen
        target.justopened = False  # not notified as an opening
        source.size -= size
        source.value *= 1 - share
        for trade, more_fee, more_pnl in ((source, -fee, -pnl), (target, 0.0, pnl)):
            trade.commission += more_fee
            trade.pnl += more_pnl
            trade.pnlcomm = trade.pnl - trade.commission
        if not source.size:
            giver._trades[source.data][source.tradeid].remove(source)
        self.given[source.ref] -= lots
        self.given[target.ref] += lots

    def _place(self, order: Any) -> _Place:
        """Return where Backtrader keeps the trades of an order."""
        owner = self.strategies[0] if order.owner is None else order.owner
        return owner, order.data, order.tradeid

    def take(self, change: LotsChange) -> None:
        """Close trades of the other side by a change and notify them; open the remainder.

        It waits while the contract is not known or a trade's feed has no bar: Backtrader dates the
        end of a trade by the bar.
        """
        self.waiting.append(change)
        self.on_round()

    def on_round(self) -> None:
        """Make waiting changes that are possible now; called every round."""
        waiting = list(self.waiting)
        self.waiting.clear()
        for change in waiting:
            found = list(self._open_trades(change.symbol))
            known = self._context.known_instrument(change.symbol) is not None
            if known and all(has_bar(trade.data) for _, trade in found):
                self._carry_out(change, found)
            else:
                self.waiting.append(change)

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

    def _add(self, change: LotsChange, place: _Place | None = None) -> None:
        """Add lots to an open trade of their side, else to a new one of the first strategy.

        Args:
            change: The lots.
            place: Where their trade must be, if known.
        """
        same = (one for one in self._open_trades(change.symbol) if one[1].size * change.size > 0)
        found: tuple[Any, Any] | None
        if place is not None:
            found = place[0], _last_trade(*place) or _trade_of(*place)
        else:
            found = next(same, None) or self._new_trade(change.symbol)
        if found is not None:
            strategy, trade = found
            _update(strategy, trade, change.size, change.price, change.fee)
            self.given[trade.ref] += abs(change.size)
            trade.justopened = False  # not notified as the strategy's own opening

    def _new_trade(self, symbol: str) -> tuple[Any, Any] | None:
        for strategy in self.strategies:
            for data in strategy.datas:
                # Data derived from a feed are not the store's: orders use the feed.
                if any(data is one for one in self._feeds) and self._is_of(data, symbol):
                    return strategy, _trade_of(strategy, data)
        for strategy in self.strategies:
            return strategy, _trade_of(strategy, self._stand_in(symbol))
        return None

    def _is_of(self, data: Any, symbol: str) -> bool:
        """Return whether a contract is traded through a feed."""
        name = data._dataname
        if not isinstance(name, str) or not name.startswith(MAIN):
            return bool(name == symbol)
        mains = self._mains
        of_product = symbol.startswith(name.removeprefix(MAIN))  # cheap check first
        return of_product and (symbol == mains.traded(name) or symbol in mains.behind(name))


def _last_trade(strategy: Any, data: Any, tradeid: int) -> Any:
    """Return the open trade of a place, None if there is none."""
    trades = strategy._trades[data][tradeid]
    return trades[-1] if trades and trades[-1].isopen else None


def _trade_of(strategy: Any, data: Any, tradeid: int = 0) -> Any:
    trade = bt.Trade(data=data, tradeid=tradeid, historyon=strategy._tradehistoryon)
    strategy._trades[data][tradeid].append(trade)
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
    """Notify of a trade as ``Strategy._addnotification`` does."""
    strategy._tradespending.append(copy.copy(trade))
    if strategy.cerebro.p.quicknotify:
        strategy._notify(qtrades=[copy.copy(trade)])
