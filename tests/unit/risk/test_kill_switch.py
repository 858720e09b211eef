"""How all positions are closed, attempt by attempt."""

from datetime import datetime
from types import SimpleNamespace

import pytest
from desk_on_stubs import SYMBOL, StubbedDesk

from tianqin_backtrader.core.clock import to_ns
from tianqin_backtrader.core.model import Direction
from tianqin_backtrader.risk.kill_switch import FLATTEN_AGAIN, FLATTEN_TRIES, Close, KillSwitch

HELD = Close(SYMBOL, Direction.SELL, 3, stays=True)


class Flattened:
    """A kill switch that has begun, on an account of three long lots."""

    def __init__(self):
        self.desk = StubbedDesk(today=3)
        self.desk.context.takes_orders = lambda symbol: self.desk.pre_trade.is_open
        self.switch = KillSwitch(self.desk.context, self.desk.line, self.desk.account)
        self.switch.begin()

    def round(self, *working):
        """One round, so much later that an attempt may follow another."""
        self.desk.now += FLATTEN_AGAIN
        return self.switch.on_round(working)

    @property
    def notes(self):
        return [text for text, _ in self.desk.notes]


@pytest.fixture
def at():
    return Flattened()


def test_lots_are_closed_and_asked_about_once_in_two_seconds(at):
    assert at.round() == [HELD]
    assert at.switch.on_round(()) == []
    assert at.round() == [HELD]


def test_nothing_is_sent_beside_an_order_that_is_out(at):
    assert at.round(SYMBOL) == []


def test_nothing_is_sent_while_the_market_or_the_link_is_down(at):
    at.desk.pre_trade.is_open = False
    assert at.round() == []
    at.desk.link(up=False)
    assert at.round() == []
    at.desk.link(up=True)
    assert at.round() == [HELD]


def test_two_sides_never_stay_at_the_limits_together(at):
    at.desk.gateway.held["pos_short_today"] = 2
    assert [(close.direction, close.lots, close.stays) for close in at.round()] == [
        (Direction.SELL, 3, False), (Direction.BUY, 2, False),
    ]  # fmt: skip


def test_it_ends_when_nothing_is_held_and_nothing_is_out(at):
    at.desk.gateway.held["pos_long_today"] = 0
    assert (at.round(SYMBOL), at.switch.busy) == ([], True)
    assert (at.round(), at.switch.busy) == ([], False)
    assert at.notes == ["flatten: nothing is held any more"]


def test_after_thirty_attempts_in_vain_a_contract_is_given_up_once(at):
    assert [at.round() for _ in range(FLATTEN_TRIES)] == FLATTEN_TRIES * [[HELD]]
    assert at.switch.busy
    assert [at.round() for _ in range(3)] == 3 * [[]]
    assert not at.switch.busy
    assert at.notes == [f"flatten: given up, still held: {SYMBOL}"]


@pytest.mark.parametrize("what", ["a fill", "another day"])
def test_what_changes_something_begins_the_count_anew(at, what):
    for _ in range(FLATTEN_TRIES):
        at.round()
    if what == "a fill":
        at.desk.gateway.held["pos_long_today"] = 2
    else:
        at.desk.now = to_ns(datetime(2026, 1, 6, 10))
    assert len([at.round() for _ in range(FLATTEN_TRIES)][-1]) == 1
    assert at.notes == []


def test_contracts_are_given_up_one_by_one(at):
    position = {"pos_long": 3, "pos_short": 0}
    other = "SHFE.cu2612"
    held = {SYMBOL: position}
    at.switch._account = SimpleNamespace(account_positions=lambda: held)
    for _ in range(FLATTEN_TRIES):
        at.round()
    held[other] = position
    assert [close.symbol for close in at.round()] == [other]
    assert at.switch.busy
