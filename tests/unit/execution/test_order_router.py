"""Which lots are closed and what is opened, on an account set by hand."""

import backtrader as bt
import pytest
from desk_on_stubs import SYMBOL, StubbedDesk

from tianqin_backtrader.contracts.offsets import Priority
from tianqin_backtrader.core.model import Direction, Offset
from tianqin_backtrader.execution import order_router
from tianqin_backtrader.orders.exits import SideLots, Timing
from tianqin_backtrader.orders.ticket import Stage

SELL = Direction.SELL


def sparing(today, earlier):
    return StubbedDesk(today, earlier, priority=Priority.YESTERDAY_ONLY)


def placed(at, lots, *, close_only=None):
    """A sell at the market."""
    ticket = at.ticket(lots, 2990.0)
    at.manager.settle_effect(ticket, Timing.AT_ONCE, close_only)
    return at.submit(ticket)


# -- today's lots are spared ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("today", "earlier", "lots", "sent"),
    [
        (3, 2, 5, [("CLOSE", 2), ("OPEN", 3)]),
        (3, 2, 2, [("CLOSE", 2)]),
        (3, 2, 7, [("CLOSE", 2), ("OPEN", 5)]),
        (3, 0, 2, [("OPEN", 2)]),
        (0, 5, 7, [("CLOSE", 5), ("OPEN", 2)]),
    ],
)
def test_beside_lots_of_earlier_days_the_rest_is_opened(today, earlier, lots, sent):
    at = sparing(today, earlier)
    ticket = placed(at, lots)
    if len(sent) == 2:
        at.fill(ticket.legs[0], sent[0][1])
    assert at.gateway.sent == sent
    assert ticket.volume == lots


def test_an_exit_whose_lots_of_earlier_days_are_claimed_waits_for_them():
    at = sparing(3, 2)
    target = at.submit(at.exit(2))
    other = at.submit(at.exit(2))
    assert (other.stage, at.ends_of(other)) == (Stage.QUEUED, [])
    at.alive(target.legs[0])
    at.manager.cancel(target)
    at.end(target.legs[0])
    at.pass_by()
    assert at.gateway.sent == 2 * [("CLOSE", 2)]


def test_a_stop_takes_lots_of_earlier_days_from_a_limit():
    at = sparing(3, 2)
    target = at.submit(at.exit(2))
    stop = at.submit(at.fired_stop(2))
    assert at.gateway.withdrawn == [target.legs[0].order_id]
    at.end(target.legs[0])
    at.pass_by()
    assert [leg.offset for leg in stop.legs] == [Offset.CLOSE]


def test_a_claim_on_lots_of_today_holds_none_of_earlier_days_back():
    at = sparing(3, 2)
    at.foreign(3, Offset.CLOSETODAY)
    placed(at, 2, close_only=True)
    assert at.gateway.sent == [("CLOSE", 2)]


def test_an_exit_for_lots_that_are_all_of_today_is_rejected_with_the_numbers():
    at = sparing(3, 0)
    ticket = placed(at, 3, close_only=True)
    assert at.ends_of(ticket) == ["Rejected"]
    assert "3 of today, 0 of earlier days" in ticket.order.info.reason


# -- patience ---------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """Seconds, moved by hand."""
    seconds = [100.0]
    monkeypatch.setattr(order_router, "monotonic", lambda: seconds[0])
    return seconds


def patient(at):
    return at.router._is_patient(SYMBOL, SELL)


def test_lots_that_are_on_their_way_are_waited_for_and_not_for_ever(clock):
    at = StubbedDesk(today=3)
    at.gateway.held["pos_long_today"] = 0
    assert at.account.side_lots(SYMBOL, SELL) == SideLots(0, 3)
    assert patient(at)
    for _ in range(3):
        clock[0] += 4
        found = patient(at)
    assert not found


def test_a_state_of_hours_ago_has_no_part_in_the_patience_of_now(clock):
    at = StubbedDesk(today=3)
    at.gateway.held["pos_long_today"] = 0
    assert patient(at)
    clock[0] += 7200
    assert patient(at)


def test_lots_that_are_settled_begin_no_wait(clock):
    at = StubbedDesk(today=3)
    for _ in range(4):
        clock[0] += 4
        patient(at)
    at.gateway.held["pos_long_today"] = 0
    assert patient(at)
    at.gateway.held["pos_long_today"] = 3
    clock[0] += 6
    assert patient(at)
    clock[0] += 6
    at.gateway.held["pos_long_today"] = 0
    assert patient(at)


# -- locking ----------------------------------------------------------------------------------


def test_a_stop_that_opens_the_other_side_has_closed_for_its_bracket():
    at = StubbedDesk(today=0, priority=Priority.LOCK)
    entry = at.ticket(3, 3000.0, kind=bt.BuyOrder, exectype=bt.Order.Limit)
    stop = at.ticket(3, 2900.0, exectype=bt.Order.Limit)
    target = at.ticket(3, 3100.0, exectype=bt.Order.Limit)
    at.held.place(entry, None, None, False)
    at.held.place(stop, entry.order, None, False)
    at.held.place(target, entry.order, None, True)
    at.gateway.held["pos_long_today"] = 3
    at.fill(entry.legs[0], 3)
    assert at.sent_lots() == {"OPEN": 6}
    [leg] = stop.legs
    at.gateway.held["pos_short_today"] = 3
    at.fill(leg, 3)
    assert at.ends_of(target) == ["Canceled"]
    assert at.sent_lots() == {"OPEN": 6}
