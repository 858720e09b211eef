"""A leg that was given up, and lives after all: its lots are claimed, and are traded once."""

import backtrader as bt
import pytest
from desk_on_stubs import SYMBOL, StubbedDesk

from tianqin_backtrader.core.model import Direction
from tianqin_backtrader.orders.exits import Claim
from tianqin_backtrader.orders.leg import OrderState
from tianqin_backtrader.orders.ticket import Ending, Stage

SELL = Direction.SELL


def claims(at):
    return at.router.claims.of(SYMBOL, SELL)


@pytest.fixture
def at():
    """Six lots; an exit is for three of them, so that a second sending would find free ones."""
    return StubbedDesk(today=6)


def given_up(at, *, asked=False):
    """A stop that has fired and is to be sent again, as its leg was lost."""
    ticket = at.submit(at.fired_stop(3))
    at.lose(ticket.legs[0])
    assert (ticket.stage, ticket.legs[0].state) == (Stage.QUEUED, OrderState.LOST)
    if asked:
        assert claims(at) == []
    return ticket


@pytest.mark.parametrize("asked", [False, True])
def test_what_lives_is_not_sent_a_second_time(at, asked):
    ticket = given_up(at, asked=asked)
    [leg] = ticket.legs
    at.alive(leg)
    assert (ticket.stage, ticket.ending) == (Stage.WORKING, Ending.NONE)
    assert claims(at) == [Claim(ticket.order.ref, 3)]
    assert at.manager.live[SYMBOL] == {leg.order_id: leg}
    at.pass_by(10)
    assert at.gateway.sent == [("CLOSETODAY", 3)]
    assert at.gateway.withdrawn == []
    at.fill(leg, 3)
    assert at.ends_of(ticket) == ["Completed"]
    assert ticket.over


def test_a_part_that_lives_is_left_and_the_rest_is_sent_again():
    at = StubbedDesk(today=2, earlier=3)
    ticket = at.submit(at.fired_stop(5))
    for leg in ticket.legs:
        at.lose(leg)
    assert ticket.stage is Stage.QUEUED
    today, _ = ticket.legs
    at.alive(today)
    at.pass_by(10)
    assert len(ticket.legs) == 2
    at.fill(today, 2)
    at.pass_by(10)
    assert at.gateway.sent[2:] == [("CLOSE", 3)]
    at.fill(ticket.legs[2], 3)
    assert at.ends_of(ticket) == ["Completed"]


def test_a_fill_of_all_its_lots_ends_an_order_that_waits_to_be_sent_again(at):
    ticket = given_up(at)
    at.fill(ticket.legs[0], 3)
    at.end(ticket.legs[0])
    assert at.ends_of(ticket) == ["Completed"]
    assert ticket.over
    at.pass_by(10)
    assert at.gateway.sent == [("CLOSETODAY", 3)]
    assert at.ends_of(ticket) == ["Completed"]


def test_a_fill_of_some_lots_leaves_the_rest_to_the_leg(at):
    ticket = given_up(at)
    at.fill(ticket.legs[0], 1)
    assert ticket.stage is Stage.WORKING
    at.pass_by(10)
    assert at.gateway.sent == [("CLOSETODAY", 3)]
    at.fill(ticket.legs[0], 2)
    assert at.ends_of(ticket) == ["Completed"]


def test_what_was_sent_in_its_place_stays_and_the_old_leg_is_withdrawn(at):
    ticket = given_up(at)
    at.pass_by(10)
    old, new = ticket.legs
    at.alive(new)
    at.alive(old)
    assert at.gateway.withdrawn == [old.order_id]
    assert claims(at)[0].lots == 6
    at.fill(new, 3)
    assert not ticket.over  # the old one may still trade
    at.end(old)
    assert ticket.over
    assert at.ends_of(ticket) == ["Completed"]


def test_the_old_leg_is_asked_to_leave_until_it_has(at, monkeypatch):
    ticket = given_up(at)
    at.pass_by(10)
    at.alive(ticket.legs[0])
    monkeypatch.setattr("tianqin_backtrader.execution.order_manager.CANCEL_AGAIN", -1.0)
    list(at.manager.on_round())
    assert at.gateway.withdrawn == 2 * [ticket.legs[0].order_id]
    at.end(ticket.legs[0])
    list(at.manager.on_round())
    assert len(at.gateway.withdrawn) == 2


def test_what_the_old_leg_trades_the_new_one_does_not(at):
    ticket = given_up(at)
    at.pass_by(10)
    old, new = ticket.legs
    at.alive(new)
    at.fill(old, 2)
    assert new.order_id in at.gateway.withdrawn
    at.end(old)
    at.end(new)
    assert at.gateway.sent[2:] == [("CLOSETODAY", 1)]
    at.fill(ticket.legs[2], 1)
    assert at.ends_of(ticket) == ["Completed"]
    assert at.account.booked(SYMBOL, SELL) == 3


def test_an_order_that_stands_back_is_withdrawn_when_its_leg_lives(at):
    target = at.submit(at.exit(6))
    stop = at.submit(at.fired_stop(6))
    [leg] = target.legs
    at.lose(leg)  # its withdrawal had no answer, and the session was made anew
    assert target.stage is Stage.QUEUED
    at.alive(leg)
    assert target.ending is Ending.RESIZE
    assert at.gateway.withdrawn == [leg.order_id, leg.order_id]
    assert claims(at)[0].leaves
    at.end(leg)
    at.pass_by(10)
    assert target.stage is Stage.QUEUED
    at.fill(stop.legs[0], 6)
    assert at.ends_of(stop) == ["Completed"]


def test_fills_that_come_after_a_cancel_are_waited_for_before_the_rest_is_sent(at):
    target = at.submit(at.exit(6))
    at.alive(target.legs[0])
    at.pre_trade.is_open = False
    at.manager.change_volume(target, 5)
    at.end(target.legs[0])
    assert target.stage is Stage.QUEUED
    report = at.report(target.legs[0], 4, "FINISHED")  # two were filled after all
    at.engine.apply([report])
    at.pre_trade.is_open = True
    at.pass_by(10)
    assert len(target.legs) == 1
    at.fill(target.legs[0], 2)
    at.pass_by(10)
    assert at.gateway.sent[1:] == [("CLOSETODAY", 3)]


def test_what_lives_of_an_order_that_was_told_to_be_over_is_withdrawn_until_it_leaves(
    at, monkeypatch
):
    entry = at.submit(at.ticket(3, 2990.0, kind=bt.BuyOrder, exectype=bt.Order.Limit))
    [leg] = entry.legs
    at.lose(leg)
    assert at.ends_of(entry) == ["Rejected"]
    at.alive(leg)
    assert at.gateway.withdrawn == [leg.order_id]
    monkeypatch.setattr("tianqin_backtrader.execution.order_manager.CANCEL_AGAIN", -1.0)
    at.pass_by()
    assert len(at.gateway.withdrawn) == 2
    at.end(leg)
    at.pass_by()
    assert len(at.gateway.withdrawn) == 2
    assert at.ends_of(entry) == ["Rejected"]


def test_an_exit_of_a_told_order_that_lives_lets_others_wait_and_not_stand_back(at):
    exit_ = at.submit(at.exit(6))
    at.lose(exit_.legs[0])
    assert at.ends_of(exit_) == ["Rejected"]
    at.alive(exit_.legs[0])
    stop = at.submit(at.fired_stop(6))
    assert (stop.stage, at.gateway.sent) == (Stage.QUEUED, [("CLOSETODAY", 6)])
    at.end(exit_.legs[0])
    at.pass_by()
    assert at.gateway.sent[1:] == [("CLOSETODAY", 6)]
