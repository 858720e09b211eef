"""The desk, the planner and the way back as they are, on an account and a gateway set by hand."""

from collections import Counter as Count
from collections import deque
from datetime import datetime, time, timedelta
from types import SimpleNamespace

import backtrader as bt

from tianqin_backtrader.account.ledger import PositionLedger
from tianqin_backtrader.contracts.offsets import Priority
from tianqin_backtrader.contracts.order_terms import STAYS, OrderTerms
from tianqin_backtrader.core.clock import SECOND, from_ns, to_ns
from tianqin_backtrader.core.context import Context
from tianqin_backtrader.core.model import (
    Counter,
    Direction,
    Fill,
    Instrument,
    Offset,
    OrderReport,
)
from tianqin_backtrader.errors import OrderError
from tianqin_backtrader.execution.contingent_orders import ContingentOrders
from tianqin_backtrader.execution.engine import ExecutionEngine
from tianqin_backtrader.execution.execution_reports import ReportHandler
from tianqin_backtrader.execution.order_manager import OrderManager
from tianqin_backtrader.execution.order_router import OrderRouter
from tianqin_backtrader.feeds.feed_list import PlaceholderFeed
from tianqin_backtrader.orders.exits import Timing
from tianqin_backtrader.orders.ticket import PositionEffect, Ticket

SYMBOL, AFTERNOON = "SHFE.rb2605", time(15)
BEGIN = to_ns(datetime(2026, 1, 5, 10))
RB = Instrument(
    SYMBOL, "FUTURE", "SHFE", "rb", 1.0, 0, 10, False, None, upper_limit=3300.0,
    lower_limit=2700.0, pre_settlement=3000.0, margin=3000.0, commission=1.0,
)  # fmt: skip


class Anything:
    """Takes every call, and says yes."""

    def __getattr__(self, name):
        return lambda *args, **kwargs: True


class Days:
    """A calendar whose days are all trading days, with one session each."""

    changes = 0

    def trading_day_at(self, now):
        return now.date()

    def next_trading_day(self, day):
        return day + timedelta(days=1)

    def sessions(self, symbol, day):
        return ((datetime.combine(day, time(9)), datetime.combine(day, AFTERNOON)),)


class Gate:
    """A market that is open until it is shut."""

    def __init__(self):
        self.is_open, self.reconciled, self.linked = True, True, True
        self.reserved = frozenset()

    def open(self, symbol):
        return self.is_open

    def holds(self, symbol):
        return self.linked and not self.is_open

    def admit(self, symbol, *, bars=0, early=False, waits=False):
        if not (self.linked or waits):
            raise OrderError("no orders while the trading link is down")

    def must_be_free(self, symbol):
        pass


class Gateway:
    """What is sent is written down; the position is what a test says."""

    counter, matches_itself, names_fees, renewable = Counter.CTP, False, True, True

    def __init__(self):
        self.sent, self.withdrawn, self.known, self.margin = [], [], set(), 0.0
        self.held = dict.fromkeys(
            ("pos_long_today", "pos_long_his", "pos_short_today", "pos_short_his"), 0
        )

    def insert_order(self, order_id, symbol, direction, offset, volume, price, advanced):
        self.sent.append((str(offset), volume))

    def cancel_order(self, order_id):
        self.withdrawn.append(order_id)

    def send(self):
        pass

    def position(self, symbol):
        long = self.held["pos_long_today"] + self.held["pos_long_his"]
        short = self.held["pos_short_today"] + self.held["pos_short_his"]
        return self.held | {"pos_long": long, "pos_short": short, "last_price": 3000.0}

    def positions(self):
        return {SYMBOL: self.position(SYMBOL)}

    def lots(self, symbol, side):
        return max(0, self.held[f"pos_{side}_today"]), max(0, self.held[f"pos_{side}_his"])

    def funds(self, *names):
        return tuple(self.margin if name == "margin" else 0.0 for name in names)

    def quote(self, symbol):
        return SimpleNamespace(ask_price1=3001.0, bid_price1=3000.0)

    def known_orders(self):
        return self.known

    def report_again(self, order_id):
        pass


class Told:
    """What observers are told of lots without protection."""

    def __init__(self):
        self.lots = []

    def exposed(self, symbol, lots, text):
        self.lots.append((symbol, lots))

    def said(self, text):
        """Of no interest here."""


class StubbedDesk:
    """Long lots of one contract at SHFE, and orders about them."""

    def __init__(self, today=0, earlier=0, *, priority=Priority.TODAY_FIRST):
        self.now, self.untold, self.silent, self.live = BEGIN, deque(), 0, {}
        self.exposed, self.gateway, self.pre_trade = Told(), Gateway(), Gate()
        self.gateway.held |= {"pos_long_today": today, "pos_long_his": earlier}
        self.price = 3000.0
        self.line = SimpleNamespace(
            trading_silent=self._fall_silent,
            sessions=1,
            trading_rests="",
            breaks=0,
            doubtful=False,
            trading_up=True,
        )
        self.feeds = SimpleNamespace(in_history=False)
        self.contracts = SimpleNamespace(
            at_hand={SYMBOL: RB}, get=lambda symbol: RB, known=lambda symbol: RB
        )
        clock = SimpleNamespace(now_ns=lambda: self.now, virtual=True)
        self.context = Context(clock, Days(), self.contracts, self.exposed)
        self.account = PositionLedger(self.context, self.gateway, self.line)
        self.account.begin(1e6)
        self.router = OrderRouter(
            self.context, self.gateway, self.gateway, self.account, priority, Anything()
        )
        write_ahead = Anything()
        write_ahead.journal = write_ahead.broken = None
        self.manager = OrderManager(
            self.context, self.gateway, self.line, self.account, self.pre_trade, self.router,
            Anything(), write_ahead, self.untold, self.live,
        )  # fmt: skip
        self.report_handler = ReportHandler(self.manager)
        self.held = ContingentOrders(self.manager, self.feeds, lambda symbol: self.price)
        self.engine = self.make_engine(Anything())

    def make_engine(self, risk):
        """What decides over the orders; what no test looks at is a stub."""
        return ExecutionEngine(
            self.context, self.account, self.manager, self.report_handler, self.held, Anything(),
            risk, Anything(), Anything(), Anything(), Anything(), SimpleNamespace(foreign=set()),
            Anything(), Anything(),
        )  # fmt: skip

    @property
    def notes(self):
        """What ``notify_store`` is told: (text, facts)."""
        return [(text, facts) for text, _, facts in self.context.unsaid]

    @property
    def told(self):
        """What strategies are told: (number, status, lots) of each order."""
        return [
            (order.ref, order.getstatusname(), int(order.executed.size)) for order in self.untold
        ]

    def _fall_silent(self):
        self.silent += 1

    def ticket(self, lots, price=None, *, kind=bt.SellOrder, exectype=bt.Order.Market, **options):
        """An order; at a price that stays where there is one."""
        order = kind(
            owner=None, data=PlaceholderFeed(SYMBOL, self.context), size=lots, price=price,
            exectype=exectype, simulated=True,
        )  # fmt: skip
        order.p.simulated, order.broker = False, None
        direction = Direction.BUY if kind is bt.BuyOrder else Direction.SELL
        ticket = Ticket(order, SYMBOL, direction, lots, OrderTerms(price), **options)
        order.ticket, order.legs = ticket, ticket.legs
        return ticket

    def exit(self, lots, price=3050.0, **options):
        """A limit order that closes."""
        fields = {"effect": PositionEffect.CLOSE, "allow_partial": True, "may_open": 0}
        return self.ticket(lots, price, exectype=bt.Order.Limit, **(fields | options))

    def fired_stop(self, lots):
        """A stop whose price has come."""
        ticket = self.exit(lots)
        ticket.order.exectype, ticket.order.triggered = bt.Order.Stop, True
        ticket.terms = OrderTerms(None, STAYS)
        return ticket

    def hold(self, lots, price=None, *, exectype=bt.Order.Stop, **options):
        """An order of Backtrader's that waits for its price or time."""
        ticket = self.ticket(lots, price, exectype=exectype, **options)
        ticket.terms = OrderTerms(None)
        self.manager.settle_effect(ticket, Timing.LATER, None)
        self.held.place(ticket, None, None, True)
        return ticket

    def place(
        self, lots, price=None, *, kind=bt.SellOrder, exectype=bt.Order.Market, close_only=None,
        parent=None, oco=None,
    ):  # fmt: skip
        """An order as a strategy places it."""
        ticket = self.ticket(lots, price, kind=kind, exectype=exectype)
        ticket.terms = OrderTerms(price if exectype == bt.Order.Limit else None)
        at_once = exectype in (bt.Order.Market, bt.Order.Limit) and oco is None
        timing = Timing.RESTS if exectype == bt.Order.Limit else Timing.AT_ONCE
        if parent is None:
            self.manager.settle_effect(ticket, timing if at_once else Timing.LATER, close_only)
        self.held.place(ticket, parent and parent.order, oco and oco.order, True)
        self.engine.follow_up()
        return ticket

    def link(self, up):
        """The trading link goes, or comes back."""
        self.pre_trade.linked = self.pre_trade.is_open = self.line.trading_up = up

    def submit(self, ticket):
        """Send it, as far as that can be."""
        self.manager.submit(ticket)
        self.engine.follow_up()
        return ticket

    def ends_of(self, ticket):
        """Every end that was told of an order."""
        words = ("Completed", "Canceled", "Rejected", "Expired", "Margin")
        return [name for ref, name, _ in self.told if ref == ticket.order.ref and name in words]

    # -- what the exchange says ---------------------------------------------------------------

    def alive(self, leg, left=None, *, number=None):
        """It works at the exchange."""
        lots = leg.volume - leg.filled if left is None else left
        self.engine.apply([self.report(leg, lots, "ALIVE", number)])

    def end(self, leg, *, message="", number=None):
        """It is finished."""
        left = leg.volume - leg.filled
        self.engine.apply([self.report(leg, left, "FINISHED", number, message)])

    def refuse(self, leg, message="busy"):
        """It was never taken."""
        self.end(leg, message=message, number="")

    def lose(self, leg):
        """A notice says that it is not passed on."""
        self.report_handler._refused_by_notice(leg, "busy")
        self.engine.follow_up()

    def fill(self, leg, lots, number=None):
        """It has traded, and the account shows it."""
        number = number or f"{leg.order_id}_{len(leg.fills)}"
        side = "long" if leg.direction is Direction.SELL else "short"
        name = f"pos_{side}_today" if leg.offset is Offset.CLOSETODAY else f"pos_{side}_his"
        if leg.offset is not Offset.OPEN:
            self.gateway.held[name] -= lots
        self.engine.apply(
            [Fill(number, leg.order_id, leg.symbol, leg.direction, leg.offset, 3000.0, lots,
                  self.now, 1.0)]
        )  # fmt: skip

    def report(self, leg, left, status, number=None, message=""):
        """How an order stands."""
        number = f"x{leg.order_id[-4:]}" if number is None else number
        return OrderReport(
            leg.order_id, leg.symbol, leg.direction, leg.offset, leg.volume, left, 3000.0, status,
            number, message,
        )  # fmt: skip

    def foreign(self, lots, offset=Offset.CLOSETODAY, status="ALIVE", order_id="SERVER.1.1.1"):
        """An order of another terminal that closes lots."""
        self.engine.apply(
            [OrderReport(order_id, SYMBOL, Direction.SELL, offset, lots, lots, 3100.0, status,
                         f"f{order_id}", "")]
        )  # fmt: skip

    def pass_by(self, seconds=2):
        """Time, and a round at its end."""
        self.now += round(seconds * SECOND)
        self.turn()

    def go_to(self, moment):
        """A round at a time of the day."""
        self.now = to_ns(datetime.combine(from_ns(self.now).date(), time.fromisoformat(moment)))
        self.turn()

    def turn(self):
        """A round."""
        for _ in self.manager.on_round():
            self.engine.follow_up()
        self.held.on_round()
        self.engine.follow_up()

    def sent_lots(self):
        """Lots by offset of all that was sent."""
        lots = Count()
        for offset, volume in self.gateway.sent:
            lots[offset] += volume
        return dict(lots)
