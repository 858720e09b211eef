"""``MyBroker``: Backtrader's orders and the four-way orders, at the exchange.

Every order is one ``bt.Order`` with one or more legs (``order.legs``), each an order of the
exchange. Refusals of any kind reach ``notify_order`` as Rejected (Margin for too little money),
the reason in ``order.info.reason``; a strategy never gets an exception for what the market decided.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import backtrader as bt

from .account_face import AccountFace
from .account_view import SIDES, AccountView
from .chased_order import ChaseRules
from .errors import ConfigError, LinkError, OrderError, TianqinError
from .four_way import FourWay, whole_lots
from .held_orders import HeldOrders
from .lot_rules import Priority
from .main_contracts import MAIN
from .model import Direction, Fill, OrderReport
from .order_desk import OrderDesk
from .order_gate import OrderGate, choice
from .order_price import Wish
from .order_returns import OrderReturns
from .order_state import OrderLeg
from .order_validity import validity
from .risk_desk import Flattener, RiskDesk
from .risk_limits import GuardState
from .target_desk import PositionTarget, TargetDesk
from .ticket import Effect, Ticket
from .unsubscribed_data import UnsubscribedData

logger = logging.getLogger(__name__)


class MyBroker(AccountFace, FourWay, bt.BrokerBase):
    """The account of a ``MyStore``; made by ``MyStore.getbroker``.

    Params:
        priority: Which lots a close takes first: ``"today_first"``, ``"yesterday_first"``,
            ``"yesterday_only"``, ``"lock"`` (opens the other side instead of closing today's) or
            ``"cheapest"``.
        closed_market: ``"reject"`` orders outside sessions, or ``"hold"`` them until the open.
        auction: The same for call auctions.
        allow_partial: Close what can be closed where an order wants more, instead of rejecting it.
        risk: ``RiskLimits``, looked at before every order; None for none.

    Attributes:
        books: What our own fills come to; see ``balance``.
    """

    params = (
        ("store", None),
        ("priority", "today_first"),
        ("closed_market", "reject"),
        ("auction", "reject"),
        ("allow_partial", False),
        ("risk", None),
    )

    def __init__(self) -> None:
        super().__init__()
        self.store = self.p.store
        self.notifs: deque[Any] = deque()
        self.startingcash = 0.0
        self._begun = False
        self._day: date | None = None
        self._expiring: set[str] = set()
        self._unsubscribed: dict[str, UnsubscribedData] = {}
        self._account = AccountView(self.store)
        self._gate = OrderGate(
            self.store,
            choice(self.p.closed_market, "closed_market"),
            choice(self.p.auction, "auction"),
        )
        self._risk = RiskDesk(self.store, self._account, self.p.risk, self._live_legs)
        self._desk = OrderDesk(
            self.store, self._account, self._gate, _priority(self.p.priority), self._risk,
            self._notify,
        )  # fmt: skip
        self._returns = OrderReturns(self._desk)
        self._held = HeldOrders(self._desk)
        self._targets = TargetDesk(self._desk, self._place_for_target)
        self._flattener = Flattener(self.store, self._account, self._close_unguarded)
        self._returns.on_fill += [self._held.take_fill, self._targets.take_fill]

    # -- life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Cerebro begins a run: take over what the account holds."""
        super().start()
        self.startingcash = self.getvalue()
        if self._begun:
            return
        self._begun = True
        self._account.begin(self.startingcash)
        # What the account's orders have done so far is in its positions.
        self._returns.take(self.store.gateway.new_reports())
        self._gate.reconciled = True

    @property
    def has_news(self) -> bool:
        """Whether ``notify_order`` will be called in this round."""
        return bool(self.notifs)

    def get_notification(self) -> Any:
        """The next order to tell, None when there is none."""
        return self.notifs.popleft() if self.notifs else None

    def _notify(self, order: Any) -> None:
        self.notifs.append(order.clone())

    def next(self) -> None:
        """Cerebro's round; reports are applied as they come, nothing is left for here."""

    # -- Backtrader's orders ------------------------------------------------------------------

    def buy(
        self, owner: Any, data: Any, size: float, price: float | None = None, **kwargs: Any
    ) -> Any:
        """Backtrader's ``self.buy``: closes a short first.

        ``valid`` as Backtrader has it: None is until cancelled (sent again on every trading day),
        a date, datetime, timedelta or ``Order.DAY`` an end.
        """
        return self._backtrader_order(bt.BuyOrder, owner, data, size, price, kwargs)

    def sell(
        self, owner: Any, data: Any, size: float, price: float | None = None, **kwargs: Any
    ) -> Any:
        """Backtrader's ``self.sell``: closes a long first; as ``buy``."""
        return self._backtrader_order(bt.SellOrder, owner, data, size, price, kwargs)

    def _backtrader_order(
        self, kind: Any, owner: Any, data: Any, size: float, price: float | None, kwargs: Any
    ) -> Any:
        allow_partial = kwargs.pop("allow_partial", self.p.allow_partial)
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
        except TianqinError as error:
            self._desk.refuse(ticket, str(error))
            return order
        if order.exectype == bt.Order.Limit:
            ticket.wish = Wish(math.nan if price is None else price)
        self._held.place(ticket, parent, oco, transmit)
        return order

    def submit(self, order: Any) -> Any:
        """Backtrader's own name for what ``buy`` and ``sell`` do; an order is sent only once."""
        return order

    def cancel(self, order: Any) -> Any:
        """Withdraw an order; one that is over stays as it is, and ``notify_store`` is told so."""
        ticket = self._desk.tickets.get(order.ref) or getattr(order, "ticket", None)
        if ticket is not None:
            self._desk.cancel(ticket)
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
        found = self._desk.legs.get(order_id)
        return found[0].order if found else None

    def get_all_orders(self) -> list[Any]:
        """All orders of this run that were sent or wait, oldest first."""
        return [
            ticket.order for ticket in self._desk.tickets.values() if ticket.legs or not ticket.over
        ]

    @property
    def foreign_orders(self) -> dict[str, OrderLeg]:
        """The account's orders that this program has not sent, by id."""
        return dict(self._returns.foreign)

    def orderstatus(self, order: Any) -> Any:
        """Backtrader's status of an order."""
        return order.status

    # -- targets ------------------------------------------------------------------------------

    def order_target_position(
        self, instrument: str, net: int, rules: ChaseRules | None = None, owner: Any = None
    ) -> PositionTarget:
        """Work to a net position with limit orders that follow the market, one at a time.

        It goes on over breaks, nights and days until the target is reached. tqsdk's own
        ``TargetPosTask`` does the like, but counts trading days by weekday and knows no holidays;
        here the library's calendar says when the market is open.

        Args:
            instrument: A symbol.
            net: Signed lots that are to be held.
            rules: How to quote and when to follow; see ``ChaseRules``.
            owner: The strategy to be told of its orders.

        Returns:
            What it is doing: ``reached``, ``stalled``, ``net`` and its ``orders``.

        Raises:
            OrderError: ``net`` is no whole number, or lots of the contract that was behind a main
                contract before are still held.
            LinkError: Nobody knows which contract that is.
            UnknownSymbol: No such contract.
        """
        if isinstance(net, bool) or net != int(net):
            raise OrderError(f"a net position is a whole number of lots, not {net}")
        instrument = self._contract_of(instrument)
        self.store.instrument(instrument)
        return self._targets.set(instrument, int(net), rules, owner)

    def drop_target(self, instrument: str) -> None:
        """Work to a target no more; what is held stays."""
        self._targets.drop(self.store.mains.traded(instrument))

    def _place_for_target(
        self, symbol: str, direction: Direction, volume: int, price: float, owner: Any
    ) -> Ticket:
        kind = bt.BuyOrder if direction is Direction.BUY else bt.SellOrder
        data = self._data(symbol)
        ticket = self._ticket(kind, owner, data, volume, price, exectype=bt.Order.Limit)
        ticket.symbol, ticket.wish = symbol, Wish(price)
        self._desk.submit(ticket)
        return ticket

    # -- rolls --------------------------------------------------------------------------------

    def takes_orders(self, instrument: str) -> bool:
        """Whether an order on a contract would be sent now."""
        try:
            self._gate.admit(self._data(instrument))
        except OrderError:
            return False
        return self._gate.open(instrument)

    def reserve(self, instrument: str, reason: str | None) -> None:
        """Refuse orders on a contract, for that reason; None takes them again."""
        if reason is None:
            self._gate.reserved.pop(instrument, None)
        else:
            self._gate.reserved[instrument] = reason

    @contextmanager
    def reserved_for_us(self, instrument: str) -> Iterator[None]:
        """Let those who have reserved a contract send an order on it."""
        reason = self._gate.reserved.pop(instrument, None)
        try:
            yield
        finally:
            self.reserve(instrument, reason)

    # -- risk ---------------------------------------------------------------------------------

    @property
    def risk_state(self) -> GuardState:
        """ACTIVE, REDUCING or HALTED."""
        return self._risk.guard.state

    def halt(self, reason: str = "halted by the owner") -> None:
        """Withdraw every order and send no other until ``resume``; positions stay."""
        self._risk.guard.halt(reason)
        self._targets.drop_all()
        self.cancel_all()

    def resume(self) -> None:
        """Take orders again after ``halt``, ``flatten`` or a limit."""
        self._risk.guard.resume()

    def flatten(self, reason: str = "flattened by the owner") -> None:
        """Withdraw every order and close all that the account holds, at the market.

        What a market does not take now is tried again, in the next session if need be. Other
        orders may only reduce until ``resume``.
        """
        self._risk.guard.reduce(reason)
        self._targets.drop_all()
        self.cancel_all()
        self._flattener.begin()

    def cancel_all(self) -> None:
        """Withdraw every order that is not over."""
        for ticket in list(self._desk.tickets.values()):
            if not ticket.over:
                self._desk.cancel(ticket)

    def _close_unguarded(self, symbol: str, direction: Direction, volume: int) -> Any:
        kind = bt.BuyOrder if direction is Direction.BUY else bt.SellOrder
        return self._four_way(
            kind, Effect.CLOSE, symbol, volume, None, guarded=False, allow_partial=True
        )

    def _live_legs(self, symbol: str) -> list[OrderLeg]:
        return list(self._desk.live.get(symbol, {}).values())

    # -- inside -------------------------------------------------------------------------------

    def _ticket(
        self, kind: Any, owner: Any, data: Any, size: float, price: Any, **kwargs: Any
    ) -> Ticket:
        if not isinstance(kwargs.get("valid"), date | timedelta | None):
            kwargs["valid"] = None  # Backtrader would add it to a date; ``validity`` looks at it
        # While a feed is being loaded it has no time; then the present stands in for it.
        loading = bool(len(data)) and math.isnan(data.datetime[0])
        seen = self._stand_in(data._dataname) if loading else data
        order = kind(owner=owner, data=seen, size=size, price=price, **kwargs)
        order.p.data = data
        order.broker = self
        direction = Direction.BUY if kind is bt.BuyOrder else Direction.SELL
        volume = int(size) if math.isfinite(size) else 0
        ticket = Ticket(order, data._dataname, direction, volume, Wish())
        order.ticket, order.legs = ticket, ticket.legs
        return ticket

    def _data(self, instrument: str) -> Any:
        """The feed of a contract, or that of the main contract it is or was behind."""
        live = [feed for feed in self.store.feeds if len(feed)]
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

    def take_reports(self, reports: list[OrderReport | Fill]) -> None:
        """Apply what the exchange says, and queue what strategies are to be told."""
        self._returns.take(reports)

    def follow_session(self, session: int, reconnector: Any) -> None:
        """Every round: look after unanswered orders, and after all that waits with us."""
        self._returns.follow_session(session, reconnector)
        if not self._begun:
            return
        self._desk.tend()
        self._held.tend()
        self._targets.tend()
        if self._flattener.busy:
            self._flattener.tend(working=any(self._desk.live.values()))
        today = self.store.calendar.trading_day_at(self.store.now())
        if today != self._day:
            self._day = today
            self._expiring = {
                symbol
                for symbol, held in self._account.net.items()
                if held.size or any(self._account.position(symbol, side).size for side in SIDES)
            }
        if self._expiring:
            self._settle_expired()

    def _settle_expired(self) -> None:
        """A contract that has expired while it was held: the account has settled it, so do we."""
        for symbol in list(self._expiring):
            instrument = self.store.instrument(symbol)
            ends = instrument.expire_datetime
            if not instrument.expired and (ends is None or ends > self.store.now()):
                self._expiring.discard(symbol)  # not today
            elif not self.store.gateway.position(symbol).get("pos", 0):
                self._expiring.discard(symbol)
                price = self._settlement(symbol, instrument.pre_settlement)
                lots = self._account.settle(symbol, price)
                text = f"{symbol} has expired: {lots} lots were settled at {price}"
                logger.warning("%s", text)
                self.store.put_notification(text, symbol=symbol, lots=lots, price=price)

    def _settlement(self, symbol: str, before: float) -> float:
        """The last day's settlement price; that of the day before where it is not known."""
        try:
            price = float(self.store.gateway.quote(symbol).settlement)
        except LinkError:
            price = math.nan
        return price if price == price else before


def _still_held(symbol: str, before: str, held: float) -> str:
    return (
        f"{held:g} lots of {before}, the contract behind {symbol} before, are still held: roll "
        "them (store.roll), or close just them, before other lots are ordered"
    )


def _priority(name: Any) -> Priority:
    try:
        return Priority(name)
    except ValueError as error:
        raise ConfigError(f"priority is one of {', '.join(Priority)}, not {name!r}") from error
