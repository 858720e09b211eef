"""Lots and waiting orders of contracts that have expired."""

from dataclasses import replace
from datetime import datetime, timedelta
from math import nan
from types import SimpleNamespace

import backtrader as bt
import pytest
from desk_on_stubs import RB, SYMBOL, StubbedDesk

from tianqin_backtrader.account.allocation import LotsChange
from tianqin_backtrader.core.clock import SECOND, to_ns
from tianqin_backtrader.core.model import Direction
from tianqin_backtrader.errors import LinkError
from tianqin_backtrader.orders.ticket import Stage
from tianqin_backtrader.reconciliation import expiry
from tianqin_backtrader.reconciliation.expiry import PATIENCE, ExpirySettlement

LAST_CLOSE = datetime(2026, 1, 5, 15)
NO_PRICE = 1.7976931348623157e308


class Expiring(StubbedDesk):
    """A desk on the last trading day of its contract."""

    def __init__(self, today=3, *, shorts=0, **fields):
        super().__init__()
        self.gateway.held |= {"pos_long_today": today, "pos_short_today": shorts}
        self.account.begin(1e6)
        self.say(expire_datetime=LAST_CLOSE, **fields)
        self.contracts.known = self.contracts.at_hand.get
        self.contracts.absent = lambda symbol: False
        self.price_is(nan)
        self.expiry = ExpirySettlement(self.account, self.manager, self.gateway)

    def say(self, **fields):
        """Set fields of the contract's specification."""
        self.contracts.at_hand[SYMBOL] = replace(self.contracts.at_hand[SYMBOL], **fields)

    def price_is(self, price):
        """Set the settlement price of the quote."""
        book = SimpleNamespace(settlement=price, bid_price1=3000.0, ask_price1=3001.0)
        self.gateway.quote = lambda symbol: book

    def next_day(self, *, shown=0):
        """Begin the next trading day; the account shows this many long lots."""
        self.now = to_ns(LAST_CLOSE + timedelta(days=1))
        self.show(shown)

    def show(self, lots):
        self.gateway.held |= {"pos_long_today": lots, "pos_short_today": 0}
        position = self.gateway.position
        self.gateway.position = lambda symbol: position(symbol) | {"pos": lots}

    @property
    def lots(self):
        return [self.account.booked(SYMBOL, side) for side in (Direction.SELL, Direction.BUY)]


@pytest.fixture
def clock(monkeypatch):
    """Set the machine's nanoseconds by hand."""
    now = [100 * SECOND]
    monkeypatch.setattr(expiry, "passed_ns", lambda: now[0])
    return now


# -- lots -----------------------------------------------------------------------------------------


def test_lots_are_settled_at_the_settlement_price_once_and_this_is_notified():
    at = Expiring()
    at.price_is(3050.0)
    before = at.account.books.balance({SYMBOL: 3000.0}).equity
    at.next_day()
    assert at.expiry.on_round()
    assert (at.lots, at.account.net_lots(), at.expiry.expiring) == ([0, 0], {}, set())
    assert at.account.books.balance({}).equity == before + 3 * 50.0 * RB.volume_multiple
    assert at.account.take_moved() == [LotsChange(SYMBOL, -3, 3050.0)]
    [(text, facts)] = at.notes
    assert text == f"{SYMBOL} has expired: 3 lots were settled at 3050.0"
    assert facts == {"symbol": SYMBOL, "lots": 3, "price": 3050.0}
    assert not at.expiry.on_round() and len(at.notes) == 1


def test_short_lots_lose_what_the_price_has_risen():
    at = Expiring(0, shorts=2)
    at.price_is(3050.0)
    before = at.account.books.balance({SYMBOL: 3000.0}).equity
    at.next_day()
    assert at.expiry.on_round()
    assert at.account.books.balance({}).equity == before - 2 * 50.0 * RB.volume_multiple
    assert at.notes[0][1]["lots"] == -2


def test_both_sides_of_a_locked_position_are_settled():
    at = Expiring(2, shorts=2)
    at.price_is(3050.0)
    at.next_day()
    assert at.expiry.on_round()
    assert at.lots == [0, 0]


def test_on_the_last_day_before_the_close_the_lots_stay():
    at = Expiring()
    at.price_is(3050.0)
    at.show(0)  # the account has not shown them yet
    assert not at.expiry.on_round()
    assert (at.lots, at.expiry.expiring) == ([3, 0], set())


@pytest.mark.parametrize("ends", [None, LAST_CLOSE + timedelta(days=9)])
def test_a_contract_that_lives_on_keeps_its_lots(ends):
    at = Expiring()
    at.price_is(3050.0)
    at.say(expire_datetime=ends)
    at.next_day()
    assert not at.expiry.on_round()
    assert (at.lots, at.expiry.expiring, at.notes) == ([3, 0], set(), [])


def test_a_contract_that_lived_on_yesterday_is_checked_again_on_the_next_day():
    at = Expiring()
    at.price_is(3050.0)
    assert not at.expiry.on_round()
    at.next_day()
    assert at.expiry.on_round()


def test_a_contract_that_tianqin_calls_expired_is_settled_without_a_date():
    at = Expiring()
    at.say(expire_datetime=None, expired=True)
    at.price_is(3050.0)
    at.next_day()
    assert at.expiry.on_round()


def test_lots_that_the_account_still_shows_are_waited_for():
    at = Expiring()
    at.price_is(3050.0)
    at.next_day(shown=3)
    assert not at.expiry.on_round()
    assert (at.lots, at.expiry.expiring) == ([3, 0], {SYMBOL})
    at.show(0)
    assert at.expiry.on_round()


def test_a_contract_that_is_not_known_yet_is_waited_for():
    at = Expiring()
    at.price_is(3050.0)
    at.next_day()
    found = at.contracts.at_hand.pop(SYMBOL)
    assert not at.expiry.on_round()
    assert (at.lots, at.expiry.expiring) == ([3, 0], {SYMBOL})
    at.contracts.at_hand[SYMBOL] = found
    assert at.expiry.on_round()


def test_without_lots_nothing_is_settled():
    at = Expiring(0)
    at.price_is(3050.0)
    at.next_day()
    assert not at.expiry.on_round()
    assert (at.notes, at.expiry.expiring) == ([], set())


# -- the price ------------------------------------------------------------------------------------


@pytest.mark.parametrize("price", [nan, 0.0, NO_PRICE])
def test_a_settlement_price_that_does_not_come_is_replaced_by_that_of_the_day_before(price, clock):
    at = Expiring()
    at.price_is(price)
    at.next_day()
    assert not at.expiry.on_round()
    clock[0] += PATIENCE
    assert not at.expiry.on_round()
    assert at.lots == [3, 0]
    clock[0] += 1
    assert at.expiry.on_round()
    assert at.notes[0][1]["price"] == RB.pre_settlement


def test_a_settlement_price_that_comes_late_is_used(clock):
    at = Expiring()
    at.next_day()
    assert not at.expiry.on_round()
    clock[0] += PATIENCE + 1
    at.price_is(3050.0)
    assert at.expiry.on_round()
    assert at.notes[0][1]["price"] == 3050.0


def test_quotes_that_cannot_be_read_do_not_stop_the_settlement(clock):
    def fail(symbol):
        raise LinkError("no quotes")

    at = Expiring()
    at.gateway.quote = fail
    at.next_day()
    assert not at.expiry.on_round()
    clock[0] += PATIENCE + 1
    assert at.expiry.on_round()


@pytest.mark.parametrize("kind", ["OPTION", "FUTURE_OPTION"])
def test_an_option_may_end_at_nothing(kind, clock):
    at = Expiring(ins_class=kind)
    at.price_is(0.0)
    at.next_day()
    assert at.expiry.on_round()
    assert at.notes[0][1]["price"] == 0.0


@pytest.mark.parametrize("price", [nan, NO_PRICE])
def test_an_option_without_a_price_is_waited_for_too(price, clock):
    at = Expiring(ins_class="OPTION")
    at.price_is(price)
    at.next_day()
    assert not at.expiry.on_round()
    assert at.lots == [3, 0]


# -- orders that wait -----------------------------------------------------------------------------


def ends(at, ticket):
    at.engine.follow_up()
    return at.ends_of(ticket), ticket.order.info.get("reason")


@pytest.mark.parametrize("stage", [Stage.WATCHED, Stage.QUEUED])
def test_an_order_that_waits_on_an_expired_contract_expires_with_the_reason(stage):
    at = Expiring()
    if stage is Stage.WATCHED:
        ticket = at.hold(3, 2950.0)
    else:
        at.pre_trade.is_open = False
        ticket = at.place(3, 3050.0, exectype=bt.Order.Limit)
    at.expiry.on_round()
    assert (ticket.stage, ends(at, ticket)) == (stage, ([], None))
    at.next_day()
    at.expiry.on_round()
    assert ends(at, ticket) == (["Expired"], f"{SYMBOL} has expired")
    assert (at.held.watched, at.manager.queued, at.gateway.sent) == ({}, {}, [])


def test_children_that_wait_for_their_parent_expire_too():
    at = Expiring(0)
    at.pre_trade.is_open = False
    entry = at.ticket(3, 2990.0, kind=bt.BuyOrder, exectype=bt.Order.Limit)
    stop = at.ticket(3, 2950.0, exectype=bt.Order.Stop)
    at.held.place(entry, None, None, False)
    at.held.place(stop, entry.order, None, True)
    at.next_day()
    at.expiry.on_round()
    assert (ends(at, entry)[0], ends(at, stop)[0]) == (["Expired"], ["Expired"])


def test_orders_at_the_exchange_and_on_other_contracts_are_left_alone():
    at = Expiring(6)
    works = at.place(3, 3050.0, exectype=bt.Order.Limit)
    over = at.hold(1, 2950.0)
    at.held.cancel(over)
    other = at.hold(3, 2940.0)
    other.symbol = "SHFE.hc2605"
    at.contracts.at_hand[other.symbol] = replace(RB, symbol=other.symbol)
    at.next_day()
    at.expiry.on_round()
    assert [ends(at, one)[0] for one in (works, over, other)] == [[], ["Canceled"], []]
    assert at.gateway.withdrawn == []


def test_an_order_on_a_contract_that_lives_on_stays():
    at = Expiring()
    at.say(expire_datetime=LAST_CLOSE + timedelta(days=9))
    stop = at.hold(3, 2950.0)
    at.next_day(shown=3)
    at.expiry.on_round()
    assert (stop.stage, ends(at, stop)) == (Stage.WATCHED, ([], None))
