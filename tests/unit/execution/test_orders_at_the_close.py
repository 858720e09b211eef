"""Backtrader's Close: when it leaves, how long it stays, and what is told when it has missed."""

from datetime import datetime, timedelta

import backtrader as bt
import pytest
from desk_on_stubs import SYMBOL, StubbedDesk

from tianqin_backtrader.contracts.time_in_force import TimeInForce
from tianqin_backtrader.errors import TianqinError

CLOSE = bt.Order.Close
FULL_DAY = datetime(2026, 1, 5, 15)


def missed(at):
    return [facts["lots"] for text, facts in at.notes if "missed the close" in text]


# -- when it leaves ---------------------------------------------------------------------------


def lose_market_data(at):
    at.line.breaks += 1


def doubt(at):
    at.line.doubtful = True
    at.turn()
    at.line.doubtful = False


def lose_trading(at):
    at.line.trading_up = False
    at.pass_by(5)
    at.line.trading_up = True


LOSSES = [lose_market_data, doubt, lose_trading]


@pytest.mark.parametrize("lose", LOSSES)
@pytest.mark.parametrize(
    ("lost", "waits", "leaves"),
    [
        (None, "14:59:54", "14:59:55"), ("14:52:00", "14:58:59", "14:59:00"),
        ("14:48:00", "14:59:54", "14:59:55"), ("14:59:20", "14:59:19", "14:59:20"),
    ],
)  # fmt: skip
def test_close_leaves_a_minute_before_the_close_where_the_line_was_lost(lose, lost, waits, leaves):
    at = StubbedDesk(today=3)
    at.hold(3, exectype=CLOSE)
    for moment in sorted({waits, lost or waits}):
        at.go_to(moment)
        if moment == lost:
            lose(at)
            at.turn()
        assert at.gateway.sent == [] or moment == "14:59:20"
    at.go_to(leaves)
    assert at.gateway.sent == [("CLOSETODAY", 3)]


def test_close_leaves_as_soon_as_the_line_is_back():
    at = StubbedDesk(today=3)
    at.hold(3, exectype=CLOSE)
    at.go_to("14:52:00")
    at.line.trading_up = at.pre_trade.is_open = False
    at.go_to("14:59:00")
    at.go_to("14:59:20")
    assert at.gateway.sent == []
    at.line.trading_up = at.pre_trade.is_open = True
    at.go_to("14:59:21")
    assert at.gateway.sent == [("CLOSETODAY", 3)]


def test_close_that_is_placed_after_the_line_was_lost_leaves_earlier_too():
    at = StubbedDesk(today=3)
    at.go_to("14:52:00")
    lose_trading(at)
    at.turn()
    at.hold(3, exectype=CLOSE)
    at.go_to("14:59:00")
    assert at.gateway.sent == [("CLOSETODAY", 3)]


# -- until when it stays ----------------------------------------------------------------------


def at_the_exchange(at, lots=3, **options):
    """A Close that has left five seconds before the close."""
    ticket = at.hold(lots, exectype=CLOSE, **options)
    at.go_to("14:59:55")
    at.alive(ticket.legs[0])
    return ticket


@pytest.mark.parametrize("filled", [0, 2])
def test_what_the_book_does_not_take_stays_at_the_limit_until_the_close(filled):
    at = StubbedDesk(today=3)
    ticket = at_the_exchange(at)
    [leg] = ticket.legs
    assert (ticket.sent_terms.limit_price, ticket.sent_terms.advanced) == (2700.0, None)
    if filled:
        at.fill(leg, filled)
    assert missed(at) == []
    at.go_to("15:00:00")
    at.end(leg)
    assert at.ends_of(ticket) == ["Expired"]
    assert missed(at) == [3 - filled]
    assert at.exposed.lots == [(SYMBOL, 3 - filled)]
    at.pass_by(10)
    assert len(missed(at)) == 1 and len(at.gateway.sent) == 1


def test_a_close_that_meets_its_end_before_the_exchange_says_so_is_told_once():
    at = StubbedDesk(today=3)
    ticket = at_the_exchange(at)
    at.go_to("15:00:01")
    assert at.ends_of(ticket) == [] and missed(at) == []  # fills may be on their way
    at.fill(ticket.legs[0], 1)
    at.end(ticket.legs[0])
    assert at.ends_of(ticket) == ["Expired"]
    assert missed(at) == [2]
    assert at.exposed.lots == [(SYMBOL, 2)]


def test_a_close_that_fills_in_its_last_moment_is_not_told():
    at = StubbedDesk(today=3)
    ticket = at_the_exchange(at)
    at.go_to("15:00:01")
    at.fill(ticket.legs[0], 3)
    assert at.ends_of(ticket) == ["Completed"]
    assert missed(at) == [] and at.exposed.lots == []


def test_a_close_that_is_refused_until_the_close_is_told():
    at = StubbedDesk(today=3)
    ticket = at.hold(3, exectype=CLOSE)
    at.go_to("14:59:55")
    at.refuse(ticket.legs[0])
    at.go_to("14:59:58")
    at.refuse(ticket.legs[1])
    at.go_to("15:00:01")
    assert at.ends_of(ticket) == ["Expired"]
    assert missed(at) == [3] and at.exposed.lots == [(SYMBOL, 3)]


def test_a_close_that_another_terminal_withdraws_is_told():
    at = StubbedDesk(today=3)
    ticket = at_the_exchange(at)
    at.end(ticket.legs[0])
    assert at.ends_of(ticket) == ["Canceled"]
    assert missed(at) == [3] and at.exposed.lots == [(SYMBOL, 3)]


def test_a_close_that_never_left_is_told():
    at = StubbedDesk(today=3)
    ticket = at.hold(3, exectype=CLOSE)
    at.line.trading_up = at.pre_trade.is_open = False
    at.go_to("15:00:01")
    assert at.ends_of(ticket) == ["Expired"]
    assert missed(at) == [3] and at.exposed.lots == [(SYMBOL, 3)]


def test_what_its_owner_wanted_is_not_told():
    at = StubbedDesk(today=3)
    withdrawn = at_the_exchange(at, 2)
    at.manager.cancel(withdrawn)
    at.end(withdrawn.legs[0])
    assert at.ends_of(withdrawn) == ["Canceled"]
    shorter = at.hold(
        1, exectype=CLOSE, validity=TimeInForce(FULL_DAY - timedelta(seconds=4)))  # fmt: skip
    at.pre_trade.is_open = False
    at.go_to("14:59:57")
    assert at.ends_of(shorter) == ["Expired"]
    assert missed(at) == [] and at.exposed.lots == []


def test_an_entry_at_the_close_has_its_end_at_once():
    at = StubbedDesk()
    ticket = at.hold(2, exectype=CLOSE)
    at.go_to("14:59:55")
    assert (at.gateway.sent, ticket.sent_terms.advanced) == ([("OPEN", 2)], "FAK")
    at.end(ticket.legs[0])
    assert at.ends_of(ticket) == ["Canceled"]
    assert at.exposed.lots == []


def test_a_close_that_is_refused_when_it_is_placed_has_missed_nothing(monkeypatch):
    at = StubbedDesk(today=3)

    def refuse(symbol, *, bars, waits):
        raise TianqinError("not now")

    monkeypatch.setattr(at.pre_trade, "admit", refuse)
    assert at.ends_of(at.hold(3, exectype=CLOSE)) == ["Rejected"]
    assert missed(at) == []


def test_a_close_that_reverses_closes_until_the_close_and_opens_only_then():
    at = StubbedDesk(today=3)
    ticket = at_the_exchange(at, 5)
    assert at.gateway.sent == [("CLOSETODAY", 3)]
    at.fill(ticket.legs[0], 2)
    at.go_to("15:00:00")
    at.end(ticket.legs[0])
    assert at.ends_of(ticket) == ["Expired"]
    assert missed(at) == [1] and at.exposed.lots == [(SYMBOL, 1)]
    assert len(at.gateway.sent) == 1


def test_a_close_that_is_refused_as_it_is_placed_has_missed_nothing():
    at = StubbedDesk(today=3)
    over = at.hold(3, exectype=CLOSE)
    at.manager.cancel(over)
    close = at.place(3, exectype=CLOSE, oco=over)
    assert at.ends_of(close) == ["Rejected"]
    assert missed(at) == [] and at.exposed.lots == []
