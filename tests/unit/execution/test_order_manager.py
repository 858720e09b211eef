"""What leaves of orders that wait, on an account set by hand."""

from dataclasses import replace
from math import nan
from types import SimpleNamespace

import backtrader as bt
import pytest
from desk_on_stubs import RB, SYMBOL, StubbedDesk

from tianqin_backtrader.core.clock import HOUR, SECOND
from tianqin_backtrader.execution import order_manager
from tianqin_backtrader.execution.order_manager import ATTEMPTS
from tianqin_backtrader.gateway.current_session import CurrentSession
from tianqin_backtrader.gateway.queries import Queries
from tianqin_backtrader.orders.ticket import Stage
from tianqin_backtrader.risk.check import RiskCheck
from tianqin_backtrader.risk.limits import RiskLimits


def entry(at, price):
    return at.ticket(3, price, kind=bt.BuyOrder, exectype=bt.Order.Limit)


def test_an_order_that_the_end_of_another_has_withdrawn_in_this_round_is_not_sent():
    at = StubbedDesk()
    first, second = entry(at, 9999.0), entry(at, 2990.0)  # beyond the day's limits
    at.pre_trade.is_open = False
    at.held.place(first, None, None, True)
    at.held.place(second, None, first.order, True)
    at.pre_trade.is_open = True
    at.pass_by()
    assert (at.ends_of(first), at.ends_of(second)) == (["Rejected"], ["Canceled"])
    assert at.gateway.sent == []


def test_an_order_that_is_over_is_not_released():
    at = StubbedDesk(today=3)
    ticket = at.exit(3)
    at.pre_trade.is_open = False
    at.submit(ticket)
    at.manager.cancel(ticket)
    at.pre_trade.is_open = True
    at.manager.release(ticket)
    assert (ticket.stage, at.gateway.sent) == (Stage.OVER, [])
    assert at.ends_of(ticket) == ["Canceled"]


# -- lots that another terminal is to close -------------------------------------------------------


def told_lots(at):
    return [facts["lots"] for _, facts in at.notes if "lots" in facts]


@pytest.mark.parametrize(("held", "free"), [(3, 0), (4, 1)])
def test_a_stop_whose_lots_another_terminal_is_to_close_is_told_once(held, free):
    at = StubbedDesk(today=held)
    at.foreign(3)
    stop = at.submit(at.fired_stop(3))
    for _ in range(5):
        at.pass_by(10)
    assert sum(lots for _, lots in at.gateway.sent) == free
    assert told_lots(at) == [3 - free]
    assert at.exposed.lots == [(SYMBOL, 3 - free)]
    at.foreign(3, status="FINISHED")
    for leg in list(stop.legs):
        at.fill(leg, leg.volume)
    at.pass_by(10)
    assert sum(lots for _, lots in at.gateway.sent) == 3
    assert told_lots(at) == [3 - free]


def test_a_close_at_the_market_that_waits_for_another_terminal_is_told_too():
    at = StubbedDesk(today=3)
    at.foreign(3)
    at.submit(at.exit(3, None))
    at.pass_by(10)
    assert told_lots(at) == [3]
    assert at.exposed.lots == []


def test_what_waits_for_an_order_of_ours_is_no_news():
    at = StubbedDesk(today=6)
    at.foreign(3)
    at.submit(at.exit(3))
    at.submit(at.fired_stop(3))
    at.submit(at.exit(3))
    at.pass_by(10)
    assert told_lots(at) == []


def test_another_terminals_order_of_yesterday_claims_nothing():
    at = StubbedDesk(today=3)
    at.foreign(3)
    stop = at.submit(at.fired_stop(3))
    at.pass_by(4 * HOUR / SECOND)
    assert stop.stage is Stage.QUEUED
    at.pass_by(20 * HOUR / SECOND)
    assert at.gateway.sent == [("CLOSETODAY", 3)]


def test_another_terminals_order_of_the_evening_is_of_the_next_day():
    at = StubbedDesk(today=3)
    at.pass_by(6 * HOUR / SECOND)  # the day has had its close
    at.foreign(3)
    at.pass_by(18 * HOUR / SECOND)
    assert at.submit(at.fired_stop(3)).stage is Stage.QUEUED
    assert at.gateway.sent == []


# -- what is counted, and for how long --------------------------------------------------------


def test_an_exit_that_was_taken_may_be_refused_thirty_times_again():
    at = StubbedDesk(today=3)
    stop = at.submit(at.fired_stop(3))
    for _ in range(ATTEMPTS):
        at.refuse(stop.legs[-1])
        at.pass_by()
    assert stop.attempts == ATTEMPTS
    at.alive(stop.legs[-1])
    assert stop.attempts == 0
    at.manager.change_volume(stop, 2)
    at.end(stop.legs[-1])
    at.refuse(stop.legs[-1])
    at.pass_by()
    assert (stop.attempts, at.ends_of(stop)) == (1, [])
    for _ in range(ATTEMPTS):
        at.refuse(stop.legs[-1])
        at.pass_by()
    assert at.ends_of(stop) == ["Rejected"]


def test_each_withdrawal_without_an_answer_is_a_sign_of_a_dead_link(monkeypatch):
    monkeypatch.setattr(order_manager, "CANCEL_AGAIN", -1.0)
    at = StubbedDesk(today=3)
    target = at.submit(at.exit(3))
    at.alive(target.legs[0])
    for volume, signs in ((2, 1), (1, 2)):
        at.manager.change_volume(target, volume)
        at.manager.heard_at = target.cancel_asked - 1
        for _ in range(3):
            list(at.manager.on_round())
        assert at.silent == signs
        at.end(target.legs[-1])
        at.alive(target.legs[-1])
    assert at.gateway.sent[-1] == ("CLOSETODAY", 1)


def test_a_closed_exchange_is_asked_once_and_the_request_counts_once(monkeypatch):
    monkeypatch.setattr(order_manager, "CANCEL_AGAIN", -1.0)
    at, counted = StubbedDesk(today=3), []
    monkeypatch.setattr(at.manager, "_guard", SimpleNamespace(cancelled=counted.append))
    target = at.submit(at.exit(3))
    at.alive(target.legs[0])

    def asked_after_some_rounds():
        for _ in range(3):
            at.turn()
        return len(at.gateway.withdrawn)

    at.pre_trade.is_open = False
    at.manager.cancel(target)
    assert asked_after_some_rounds() == 1
    at.line.sessions = 2  # the request may have been lost with the session before
    assert asked_after_some_rounds() == 2
    at.link(False)
    assert asked_after_some_rounds() == 2
    at.link(True)
    assert asked_after_some_rounds() == 5  # open again
    assert counted == [target.symbol]
    at.end(target.legs[0])
    assert at.ends_of(target) == ["Canceled"]


# -- limits and groups ----------------------------------------------------------------------------


def test_exits_that_waited_for_the_link_leave_one_second_after_the_other():
    at = StubbedDesk(today=3)
    risk = RiskCheck(
        at.context, lambda symbol: at.price, None, at.account,
        RiskLimits(orders_per_second=2), at.live,
    )  # fmt: skip
    at.router._guard = at.manager._guard = risk
    at.link(False)
    exits = [at.place(1) for _ in range(3)]
    at.link(True)
    at.turn()
    assert len(at.gateway.sent) == 2
    assert [at.ends_of(one) for one in exits] == [[], [], []]
    at.pass_by()
    assert len(at.gateway.sent) == 3


def test_a_stop_that_fires_withdraws_an_order_on_a_contract_that_nothing_else_waits_on():
    at = StubbedDesk(today=3)
    stop, other = at.hold(3, 2990.0), entry(at, 2999.0)
    other.symbol = "SHFE.hc2605"
    at.pre_trade.is_open = False
    at.held.place(other, None, stop.order, True)
    at.pre_trade.is_open = True
    at.price = 2990.0
    at.held.on_round()
    assert at.gateway.sent == [("CLOSETODAY", 3)]
    assert at.ends_of(other) == ["Canceled"]


def without_limits(at, *, specified=nan, quoted=nan):
    """No upper limit is known; the specification, or the quote, has this lower one."""
    instrument = replace(RB, upper_limit=nan, lower_limit=specified)
    questions = Queries(CurrentSession(), matches_itself=False)
    questions._quotes[SYMBOL] = SimpleNamespace(upper_limit=nan, lower_limit=quoted)
    at.contracts.at_hand[SYMBOL] = instrument
    at.gateway.price_limits = questions.price_limits


@pytest.mark.parametrize("place", ["specified", "quoted"])
def test_a_sale_needs_the_lower_limit_alone(place):
    at = StubbedDesk(today=3)
    without_limits(at, **{place: 2700.0})
    stop = at.hold(3, 2990.0)
    at.price = 2990.0
    at.turn()
    assert at.gateway.sent == [("CLOSETODAY", 3)]
    assert stop.sent_terms.limit_price == 2700.0


def test_a_stop_that_waits_for_the_limit_that_it_is_sent_at_is_told_once():
    at = StubbedDesk(today=3)
    without_limits(at)
    stop = at.hold(3, 2990.0)
    at.price = 2990.0
    at.turn()
    at.pass_by(4)
    assert told_lots(at) == [] and stop.stage is Stage.QUEUED
    for _ in range(3):
        at.pass_by(2)
    assert told_lots(at) == [3] and at.exposed.lots == [(SYMBOL, 3)]
    without_limits(at, quoted=2700.0)
    at.turn()
    assert at.gateway.sent == [("CLOSETODAY", 3)]
