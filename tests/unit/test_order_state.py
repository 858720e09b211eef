"""The life of a leg, whatever order its reports come in."""

from itertools import permutations

import pytest

from tianqin_backtrader.errors import IllegalTransition
from tianqin_backtrader.model import Direction, Fill, Offset, OrderReport
from tianqin_backtrader.order_state import OVER, TRANSITIONS, OrderLeg, OrderState


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


def test_every_state_has_its_row_and_nothing_leaves_the_table():
    assert set(TRANSITIONS) == set(OrderState)
    for row in TRANSITIONS.values():
        assert set(row.values()) <= set(OrderState)
    for state in OVER - {OrderState.CANCELLED}:
        assert set(TRANSITIONS[state].values()) == {state}
