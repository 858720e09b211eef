"""The sandbox's books always balance to the fen, and its clients know them."""

import json

from exchange_desk import DAY, INSTRUMENTS, PRICES, Desk
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tianqin_backtrader.sandbox.exchange.counter import CTP, KQ, PLAIN

KINDS = ("orders", "trades", "positions", "accounts")
#: Fields that change with the last price; sent with another change, or once a minute.
MOVING = {
    "last_price", "balance", "ctp_balance", "available", "ctp_available", "risk_ratio",
    *(f"{kind}_profit{side}" for kind in ("float", "position") for side in ("", "_long", "_short")),
}  # fmt: skip
SYMBOLS = ("SHFE.cu2612", "DCE.m2701", "CFFEX.IF2612")


class ProfitAndLoss(RuleBasedStateMachine):
    counter = PLAIN

    def __init__(self):
        super().__init__()
        self.desk = Desk(balance=3_000_000.0, counter=self.counter)
        self.held = {}
        self.seen = set()
        self.marks = dict(PRICES)
        self.cash = 3_000_000.0
        self.client = {kind: self.desk.trade[kind] for kind in KINDS}
        for symbol in SYMBOLS:
            self.desk.show(symbol)

    @rule(
        symbol=st.sampled_from(SYMBOLS),
        bid=st.integers(-20, 20),
        last=st.integers(-20, 20),
        depth=st.integers(1, 9),
        traded=st.integers(0, 9),
    )
    def tick(self, symbol, bid, last, depth, traded):
        self.desk.show(
            symbol, bid=bid, ask=bid + 1, last=last, bids=depth, asks=depth, traded=traded
        )
        self.marks[symbol] = PRICES[symbol] + last * INSTRUMENTS[symbol].price_tick

    @rule(
        symbol=st.sampled_from(SYMBOLS),
        direction=st.sampled_from(["BUY", "SELL"]),
        offset=st.sampled_from(["OPEN", "CLOSE", "CLOSETODAY"]),
        volume=st.integers(1, 9),
        price=st.integers(-25, 25),
        fields=st.sampled_from(
            [{}, {"time_condition": "IOC"}, {"time_condition": "IOC", "volume_condition": "ALL"}]
        ),
    )
    def order(self, symbol, direction, offset, volume, price, fields):
        self.desk.order(symbol, direction, offset, volume, price, **fields)

    @precondition(lambda self: self.desk.number)
    @rule(data=st.data())
    def cancel(self, data):
        number = data.draw(st.integers(1, self.desk.number))
        self.desk.exchange.cancel("u", f"o{number}", self.desk.now)

    @rule(move=st.integers(-20, 20))
    def settle(self, move):
        self.book_new_trades()
        self.withdraw_what_works()
        for symbol in SYMBOLS:
            self.marks[symbol] = PRICES[symbol] + move * INSTRUMENTS[symbol].price_tick
        self.desk.exchange.settle(DAY, {symbol: self.marks[symbol] for symbol in SYMBOLS})
        self.desk.exchange.start_day(DAY)
        self.seen.clear()
        self.read()
        self.client["orders"].clear()  # kept by real clients; here compared with the snapshot
        self.client["trades"].clear()

    def withdraw_what_works(self):
        """End the day's last sessions, as before the settlement."""
        for symbol in SYMBOLS:
            self.desk.exchange.session_end(symbol)
        assert all(o["status"] == "FINISHED" for o in self.desk.trade["orders"].values())
        assert self.desk.trade["accounts"]["CNY"]["frozen_margin"] == 0.0

    def read(self):
        """Merge the diffs as a client does, and check each separately."""
        for diff in self.desk.exchange.take_diffs("u"):
            json.dumps(diff, allow_nan=False)
            for kind, rows in diff.get("trade", {"u": {}})["u"].items():
                for key, row in rows.items() if kind in self.client else ():
                    if row is None:
                        self.client[kind].pop(key, None)
                    else:
                        self.client[kind].setdefault(key, {}).update(row)
            self.no_order_ends_before_its_trades()

    def no_order_ends_before_its_trades(self):
        filled = {}
        for trade in self.client["trades"].values():
            order_id = trade["order_id"]
            filled[order_id] = filled.get(order_id, 0) + trade["volume"]
        for order_id, order in self.client["orders"].items():
            assert order["volume_orign"] - order["volume_left"] == filled.get(order_id, 0)

    def book_new_trades(self):
        """Keep separate books from the trades alone: cash and lots."""
        for trade_id, trade in self.desk.trade["trades"].items():
            if trade_id in self.seen:
                continue
            self.seen.add(trade_id)
            symbol = f"{trade['exchange_id']}.{trade['instrument_id']}"
            sign = 1 if trade["direction"] == "BUY" else -1
            side = (symbol, (trade["direction"] == "BUY") == (trade["offset"] == "OPEN"))
            lots = trade["volume"] if trade["offset"] == "OPEN" else -trade["volume"]
            self.held[side] = self.held.get(side, 0) + lots
            worth = trade["price"] * trade["volume"] * INSTRUMENTS[symbol].volume_multiple
            self.cash -= sign * worth + trade["commission"]

    @invariant()
    def books_balance(self):
        self.book_new_trades()
        told = self.desk.trade
        account = told["accounts"]["CNY"]
        balance = (
            account["static_balance"] + account["close_profit"] + account["position_profit"]
            - account["commission"]
        )  # fmt: skip
        assert round(balance, 2) == account["balance"]
        available = (
            account["balance"] - account["margin"] - account["frozen_margin"]
            - account["frozen_commission"]
        )  # fmt: skip
        assert round(available, 2) == account["available"]
        worth = 0.0
        for (symbol, long), lots in self.held.items():
            position = told["positions"].get(symbol, {})
            side = "long" if long else "short"
            assert lots == position.get(f"pos_{side}_today", 0) + position.get(f"pos_{side}_his", 0)
            mark = position.get("last_price", 0.0)
            sign = 1 if long else -1
            worth += sign * lots * mark * INSTRUMENTS[symbol].volume_multiple
        assert round(self.cash + worth, 2) == account["balance"]

    @invariant()
    def differences_add_up_to_the_snapshot(self):
        self.read()
        told = self.desk.trade
        assert self.client["orders"] == told["orders"]
        assert self.client["trades"] == told["trades"]
        for kind in ("positions", "accounts"):
            assert self.client[kind].keys() == told[kind].keys()
            for key, row in told[kind].items():
                mine = self.client[kind][key]
                assert {k: v for k, v in mine.items() if k not in MOVING} == {
                    k: v for k, v in row.items() if k not in MOVING
                }

    @invariant()
    def nobody_takes_more_than_there_is(self):
        for order in self.desk.trade["orders"].values():
            assert 0 <= order["volume_left"] <= order["volume_orign"]
            fok = order["volume_condition"] == "ALL"
            assert not fok or order["volume_left"] in (0, order["volume_orign"])

    @invariant()
    def frozen_never_exceeds_held(self):
        for position in self.desk.trade["positions"].values():
            for side in ("long", "short"):
                for kind in ("today", "his"):
                    frozen = position[f"volume_{side}_frozen_{kind}"]
                    assert 0 <= frozen <= position[f"volume_{side}_{kind}"]

    @invariant()
    def frozen_money_is_that_of_working_orders(self):
        account = self.desk.trade["accounts"]["CNY"]
        working = [o for o in self.desk.trade["orders"].values() if o["status"] == "ALIVE"]
        margin = sum(o["frozen_margin"] for o in working)
        assert round(margin, 2) == account["frozen_margin"]
        assert account["frozen_commission"] >= 0
        if not working:
            assert account["frozen_commission"] == 0


class PaperBooks(ProfitAndLoss):
    counter = KQ


class BrokersBooks(ProfitAndLoss):
    counter = CTP


TestBooks, TestPaperBooks, TestBrokersBooks = (
    machine.TestCase for machine in (ProfitAndLoss, PaperBooks, BrokersBooks)
)
for case in (TestBooks, TestPaperBooks, TestBrokersBooks):
    case.settings = settings(
        max_examples=60, stateful_step_count=40, deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )  # fmt: skip
del case
