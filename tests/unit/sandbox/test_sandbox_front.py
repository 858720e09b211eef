"""Faults of the counter, and actions of other terminals, without sockets."""

from datetime import datetime

import pytest

from tianqin_backtrader.core.clock import SECOND
from tianqin_backtrader.sandbox.exchange.counter import CTP, KQ
from tianqin_backtrader.sandbox.exchange.front import CHANGE_PASSWORD, Front
from tianqin_backtrader.sandbox.exchange.ledger import Notice
from tianqin_backtrader.sandbox.faults import FaultError
from tianqin_backtrader.sandbox.server import SandboxOptions, make_engine

MORNING = datetime(2026, 11, 10, 9, 31)
M, CU = "DCE.m2701", "SHFE.cu2612"
NAMES = ("accounts", "positions", "orders", "trades")


class Session:
    """A user's connection to a venue whose clock the test sets."""

    def __init__(self, counter, **options):
        options = {"start": MORNING, "query_seconds": 0.5, "commission": "zero"} | options
        self.engine = make_engine(SandboxOptions(**options, counter=counter))
        self.floor = self.engine.floor
        self.packs, self.notices = [], []
        self.data = {name: {} for name in NAMES}
        self.number = 0
        self.login()

    def login(self):
        self.read(self.floor.login("u", 10_000_000.0))
        self.wait(4)

    def read(self, parcels):
        for parcel in parcels:
            for diff in parcel.diffs:
                self.notices += [one["code"] for one in diff.get("notify", {}).values()]
                told = diff.get("trade", {}).get("u", {})
                self.packs.append(told)
                for name in NAMES:
                    self.data[name] |= told.get(name, {})

    def wait(self, seconds):
        timeline = self.floor.timeline
        self.hear(timeline.now_ns)
        end = timeline.now_ns + int(seconds * SECOND)
        while True:
            moments = [self.floor.due_ns(), timeline.next_time()]
            moment = min((one for one in moments if one is not None), default=end + 1)
            if moment > end:
                break
            if moment == timeline.next_time():
                self.floor.step()
            timeline.advance_clock(moment)
            self.hear(moment)
        timeline.advance_clock(end)
        self.hear(end)

    def hear(self, now):
        for _, parcels in self.floor.take_news(now):
            self.read(parcels)

    def order(self, symbol=M, direction="BUY", offset="OPEN", volume=1, price=None):
        self.number += 1
        pack = pack_of(symbol, direction, offset, volume, price)
        pack = self.floor._priced(pack) | {"order_id": f"o{self.number}"}
        self.floor.insert("u", pack)
        return pack["order_id"]

    def exact(self, name):
        return self.floor.exchange.snapshot("u")["trade"]["u"][name]


def pack_of(symbol, direction, offset, volume, price=None):
    exchange_id, code = symbol.split(".")
    return {
        "exchange_id": exchange_id, "instrument_id": code, "direction": direction,
        "offset": offset, "volume": volume, "price_type": "LIMIT", "limit_price": price,
    }  # fmt: skip


COUNTERS = pytest.mark.parametrize("counter", ["plain", "kq", "ctp"])


def test_a_refused_login_is_ctps_number_and_then_the_gateways_word():
    front = Front(CTP)
    front.refuse_login(None, Notice(3, "CTP:不合法的登录"), 2)
    for _ in range(2):
        first, second = front.login_refusal("u")
        assert (first.code, first.content) == (3, "交易服务器登录失败,CTP:不合法的登录")
        assert (second.code, second.content, second.warning) == (345, "用户登录失败!", False)
    assert front.login_refusal("u") == []


def test_a_password_that_must_be_changed_has_codes_of_its_own():
    front = Front(CTP)
    front.refuse_login("u", CHANGE_PASSWORD, 1)
    assert front.login_refusal("v") == []
    assert [one.code for one in front.login_refusal("u")] == [140, 346]


def test_the_paper_account_says_less():
    front = Front(KQ)
    front.refuse_login(None, Notice(3, "x"), 1)
    assert [one.code for one in front.login_refusal("u")] == [403]


@COUNTERS
@pytest.mark.parametrize("request_", ["insert_order", "cancel_order"])
def test_a_swallowed_request_is_answered_with_nothing(counter, request_):
    session = Session(counter)
    one = session.order(price=session.floor.day_facts(M).lower_limit)
    session.wait(2)
    session.packs.clear()
    session.notices.clear()
    session.floor.front.swallow(request_, None, 1)
    if request_ == "insert_order":
        session.order()
    else:
        session.floor.cancel("u", one)
    session.wait(0.4)
    assert session.notices == [] and set(session.exact("orders")) == {one}
    assert session.exact("orders")[one]["status"] == "ALIVE"
    session.floor.cancel("u", one)
    assert session.exact("orders")[one]["status"] == "FINISHED"


@COUNTERS
def test_a_refusal_by_notice_has_no_order(counter):
    session = Session(counter)
    session.floor.front.answer("insert_order", "u", Notice(333, "当前时间不支持下单!"), 1)
    session.order()
    session.wait(2)
    assert session.notices[-1] == 333
    assert session.data["orders"] == session.exact("orders") == {}


@COUNTERS
def test_late_positions_come_by_themselves(counter):
    session = Session(counter)
    session.order(volume=2)
    session.wait(5)
    session.floor.front.late(None, 2.0, 1)
    [picture] = [
        diff["trade"]["u"]
        for parcel in session.floor.login("u", 0.0)
        for diff in parcel.diffs
        if "accounts" in diff.get("trade", {}).get("u", {})
    ]
    assert picture["positions"] == {} and picture["orders"] and picture["accounts"]
    session.data["positions"].clear()
    session.wait(1.9)
    assert session.data["positions"].get(M, {}).get("volume_long") is None
    session.wait(0.2)
    assert session.data["positions"][M]["volume_long"] == 2


def test_orders_of_forgotten_ids_come_back_under_the_same_exchange_number():
    session = Session("ctp")
    done, alive = session.order(), session.order(price=session.floor.day_facts(M).lower_limit)
    session.wait(5)
    before = dict(session.data["orders"])
    [view] = session.floor.users.values()
    assert view.forget_ids() == 2
    session.data = {name: {} for name in NAMES}
    session.login()
    after = session.data["orders"]
    assert all(name.startswith("SERVER.") for name in after) and len(after) == 2
    numbers = {row["exchange_order_id"]: name for name, row in after.items()}
    assert set(numbers) == {before[one]["exchange_order_id"] for one in (done, alive)}
    [trade] = session.data["trades"].values()
    assert trade["order_id"] == numbers[before[done]["exchange_order_id"]]
    session.floor.cancel("u", alive)
    session.wait(1)
    assert session.notices[-1] == 354
    new = numbers[before[alive]["exchange_order_id"]]
    session.floor.cancel("u", new)
    session.wait(1)
    assert session.data["orders"][new]["status"] == "FINISHED"
    assert session.data["positions"][M]["pos_long_today"] == 1


@pytest.mark.parametrize("tells", [False, True])
def test_a_lost_front_keeps_everything_back_until_it_is_there_again(tells):
    session = Session("ctp")
    one = session.order(price=session.floor.day_facts(M).lower_limit)
    session.wait(3)
    [view] = session.floor.users.values()
    view.lose_front(session.floor.timeline.now_ns + 5 * SECOND, tells=tells)
    session.wait(0)
    assert session.notices[-1] == 322
    session.order()
    session.floor.cancel("u", one)
    session.floor.foreign_order("u", pack_of(M, "SELL", "OPEN", 2), trade_first=False)
    session.packs.clear()
    session.wait(4.5)
    assert session.notices[-2:] == ([358, 355] if tells else [322, 355])
    assert not any(session.packs)
    session.wait(4)
    assert {320, 323} <= set(session.notices)
    assert session.data["positions"][M]["pos_short_today"] == 2
    assert session.data["orders"][one]["status"] == "ALIVE"


@COUNTERS
def test_an_order_of_another_terminal_is_told_like_any_other(counter):
    session = Session(counter)
    done = session.floor.foreign_order(None, pack_of(M, "SELL", "OPEN", 2), trade_first=False)
    session.wait(5)
    order = session.data["orders"][done["order_id"]]
    assert order["status"] == "FINISHED" and order["volume_left"] == 0
    assert done["order_id"].startswith("SERVER." if counter == "ctp" else "other_")
    assert session.data["positions"][M]["pos_short_today"] == 2
    assert not {328, 329} & set(session.notices)


@COUNTERS
def test_a_trade_can_be_told_a_moment_before_its_order(counter):
    session = Session(counter)
    session.packs.clear()
    done = session.floor.foreign_order(None, pack_of(M, "SELL", "OPEN", 2), trade_first=True)
    session.wait(5)
    told = [
        kind
        for pack in session.packs
        for kind in ("trades", "orders")
        if any(row["order_id"] == done["order_id"] for row in pack.get(kind, {}).values())
    ]
    assert told[0] == "trades" and set(told[1:]) == {"orders"}
    assert session.data["orders"][done["order_id"]]["status"] == "FINISHED"


@COUNTERS
def test_a_trade_without_any_order_moves_lots_and_money(counter):
    session = Session(counter)
    session.order(volume=3)
    session.wait(5)
    before = session.exact("accounts")["CNY"]["commission"]
    orders = set(session.data["orders"])
    session.floor.foreign_trade(None, pack_of(M, "SELL", "CLOSE", 2))
    session.wait(5)
    assert session.exact("positions")[M]["pos_long_today"] == 1
    assert session.exact("accounts")["CNY"]["commission"] > before
    assert session.data["positions"][M]["pos_long_today"] == 1
    assert set(session.data["orders"]) == orders
    [trade] = [row for row in session.data["trades"].values() if row["order_id"] == ""]
    assert (trade["direction"], trade["offset"], trade["volume"]) == ("SELL", "CLOSE", 2)


def test_lots_that_an_order_has_claimed_are_not_forced_away():
    session = Session("kq")
    session.order(volume=2)
    session.order(direction="SELL", offset="CLOSE", price=session.floor.day_facts(M).upper_limit)
    with pytest.raises(FaultError, match="not enough lots free"):
        session.floor.foreign_trade(None, pack_of(M, "SELL", "CLOSE", 2))
    session.floor.foreign_trade(None, pack_of(M, "SELL", "CLOSE", 1))
    assert session.exact("positions")[M]["pos_long_today"] == 1


def test_nobody_is_another_hand_on_no_account():
    engine = make_engine(SandboxOptions())
    with pytest.raises(FaultError, match="logged in"):
        engine.floor.foreign_order(None, pack_of(M, "BUY", "OPEN", 1), trade_first=False)
