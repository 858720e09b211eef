"""``MyBroker``: Backtrader's orders and the four-way orders, at the exchange.

Every order is one ``bt.Order`` with one or more legs (``order.legs``), each an order of the
exchange. Refusals of any kind reach ``notify_order`` as Rejected (Margin for too little money),
the reason in ``order.info.reason``; a strategy never gets an exception for what the market decided.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import backtrader as bt

from .account_face import AccountFace
from .account_scribe import AccountScribe
from .account_view import AccountView
from .adoption import Adoption
from .all_orders import AllOrders
from .allocation import LotsChange
from .chased_order import ChaseRules
from .clock import monotonic
from .errors import ConfigError, OrderError, TianqinError
from .exits import Timing
from .expiry_desk import ExpiryDesk
from .held_orders import HeldOrders
from .journal import Journal
from .lot_rules import Priority, priority_refusal
from .model import Direction, Fill, OrderReport
from .open_trades import OpenTrades
from .order_desk import OrderDesk
from .order_gate import OrderGate, choice
from .order_news import OrderNews
from .order_planner import OrderPlanner
from .order_price import Wish
from .order_returns import OrderReturns
from .order_scribe import OrderScribe
from .order_state import OrderLeg
from .reconciler import Reconciler
from .record_keeper import RecordKeeper
from .restart import Restart
from .risk_buttons import RiskButtons
from .risk_desk import Flattener, RiskDesk
from .risk_limits import GuardState
from .risk_memory import RiskMemory
from .roll_carrier import ExitCarrier
from .roll_state import RollPlan, RollState
from .simulation_settings import SimulationSettings
from .target_desk import PositionTarget, TargetDesk
from .ticket import Ticket
from .unsubscribed_data import UnsubscribedData

logger = logging.getLogger(__name__)


class MyBroker(AccountFace, RiskButtons, SimulationSettings, bt.BrokerBase):
    """The account of a ``MyStore``; made by ``MyStore.getbroker``.

    Params:
        priority: Which lots a close takes first: ``"today_first"``, ``"yesterday_first"``,
            ``"yesterday_only"``, ``"lock"`` (opens the other side instead of closing today's) or
            ``"cheapest"``. Where the counter chooses the lots (everywhere but at SHFE and INE),
            ``"yesterday_only"`` and ``"lock"`` cannot be kept, and are refused.
        closed_market: ``"reject"`` orders outside sessions, or ``"hold"`` them until the open.
        auction: The same for call auctions.
        allow_partial: Close what can be closed where an order wants more, instead of rejecting it.
        risk: ``RiskLimits``, looked at before every order; None for none.
        records: Folder above that of this strategy's records, by default ``"records"`` for paper
            and live accounts and for every store with a ``strategy_name``; False for no records.
        on_restart: ``"expire"`` tells orders that never left before a crash as Expired,
            ``"resend"`` sends them.
        accept_differences: Start although nothing explains what the account holds.

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
        ("records", None),
        ("on_restart", "expire"),
        ("accept_differences", False),
    )

    def __init__(self) -> None:
        super().__init__()
        self.store = self.p.store
        self.startingcash = 0.0
        self._begun = False
        self._unsubscribed: dict[str, UnsubscribedData] = {}
        self._account = AccountView(self.store)
        self._gate = OrderGate(
            self.store,
            choice(self.p.closed_market, "closed_market"),
            choice(self.p.auction, "auction"),
        )
        if self.p.on_restart not in ("expire", "resend"):
            raise ConfigError(f'on_restart is "expire" or "resend", not {self.p.on_restart!r}')
        self._keeper = RecordKeeper(self.store, self.p.records)
        self._scribe = OrderScribe(self.store, self.records_failed)
        self._risk = RiskDesk(self.store, self._account, self.p.risk, self._live_legs)
        planner = OrderPlanner(self.store, self._account, _priority(self.p.priority), self._risk)
        self._must_keep_priority()
        self._desk = OrderDesk(
            self.store, self._account, self._gate, planner, self._risk, self._scribe, self._tell
        )
        self._trades = OpenTrades(self.store, self._stand_in)
        self._news = OrderNews(self._desk, self._keeper, self._trades)
        self._returns = OrderReturns(self._desk)
        self._expiry = ExpiryDesk(self._account, self._desk)
        self._held = HeldOrders(self._desk)
        self._targets = TargetDesk(self._desk, self._place_for_target)
        self._flattener = Flattener(self.store, self._account, self._close_unguarded)
        self._returns.on_fill += [
            self._held.take_fill, self._targets.take_fill, self._keeper.heard,
        ]  # fmt: skip
        self._adoption = Adoption(
            self.store, self._stand_in, self._ticket, self._tell, self._trades
        )
        self._restart = Restart(
            self._desk, self._returns, self._held, self._adoption,
            memory=RiskMemory(self.store, self._risk.guard, self._flattener, self._scribe),
            resend=self.p.on_restart == "resend", accept=self.p.accept_differences,
        )  # fmt: skip
        self._reconciler = Reconciler(
            self._desk, self._returns, self._restart.lots, self._take_differences
        )
        self._returns.on_foreign += [
            self._restart.take_foreign,
            self._targets.take_other,
            self._take_foreign_trade,
            self._keeper.traded,
        ]

    # -- life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Cerebro begins a run: take over what the account holds and an earlier run has left.

        Raises:
            JournalError: The records cannot be opened, or another program has them.
            StartRefused: Records and account differ, and nothing explains it.
            ConfigError: The priority cannot be kept at the exchange of a feed.
        """
        super().start()
        self._must_keep_priority()
        if self._begun:
            self.startingcash = self.getvalue()
            self._account.take_moved()
            self._news.begin_again()
            self._restart.begin_again()
            self._targets.begin_again()
            return
        journal = self._scribe.journal = self._keeper.open()
        try:
            if journal is not None:
                self.store.state.attach(journal, self._scribe)
            self._restart.run(self.getvalue)
            self.startingcash = self.getvalue()
            # An earlier run may have died before it had withdrawn everything.
            self._halting = self._flattener.busy or self.risk_state is GuardState.HALTED
        except BaseException:
            self.close_records()
            raise
        self._begun = True

    def stop(self) -> None:
        """Cerebro has ended a run; the account is kept on record until the store is closed."""
        super().stop()
        self._scribe.flush()
        self._keeper.stop()

    @property
    def begun(self) -> bool:
        """Whether a run has begun, and the account was taken over."""
        return self._begun

    @property
    def journal(self) -> Journal | None:
        """The journal that is written, None where no records are kept."""
        return self._scribe.journal

    def look_a_last_time(self) -> None:
        """The store is about to be closed: see how the account stands now, for the records.

        What is said of orders is taken only if none of this program's is out: nothing is sent any
        more, and the next program goes on with them.
        """
        if self._begun and self.journal is not None:
            out = any(self._desk.live.values())
            self._keeper.look_a_last_time(
                lambda reports: None if out else self.take_reports(reports)
            )

    def close_records(self) -> None:
        """Write what is owed and close the journal; called by ``MyStore.close``.

        Raises:
            JournalError: It cannot be written.
        """
        self._keeper.stop()
        if getattr(self, "cerebro", None) is None:  # else a strategy has not been told yet
            self._news.nobody_listened()
        self._scribe.close(self._keeper.finish)

    @property
    def account_scribe(self) -> AccountScribe | None:
        """What writes the account into the journal, None where no records are kept."""
        return self._keeper.scribe

    @property
    def has_news(self) -> bool:
        """Whether ``notify_order`` will be called in this round."""
        return bool(self._news.ready)

    def _tell(self, order: Any) -> None:
        self._news.put(order)
        self.store.observers.order(order)

    def _take_foreign_trade(self, fill: Fill) -> None:
        if self.store.known_instrument(fill.symbol) is not None:
            fill = self._account.priced(fill)
        size = fill.direction.sign * fill.volume
        self._news.put_change(LotsChange(fill.symbol, size, fill.price, fill.commission))

    def get_notification(self) -> Any:
        """The next order to tell, None when there is none."""
        return self._news.take()

    def next(self) -> None:
        """Cerebro's round; reports are applied as they come."""
        self._adoption.hand_over(self._restart, self._targets)
        for change in self._account.take_moved():
            self._news.put_change(change)
        self._trades.tend()
        self._news.let_in()
        self._keeper.follow(self.journal)

    # -- Backtrader's orders ------------------------------------------------------------------

    def buy(
        self, owner: Any, data: Any, size: float, price: float | None = None, **kwargs: Any
    ) -> Any:
        """Backtrader's ``self.buy``: closes a short first, then opens a long.

        Args:
            owner: The strategy, told in ``notify_order``.
            data: A feed of this store.
            size: Whole positive lots.
            price: Quote units, off the price tick rounded to the passive side: the limit of a
                Limit, the trigger of a Stop or StopLimit; None at the market.
            kwargs: As Backtrader's: ``plimit`` (the limit of a StopLimit), ``exectype``,
                ``valid``, ``oco``, ``parent``, ``transmit``, ``trailamount``, ``trailpercent``;
                ``allow_partial``. ``valid``: None is until cancelled (sent again on every trading
                day), a date, datetime, timedelta or ``Order.DAY`` an end. All others are kept in
                ``order.info``, over a restart, too.

        Returns:
            One ``bt.Order``; its exchange orders are in ``order.legs``. Errors are not raised; the
            order is Rejected, with ``order.info.reason``.

        Source: Backtrader's ``Strategy.buy``.
        """
        return self._backtrader_order(bt.BuyOrder, owner, data, size, price, kwargs)

    def sell(
        self, owner: Any, data: Any, size: float, price: float | None = None, **kwargs: Any
    ) -> Any:
        """Backtrader's ``self.sell``: closes a long first, then opens a short; as ``buy``."""
        return self._backtrader_order(bt.SellOrder, owner, data, size, price, kwargs)

    def submit(self, order: Any) -> Any:
        """Backtrader's own name for what ``buy`` and ``sell`` do; an order is sent only once."""
        return order

    def cancel(self, order: Any) -> Any:
        """Withdraw an order, all of its legs; what has been filled stays filled.

        It is over when the exchange says so: Canceled in ``notify_order``. One that is over
        already stays as it is, and ``notify_store`` is told so.

        Args:
            order: A ``bt.Order`` of this broker, or a clone of it; None for one never made.

        Returns:
            The same order.
        """
        if order is None:
            return None
        ticket = self._desk.tickets.get(order.ref) or getattr(order, "ticket", None)
        if ticket is not None:
            self._desk.cancel(ticket)
            self._scribe.flush()
        return order

    def cancel_order(self, order: Any) -> Any:
        """Withdraw by order or by an id (``leg.order_id``, or one of ``get_all_orders().keys()``).

        As ``cancel``, of the whole order that the id belongs to. By an id nothing is asked twice:
        while the withdrawal is under way there is no second one.

        Raises:
            OrderError: An id that is not of this program's orders.
        """
        if not isinstance(order, str):
            return self.cancel(order)
        found = self.get_order(order)
        if found is None:
            raise OrderError(
                f"no order with the id {order!r} was sent by this program; those that were are "
                "in broker.get_all_orders().keys(), orders of others are left alone"
            )
        return found if self._desk.is_leaving(found.ref) else self.cancel(found)

    def get_order(self, order_id: str) -> Any:
        """The ``bt.Order`` that an id belongs to, None if it is not ours.

        Args:
            order_id: ``leg.order_id``, or one of ``get_all_orders().keys()``.
        """
        found = self._desk.legs.get(order_id)
        if found:
            return found[0].order
        waiting = (one.order for one in self._desk.tickets.values() if one.key == order_id)
        return next(waiting, None)

    def get_all_orders(self) -> AllOrders:
        """All orders that were sent or wait, oldest first: of this run, and of earlier ones those
        that go on and those of this trading day.

        Returns:
            A list of ``bt.Order``. By id it can be walked as TqSdk's ``get_order()``, too:
            ``orders.keys()``, ``orders.items()``, ``orders[id]["status"]``.
        """
        return AllOrders(
            ticket for ticket in self._desk.tickets.values() if ticket.legs or not ticket.over
        )

    def get_orders_open(self, safe: bool = False) -> list[Any]:
        """Orders that are not over, those of an earlier run among them; clones if ``safe``."""
        alive = [ticket.order for ticket in self._desk.tickets.values() if not ticket.over]
        return [order.clone() for order in alive] if safe else alive

    @property
    def foreign_orders(self) -> dict[str, OrderLeg]:
        """The account's orders that this program has not sent, by id; they are left alone.

        Values are ``order_state.OrderLeg``: ``symbol``, ``volume`` and ``filled`` in lots,
        ``state``. The present trading day's, as the account gives them.
        """
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
            instrument: A symbol, or the name of a feed.
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
        instrument = self._contract_of(self._symbol_of(instrument))
        self.store.instrument(instrument)
        target = self._targets.set(instrument, int(net), rules, owner)
        self._scribe.flush()
        return target

    def drop_target(self, instrument: str) -> None:
        """Work to a target no more; what is held stays."""
        symbol = self._traded(instrument)
        self._restart.hand_targets(self._targets.adopt, symbol)
        self._targets.drop(symbol)

    def _place_for_target(
        self, symbol: str, direction: Direction, volume: int, price: float, owner: Any, early: bool
    ) -> Ticket:
        kind = bt.BuyOrder if direction is Direction.BUY else bt.SellOrder
        data = self._data(symbol)
        ticket = self._ticket(kind, owner, data, volume, price, exectype=bt.Order.Limit)
        ticket.symbol, ticket.wish, ticket.for_target = symbol, Wish(price), True
        try:
            self._desk.settle_effect(ticket, Timing.AT_ONCE, None)
        except TianqinError as error:
            self._desk.refuse(ticket, str(error))
        else:
            self._desk.submit(ticket, early=early)
        return ticket

    # -- rolls --------------------------------------------------------------------------------

    def takes_orders(self, instrument: str) -> bool:
        """Whether an order on a contract would be sent now."""
        try:
            self._gate.admit(self._data(instrument)._dataname)
        except OrderError:
            return False
        return self._gate.open(instrument)

    def reserve(self, instrument: str, reason: str | None) -> None:
        """Refuse orders on a contract, for that reason; None takes them again."""
        if reason is None:
            self._gate.reserved.pop(instrument, None)
        else:
            self._gate.reserved[instrument] = reason

    def exit_carrier(self, plan: RollPlan, save: Callable[[RollState], None]) -> ExitCarrier:
        """What takes the exits of a contract along with its lots."""
        return ExitCarrier(self._desk, self._held, self._stand_in_for, plan, save)

    def _stand_in_for(
        self, other: Ticket, symbol: str, volume: int, price: float | None, plimit: float | None
    ) -> Ticket:
        """An order like another one, on another contract."""
        order = other.order
        kind = bt.BuyOrder if other.direction is Direction.BUY else bt.SellOrder
        info = {name: value for name, value in order.info.items() if name != "reason"}
        ticket = self._ticket(
            kind, order.owner, self._data(symbol), volume, price, pricelimit=plimit,
            exectype=order.exectype, trailamount=order.p.trailamount,
            trailpercent=order.p.trailpercent, tradeid=order.tradeid, **info,
        )  # fmt: skip
        ticket.symbol = symbol
        return ticket

    def mark(self, order: Any, name: str, value: Any) -> None:
        """Keep a word with an order, over a restart, too."""
        order.addinfo(**{name: value})
        self._scribe.touch(order.ticket)

    @contextmanager
    def reserved_for_us(self, instrument: str) -> Iterator[None]:
        """Let those who have reserved a contract send an order on it."""
        reason = self._gate.reserved.pop(instrument, None)
        try:
            yield
        finally:
            self.reserve(instrument, reason)

    # -- inside -------------------------------------------------------------------------------

    def take_reports(self, reports: list[OrderReport | Fill]) -> None:
        """Apply what the exchange says, and queue what strategies are to be told."""
        self.heard()
        if self._begun:  # before that, ``start`` looks at all there is
            self._returns.take(reports)
            self._reconciler.tend()
            self._scribe.flush()

    def heard(self) -> None:
        """The trading side has said something: it lives."""
        self._desk.heard_at = monotonic()

    def follow_session(self, session: int, reconnector: Any) -> None:
        """Every round: look after unanswered orders, and after all that waits with us."""
        self._returns.follow_session(session, reconnector)
        if not self._begun:
            return
        self._returns.tend()
        self._reconciler.follow_session(session)
        self._account.settle_fees()
        self._tend_halting()
        self._tend_loss()
        self._desk.tend()
        self._held.tend()
        self._targets.tend()
        if self._flattener.busy:
            self._flattener.tend({symbol for symbol, legs in self._desk.live.items() if legs})
        if self._expiry.tend():
            self._scribe.touch_plan(self._restart.lots)
        self._scribe.flush()

    def _must_keep_priority(self) -> None:
        """Refuse a priority that the account's counter would not keep.

        Raises:
            ConfigError: A feed's exchange is one of those.
        """
        for feed in self.store.feeds:
            contract = feed.symbol.rpartition("@")[2]  # KQ.m@DCE.m trades at DCE, too
            exchange_id = contract.partition(".")[0]
            words = priority_refusal(
                _priority(self.p.priority), exchange_id, self.store.gateway.counter
            )
            if words:
                raise ConfigError(words)

    def _take_differences(self, text: str) -> None:
        """Somebody or something else has changed what is held: the owner has to look."""
        text = f"{text}; only orders that reduce are sent until broker.resume()"
        logger.error("%s", text)
        self.store.put_notification(text)
        self._scribe.note(text, "ERROR")
        self._risk.guard.reduce(text)


def _priority(name: Any) -> Priority:
    try:
        return Priority(name)
    except ValueError as error:
        raise ConfigError(f"priority is one of {', '.join(Priority)}, not {name!r}") from error
