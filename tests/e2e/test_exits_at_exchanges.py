"""An exit stays an exit: an order that closes never opens, whatever happens to its lots."""

from datetime import time

import backtrader as bt
import pytest
from e2e_script import CU, IF, SI, SR, M, Script, exchange_orders
from hand_market import HandMarket

AT_COUNTERS = ("ctp", "kq", "plain")
SC = "INE.sc2701"
EXCHANGES = [CU, SC, M, SR, SI, IF]
ENDS = {"Completed", "Canceled", "Expired", "Margin", "Rejected"}
#: The ninth second of a market that begins at 9:31.
NINTH = time(9, 31, 9)


@pytest.fixture
def trade(sandbox, run, tmp_path):
    """Run a script on every tick of a hand-made market; return the strategy."""

    def trade(market, script, **options):
        store = sandbox(**market.save(tmp_path), **options)
        done = []

        def whole(strategy):
            yield from script(strategy)
            done.append(True)

        strategy = run(store, Script, store.get_tick_data(market.symbol), script=whole)
        assert done, "the market was over before the script"
        strategy.sent = sorted(
            exchange_orders(store).values(), key=lambda one: one["insert_date_time"]
        )
        strategy.held = held(store, market.symbol)
        return strategy

    return trade


def held(store, symbol):
    """(long, short) lots on the exchange's own books."""
    [account] = store.sandbox_server.state()["accounts"].values()
    found = account["positions"].get(symbol, {})
    return tuple(
        found.get(f"pos_{side}_today", 0) + found.get(f"pos_{side}_his", 0)
        for side in ("long", "short")
    )


def wait(ticks):
    for _ in range(ticks):
        yield None


def buy_three(strategy):
    """Buy three lots; this entry is the only order that may open."""
    yield from wait(3)
    entry = strategy.buy(size=3)
    while entry.alive():
        yield None
    assert strategy.position.size == 3


def opened(strategy):
    """Return the lots of orders that were sent to open."""
    return sum(one["volume_orign"] for one in strategy.sent if one["offset"] == "OPEN")


def told_once(strategy):
    for path in strategy.told.values():
        assert sum(word in ENDS for word in path) <= 1, path
        assert path.count("Submitted") <= 1 and path.count("Accepted") <= 1, path


def at_the_market(strategy):
    return strategy.sell(size=3)


def by_close(strategy):
    return strategy.close()


def by_target(strategy):
    return strategy.order_target_size(target=0)


def by_limit(strategy):
    return strategy.sell(size=3, exectype=bt.Order.Limit, price=strategy.data.close[0] * 0.99)


def by_limit_close(strategy):
    return strategy.close(exectype=bt.Order.Limit, price=strategy.data.close[0] * 0.99)


def by_four_way(strategy):
    return strategy.broker.sell_close(strategy.data._dataname, 3, owner=strategy)


def by_stop(strategy):
    return strategy.sell(size=3, exectype=bt.Order.Stop, price=strategy.data.close[0])


WAYS = [at_the_market, by_close, by_target, by_limit, by_limit_close, by_four_way, by_stop]


def cancel_and_exit(trade, symbol, ways):
    """Cancel a target and exit in the same ``next()``, in several ways."""
    market = HandMarket(symbol).show(0, 60 * len(ways))

    def script(strategy):
        for way in ways:
            yield from buy_three(strategy)
            target = strategy.sell(size=3, exectype=bt.Order.Limit, price=market.price(20))
            yield from wait(3)
            strategy.cancel(target)
            exit_order = way(strategy)
            yield from wait(20)
            assert strategy.path(target)[-1] == "Canceled", way
            assert strategy.path(exit_order)[-1] == "Completed", way
            assert strategy.position.size == 0, way

    strategy = trade(market, script)
    assert strategy.held == (0, 0)
    assert opened(strategy) == 3 * len(ways)
    told_once(strategy)


@pytest.mark.parametrize("symbol", EXCHANGES)
def test_cancel_and_exit_in_one_next_end_flat(trade, symbol):
    cancel_and_exit(trade, symbol, WAYS)


@pytest.mark.every_counter
@pytest.mark.parametrize("symbol", [CU, M])
def test_cancel_and_close_in_one_next_end_flat_at_every_counter(trade, symbol):
    cancel_and_exit(trade, symbol, [by_close])


@pytest.mark.every_counter
@pytest.mark.parametrize("symbol", [CU, M])
def test_a_target_stands_back_for_an_exit_that_hurries(trade, symbol):
    market = HandMarket(symbol).show(0, 240)
    ways = [at_the_market, by_close, by_target, by_stop]

    def script(strategy):
        for way in ways:
            yield from buy_three(strategy)
            target = strategy.sell(size=3, exectype=bt.Order.Limit, price=market.price(20))
            yield from wait(3)
            exit_order = way(strategy)
            yield from wait(20)
            assert strategy.path(exit_order)[-1] == "Completed", way
            assert strategy.path(target)[-1] == "Canceled", way
            assert "gone" in target.info.reason, way

    strategy = trade(market, script)
    assert strategy.held == (0, 0) and opened(strategy) == 3 * len(ways)
    told_once(strategy)


@pytest.mark.parametrize("symbol", [CU, M])
@pytest.mark.parametrize("net", [0, 1, -2])
def test_a_target_position_closes_first_whatever_rests(trade, symbol, net):
    market = HandMarket(symbol).show(0, 60)

    def script(strategy):
        yield from buy_three(strategy)
        strategy.sell(size=3, exectype=bt.Order.Limit, price=market.price(20))
        strategy.sell(size=3, exectype=bt.Order.Stop, price=market.price(-20))
        yield from wait(3)
        target = strategy.broker.order_target_position(symbol, net)
        yield from wait(25)
        assert target.reached

    strategy = trade(market, script)
    assert strategy.held == (max(net, 0), max(-net, 0))
    assert opened(strategy) == 3 + max(-net, 0)
    told_once(strategy)


@pytest.mark.parametrize("symbol", [CU, M])
def test_a_target_that_has_stood_back_is_given_back_its_rest(trade, symbol):
    market = HandMarket(symbol).show(0, 30).show(20, 20)

    def script(strategy):
        yield from buy_three(strategy)
        target = strategy.sell(size=3, exectype=bt.Order.Limit, price=market.price(10))
        yield from wait(3)
        strategy.sell(size=1)
        yield from wait(35)
        assert strategy.path(target) == ["Submitted", "Accepted", "Completed"]
        assert target.executed.size == -2

    strategy = trade(market, script)
    assert strategy.held == (0, 0) and opened(strategy) == 3
    told_once(strategy)


@pytest.mark.parametrize("way", [at_the_market, by_close, by_target, by_stop, by_limit])
def test_what_a_target_has_closed_meanwhile_is_not_closed_again(trade, way):
    """The exchange fills the target before it receives the cancel."""
    market = HandMarket(CU).show(0, 10).show(30, 40)

    def script(strategy):
        yield from buy_three(strategy)
        target = strategy.sell(size=3, exectype=bt.Order.Limit, price=market.price(5))
        yield from wait(3)
        # The next tick reaches the target; the requests of now arrive with it or after it.
        while strategy.data.datetime.time(0) < NINTH:
            yield None
        strategy.cancel(target)
        exit_order = way(strategy)
        yield from wait(20)
        assert not target.alive()
        if way is not by_stop:  # its price may never be reached
            assert not exit_order.alive()

    strategy = trade(market, script)
    assert strategy.held == (0, 0) and opened(strategy) == 3
    told_once(strategy)


def test_a_close_given_twice_closes_once(trade):
    market = HandMarket(M).show(0, 40)

    def script(strategy):
        yield from buy_three(strategy)
        first, second = strategy.close(), strategy.close()
        yield from wait(10)
        assert strategy.path(first)[-1] == "Completed"
        assert strategy.path(second)[-1] in ("Canceled", "Rejected")
        assert "gone" in second.info.reason

    strategy = trade(market, script)
    assert strategy.held == (0, 0) and opened(strategy) == 3


def test_two_orders_at_the_market_reverse_as_in_backtrader(trade):
    market = HandMarket(M).show(0, 40)

    def script(strategy):
        yield from buy_three(strategy)
        strategy.sell(size=3)
        strategy.sell(size=3)
        yield from wait(10)
        assert strategy.position.size == -3

    strategy = trade(market, script)
    assert strategy.held == (0, 3)


@pytest.mark.parametrize("symbol", [CU, M])
def test_two_limits_reverse_as_in_backtrader(trade, symbol):
    market = HandMarket(symbol).show(0, 20).show(30, 20)

    def script(strategy):
        yield from buy_three(strategy)
        for steps in (5, 10):
            strategy.sell(size=3, exectype=bt.Order.Limit, price=market.price(steps))
        yield from wait(30)
        assert strategy.position.size == -3

    strategy = trade(market, script)
    assert strategy.held == (0, 3)


def test_a_larger_order_closes_first_and_opens_the_rest(trade):
    market = HandMarket(CU).show(0, 40)

    def script(strategy):
        yield from buy_three(strategy)
        target = strategy.sell(size=3, exectype=bt.Order.Limit, price=market.price(20))
        yield from wait(3)
        order = strategy.sell(size=5)
        yield from wait(10)
        assert strategy.path(order)[-1] == "Completed"
        assert strategy.path(target)[-1] == "Canceled"
        assert strategy.position.size == -2

    strategy = trade(market, script)
    assert strategy.held == (0, 2)


@pytest.mark.parametrize("close_only", [True, False])
def test_the_owners_word_decides(trade, close_only):
    """If no lots are held, or another order claims them, ``close_only`` opens nothing."""
    market = HandMarket(M).show(0, 60)

    def script(strategy):
        yield from wait(3)
        flat = strategy.sell(size=1, close_only=close_only)
        yield from wait(3)
        assert strategy.path(flat)[-1] == ("Rejected" if close_only else "Completed")
        strategy.close()
        yield from wait(3)
        yield from buy_three(strategy)
        first = strategy.sell(size=3, exectype=bt.Order.Limit, price=market.price(20))
        second = strategy.sell(
            size=3, exectype=bt.Order.Limit, price=market.price(30), close_only=close_only
        )
        yield from wait(3)
        strategy.cancel(first)
        yield from wait(3)
        offsets = [str(leg.offset) for leg in second.legs]
        assert offsets == (["CLOSE"] if close_only else ["OPEN"])

    trade(market, script)


@pytest.mark.parametrize("symbol", [CU, M])
@pytest.mark.parametrize("kind", [bt.Order.Stop, bt.Order.StopLimit, bt.Order.StopTrail])
def test_a_stop_ends_with_the_lots_that_it_was_placed_on(trade, symbol, kind):
    """Another terminal closes the lots; the market reaches the stop's price."""
    market = HandMarket(symbol).show(0, 30).show(-20, 30)

    def script(strategy):
        yield from buy_three(strategy)
        prices = {"price": market.price(-10)}
        if kind == bt.Order.StopLimit:
            prices["plimit"] = market.price(-30)
        if kind == bt.Order.StopTrail:
            prices = {"trailamount": 10 * market.tick}
        stop = strategy.sell(size=3, exectype=kind, **prices)
        yield from wait(3)
        offset = "CLOSETODAY" if symbol == CU else "CLOSE"
        strategy.broker.store.tianqin.insert_order(symbol, "SELL", offset, 3, market.price(-50))
        yield from wait(5)
        assert strategy.path(stop) == ["Submitted", "Accepted", "Canceled"]
        assert "gone" in stop.info.reason
        assert any(f"order {stop.ref} ends" in str(words) for words in strategy.heard)
        yield from wait(30)

    strategy = trade(market, script)
    assert strategy.held == (0, 0) and opened(strategy) == 3


def test_a_stop_closes_what_another_hand_has_left(trade):
    market = HandMarket(M).show(0, 30).show(-20, 30)

    def script(strategy):
        yield from buy_three(strategy)
        stop = strategy.sell(size=3, exectype=bt.Order.Stop, price=market.price(-10))
        yield from wait(3)
        strategy.broker.store.tianqin.insert_order(M, "SELL", "CLOSE", 2, market.price(-50))
        yield from wait(35)
        assert strategy.path(stop)[-1] == "Completed"
        assert stop.executed.size == -1

    strategy = trade(market, script)
    assert strategy.held == (0, 0) and opened(strategy) == 3


def test_an_entry_by_stop_still_opens(trade):
    market = HandMarket(CU).show(0, 20).show(-20, 20)

    def script(strategy):
        yield from wait(3)
        entry = strategy.sell(size=2, exectype=bt.Order.Stop, price=market.price(-10))
        yield from wait(25)
        assert strategy.path(entry)[-1] == "Completed"

    assert trade(market, script).held == (0, 2)


def test_two_stops_that_fire_in_one_moment_close_once(trade):
    market = HandMarket(CU).show(0, 20).show(-20, 30)

    def script(strategy):
        yield from buy_three(strategy)
        stops = [
            strategy.sell(size=3, exectype=bt.Order.Stop, price=market.price(steps))
            for steps in (-10, -12)
        ]
        yield from wait(35)
        assert sorted(strategy.path(stop)[-1] for stop in stops) == ["Canceled", "Completed"]

    strategy = trade(market, script)
    assert strategy.held == (0, 0) and opened(strategy) == 3


@pytest.mark.parametrize("steps", [(10, 12), (12, 10)])
def test_of_two_limits_of_an_oco_one_is_at_the_exchange(trade, steps):
    """The nearer one takes the lots when the market comes to it."""
    market = HandMarket(CU).show(0, 15).show(11, 20).show(30, 20)

    def script(strategy):
        yield from buy_three(strategy)
        first = strategy.sell(size=3, exectype=bt.Order.Limit, price=market.price(steps[0]))
        second = strategy.sell(
            size=3, exectype=bt.Order.Limit, price=market.price(steps[1]), oco=first
        )
        yield from wait(3)
        assert strategy.broker.get_account_position(CU)["pos_short"] == 0
        yield from wait(40)
        ends = {steps[0]: strategy.path(first)[-1], steps[1]: strategy.path(second)[-1]}
        assert ends == {10: "Completed", 12: "Canceled"}

    strategy = trade(market, script)
    assert strategy.held == (0, 0) and opened(strategy) == 3


@pytest.mark.every_counter
@pytest.mark.parametrize("symbol", [CU, M])
def test_a_stop_that_the_front_refuses_is_sent_again(trade, symbol):
    market = HandMarket(symbol).show(0, 20).show(-20, 40)

    def script(strategy):
        yield from buy_three(strategy)
        stop = strategy.sell(size=3, exectype=bt.Order.Stop, price=market.price(-10))
        yield from wait(3)
        strategy.broker.store.sandbox_server.fault("reject_order", count=3)
        yield from wait(40)
        assert strategy.path(stop) == ["Submitted", "Accepted", "Completed"]
        assert sum("is sent again" in str(words) for words in strategy.heard) == 3

    assert trade(market, script).held == (0, 0)


def test_a_stop_that_is_refused_for_good_is_told_in_the_end(trade):
    market = HandMarket(M).show(0, 20).show(-20, 100)

    def script(strategy):
        yield from buy_three(strategy)
        stop = strategy.sell(size=3, exectype=bt.Order.Stop, price=market.price(-10))
        yield from wait(3)
        strategy.broker.store.sandbox_server.fault("reject_order", count=100)
        yield from wait(100)
        assert strategy.path(stop)[-1] == "Rejected"
        assert "系统繁忙" in stop.info.reason

    strategy = trade(market, script)
    assert strategy.held == (3, 0)
    assert len(strategy.sent) == 32


@pytest.mark.parametrize("missed", [True, False])
def test_close_is_never_sent_into_the_next_day(trade, missed):
    market = (
        HandMarket(CU, "2026-11-10 14:59:30").show(0, 29).go_to("2026-11-10 21:00:00").show(0, 30)
    )

    def script(strategy):
        server = strategy.broker.store.sandbox_server
        yield from buy_three(strategy)
        order = strategy.sell(size=3, exectype=bt.Order.Close)
        if missed:
            server.fault("reject_order", count=100)
        while strategy.data.datetime.time(0).hour != 21:
            yield None
        yield from wait(5)
        assert strategy.path(order)[-1] == ("Expired" if missed else "Completed")
        assert any("missed the close" in str(words) for words in strategy.heard) is missed

    strategy = trade(market, script, days=2)
    assert strategy.held == ((3, 0) if missed else (0, 0))
