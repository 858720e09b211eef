"""The broker's four-way orders: open and close, long and short, as the exchanges have them."""

from __future__ import annotations

from typing import Any

import backtrader as bt

from .errors import OrderError, TianqinError
from .order_entry import OrderEntry, plain, whole_lots
from .order_price import STAYS, Wish, wish
from .order_validity import validity
from .ticket import Effect


class _OneOrder:
    """Says in words that it is no list of the exchange's orders."""

    def __getitem__(self, index: Any) -> Any:
        raise OrderError(
            "a four-way call returns one bt.Order, no list of exchange orders: these are in "
            "order.legs (leg.order_id, leg.state, leg.filled), what has become of it is in "
            "order.status and in notify_order"
        )


class _BuyOrder(_OneOrder, bt.BuyOrder):
    pass


class _SellOrder(_OneOrder, bt.SellOrder):
    pass


class FourWay(OrderEntry):
    """开多, 开空, 平多, 平空; a part of ``MyBroker``."""

    def buy_open(self, instrument: str, size: int, limit_price: Any = None, **options: Any) -> Any:
        """开多: open a long. ``limit_price=None`` is a market order on every exchange.

        Args:
            instrument: ``"SHFE.cu2612"``; ``"KQ.m@SHFE.cu"`` for the contract behind it. It needs
                no feed; the name of one will do, too.
            size: Whole positive lots.
            limit_price: Quote units, off the price tick rounded to the passive side; None; or
                ``"BEST"`` / ``"FIVELEVEL"`` at CFFEX.
            options: ``order_type``: LIMIT, MARKET, BEST, FIVELEVEL, FAK, FOK, default what the
                price says; ``advanced="FAK"`` or ``"FOK"``; ``owner``, the strategy to be told;
                ``valid`` as for ``buy``, default the exchange's own day; ``allow_partial``.

        Returns:
            One ``bt.Order``; its exchange orders are in ``order.legs``. Errors, an unknown symbol
            and a closed market among them, are not raised; the order is Rejected, with
            ``order.info.reason``.

        Raises:
            TypeError: No such option.

        Source: 开平 of the exchanges' rules, and ``TqApi.insert_order``; where an exchange has no
        market orders, a limit at the day's price limit, FAK, does the same.
        """
        return self._four_way(_BuyOrder, Effect.OPEN, instrument, size, limit_price, **options)

    def sell_open(self, instrument: str, size: int, limit_price: Any = None, **options: Any) -> Any:
        """开空: open a short; as ``buy_open``."""
        return self._four_way(_SellOrder, Effect.OPEN, instrument, size, limit_price, **options)

    def buy_close(self, instrument: str, size: int, limit_price: Any = None, **options: Any) -> Any:
        """平空: close a short; as ``buy_open``.

        At SHFE and INE, which tell today's lots from yesterday's, one order may have two legs;
        ``getbroker(priority=)`` says which lots go first. More than is held, lots of other working
        orders taken off, is Rejected as a whole, or closed partly with ``allow_partial=True``.
        """
        return self._four_way(_BuyOrder, Effect.CLOSE, instrument, size, limit_price, **options)

    def sell_close(
        self, instrument: str, size: int, limit_price: Any = None, **options: Any
    ) -> Any:
        """平多: close a long; as ``buy_close``."""
        return self._four_way(_SellOrder, Effect.CLOSE, instrument, size, limit_price, **options)

    def _four_way(
        self,
        kind: Any,
        effect: Effect,
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
        size, limit_price = plain(size), plain(limit_price)
        is_limit = isinstance(limit_price, int | float) and not isinstance(limit_price, bool)
        exectype = bt.Order.Limit if is_limit else bt.Order.Market
        price = limit_price if is_limit else None
        data = self._data(instrument)
        ticket = self._ticket(kind, owner, data, size, price, exectype=exectype, valid=valid)
        ticket.effect, ticket.guarded = effect, guarded
        ticket.allow_partial = self.p.allow_partial if allow_partial is None else allow_partial
        try:
            ticket.volume = whole_lots(size)
            if instrument != data._name:  # the feed may be that of the main contract
                ticket.symbol = instrument
            ticket.symbol = self._contract_for(ticket)
            ticket.wish = Wish(None, STAYS) if stays else wish(limit_price, order_type, advanced)
            if valid is not None:
                now, calendar = self.store.now(), self.store.calendar
                ticket.validity = validity(valid, ticket.symbol, now, calendar)
        except TianqinError as error:
            self._desk.refuse(ticket, str(error))
            return ticket.order
        self._desk.submit(ticket)
        self._desk.scribe.flush()
        return ticket.order
