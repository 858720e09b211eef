"""Make a ticket of a strategy's request: the order, its feed and its contract."""

from __future__ import annotations

import math
import sys
from datetime import date, timedelta
from typing import Any

import backtrader as bt
import numpy as np

from ..account.ledger import PositionLedger
from ..contracts.continuous import MAIN
from ..contracts.offsets import whole_lots
from ..contracts.order_terms import STAYS, OrderTerms, order_terms
from ..contracts.time_in_force import GOOD_TILL_CANCELLED, validity
from ..core.context import Context
from ..core.model import Direction
from ..core.ports import Feeds, Underlyings
from ..errors import OrderError, TianqinError
from ..feeds.feed_list import PlaceholderFeeds
from ..orders.exits import Timing
from ..orders.four_way import FourWayBuy, FourWaySell
from ..orders.ticket import PositionEffect, Ticket
from ..risk.kill_switch import Close
from .contingent_orders import ContingentOrders
from .order_manager import OrderManager

#: Most frames from here up to ``Strategy.close``, including a strategy's own ``sell``.
_CLOSE_IS_WITHIN = 8


class OrderFactory:
    """Makes orders and tickets of requests, and submits them.

    Args:
        broker: The broker of the orders for Backtrader.
        context: Time and calendar.
        feeds: The feeds of the run.
        mains: Knows the contracts behind main contracts.
        account: Has the positions.
        manager: Sends the orders.
        held: Takes contingent orders.
        placeholders: Stand in for feeds of contracts that have none.
        allow_partial: The default for orders that do not set it.
    """

    def __init__(
        self,
        broker: object,
        context: Context,
        feeds: Feeds,
        mains: Underlyings,
        account: PositionLedger,
        manager: OrderManager,
        held: ContingentOrders,
        placeholders: PlaceholderFeeds,
        *,
        allow_partial: bool,
    ) -> None:
        self._broker, self._account = broker, account
        self._context, self._feeds, self._mains = context, feeds, mains
        self._manager, self._contingent = manager, held
        self._placeholders, self._allow_partial = placeholders, allow_partial

    def backtrader_order(
        self, kind: Any, owner: Any, data: Any, size: float, price: float | None, kwargs: Any
    ) -> Any:
        """Make the order of ``Strategy.buy`` or ``sell``; see ``MyBroker.buy``."""
        if not isinstance(data._dataname, str):  # not a feed of the store
            data = self._placeholders(data._name or "a feed that is not of this store")
        size, price = _plain(size), _plain(price)
        kwargs = {name: _plain(value) for name, value in kwargs.items()}
        allow_partial = kwargs.pop("allow_partial", self._allow_partial)
        close_only = kwargs.pop("close_only", True if _is_close() else None)
        oco, parent = kwargs.get("oco"), kwargs.get("parent")
        valid, transmit = kwargs.get("valid"), kwargs.get("transmit", True)
        plimit = kwargs.pop("plimit", None)
        ticket = self.ticket(kind, owner, data, abs(size), price, pricelimit=plimit, **kwargs)
        order = ticket.order
        ticket.allow_partial = allow_partial
        try:
            ticket.volume = whole_lots(size)
            ticket.symbol = self._contract_for(ticket)
            if valid is not None:
                now, calendar = self._context.now(), self._context.calendar
                ticket.validity = validity(valid, ticket.symbol, now, calendar)
            else:
                ticket.validity = GOOD_TILL_CANCELLED
            if order.exectype == bt.Order.Limit:
                ticket.terms = OrderTerms(math.nan if price is None else price)
            timing = _timing(order, oco)
            if parent is None:
                self._manager.settle_effect(ticket, timing, close_only)
        except TianqinError as error:
            self._manager.refuse(ticket, str(error))
        else:
            if parent is None and transmit and timing is not Timing.LATER:
                self._manager.submit(ticket)
            else:
                self._contingent.place(ticket, parent, oco, transmit)
        return order

    def ticket(
        self, kind: Any, owner: Any, data: Any, size: float, price: Any, **kwargs: Any
    ) -> Ticket:
        """Make an order of Backtrader and its ticket; nothing is sent."""
        if not isinstance(kwargs.get("valid"), date | timedelta | None):
            kwargs["valid"] = None  # Backtrader would add it to a date; ``validity`` handles it
        known = {name: value for name, value in kwargs.items() if hasattr(bt.Order.params, name)}
        info = {name: value for name, value in kwargs.items() if name not in known}
        # Before its first bar and during loading a feed has no time; a placeholder has the present.
        has_time = len(data) and data.datetime[0] == data.datetime[0]
        seen = data if has_time else self._placeholders(data._dataname)
        order = kind(owner=owner, data=seen, size=size, price=price, **known)
        order.addinfo(**info)
        order.p.data = data
        order.broker = self._broker
        direction = Direction.BUY if issubclass(kind, bt.BuyOrder) else Direction.SELL
        volume = int(size) if math.isfinite(size) else 0
        ticket = Ticket(order, data._dataname, direction, volume, OrderTerms())
        order.ticket, order.legs = ticket, ticket.legs
        return ticket

    def data(self, instrument: str) -> Any:
        """Return the feed of a contract, or of the main contract that it is or was behind."""
        live = [feed for feed in self._feeds if len(feed) or _comes_soon(feed)]
        for feed in live:
            if instrument in (feed._dataname, feed._name):
                return feed
        for feed in live:
            if feed._dataname.startswith(MAIN) and instrument in self._mains.behind(feed._dataname):
                return feed
        return self._placeholders(instrument)

    def _contract_for(self, ticket: Ticket) -> str:
        """Return the contract of an order on a main contract.

        It is the contract before if its lots are to be closed, else the present one.

        Raises:
            OrderError: The order has more lots than are held in the contract before.
            LinkError: The contract behind the main contract is not known now.
        """
        symbol, mains = ticket.symbol, self._mains
        if not symbol.startswith(MAIN):
            return symbol
        before = mains.before(symbol)
        if not before or ticket.effect is PositionEffect.OPEN:
            return str(mains.traded(symbol))
        if ticket.effect is PositionEffect.CLOSE:
            side = "short" if ticket.direction is Direction.BUY else "long"
            held = abs(self._account.position(before, side).size)
        else:
            held = -self._account.position(before).size * ticket.direction.sign
        if held <= 0:
            return str(mains.traded(symbol))
        if ticket.volume > held:
            raise OrderError(_still_held(symbol, before, held))
        return str(before)

    def contract_of(self, symbol: str) -> str:
        """Return the contract behind a main contract.

        Raises:
            OrderError: Lots of the contract before are still held.
        """
        before = self._mains.before(symbol)
        held = abs(self._account.position(before).size) if before else 0
        if held:
            raise OrderError(_still_held(symbol, before, held))
        return str(self._mains.traded(symbol))

    def four_way(
        self,
        direction: Direction,
        effect: PositionEffect,
        instrument: str,
        size: int,
        limit_price: Any,
        *,
        order_type: str | None = None,
        advanced: str | None = None,
        owner: Any = None,
        valid: Any = None,
        allow_partial: bool | None = None,
        guarded: bool = True,
        stays: bool = False,
    ) -> Any:
        """Make an order that says whether it opens or closes; see ``MyBroker.buy_open``."""
        kind = FourWayBuy if direction is Direction.BUY else FourWaySell
        size, limit_price = _plain(size), _plain(limit_price)
        is_limit = isinstance(limit_price, int | float) and not isinstance(limit_price, bool)
        exectype = bt.Order.Limit if is_limit else bt.Order.Market
        price = limit_price if is_limit else None
        data = self.data(instrument)
        ticket = self.ticket(kind, owner, data, size, price, exectype=exectype, valid=valid)
        ticket.effect, ticket.guarded = effect, guarded
        ticket.allow_partial = self._allow_partial if allow_partial is None else allow_partial
        try:
            ticket.volume = whole_lots(size)
            if instrument != data._name:  # the feed may be the main contract's
                ticket.symbol = instrument
            ticket.symbol = self._contract_for(ticket)
            ticket.terms = (
                OrderTerms(None, STAYS) if stays else order_terms(limit_price, order_type, advanced)
            )
            if valid is not None:
                now, calendar = self._context.now(), self._context.calendar
                ticket.validity = validity(valid, ticket.symbol, now, calendar)
        except TianqinError as error:
            self._manager.refuse(ticket, str(error))
        else:
            self._manager.submit(ticket)
        return ticket.order

    def close_unguarded(self, close: Close) -> None:
        """Close lots regardless of the risk rules; lots that cannot be closed now stay."""
        self.four_way(
            close.direction, PositionEffect.CLOSE, close.symbol, close.lots, None,
            guarded=False, allow_partial=True, stays=close.stays,
        )  # fmt: skip

    def for_target(
        self, symbol: str, direction: Direction, volume: int, price: float, owner: Any, early: bool
    ) -> Ticket:
        """Send a limit order for a position target."""
        kind = bt.BuyOrder if direction is Direction.BUY else bt.SellOrder
        data = self.data(symbol)
        ticket = self.ticket(kind, owner, data, volume, price, exectype=bt.Order.Limit)
        ticket.symbol, ticket.terms, ticket.for_target = symbol, OrderTerms(price), True
        try:
            self._manager.settle_effect(ticket, Timing.AT_ONCE, None)
        except TianqinError as error:
            self._manager.refuse(ticket, str(error))
        else:
            self._manager.submit(ticket, early=early)
        return ticket

    def stand_in_for(
        self, other: Ticket, symbol: str, volume: int, price: float | None, plimit: float | None
    ) -> Ticket:
        """Make an order like another one, on another contract."""
        order = other.order
        kind = bt.BuyOrder if other.direction is Direction.BUY else bt.SellOrder
        info = {name: value for name, value in order.info.items() if name != "reason"}
        ticket = self.ticket(
            kind, order.owner, self.data(symbol), volume, price, pricelimit=plimit,
            exectype=order.exectype, trailamount=order.p.trailamount,
            trailpercent=order.p.trailpercent, tradeid=order.tradeid, **info,
        )  # fmt: skip
        ticket.symbol = symbol
        return ticket


def _comes_soon(feed: Any) -> bool:
    """Return whether a feed of the run has its first bar within a minute of trading.

    If so, fills are notified for this feed: Backtrader keeps trades by feed.
    """
    return feed._env is not None and feed._timeframe < bt.TimeFrame.Days


def _timing(order: Any, oco: Any) -> Timing:
    """Return when an order takes its lots."""
    if oco is not None or order.exectype not in (bt.Order.Market, bt.Order.Limit):
        return Timing.LATER
    return Timing.RESTS if order.exectype == bt.Order.Limit else Timing.AT_ONCE


def _is_close() -> bool:
    """Return whether ``Strategy.close`` is a caller, as its ``buy`` or ``sell`` does not tell."""
    frame = sys._getframe(1)
    for _ in range(_CLOSE_IS_WITHIN):
        if frame.f_back is None:
            return False
        frame = frame.f_back
        if frame.f_code is bt.Strategy.close.__code__:
            return True
    return False


def _still_held(symbol: str, before: str, held: float) -> str:
    return (
        f"{held:g} lots of {before}, the contract behind {symbol} before, are still held: roll "
        "them (store.roll), or close only them, before ordering other lots"
    )


def _plain(value: Any) -> Any:
    """Convert numpy's numbers to Python's, for type checks and JSON."""
    return value.item() if isinstance(value, np.generic) else value
