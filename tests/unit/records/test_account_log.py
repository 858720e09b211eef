"""When a settlement is seen, and of which day."""

import math
from datetime import datetime
from types import SimpleNamespace

import pytest

from tianqin_backtrader.core.model import Direction, Offset
from tianqin_backtrader.records.account_log import AccountLog
from tianqin_backtrader.records.journal import Journal
from tianqin_backtrader.session_calendar import CALENDAR


class Account:
    """A store whose account the test sets."""

    def __init__(self):
        self.calendar, self.moment = CALENDAR, datetime(2026, 11, 10, 10)
        self.fields = {"deposit": 0.0, "withdraw": 0.0, "pre_balance": 100.0, "balance": 100.0}
        self.broker = SimpleNamespace(
            get_account=lambda: dict(self.fields), get_account_positions=dict
        )

    def now(self):
        return self.moment

    def instrument(self, symbol):
        return SimpleNamespace(volume_multiple=5)


def test_figures_that_have_not_come_are_no_settlement(tmp_path):
    """A counter that sends the account some seconds after the login."""
    store = Account()
    with Journal(tmp_path / "journal.sqlite") as journal:
        log = AccountLog(store, store.broker, store, journal, "one")
        log.take_equity("start")
        known = dict(store.fields)
        store.fields = {name: math.nan for name in known}
        log.take_equity("bar")
        log.take_account()
        log.take_last()
        store.fields = known | {"balance": 101.0}
        log.take_equity("bar")
        rows = journal.query("SELECT why, balance FROM equity ORDER BY seq")
    assert rows == [("start", 100.0), ("bar", 101.0)]


def test_at_the_end_the_account_is_written_if_it_stands_otherwise(tmp_path):
    store = Account()
    with Journal(tmp_path / "journal.sqlite") as journal:
        log = AccountLog(store, store.broker, store, journal, "one")
        log.take_account()
        log.take_last()
        assert journal.query("SELECT COUNT(*) FROM accounts") == [(1,)]
        store.fields["balance"] = 99.0
        log.take_last()
        log.take_last()
        assert journal.query("SELECT COUNT(*) FROM accounts") == [(2,)]
        assert journal.last("equity")["balance"] == 99.0


@pytest.mark.parametrize("late", [False, True], ids=["at once", "after the next day began"])
def test_each_day_is_settled_as_itself(tmp_path, late):
    store = Account()
    with Journal(tmp_path / "journal.sqlite") as journal:
        log = AccountLog(store, store.broker, store, journal, "one")
        for day in (10, 11, 12):
            store.fields["balance"] = 100.0 + day
            store.moment = datetime(2026, 11, day, 14)
            log.take_equity("bar")
            if late:  # the account still shows the old day
                store.moment = datetime(2026, 11, day, 21, 0, 5)
                log.take_equity("bar")
            else:
                store.moment = datetime(2026, 11, day, 15, 30)
            store.fields["pre_balance"] = store.fields["balance"] = 200.0 + day
            log.take_equity("bar")
            store.moment = datetime(2026, 11, day, 21, 1)
            log.take_equity("bar")
        rows = journal.query("SELECT trading_day, why, balance FROM equity ORDER BY seq")
    settled = [(day, balance) for day, why, balance in rows if why == "settled"]
    assert settled == [("2026-11-10", 210.0), ("2026-11-11", 211.0), ("2026-11-12", 212.0)]
    bars = {(day, balance) for day, why, balance in rows if why == "bar"}
    assert {("2026-11-11", 111.0), ("2026-11-12", 112.0), ("2026-11-13", 212.0)} <= bars


# -- orders, where the broker keeps no records ------------------------------------------------


class Order:
    """A market order of two lots that is over, with one leg."""

    ref, owner, info = 1, None, {}
    created = SimpleNamespace(dt=0.0, pclose=78000.0, size=2, price=None)

    def __init__(self, limit_price):
        self.legs = [
            SimpleNamespace(
                order_id="one", symbol="SHFE.cu2612", direction=Direction.BUY, offset=Offset.OPEN,
                volume=2, limit_price=limit_price, filled=2, over=True, exchange_order_id="17",
                last_msg="", state="FILLED", fills={},
            )
        ]  # fmt: skip

    def alive(self):
        return False


@pytest.mark.parametrize(
    ("limit_price", "reported"), [(78010.0, 78010.0), (None, None), ("BEST", None)]
)
def test_a_report_has_a_limit_price_if_the_order_has_one(tmp_path, limit_price, reported):
    store = Account()
    with Journal(tmp_path / "journal.sqlite") as journal:
        log = AccountLog(store, store.broker, store, journal, "one")
        log.take_order(Order(limit_price))
        log.take_order(Order(limit_price))
        assert journal.query("SELECT limit_price FROM intents") == [(limit_price,)]
        assert journal.query("SELECT limit_price FROM reports") == [(reported,)]
