"""Trades of another terminal on the account are notified, booked once, and delay nothing."""

from collections import Counter
from contextlib import contextmanager

import backtrader as bt
import pytest
from e2e_script import CU, MORNING, M
from td_relay import td_relay, trades_of
from test_restart import Program

from tianqin_backtrader.core.clock import monotonic
from tianqin_backtrader.gateway.supervisor import State
from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox

RB, DAY = "SHFE.rb2701", "2026-11-10"
#: Seconds: less than the time-out of a request, more than a loaded machine needs.
HELD_UP = 5.0
FORCED = {
    "exchange_id": "SHFE", "instrument_id": "cu2612", "direction": "BUY", "offset": "OPEN",
    "user_id": "sandbox", "trade_date_time": 0, "exchange_trade_id": "  77", "commission": "-",
}  # fmt: skip


@pytest.fixture
def box():
    with EmbeddedSandbox(start=MORNING, days=2, ticks_per_pack=5) as box:
        yield box


@pytest.fixture
def relay(box):
    with td_relay(box.urls) as relay:
        yield relay


@pytest.fixture
def program(relay, tmp_path):
    def make(**options):
        return Program(relay, tmp_path, **options)

    return make


class Held:
    """Holds back a branch of the packs until ``let_go``."""

    def __init__(self, relay, branch, starts_with=""):
        self.relay, self.branch, self.head = relay, branch, starts_with
        self.parts = []
        relay.change = self.change

    def change(self, differences):
        for user, trade in trades_of(differences):
            for key in [one for one in trade.get(self.branch, {}) if one.startswith(self.head)]:
                part = {self.branch: {key: trade[self.branch].pop(key)}}
                self.parts.append({"trade": {user: part}})
        return differences

    def let_go(self):
        self.relay.change = list
        self.relay.send(*self.parts)


def said(program, words):
    return [text for text, *_ in program.store.context.unsaid if words in str(text)]


def net(program, symbol=CU):
    return program.broker.getposition(symbol).size


def agree(program):
    """Return whether the library's books and the account agree, if no report is missing."""
    balance, account = program.broker.balance(), program.broker.get_account()
    return abs(balance.equity - account["balance"]) < 0.01


def test_a_trade_that_comes_before_its_order_is_booked_once(relay, program):
    with program() as first:
        orders = Held(relay, "orders", "other")
        relay.order("other1", CU, "BUY", "OPEN", 2, first.quote.ask_price1 + 100)
        first.until(lambda: net(first) == 2)
        assert first.broker.foreign_orders == {}
        [_] = said(first, "a trade whose order this program has not sent")
        orders.let_go()
        first.until(lambda: first.broker.foreign_orders)
        [leg] = first.broker.foreign_orders.values()
        assert (leg.over, leg.filled, net(first)) == (True, 2, 2)
        first.until(lambda: agree(first), 50)
        assert len(said(first, "this program has not sent")) == 2


def test_a_trade_without_any_order_is_booked_by_its_own_fields(relay, program):
    """It may be a forced close or an exchange for physicals, at a start or in a run."""
    with program() as first:
        orders = Held(relay, "orders", "other")
        relay.order("other1", CU, "BUY", "OPEN", 2, first.quote.ask_price1 + 100)
        first.until(lambda: net(first) == 2)
        assert "other1" not in first.store.gateway.trading.known_orders()
        first.turn()
        assert len(said(first, "a trade whose order")) == 1
        with program_of_another(relay, first) as second:
            assert net(second) == second.lots("long") == 2
            assert second.broker.foreign_orders == {}
            assert agree(second)
        assert orders.parts


def program_of_another(relay, first):
    """End the first program, and start another one with its records."""
    first.end()
    return Program(relay, first.broker.p.records)


def test_a_trade_of_which_not_all_has_come_waits(relay, program):
    """A trade without a time or an order counts as one of now."""
    with program() as first:
        half = {name: value for name, value in FORCED.items() if name != "direction"}
        trade = {"trade_id": "|77", "order_id": "", "price": first.quote.last_price, "volume": 1}
        relay.tell(trades={"|77": half | trade})
        for _ in range(5):
            first.turn()
        assert net(first) == 0
        relay.tell(trades={"|77": FORCED | trade})
        first.until(lambda: net(first) == 1)
        assert len(said(first, "a trade whose order")) == 1


@contextmanager
def timed(program):
    """Collect how long each turn takes, seconds."""
    turn, lengths = program.turn, []

    def measured():
        began = monotonic()
        turn()
        lengths.append(monotonic() - began)

    program.turn = measured
    yield lengths
    program.turn = turn


@pytest.mark.parametrize("how", [pytest.param("freeze", marks=pytest.mark.slow), "refuse"])
def test_a_strangers_trade_stops_no_round_while_market_data_is_away(box, relay, program, how):
    """Its contract is unknown: its lots count at once, its money once the contract is known."""
    with program() as first:
        price = box.ticks(RB, trading_day=DAY)[-1]["last_price"] + 50
        take_market_data_away(box, first, how)
        relay.order("other1", RB, "BUY", "OPEN", 3, price)
        with timed(first) as lengths:
            first.until(lambda: net(first, RB) == 3, 100)
            assert first.store.known_instrument(RB) is None
            # Until a new session would be made, if the server answered.
            first.until(lambda: first.store.reconnector.state is State.BACKOFF)
            assert first.store.trading_up
            assert net(first, RB) == first.broker.get_account_position(RB)["pos_long"]
        assert max(lengths) < HELD_UP, f"a round took {max(lengths):.2f} s"
        bring_market_data_back(box, how)
        first.until(lambda: first.store.known_instrument(RB))
        first.until(lambda: agree(first), 100)
        assert Counter(type(one).__name__ for one in first.broker.foreign_orders.values())


def take_market_data_away(box, program, how):
    if how == "freeze":
        box.fault("freeze", conn="md", later=True)
    else:
        box.fault("refuse", conn="md", seconds=1e6)
        box.fault("drop", conn="md")
        program.until(lambda: not program.store.market_data_up)


def bring_market_data_back(box, how):
    if how == "freeze":
        box.fault("thaw", conn="md")
    else:
        box.fault("refuse", conn="md", seconds=0)


@pytest.mark.parametrize("how", ["freeze", "refuse"])
def test_an_exit_leaves_at_once_while_market_data_is_away(box, relay, program, how, monkeypatch):
    monkeypatch.setattr("tianqin_backtrader.store.HURRIED", 0.5)  # the value outside of tests
    with program() as first:
        broker = first.broker
        bought = broker.buy_open(CU, 2, first.quote.ask_price1 + 100)
        first.until(lambda: not bought.alive())
        take_market_data_away(box, first, how)
        began = monotonic()
        data = broker._orders.data(CU)
        order = broker.sell(None, data, 2, None, exectype=bt.Order.Market)
        trail = broker.sell(None, data, 1, None, exectype=bt.Order.StopTrail, trailamount=500)
        unknown = broker.buy_open(M, 1)
        lots = broker.max_lots(CU)
        took = monotonic() - began
        assert took < HELD_UP, f"{took:.2f} s"
        assert lots > 0
        assert not unknown.alive() and "not known" in unknown.info.reason
        with timed(first) as lengths:
            first.until(lambda: not order.alive(), 100)
        assert order.status == bt.Order.Completed
        assert max(lengths) < HELD_UP
        broker.cancel(trail)


def test_the_first_order_of_a_new_session_does_not_wait_for_market_data(box, relay, program):
    """The new session's client does not know the contract yet."""
    with program() as first:
        limit = first.store.instrument(M).upper_limit
        box.fault("drop", conn="all")
        sessions = first.store.reconnector.sessions
        first.store.reconnector.trading_silent()
        first.until(lambda: first.store.reconnector.sessions > sessions)
        box.fault("freeze", conn="md", later=True)
        began = monotonic()
        order = first.broker.buy_open(M, 1, limit)
        assert monotonic() - began < HELD_UP
        with timed(first) as lengths:
            first.until(lambda: not order.alive(), 100)
        assert order.status == bt.Order.Completed
        assert max(lengths) < HELD_UP


def test_the_contract_behind_a_main_contract_is_known_before_it_is_traded(box, relay, program):
    with program() as first:
        store = first.store
        store.getdata("KQ.m@SHFE.cu")
        behind = store.instrument("KQ.m@SHFE.cu").underlying_symbol
        for _ in range(20):
            first.turn()
        assert store.known_instrument(behind) is not None  # it was requested before
