"""The rules before sending: each limit at its edge, the days, and the way back."""

import json
from datetime import date
from itertools import product
from math import nan
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tianqin_backtrader.core.clock import SECOND
from tianqin_backtrader.core.model import Direction
from tianqin_backtrader.errors import ConfigError, JournalError, OrderError, RiskRefused
from tianqin_backtrader.execution.saved_risk import SavedRisk
from tianqin_backtrader.risk.engine import TRANSITIONS, GuardEvent, RiskEngine
from tianqin_backtrader.risk.limits import (
    GuardState,
    OrderIntent,
    OwnOrder,
    RiskContext,
    RiskLimits,
    reduces,
)

BUY, SELL = Direction.BUY, Direction.SELL
CU = "SHFE.cu2612"
MONDAY, TUESDAY = date(2026, 11, 9), date(2026, 11, 10)


def guard(**limits):
    return RiskEngine(RiskLimits(**limits))


def buy(volume=1, price=100.0, symbol=CU, **more):
    return OrderIntent(symbol, BUY, volume, price, **more)


def sell(volume=1, price=100.0, **more):
    return OrderIntent(CU, SELL, volume, price, **more)


def at(seconds=0.0, day=MONDAY, **facts):
    return RiskContext(round(seconds * SECOND), day, **{"last_price": 100.0, **facts})


def refused(one, intent, context, limit, text=None):
    with pytest.raises(RiskRefused, match=text) as caught:
        one.check(intent, context)
    assert caught.value.limit == limit
    assert str(caught.value).startswith(f"{limit} is {caught.value.allowed}: ")
    return caught.value


def test_without_limits_everything_passes():
    one = RiskEngine()
    for _ in range(1000):
        one.check(buy(10**6, 10**6), at(day_profit=-1e12, position=10**6))


def test_a_refusal_says_the_limit_and_the_value():
    one = guard(max_order_size=10)
    one.check(buy(10), at())
    error = refused(one, buy(12), at(), "max_order_size", "is 10: the order has 12 lots")
    assert (error.allowed, error.value) == (10, 12)
    assert isinstance(error, OrderError)


@pytest.mark.parametrize(
    ("intent", "facts", "passes"),
    [
        (buy(5), {}, True),
        (buy(6), {}, False),
        (buy(2), {"position": 3}, True),
        (buy(3), {"position": 3}, False),
        (buy(1), {"position": 3, "working": (OwnOrder(BUY, 2, 99.0),)}, False),
        (buy(2), {"position": 3, "working": (OwnOrder(SELL, 2, 101.0),)}, True),
        (sell(8), {"position": 3}, True),
        (sell(9), {"position": 3}, False),
        (sell(2), {"position": 9}, True),  # above the limit, but it reduces
        (sell(7, closes=True), {"position": -2}, True),  # closes long lots beside short ones
    ],
)
def test_the_position_with_all_that_works_stays_within_the_limit(intent, facts, passes):
    one = guard(max_position=5)
    if passes:
        one.check(intent, at(**facts))
    else:
        refused(one, intent, at(**facts), "max_position", "could become 6 lots")


def test_a_price_far_from_the_last_is_refused():
    one = guard(max_price_distance=0.02)
    one.check(buy(price=102.0), at())
    one.check(sell(price=98.0), at())
    refused(one, buy(price=102.5), at(), "max_price_distance", "0.025 away from the last, 100")
    one.check(buy(price=None), at())  # a market order
    refused(one, buy(price=100.0), at(last_price=nan), "max_price_distance", "nan")
    refused(one, buy(price=100.0), at(last_price=0.0), "max_price_distance")
    refused(one, buy(price=nan), at(), "max_price_distance")


def test_only_so_many_orders_in_any_second():
    one = guard(orders_per_second=2)
    one.check(buy(), at(0.0))
    one.check(buy(symbol="DCE.m2701"), at(0.9))
    refused(one, buy(), at(0.95), "orders_per_second", "number 3 in a second")
    one.check(buy(), at(1.0))
    refused(one, buy(), at(1.5), "orders_per_second")
    one.check(buy(), at(1.9))


def test_orders_of_a_contract_and_trading_day_are_counted():
    one = guard(orders_per_day=2)
    one.check(buy(), at())
    one.check(buy(), at())
    refused(one, buy(), at(), "orders_per_day", f"number 3 of the day on {CU}")
    one.check(buy(symbol="DCE.m2701"), at())
    one.check(buy(), at(day=TUESDAY))


def test_every_exchange_order_of_an_order_counts():
    one = guard(orders_per_day=5, orders_per_second=3)
    one.check(buy(50, orders=3), at())
    refused(one, buy(20), at(0.5), "orders_per_second", "number 4 in a second")
    refused(one, buy(50, orders=3), at(1.5), "orders_per_day", "number 6 of the day")
    one.passed_by(CU, 2, at(2.0))
    refused(one, buy(), at(4.0), "orders_per_day", "number 6 of the day")


def test_a_stop_may_fire_beside_a_target_while_only_what_reduces_is_sent():
    one = guard()
    one.reduce("the loss")
    beside = at(position=5, working=(OwnOrder(SELL, 5, 120.0),))
    refused(one, sell(5, None), beside, "state")
    one.check(sell(5, None, taken=True), beside)
    refused(one, sell(6, None, taken=True), beside, "state")
    refused(one, buy(1, None, taken=True), beside, "state")


def test_what_was_taken_before_is_slowed_down_and_not_refused_for_ever():
    one = guard(orders_per_second=2, no_repeat_within=60)
    one.check(sell(taken=True), at())
    one.check(sell(taken=True), at())
    refused(one, sell(3, orders=3, taken=True), at(0.5), "orders_per_second")
    one.check(sell(3, orders=3, taken=True), at(1.0))
    refused(one, sell(4, orders=3), at(2.0), "orders_per_second")


def test_a_restart_in_the_day_goes_on_where_it_was():
    one, two = (guard(orders_per_day=2, cancels_per_day=1, max_daily_loss=100.0) for _ in range(2))
    changes = [one.changes]
    for step in (
        lambda: one.check(buy(), at()),
        lambda: one.watch(at(day_profit=-100.0)),
        one.resume,
        lambda: one.cancelled(CU, at(day_profit=-150.0)),
    ):
        step()
        changes.append(one.changes)
    assert changes == sorted(set(changes))  # each is something that a restart must know
    two.recall(json.loads(json.dumps(one.to_dict())))
    assert two.watch(at(day_profit=-199.0)) is GuardState.ACTIVE
    refused(two, buy(), at(day_profit=-199.0), "cancels_per_day")
    two.check(sell(closes=True), at(day_profit=-199.0))
    refused(two, sell(closes=True), at(day_profit=-199.0), "orders_per_day")
    assert two.watch(at(day_profit=-200.0)) is GuardState.REDUCING
    one.recall(two.to_dict())
    assert (one.state, one.reason) == (two.state, two.reason)
    assert one.watch(at(day=TUESDAY)) is GuardState.REDUCING


def test_what_is_recalled_twice_counts_once():
    """A start that is refused is made again on the same broker."""
    one, two = guard(orders_per_day=2), guard(orders_per_day=2)
    one.check(buy(), at())
    for _ in range(2):
        two.recall(one.to_dict())
    two.check(buy(), at())
    refused(two, buy(), at(), "orders_per_day", "number 3 of the day")


def test_resume_behind_a_restart_forgives_the_loss_that_was_known():
    one, two = guard(max_daily_loss=1000.0), guard(max_daily_loss=1000.0)
    one.watch(at(day_profit=-1500.0))
    two.recall(one.to_dict())
    two.resume()
    assert two.watch(at(day_profit=-2499.0)) is GuardState.ACTIVE
    assert two.watch(at(day_profit=-2500.0)) is GuardState.REDUCING


def test_a_limit_that_was_met_and_resumed_is_not_told_any_more():
    one = guard(max_daily_loss=1000.0)
    one.watch(at(day_profit=-1500.0))
    assert one.loss_met
    one.resume()
    assert not one.loss_met


def test_a_refused_order_is_not_counted():
    one = guard(orders_per_day=1, max_order_size=1)
    for _ in range(5):
        refused(one, buy(2), at(), "max_order_size")
    one.check(buy(), at())


def test_when_the_cancels_are_used_up_only_what_reduces_is_sent():
    one = guard(cancels_per_day=2)
    for _ in range(2):
        one.check(buy(), at())
        one.cancelled(CU, at())
    refused(one, buy(), at(), "cancels_per_day", "would be number 3")
    one.check(sell(), at(position=1))
    one.cancelled(CU, at())  # never refused
    one.check(buy(symbol="DCE.m2701"), at())
    one.check(buy(), at(day=TUESDAY))


@pytest.mark.parametrize(
    ("intent", "own", "trades"),
    [
        (buy(price=100.0), OwnOrder(SELL, 1, 100.0), True),
        (buy(price=99.0), OwnOrder(SELL, 1, 100.0), False),
        (sell(price=101.0), OwnOrder(BUY, 1, 102.0), True),
        (sell(price=103.0), OwnOrder(BUY, 1, 102.0), False),
        (buy(price=None), OwnOrder(SELL, 1, 500.0), True),
        (buy(price=1.0), OwnOrder(SELL, 1, None), True),
        (buy(price=100.0), OwnOrder(BUY, 1, 100.0), False),
    ],
)
def test_no_trade_with_oneself(intent, own, trades):
    one = guard(no_self_trade=True)
    if trades:
        refused(one, intent, at(working=(own,)), "no_self_trade", f"own {own.direction} at")
    else:
        one.check(intent, at(working=(own,)))


def test_the_same_order_again_is_a_mistake():
    one = guard(no_repeat_within=2.0)
    one.check(buy(), at(0))
    refused(one, buy(), at(1.5), "no_repeat_within", "1.5 seconds ago")
    one.check(buy(2), at(1.5))
    one.check(sell(), at(1.5))
    one.check(buy(), at(2.0))


def test_the_same_order_in_other_pieces_is_the_same_order():
    one = guard(no_repeat_within=2.0)
    one.check(sell(5, orders=2), at(0))  # today's lots and yesterday's
    refused(one, sell(5), at(1.0), "no_repeat_within")
    one.check(buy(5, taken=True), at(1.0))  # a stop that fires
    refused(one, buy(5), at(1.5), "no_repeat_within")


def test_a_loss_leaves_only_what_reduces():
    one = guard(max_daily_loss=1000.0)
    one.check(buy(), at(day_profit=-999.99))
    refused(
        one, buy(), at(day_profit=-1000.0), "state", "max_daily_loss is 1000.00 yuan, .* 1000.00"
    )
    assert one.state is GuardState.REDUCING
    one.check(sell(2), at(position=2, day_profit=-1000.0))
    refused(one, sell(3), at(position=2), "state")
    refused(one, sell(1), at(position=2, working=(OwnOrder(SELL, 2, 101.0),)), "state")
    one.check(sell(3, closes=True), at())


def test_a_loss_may_halt_everything():
    one = guard(max_daily_loss=1000.0, on_loss=GuardState.HALTED)
    assert one.watch(at(day_profit=-2000.0)) is GuardState.HALTED
    refused(one, sell(1), at(position=1), "state", "no orders .*2000.00")


STOP = sell(1, None, closes=True, taken=True)


def test_exits_that_were_taken_before_go_on_after_a_loss():
    one = guard(max_daily_loss=1000.0, on_loss=GuardState.HALTED)
    one.watch(at(day_profit=-2000.0))
    one.check(STOP, at(day_profit=-2000.0, position=1))
    refused(one, sell(1, closes=True), at(day_profit=-2000.0, position=1), "state")
    refused(one, sell(1, taken=True), at(day_profit=-2000.0, position=1), "state")


def test_a_halt_by_its_owner_lets_no_exit_pass_whatever_follows():
    one = guard(max_daily_loss=1000.0, on_loss=GuardState.HALTED)
    one.halt("the disk is full", keeps_exits=True)
    one.check(STOP, at(position=1))
    one.halt("enough")
    one.watch(at(day_profit=-2000.0))
    one.halt("the disk is full", keeps_exits=True)
    refused(one, STOP, at(day_profit=-2000.0, position=1), "state")
    one.resume()
    one.halt("the disk is full", keeps_exits=True)
    one.check(STOP, at(position=1))


def halted_by_records():
    """Rules and their memory, in a program whose records cannot be written."""
    one, error = guard(), JournalError("journal.db", "the disk is full")
    write_ahead = SimpleNamespace(broken=error, follow=lambda plan: None)
    memory = SavedRisk(None, one, SimpleNamespace(busy=False, changes=0), write_ahead)
    one.halt(str(error), keeps_exits=True)
    return one, memory


def remembered(memory):
    fields, _ = memory.plan()
    return fields["state"], fields["reason"], fields["keeps_exits"]


def test_what_the_owner_wishes_while_the_records_halt_trading_is_remembered():
    one, memory = halted_by_records()
    assert remembered(memory) == ("ACTIVE", "", False)
    one.reduce("flattened")
    one.reduce("flattened again")
    assert remembered(memory) == ("REDUCING", "flattened", False)
    assert one.state is GuardState.HALTED and one.keeps_exits
    one.halt("enough")
    assert remembered(memory) == ("HALTED", "enough", False)
    one.resume()
    assert remembered(memory) == ("ACTIVE", "", False) and not one.would_reduce


def test_what_a_halt_lets_pass_is_remembered():
    one = guard()
    one.halt("the disk is full", keeps_exits=True)
    next_run = guard()
    next_run.recall(json.loads(json.dumps(one.to_dict())))
    next_run.check(STOP, at(position=1))


def test_a_halt_stays_overnight_and_until_resume():
    one = guard(max_daily_loss=1000.0)
    one.watch(at(day_profit=-1500.0))
    refused(one, buy(), at(day_profit=0.0), "state")
    refused(one, buy(), at(day=TUESDAY), "state", "loss is 1500.00")
    one.resume()
    assert (one.state, one.reason) == (GuardState.ACTIVE, "")
    one.check(buy(), at(day=TUESDAY))


def test_after_resume_the_loss_counts_from_there():
    one = guard(max_daily_loss=1000.0)
    one.watch(at(day_profit=-1500.0))
    one.resume()
    one.check(buy(), at(day_profit=-2499.0))
    refused(one, buy(), at(day_profit=-2500.0), "state")
    one.resume()
    refused(one, buy(), at(day=TUESDAY, day_profit=-1000.0), "state")  # a day of its own


def test_a_profit_is_not_to_be_lost_again_unnoticed():
    one = guard(max_daily_loss=1000.0)
    one.watch(at(day_profit=5000.0))
    one.resume()
    one.check(buy(), at(day_profit=-900.0))
    refused(one, buy(), at(day_profit=-1000.0), "state")


def test_an_unknown_profit_refuses_and_changes_no_state():
    one = guard(max_daily_loss=1000.0)
    refused(one, buy(), at(day_profit=nan), "max_daily_loss", "not known")
    assert one.state is GuardState.ACTIVE
    RiskEngine().check(buy(), at(day_profit=nan))


def test_by_hand():
    one = RiskEngine()
    one.reduce("lunch")
    refused(one, buy(), at(), "state", r"only orders that reduce \(lunch\)")
    one.halt("fire")
    one.reduce("less")  # a halt is not loosened by it
    assert (one.state, one.reason) == (GuardState.HALTED, "fire")
    refused(one, sell(), at(position=1), "state", "fire")
    one.resume()
    one.check(buy(), at())


@pytest.mark.parametrize(("state", "event"), list(product(GuardState, GuardEvent)))
def test_only_resume_leads_back(state, event):
    strictness = list(GuardState)
    following = TRANSITIONS[state][event]
    if event is GuardEvent.RESUME:
        assert following is GuardState.ACTIVE
    else:
        assert strictness.index(following) >= strictness.index(state)


@given(
    position=st.integers(-9, 9),
    works=st.integers(0, 9),
    intent=st.builds(OrderIntent, st.just(CU), st.sampled_from(Direction), st.integers(1, 9)),
)
def test_what_reduces_can_only_make_the_position_smaller(position, works, intent):
    """However much of it, and of what works beside it, is filled."""
    own = (OwnOrder(intent.direction, works, 100.0),) if works else ()
    if not reduces(intent, at(position=position, working=own)):
        return
    for others, filled in product(range(works + 1), range(1, intent.volume + 1)):
        before = position + intent.direction.sign * others
        after = before + intent.direction.sign * filled
        assert abs(after) < abs(before)
        assert after * position >= 0


@pytest.mark.parametrize(
    "limits",
    [
        {"max_order_size": -1},
        {"max_price_distance": nan},
        {"max_daily_loss": 0.0},
        {"on_loss": GuardState.ACTIVE},
    ],
)
def test_limits_that_make_no_sense(limits):
    with pytest.raises(ConfigError):
        RiskLimits(**limits)
