"""A restarted gateway lists our orders under other ids: they are recognised as ours."""

import shutil
import time

import backtrader as bt
import pytest
from e2e_script import CU, MORNING
from td_relay import td_relay, trades_of
from test_restart import Program, exchange_orders, resting

from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox


class Restarted:
    """A gateway without its file of ids, as the client and the exchange see it."""

    def __init__(self, relay):
        self.made_up = {}
        relay.change, relay.change_asked = self.change, self.change_asked

    def name(self, order_id):
        number = len(self.made_up) + 1
        return self.made_up.setdefault(order_id, f"SERVER.{number:>12}.-1532.1")

    def change(self, differences):
        for _, trade in trades_of(differences):
            orders, trades = trade.get("orders", {}), trade.get("trades", {})
            for order_id in [one for one in orders if not self.is_new(one)]:
                orders[self.name(order_id)] = orders.pop(order_id) | {
                    "order_id": self.name(order_id)
                }
            for key in list(trades):
                order_id, _, rest = key.partition("|")
                if not self.is_new(order_id):
                    name = self.name(order_id)
                    trades[f"{name}|{rest}"] = trades.pop(key) | {"order_id": name}
        return differences

    def is_new(self, order_id):
        return order_id in self.new

    new = frozenset()

    def change_asked(self, pack):
        back = {made: order_id for order_id, made in self.made_up.items()}
        if pack.get("aid") == "insert_order":
            self.new |= {pack["order_id"]}
        if pack.get("aid") == "cancel_order" and pack["order_id"] not in self.new:
            pack = pack | {"order_id": back[pack["order_id"]]}
        return pack


@pytest.fixture
def relay():
    # Its trade ids begin with the order's id, as at a futures company's gateway.
    market = EmbeddedSandbox(start=MORNING, days=2, ticks_per_pack=5, counter="plain")
    with market as box, td_relay(box.urls) as one:
        one.box = box
        yield one


def filled(program, lots=2):
    order = program.broker.buy_open(CU, lots, program.quote.ask_price1 + 100)
    program.until(lambda: not order.alive())
    return order


def test_after_a_restart_of_both_orders_and_trades_are_known_by_their_numbers(relay, tmp_path):
    with Program(relay, tmp_path) as first:
        bought = filled(first)
        order = resting(first)
        number = order.legs[0].exchange_order_id
    Restarted(relay)
    with Program(relay, tmp_path) as second:
        assert second.broker.foreign_orders == {}
        assert second.broker.getposition(CU).size == second.lots("long") == 2
        [found] = second.broker.get_orders_open()
        assert found.legs[0].exchange_order_id == number
        assert second.told == []
        second.broker.cancel(found)
        second.until(lambda: not found.alive())
        second.turn()
        assert second.words() == ["Canceled"]
        assert bought.legs[0].order_id in {one.legs[0].order_id for one in
                                           second.broker.get_all_orders()}  # fmt: skip
    withdrawn = [one for one in relay.asked if one["aid"] == "cancel_order"]
    assert withdrawn[-1]["order_id"].startswith("SERVER.")


def test_within_a_run_an_order_goes_on_under_the_gateways_id(relay, tmp_path):
    with Program(relay, tmp_path) as first:
        order = resting(first)
        filled(first)
        gateway = Restarted(relay)
        sessions = first.store.reconnector.sessions
        relay.box.fault("drop", conn="td")
        first.until(lambda: first.store.reconnector.sessions > sessions)
        first.until(lambda: gateway.made_up and first.store.trading_up)
        for _ in range(60):  # until an unknown order would be LOST
            first.turn()
        assert order.alive() and first.broker.foreign_orders == {}
        assert first.broker.getposition(CU).size == first.lots("long") == 2
        later = filled(first, 1)
        assert later.status == bt.Order.Completed
        first.broker.cancel(order)
        first.until(lambda: not order.alive())
        first.turn()
        assert order.status == bt.Order.Canceled
        assert first.words().count("Canceled") == 1


def sent_unseen(box, program):
    """Send an order that the exchange has and whose report the client has not read."""
    order = program.broker.buy_open(CU, 2, program.quote.ask_price1 + 100)
    deadline = time.monotonic() + 10
    while not exchange_orders(box):
        assert time.monotonic() < deadline, "the order never came to the exchange"
    assert box.fault("forget_order_ids") == {"orders": 1}
    return order


@pytest.fixture(params=[{}, {"tells_time": False}], ids=["told", "silent"])
def ctp(request):
    market = {"start": MORNING, "days": 2, "ticks_per_pack": 5, "counter": "ctp"}
    with EmbeddedSandbox(**market, **request.param) as box:
        yield box


def test_an_order_on_its_way_is_known_by_its_content(ctp, tmp_path):
    with Program(ctp, tmp_path) as first:
        order = sent_unseen(ctp, first)
        assert not order.legs[0].exchange_order_id
        first.until(lambda: not order.alive())
        first.until(lambda: first.lots("long") == 2)
        assert order.status == bt.Order.Completed
        assert first.broker.getposition(CU).size == 2
        assert first.broker.foreign_orders == {}
        assert [first.words().count(word) for word in ("Submitted", "Completed")] == [1, 1]


def test_an_order_on_its_way_at_a_kill_is_known_by_its_record(ctp, tmp_path):
    with Program(ctp, tmp_path / "live") as first:
        order = sent_unseen(ctp, first)
        shutil.copytree(tmp_path / "live", tmp_path / "killed")
    with Program(ctp, tmp_path / "killed") as second:
        second.until(lambda: second.broker.getposition(CU).size == second.lots("long") == 2)
        assert second.broker.foreign_orders == {}
        [found] = second.broker.get_all_orders()
        assert found.legs[0].order_id == order.legs[0].order_id
        second.turn()
        assert second.words()[-1] == "Completed"


def test_trades_of_another_program_are_known_by_their_numbers(tmp_path):
    """The next run gets that program's trades under other ids, and counts them once."""
    with EmbeddedSandbox(start=MORNING, days=2, ticks_per_pack=5, counter="ctp") as box:
        with Program(box, tmp_path / "one") as first, Program(box, tmp_path / "two") as other:
            filled(first, 1)
            filled(other, 3)
            first.until(lambda: first.broker.getposition(CU).size == first.lots("long") == 4)
        assert box.fault("forget_order_ids") == {"orders": 2}
        for _ in range(2):
            with Program(box, tmp_path / "one") as next_one:
                assert next_one.broker.getposition(CU).size == 4
                next_one.turn()
                assert next_one.told == []
