"""The life of a leg, whatever order its reports come in."""

from itertools import permutations, product

import pytest

from tianqin_backtrader.core.model import Direction, Fill, Offset, OrderReport
from tianqin_backtrader.errors import IllegalTransition
from tianqin_backtrader.orders.leg import (
    OVER,
    TRANSITIONS,
    UNCONFIRMED,
    OrderEvent,
    OrderLeg,
    OrderState,
)


def leg(volume=3):
    return OrderLeg("o1", "SHFE.cu2612", Direction.BUY, Offset.OPEN, volume, 78000.0)


def fill(number, volume):
    return Fill(
        f"t{number}", "o1", "SHFE.cu2612", Direction.BUY, Offset.OPEN, 78000.0, volume, 0, 1.0
    )


def report(left, status="ALIVE", exchange_id="x1", message=""):
    return OrderReport(
        "o1", "SHFE.cu2612", Direction.BUY, Offset.OPEN, 3, left, 78000.0, status, exchange_id,
        message,
    )  # fmt: skip


def test_our_own_unsent_order_is_not_an_acceptance():
    one = leg()
    assert one.take_report(report(3, exchange_id="")) is False
    assert one.state is OrderState.SUBMITTED


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_fills_and_reports_in_any_order_end_filled(order):
    news = [fill(1, 1), fill(2, 2), report(2), report(0, "FINISHED")]
    one = leg()
    for index in order:
        item = news[index]
        one.take_fill(item) if isinstance(item, Fill) else one.take_report(item)
    assert one.state is OrderState.FILLED
    assert one.filled == 3


def test_a_fill_reported_twice_counts_once():
    one = leg()
    assert one.take_fill(fill(1, 1)) is True
    assert one.take_fill(fill(1, 1)) is False
    assert (one.filled, one.state) == (1, OrderState.PARTIAL)


def test_finished_before_its_last_trade_is_not_over():
    one = leg()
    one.take_report(report(2, "FINISHED"))  # one lot filled, two withdrawn
    assert one.state is OrderState.FINISHING
    assert not one.over
    one.take_fill(fill(1, 1))
    assert one.state is OrderState.CANCELLED


def test_a_fill_that_crosses_the_cancel_is_counted():
    one = leg()
    one.take_report(report(3, "FINISHED"))
    assert one.state is OrderState.CANCELLED
    one.take_fill(fill(1, 1))
    assert (one.filled, one.state) == (1, OrderState.CANCELLED)


def test_a_reject_has_no_exchange_id():
    one = leg()
    one.take_report(report(3, "FINISHED", exchange_id="", message="资金不足"))
    assert one.state is OrderState.REJECTED
    assert one.last_msg == "资金不足"


def test_more_fills_than_lots_are_refused_and_change_nothing():
    one = leg(volume=1)
    one.take_fill(fill(1, 1))
    with pytest.raises(IllegalTransition):
        one.take_fill(fill(2, 1))
    assert (one.filled, one.state) == (1, OrderState.FILLED)


def test_a_report_that_does_not_fit_changes_nothing():
    one = leg()
    one.take_fill(fill(1, 1))
    with pytest.raises(IllegalTransition):
        one.reject("too late")
    assert (one.filled, one.state, one.last_msg) == (1, OrderState.PARTIAL, "")
    other = leg()
    other.take_report(report(3, "FINISHED", exchange_id="", message="资金不足"))
    with pytest.raises(IllegalTransition):
        other.take_fill(fill(1, 1))
    with pytest.raises(IllegalTransition):
        other.take_report(report(2, "FINISHED", message="全部成交"))
    assert (other.filled, other.last_msg, other.exchange_order_id) == (0, "资金不足", "")


def test_an_older_report_takes_nothing_back():
    one = leg()
    one.take_report(report(1, "FINISHED"))
    one.take_report(report(3))  # written before the fills
    assert one.state is OrderState.FINISHING
    one.take_fill(fill(1, 1))
    assert one.state is OrderState.FINISHING
    one.take_fill(fill(2, 1))
    assert one.state is OrderState.CANCELLED


def test_more_than_reported_ends_it_too():
    one = leg()
    one.take_report(report(2, "FINISHED"))
    one.take_fill(fill(2, 2))
    assert one.state is OrderState.CANCELLED
    one.take_fill(fill(1, 1))
    assert (one.filled, one.state) == (3, OrderState.FILLED)


def test_an_order_without_an_answer_is_asked_for():
    one = OrderLeg("o1", "SHFE.cu2612", Direction.BUY, Offset.OPEN, 3, 78000.0, sent_ns=1000)
    assert not one.overdue(1000 + 499, 500)
    assert one.overdue(1000 + 500, 500)
    assert one.time_out() is True
    assert one.state is OrderState.UNKNOWN
    assert one.state in UNCONFIRMED
    assert not one.over
    assert not one.overdue(10**9, 500)  # once is enough
    one.take_report(report(3))
    assert one.state is OrderState.ALIVE
    assert not leg().overdue(10**18, 1)


def test_an_order_that_the_exchange_denies_is_lost_until_it_turns_up():
    one = leg()
    one.time_out()
    assert one.not_found() is False
    assert (one.state, one.over) == (OrderState.LOST, True)
    assert "does not know" in one.last_msg
    one.take_fill(fill(1, 1))
    assert (one.state, one.over) == (OrderState.PARTIAL, False)


def test_a_denial_that_crosses_the_acceptance_is_asked_again():
    one = leg()
    one.time_out()
    one.take_report(report(3))
    assert one.not_found() is True
    assert one.state is OrderState.UNKNOWN


def test_a_filled_order_cannot_time_out():
    one = leg(volume=1)
    one.take_fill(fill(1, 1))
    assert one.time_out() is False
    assert one.not_found() is False
    assert one.state is OrderState.FILLED


def test_an_unknown_order_is_met_in_its_report():
    working = OrderLeg.met(report(3))
    assert (working.state, working.volume) == (OrderState.ALIVE, 3)
    ended = OrderLeg.met(report(2, "FINISHED"))
    assert ended.state is OrderState.FINISHING
    ended.take_fill(fill(1, 1))
    assert ended.state is OrderState.CANCELLED
    assert OrderLeg.met(report(3, "FINISHED", exchange_id="")).state is OrderState.REJECTED
    assert OrderLeg.met(report(3, exchange_id="")).state is OrderState.UNKNOWN


@pytest.mark.parametrize(("state", "event"), list(product(OrderState, OrderEvent)))
def test_every_pair_is_in_the_table_or_raises(state, event):
    one = leg()
    one.state = state
    if event in TRANSITIONS[state]:
        one._apply(event)
        assert one.state is TRANSITIONS[state][event]
    else:
        with pytest.raises(IllegalTransition):
            one._apply(event)
        assert one.state is state


#: What no life holds. All other pairs of states and events have a row.
IMPOSSIBLE = {
    (OrderState.SUBMITTED, OrderEvent.ACCEPT_PARTIAL),  # a fill makes it PARTIAL
    (OrderState.ALIVE, OrderEvent.ACCEPT_PARTIAL),
    (OrderState.PARTIAL, OrderEvent.ACCEPT),  # it has fills
    (OrderState.PARTIAL, OrderEvent.REJECT),
    (OrderState.FINISHING, OrderEvent.REJECT),
    (OrderState.FILLED, OrderEvent.ACCEPT),
    (OrderState.FILLED, OrderEvent.FILL),  # there is nothing left
    (OrderState.FILLED, OrderEvent.FILL_ALL),
    (OrderState.FILLED, OrderEvent.REJECT),
    (OrderState.CANCELLED, OrderEvent.REJECT),
    (OrderState.REJECTED, OrderEvent.ACCEPT_PARTIAL),
    (OrderState.REJECTED, OrderEvent.FILL),  # the exchange never had it
    (OrderState.REJECTED, OrderEvent.FILL_ALL),
    (OrderState.REJECTED, OrderEvent.END_FILLS_MISSING),
}


def test_only_the_impossible_has_no_row():
    rows = {(state, event) for state, row in TRANSITIONS.items() for event in row}
    assert set(product(OrderState, OrderEvent)) - rows == IMPOSSIBLE


def test_every_state_has_its_row_and_nothing_leaves_the_table():
    assert set(TRANSITIONS) == set(OrderState)
    for row in TRANSITIONS.values():
        assert set(row.values()) <= set(OrderState)
    for state in OVER - {OrderState.CANCELLED, OrderState.LOST}:
        assert set(TRANSITIONS[state].values()) == {state}
