"""A quote without a price fires no stop, moves no trailing stop, and is no limit price."""

import math

import backtrader as bt
import pytest
from e2e_script import CU, exchange_orders, play
from hand_market import HandMarket

LARGEST = 1.7976931348623157e308
TRAIL = 200.0


@pytest.fixture
def market():
    """Five minutes at one price, then down, and up."""
    made = HandMarket(CU)
    made.show(0, 330).show(-30, 90).show(30, 90).show(0, 60)
    return made


def waiting(strategy, market):
    """Place one order of every kind that waits for a price, on both sides; return them by name."""
    up, down = market.price(20), market.price(-20)
    trail = dict(exectype=bt.Order.StopTrail, trailamount=TRAIL)
    limit = bt.Order.StopLimit
    return {
        "sell stop": strategy.sell(exectype=bt.Order.Stop, price=down),
        "sell stop limit": strategy.sell(exectype=limit, price=down, plimit=market.price(-40)),
        "sell trail": strategy.sell(**trail),
        "buy stop": strategy.buy(exectype=bt.Order.Stop, price=up),
        "buy stop limit": strategy.buy(exectype=limit, price=up, plimit=market.price(40)),
        "buy trail": strategy.buy(**trail),
    }


class Raw:
    """Keeps the quotes of the client."""

    def __init__(self, store):
        self.store, self.seen = store, set()
        store.keepers.append(self)

    def __call__(self):
        self.seen.add(self.store.gateway.queries.quote(CU)._quote.last_price)


@pytest.mark.parametrize("odd", [0.0, 1e308, LARGEST, -LARGEST, 5.0], ids=str)
def test_what_waits_for_a_price_waits_for_a_true_one(sandbox, run, tmp_path, market, odd):
    store = sandbox(**market.save(tmp_path))
    store.getbroker()
    raw, found = Raw(store), {}

    def script(strategy):
        yield strategy.buy(size=4)
        parent, stop, target = strategy.buy_bracket(
            size=1, exectype=bt.Order.Market, stopprice=market.price(-20),
            limitprice=market.price(60),
        )  # fmt: skip
        yield parent
        orders = waiting(strategy, market) | {"stop of the bracket": stop}
        yield None
        sent = len(exchange_orders(store))
        trails = {name: orders[name].created.price for name in ("sell trail", "buy trail")}
        assert trails == {"sell trail": market.price(-20), "buy trail": market.price(20)}
        store.sandbox_server.fault(
            "odd_tick", symbol=CU, last_price=odd, bid_price1=odd, ask_price1=odd
        )
        yield None
        assert odd in raw.seen
        assert len(exchange_orders(store)) == sent
        assert all(order.alive() for order in orders.values()), orders
        assert trails == {name: orders[name].created.price for name in trails}
        found.update(orders=orders, target=target)
        yield from [None] * 6

    strategy = play(store, run, script, CU)
    for name, order in found["orders"].items():
        assert order.getstatusname() == "Completed", name
        fired_above = order.isbuy()
        middle = market.price(30 if fired_above else -30)
        assert order.executed.price == pytest.approx(middle, abs=2 * market.tick), name
    assert found["target"].getstatusname() == "Canceled"
    assert strategy.told


@pytest.mark.parametrize("odd", [0.0, 1e308], ids=str)
def test_an_odd_quote_is_no_last_price_and_chases_nothing(sandbox, run, tmp_path, market, odd):
    store = sandbox(**market.save(tmp_path))
    broker = store.getbroker()
    seen = []

    def look():
        if store.gateway.queries.quote(CU)._quote.last_price == odd:
            quote = store.gateway.queries.quote(CU)
            seen.append((store.last_price(CU), broker.max_lots(CU), quote.ask_price1))

    def script(strategy):
        store.last_price(CU)
        yield None
        store.keepers.append(look)
        store.sandbox_server.fault(
            "odd_tick", symbol=CU, last_price=odd, bid_price1=odd, ask_price1=odd
        )
        broker.order_target_position(CU, 2)
        yield None
        yield None
        assert broker.getposition(strategy.data).size == 2

    play(store, run, script, CU)
    assert seen
    for price, lots, ask in seen:
        # The first price may be missing until the feed has a tick.
        assert math.isnan(price) or price == market.price(0)
        assert lots == 0 or math.isfinite(price)
        assert math.isnan(ask)
    placed = [order["limit_price"] for order in exchange_orders(store).values()]
    assert placed and all(price == market.price(0) for price in placed)
