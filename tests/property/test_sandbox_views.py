"""The clients of every counter know the books once its queries are answered."""

import json

from exchange_desk import DAY, INSTRUMENTS, PRICES, Desk
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tianqin_backtrader.core.clock import SECOND
from tianqin_backtrader.sandbox.exchange.counter import CTP, KQ
from tianqin_backtrader.sandbox.exchange.counter_rows import kq_position, volumes
from tianqin_backtrader.sandbox.exchange.ctp_view import CtpOptions, CtpView
from tianqin_backtrader.sandbox.exchange.views import KqView

SYMBOLS = ("SHFE.cu2612", "DCE.m2701", "CFFEX.IF2612")
KINDS = ("orders", "trades", "positions", "accounts")


class Views(RuleBasedStateMachine):
    """One user at an exchange, and a client that merges the diffs."""

    counter = KQ

    def __init__(self):
        super().__init__()
        self.desk = Desk(balance=3_000_000.0, counter=self.counter)
        for symbol in SYMBOLS:
            self.desk.show(symbol)
        self.view = self.make_view()
        self.client = {kind: {} for kind in KINDS}
        self.ends = {}
        self.read(self.view.login(self.desk.now))
        self.wait(4)

    def make_view(self):
        return KqView(self.desk.exchange, "u")

    def read(self, parcels):
        for parcel in parcels:
            for diff in parcel.diffs:
                json.dumps(diff, allow_nan=False)
                self.merge(diff.get("trade", {}).get("u", {}))

    def merge(self, told):
        for kind in KINDS:
            for key, row in told.get(kind, {}).items():
                if row is None:
                    self.client[kind].pop(key, None)
                else:
                    self.client[kind].setdefault(key, {}).update(row)
        for order_id, row in told.get("orders", {}).items():
            if row["status"] == "FINISHED":
                self.ends[order_id] = self.ends.get(order_id, 0) + 1

    @rule(seconds=st.sampled_from([0, 0.05, 0.5, 1.1, 3.0]))
    def wait(self, seconds):
        self.read(self.view.take(self.desk.now))
        self.desk.now += int(seconds * SECOND)
        self.read(self.view.take(self.desk.now))

    @rule(symbol=st.sampled_from(SYMBOLS), bid=st.integers(-9, 9), traded=st.integers(0, 9))
    def tick(self, symbol, bid, traded):
        self.wait(0)
        self.desk.show(symbol, bid=bid, ask=bid + 1, last=bid, traded=traded)
        self.wait(0)

    @rule(
        symbol=st.sampled_from(SYMBOLS),
        direction=st.sampled_from(["BUY", "SELL"]),
        offset=st.sampled_from(["OPEN", "OPEN", "CLOSE", "CLOSETODAY"]),
        volume=st.integers(1, 9),
        price=st.integers(-12, 12),
        fields=st.sampled_from([{}, {"time_condition": "IOC"}]),
    )
    def order(self, symbol, direction, offset, volume, price, fields):
        self.desk.order(symbol, direction, offset, volume, price, **fields)
        self.wait(0)

    @precondition(lambda self: self.desk.number)
    @rule(data=st.data())
    def cancel(self, data):
        number = data.draw(st.integers(1, self.desk.number))
        self.desk.exchange.cancel("u", f"o{number}", self.desk.now)
        self.wait(0)

    @rule(move=st.integers(-20, 20))
    def settle(self, move):
        for symbol in SYMBOLS:
            self.desk.exchange.session_end(symbol)
        self.wait(0)
        prices = {s: PRICES[s] + move * INSTRUMENTS[s].price_tick for s in SYMBOLS}
        self.desk.exchange.settle(DAY, prices)
        self.desk.exchange.start_day(DAY)
        self.wait(4)
        self.client["orders"].clear()  # kept by real clients
        self.client["trades"].clear()
        self.ends.clear()
        for symbol in SYMBOLS:
            self.desk.show(symbol)

    @invariant()
    def nothing_ends_twice(self):
        assert all(count == 1 for count in self.ends.values())

    @invariant()
    def no_more_is_claimed_than_held(self):
        for row in self.client["positions"].values():
            for side in ("long", "short"):
                assert row[f"pos_{side}_today"] >= 0 <= row[f"pos_{side}_his"]
                for day in ("today", "his"):
                    frozen = row[f"volume_{side}_frozen_{day}"]
                    assert 0 <= frozen <= row[f"volume_{side}_{day}"]

    @rule()
    def all_is_known_in_the_end(self):
        self.wait(0)
        for _ in range(30):
            self.wait(1.0)
        exact, account = self.desk.trade, self.desk.exchange.account("u")
        fields = ("status", "volume_left", "volume_orign", "direction", "offset")
        assert {
            key: [row[name] for name in fields] for key, row in self.client["orders"].items()
        } == {key: [row[name] for name in fields] for key, row in exact["orders"].items()}
        assert len(self.client["trades"]) == len(exact["trades"])
        for symbol, holding in account.holdings.items():
            mine = self.client["positions"].get(symbol)
            if mine is None:
                assert not holding.held
                continue
            for side in ("long", "short"):
                held = volumes(self.counter, holding, side)
                assert {name: mine[name] for name in held} == held
                total = mine[f"pos_{side}_today"] + mine[f"pos_{side}_his"]
                assert total == held[f"volume_{side}"]
        money, mine = exact["accounts"]["CNY"], self.client["accounts"]["CNY"]
        for name in ("margin", "frozen_margin", "frozen_commission", "commission", "close_profit"):
            assert mine[name] == money[name]
        self.look_closer(account)

    def look_closer(self, account):
        for symbol, mine in self.client["positions"].items():
            exact = kq_position("u", account.holdings[symbol])
            for name in exact:
                if "profit" not in name and name != "last_price":
                    assert mine[name] == exact[name]


class BrokersViews(Views):
    counter = CTP

    def make_view(self):
        return CtpView(self.desk.exchange, "u", CtpOptions(seed=self.desk.now))

    def look_closer(self, account):
        for row in self.client["trades"].values():
            assert row["order_id"] in self.client["orders"]


TestViews, TestBrokersViews = Views.TestCase, BrokersViews.TestCase
for case in (TestViews, TestBrokersViews):
    case.settings = settings(
        max_examples=60, stateful_step_count=40, deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )  # fmt: skip
del case
