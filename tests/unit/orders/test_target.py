"""Working to a net position: one careful step after another."""

from itertools import product
from math import nan

import pytest

from tianqin_backtrader.core.clock import SECOND
from tianqin_backtrader.core.model import Direction
from tianqin_backtrader.errors import IllegalTransition, OrderError
from tianqin_backtrader.orders.pegged import (
    TRANSITIONS,
    ChaseRules,
    Phase,
    PhaseEvent,
    Quote,
    Style,
    WorkingOrder,
)
from tianqin_backtrader.orders.target import (
    Cancel,
    CancelRefused,
    Ended,
    Filled,
    Lots,
    NewTarget,
    Place,
    TargetState,
    Wait,
    step,
)

BUY, SELL = Direction.BUY, Direction.SELL
QUOTE = Quote(bid_price1=99.0, ask_price1=100.0)
HIGHER = Quote(bid_price1=100.0, ask_price1=101.0)


class Hand:
    """A target and its clock in seconds; ``do`` returns the action."""

    def __init__(self, target, **rules):
        self.state = TargetState("t", target, rules=ChaseRules(**rules))

    def do(self, second, *events, quote=QUOTE):
        self.state, action = step(self.state, events, second * SECOND, quote)
        return action


def test_it_buys_at_the_ask_and_is_done():
    hand = Hand(3)
    assert hand.do(0) == Place("t-1", BUY, 3, 100.0)
    assert hand.do(1, Filled("t-1", "a", BUY, 3)) == Wait()
    assert hand.state.reached
    assert hand.state.net == 3
    assert hand.do(2, Ended("t-1", 3)) == Wait()  # told late


def test_a_sale_goes_to_the_bid_and_a_passive_one_to_the_ask():
    assert Hand(-2).do(0) == Place("t-1", SELL, 2, 99.0)
    assert Hand(-2, style=Style.PASSIVE).do(0) == Place("t-1", SELL, 2, 100.0)


def test_it_follows_the_quote_after_some_seconds_and_not_before_the_end_is_known():
    hand = Hand(3)
    hand.do(0)
    assert hand.do(2, quote=HIGHER) == Wait(3 * SECOND)
    assert hand.do(3, quote=HIGHER) == Cancel("t-1")
    assert hand.do(4, quote=HIGHER) == Wait(8 * SECOND)
    assert hand.do(5, Ended("t-1", 0), quote=HIGHER) == Place("t-2", BUY, 3, 101.0)


def test_the_same_price_keeps_its_place_in_the_queue():
    hand = Hand(3)
    hand.do(0)
    assert hand.do(60) == Wait()


def test_a_fill_that_crosses_the_cancel_is_taken_off_the_next_order():
    hand = Hand(5)
    hand.do(0)
    assert hand.do(3, quote=HIGHER) == Cancel("t-1")
    assert hand.do(4, Filled("t-1", "a", BUY, 2), quote=HIGHER) == Wait(8 * SECOND)
    assert hand.do(5, Ended("t-1", 2), quote=HIGHER) == Place("t-2", BUY, 3, 101.0)


def test_it_waits_for_the_fills_that_the_end_speaks_of():
    hand = Hand(5)
    hand.do(0)
    hand.do(3, quote=HIGHER)
    assert hand.do(4, Ended("t-1", 3), quote=HIGHER) == Wait()
    assert hand.do(9, Filled("t-1", "a", BUY, 1), quote=HIGHER) == Wait()
    assert hand.do(9, Ended("t-1", 3), quote=HIGHER) == Wait()
    assert hand.do(10, Filled("t-1", "b", BUY, 2), quote=HIGHER) == Place("t-2", BUY, 2, 101.0)


def test_a_fill_told_again_counts_once():
    hand = Hand(5)
    hand.do(0)
    hand.do(1, Filled("t-1", "a", BUY, 2), Filled("t-1", "a", BUY, 2))
    assert hand.state.net == 2


def test_a_fill_after_the_end_is_worked_back():
    hand = Hand(3)
    hand.do(0)
    hand.do(3, quote=HIGHER)
    assert hand.do(4, Ended("t-1", 0), quote=HIGHER) == Place("t-2", BUY, 3, 101.0)
    # The exchange had said that there was none.
    assert hand.do(5, Filled("t-1", "a", BUY, 1), quote=HIGHER) == Cancel("t-2")
    assert hand.do(6, Ended("t-2", 0), quote=HIGHER) == Place("t-3", BUY, 2, 101.0)


def test_a_refused_cancel_is_repeated_after_a_while():
    hand = Hand(3)
    hand.do(0)
    assert hand.do(3, quote=HIGHER) == Cancel("t-1")
    assert hand.do(4, CancelRefused("t-1"), quote=HIGHER) == Wait(8 * SECOND)
    assert hand.do(8, quote=HIGHER) == Cancel("t-1")
    assert hand.do(9, quote=HIGHER) == Wait(13 * SECOND)
    assert hand.do(13, quote=HIGHER) == Cancel("t-1")  # no answer at all


def test_a_smaller_target_withdraws_at_once():
    hand = Hand(5)
    hand.do(0)
    assert hand.do(1, NewTarget(2)) == Cancel("t-1")
    assert hand.do(2, Ended("t-1", 0)) == Place("t-2", BUY, 2, 100.0)


def test_another_side_withdraws_at_once():
    hand = Hand(5)
    hand.do(0)
    assert hand.do(1, Filled("t-1", "a", BUY, 1), NewTarget(-1)) == Cancel("t-1")
    assert hand.do(2, Ended("t-1", 1)) == Place("t-2", SELL, 2, 99.0)


def test_a_larger_target_is_for_the_next_quote():
    hand = Hand(2)
    hand.do(0)
    assert hand.do(1, NewTarget(6)) == Wait(3 * SECOND)
    assert hand.do(3) == Cancel("t-1")
    assert hand.do(4, Ended("t-1", 0)) == Place("t-2", BUY, 6, 100.0)


def test_large_sizes_go_in_pieces():
    hand = Hand(5, max_order_volume=2)
    assert hand.do(0).volume == 2
    assert hand.do(1, Filled("t-1", "a", BUY, 2)).volume == 2
    assert hand.do(2, Filled("t-2", "b", BUY, 2)).volume == 1


def test_the_last_fill_after_the_end_costs_no_rest():
    hand = Hand(4, max_order_volume=2)
    hand.do(0)
    hand.do(1, Ended("t-1", 2))
    assert hand.do(1, Filled("t-1", "a", BUY, 2)) == Place("t-2", BUY, 2, 100.0)


def test_after_rejections_it_rests_and_then_gives_up_until_a_new_target():
    hand = Hand(1)
    for number in range(3):
        assert hand.do(2 * number) == Place(f"t-{number + 1}", BUY, 1, 100.0)
        answer = hand.do(2 * number, Ended(f"t-{number + 1}", 0, rejected=True))
        assert answer == (Wait((2 * number + 1) * SECOND) if number < 2 else Wait())
    assert hand.state.stalled
    assert hand.do(99) == Wait()
    assert hand.do(99, NewTarget(1)) == Place("t-4", BUY, 1, 100.0)


def test_an_order_that_the_exchange_ends_is_not_sent_again_at_once():
    hand = Hand(1)
    hand.do(0)
    assert hand.do(1, Ended("t-1", 0)) == Wait(2 * SECOND)
    assert hand.do(2) == Place("t-2", BUY, 1, 100.0)


def test_no_market_no_order():
    assert Hand(1).do(0, quote=None) == Wait()
    assert Hand(1).do(0, quote=Quote()) == Wait()
    hand = Hand(1)
    hand.do(0)
    assert hand.do(60, quote=None) == Wait()
    assert hand.do(60, quote=Quote()) == Wait()


def test_at_the_price_limit_it_joins_its_own_side():
    locked = Quote(bid_price1=110.0, ask_price1=nan, upper_limit=110.0, lower_limit=90.0)
    assert Hand(1).do(0, quote=locked).price == 110.0
    assert Hand(1, style=Style.PASSIVE).do(0, quote=locked).price == 110.0
    assert Hand(-1, style=Style.PASSIVE).do(0, quote=locked).price == 110.0


@pytest.mark.parametrize(("target", "price"), [(1, 102.0), (-1, 97.0)])
def test_it_may_reach_beyond_the_other_side_but_not_beyond_the_limits(target, price):
    quote = Quote(99.0, 100.0, upper_limit=102.0, lower_limit=97.0)
    assert Hand(target, reach=5.0).do(0, quote=quote).price == price
    assert Hand(target, reach=1.0).do(0, quote=quote).price == (101.0 if target > 0 else 98.0)


def test_orders_of_others_are_none_of_its_business():
    with pytest.raises(OrderError, match="x-1"):
        Hand(1).do(0, Ended("x-1", 0))


@pytest.mark.parametrize(("phase", "event"), list(product(Phase, PhaseEvent)))
def test_every_pair_is_in_the_table_or_raises(phase, event):
    order = WorkingOrder("t-1", BUY, 1, 100.0, 0, phase=phase)
    asks_what_is_over = phase is Phase.SETTLING and event is PhaseEvent.ASK_CANCEL
    if phase is Phase.OVER or asks_what_is_over:
        with pytest.raises(IllegalTransition):
            order.after(event)
    else:
        assert order.after(event) is TRANSITIONS[phase][event]


# -- contracts that open no fewer than so many lots ---------------------------------------------


@pytest.mark.parametrize(
    ("target", "net", "least", "most", "lots"),
    [
        (3, 0, 3, 0, [3]),
        (2, 0, 3, 0, []),
        (-2, 3, 3, 0, [3]),  # what closes is closed, and the rest is said
        (-3, 3, 3, 0, [6]),
        (0, 2, 8, 0, [2]),
        (7, 0, 3, 4, [4, 3]),
        (5, 0, 3, 4, [4]),  # a lot is left that no order can open
        (6, 0, 3, 4, [3, 3]),  # not 4 and 2
        (-4, 2, 3, 5, [5]),
        (9, 0, 4, 2, []),  # an order of two opens nothing
    ],
)
def test_orders_open_what_can_be_opened(target, net, least, most, lots):
    state = TargetState("t", target, net=net, rules=ChaseRules(max_order_volume=most))
    sent = []
    for number in range(1, 9):
        held = Lots(max(0, state.net), max(0, -state.net), least)
        state, action = step(state, [], number * SECOND, QUOTE, held)
        if not isinstance(action, Place):
            break
        sent.append(action.volume)
        fill = Filled(action.order_id, str(number), action.direction, action.volume)
        state, _ = step(state, [fill], number * SECOND, None, held)
    assert sent == lots
    assert state.stalled is not state.reached
    assert state.short == abs(state.target - state.net)


def test_lots_of_the_other_side_are_closed_whatever_the_net_position_is():
    state = TargetState("t", 3, net=1)
    _, action = step(state, [], 0, QUOTE, Lots(longs=3, shorts=2, open_least=3))
    assert action == Place("t-1", BUY, 2, 100.0)


def test_a_rest_that_could_not_be_sent_again_stays_out():
    state = TargetState("t", 4)
    least = Lots(open_least=3)
    state, _ = step(state, [], 0, QUOTE, least)
    state, action = step(state, [Filled("t-1", "a", BUY, 1)], SECOND, HIGHER, least)
    assert action == Wait(3 * SECOND)
    state, action = step(state, [], 3 * SECOND, HIGHER, least)
    assert action == Cancel("t-1")  # three lots could be sent again


def test_the_last_lots_wait_where_they_are():
    state, least = TargetState("t", 4), Lots(open_least=3)
    state, _ = step(state, [], 0, QUOTE, least)
    state, _ = step(state, [Filled("t-1", "a", BUY, 2)], SECOND, QUOTE, least)
    for second in (3, 60, 600):
        state, action = step(state, [], second * SECOND, HIGHER, least)
        assert action == Wait() and not state.stalled
    state, action = step(state, [NewTarget(2)], 601 * SECOND, HIGHER, least)
    assert action == Cancel("t-1")  # they are wanted no more
    state, _ = step(state, [Ended("t-1", 2)], 602 * SECOND, HIGHER, least)
    assert state.reached


def test_a_rest_that_the_exchange_ends_is_said_and_not_sent_again():
    state, least = TargetState("t", 4), Lots(open_least=3)
    state, _ = step(state, [], 0, QUOTE, least)
    state, _ = step(state, [Filled("t-1", "a", BUY, 2), Ended("t-1", 2)], SECOND, QUOTE, least)
    state, action = step(state, [], 60 * SECOND, QUOTE, least)
    assert action == Wait() and state.stalled and state.short == 2
    state, action = step(state, [NewTarget(5)], 61 * SECOND, QUOTE, least)
    assert action == Place("t-2", BUY, 3, 100.0) and not state.stalled
