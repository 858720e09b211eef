"""Funds that orders bind before the account says so."""

import pytest

from tianqin_backtrader.account.ledger import SETTLED, Binding, BoundFunds
from tianqin_backtrader.core.clock import Instants
from tianqin_backtrader.core.model import Direction, Fill, Offset, OrderReport
from tianqin_backtrader.orders.leg import OrderLeg

CU = "SHFE.cu2612"
BEFORE, AFTER = (0.0, 0.0), (0.0, 78000.0)


def order(volume=2, order_id="o"):
    return OrderLeg(order_id, CU, Direction.BUY, Offset.OPEN, volume, 78000.0)


def report(leg, status="ALIVE", left=None, number="1"):
    left = leg.volume if left is None else left
    return OrderReport(leg.order_id, CU, leg.direction, leg.offset, leg.volume, left, 78000.0,
                       status, number, "")  # fmt: skip


def fill(leg, volume):
    return Fill("t", leg.order_id, CU, leg.direction, leg.offset, 78000.0, volume, 0, 1.0)


@pytest.fixture
def funds():
    return BoundFunds()


def test_two_orders_of_one_moment_bind_both(funds):
    for number in "12":
        funds.bind(Binding(order(order_id=number), 39000.0, BEFORE, Instants(0, 0)))
    assert funds.yuan(BEFORE, Instants(0, 0)) == 4 * 39000.0


def test_an_order_that_is_not_answered_binds_whatever_the_account_says(funds):
    funds.bind(Binding(order(), 39000.0, BEFORE, Instants(0, 0)))
    assert funds.yuan(AFTER, Instants(9 * SETTLED, 0)) == 2 * 39000.0


def test_what_the_account_holds_is_not_counted_twice(funds):
    leg = order()
    funds.bind(Binding(leg, 39000.0, BEFORE, Instants(0, 0)))
    leg.take_report(report(leg))
    assert funds.yuan(BEFORE, Instants(1, 1)) == 2 * 39000.0  # the counter has not been asked yet
    assert funds.yuan(AFTER, Instants(2, 2)) == 0.0
    assert funds.yuan(BEFORE, Instants(3, 3)) == 0.0  # and never again


@pytest.mark.parametrize("late", [(SETTLED + 1, 0), (0, SETTLED + 1)])
def test_after_a_while_the_account_is_believed(funds, late):
    leg = order()
    funds.bind(Binding(leg, 39000.0, BEFORE, Instants(0, 0)))
    leg.take_report(report(leg))
    assert funds.yuan(BEFORE, Instants(*late)) == 0.0


def test_of_an_order_that_is_over_its_fills_bind(funds):
    leg = order()
    funds.bind(Binding(leg, 39000.0, BEFORE, Instants(0, 0)))
    leg.take_report(report(leg, "FINISHED", left=1))
    leg.take_fill(fill(leg, 1))
    assert leg.over
    assert funds.yuan(BEFORE, Instants(1, 1)) == 39000.0


def test_a_refused_order_binds_nothing(funds):
    leg = order()
    funds.bind(Binding(leg, 39000.0, BEFORE, Instants(0, 0)))
    leg.take_report(report(leg, "FINISHED", number=""))
    assert funds.yuan(BEFORE, Instants(1, 1)) == 0.0
