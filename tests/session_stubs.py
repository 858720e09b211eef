"""A session as those who listen are shown it: what is there is what a test puts there."""

from datetime import datetime
from types import SimpleNamespace

from manual_clock import ManualClock

from tianqin_backtrader.core.clock import Machine, MarketClock, to_ns
from tianqin_backtrader.feeds.feed_list import FeedList
from tianqin_backtrader.feeds.live_bars import Certificate
from tianqin_backtrader.gateway.supervisor import State
from tianqin_backtrader.monitoring.observers import Observers
from tianqin_backtrader.monitoring.session_view import SessionView
from tianqin_backtrader.risk.engine import RiskEngine
from tianqin_backtrader.session_calendar import CALENDAR

CU = "SHFE.cu2612"
MORNING = datetime(2026, 11, 10, 10)


class StubFeed:
    """A feed of one contract."""

    bar_length = "1 minute"
    history_phase = False

    def __init__(self, symbol=CU, name=None, last_tick=0):
        self.symbol, self._name, self.last_tick = symbol, name or symbol, last_tick
        self.p = SimpleNamespace(lookback=0)
        self.current, self.finished, self.bars = True, False, 0
        self.proof = Certificate()

    def certificate(self):
        return self.proof

    def __len__(self):
        return self.bars


class StubBroker:
    """Writes down what its owner asks for."""

    def __init__(self):
        self.risk, self.records_folder = RiskEngine(), ""
        self.orders, self.asked, self.fails = [], [], None

    def get_all_orders(self):
        return self.orders

    def _ask(self, what):
        if self.fails is not None:
            raise self.fails
        self.asked.append(what)

    def halt(self, reason):
        self._ask(("halt", reason))

    def flatten(self, reason):
        self._ask(("flatten", reason))


class StubOrder:
    """An order of so many lots, with the fills that it was given."""

    Rejected, Margin, Accepted = 8, 7, 2

    def __init__(self, ref=1, size=2, symbol=CU, status=Accepted, fills=(), reason=""):
        self.ref, self.status, self.info = ref, status, {"reason": reason}
        self.data = SimpleNamespace(_dataname=symbol)
        self.created = SimpleNamespace(size=size, price=78000.0)
        self.executed = SimpleNamespace(size=sum(one.volume for one in fills), price=None)
        leg = SimpleNamespace(fills={one.trade_id: one for one in fills}, over=False)
        self.legs = [leg] if status == self.Accepted else []

    def isbuy(self):
        return self.created.size > 0

    def alive(self):
        return self.status == self.Accepted

    def getordername(self):
        return "Limit"

    def getstatusname(self):
        return {8: "Rejected", 7: "Margin", 2: "Accepted"}[self.status]


class StubSession(Machine):
    """A session at ten in the morning whose market trades and whose links are up.

    Attributes:
        view: What those who listen are handed.
        seconds: Of the machine; they pass when a test says so.
    """

    def __init__(self, now=MORNING, strategy_name=""):
        self.seconds = 0.0
        self.wall = ManualClock(to_ns(now))
        self.clock = MarketClock(self.wall)
        self.observers = Observers()
        self.link = SimpleNamespace(
            state=State.UP, market_data_up=True, trading_up=True, no_trading="",
            trading_rests="", backoff=0.0, reconnects_today=0, last_error="", last_ok=None,
        )  # fmt: skip
        self.hours = SimpleNamespace(
            trading=True, boundary=datetime(2026, 11, 10, 10, 15), awake=lambda: True
        )
        self.funds = {"balance": 1e6, "static_balance": 9e5, "available": 5e5, "commission": 12.5}
        self.positions = {}
        account = SimpleNamespace(account=lambda: self.funds, positions=lambda: self.positions)
        self.view = SessionView(
            self.clock,
            CALENDAR,
            strategy_name,
            self.link,
            self.hours,
            account,
            FeedList(),
            self.observers,
        )

    def monotonic(self):
        return self.seconds

    def at(self, now):
        """It is another time at the exchange, and as many seconds have passed here."""
        self.seconds += max(0.0, (to_ns(now) - self.wall.now_ns()) / 1e9)
        self.wall.advance_to(to_ns(now))
