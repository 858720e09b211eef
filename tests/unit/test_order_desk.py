"""What leaves of orders that wait, on an account set by hand."""

import backtrader as bt
from desk_on_stubs import StubbedDesk

from tianqin_backtrader.ticket import Stage


def entry(at, price):
    return at.ticket(3, price, kind=bt.BuyOrder, exectype=bt.Order.Limit)


def test_an_order_that_the_end_of_another_has_withdrawn_in_this_round_is_not_sent():
    at = StubbedDesk()
    first, second = entry(at, 9999.0), entry(at, 2990.0)  # beyond the day's limits
    at.gate.is_open = False
    at.held.place(first, None, None, True)
    at.held.place(second, None, first.order, True)
    at.gate.is_open = True
    at.pass_by()
    assert (at.ends_of(first), at.ends_of(second)) == (["Rejected"], ["Canceled"])
    assert at.gateway.sent == []


def test_an_order_that_is_over_is_not_released():
    at = StubbedDesk(today=3)
    ticket = at.exit(3)
    at.gate.is_open = False
    at.submit(ticket)
    at.desk.cancel(ticket)
    at.gate.is_open = True
    at.desk.release(ticket)
    assert (ticket.stage, at.gateway.sent) == (Stage.OVER, [])
    assert at.ends_of(ticket) == ["Canceled"]
