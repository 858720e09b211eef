"""``MyBroker``: Backtrader's orders and the four-way orders, at the exchange.

Every order is one ``bt.Order`` with one or more legs (``order.legs``), each an order of the
exchange. Refusals of any kind reach ``notify_order`` as Rejected, the reason in
``order.info.reason``.
"""

from __future__ import annotations

import logging
import math
import uuid
from collections import defaultdict, deque
from typing import Any

import backtrader as bt
from backtrader.position import Position

from .books import Balance, Books
from .clock import monotonic, to_backtrader
from .errors import OrderError, TianqinError
from .model import Direction, Fill, Instrument, Offset, OrderReport
from .offset import CLOSES_TODAY_APART, Closable, Leg, closable_lots, split_close, split_order
from .order_price import passive_price
from .order_state import OrderLeg, OrderState
from .unsubscribed_data import UnsubscribedData

logger = logging.getLogger(__name__)

#: Exchanges without market orders in tqsdk: a limit at the price limit, FAK, does the same.
NO_MARKET_ORDERS = frozenset({"SHFE", "INE", "CFFEX"})
#: Seconds after which an order without an answer says that the trading link is dead.
UNANSWERED = 5.0
#: Seconds after which an order that a new session does not know never arrived.
UNKNOWN = 3.0


class MyBroker(bt.BrokerBase):
    """The account of a ``MyStore``; made by ``MyStore.getbroker``.

    Attributes:
        books: What our own fills come to; see ``balance``.
    """

    params = (("store", None),)

    def __init__(self) -> None:
        super().__init__()
        self.store = self.p.store
        self.notifs: deque[Any] = deque()
        self.positions: dict[Any, Position] = defaultdict(Position)
        self.books = Books()
        self.startingcash = 0.0
        self._begun = False
        self._orders: dict[str, tuple[Any, OrderLeg]] = {}
        self._unsubscribed: dict[str, UnsubscribedData] = {}
        # By id: the session that an order was sent in, and when.
        self._unanswered: dict[str, tuple[int, float]] = {}
        self._session, self._session_since = 1, 0.0

    # -- life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Cerebro begins a run: take over what the account holds."""
        super().start()
        self.startingcash = self.getvalue()
        if self._begun:
            return
        self._begun = True
        held = {}
        for symbol, position in self.get_account_positions().items():
            net = position["pos_long"] - position["pos_short"]
            price = _mark_price(position)
            held[symbol] = (net, price, self.store.instrument(symbol).volume_multiple)
            self.positions[self._data(symbol)] = Position(net, price)
        self.books.begin(self.startingcash, held)

    @property
    def has_news(self) -> bool:
        """Whether ``notify_order`` will be called in this round."""
        return bool(self.notifs)

    def get_notification(self) -> Any:
        """The next order to tell, None when there is none."""
        return self.notifs.popleft() if self.notifs else None

    def _notify(self, order: Any) -> None:
        self.notifs.append(order.clone())

    # -- account ------------------------------------------------------------------------------

    def getcash(self) -> float:
        """Available funds, yuan."""
        return float(self.store.gateway.account()["available"])

    def getvalue(self, datas: Any = None) -> float:
        """The account's equity, or the margin held in the given feeds, yuan."""
        if datas is None:
            return float(self.store.gateway.account()["balance"])
        return sum(
            self.getcommissioninfo(data).getvalue(self.positions[data], data.close[0])
            for data in datas
        )

    get_cash = getcash
    get_value = getvalue

    def get_account(self) -> dict[str, Any]:
        """All fields of the account as TqSdk names them."""
        return dict(self.store.gateway.account())

    def getposition(self, data: Any, clone: bool = True) -> Position:
        """Net position of our fills (and of what was held at the start) in a feed's contract."""
        position = self.positions[data]
        return position.clone() if clone else position

    def get_account_position(self, instrument: str) -> dict[str, Any]:
        """The account's position in a contract, fields as TqSdk names them; {} when flat."""
        return self.get_account_positions().get(instrument, {})

    def get_account_positions(self) -> dict[str, dict[str, Any]]:
        """The account's positions that are not flat, by symbol."""
        found: dict[str, dict[str, Any]] = self.store.gateway.positions()
        return {
            symbol: position
            for symbol, position in found.items()
            if position["pos_long"] or position["pos_short"]
        }

    def balance(self) -> Balance:
        """Start, profit and fees by our own books; open lots at the account's last price."""
        positions = self.get_account_positions()
        marks = {symbol: _mark_price(position) for symbol, position in positions.items()}
        return self.books.balance(marks)

    def getcommissioninfo(self, data: Any) -> Any:
        """Multiplier, margin and commission of a feed's contract."""
        if data._name not in self.comminfo:
            instrument = self.store.instrument(data._dataname)
            self.comminfo[data._name] = bt.CommissionInfo(
                commission=instrument.commission,
                mult=instrument.volume_multiple,
                margin=instrument.margin,
                commtype=bt.CommissionInfo.COMM_FIXED,
                stocklike=False,
            )
        return self.comminfo[data._name]

    # -- Backtrader's orders ------------------------------------------------------------------

    def buy(
        self, owner: Any, data: Any, size: float, price: float | None = None, **kwargs: Any
    ) -> Any:
        """Backtrader's ``self.buy``: closes a short first, today's lots first."""
        return self._backtrader_order(bt.BuyOrder, owner, data, size, price, kwargs)

    def sell(
        self, owner: Any, data: Any, size: float, price: float | None = None, **kwargs: Any
    ) -> Any:
        """Backtrader's ``self.sell``: closes a long first, today's lots first."""
        return self._backtrader_order(bt.SellOrder, owner, data, size, price, kwargs)

    def _backtrader_order(
        self, kind: Any, owner: Any, data: Any, size: float, price: float | None, kwargs: Any
    ) -> Any:
        direction = Direction.BUY if kind is bt.BuyOrder else Direction.SELL
        plimit = kwargs.pop("plimit", None)
        order = self._make(kind, owner, data, abs(size), price, pricelimit=plimit, **kwargs)
        missing = _not_held(order)
        if missing:
            return self._refuse(order, f"{missing} are not held yet; use Market or Limit alone")
        limit_price = price if order.exectype == bt.Order.Limit else None

        def split(volume: int) -> tuple[Leg, ...]:
            closable = self._closable(data._dataname, direction)
            apart = self._exchange(data._dataname) in CLOSES_TODAY_APART
            return split_order(volume, closable, closes_today_apart=apart)

        return self._submit(order, abs(size), direction, split, limit_price, None)

    def cancel(self, order: Any) -> Any:
        """Withdraw an order; one that is over stays as it is."""
        for leg in getattr(order, "legs", ()):
            if not leg.over:
                self.store.gateway.cancel_order(leg.order_id)
        order.unsent = ()
        return order

    def cancel_order(self, order: Any) -> Any:
        """Withdraw by order or by the id of one of its legs."""
        if isinstance(order, str):
            found = self.get_order(order)
            if found is None:
                raise OrderError(f"no order with the id {order!r} was sent by this program")
            order = found
        return self.cancel(order)

    def get_order(self, order_id: str) -> Any:
        """The ``bt.Order`` that a leg's exchange order belongs to, None if it is not ours."""
        found = self._orders.get(order_id)
        return found[0] if found else None

    def get_all_orders(self) -> list[Any]:
        """All orders of this run, oldest first."""
        return list({order.ref: order for order, _ in self._orders.values()}.values())

    def orderstatus(self, order: Any) -> Any:
        """Backtrader's status of an order."""
        return order.status

    # -- four-way orders ----------------------------------------------------------------------

    def buy_open(self, instrument: str, size: int, limit_price: Any = None, **options: Any) -> Any:
        """开多: open a long. ``limit_price=None`` is a market order on every exchange.

        Args:
            instrument: ``"SHFE.cu2612"``.
            size: Positive lots.
            limit_price: A price, None, or ``"BEST"`` / ``"FIVELEVEL"`` at CFFEX.
            options: ``advanced="FAK"`` or ``"FOK"``; ``owner``, the strategy to be told.

        Returns:
            One ``bt.Order``; its exchange orders are in ``order.legs``.
        """
        return self._four_way(bt.BuyOrder, False, instrument, size, limit_price, **options)

    def sell_open(self, instrument: str, size: int, limit_price: Any = None, **options: Any) -> Any:
        """开空: open a short; as ``buy_open``."""
        return self._four_way(bt.SellOrder, False, instrument, size, limit_price, **options)

    def buy_close(self, instrument: str, size: int, limit_price: Any = None, **options: Any) -> Any:
        """平空: close a short, today's lots first; as ``buy_open``.

        More than is held is Rejected as a whole.
        """
        return self._four_way(bt.BuyOrder, True, instrument, size, limit_price, **options)

    def sell_close(
        self, instrument: str, size: int, limit_price: Any = None, **options: Any
    ) -> Any:
        """平多: close a long, today's lots first; as ``buy_close``."""
        return self._four_way(bt.SellOrder, True, instrument, size, limit_price, **options)

    def _four_way(
        self,
        kind: Any,
        closes: bool,
        instrument: str,
        size: int,
        limit_price: Any,
        *,
        advanced: str | None = None,
        owner: Any = None,
    ) -> Any:
        direction = Direction.BUY if kind is bt.BuyOrder else Direction.SELL
        data = self._data(instrument)
        symbol = data._dataname
        is_limit = isinstance(limit_price, int | float)
        exectype = bt.Order.Limit if is_limit else bt.Order.Market
        price = limit_price if is_limit else None
        order = self._make(kind, owner, data, size, price, exectype=exectype)

        def split(volume: int) -> tuple[Leg, ...]:
            if not closes:
                return (Leg(Offset.OPEN, volume),)
            closable = self._closable(symbol, direction)
            if volume > closable.total:
                raise OrderError(
                    f"to close {volume} lots of {symbol}, but only {closable.total} can be closed"
                )
            apart = self._exchange(symbol) in CLOSES_TODAY_APART
            return split_close(volume, closable, closes_today_apart=apart)

        return self._submit(order, size, direction, split, limit_price, advanced)

    # -- the way out --------------------------------------------------------------------------

    def _make(
        self, kind: Any, owner: Any, data: Any, size: float, price: Any, **kwargs: Any
    ) -> Any:
        order = kind(owner=owner, data=data, size=size, price=price, **kwargs)
        order.legs = []
        order.unsent = ()
        return order

    def _submit(
        self,
        order: Any,
        size: float,
        direction: Direction,
        split: Any,
        limit_price: Any,
        advanced: str | None,
    ) -> Any:
        """Check, split, send; every refusal ends in Rejected."""
        try:
            volume = _whole_lots(size)
            self._gate(order.data)
            instrument = self.store.instrument(order.data._dataname)
            price, advanced = self._price(instrument, direction, limit_price, advanced)
            legs = split(volume)
        except TianqinError as error:
            return self._refuse(order, str(error))
        order.addcomminfo(self.getcommissioninfo(order.data))
        order.submit(self)
        self._notify(order)
        # What opens waits until everything that closes has been filled.
        order.unsent = tuple((leg, direction, price, advanced) for leg in legs)
        self._send_next(order)
        return order

    def _send_next(self, order: Any) -> None:
        opens = order.unsent and order.unsent[0][0].offset is Offset.OPEN
        while order.unsent and (order.unsent[0][0].offset is Offset.OPEN) == opens:
            (leg, direction, price, advanced), *rest = order.unsent
            order.unsent = tuple(rest)
            self._send(order, leg, direction, price, advanced)

    def _send(
        self, order: Any, leg: Leg, direction: Direction, price: Any, advanced: str | None
    ) -> None:
        symbol = order.data._dataname
        order_id = f"TQBT_{uuid.uuid4().hex}"
        sent = OrderLeg(order_id, symbol, direction, leg.offset, leg.volume, price)
        order.legs.append(sent)
        self._orders[order_id] = (order, sent)
        self._unanswered[order_id] = (self._session, monotonic())
        try:
            self.store.gateway.insert_order(
                order_id, symbol, direction, leg.offset, leg.volume, price, advanced
            )
        except OrderError as error:
            sent.reject(str(error))
            self._settle_state(order)
        logger.info("%s sent at %s", sent, price)

    def _gate(self, data: Any) -> None:
        """Refuse what must not leave now."""
        if not self.store.trading_up:
            raise OrderError("no orders while the trading link is down")
        feeds = [data] if not isinstance(data, UnsubscribedData) else self.store.feeds
        if any(feed.history_phase for feed in feeds):
            raise OrderError("no orders while history is being delivered (history_phase)")
        symbol = data._dataname
        if any(feed._dataname == symbol and not len(feed) for feed in self.store.feeds):
            raise OrderError(f"no orders on {symbol} before its feed has delivered a bar")
        if not self.store.is_trading(symbol):
            now = self.store.now()
            opens = self.store.calendar.next_session_boundary(symbol, now)
            raise OrderError(f"{symbol} does not trade at {now}; it opens at {opens}")

    def _price(
        self, instrument: Instrument, direction: Direction, price: Any, advanced: str | None
    ) -> tuple[Any, str | None]:
        """The price as the exchange takes it."""
        if not instrument.tradable:
            raise OrderError(f"{instrument.symbol} is an index: it has bars but takes no orders")
        if price is None and instrument.exchange_id in NO_MARKET_ORDERS:
            limits = instrument.upper_limit, instrument.lower_limit
            if any(math.isnan(limit) for limit in limits):
                limits = self.store.gateway.price_limits(instrument.symbol)
            return limits[0 if direction is Direction.BUY else 1], advanced or "FAK"
        if price is None or isinstance(price, str):
            return price, advanced
        return passive_price(price, direction, instrument), advanced

    def _refuse(self, order: Any, reason: str) -> Any:
        order.addinfo(reason=reason)
        order.reject(self)
        logger.info("order %d refused: %s", order.ref, reason)
        self._notify(order)
        return order

    def _closable(self, symbol: str, direction: Direction) -> Closable:
        side = "short" if direction is Direction.BUY else "long"
        position = self.store.gateway.positions().get(symbol, {})
        # The exchange freezes lots once it has an order; until then we do.
        on_the_way = [
            Leg(leg.offset, leg.volume)
            for _, leg in self._orders.values()
            if leg.symbol == symbol
            and leg.direction is direction
            and leg.state is OrderState.SUBMITTED
            and leg.offset is not Offset.OPEN
        ]
        apart = self._exchange(symbol) in CLOSES_TODAY_APART
        return closable_lots(position, side).less(on_the_way, closes_today_apart=apart)

    def _exchange(self, symbol: str) -> str:
        return symbol.partition(".")[0]

    def _data(self, instrument: str) -> Any:
        for feed in self.store.feeds:
            if instrument in (feed._dataname, feed._name) and len(feed):
                return feed
        if instrument not in self._unsubscribed:
            self._unsubscribed[instrument] = UnsubscribedData(instrument, self.store)
        return self._unsubscribed[instrument]

    # -- the way back -------------------------------------------------------------------------

    def take_reports(self, reports: list[OrderReport | Fill]) -> None:
        """Apply what the exchange says, and queue what strategies are to be told."""
        for report in reports:
            found = self._orders.get(report.order_id)
            if found is None:
                continue
            order, leg = found
            if isinstance(report, Fill):
                if leg.take_fill(report):
                    self._execute(order, report)
            elif leg.take_report(report):
                logger.info("%s %s", leg, leg.last_msg)
            self._settle_state(order)

    def follow_session(self, session: int, reconnector: Any) -> None:
        """Look after orders that were sent and are not answered.

        In the session that sent them the trading link is dead; an order that a new session does
        not know some seconds after it was made was lost with the old one.
        """
        if session != self._session:
            self._session, self._session_since = session, monotonic()
        if not self._unanswered or not self.store.trading_up:
            return
        for order_id, (sent_in, sent_at) in list(self._unanswered.items()):
            order, leg = self._orders[order_id]
            if leg.state is not OrderState.SUBMITTED:
                del self._unanswered[order_id]
            elif sent_in == session:
                if monotonic() - sent_at > UNANSWERED:
                    reconnector.trading_silent()
                    return
            elif monotonic() - self._session_since > UNKNOWN:
                del self._unanswered[order_id]
                if order_id not in self.store.gateway.known_orders():
                    leg.reject("it never reached the exchange: the connection broke as it left")
                    self._settle_state(order)

    def _execute(self, order: Any, fill: Fill) -> None:
        self._accept(order)
        data, comminfo = order.data, order.comminfo
        self.books.take(fill, int(comminfo.p.mult))
        position = self.positions[data]
        price_before = position.price
        size = fill.direction.sign * fill.volume
        psize, pprice, opened, closed = position.update(size, fill.price)
        closed_commission = fill.commission * abs(closed) / fill.volume
        pnl = comminfo.profitandloss(-closed, price_before, fill.price)
        order.execute(
            to_backtrader(fill.time), size, fill.price,
            closed, comminfo.getvaluesize(-closed, price_before), closed_commission,
            opened, comminfo.getvaluesize(opened, fill.price), fill.commission - closed_commission,
            comminfo.margin, pnl, psize, pprice,
        )  # fmt: skip
        if order.executed.remsize:
            order.partial()
        else:
            order.completed()
        self._notify(order)

    def _accept(self, order: Any) -> None:
        """The exchange has it: told once, before anything else about it."""
        if order.status == bt.Order.Submitted:
            order.accept(self)
            self._notify(order)

    def _settle_state(self, order: Any) -> None:
        """Bring Backtrader's status in line with the legs, each step told once."""
        legs: list[OrderLeg] = order.legs
        if any(leg.exchange_order_id for leg in legs):
            self._accept(order)
        if not order.alive() or not all(leg.over for leg in legs):
            return
        if all(leg.state is OrderState.FILLED for leg in legs):
            if order.unsent:
                self._send_next(order)
                return
            if not order.executed.remsize:
                return  # completed, told with its last fill
        order.unsent = ()
        reasons = [leg.last_msg for leg in legs if leg.state is not OrderState.FILLED]
        order.addinfo(reason="; ".join(filter(None, reasons)))
        if not order.executed.size and all(leg.state is OrderState.REJECTED for leg in legs):
            order.reject(self)
        else:
            order.cancel()
        self._notify(order)

    def next(self) -> None:
        """Cerebro's round; reports are applied as they come, nothing is left for here."""


def _whole_lots(size: float) -> int:
    if not math.isfinite(size) or size != int(size) or size <= 0:
        raise OrderError(f"an order needs a positive whole number of lots, not {size}")
    return int(size)


def _not_held(order: Any) -> str:
    """What of Backtrader's orders would have to be held by us, and is not; "" if nothing.

    Sent as it is, such an order would trade at once what was meant for later.
    """
    if order.exectype not in (bt.Order.Market, bt.Order.Limit):
        return f"{order.getordername()} orders"
    if order.parent is not None or not order.transmit:
        return "brackets (parent, transmit)"
    if order.oco is not None:
        return "orders that cancel each other (oco)"
    if order.p.valid not in (None, bt.Order.DAY):
        return "orders with an end (valid) other than the day's"
    return ""


def _mark_price(position: dict[str, Any]) -> float:
    """The account's last price of a position, or else what it stands at in its books."""
    side = "long" if position["pos_long"] else "short"
    names = ("last_price", f"position_price_{side}", f"open_price_{side}")
    prices = (position.get(name, math.nan) for name in names)
    return next((price for price in prices if price == price), math.nan)
