"""Stops and targets while their lots are moved to another contract: none of them is lost.

At every step the lots that had a stop have one, in the old contract or in the new one.
"""

import backtrader as bt
import pytest
from e2e_script import Script

from tianqin_backtrader.errors import OrderError

OLD, NEW, RB = "SHFE.cu2612", "SHFE.cu2701", "SHFE.rb2701"
MORNING = "2026-11-04 09:31:20"
COUNTER = "ctp"


def living(broker, *kinds, of=(OLD, NEW)):
    """Return the open orders of these kinds."""
    return [
        order
        for order in broker.get_orders_open()
        if order.exectype in kinds and order.ticket.symbol in of and "rolls" not in order.info
        and not order.ticket.held_back  # its lots are in neither contract now
    ]  # fmt: skip


def stops(broker):
    return living(broker, bt.Order.Stop, bt.Order.StopTrail, bt.Order.StopLimit)


def lots(orders):
    return sum(order.ticket.left for order in orders)


def held(broker, side="long"):
    return tuple(broker.get_account_position(one).get(f"pos_{side}", 0) for one in (OLD, NEW))


def watched(store, roll, covered, side="long"):
    """Pump until the roll ends; check each time that lots that had a stop have one."""
    steps = set()
    while not (roll.state.ended or roll.halted):
        store.pump(0.1)
        here = held(store.broker, side)
        steps.add(here)
        in_each = [
            lots([order for order in stops(store.broker) if order.ticket.symbol == one])
            for one in (OLD, NEW)
        ]
        both = list(zip(in_each, here, strict=True))
        kept = sum(min(stopped, has) for stopped, has in both)
        bare = roll.state.plan.old_start - covered
        assert kept >= sum(here) - bare, (here, in_each, roll.report())
        assert all(stopped <= has for stopped, has in both)
    return steps


def enter(strategy, side, size):
    """Open a position; return its order, the method for exits, and its sign."""
    broker = strategy.broker
    order = (broker.buy_open if side == "long" else broker.sell_open)(OLD, size)
    out = strategy.sell if side == "long" else strategy.buy
    return order, out, 1 if side == "long" else -1


def play(store, run, script, *symbols):
    """Run a script; check that it reached its end."""
    done = []

    def to_the_end(strategy):
        yield from script(strategy)
        done.append(True)

    strategy = run(store, Script, *[store.getdata(one) for one in symbols], script=to_the_end)
    assert done
    return strategy


@pytest.mark.parametrize("side", ["long", "short"])
@pytest.mark.parametrize("slice_lots", [1, 2])
def test_a_bracket_goes_along(sandbox, run, side, slice_lots):
    def script(strategy):
        store, data = strategy.broker.store, strategy.data
        enter_with = strategy.buy_bracket if side == "long" else strategy.sell_bracket
        sign = 1 if side == "long" else -1
        last = data.close[0]
        parent, stop, target = enter_with(
            size=3, exectype=bt.Order.Market,
            stopprice=last - sign * 1000, limitprice=last + sign * 1500,
        )  # fmt: skip
        yield parent
        yield None
        roll = store.roll(OLD, NEW, slice_lots=slice_lots)
        assert stop.alive() and target.alive()
        assert len(watched(store, roll, 3, side)) > 2
        assert roll.done, roll.report()
        yield None
        yield None
        assert held(strategy.broker, side) == (0, 3)
        new_stop, new_target = living(strategy.broker, bt.Order.Stop, bt.Order.Limit)
        for old, new in ((stop, new_stop), (target, new_target)):
            assert strategy.path(old)[-1] == "Canceled"
            words = f"rolled: order {new.ref} replaces it in {NEW}"
            assert old.info.reason == words
            assert new.created.price == pytest.approx(old.created.price + roll.state.gap)
            assert (new.ticket.symbol, new.ticket.left, new.isbuy()) == (NEW, 3, old.isbuy())
            assert strategy.path(new)[:2] == ["Submitted", "Accepted"]
        strategy.cancel(new_stop)  # both are one group
        while new_target.alive():
            yield None
        assert new_target.getstatusname() == "Canceled"

    play(sandbox(start=MORNING, ticks_per_pack=5), run, script, OLD, NEW)


def test_an_oco_pair_goes_along_and_stays_one(sandbox, run):
    def script(strategy):
        store, last = strategy.broker.store, strategy.data.close[0]
        order, out, _ = enter(strategy, "long", 2)
        yield order
        stop = out(size=2, exectype=bt.Order.Stop, price=last - 1000)
        out(size=2, exectype=bt.Order.Limit, price=last + 1500, oco=stop)
        roll = store.roll(OLD, NEW)
        watched(store, roll, 2)
        assert roll.done, roll.report()
        new_stop, new_target = living(strategy.broker, bt.Order.Stop, bt.Order.Limit)
        strategy.cancel(new_target)
        yield new_stop
        assert new_stop.getstatusname() == "Canceled"

    play(sandbox(start=MORNING, ticks_per_pack=5), run, script, OLD)


@pytest.mark.parametrize("side", ["long", "short"])
def test_a_trailing_stop_keeps_its_distance(sandbox, run, side):
    def script(strategy):
        store = strategy.broker.store
        order, out, _ = enter(strategy, side, 2)
        yield order
        last = strategy.data.close[0]
        trail = out(size=2, exectype=bt.Order.StopTrail, price=last, trailamount=900.0)
        yield None
        roll = store.roll(OLD, NEW, slice_lots=2)
        watched(store, roll, 2, side)
        assert roll.done, roll.report()
        [new] = stops(strategy.broker)
        assert trail.getstatusname() == "Canceled"
        assert new.exectype == bt.Order.StopTrail and new.ticket.left == 2
        state = new.ticket.condition
        assert state.trail_amount == 900.0
        last = store.gateway.queries.quote(NEW).last_price
        assert abs(last - state.stop_price) < 1800.0  # it trails its own contract's price

    play(sandbox(start=MORNING, ticks_per_pack=5), run, script, OLD)


def test_several_stops_over_parts_of_the_lots_cover_the_same_lots_in_the_new_contract(sandbox, run):
    def script(strategy):
        store, last = strategy.broker.store, strategy.data.close[0]
        order, out, _ = enter(strategy, "long", 5)
        yield order
        wanted = {last - 1000: 2, last - 1200: 2}  # one lot has no stop
        for price, size in wanted.items():
            out(size=size, exectype=bt.Order.Stop, price=price)
        roll = store.roll(OLD, NEW, slice_lots=2)
        watched(store, roll, 4)
        assert roll.done, roll.report()
        found = {
            order.ticket.condition.stop_price - roll.state.gap: order.ticket.left
            for order in stops(strategy.broker)
        }
        assert found == wanted

    play(sandbox(start=MORNING, ticks_per_pack=5), run, script, OLD)


@pytest.mark.parametrize("exectype", [bt.Order.Market, bt.Order.Limit])
def test_a_stop_that_was_placed_before_its_lots_were_held_is_taken_along(sandbox, run, exectype):
    def script(strategy):
        store, last = strategy.broker.store, strategy.data.close[0]
        entry = strategy.buy(size=3, exectype=exectype, price=last + 100)
        stop = strategy.sell(size=3, exectype=bt.Order.Stop, price=last - 1000)
        yield entry
        roll = store.roll(OLD, NEW, slice_lots=2)
        watched(store, roll, 3)
        assert roll.done, roll.report()
        assert "replaces it" in stop.info.reason
        [stand_in] = stops(strategy.broker)
        assert (stand_in.ticket.symbol, stand_in.ticket.left) == (NEW, 3)
        done.append(True)

    done = []
    play(sandbox(start=MORNING, ticks_per_pack=5), run, script, OLD)
    assert done


def test_what_is_not_rolled_keeps_its_stop(sandbox, run):
    def script(strategy):
        store, last = strategy.broker.store, strategy.data.close[0]
        order, out, _ = enter(strategy, "long", 4)
        yield order
        stop = out(size=4, exectype=bt.Order.Stop, price=last - 1000)
        roll = store.roll(OLD, NEW, 1)
        watched(store, roll, 4)
        assert roll.done, roll.report()
        assert stop.alive() and stop.ticket.left == 3
        assert sorted(one.ticket.left for one in stops(strategy.broker)) == [1, 3]

    play(sandbox(start=MORNING, ticks_per_pack=5), run, script, OLD)


def test_entries_are_withdrawn_with_a_reason_and_exits_are_taken_meanwhile(sandbox, run):
    def script(strategy):
        broker, store, last = strategy.broker, strategy.broker.store, strategy.data.close[0]
        order, out, _ = enter(strategy, "long", 3)
        yield order
        entries = [
            strategy.buy(size=1, exectype=bt.Order.Stop, price=last + 2000),
            strategy.buy(size=1, exectype=bt.Order.Limit, price=last - 1000),
        ]
        roll = store.roll(OLD, NEW)
        while not roll.report().opened:
            store.pump(0.1)
        for entry in entries:
            assert entry.getstatusname() == "Canceled"
            assert "is being rolled into" in entry.info.reason
        refused = strategy.buy(size=1, exectype=bt.Order.Stop, price=last + 2000)
        assert "is being rolled into" in refused.info.reason
        too_much = out(size=5, exectype=bt.Order.Stop, price=last - 1000)
        assert too_much.getstatusname() == "Rejected"
        stop = out(size=held(broker)[0], exectype=bt.Order.Stop, price=last - 1000)
        assert stop.alive()  # it is moved together with its lots
        while not roll.done:
            store.pump(0.1)
        assert lots(stops(broker)) == 2
        assert "replaces it" in stop.info.reason

    play(sandbox(start=MORNING, ticks_per_pack=5), run, script, OLD)


def test_close_in_the_middle_of_a_roll_ends_flat(sandbox, run):
    def script(strategy):
        broker, store = strategy.broker, strategy.broker.store
        order, out, _ = enter(strategy, "long", 4)
        yield order
        out(size=4, exectype=bt.Order.Stop, price=strategy.data.close[0] - 1000)
        roll = store.roll(OLD, NEW)
        while not roll.report().opened:
            store.pump(0.1)
        new = next(data for data in strategy.datas if data._dataname == NEW)
        for data in (strategy.data, new):
            strategy.close(data=data)
        while not roll.state.ended:
            yield None
        for data in (strategy.data, new):  # lots that were opened after the close
            if strategy.getposition(data).size:
                yield strategy.close(data=data)
        assert held(broker) == (0, 0)
        report = roll.report()
        assert report.exited + report.given_up + report.opened - held(broker)[1] >= 4
        yield None
        assert not stops(broker)
        for symbol in (OLD, NEW):
            assert not broker.get_account_position(symbol).get("pos_short", 0)

    play(sandbox(start=MORNING, ticks_per_pack=5), run, script, OLD, NEW)


def test_the_alarm_of_a_roll_leaves_stops_and_closes_everywhere(sandbox, run):
    def script(strategy):
        broker, store = strategy.broker, strategy.broker.store
        rb, last = strategy.datas[1], strategy.data.close[0]
        order, out, _ = enter(strategy, "long", 4)
        yield order
        yield broker.buy_open(RB, 2)
        elsewhere = strategy.sell(data=rb, size=2, exectype=bt.Order.Stop, price=rb.close[0] - 100)
        out(size=4, exectype=bt.Order.Stop, price=last - 1000)
        roll = store.roll(OLD, NEW)
        while not roll.report().opened:
            store.pump(0.1)
        lower = store.instrument(OLD).lower_limit
        store.tianqin.insert_order(OLD, "SELL", "CLOSETODAY", 1, lower)  # by another terminal
        while not roll.halted:
            store.pump(0.1)
        yield None
        assert elsewhere.alive() and broker.risk_state == "ACTIVE"
        in_old, in_new = held(broker)
        assert lots(stops(broker)) == in_old + in_new
        yield strategy.close(data=rb)
        assert not broker.get_account_position(RB)
        assert "HALTED" in strategy.buy(size=1).info.reason
        yield strategy.close()
        assert held(broker)[0] == 0
        bought = broker.buy_open(RB, 1)
        yield bought
        assert bought.getstatusname() == "Completed"  # other contracts accept entries
        roll.drop()
        assert roll.state.ended

    play(sandbox(start=MORNING, ticks_per_pack=5), run, script, OLD, RB)


def test_a_dropped_roll_leaves_each_lot_its_stop(sandbox, run):
    def script(strategy):
        broker, store = strategy.broker, strategy.broker.store
        order, out, _ = enter(strategy, "long", 3)
        yield order
        last = strategy.data.close[0]
        stop = out(size=3, exectype=bt.Order.Stop, price=last - 1000)
        target = out(size=3, exectype=bt.Order.Limit, price=last + 1500, oco=stop)
        roll = store.roll(OLD, NEW)
        while sum(held(broker)) != 3 or not held(broker)[1] or str(roll.phase) != "CHECKING":
            store.pump(0.05)
        roll.drop()
        in_old, in_new = held(broker)
        assert in_old and in_new
        for _ in range(3):
            yield None
        assert (stop.ticket.left, target.ticket.left) == (in_old, in_old)
        assert lots(stops(broker)) == 3
        assert lots(living(broker, bt.Order.Limit)) == 3

    play(sandbox(start=MORNING, ticks_per_pack=5), run, script, OLD)


def test_an_order_of_another_terminal_is_said_before_anything_is_done(sandbox, run):
    def script(strategy):
        broker, store = strategy.broker, strategy.broker.store
        order, out, _ = enter(strategy, "long", 2)
        yield order
        stop = out(size=2, exectype=bt.Order.Stop, price=strategy.data.close[0] - 1000)
        past_us = store.tianqin.insert_order(
            OLD, "SELL", "CLOSETODAY", 1, store.instrument(OLD).upper_limit
        )
        while not broker.foreign_orders:
            store.pump(0.1)
        with pytest.raises(OrderError, match="is not of this program"):
            store.roll(OLD, NEW)
        assert stop.alive()
        store.tianqin.cancel_order(past_us)
        while past_us.status == "ALIVE":
            store.pump(0.1)
        roll = store.roll(OLD, NEW)
        watched(store, roll, 2)
        assert roll.done

    play(sandbox(start=MORNING, ticks_per_pack=5), run, script, OLD)


def test_a_target_that_is_filled_meanwhile_is_not_rolled(sandbox, run):
    def script(strategy):
        broker, store = strategy.broker, strategy.broker.store
        order, out, _ = enter(strategy, "long", 4)
        yield order
        out(size=4, exectype=bt.Order.Stop, price=strategy.data.close[0] - 1000)
        roll = store.roll(OLD, NEW)
        while not roll.report().opened:
            store.pump(0.1)
        target = out(
            size=1, exectype=bt.Order.Limit, price=store.gateway.queries.quote(OLD).bid_price1 - 200
        )
        watched(store, roll, 4)
        report = roll.report()
        assert target.getstatusname() == "Completed"
        assert roll.done and (report.exited, report.opened) == (1, 3), report
        assert held(broker) == (0, 3)
        assert "1 closed by exits" in str(report)

    play(sandbox(start=MORNING, ticks_per_pack=5), run, script, OLD)


def test_a_stop_that_fires_in_the_middle_of_a_roll_closes_and_nothing_is_opened_behind_it(
    sandbox, run
):
    """The old contract goes to its lower limit, and returns to where it can be closed."""

    def script(strategy):
        broker, store = strategy.broker, strategy.broker.store
        order, out, _ = enter(strategy, "long", 20)
        yield order
        stop = out(size=20, exectype=bt.Order.Stop, price=strategy.data.close[0] - 1000)
        roll = store.roll(OLD, NEW)
        while not roll.report().opened or str(roll.phase) != "CLOSING":
            store.pump(0.1)
        store.sandbox_server.fault("limit_down", symbol=OLD, seconds=60)
        while not roll.state.ended:
            assert sum(held(broker)) <= 20
            store.pump(0.1)
        opened = roll.report().opened
        assert 0 < opened < 20
        assert stop.getstatusname() == "Completed"
        assert held(broker) == (0, opened)
        store.pump(0.1)
        assert roll.report().opened == opened
        [stand_in] = stops(broker)
        assert stand_in.ticket.left == opened
        assert not broker.get_account_position(OLD)

    play(sandbox(start=MORNING, ticks_per_pack=5), run, script, OLD)
