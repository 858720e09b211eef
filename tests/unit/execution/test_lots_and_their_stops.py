"""Exits of lots that are on their way, or are not shown; stops that lots lose, and what is told."""

import backtrader as bt
import pytest
from desk_on_stubs import SYMBOL, StubbedDesk

from tianqin_backtrader.core.model import Direction
from tianqin_backtrader.execution import order_router
from tianqin_backtrader.execution.order_manager import ATTEMPTS
from tianqin_backtrader.orders.ticket import Stage

LIMIT, STOP = bt.Order.Limit, bt.Order.Stop
OPENED, CLOSED = ("OPEN", 3), ("CLOSETODAY", 3)


def buy(at, lots=3, price=None, *, exectype=bt.Order.Market):
    return at.place(lots, price, kind=bt.BuyOrder, exectype=exectype)


def fill(at, entry, lots=3):
    """It has opened lots, and the account shows them."""
    at.gateway.held["pos_long_today"] += lots
    at.fill(entry.legs[-1], lots)


def fire(at, price=2900.0):
    at.price = price
    at.held.on_round()


# -- placed behind a market order ----------------------------------------------------------------


def test_a_target_behind_a_market_order_waits_for_its_lots_and_closes_them():
    at = StubbedDesk()
    entry = buy(at)
    target = at.place(3, 3050.0, exectype=LIMIT)
    at.pass_by(60)
    assert (target.stage, at.gateway.sent) == (Stage.QUEUED, [OPENED])
    fill(at, entry)
    at.pass_by()
    assert at.gateway.sent == [OPENED, CLOSED]
    at.fill(target.legs[0], 3)
    assert at.ends_of(target) == ["Completed"]
    assert [at.account.booked(SYMBOL, side) for side in Direction] == [0, 0]


def test_a_sale_behind_a_market_order_ends_flat():
    at = StubbedDesk()
    entry, out = buy(at), at.place(3)
    fill(at, entry)
    at.pass_by()
    assert at.gateway.sent == [OPENED, CLOSED] and out.may_open == 0


def test_what_is_larger_than_the_lots_on_their_way_closes_them_first():
    at = StubbedDesk()
    entry, out = buy(at), at.place(5)
    assert at.gateway.sent == [OPENED]
    fill(at, entry)
    at.pass_by()
    assert at.gateway.sent == [OPENED, CLOSED]
    at.fill(out.legs[0], 3)
    assert at.gateway.sent == [OPENED, CLOSED, ("OPEN", 2)]


def test_of_two_targets_the_second_finds_the_lots_taken():
    at = StubbedDesk()
    buy(at)
    first, second = (at.place(3, price, exectype=LIMIT) for price in (3050.0, 3060.0))
    assert (first.may_open, second.may_open) == (0, None)


def test_lots_that_a_reversal_opens_are_on_their_way_too():
    at = StubbedDesk(today=2)
    at.place(5)  # closes two, opens three
    target = buy(at, 3, 2950.0, exectype=LIMIT)
    assert (target.may_open, at.gateway.sent) == (0, [("CLOSETODAY", 2)])


@pytest.mark.parametrize("exectype", [STOP, LIMIT])
def test_an_exit_whose_lots_never_come_ends_and_that_is_told(exectype):
    at = StubbedDesk()
    entry = buy(at)
    out = at.place(3, 2950.0 if exectype == STOP else 3050.0, exectype=exectype)
    at.pass_by(60)
    assert not at.ends_of(out)
    at.refuse(entry.legs[0])
    at.pass_by()
    assert (at.ends_of(out), at.gateway.sent) == (["Canceled"], [OPENED])
    assert any("to close are gone" in text for text, _ in at.notes)
    assert at.exposed.lots == []


def test_of_lots_that_come_in_part_that_part_is_closed():
    at = StubbedDesk()
    entry = buy(at)
    target = at.place(3, 3050.0, exectype=LIMIT)
    fill(at, entry, 2)
    at.pass_by()
    assert at.gateway.sent == [OPENED]
    at.end(entry.legs[0])
    at.pass_by()
    assert at.gateway.sent == [OPENED, ("CLOSETODAY", 2)] and target.volume == 2


def test_a_pair_of_a_market_maker_stays_a_pair():
    """A limit order that rests may trade last: the other side opens, as in Backtrader."""
    at = StubbedDesk()
    buy(at, 3, 2990.0, exectype=LIMIT)
    pair = at.place(3, 3050.0, exectype=LIMIT)
    assert pair.may_open is None and at.gateway.sent == [OPENED, OPENED]


def test_the_owners_word_lets_it_open_beside_a_market_order():
    at = StubbedDesk()
    buy(at)
    assert at.place(3, 3050.0, exectype=LIMIT, close_only=False).may_open is None
    assert at.gateway.sent == [OPENED, OPENED]


def test_a_stop_behind_a_market_order_is_sent_again_when_the_front_is_busy():
    at = StubbedDesk()
    entry = buy(at)
    stop = at.place(3, 2950.0, exectype=STOP)
    fill(at, entry)
    at.end(entry.legs[0])
    fire(at)
    at.refuse(stop.legs[-1])
    at.pass_by()
    assert at.gateway.sent == [OPENED, CLOSED, CLOSED]


# -- stops whose entry was a limit order ---------------------------------------------------------


def test_a_stop_that_finds_lots_when_it_fires_closes_them_whatever_the_front_says():
    """Its entry was a limit order: nothing was held when it was placed."""
    at = StubbedDesk()
    entry = buy(at, 3, 2990.0, exectype=LIMIT)
    stop = at.place(3, 2950.0, exectype=STOP)
    fill(at, entry)
    fire(at)
    for _ in range(ATTEMPTS + 1):
        at.refuse(stop.legs[-1])
        at.pass_by()
    assert {*at.gateway.sent[1:]} == {CLOSED}
    assert at.ends_of(stop) == ["Rejected"] and at.exposed.lots == [(SYMBOL, 3)]


def test_a_stop_takes_the_lots_from_a_target_though_it_came_before_them():
    at = StubbedDesk()
    entry = buy(at, 3, 2990.0, exectype=LIMIT)
    at.place(3, 2950.0, exectype=STOP)
    fill(at, entry)
    target = at.place(3, 3050.0, exectype=LIMIT)
    fire(at)
    assert at.gateway.sent == [OPENED, CLOSED]
    assert at.gateway.withdrawn == [target.legs[0].order_id]


@pytest.mark.parametrize(("held", "close_only"), [(0, None), (3, False)])
def test_a_stop_that_is_to_open_opens(held, close_only):
    at = StubbedDesk(today=held)
    stop = at.place(3, 2950.0, exectype=STOP, close_only=close_only)
    fire(at)
    assert stop.may_open is None
    assert at.gateway.sent == ([CLOSED] if held else [OPENED])


def test_two_reversals_do_not_wait_for_each_other():
    at = StubbedDesk(today=3)
    at.pre_trade.is_open = False
    first, second = at.place(6), buy(at, 6)
    assert (first.may_open, second.may_open) == (3, 3)
    at.gateway.held["pos_long_today"] = 0  # another hand closes them
    at.account.take_over(SYMBOL)
    at.pre_trade.is_open = True
    at.pass_by()
    assert at.gateway.sent == [("OPEN", 3)]
    at.gateway.held["pos_short_today"] = 3
    at.fill(first.legs[0], 3)
    at.pass_by()
    assert at.gateway.sent == [("OPEN", 3), CLOSED]


# -- placed while the link is down ---------------------------------------------------------------


@pytest.mark.parametrize("exectype", [STOP, LIMIT, bt.Order.Market])
def test_exits_are_taken_while_the_link_is_down_and_leave_when_it_is_back(exectype):
    at = StubbedDesk(today=3)
    at.link(False)
    price = {STOP: 2950.0, LIMIT: 3050.0}.get(exectype)
    ticket = at.place(3, price, exectype=exectype)
    at.pass_by()
    assert not at.ends_of(ticket) and at.gateway.sent == []
    at.link(True)
    at.pass_by()
    fire(at)
    assert at.gateway.sent == [CLOSED] and at.exposed.lots == []


def test_a_child_of_a_filled_parent_is_taken_while_the_link_is_down():
    at = StubbedDesk()
    entry = buy(at)
    fill(at, entry)
    at.link(False)
    stop = at.place(3, 2950.0, exectype=STOP, parent=entry)
    assert stop.stage is Stage.WATCHED


def test_an_entry_at_the_market_is_refused_while_the_link_is_down():
    at = StubbedDesk()
    at.link(False)
    entry = buy(at)
    assert at.ends_of(entry) == ["Rejected"]
    assert "link is down" in entry.order.info.reason


@pytest.mark.parametrize(("exectype", "price"), [(bt.Order.Market, None), (LIMIT, 3050.0)])
def test_what_closes_and_then_opens_is_refused_while_the_link_is_down(exectype, price):
    at = StubbedDesk(today=1)
    at.link(False)
    reversal = at.place(10, price, exectype=exectype)
    assert (reversal.may_open, at.ends_of(reversal)) == (9, ["Rejected"])
    assert "link is down" in reversal.order.info.reason
    assert at.place(10, 2950.0, exectype=STOP).stage is Stage.WATCHED


def test_an_exit_is_refused_while_the_login_rests():
    """It would wait for its owner, for ever."""
    at = StubbedDesk(today=3)
    at.link(False)
    at.line.trading_rests = "the password is wrong"
    assert at.ends_of(at.place(3)) == ["Rejected"]
    assert at.place(3, 2950.0, exectype=STOP).stage is Stage.WATCHED


# -- refused as they are placed ------------------------------------------------------------------


def test_a_stop_that_is_refused_as_it_is_placed_leaves_lots_bare():
    at = StubbedDesk(today=3)
    stop = at.place(3, None, exectype=STOP)
    assert at.ends_of(stop) == ["Rejected"] and at.exposed.lots == [(SYMBOL, 3)]


def test_a_child_that_is_refused_leaves_the_lots_of_its_parent_bare():
    at = StubbedDesk()
    entry = buy(at)
    fill(at, entry)
    stop = at.place(3, None, exectype=STOP, parent=entry)
    assert at.ends_of(stop) == ["Rejected"] and at.exposed.lots == [(SYMBOL, 3)]


def test_a_refused_stop_beside_another_one_is_not_told():
    at = StubbedDesk(today=3)
    at.place(3, 2950.0, exectype=STOP)
    at.place(3, None, exectype=STOP)
    assert at.exposed.lots == []


def test_a_stop_that_is_refused_in_history_is_not_told():
    at = StubbedDesk(today=3)
    at.feeds.in_history = True
    at.place(3, None, exectype=STOP)
    assert at.exposed.lots == []


# -- withdrawn by the library --------------------------------------------------------------------


def test_lots_that_lose_their_stop_by_a_withdrawal_are_told_once():
    at = StubbedDesk(today=5)
    stops = [at.place(lots, 2950.0, exectype=STOP) for lots in (2, 1)]
    at.held.withdraw(stops, "trading is HALTED: enough")
    assert [at.ends_of(one) for one in stops] == [["Canceled"]] * 2
    assert stops[0].order.info.reason == "trading is HALTED: enough"
    assert at.exposed.lots == [(SYMBOL, 3)]
    assert at.notes[-1][0] == f"{SYMBOL}: 3 lots have no protection: trading is HALTED: enough"


def test_lots_that_keep_a_stop_are_not_told():
    at = StubbedDesk(today=3)
    one, _ = (at.place(3, price, exectype=STOP) for price in (2950.0, 2940.0))
    entry = buy(at, 3, 2900.0, exectype=LIMIT)
    at.held.withdraw([one, entry], "trading is HALTED: enough")
    assert at.exposed.lots == []


# -- lots that the account does not show ---------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """Seconds, moved by hand."""
    seconds = [100.0]
    monkeypatch.setattr(order_router, "monotonic", lambda: seconds[0])
    return seconds


def wait(at, clock, seconds):
    for _ in range(seconds):
        clock[0] += 1
        at.pass_by(1)


def test_a_stop_that_ends_for_lots_that_only_our_fills_know_leaves_them_bare(clock):
    at = StubbedDesk(today=3)
    stop = at.place(3, 2950.0, exectype=STOP)
    at.gateway.held["pos_long_today"] = 0
    fire(at)
    wait(at, clock, 20)
    assert at.ends_of(stop) == ["Canceled"] and at.exposed.lots == [(SYMBOL, 3)]


def test_the_last_stop_that_waits_on_a_contract_ends_with_its_lots_of_either_side():
    for kind, side, price in ((bt.BuyOrder, "short", 3050.0), (bt.SellOrder, "long", 2950.0)):
        at = StubbedDesk()
        at.gateway.held[f"pos_{side}_today"] = 3
        at.account.begin(1e6)
        stop = at.place(3, price, kind=kind, exectype=STOP)
        at.gateway.held[f"pos_{side}_today"] = 0
        at.account.take_over(SYMBOL)
        at.turn()
        assert at.ends_of(stop) == ["Canceled"] and not at.held.watched


def test_positions_that_have_not_come_are_waited_for(clock):
    """Margin is bound, and nothing is shown."""
    at = StubbedDesk(today=3)
    stop = at.place(3, 2950.0, exectype=STOP)
    at.gateway.held["pos_long_today"], at.gateway.margin = 0, 9000.0
    fire(at)
    wait(at, clock, 60)
    assert not at.ends_of(stop) and at.gateway.sent == []
    at.gateway.held["pos_long_today"] = 3
    wait(at, clock, 1)
    assert at.gateway.sent == [CLOSED]


def test_what_is_sold_beside_a_stop_that_has_fired_opens():
    """Its lots are claimed: what would make the position smaller is no exit any more."""
    at = StubbedDesk(today=2)
    stop = at.hold(2, 2990.0)
    at.price = 2990.0
    at.turn()
    assert at.gateway.sent == [("CLOSETODAY", 2)] and stop.legs[0].filled == 0
    other = at.place(1)
    assert at.gateway.sent[1:] == [("OPEN", 1)]
    assert other.may_open is None and not other.exits
