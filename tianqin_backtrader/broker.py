"""``MyBroker``: Backtrader's orders and the four-way orders, at the exchange.

Every order is one ``bt.Order`` with one or more legs (``order.legs``), each an order of the
exchange. Refusals of any kind reach ``notify_order`` as Rejected (Margin for too little money),
the reason in ``order.info.reason``; market events never raise exceptions in a strategy.
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
    """Positions by feed; also for clones and foreign feeds, which Backtrader asks for."""

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
            ``"yesterday_only"`` and ``"lock"`` are impossible and refused.
        closed_market: ``"reject"`` orders outside sessions, or ``"hold"`` them until the open.
        auction: The same for call auctions.
        allow_partial: Close what can be closed where an order wants more, instead of rejecting it.
        risk: ``RiskLimits``, checked before every order; None for none.
        records: Parent folder of this strategy's records, by default ``"records"`` for paper
            and live accounts and for every store with a ``strategy_name``; False for no records.
        on_restart: What happens to orders that a crash kept from being sent: ``"expire"`` reports
            them as Expired, ``"resend"`` sends them.
        accept_differences: Start even if nothing explains what the account holds.

    Attributes:
        books: Profit and loss computed from our own fills; see ``balance``.
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
        """Make the order manager and the checks that an order passes before it is sent."""
        store = self.store
        context, link = store.context, store.reconnector
        trading, market = store.gateway.trading, store.gateway.queries
        self._pre_trade = PreTradeChecks(
            context, link, store.feeds,
            choice(self.p.closed_market, "closed_market"), choice(self.p.auction, "auction"),
        )  # fmt: skip
        self._write_ahead = WriteAheadLog(context)
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
        """Make what creates orders, and what holds those that wait on our side."""
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
        """Make the engine, which coordinates all parts."""
        store, manager = self.store, self._manager
        self._lots = LotBaseline(self._account)
        self._engine = ExecutionEngine(
            store.context, self._account, manager, self._reports, self._contingent, self._targets,
            self._risk, self._kill_switch, self._orders, self._news, self._keeper, self._lots,
            Reconciler(manager, self._reports.foreign, self._lots),
            ExpirySettlement(self._account, manager, store.gateway.queries),
        )  # fmt: skip

    def _make_startup(self, placeholders: PlaceholderFeeds) -> None:
        """Make what continues an earlier run."""
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
        """Begin a run of Cerebro: take over the account's positions and an earlier run's orders.

        Raises:
            JournalError: The records cannot be opened, or another program has them open.
            StartRefused: Records and account differ, and nothing explains it.
            ConfigError: The priority is impossible at the exchange of a feed.
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
        """End a run of Cerebro; the account is recorded until the store is closed."""
        super().stop()
        self.tell_observers()
        self._write_ahead.flush()
        self._keeper.stop()

    def tell_observers(self) -> None:
        """Tell observers about orders now, as there may be no next round."""
        if self._untold:
            self._news.let_in()

    @property
    def begun(self) -> bool:
        """Whether a run has begun and the account has been taken over."""
        return self._engine.begun

    @property
    def journal(self) -> Journal | None:
        """The journal that is being written, None if no records are kept."""
        return self._write_ahead.journal

    @property
    def records_folder(self) -> str:
        """The folder of the records, "" if none are kept."""
        return "" if self.journal is None else str(self.journal.path.parent)

    @property
    def closes_first(self) -> str:
        """Which lots a close takes first: the parameter ``priority``."""
        return str(self.p.priority)

    def look_a_last_time(self) -> None:
        """Record the account's final state before the store is closed.

        Order reports are applied only if this program has no live orders. Nothing more is sent;
        the next run continues with live orders.
        """
        if self.begun and self.journal is not None:
            out = any(self._manager.live.values())
            self._keeper.look_a_last_time(
                lambda reports: None if out else self.take_reports(reports)
            )

    def close_records(self) -> None:
        """Write what is pending and close the journal; called by ``MyStore.close``.

        Raises:
            JournalError: The journal cannot be written.
        """
        self._keeper.stop()
        if getattr(self, "cerebro", None) is None:  # else a strategy may still be notified
            self._news.nobody_listened()
        self._write_ahead.close(self._keeper.finish)

    @property
    def account_log(self) -> AccountLog | None:
        """The writer of account records in the journal, None if no records are kept."""
        return self._keeper.account_log

    @property
    def has_news(self) -> bool:
        """Whether ``notify_order`` will be called in this round."""
        if self._untold:
            self._news.let_in()
        return bool(self._news.ready)

    def get_notification(self) -> Any:
        """Return the next order for ``notify_order``, None if there is none."""
        news = self._news
        news.heard = True
        return news.take() if self._untold or news.ready or news.handed else None

    def next(self) -> None:
        """Run Cerebro's round; order reports are applied when they arrive, not here."""
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
        """Profit and loss of our own fills: ``start`` and ``fees`` in yuan, ``fills`` a count."""
        return self._account.books

    def getcash(self) -> float:
        """Available funds, yuan; also ``get_cash``.

        The account's ``available``, less the funds of orders that it does not include yet: those
        of this ``next()`` and, with a futures company, those of the last seconds.
        """
        return self._account.available()

    def getvalue(self, datas: Any = None) -> float:
        """The account's equity (``balance``), yuan; also ``get_value``.

        Args:
            datas: Feeds, for the margin of the positions in their contracts instead; that of a
                short is negative. Unfilled lots of Market orders count as held, so that repeating
                ``order_target_value`` or ``order_target_percent`` does not order them twice.
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
        """Signed unfilled lots of Market orders on a feed's contract.

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
        """Margin of all positions, yuan (the account's ``margin``)."""
        return self._account.funds("margin")

    def get_account(self) -> dict[str, Any]:
        """All fields of the account as TqSdk names them: ``balance``, ``available``, ``margin``,
        ``float_profit``, ``commission``, ``static_balance`` ... in yuan, ``risk_ratio`` a fraction.

        Source: ``tqsdk.objs.Account``; a copy.
        """
        return dict(self.store.gateway.trading.account())

    @property
    def positions(self) -> dict[Any, Position]:
        """Net positions by feed, as Backtrader has them; see ``getposition``."""
        known = {data: self.getposition(data, clone=False) for data in self.store.feeds}
        return _Positions(self, known)

    def getposition(self, data: Any, clone: bool = True, side: str | None = None) -> Position:
        """Return the position in a feed's contract: what was held at the start, and our fills.

        For a main contract this is the position in the contract behind it now plus, until that is
        rolled or closed, the position in the contract before it, at their average price.

        Args:
            data: A feed, its name, or a symbol. Other feeds (``PandasData``) are always flat.
            clone: Whether to return a copy.
            side: ``"long"`` or ``"short"`` for that side alone, shorts negative; None for the net.

        Returns:
            Backtrader's ``Position``: ``size`` in signed lots, ``price`` in quote units; flat for
            a contract that was never traded.

        Raises:
            ConfigError: Any other ``side``.
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
        """Return the account's position in a contract, fields as TqSdk names them; {} when flat.

        Lots: ``pos_long``, ``pos_short``, each in ``_today`` and ``_his``, ``volume_long_frozen``
        and ``volume_short_frozen`` (in working closes); ``open_price_long`` ... in quote units;
        ``float_profit``, ``margin`` in yuan. With a futures company only ``pos_...`` is up to
        date: all else is seconds old, and 0 right after an opening.

        Args:
            instrument: A symbol, or the name of a feed; a main contract stands for the contract
                behind it now. {} for an unknown symbol, too.

        Source: ``tqsdk.objs.Position``; a copy.
        """
        return self.get_account_positions().get(self._traded(instrument), {})

    def get_account_positions(self) -> dict[str, dict[str, Any]]:
        """The account's positions that are not flat, by symbol; see ``get_account_position``."""
        return self._account.account_positions()

    def balance(self) -> Balance:
        """Return start, profit, fees and equity by our own books, yuan; open lots at last price.

        Computed from the fills alone, so that it can be compared with the account's ``balance``.
        """
        return self._account.balance()

    def getcommissioninfo(self, data: Any) -> Any:
        """Return multiplier, margin and commission of a feed's contract (``bt.CommissionInfo``).

        Margin and commission are yuan per lot, TianQin's of the day; what the user has set with
        ``setcommission(name=)`` takes precedence.

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
        """Return what an order would take from the available funds, yuan.

        Args:
            instrument: A symbol, or the name of a feed.
            size: Lots.
            price: Quote units, for a margin that depends on the price; default the last price.
            closes: Whether the order closes; it then takes no margin.

        Returns:
            ``margin``, ``commission`` and their ``total``, yuan.

        Raises:
            UnknownSymbol: No such contract.

        Source: margin and commission per lot of TianQin's quote; those of the futures company for
        an account with one.
        """
        symbol, last = self._traded(instrument), self._or_last(price, instrument)
        return self._account.cost(symbol, abs(size), last, closes=closes)

    def max_lots(self, instrument: str, price: float | None = None, share: float = 1.0) -> int:
        """Return the lots that a share of the available funds can open now; 0 below the minimum.

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
        self.store.instrument(symbol)  # raises UnknownSymbol at once; a quote would be waited for
        return float(self.store.last_price(symbol)) if price is None else price

    # -- Backtrader's orders ----------------------------------------------------------------------

    def buy(
        self, owner: Any, data: Any, size: float, price: float | None = None, **kwargs: Any
    ) -> Any:
        """Backtrader's ``self.buy``: close a short first, then open a long.

        Args:
            owner: The strategy whose ``notify_order`` is called.
            data: A feed of this store.
            size: Whole positive lots.
            price: Quote units, rounded to the price tick on the passive side: the limit of a
                Limit, the trigger of a Stop or StopLimit; None for a market order.
            kwargs: As Backtrader's: ``plimit`` (the limit of a StopLimit), ``exectype``,
                ``valid``, ``oco``, ``parent``, ``transmit``, ``trailamount``, ``trailpercent``;
                ``allow_partial``. ``valid``: None means until cancelled (sent again on every
                trading day); a date, datetime, timedelta or ``Order.DAY`` sets an end. All others
                are kept in ``order.info``, also over a restart.

        Returns:
            One ``bt.Order``; its exchange orders are in ``order.legs``. Errors are not raised; the
            order is Rejected, with ``order.info.reason``.

        Source: Backtrader's ``Strategy.buy``.
        """
        placed = self._orders.backtrader_order(bt.BuyOrder, owner, data, size, price, kwargs)
        return self._followed_up(placed)

    def sell(
        self, owner: Any, data: Any, size: float, price: float | None = None, **kwargs: Any
    ) -> Any:
        """Backtrader's ``self.sell``: close a long first, then open a short; as ``buy``."""
        placed = self._orders.backtrader_order(bt.SellOrder, owner, data, size, price, kwargs)
        return self._followed_up(placed)

    def _followed_up(self, order: Any) -> Any:
        """Process what placing or cancelling an order has left to do; return the order."""
        self._engine.follow_up()
        return order

    def submit(self, order: Any) -> Any:
        """Do nothing: ``buy`` and ``sell`` have sent the order already."""
        return order

    def cancel(self, order: Any) -> Any:
        """Cancel an order with all of its legs; what has been filled stays filled.

        The order is over when the exchange confirms it: Canceled in ``notify_order``. An order
        that is already over is unchanged, and ``notify_store`` says so.

        Args:
            order: A ``bt.Order`` of this broker, or a clone of it; None does nothing.

        Returns:
            The same order.
        """
        if order is None:
            return None
        ticket = self._manager.tickets.get(order.ref) or getattr(order, "ticket", None)
        if ticket is not None:
            self._contingent.cancel(ticket)
        return self._followed_up(order)

    def cancel_order(self, order: Any) -> Any:
        """Cancel by order or by id (``leg.order_id``, or one of ``get_all_orders().keys()``).

        As ``cancel``, for the whole order that the id belongs to. With an id, a second request is
        not sent while a cancel is under way.

        Raises:
            OrderError: The id is not of one of this program's orders.
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
        """Return the ``bt.Order`` that an id belongs to, None if it is not ours.

        Args:
            order_id: ``leg.order_id``, or one of ``get_all_orders().keys()``.
        """
        found = self._manager.legs.get(order_id)
        if found:
            return found[0].order
        waiting = (one.order for one in self._manager.tickets.values() if one.key == order_id)
        return next(waiting, None)

    def get_all_orders(self) -> AllOrders:
        """Return all orders that were sent or wait, oldest first: of this run, and of earlier
        runs those that are alive and those of this trading day.

        Returns:
            A list of ``bt.Order``. It also reads like TqSdk's ``get_order()``, by id:
            ``orders.keys()``, ``orders.items()``, ``orders[id]["status"]``.
        """
        return AllOrders(
            ticket for ticket in self._manager.tickets.values() if ticket.legs or not ticket.over
        )

    def get_orders_open(self, safe: bool = False) -> list[Any]:
        """Return orders that are not over, also of an earlier run; clones if ``safe``."""
        alive = [ticket.order for ticket in self._manager.tickets.values() if not ticket.over]
        return [order.clone() for order in alive] if safe else alive

    @property
    def foreign_orders(self) -> dict[str, OrderLeg]:
        """The account's orders that this program has not sent, by id; they are left alone.

        Values are ``leg.OrderLeg``: ``symbol``, ``volume`` and ``filled`` in lots,
        ``state``. Only those of the present trading day, which the account lists.
        """
        return dict(self._reports.foreign)

    def orderstatus(self, order: Any) -> Any:
        """Return Backtrader's status of an order."""
        return order.status

    # -- four-way orders --------------------------------------------------------------------------

    def buy_open(self, instrument: str, size: int, limit_price: Any = None, **options: Any) -> Any:
        """开多: open a long. ``limit_price=None`` is a market order on every exchange.

        Args:
            instrument: ``"SHFE.cu2612"``, or ``"KQ.m@SHFE.cu"`` for the contract behind it; no
                feed is needed. The name of a feed works, too.
            size: Whole positive lots.
            limit_price: Quote units, rounded to the price tick on the passive side; None; or
                ``"BEST"`` / ``"FIVELEVEL"`` at CFFEX.
            options: ``order_type``: LIMIT, MARKET, BEST, FIVELEVEL, FAK, FOK, by default inferred
                from the price; ``advanced="FAK"`` or ``"FOK"``; ``owner``, the strategy whose
                ``notify_order`` is called; ``valid`` as for ``buy``, by default the trading day;
                ``allow_partial``.

        Returns:
            One ``bt.Order``; its exchange orders are in ``order.legs``. Errors such as an unknown
            symbol or a closed market are not raised; the order is Rejected, with
            ``order.info.reason``.

        Raises:
            TypeError: No such option.

        Source: 开平 of the exchanges' rules, and ``TqApi.insert_order``; where an exchange has no
        market orders, a FAK limit order at the day's price limit is sent instead.
        """
        placed = self._orders.four_way(
            Direction.BUY, PositionEffect.OPEN, instrument, size, limit_price, **options
        )
        return self._followed_up(placed)

    def sell_open(self, instrument: str, size: int, limit_price: Any = None, **options: Any) -> Any:
        """开空: open a short; as ``buy_open``."""
        placed = self._orders.four_way(
            Direction.SELL, PositionEffect.OPEN, instrument, size, limit_price, **options
        )
        return self._followed_up(placed)

    def buy_close(self, instrument: str, size: int, limit_price: Any = None, **options: Any) -> Any:
        """平空: close a short; as ``buy_open``.

        At SHFE and INE, which distinguish today's lots from yesterday's, one order may have two
        legs; ``getbroker(priority=)`` says which lots go first. An order for more lots than are
        held (less those of other working orders) is Rejected as a whole, or closes what it can
        with ``allow_partial=True``.
        """
        placed = self._orders.four_way(
            Direction.BUY, PositionEffect.CLOSE, instrument, size, limit_price, **options
        )
        return self._followed_up(placed)

    def sell_close(
        self, instrument: str, size: int, limit_price: Any = None, **options: Any
    ) -> Any:
        """平多: close a long; as ``buy_close``."""
        placed = self._orders.four_way(
            Direction.SELL, PositionEffect.CLOSE, instrument, size, limit_price, **options
        )
        return self._followed_up(placed)

    # -- targets ----------------------------------------------------------------------------------

    def order_target_position(
        self, instrument: str, net: int, rules: ChaseRules | None = None, owner: Any = None
    ) -> PositionTarget:
        """Trade to a net position with limit orders that follow the market, one at a time.

        It continues over breaks, nights and days until the target is reached. tqsdk's own
        ``TargetPosTask`` is similar, but counts trading days by weekday and knows no holidays;
        this one uses the library's calendar.

        Args:
            instrument: A symbol, or the name of a feed.
            net: Signed lots to hold.
            rules: How to quote and when to follow; see ``ChaseRules``.
            owner: The strategy whose ``notify_order`` is called.

        Returns:
            The target's state: ``reached``, ``stalled``, ``net`` and its ``orders``.

        Raises:
            OrderError: ``net`` is not a whole number, or lots of the contract that was behind a
                main contract before are still held.
            LinkError: The contract behind a main contract is not known now.
            UnknownSymbol: No such contract.
        """
        if isinstance(net, bool) or net != int(net):
            raise OrderError(f"a net position is a whole number of lots, not {net}")
        instrument = self._orders.contract_of(self._symbol_of(instrument))
        self.store.instrument(instrument)
        target = self._targets.set(instrument, int(net), rules, owner)
        self._engine.follow_up()
        return target

    def drop_target(self, instrument: str) -> None:
        """Stop trading to a target; positions stay."""
        self._targets.drop(self._traded(instrument))
        self._engine.follow_up()

    # -- the owner's buttons ----------------------------------------------------------------------

    @property
    def risk(self) -> RiskEngine:
        """The risk rules for all orders: their ``state``, its ``reason`` and the ``limits``."""
        return self._risk.guard

    @property
    def risk_state(self) -> GuardState:
        """ACTIVE, REDUCING or HALTED."""
        return self._risk.guard.state

    def halt(self, reason: str = "halted by the owner") -> None:
        """Cancel every order and send no other until ``resume``, also in later runs.

        Positions stay; a ``flatten`` that is not done is abandoned. Exits are cancelled, too:
        ``notify_store`` and an alert name the lots that lose their stop.

        Args:
            reason: Shown in the log, in ``risk.reason`` and in the orders refused meanwhile.
        """
        self._engine.halt(reason)

    def resume(self) -> None:
        """Accept orders again after ``halt``, ``flatten`` or a breached risk limit.

        A ``flatten`` that is not done is abandoned, and its working orders are cancelled.

        Raises:
            JournalError: The records still cannot be written; trading stays halted.
        """
        self._engine.resume()

    def flatten(self, reason: str = "flattened by the owner") -> None:
        """Cancel every order and close all that the account holds, at the market.

        Returns at once; ``notify_order`` reports the progress. Lots that cannot be closed now, for
        example in a market locked at its price limit, stay in a limit order, which is sent anew on
        the next trading day; rejected orders are tried again. Other orders may only reduce
        positions until ``resume``.

        Args:
            reason: Shown in the log, in ``risk.reason`` and in the orders refused meanwhile.
        """
        self._engine.flatten(reason)

    def cancel_all(self) -> None:
        """Cancel every order of this broker that is not over, also those not sent yet."""
        self._engine.cancel_all()

    @property
    def records_broken(self) -> bool:
        """Whether records cannot be written at the moment."""
        return self._engine.records_broken

    def records_failed(self, error: JournalError) -> None:
        """Halt trading after a failed write: cancel orders that may open; exits stay."""
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
        """Make what moves the exits of a contract along with its lots."""
        return ExitCarrier(self._manager, self._contingent, self._orders.stand_in_for, plan, save)

    def mark(self, order: Any, name: str, value: Any) -> None:
        """Store a value in ``order.info``, also over a restart."""
        order.addinfo(**{name: value})
        self._write_ahead.touch(order.ticket)

    @contextmanager
    def reserved_for_us(self, instrument: str) -> Iterator[None]:
        """Let the holder of a reservation send orders on the contract."""
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
        """Set Backtrader's commission info for the feed of a name, used for sizes and values.

        Raises:
            ConfigError: Without a name, as TianQin supplies every contract's commission.
        """
        must_be_named("setcommission", name)
        super().setcommission(*args, name=name, **kwargs)

    def addcommissioninfo(self, comminfo: Any, name: str | None = None) -> None:
        """As ``setcommission``, with a ``bt.CommissionInfo``."""
        must_be_named("addcommissioninfo", name)
        self.comminfo[name] = comminfo

    # -- inside -----------------------------------------------------------------------------------

    def take_reports(self, reports: list[OrderReport | Fill]) -> None:
        """Apply order reports and fills, and queue the notifications for strategies."""
        self._engine.take_reports(reports)

    def heard(self) -> None:
        """Note that the trading connection has answered."""
        self._manager.heard_at = monotonic()

    def follow_session(self, session: int, reconnector: Any) -> None:
        """Check unanswered orders and those that wait on our side; called every round."""
        self._engine.on_round(session, reconnector)

    def _must_keep_priority(self) -> None:
        """Refuse a priority that the account's counter would not respect.

        Raises:
            ConfigError: The priority is impossible at a feed's exchange.
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
