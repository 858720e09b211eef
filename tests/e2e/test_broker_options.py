"""Options of the broker: priorities, partial closes, closed markets, risk, targets."""

import datetime

import backtrader as bt
import pytest
from e2e_script import CU, MORNING, SI, M, exchange_orders, play

from tianqin_backtrader.errors import ConfigError
from tianqin_backtrader.orders.pegged import ChaseRules
from tianqin_backtrader.risk.limits import GuardState, RiskLimits

COUNTER = "ctp"

LAST_MINUTES = "2026-11-10 14:50:00"


def sent(order):
    return [(str(leg.offset), leg.volume) for leg in order.legs]


def next_day(strategy):
    store = strategy.broker.store
    day = store.calendar.trading_day_at(store.now())
    while store.calendar.trading_day_at(store.now()) == day:
        yield None


@pytest.mark.parametrize(
    ("priority", "expected"),
    [
        ("yesterday_first", [("CLOSE", 3), ("CLOSETODAY", 1)]),
        ("yesterday_only", "only 3 can be closed (2 of today, 3 of earlier days"),
        ("lock", [("CLOSE", 3), ("OPEN", 1)]),
    ],
)
def test_which_lots_go_first_is_the_owners_choice(sandbox, run, priority, expected):
    def script(strategy):
        broker = strategy.broker
        yield broker.buy_open(CU, 3)
        yield from next_day(strategy)
        yield broker.buy_open(CU, 2)
        order = broker.sell_close(CU, 4)
        yield order
        if isinstance(expected, str):
            assert expected in order.info.reason
        else:
            assert sent(order) == expected
            assert strategy.path(order)[-1] == "Completed"
        long, short = (broker.getposition(CU, side=side).size for side in ("long", "short"))
        account = broker.get_account_position(CU)
        assert (long, -short) == (account["pos_long"], account["pos_short"])
        assert broker.getposition(strategy.data).size == long + short
        done.append(True)

    done = []
    store = sandbox(start=LAST_MINUTES, days=2)
    store.getbroker(priority=priority)
    play(store, run, script, CU)
    assert done


AU, LC = "SHFE.au2612", "GFEX.lc2701"


def test_what_is_cheapest_is_learned_from_what_was_paid(sandbox, run):
    """TianQin specifies one fee, but closing today's lots of gold is free."""

    def script(strategy):
        broker = strategy.broker
        yield broker.buy_open(AU, 3)
        yield broker.sell_close(AU, 1)
        yield from next_day(strategy)
        yield broker.buy_open(AU, 1)
        order = broker.sell_close(AU, 2)
        yield order
        assert sent(order) == [("CLOSETODAY", 1), ("CLOSE", 1)]
        paid = [fill.commission for leg in order.legs for fill in leg.fills.values()]
        assert paid == [0.0, 10.0]
        done.append(True)

    done = []
    store = sandbox(start=LAST_MINUTES, days=2, counter="plain")  # its trades state their fees
    store.getbroker(priority="cheapest")
    play(store, run, script, AU)
    assert done


def test_an_order_opens_the_least_that_the_contract_asks_for(sandbox, run):
    """A close has no smallest size."""

    def script(strategy):
        broker = strategy.broker
        order = broker.buy_open(LC, 2)
        assert "to open 2 lots, but an order opens 3 at least" in order.info.reason
        assert not order.legs
        yield broker.buy_open(LC, 4)
        order = broker.sell_close(LC, 2)
        yield order
        assert strategy.path(order)[-1] == "Completed"
        done.append(True)

    done = []
    play(sandbox(start=MORNING, ticks_per_pack=4, balance=1e8), run, script, LC)
    assert done


def test_parameters_that_cannot_be_are_refused(sandbox):
    store = sandbox()
    for wrong in ({"priority": "newest"}, {"closed_market": "wait"}, {"auction": 1}):
        with pytest.raises(ConfigError):
            store.getbroker(**wrong)
    with pytest.raises(ConfigError, match="side is"):
        store.getbroker().getposition(CU, side="both")


def test_more_than_is_held_is_closed_partly_if_wished(sandbox, run):
    def script(strategy):
        broker = strategy.broker
        yield broker.buy_open(CU, 2)
        refused = broker.sell_close(CU, 5)
        assert "to close 5 lots of SHFE.cu2612, but only 2" in refused.info.reason
        order = broker.sell_close(CU, 5, allow_partial=True)
        yield order
        assert strategy.path(order)[-1] == "Completed"
        assert order.executed.size == -2
        nothing = broker.sell_close(CU, 5, allow_partial=True)
        assert nothing.getstatusname() == "Rejected"
        done.append(True)

    done = []
    play(sandbox(start=MORNING, ticks_per_pack=4), run, script, CU)
    assert done


def test_what_is_larger_than_an_order_may_be_is_split(sandbox, run):
    def script(strategy):
        order = strategy.broker.buy_open(M, 2300, strategy.data.bid_price[0] - 20)
        yield None
        assert [leg.volume for leg in order.legs] == [1000, 1000, 300]
        strategy.broker.cancel(order)
        yield order
        assert strategy.path(order) == ["Submitted", "Accepted", "Canceled"]
        done.append(True)

    done = []
    play(sandbox(start=MORNING, ticks_per_pack=4, balance=1e9), run, script, M)
    assert done


def test_orders_are_held_until_the_market_opens_if_wished(sandbox, run):
    def script(strategy):
        broker = strategy.broker
        store = broker.store
        while store.is_trading(SI):
            yield None
        order = broker.buy_open(SI, 1)
        assert order.getstatusname() == "Submitted"
        yield order
        assert strategy.path(order) == ["Submitted", "Accepted", "Completed"]
        assert order.legs[0].fills
        [fill] = order.legs[0].fills.values()
        assert store.calendar.trading_day_at(store.now()) == datetime.date(2026, 11, 11)
        done.append(fill)

    done = []
    store = sandbox(start="2026-11-10 14:55:00", days=2)
    store.getbroker(closed_market="hold")
    play(store, run, script, SI)  # without a night
    assert done


def test_risk_limits_are_looked_at_before_sending(sandbox, run):
    def script(strategy):
        broker = strategy.broker
        for size, price, words in (
            (4, None, "max_order_size is 3"),
            (1, strategy.data.close[0] * 0.97, "max_price_distance is 0.02"),
        ):
            order = broker.buy_open(CU, size, price)
            assert words in order.info.reason
        yield broker.buy_open(CU, 3)
        order = broker.buy_open(CU, 2)
        assert "max_position is 4" in order.info.reason
        yield broker.sell_close(CU, 3)
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=4)
    store.getbroker(risk=RiskLimits(max_order_size=3, max_position=4, max_price_distance=0.02))
    play(store, run, script, CU)
    assert done and len(exchange_orders(store)) == 2


@pytest.mark.parametrize("on_loss", [GuardState.REDUCING, GuardState.HALTED])
def test_the_loss_of_a_day_withdraws_what_would_add_to_it(sandbox, run, on_loss):
    """No order is sent: a change of the price is sufficient."""

    def script(strategy):
        broker = strategy.broker
        yield strategy.buy(size=5)
        price = strategy.data.close[0]
        adds = strategy.buy(size=5, exectype=bt.Order.Limit, price=price - 500)
        stop = strategy.sell(size=5, exectype=bt.Order.Stop, price=price - 1500)
        turns = strategy.sell(size=8, exectype=bt.Order.Limit, price=price + 2000)
        for _ in range(400):
            yield None
            if broker.risk_state is not GuardState.ACTIVE:
                break
        yield None
        assert strategy.path(turns)[-1] == "Canceled"  # it would open three lots
        assert broker.risk_state is on_loss and "max_daily_loss" in broker.risk.reason
        assert strategy.path(adds)[-1] == "Canceled" and not adds.executed.size
        assert stop.alive()  # it protects the lots, also if nothing else is sent
        assert strategy.position.size == 5
        assert not any("no protection" in str(word) for word in strategy.heard)
        assert any("that add to positions are cancelled" in str(word) for word in strategy.heard)
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=4)
    store.getbroker(risk=RiskLimits(max_daily_loss=2000, on_loss=on_loss))
    play(store, run, script, CU)
    assert done


@pytest.mark.parametrize("limits", [{}, {"max_position": 3}])
@pytest.mark.parametrize("how", ["order", "target_size", "target_position"])
def test_a_reversal_that_may_not_open_closes(sandbox, run, limits, how):
    def script(strategy):
        broker = strategy.broker
        yield strategy.buy(size=3)
        if not limits:
            broker.risk.reduce("enough for today")
        if how == "target_position":
            broker.order_target_position(CU, -5)
        else:
            order = (
                strategy.sell(size=8) if how == "order" else strategy.order_target_size(target=-5)
            )
            yield order
            assert strategy.path(order)[-1] == "Completed"
            assert (order.executed.size, order.size) == (-3, -3)
            word = "max_position is 3" if limits else "only orders that reduce (enough for today)"
            assert word in order.info.reason
        for _ in range(3):
            yield None
        assert strategy.position.size == 0
        assert all(row["offset"] != "OPEN" for row in exchange_orders(store).values()
                   if row["direction"] == "SELL")  # fmt: skip
        assert sum("it only closes" in str(word) for word in strategy.heard) == 1
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=4)
    store.getbroker(risk=RiskLimits(**limits))
    play(store, run, script, CU)
    assert done


def test_the_exits_of_an_entry_that_only_closed_open_nothing(sandbox, run):
    def script(strategy):
        yield strategy.buy(size=3)
        strategy.broker.risk.reduce("enough for today")
        price = strategy.data.close[0]
        bracket = strategy.sell_bracket(
            size=8, exectype=bt.Order.Market, stopprice=price + 200, limitprice=price - 200
        )
        yield bracket[0]
        for _ in range(3):
            yield None
        assert [strategy.path(one)[-1] for one in bracket] == ["Completed", "Canceled", "Canceled"]
        assert strategy.position.size == 0
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=4)
    store.getbroker(risk=RiskLimits())
    play(store, run, script, CU)
    assert done and len(exchange_orders(store)) == 2


def test_resume_forgives_what_was_lost_since_the_limit_was_met(sandbox, run):
    def script(strategy):
        broker = strategy.broker
        yield strategy.buy(size=20)
        for _ in range(400):
            yield None
            if broker.get_account()["balance"] < broker.startingcash - 12_500:
                break
        assert broker.risk_state is GuardState.REDUCING
        broker.resume()
        broker._engine._look_at_loss()  # as the next round does, before the market moves on
        assert broker.risk_state is GuardState.ACTIVE
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=4, balance=1e8)
    store.getbroker(risk=RiskLimits(max_daily_loss=6000))
    play(store, run, script, CU)
    assert done


def test_halt_withdraws_and_stops_everything_until_resume(sandbox, run):
    def script(strategy):
        broker = strategy.broker
        order = broker.buy_open(CU, 1, strategy.data.bid_price[0] - 500)
        yield None
        broker.halt("lunch")
        yield order
        assert strategy.path(order)[-1] == "Canceled"
        assert broker.risk_state == "HALTED"
        assert "lunch" in broker.buy_open(CU, 1).info.reason
        broker.resume()
        order = broker.buy_open(CU, 1)
        yield order
        assert strategy.path(order)[-1] == "Completed"
        done.append(True)

    done = []
    play(sandbox(start=MORNING, ticks_per_pack=4), run, script, CU)
    assert done


@pytest.mark.parametrize("priority", ["lock", "yesterday_only"])
def test_flatten_closes_todays_lots_whatever_the_priority_is(sandbox, run, priority):
    def script(strategy):
        broker = strategy.broker
        yield broker.buy_open(CU, 2)
        yield broker.sell_open(CU, 1)
        yield broker.buy_open("SHFE.rb2701", 1)
        broker.flatten()
        for _ in range(5):
            yield None
        assert broker.get_account_positions() == {}
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=4)
    store.getbroker(priority=priority)
    play(store, run, script, CU)
    assert done
    offsets = [order["offset"] for order in exchange_orders(store).values()]
    assert offsets.count("OPEN") == 3 and len(offsets) == 6


@pytest.mark.parametrize("priority", ["lock", "yesterday_only"])
def test_a_priority_that_the_counter_would_break_is_refused(sandbox, run, priority):
    store = sandbox(start=MORNING, ticks_per_pack=4)
    store.getdata(M)
    with pytest.raises(ConfigError, match="cannot be kept at DCE: there the counter chooses"):
        store.getbroker(priority=priority)
    store.close()

    def script(strategy):
        order = strategy.broker.buy_open(M, 1)
        yield order
        assert strategy.path(order) == ["Rejected"]
        assert "cannot be kept at DCE" in order.info.reason
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=4)
    store.getbroker(priority=priority)
    play(store, run, script, CU)
    assert done
    store.getdata(M)
    with pytest.raises(ConfigError, match="cannot be kept at DCE"):
        play(store, run, script, CU)


@pytest.mark.parametrize("button", ["resume", "halt"])
def test_another_button_ends_a_flatten_that_is_not_done(sandbox, run, button):
    def script(strategy):
        broker, data = strategy.broker, strategy.data
        yield broker.buy_open(CU, 2)
        while data.datetime.time(0) < datetime.time(10, 15):
            yield None
        broker.flatten()  # in the break
        getattr(broker, button)()
        for _ in range(5):
            yield None
        assert broker.getposition(data).size == 2
        order = broker.buy_open(CU, 1)
        yield order
        assert order.status == (bt.Order.Completed if button == "resume" else bt.Order.Rejected)
        done.append(True)

    done = []
    play(sandbox(start="2026-11-10 10:05:00"), run, script, CU)
    assert done


def test_flatten_in_a_locked_market_queues_at_the_limit_and_again_on_the_next_day(sandbox, run):
    def script(strategy):
        broker, data = strategy.broker, strategy.data
        yield broker.sell_open(CU, 2)
        yield broker.buy_open(M, 1)
        store.sandbox_server.fault("limit_up", symbol=CU)  # no sellers until the end of the day
        yield None
        broker.flatten()
        while data.datetime.time(0) != datetime.time(15):
            yield None
        assert broker.getposition(M).size == 0  # another contract does not wait for this one
        [queued] = [one for one in broker.get_orders_open() if one.ticket.symbol == CU]
        [leg] = queued.legs
        assert leg.limit_price == store.instrument(CU).upper_limit
        while data.datetime.datetime(0) < datetime.datetime(2026, 11, 10, 21, 5):
            yield None
        assert broker.get_account_positions() == {}
        assert "flatten: nothing is held any more" in strategy.heard
        done.append(len(broker.get_all_orders()))

    done = []
    store = sandbox(start="2026-11-10 14:50:00", days=2)
    play(store, run, script, CU)
    assert done == [5]  # two that open, three that close: one more on the second day


@pytest.mark.parametrize("button", ["resume", "halt", "flatten"])
def test_what_a_button_does_with_an_order_of_flatten_that_queues(sandbox, run, button):
    def script(strategy):
        broker = strategy.broker
        yield broker.sell_open(CU, 2)
        store.sandbox_server.fault("limit_up", symbol=CU)
        yield None
        broker.flatten()
        yield None
        [queued] = broker.get_orders_open()
        getattr(broker, button)()
        yield from [None] * 5
        if button == "flatten":
            assert broker.get_orders_open() == [queued]  # its place in the queue is kept
        else:
            assert strategy.path(queued)[-1] == "Canceled"
            assert broker.get_orders_open() == []
        assert broker.getposition(strategy.data).size == -2
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=4)
    play(store, run, script, CU)
    assert done


def test_flatten_closes_all_that_is_held_on_both_sides(sandbox, run):
    def script(strategy):
        broker = strategy.broker
        yield broker.buy_open(CU, 3)
        yield broker.sell_open(CU, 2)
        yield broker.sell_open(M, 4)
        order = broker.sell_close(CU, 1, strategy.data.ask_price[0] + 500)
        yield None
        broker.flatten()
        for _ in range(5):
            yield None
        assert broker.get_account_positions() == {}
        assert not order.alive()
        assert "only orders that reduce" in broker.buy_open(CU, 1).info.reason
        done.append(True)

    done = []
    play(sandbox(start=MORNING, ticks_per_pack=4), run, script, CU)
    assert done


def test_a_target_position_is_reached_and_turned(sandbox, run):
    def script(strategy):
        broker = strategy.broker
        for net in (3, -2, 0):
            target = broker.order_target_position(CU, net, ChaseRules(max_order_volume=2))
            for _ in range(30):
                yield None
                if target.reached:
                    break
            assert target.reached and target.net == net
            account = broker.get_account_position(CU)
            assert account.get("pos_long", 0) - account.get("pos_short", 0) == net
            assert broker.getposition(strategy.data).size == net
        done.append(True)

    done = []
    play(sandbox(start=MORNING, ticks_per_pack=4), run, script, CU)
    assert done


def test_a_target_counts_what_other_orders_trade_meanwhile(sandbox, run):
    def script(strategy):
        broker = strategy.broker
        # Neither is filled yet when the target begins; the second is another program's.
        strategy.buy(size=3)
        broker.store.tianqin.insert_order(CU, "BUY", "OPEN", 2, strategy.data.ask_price[0] + 50)
        target = broker.order_target_position(CU, 7, ChaseRules(max_order_volume=1))
        for _ in range(40):
            yield None
            if target.reached:
                break
        assert target.reached and target.net == broker.getposition(strategy.data).size == 7
        yield strategy.sell(size=2)  # the target is over and does not react
        for _ in range(3):
            yield None
        assert broker.getposition(strategy.data).size == 5
        done.append(True)

    done = []
    play(sandbox(start=MORNING, ticks_per_pack=4), run, script, CU)
    assert done


def test_what_an_order_costs_and_how_many_lots_can_be_paid(sandbox, run):
    def script(strategy):
        broker = strategy.broker
        cost = broker.order_cost(CU, 2)
        lots = broker.max_lots(CU)
        assert 0 < lots == int(broker.getcash() // broker.order_cost(CU, 1).total)
        assert broker.order_cost(CU, 2, closes=True).margin == 0.0
        before = broker.getcash()
        yield broker.buy_open(CU, 2)
        assert before - broker.getcash() == pytest.approx(cost.total, rel=0.05)
        assert broker.margin == pytest.approx(broker.get_account()["margin"])
        done.append(True)

    done = []
    play(sandbox(start=MORNING, ticks_per_pack=4), run, script, CU)
    assert done


def test_cancelling_what_is_over_is_told_and_harmless(sandbox, run):
    def script(strategy):
        order = strategy.broker.buy_open(CU, 1)
        yield order
        path = list(strategy.path(order))
        strategy.cancel(order)
        yield None
        assert strategy.path(order) == path
        assert any("nothing to cancel" in str(word) for word in strategy.heard)
        done.append(True)

    done = []
    play(sandbox(start=MORNING, ticks_per_pack=4), run, script, CU)
    assert done


def test_orders_of_others_are_shown_apart_and_counted(sandbox, run):
    def script(strategy):
        broker = strategy.broker
        broker.store.tianqin.insert_order(CU, "BUY", "OPEN", 2, strategy.data.ask_price[0] + 50)
        for _ in range(3):
            yield None
        [leg] = broker.foreign_orders.values()
        assert leg.filled == 2
        assert broker.getposition(strategy.data).size == 2
        assert any("not sent" in str(word) for word in strategy.heard)
        order = strategy.close()
        yield order
        assert sent(order) == [("CLOSETODAY", 2)]
        done.append(True)

    done = []
    play(sandbox(start=MORNING, ticks_per_pack=4), run, script, CU)
    assert done


def test_what_expires_while_it_is_held_is_settled_and_told(sandbox, run):
    old = "SHFE.cu2611"

    def script(strategy):
        broker = strategy.broker
        bought = broker.buy_open(old, 2)
        yield bought
        price, data = bought.executed.price, broker._orders.data(old)
        stop = broker.sell(None, data, 1, price * 0.97, exectype=bt.Order.Stop)
        limit = broker.sell(None, data, 1, round(price * 1.03, -1), exectype=bt.Order.Limit)
        yield from next_day(strategy)
        yield from [None] * 3
        for order in (stop, limit):
            assert order.getstatusname() == "Expired", order.info.reason
            assert f"{old} has expired" in order.info.reason
        assert broker.get_account_position(old) == {}
        assert broker.getposition(old).size == broker.getposition(old, side="long").size == 0
        assert any("has expired: 2 lots" in str(word) for word in strategy.heard)
        assert [(trade.size, trade.data._name) for trade in strategy.trades] == [(0, old)]
        assert broker.balance().equity == pytest.approx(broker.getvalue(), abs=0.005)
        done.append(True)

    done = []
    play(sandbox(start="2026-11-16 14:50:00", days=2), run, script, CU)
    assert done
