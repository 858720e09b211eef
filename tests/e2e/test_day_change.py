"""A link that is lost over a settlement: only the positions show the fills of the day before.

The exchange lists the orders and trades of one trading day. An order that was filled while the link
was down must not be considered unfilled, and sent again.
"""

from datetime import datetime

import backtrader as bt
import pytest
from e2e_script import CU, exchange_orders, play
from sandbox_account import store_at

COUNTER = "ctp"

EVENING = "2026-11-10 14:50:00"
#: The exchange has settled at 15:30; the calendar's next day begins at 18:00.
AFTERNOON, NEXT_NIGHT = "2026-11-10 17:00:00", "2026-11-10 21:05:00"


def away(strategy, until=NEXT_NIGHT):
    """Break the link while the market continues past the settlement."""
    store = strategy.broker.store
    store.sandbox_server.fault("fill_away", conn="all", to=until)
    yield None  # the first bar that was missed


def lots(store, side="long"):
    [account] = store.sandbox_server.state()["accounts"].values()
    held = account["positions"].get(CU, {})
    return held.get(f"pos_{side}_today", 0) + held.get(f"pos_{side}_his", 0)


def play_whole(store, run, script):
    """Run a script, and check that it reached its end."""
    done = []

    def whole(strategy):
        yield from script(strategy)
        done.append(True)

    play(store, run, whole, CU)
    assert done


def reaches_the_exchange(store, order):
    while not order.legs[0].exchange_order_id:
        store.pump(0.1)
    assert not order.executed.size


@pytest.mark.parametrize("until", [AFTERNOON, NEXT_NIGHT], ids=["afternoon", "night"])
@pytest.mark.parametrize("kept", [False, True], ids=["for the day", "until cancelled"])
@pytest.mark.parametrize("distance", [30, 3000], ids=["filled", "not filled"])
def test_an_order_over_a_settlement_that_nobody_saw(sandbox, run, distance, kept, until):
    def script(strategy):
        broker = strategy.broker
        price = strategy.data.bid_price[0] - distance
        if kept:
            order = strategy.buy(size=2, exectype=bt.Order.Limit, price=price)
        else:
            order = broker.buy_open(CU, 2, price, owner=strategy)
        reaches_the_exchange(store, order)
        yield from away(strategy, until)
        sent = exchange_orders(store).values()
        if distance < 1000:
            assert lots(store) == 2
            assert strategy.path(order) == ["Submitted", "Accepted", "Completed"]
            assert len(sent) <= 1
        elif kept:
            assert order.alive()
            while strategy.data.datetime.datetime() < datetime(2026, 11, 10, 21, 1):
                yield None
            assert len(order.legs) == 2  # sent again on the new day
            while not order.legs[1].exchange_order_id:
                store.pump(0.1)
            sent = exchange_orders(store).values()
            assert [one["status"] for one in sent].count("ALIVE") == 1
        else:
            assert strategy.path(order)[-1] in ("Canceled", "Expired")
        assert strategy.position.size == lots(store)
        assert strategy.position.size == broker.get_account_position(CU).get("pos_long", 0)
        assert broker.risk_state == "ACTIVE"

    store = sandbox(start=EVENING, days=2, seed=3)
    play_whole(store, run, script)


@pytest.mark.parametrize("until", [AFTERNOON, NEXT_NIGHT], ids=["afternoon", "night"])
def test_a_close_over_a_settlement_is_not_sent_twice(sandbox, run, until):
    """Otherwise the remaining lots would be closed again, or opened on the other side."""

    def script(strategy):
        yield strategy.broker.sell_open(CU, 4)
        price = strategy.data.bid_price[0] - 30
        order = strategy.buy(size=2, exectype=bt.Order.Limit, price=price)
        reaches_the_exchange(store, order)
        yield from away(strategy, until)
        assert strategy.path(order) == ["Submitted", "Accepted", "Completed"]
        while strategy.data.datetime.datetime() < datetime(2026, 11, 10, 21, 7):
            yield None
        assert strategy.position.size == -lots(store, "short") == -2
        assert len(order.legs) == 1 and strategy.broker.risk_state == "ACTIVE"

    store = sandbox(start=EVENING, days=2, seed=3)
    play_whole(store, run, script)


@pytest.mark.parametrize("until", [AFTERNOON, NEXT_NIGHT], ids=["afternoon", "night"])
def test_a_bracket_over_a_settlement_protects_what_its_parent_got(sandbox, run, until):
    def script(strategy):
        bid = strategy.data.bid_price[0]
        parent, stop, target = strategy.buy_bracket(
            size=2, price=bid - 30, stopprice=bid - 3000, limitprice=bid + 3000
        )
        reaches_the_exchange(store, parent)
        yield from away(strategy, until)
        assert strategy.path(parent)[-1] == "Completed"
        assert stop.alive() and target.alive()
        while strategy.data.datetime.datetime() < datetime(2026, 11, 10, 21, 7):
            yield None
        assert strategy.position.size == lots(store) == 2
        [sent] = exchange_orders(store).values()
        assert (sent["direction"], sent["volume_left"]) == ("SELL", 2)  # the target
        assert not stop.legs and stop.alive()

    store = sandbox(start=EVENING, days=2, seed=3)
    play_whole(store, run, script)


@pytest.mark.told_time("both programs keep records where no time is told, under one name")
def test_an_order_of_somebody_else_over_a_settlement(sandbox, run):
    """Its fill is that of another program, and explains the position."""

    def script(strategy):
        broker = strategy.broker
        with store_at(store.sandbox_server.urls, COUNTER) as other:
            other.getbroker().start()
            price = strategy.data.bid_price[0] - 30
            bought = other.broker.buy_open(CU, 2, price)
            while not broker.foreign_orders:
                other.pump(0.0)
                store.pump(0.1)
            assert bought.alive() and not bought.executed.size
        yield from away(strategy)
        [foreign] = broker.foreign_orders.values()
        assert foreign.over and foreign.filled == 2
        assert strategy.position.size == lots(store) == 2
        assert broker.risk_state == "ACTIVE"

    store = sandbox(start=EVENING, days=2, seed=3)
    play_whole(store, run, script)


@pytest.mark.told_time("both programs keep records where no time is told, under one name")
def test_lots_that_nothing_explains_are_told_and_only_what_reduces_is_sent(sandbox, run):
    """Another program trades while this one is disconnected, and the day ends."""

    def script(strategy):
        broker = strategy.broker
        server = store.sandbox_server
        yield broker.buy_open(CU, 1)
        server.fault("drop", conn="all")
        with store_at(server.urls, COUNTER) as other:
            other.getbroker().start()
            bought = other.broker.buy_open(CU, 2)
            while bought.alive():
                other.pump(0.1)
            server.advance(to=NEXT_NIGHT)
        while strategy.data.datetime.datetime() < datetime(2026, 11, 10, 21, 7):
            yield None
        [told] = [words for words in strategy.heard if "nothing explains" in str(words)]
        assert f"{CU} long: 1 by our fills, 3 on the account" in told
        assert strategy.position.size == lots(store) == 3
        assert broker.risk_state == "REDUCING"
        assert "only orders that reduce" in broker.buy_open(CU, 1).info.reason
        yield broker.sell_close(CU, 3)
        assert strategy.position.size == lots(store) == 0
        assert [(trade.size, trade.isclosed) for trade in strategy.trades] == [(0, True)]

    store = sandbox(start=EVENING, days=2)
    play_whole(store, run, script)
