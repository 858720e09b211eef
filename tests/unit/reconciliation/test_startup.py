"""What becomes of legs that an earlier run has sent and the account does not show."""

from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import pytest
from desk_on_stubs import BEGIN, SYMBOL, Anything, StubbedDesk

from tianqin_backtrader.core.model import Direction, Fill, Offset, OrderReport
from tianqin_backtrader.errors import StartRefused
from tianqin_backtrader.orders.leg import OrderState
from tianqin_backtrader.orders.ticket import Stage
from tianqin_backtrader.reconciliation.after_reconnect import SETTLED
from tianqin_backtrader.reconciliation.position_diff import PositionDiff
from tianqin_backtrader.reconciliation.saved_orders import leg_of
from tianqin_backtrader.reconciliation.startup import NEVER_LEFT, UNSHOWN, StartupReconciler
from tianqin_backtrader.records.journal_queries import RecordedLeg


@pytest.fixture
def at():
    return StubbedDesk(today=6)


def restart(at, *, resend=False):
    return StartupReconciler(
        at.engine,
        at.manager,
        at.report_handler,
        at.held,
        Anything(),
        Anything(),
        lots=Anything(),
        memory=Anything(),
        pump=Anything().wait,
        newborn=False,
        resend=resend,
        accept=False,
    )


@pytest.mark.parametrize("filled", [0, 1])
def test_a_leg_that_had_been_heard_of_is_lost_and_not_said_to_have_never_left(at, filled):
    ticket = at.submit(at.exit(3))
    [leg] = ticket.legs
    at.alive(leg)
    if filled:
        at.fill(leg, filled)
    restart(at)._never_left(ticket, leg)
    assert leg.state is OrderState.LOST
    assert at.ends_of(ticket) == ["Canceled" if filled else "Rejected"]
    assert ticket.order.info.reason == "the exchange does not know it"


def test_a_stop_that_never_left_is_sent_and_what_turns_up_after_all_is_withdrawn(at):
    ticket = at.submit(at.fired_stop(3))
    [leg] = ticket.legs
    restart(at)._never_left(ticket, leg)
    assert (leg.state, leg.last_msg) == (OrderState.LOST, NEVER_LEFT)
    assert at.gateway.sent == [("CLOSETODAY", 3), ("CLOSETODAY", 3)]
    assert ticket.stage is Stage.WORKING
    at.alive(leg)
    assert at.gateway.withdrawn == [leg.order_id]


def test_an_order_that_never_left_is_told_so(at):
    ticket = at.submit(at.exit(3))
    restart(at)._never_left(ticket, ticket.legs[0])
    assert at.ends_of(ticket) == ["Expired"]
    assert ticket.order.info.reason == NEVER_LEFT


@pytest.mark.parametrize("resend", [False, True])
def test_what_a_reversal_opens_and_never_left_is_sent_again_only_by_wish(resend):
    at = StubbedDesk(today=3)
    stop = at.hold(6, 2990.0)
    at.price = 2990.0
    at.held.on_round()
    at.fill(stop.legs[0], 3)
    assert at.gateway.sent == [("CLOSETODAY", 3), ("OPEN", 3)]
    restart(at, resend=resend)._never_left(stop, stop.legs[1])
    assert at.gateway.sent[2:] == [("OPEN", 3)] * resend
    assert at.ends_of(stop) == ([] if resend else ["Canceled"])


FILL = Fill("t1", "o1", SYMBOL, Direction.SELL, Offset.CLOSETODAY, 3000.0, 1, BEGIN, 1.0)


@pytest.mark.parametrize(("fills", "state"), [((), OrderState.LOST), ((FILL,), OrderState.PARTIAL)])
def test_a_leg_that_was_given_up_on_record_may_live_after_all(fills, state):
    content = "o1", SYMBOL, Direction.SELL, Offset.CLOSETODAY
    report = OrderReport(*content, 3, 3, 3000.0, "FINISHED", "", "busy")
    recorded = RecordedLeg(*content, 3, 3000.0, date(2026, 1, 5), BEGIN, report, fills)
    leg = leg_of(recorded)
    assert (leg.state, leg.last_msg) == (state, "busy")
    leg.take_report(OrderReport(*content, 3, 2, 3000.0, "ALIVE", "77", ""))
    assert not leg.over


def test_orders_are_not_taken_for_filled_while_the_account_shows_no_positions():
    at = StubbedDesk()
    at.gateway.margin = 3000.0
    one = restart(at)
    gone = PositionDiff({"o1": 3}, [])
    assert not one._is_settled(gone, SETTLED) and not one._is_settled(gone, UNSHOWN - 1)
    with pytest.raises(StartRefused, match="has shown no positions"):
        one._is_settled(gone, UNSHOWN)
    at.gateway.held["pos_long_his"] = 3
    assert one._is_settled(PositionDiff(), 0)
    assert not one._is_settled(PositionDiff({}, [(SYMBOL, "long", 3, 1)]), SETTLED - 1)
    assert one._is_settled(PositionDiff({}, [(SYMBOL, "long", 3, 1)]), SETTLED)


@pytest.mark.parametrize("name", ["t1", f"{SYMBOL} 2026-01-05 77 SELL CLOSETODAY"])
def test_trades_of_others_are_known_by_either_name_that_records_have_given_them(name, monkeypatch):
    at = StubbedDesk(today=2)
    at.gateway.renewable = True
    monkeypatch.setattr(
        "tianqin_backtrader.reconciliation.startup.expired", lambda *args, **options: False
    )
    fill = replace(FILL, exchange_trade_id="77")
    lots = SimpleNamespace(fields={"lots": [[SYMBOL, "long", 2]], "foreign": [name]}, seq=1)
    journal = SimpleNamespace(plan_of=lambda *names: lots, lots_since=lambda seq: {})
    picture = restart(at)._compare(journal, [fill], set(), [])
    assert picture.differences == []
