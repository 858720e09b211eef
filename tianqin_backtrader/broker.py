"""``MyBroker``: Backtrader's orders and the four-way orders, at the exchange.

Every order is one ``bt.Order`` with one or more legs (``order.legs``), each an order of the
exchange. Refusals of any kind reach ``notify_order`` as Rejected (Margin for too little money),
the reason in ``order.info.reason``; a strategy never gets an exception for what the market decided.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import backtrader as bt
from backtrader.position import Position

from .account.ledger import SIDES, OrderCost, PositionLedger
from .account.pnl import Balance, ProfitAndLoss
from .contracts.continuous import MAIN
from .contracts.offsets import Priority, priority_refusal
from .core.clock import monotonic
from .core.model import Direction, Fill, OrderReport
from .errors import ConfigError, JournalError, OrderError
from .execution.contingent_orders import ContingentOrders
from .execution.engine import ExecutionEngine
from .execution.execution_reports import ReportHandler
from .execution.foreign_fills import LotBaseline
from .execution.notifications import OrderNotifications
from .execution.open_trades import OpenTrades
from .execution.order_factory import OrderFactory
from .execution.order_manager import OrderManager
from .execution.order_router import OrderRouter
from .execution.pre_trade import PreTradeChecks, choice
from .execution.saved_risk import SavedRisk
from .execution.simulator_only import must_be_named, refused
from .execution.target_positions import PositionTarget, TargetPositions
from .execution.write_ahead import WriteAheadLog
from .feeds.feed_list import PlaceholderFeeds
from .feeds.names import symbol_of
from .orders.all_orders import AllOrders
from .orders.leg import LiveLegs, OrderLeg
from .orders.pegged import ChaseRules
from .orders.ticket import PositionEffect
from .performance_tracker import RecordKeeper
from .reconciliation.after_reconnect import Reconciler
from .reconciliation.expiry import ExpirySettlement
from .reconciliation.ownership import Ownership
from .reconciliation.startup import StartupReconciler
from .records.account_log import AccountLog
from .records.journal import Journal
from .risk.check import RiskCheck
from .risk.engine import RiskEngine
from .risk.kill_switch import KillSwitch
from .risk.limits import GuardState
from .rolling.roll_carrier import ExitCarrier
from .rolling.roll_state import RollPlan, RollState

if TYPE_CHECKING:
    from .store import MyStore

logger = logging.getLogger(__name__)


class _Positions(dict[Any, Position]):
    """Positions by feed; of clones and of feeds of others, too, which Backtrader asks for."""

    def __init__(self, broker: MyBroker, known: dict[Any, Position]) -> None:
        super().__init__(known)
        self._broker = broker

    def __missing__(self, data: Any) -> Position:
        return self._broker.getposition(data, clone=False)


class MyBroker(bt.BrokerBase):
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
        self.store: MyStore = self.p.store
        self.startingcash = 0.0
        if self.p.on_restart not in ("expire", "resend"):
            raise ConfigError(f'on_restart is "expire" or "resend", not {self.p.on_restart!r}')
        context, link = self.store.context, self.store.reconnector
        self._account = PositionLedger(context, self.store.gateway.trading, link)
        self._keeper = RecordKeeper(self.store, self.p.records)
        self._untold: deque[Any] = deque()
        self._manager = self._make_manager()
        placeholders = PlaceholderFeeds(context)
        self._trades = OpenTrades(context, self.store.feeds, self.store.mains, placeholders)
        self._news = OrderNotifications(
            self._untold, self._manager, self._keeper, self._trades, self.store.observers
        )
        self._make_orders(placeholders)
        self._make_engine()
        self._make_startup(placeholders)

    def _make_manager(self) -> OrderManager:
        """The way out, and all that an order meets on it."""
        store = self.store
        context, link = store.context, store.reconnector
        trading, market = store.gateway.trading, store.gateway.queries
        self._pre_trade = PreTradeChecks(
            context, link, store.feeds,
            choice(self.p.closed_market, "closed_market"), choice(self.p.auction, "auction"),
        )  # fmt: skip
        self._write_ahead = WriteAheadLog(context, self.records_failed)
        live: LiveLegs = {}
        self._risk = RiskCheck(
            context, store.last_price, store.hours, self._account, self.p.risk, live
        )
        priority = _priority(self.p.priority)
        router = OrderRouter(context, trading, market, self._account, priority, self._risk)
        self._must_keep_priority()
        return OrderManager(
            context, trading, link, self._account, self._pre_trade, router, self._risk,
            self._write_ahead, self._untold, live,
        )  # fmt: skip

    def _make_orders(self, placeholders: PlaceholderFeeds) -> None:
        """What waits with us, and what is made of requests."""
        store, manager = self.store, self._manager
        self._reports = ReportHandler(manager)
        self._contingent = ContingentOrders(manager, store.feeds, store.last_price)
        self._orders = OrderFactory(
            self, store.context, store.feeds, store.mains, self._account, manager,
            self._contingent, placeholders, allow_partial=self.p.allow_partial,
        )  # fmt: skip
        self._targets = TargetPositions(manager, store.gateway.queries, self._orders.for_target)
        self._kill_switch = KillSwitch(store.context, store.reconnector, self._account)

    def _make_engine(self) -> None:
        """What decides the order of things."""
        store, manager = self.store, self._manager
        self._lots = LotBaseline(self._account)
        self._engine = ExecutionEngine(
            store.context, self._account, manager, self._reports, self._contingent, self._targets,
            self._risk, self._kill_switch, self._orders, self._news, self._keeper, self._lots,
            Reconciler(manager, self._reports.foreign, self._lots),
            ExpirySettlement(self._account, manager, store.gateway.queries),
        )  # fmt: skip

    def _make_startup(self, placeholders: PlaceholderFeeds) -> None:
        """What goes on with an earlier run."""
        store = self.store
        self._adoption = Ownership(
            store.feeds, placeholders, self._orders.ticket, self._manager.tell, self._trades
        )
        self._restart = StartupReconciler(
            self._engine, self._manager, self._reports, self._contingent, self._targets,
            self._adoption, lots=self._lots,
            memory=SavedRisk(
                store.context, self._risk.guard, self._kill_switch, self._write_ahead
            ),
            pump=store.pump, newborn=store.sandbox_server is not None,
            resend=self.p.on_restart == "resend", accept=self.p.accept_differences,
        )  # fmt: skip

    # -- life -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Cerebro begins a run: take over what the account holds and an earlier run has left.

        Raises:
            JournalError: The records cannot be opened, or another program has them.
            StartRefused: Records and account differ, and nothing explains it.
            ConfigError: The priority cannot be kept at the exchange of a feed.
        """
        super().start()
        self.store.feeds.begin()
        self._must_keep_priority()
        if self.begun:
            self.startingcash = self.getvalue()
            self._account.take_moved()
            self._news.begin_again()
            self._restart.begin_again()
            self._targets.begin_again()
            return
        journal = self._write_ahead.journal = self._keeper.open()
        try:
            if journal is not None:
                self.store.state.attach(journal, self._write_ahead)
            self._restart.run(self.getvalue)
            self.startingcash = self.getvalue()
        except BaseException:
            self.close_records()
            raise
        self._engine.begin()

    def stop(self) -> None:
        """Cerebro has ended a run; the account is kept on record until the store is closed."""
        super().stop()
        self.tell_observers()
        self._write_ahead.flush()
        self._keeper.stop()

    def tell_observers(self) -> None:
        """Let observers know of orders for which there may be no next round."""
        if self._untold:
            self._news.let_in()

    @property
    def begun(self) -> bool:
        """Whether a run has begun, and the account was taken over."""
        return self._engine.begun

    @property
    def journal(self) -> Journal | None:
        """The journal that is written, None where no records are kept."""
        return self._write_ahead.journal

    @property
    def records_folder(self) -> str:
        """Where the records are kept, "" where none are."""
        return "" if self.journal is None else str(self.journal.path.parent)

    @property
    def closes_first(self) -> str:
        """Which lots a close takes first: the parameter ``priority``."""
        return str(self.p.priority)

    def look_a_last_time(self) -> None:
        """The store is about to be closed: see how the account stands now, for the records.

        What is said of orders is taken only if none of this program's is out: nothing is sent any
        more, and the next program goes on with them.
        """
        if self.begun and self.journal is not None:
            out = any(self._manager.live.values())
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
        self._write_ahead.close(self._keeper.finish)

    @property
    def account_log(self) -> AccountLog | None:
        """What writes the account into the journal, None where no records are kept."""
        return self._keeper.account_log

    @property
    def has_news(self) -> bool:
        """Whether ``notify_order`` will be called in this round."""
        if self._untold:
            self._news.let_in()
        return bool(self._news.ready)

    def get_notification(self) -> Any:
        """The next order to tell, None when there is none."""
        news = self._news
        news.heard = True
        return news.take() if self._untold or news.ready or news.handed else None

    def next(self) -> None:
        """Cerebro's round; reports are applied as they come."""
        restart, account = self._restart, self._account
        if restart.adopted or restart.begun_with or self._targets.recalled:
            self._adoption.hand_over(restart, self._targets)
        if account.moved:
            self._untold.extend(account.take_moved())
        if self._trades.waiting:
            self._trades.on_round()
        if self._untold or self._news.early:
            self._news.let_in()
        if self.journal is not None:
            self._keeper.follow(self.journal)

    # -- the account ------------------------------------------------------------------------------

    @property
    def books(self) -> ProfitAndLoss:
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
            for ticket in self._manager.on_their_way()
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
        return dict(self.store.gateway.trading.account())

    @property
    def positions(self) -> dict[Any, Position]:
        """Net positions by feed, as Backtrader has them; see ``getposition``."""
        known = {data: self.getposition(data, clone=False) for data in self.store.feeds}
        return _Positions(self, known)

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

    # -- Backtrader's orders ----------------------------------------------------------------------

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
        return self._orders.backtrader_order(bt.BuyOrder, owner, data, size, price, kwargs)

    def sell(
        self, owner: Any, data: Any, size: float, price: float | None = None, **kwargs: Any
    ) -> Any:
        """Backtrader's ``self.sell``: closes a long first, then opens a short; as ``buy``."""
        return self._orders.backtrader_order(bt.SellOrder, owner, data, size, price, kwargs)

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
        ticket = self._manager.tickets.get(order.ref) or getattr(order, "ticket", None)
        if ticket is not None:
            self._manager.cancel(ticket)
            self._write_ahead.flush()
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
        return found if self._manager.is_leaving(found.ref) else self.cancel(found)

    def get_order(self, order_id: str) -> Any:
        """The ``bt.Order`` that an id belongs to, None if it is not ours.

        Args:
            order_id: ``leg.order_id``, or one of ``get_all_orders().keys()``.
        """
        found = self._manager.legs.get(order_id)
        if found:
            return found[0].order
        waiting = (one.order for one in self._manager.tickets.values() if one.key == order_id)
        return next(waiting, None)

    def get_all_orders(self) -> AllOrders:
        """All orders that were sent or wait, oldest first: of this run, and of earlier ones those
        that go on and those of this trading day.

        Returns:
            A list of ``bt.Order``. By id it can be walked as TqSdk's ``get_order()``, too:
            ``orders.keys()``, ``orders.items()``, ``orders[id]["status"]``.
        """
        return AllOrders(
            ticket for ticket in self._manager.tickets.values() if ticket.legs or not ticket.over
        )

    def get_orders_open(self, safe: bool = False) -> list[Any]:
        """Orders that are not over, those of an earlier run among them; clones if ``safe``."""
        alive = [ticket.order for ticket in self._manager.tickets.values() if not ticket.over]
        return [order.clone() for order in alive] if safe else alive

    @property
    def foreign_orders(self) -> dict[str, OrderLeg]:
        """The account's orders that this program has not sent, by id; they are left alone.

        Values are ``leg.OrderLeg``: ``symbol``, ``volume`` and ``filled`` in lots,
        ``state``. The present trading day's, as the account gives them.
        """
        return dict(self._reports.foreign)

    def orderstatus(self, order: Any) -> Any:
        """Backtrader's status of an order."""
        return order.status

    # -- four-way orders --------------------------------------------------------------------------

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
        return self._orders.four_way(
            Direction.BUY, PositionEffect.OPEN, instrument, size, limit_price, **options
        )

    def sell_open(self, instrument: str, size: int, limit_price: Any = None, **options: Any) -> Any:
        """开空: open a short; as ``buy_open``."""
        return self._orders.four_way(
            Direction.SELL, PositionEffect.OPEN, instrument, size, limit_price, **options
        )

    def buy_close(self, instrument: str, size: int, limit_price: Any = None, **options: Any) -> Any:
        """平空: close a short; as ``buy_open``.

        At SHFE and INE, which tell today's lots from yesterday's, one order may have two legs;
        ``getbroker(priority=)`` says which lots go first. More than is held, lots of other working
        orders taken off, is Rejected as a whole, or closed partly with ``allow_partial=True``.
        """
        return self._orders.four_way(
            Direction.BUY, PositionEffect.CLOSE, instrument, size, limit_price, **options
        )

    def sell_close(
        self, instrument: str, size: int, limit_price: Any = None, **options: Any
    ) -> Any:
        """平多: close a long; as ``buy_close``."""
        return self._orders.four_way(
            Direction.SELL, PositionEffect.CLOSE, instrument, size, limit_price, **options
        )

    # -- targets ----------------------------------------------------------------------------------

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
        instrument = self._orders.contract_of(self._symbol_of(instrument))
        self.store.instrument(instrument)
        target = self._targets.set(instrument, int(net), rules, owner)
        self._write_ahead.flush()
        return target

    def drop_target(self, instrument: str) -> None:
        """Work to a target no more; what is held stays."""
        self._targets.drop(self._traded(instrument))

    # -- the owner's buttons ----------------------------------------------------------------------

    @property
    def risk(self) -> RiskEngine:
        """The rules over all orders: their ``state``, its ``reason``, their ``limits``."""
        return self._risk.guard

    @property
    def risk_state(self) -> GuardState:
        """ACTIVE, REDUCING or HALTED."""
        return self._risk.guard.state

    def halt(self, reason: str = "halted by the owner") -> None:
        """Withdraw every order and send no other until ``resume``, in later runs, too.

        Positions stay; a ``flatten`` that is not done goes no further. Exits are withdrawn, too:
        lots that lose their stop are told to ``notify_store``, and to an alert.

        Args:
            reason: Shown in the log, in ``risk.reason`` and in what is refused meanwhile.
        """
        self._engine.halt(reason)

    def resume(self) -> None:
        """Take orders again after ``halt``, ``flatten`` or a limit.

        A ``flatten`` that is not done goes no further; what it has out is withdrawn.

        Raises:
            JournalError: The records still cannot be written; trading stays halted.
        """
        self._engine.resume()

    def flatten(self, reason: str = "flattened by the owner") -> None:
        """Withdraw every order and close all that the account holds, at the market.

        Returns at once; what happens is told in ``notify_order``. What a market does not take now,
        as one that is locked at its limit, stays there as a limit order, on the next trading day
        as another one; what is refused is tried again. Other orders may only reduce until
        ``resume``.

        Args:
            reason: Shown in the log, in ``risk.reason`` and in what is refused meanwhile.
        """
        self._engine.flatten(reason)

    def cancel_all(self) -> None:
        """Withdraw every order of this broker that is not over, those that wait with us, too."""
        self._engine.cancel_all()

    @property
    def records_broken(self) -> bool:
        """Whether records cannot be written at the moment."""
        return self._engine.records_broken

    def records_failed(self, error: JournalError) -> None:
        """What cannot be written halts trading: what may open is withdrawn, and not sent."""
        self._engine.records_failed(error)

    # -- rolls ------------------------------------------------------------------------------------

    def takes_orders(self, instrument: str) -> bool:
        """Whether an order on a contract would be sent now."""
        try:
            self._pre_trade.admit(self._orders.data(instrument)._dataname)
        except OrderError:
            return False
        return self._pre_trade.open(instrument)

    def reserve(self, instrument: str, reason: str | None) -> None:
        """Refuse orders on a contract, for that reason; None takes them again."""
        if reason is None:
            self._pre_trade.reserved.pop(instrument, None)
        else:
            self._pre_trade.reserved[instrument] = reason

    def exit_carrier(self, plan: RollPlan, save: Callable[[RollState], None]) -> ExitCarrier:
        """What takes the exits of a contract along with its lots."""
        return ExitCarrier(self._manager, self._contingent, self._orders.stand_in_for, plan, save)

    def mark(self, order: Any, name: str, value: Any) -> None:
        """Keep a word with an order, over a restart, too."""
        order.addinfo(**{name: value})
        self._write_ahead.touch(order.ticket)

    @contextmanager
    def reserved_for_us(self, instrument: str) -> Iterator[None]:
        """Let those who have reserved a contract send an order on it."""
        reason = self._pre_trade.reserved.pop(instrument, None)
        try:
            yield
        finally:
            self.reserve(instrument, reason)

    # -- Backtrader's simulated broker ------------------------------------------------------------

    setcash = refused("setcash")
    set_cash = refused("set_cash")
    add_cash = refused("add_cash")
    set_coc = refused("set_coc")
    set_coo = refused("set_coo")
    set_slippage_perc = refused("set_slippage_perc")
    set_slippage_fixed = refused("set_slippage_fixed")
    set_filler = refused("set_filler")
    set_eosbar = refused("set_eosbar")
    set_checksubmit = refused("set_checksubmit")
    set_shortcash = refused("set_shortcash")
    set_int2pnl = refused("set_int2pnl")
    set_fundmode = refused("set_fundmode")
    set_fundstartval = refused("set_fundstartval")
    set_fund_history = refused("set_fund_history")
    add_order_history = refused("add_order_history")

    def setcommission(self, *args: Any, name: str | None = None, **kwargs: Any) -> None:
        """Backtrader's own, for the feed of a name: what sizes and values are counted with.

        Raises:
            ConfigError: Without a name: TianQin's are known of every contract.
        """
        must_be_named("setcommission", name)
        super().setcommission(*args, name=name, **kwargs)

    def addcommissioninfo(self, comminfo: Any, name: str | None = None) -> None:
        """As ``setcommission``, with a ``bt.CommissionInfo``."""
        must_be_named("addcommissioninfo", name)
        self.comminfo[name] = comminfo

    # -- inside -----------------------------------------------------------------------------------

    def take_reports(self, reports: list[OrderReport | Fill]) -> None:
        """Apply what the exchange says, and queue what strategies are to be told."""
        self._engine.take_reports(reports)

    def heard(self) -> None:
        """The trading side has said something: it lives."""
        self._manager.heard_at = monotonic()

    def follow_session(self, session: int, reconnector: Any) -> None:
        """Every round: look after unanswered orders, and after all that waits with us."""
        self._engine.on_round(session, reconnector)

    def _must_keep_priority(self) -> None:
        """Refuse a priority that the account's counter would not keep.

        Raises:
            ConfigError: A feed's exchange is one of those.
        """
        for feed in self.store.feeds:
            contract = feed.symbol.rpartition("@")[2]  # KQ.m@DCE.m trades at DCE, too
            exchange_id = contract.partition(".")[0]
            words = priority_refusal(
                _priority(self.p.priority), exchange_id, self.store.gateway.trading.counter
            )
            if words:
                raise ConfigError(words)


def _priority(name: Any) -> Priority:
    try:
        return Priority(name)
    except ValueError as error:
        raise ConfigError(f"priority is one of {', '.join(Priority)}, not {name!r}") from error
