"""A stop that closes and then opens: its closing part is an exit, its opening part an entry."""

import backtrader as bt
import pytest
from desk_on_stubs import SYMBOL, StubbedDesk

from tianqin_backtrader.contracts.time_in_force import GOOD_TILL_CANCELLED
from tianqin_backtrader.errors import RiskRefused
from tianqin_backtrader.execution.order_manager import ATTEMPTS
from tianqin_backtrader.orders.exits import Timing
from tianqin_backtrader.orders.ticket import Stage

CLOSES, OPENS = ("CLOSETODAY", 3), ("OPEN", 3)


@pytest.fixture
def at():
    return StubbedDesk(today=3)


def fired(at, lots=6, **options):
    """A stop over more lots than are held, whose price has come."""
    ticket = at.hold(lots, 2990.0, **options)
    assert at.gateway.sent == []
    at.price = 2990.0
    at.turn()
    return ticket


def again(at):
    return [text for text, _ in at.notes if "is sent again" in text]


def terms(ticket):
    return ticket.sent_terms.limit_price, ticket.sent_terms.advanced


def test_what_it_closes_stays_at_the_limit_and_what_it_opens_has_its_end_at_once(at):
    ticket = fired(at)
    assert ticket.may_open == 3
    assert (at.gateway.sent, terms(ticket)) == ([CLOSES], (2700.0, None))
    at.alive(ticket.legs[0])
    at.fill(ticket.legs[0], 2)
    at.pass_by(60)
    assert at.gateway.sent == [CLOSES]
    at.fill(ticket.legs[0], 1)
    assert (at.gateway.sent, terms(ticket)) == ([CLOSES, OPENS], (2700.0, "FAK"))
    at.fill(ticket.legs[1], 3)
    assert at.ends_of(ticket) == ["Completed"]


@pytest.mark.parametrize("fail", [StubbedDesk.refuse, StubbedDesk.lose])
def test_its_close_is_sent_again_and_then_it_opens(at, fail):
    ticket = fired(at)
    fail(at, ticket.legs[0])
    assert ticket.stage is Stage.QUEUED and at.ends_of(ticket) == []
    at.pass_by()
    assert at.gateway.sent == [CLOSES, CLOSES]
    [words] = again(at)
    assert "closes 3 lots" in words
    at.fill(ticket.legs[1], 3)
    assert at.gateway.sent[2:] == [OPENS]
    at.fill(ticket.legs[2], 3)
    assert at.ends_of(ticket) == ["Completed"]


def test_of_two_closes_the_one_that_is_refused_is_sent_again():
    at = StubbedDesk(today=2, earlier=1)
    ticket = fired(at)
    today, earlier = ticket.legs
    at.refuse(earlier)
    at.fill(today, 2)
    at.pass_by()
    assert at.gateway.sent == [("CLOSETODAY", 2), ("CLOSE", 1), ("CLOSE", 1)]
    at.fill(ticket.legs[2], 1)
    assert at.gateway.sent[3:] == [OPENS]


def test_its_close_is_refused_for_good(at):
    ticket = fired(at)
    for _ in range(ATTEMPTS):
        at.refuse(ticket.legs[-1])
        at.pass_by()
    assert at.ends_of(ticket) == []
    at.refuse(ticket.legs[-1])
    assert at.ends_of(ticket) == ["Rejected"]
    assert at.gateway.sent == [CLOSES] * (ATTEMPTS + 1)
    assert at.exposed.lots == [(SYMBOL, 3)]


@pytest.mark.parametrize("fail", [StubbedDesk.refuse, StubbedDesk.lose, StubbedDesk.end])
def test_what_it_opens_is_an_entry_and_is_not_sent_again(at, fail):
    ticket = fired(at)
    at.fill(ticket.legs[0], 3)
    fail(at, ticket.legs[1])
    at.pass_by(10)
    assert at.ends_of(ticket) == ["Canceled"]
    assert (at.gateway.sent, again(at), at.exposed.lots) == ([CLOSES, OPENS], [], [])


def test_it_opens_after_lots_of_another_day_were_closed_in_place_of_refused_ones():
    at = StubbedDesk(today=3, earlier=3)
    ticket = fired(at, 9)
    today, earlier = ticket.legs
    at.gateway.held["pos_long_today"] = 2  # another hand has closed one of them
    at.gateway.held["pos_long_his"] = 4
    at.refuse(today)
    at.fill(earlier, 3)
    for leg in ticket.legs[2:]:
        at.fill(leg, leg.volume)
    assert at.gateway.sent[-1] == ("OPEN", 3)
    assert sum(lots for offset, lots in at.gateway.sent[2:] if offset != "OPEN") == 3


def test_without_lots_it_only_opens():
    at = StubbedDesk()
    ticket = at.hold(6, 2990.0)
    ticket.may_open = 3  # they are gone since it was placed
    at.price = 2990.0
    at.turn()
    assert (at.gateway.sent, terms(ticket)) == ([OPENS], (2700.0, "FAK"))


def test_a_risk_limit_that_stops_what_it_opens_leaves_what_it_closes(at, monkeypatch):
    def check(ticket, volume, sent, orders):
        if at.account.booked(SYMBOL, ticket.direction) == 0:
            raise RiskRefused("state", "REDUCING", volume, "only orders that reduce")

    monkeypatch.setattr(
        at.router,
        "_guard",
        type(
            "Guard",
            (),
            {
                "watches": True,
                "check": staticmethod(check),
                "passed_by": lambda *_: None,
                "admit": lambda *_: None,
            },
        ),
    )
    ticket = fired(at)
    at.fill(ticket.legs[0], 3)
    assert at.gateway.sent == [CLOSES]
    assert at.ends_of(ticket) == ["Canceled"]
    assert "only orders that reduce" in ticket.order.info.reason


def test_a_limit_at_its_stop_price_is_sent_again_with_what_it_opens(at):
    ticket = at.ticket(6, 2990.0, exectype=bt.Order.StopLimit)
    ticket.order.p.pricelimit = 2980.0
    ticket.may_open = 3
    at.held.place(ticket, None, None, True)
    at.price = 2990.0
    at.turn()
    at.refuse(ticket.legs[0])
    at.pass_by()
    assert at.gateway.sent == [CLOSES, CLOSES]
    at.fill(ticket.legs[1], 3)
    assert at.gateway.sent[2:] == [OPENS]
    assert terms(ticket) == (2980.0, None)


def test_on_the_next_day_it_closes_what_the_market_has_not_taken_and_opens(at):
    ticket = fired(at, validity=GOOD_TILL_CANCELLED)
    at.alive(ticket.legs[0])
    at.go_to("15:00:00")
    at.end(ticket.legs[0])
    assert ticket.stage is Stage.QUEUED
    at.gateway.held |= {"pos_long_today": 0, "pos_long_his": 3}
    at.pass_by(19 * 3600)
    assert at.gateway.sent == [CLOSES, ("CLOSE", 3)]
    at.fill(ticket.legs[1], 3)
    assert at.gateway.sent[2:] == [OPENS]


def test_an_order_at_the_market_that_reverses_is_sent_whole_and_has_its_end_at_once(at):
    ticket = at.ticket(6)
    at.manager.settle_effect(ticket, Timing.AT_ONCE, None)
    at.submit(ticket)
    assert (at.gateway.sent, terms(ticket)) == ([CLOSES], (2700.0, "FAK"))
    at.fill(ticket.legs[0], 3)
    assert at.gateway.sent == [CLOSES, OPENS]


def test_what_closes_stays_though_the_stop_was_placed_before_its_lots():
    at = StubbedDesk()
    entry = at.place(3, 2999.0, kind=bt.BuyOrder, exectype=bt.Order.Limit)
    stop = at.place(6, 2990.0, exectype=bt.Order.Stop)
    at.gateway.held["pos_long_today"] = 3
    at.fill(entry.legs[0], 3)
    at.price = 2990.0
    at.held.on_round()
    assert (stop.may_open, at.gateway.sent[1:]) == (3, [CLOSES])
    assert terms(stop) == (2700.0, None)
