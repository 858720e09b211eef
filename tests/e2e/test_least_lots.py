"""A contract with a smallest opening order of three lots: closing works, the rest is reported."""

import backtrader as bt
import pytest
from e2e_script import Script

from tianqin_backtrader.errors import OrderError
from tianqin_backtrader.orders.pegged import ChaseRules

LC, NEXT, CU = "GFEX.lc2701", "GFEX.lc2703", "SHFE.cu2612"
MORNING = "2026-11-10 09:31:00"
COUNTER = "ctp"
#: For tests of market orders in a contract whose book is thin.
of_one_book = pytest.mark.told_time("which book an order meets is decided by its moment")
ENDS = {"Completed", "Canceled", "Expired", "Margin", "Rejected"}


def lots(broker, symbol=LC):
    position = broker.get_account_position(symbol)
    return position.get("pos_long", 0), position.get("pos_short", 0)


def play(sandbox, run, script, *symbols):
    done = []

    def to_the_end(strategy):
        yield from script(strategy)
        done.append(True)

    store = sandbox(start=MORNING, ticks_per_pack=5, balance=1e7)
    strategy = run(store, Script, *[store.getdata(one) for one in symbols], script=to_the_end)
    assert done
    return strategy


def bars(there, most=60):
    for _ in range(most):
        if there():
            return
        yield None
    raise AssertionError("it has taken too long")


def test_a_target_that_cannot_be_opened_is_said_and_nothing_is_sent(sandbox, run):
    def script(strategy):
        broker = strategy.broker
        target = broker.order_target_position(LC, 2)
        yield from bars(lambda: target.stalled)
        assert target.orders == [] and lots(broker) == (0, 0)
        assert "2 lots are missing, and an order opens 3 at least" in target.reason
        for _ in range(3):
            yield None
        told = [str(one) for one in strategy.heard if "target of 2 lots" in str(one)]
        assert len(told) == 1
        assert broker.order_target_position(LC, 4) is target
        yield from bars(lambda: target.reached)
        assert lots(broker) == (4, 0) and target.reason == ""

    play(sandbox, run, script, LC)


def test_a_target_of_the_other_side_is_closed_to_nothing(sandbox, run):
    def script(strategy):
        broker = strategy.broker
        yield broker.buy_open(LC, 3)
        target = broker.order_target_position(LC, -2)
        yield from bars(lambda: target.stalled)
        assert lots(broker) == (0, 0) and target.net == 0
        assert all(leg.offset != "OPEN" for order in target.orders for leg in order.legs)
        broker.order_target_position(LC, 0)
        yield None
        assert target.reached and not target.stalled and target.reason == ""

    play(sandbox, run, script, LC)


@of_one_book
def test_one_lot_is_closed_though_it_could_not_be_opened(sandbox, run):
    def script(strategy):
        broker = strategy.broker
        yield broker.buy_open(LC, 4)
        target = broker.order_target_position(LC, 3)
        yield from bars(lambda: target.reached)
        target = broker.order_target_position(LC, 0, ChaseRules(max_order_volume=1))
        yield from bars(lambda: target.reached)
        assert lots(broker) == (0, 0)

    play(sandbox, run, script, LC)


@of_one_book
@pytest.mark.parametrize(
    "limited",
    [pytest.param(False, id="market"), pytest.param(True, id="limit", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("side", ["long", "short"])
def test_what_reverses_by_too_few_lots_closes_and_says_what_it_has_not_opened(
    sandbox, run, side, limited
):
    """Three lots are held: a reversal by four would open one, which is too few."""

    def script(strategy):
        broker, data = strategy.broker, strategy.data
        enter, leave = strategy.buy, strategy.sell
        if side == "short":
            enter, leave = leave, enter
        yield enter(size=3)
        assert sum(lots(broker)) == 3
        kind = {}
        if limited:
            price = data.close[0] * (0.99 if side == "long" else 1.01)
            kind = {"exectype": bt.Order.Limit, "price": price}
        order = leave(size=4, **kind)
        yield order
        for _ in range(3):
            yield None
        assert (abs(order.executed.size), strategy.position.size) == (3, 0)
        assert lots(broker) == (0, 0)
        assert sum(end in ENDS for end in strategy.path(order)) == 1
        told = [str(one) for one in strategy.heard if "not opened" in str(one)]
        assert len(told) == 1
        assert f"1 lots of {LC} were not opened: an order opens 3 at least" in told[0]
        assert "1 lots" in order.info.reason
        assert [leg.offset for leg in order.legs] == ["CLOSE"]

    play(sandbox, run, script, LC)


@of_one_book
def test_what_reverses_by_enough_lots_opens_them_in_one_order(sandbox, run):
    def script(strategy):
        broker = strategy.broker
        yield strategy.buy(size=3)
        order = strategy.sell(size=6)
        yield order
        assert order.status == bt.Order.Completed
        assert lots(broker) == (0, 3)
        assert [(leg.offset, leg.volume) for leg in order.legs] == [("CLOSE", 3), ("OPEN", 3)]

    play(sandbox, run, script, LC)


@of_one_book
def test_a_roll_of_too_few_lots_is_refused_before_anything_is_sent(sandbox, run):
    def script(strategy):
        broker, store = strategy.broker, strategy.broker.store
        yield broker.buy_open(LC, 4)
        with pytest.raises(OrderError, match=r"2 lots cannot be moved .* at least 3 lots there"):
            store.roll(LC, NEXT, 2)
        assert lots(broker) == (4, 0)
        assert not store.rolls.rolls

    play(sandbox, run, script, LC)


@of_one_book
def test_the_slices_of_a_roll_can_be_opened(sandbox, run):
    def script(strategy):
        broker, store = strategy.broker, strategy.broker.store
        yield broker.buy_open(LC, 7)
        roll = store.roll(LC, NEXT, max_slippage=3000.0, patience=7200.0)
        assert roll.state.plan.slices() == (3, 4)
        yield from bars(lambda: roll.done or roll.halted, 300)
        assert roll.done, roll.report()
        assert (lots(broker), lots(broker, NEXT)) == ((0, 0), (7, 0))
        opened = [
            leg.volume
            for order in broker.get_all_orders()
            for leg in order.legs
            if leg.offset == "OPEN" and leg.symbol == NEXT
        ]
        assert opened == [3, 4]

    play(sandbox, run, script, LC, CU)
