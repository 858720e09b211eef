"""What ``RollManager`` reports, and how often, if a contract cannot be rolled."""

import datetime
from types import SimpleNamespace

import pytest

from tianqin_backtrader import RollManager
from tianqin_backtrader.errors import JournalError, OrderError
from tianqin_backtrader.risk.limits import GuardState
from tianqin_backtrader.rolling import roll_manager
from tianqin_backtrader.rolling.roll_rules import decide
from tianqin_backtrader.session_calendar import CALENDAR

MAIN, OLD, NEW = "KQ.m@SHFE.cu", "SHFE.cu2612", "SHFE.cu2701"
LAST_DAYS = {OLD: datetime.datetime(2026, 12, 15, 15), NEW: datetime.datetime(2027, 1, 15, 15)}


class Desk:
    """Plans every roll that the test does not refuse."""

    def __init__(self):
        self.rolls, self.against, self.estimates = [], {}, 0

    def plan(self, old, new, *, side, **how):
        if side in self.against:
            raise self.against[side]
        return side

    def estimate(self, plan):
        self.estimates += 1
        return f"estimate of {plan}"


class Store:
    """A market that trades on one day, and lots of both sides of the old contract."""

    def __init__(self):
        self.told, self.keepers, self.books = [], [], True
        self.calendar, self.rolls, self.trading_up = CALENDAR, Desk(), True
        self.at = datetime.datetime(2026, 11, 24, 10)
        self.mains = SimpleNamespace(traded=lambda main: NEW)
        charts = SimpleNamespace(series=lambda *of: SimpleNamespace(ready=True, last_id=-1))
        self.gateway = SimpleNamespace(
            charts=charts, contracts=lambda *of: [OLD, NEW], quote=self.quote
        )
        self.broker = SimpleNamespace(
            risk_state=GuardState.ACTIVE,
            takes_orders=lambda symbol: True,
            get_account_positions=lambda: {OLD: {}},
            get_account_position=lambda symbol: {"pos_long": 2, "pos_short": 1},
        )

        self.gateway.queries = self.gateway
        self.rolls.ports = SimpleNamespace(broker=self.broker, market=self.gateway)
        self.context = self

    def trading_day(self):
        return self.calendar.trading_day_at(self.at)

    def getbroker(self):
        return self.broker

    def instrument(self, symbol):
        return SimpleNamespace(expire_datetime=LAST_DAYS.get(symbol))

    def now(self):
        return self.at

    def is_open(self, symbol):
        return True

    def quote(self, symbol):
        price = 78000.0 if self.books else float("nan")
        return SimpleNamespace(bid_price1=price, ask_price1=price, last_price=78000.0,
                               upper_limit=90000.0, lower_limit=70000.0)  # fmt: skip

    def notify(self, text, **words):
        self.told.append(str(text))

    def announce(self, logger, level, text, **words):
        self.notify(text, **words)

    def minutes(self, manager, count=3):
        """So many checks, a minute of this machine's time apart."""
        for _ in range(count):
            manager._not_before = 0.0
            manager.on_round()

    def heard(self, words):
        return [text for text in self.told if words in text]


@pytest.fixture
def store():
    return Store()


def test_a_contract_that_cannot_be_rolled_is_warned_of_once_a_day(store):
    store.rolls.against = {"long": OrderError("an order is in the way")}
    store.rolls.against["short"] = store.rolls.against["long"]
    manager = RollManager(store, MAIN, trigger="days")
    store.minutes(manager)
    assert len(store.heard("may be held by a private person until 2026-11-30")) == 1
    store.at += datetime.timedelta(days=1)
    store.minutes(manager)
    assert len(store.heard("may be held by a private person until 2026-11-30")) == 2
    assert len(store.heard("cannot be rolled")) == 4  # each side, on both days


def test_two_sides_that_are_refused_for_two_reasons_are_told_once_each(store):
    store.rolls.against = {"long": OrderError("a stop"), "short": OrderError("a limit")}
    manager = RollManager(store, MAIN)
    store.minutes(manager)
    assert [text.rpartition(": ")[2] for text in store.told] == ["a stop", "a limit"]


def test_a_roll_that_cannot_be_written_down_is_told_and_tried_again(store):
    store.rolls.against = dict.fromkeys(["long", "short"], JournalError("roll.json", "disk full"))
    manager = RollManager(store, MAIN)
    store.minutes(manager)
    assert len(store.heard("disk full")) == 2
    assert manager._not_before > 0


def test_a_dry_run_looks_at_an_empty_book_now_and_then_and_warns_once(store, monkeypatch):
    looks = []
    monkeypatch.setattr(roll_manager, "decide", lambda *of: looks.append(of) or decide(*of))
    store.books = False
    manager = RollManager(store, MAIN, trigger="days", dry_run=True)
    for _ in range(10):
        manager.on_round()
    assert len(looks) == 1
    store.minutes(manager)
    assert len(looks) == 4 and manager.estimates == []
    store.books = True
    store.minutes(manager)
    assert len(manager.estimates) == 2
    assert len(store.heard("may be held by")) == 3  # the warning, and two estimates
