"""From what a strategy asks for to a ticket: the order, its feed, the contract it goes to."""

from __future__ import annotations

import math
import sys
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import backtrader as bt
import numpy as np

from .account_view import AccountView
from .errors import OrderError, TianqinError, VolumeOutOfRange
from .exits import Timing
from .held_orders import HeldOrders
from .main_contracts import MAIN
from .model import Direction
from .order_desk import OrderDesk
from .order_price import Wish
from .order_scribe import OrderScribe
from .order_validity import validity
from .ticket import Effect, Ticket
from .unsubscribed_data import UnsubscribedData, has_time

if TYPE_CHECKING:
    from .store import MyStore

#: Frames from where an order arrives to ``Strategy.close``, a strategy's own ``sell`` between them.
_CLOSE_IS_WITHIN = 8


class OrderEntry:
    """Takes orders in; a part of ``MyBroker``."""

    p: Any
    store: MyStore
    _account: AccountView
    _desk: OrderDesk
    _held: HeldOrders
    _scribe: OrderScribe
    _unsubscribed: dict[str, UnsubscribedData]

    def _backtrader_order(
        self, kind: Any, owner: Any, data: Any, size: float, price: float | None, kwargs: Any
    ) -> Any:
        if not isinstance(data._dataname, str):  # a feed of others
            data = self._stand_in(data._name or "a feed that is not of this store")
        size, price = plain(size), plain(price)
        kwargs = {name: plain(value) for name, value in kwargs.items()}
        allow_partial = kwargs.pop("allow_partial", self.p.allow_partial)
        close_only = kwargs.pop("close_only", True if _is_close() else None)
        oco, parent = kwargs.get("oco"), kwargs.get("parent")
        valid, transmit = kwargs.get("valid"), kwargs.get("transmit", True)
        plimit = kwargs.pop("plimit", None)
        ticket = self._ticket(kind, owner, data, abs(size), price, pricelimit=plimit, **kwargs)
        order = ticket.order
        ticket.allow_partial = allow_partial
        try:
            ticket.volume = whole_lots(size)
            ticket.symbol = self._contract_for(ticket)
            ticket.validity = validity(valid, ticket.symbol, self.store.now(), self.store.calendar)
            if order.exectype == bt.Order.Limit:
                ticket.wish = Wish(math.nan if price is None else price)
            if parent is None:
                self._desk.settle_effect(ticket, _timing(order, oco), close_only)
        except TianqinError as error:
            self._desk.refuse(ticket, str(error))
        else:
            self._held.place(ticket, parent, oco, transmit)
        self._scribe.flush()
        return order

    def _ticket(
        self, kind: Any, owner: Any, data: Any, size: float, price: Any, **kwargs: Any
    ) -> Ticket:
        if not isinstance(kwargs.get("valid"), date | timedelta | None):
            kwargs["valid"] = None  # Backtrader would add it to a date; ``validity`` looks at it
        known = {name: value for name, value in kwargs.items() if hasattr(bt.Order.params, name)}
        info = {name: value for name, value in kwargs.items() if name not in known}
        # Before its first bar, and while it is loaded, a feed has no time: the present stands in.
        seen = data if has_time(data) else self._stand_in(data._dataname)
        order = kind(owner=owner, data=seen, size=size, price=price, **known)
        order.addinfo(**info)
        order.p.data = data
        order.broker = self
        direction = Direction.BUY if issubclass(kind, bt.BuyOrder) else Direction.SELL
        volume = int(size) if math.isfinite(size) else 0
        ticket = Ticket(order, data._dataname, direction, volume, Wish())
        order.ticket, order.legs = ticket, ticket.legs
        return ticket

    def _data(self, instrument: str) -> Any:
        """The feed of a contract, or that of the main contract it is or was behind."""
        live = [feed for feed in self.store.feeds if len(feed) or _comes_soon(feed)]
        for feed in live:
            if instrument in (feed._dataname, feed._name):
                return feed
        for feed in live:
            if feed._dataname.startswith(MAIN) and instrument in self.store.mains.behind(
                feed._dataname
            ):
                return feed
        return self._stand_in(instrument)

    def _contract_for(self, ticket: Ticket) -> str:
        """Where an order on a main contract goes: to the lots that it closes, else to the present.

        Raises:
            OrderError: It would close lots of the contract before, and more.
            LinkError: Nobody knows which contract that is.
        """
        symbol, mains = ticket.symbol, self.store.mains
        before = mains.before(symbol)
        if not before or ticket.effect is Effect.OPEN:
            return str(mains.traded(symbol))
        if ticket.effect is Effect.CLOSE:
            side = "short" if ticket.direction is Direction.BUY else "long"
            held = abs(self._account.position(before, side).size)
        else:
            held = -self._account.position(before).size * ticket.direction.sign
        if held <= 0:
            return str(mains.traded(symbol))
        if ticket.volume > held:
            raise OrderError(_still_held(symbol, before, held))
        return str(before)

    def _contract_of(self, symbol: str) -> str:
        """The contract behind a main contract, where nothing of the one before is held."""
        before = self.store.mains.before(symbol)
        held = abs(self._account.position(before).size) if before else 0
        if held:
            raise OrderError(_still_held(symbol, before, held))
        return str(self.store.mains.traded(symbol))

    def _stand_in(self, instrument: str) -> UnsubscribedData:
        if instrument not in self._unsubscribed:
            self._unsubscribed[instrument] = UnsubscribedData(instrument, self.store)
        return self._unsubscribed[instrument]


def _comes_soon(feed: Any) -> bool:
    """Whether a feed of the run has its first bar within a minute of trading.

    Fills are told under it then: Backtrader keeps trades by feed.
    """
    return feed._env is not None and feed._timeframe < bt.TimeFrame.Days


def _timing(order: Any, oco: Any) -> Timing:
    """When an order takes its lots."""
    if oco is not None or order.exectype not in (bt.Order.Market, bt.Order.Limit):
        return Timing.LATER
    return Timing.RESTS if order.exectype == bt.Order.Limit else Timing.AT_ONCE


def _is_close() -> bool:
    """Whether a strategy's ``close`` is at work: the sell or buy that it makes does not say so."""
    frame = sys._getframe(1)
    for _ in range(_CLOSE_IS_WITHIN):
        if frame.f_back is None:
            return False
        frame = frame.f_back
        if frame.f_code is bt.Strategy.close.__code__:
            return True
    return False


def plain(value: Any) -> Any:
    """numpy's numbers as Python's own: they are looked at by type, and kept as JSON."""
    return value.item() if isinstance(value, np.generic) else value


def whole_lots(size: float) -> int:
    """A number of lots.

    Raises:
        VolumeOutOfRange: It is not whole, or not positive.
    """
    whole = isinstance(size, int | float) and not isinstance(size, bool) and math.isfinite(size)
    if not whole or size != int(size) or size <= 0:
        raise VolumeOutOfRange(f"an order needs a positive whole number of lots, not {size}")
    return int(size)


def _still_held(symbol: str, before: str, held: float) -> str:
    return (
        f"{held:g} lots of {before}, the contract behind {symbol} before, are still held: roll "
        "them (store.roll), or close just them, before other lots are ordered"
    )
