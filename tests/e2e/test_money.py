"""Targets in money, fees, and trades by another terminal: notifications of strategies."""

import backtrader as bt
import pytest
from e2e_script import CU, MORNING, M, Script, exchange_orders, play
from sandbox_account import store_at

from tianqin_backtrader import MyStore
from tianqin_backtrader.account.sizers import MaxLots
from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox

#: Every transition between long, short and flat, and to larger and smaller positions.
WALK = (-5, 5, -2, 2, 0, -2, -5, 0, 5, 2, -5, -2, 0, 2, 5, 0)
MAIN_CU = "KQ.m@SHFE.cu"


@pytest.mark.parametrize("symbol", [CU, MAIN_CU])
def test_a_target_in_money_is_reached_from_everywhere_and_said_again_changes_nothing(
    sandbox, run, symbol
):
    def script(strategy):
        broker, data = strategy.broker, strategy.data
        margin = broker.getcommissioninfo(data).get_margin(data.close[0])
        for lots in WALK:
            strategy.order_target_value(target=lots * margin)
            strategy.order_target_value(target=lots * margin)  # before anything is filled
            yield None
            yield None
            sent = len(exchange_orders(store))
            assert strategy.position.size == lots
            assert broker.getvalue([data]) == pytest.approx(lots * margin)
            strategy.order_target_value(target=lots * margin)
            yield None
            yield None
            assert (strategy.position.size, len(exchange_orders(store))) == (lots, sent)
        done.append(True)

    done = []
    # The script takes more than forty minutes, and ends before the break in both worlds.
    store = sandbox(start="2026-11-10 09:01:00", ticks_per_pack=5)
    play(store, run, script, symbol)
    assert done


def test_a_share_of_equity_is_the_same_share_short_and_long(sandbox, run):
    def script(strategy):
        yield None
        seen = []
        for share in (-0.2, -0.2, 0.2, 0.2, 0.0, 0.0, 0.2, -0.2):
            strategy.order_target_percent(target=share)
            yield None
            yield None
            seen.append(int(strategy.position.size))
        lots = int(0.2 * strategy.broker.getvalue() // store.instrument(CU).margin)
        assert lots > 1
        assert seen == [-lots, -lots, lots, lots, 0, 0, lots, -lots]
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=5)
    play(store, run, script, CU)
    assert done


# -- fees -------------------------------------------------------------------------------------


def account_of(store):
    [account] = store.sandbox_server.state()["accounts"].values()
    return account["account"]


@pytest.mark.parametrize("commission", ["zero", "dash", "absent"])
def test_fees_that_no_trade_names_are_the_accounts_in_the_end(sandbox, run, commission):
    """At a futures company strategies get an estimate, and the books are corrected."""

    def script(strategy):
        copper, meal = strategy.datas
        fees = []
        # Few lots, which any book can fill: the rest of a market order would be cancelled.
        for data, size in ((copper, 2), (meal, 5), (copper, -3), (meal, -2), (copper, 1)):
            order = strategy.buy(data, size) if size > 0 else strategy.sell(data, -size)
            yield order
            assert order.status == order.Completed
            expected = store.instrument(data._dataname).commission * abs(size)
            assert order.executed.comm == pytest.approx(expected, rel=0.5)
            fees.append(order.executed.comm)
        yield from (None,) * 3
        assert store.broker.books.fees == account_of(store)["commission"] > 0
        assert store.broker.balance().equity == pytest.approx(store.broker.getvalue(), abs=0.005)
        assert store.broker.books.fees == pytest.approx(sum(fees), rel=0.5)
        done.append(True)

    done = []
    store = sandbox(
        start=MORNING, ticks_per_pack=4, counter="ctp", commission=commission, query_seconds=2.0
    )
    strategy = play(store, run, script, CU, M)
    assert done
    assert all(trade.commission > 0 for trade in strategy.trades)


def test_cheapest_learns_what_the_account_was_charged_and_no_0(sandbox, run):
    def script(strategy):
        paid = store.broker._account.fees.paid
        told = store.instrument(CU)
        yield strategy.buy(size=2)
        yield from (None,) * 2
        opening = account_of(store)["commission"]
        assert paid.of(told).open == opening / 2
        order = strategy.close()
        yield order
        assert order.executed.comm == pytest.approx(2 * told.commission)  # the 0 is ignored
        yield from (None,) * 2
        closing = account_of(store)["commission"] - opening
        assert paid.of(told).close_today == pytest.approx(closing / 2)
        assert closing > 1.9 * opening  # today's lots of copper cost twice as much
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=4, counter="ctp", commission="zero")
    store.getbroker(priority="cheapest")
    play(store, run, script, CU)
    assert done


def test_fees_over_a_settlement_and_a_night(sandbox, run):
    def script(strategy):
        yield strategy.buy(size=3)
        while strategy.data.datetime.datetime(0).hour < 21:
            yield None
        paid = store.broker.books.fees
        assert account_of(store)["commission"] == 0
        yield strategy.close()
        yield from (None,) * 3
        assert store.broker.books.fees - paid == pytest.approx(account_of(store)["commission"])
        assert store.broker.balance().equity == pytest.approx(store.broker.getvalue(), abs=0.005)
        done.append(True)

    done = []
    store = sandbox(start="2026-11-10 14:55:00", days=2, counter="ctp", ticks_per_pack=10)
    play(store, run, script, CU)
    assert done


# -- trades by another terminal -------------------------------------------------------------------


def by_hand(strategy, size, symbol=M):
    """Trade without the broker's knowledge, by an order that is passed directly to the client."""
    store = strategy.broker.store
    net = store.broker.getposition(symbol).size
    closes = net * size < 0
    assert not closes or abs(size) <= abs(net)
    today = "CLOSETODAY" if symbol.startswith("SHFE") else "CLOSE"
    quote = store.tianqin.get_quote(symbol)
    price = quote.ask_price1 + 5 * quote.price_tick if size > 0 else (
        quote.bid_price1 - 5 * quote.price_tick)  # fmt: skip
    order = store.tianqin.insert_order(
        symbol, "BUY" if size > 0 else "SELL", today if closes else "OPEN", abs(size), price
    )
    while order.status == "ALIVE" or store.broker.getposition(symbol).size != net + size:
        store.pump(0.1)
    assert order.volume_left == 0


def round_trips(store, symbol):
    """Return the profits of a contract's trades, from flat to flat, by the exchange's list."""
    [account] = store.sandbox_server.state()["accounts"].values()
    trades = sorted(
        (one for one in account["trades"].values()
         if f"{one['exchange_id']}.{one['instrument_id']}" == symbol),
        key=lambda one: one["seqno"] if "seqno" in one else one["trade_date_time"],
    )  # fmt: skip
    profits, lots, cash = [], 0, 0.0
    for one in trades:
        size = one["volume"] if one["direction"] == "BUY" else -one["volume"]
        lots, cash = lots + size, cash - size * one["price"]
        if not lots:
            profits.append(cash * store.instrument(symbol).volume_multiple)
            cash = 0.0
    return profits


def open_lots(strategy):
    """Return the lots of a strategy's open trades."""
    lists = (trades for by_id in strategy._trades.values() for trades in by_id.values())
    return sum(trade.size for trades in lists for trade in trades if trade.isopen)


HANDS = {
    "closes all": [("own", 4), ("hand", -4), ("own", 2), ("own", -2)],
    "closes a part": [("own", 4), ("hand", -1), ("own", -3), ("own", -1), ("own", 1)],
    "closes a short": [("own", -3), ("hand", 1), ("hand", 2), ("own", 1), ("own", -1)],
    "turns it": [("own", 4), ("hand", -4), ("hand", -3), ("own", 3)],
    "opens": [("hand", 2), ("own", -2), ("own", 1), ("own", -1)],
    "adds": [("own", 2), ("hand", 2), ("own", -4)],
    "opens what is reversed": [("hand", 2), ("own", -2), ("own", -3), ("hand", 3)],
}


@pytest.mark.parametrize(
    "counter", ["ctp", *(pytest.param(one, marks=pytest.mark.slow) for one in ("plain", "kq"))]
)
@pytest.mark.parametrize("name", HANDS)
def test_trades_by_another_hand_are_in_the_trades_that_are_told(sandbox, run, name, counter):
    def script(strategy):
        yield None
        for who, size in HANDS[name]:
            if who == "hand":
                by_hand(strategy, size)
                yield None
            else:
                order = strategy.buy(size=size) if size > 0 else strategy.sell(size=-size)
                yield order
            assert open_lots(strategy) == strategy.position.size
        assert strategy.position.size == 0
        yield from (None,) * 2
        expected.extend(round_trips(store, M))

    expected = []
    store = sandbox(start=MORNING, counter=counter, ticks_per_pack=5)
    strategy = play(store, run, script, M)
    assert len(expected) >= 1
    assert [trade.pnl for trade in strategy.trades] == pytest.approx(expected)
    fees = sum(trade.commission for trade in strategy.trades)
    assert fees == pytest.approx(store.broker.books.fees, rel=0.5 if counter == "ctp" else 1e-9)


def cerebro_of(store, *scripts, feeds=(M,), **options):
    """Make a run of several strategies."""
    cerebro = bt.Cerebro(stdstats=False, **options)
    cerebro.setbroker(store.getbroker())
    for symbol in feeds:
        cerebro.adddata(symbol if not isinstance(symbol, str) else store.getdata(symbol))
    for script in scripts:
        cerebro.addstrategy(Script, script=script)
    return cerebro


@pytest.mark.parametrize("quick", [False, True])
def test_of_two_strategies_the_one_that_holds_the_lots_is_told(sandbox, quick):
    def first(strategy):
        yield strategy.buy(size=2)
        while strategy.position.size != 5:
            yield None
        by_hand(strategy, -4)  # all lots of the first strategy, and two of the second
        yield None
        yield None
        assert [trade.size for trade in strategy.trades] == [0]
        assert open_lots(strategy) == 0
        while True:
            yield None

    def second(strategy):
        yield strategy.buy(size=3)
        while strategy.position.size != 1:
            yield None
        yield None
        assert strategy.trades == []
        assert open_lots(strategy) == 1
        yield strategy.sell(size=1)
        yield None
        assert [trade.size for trade in strategy.trades] == [0]
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=5)
    cerebro_of(store, first, second, quicknotify=quick).run()
    assert done
    [account] = store.sandbox_server.state()["accounts"].values()
    assert not any(one["pos_long_today"] for one in account["positions"].values())


@pytest.mark.parametrize("with_stop", [True, False])
def test_over_a_restart_the_strategy_whose_lots_they_are_is_told(tmp_path, with_stop):
    """The stop that covers the lots decides whose they are; without one the closing strategy."""

    def idle(strategy):
        while True:
            yield None

    def begins(strategy):
        yield strategy.buy(size=2)
        if with_stop:
            price = strategy.data.close[0] - 30
            strategy.sell(size=2, exectype=bt.Order.Stop, price=price)
        yield None

    def goes_on(strategy):
        if with_stop:
            [order] = strategy.broker.get_orders_open()
        else:
            yield None
            order = strategy.close()
        yield order
        yield None
        assert strategy.path(order)[-1] == "Completed"
        assert [trade.size for trade in strategy.trades] == [0]
        assert open_lots(strategy) == 0
        yield strategy.buy(size=1)
        yield strategy.sell(size=1)
        yield None
        assert [trade.size for trade in strategy.trades] == [0, 0]

    with EmbeddedSandbox(start=MORNING, days=4, ticks_per_pack=5) as box:
        for script in (begins, goes_on):
            with MyStore("sandbox", "sandbox", urls=box.urls, strategy_name="one") as store:
                store.getbroker(records=tmp_path)
                first, second = cerebro_of(store, idle, script).run()
    assert (first.trades, open_lots(first)) == ([], 0)
    assert len(second.trades) == 2


def test_an_end_that_was_not_told_is_told_to_the_strategy_whose_order_it_was(tmp_path):
    def idle(strategy):
        while True:
            yield None

    def unheard(strategy):
        yield None
        order = strategy.buy(size=2)
        while order.alive():
            strategy.broker.store.pump(0.05)

    def hears(strategy):
        yield None
        yield None

    with EmbeddedSandbox(start=MORNING, ticks_per_pack=5) as box:
        for script in (unheard, hears):
            with MyStore("sandbox", "sandbox", urls=box.urls, strategy_name="one") as store:
                store.getbroker(records=tmp_path)
                first, second = cerebro_of(store, idle, script).run()
    [told] = second.told.values()
    assert told[-1] == "Completed"
    assert first.told == {}
    assert (open_lots(first), open_lots(second)) == (0, 2)


@pytest.mark.parametrize("feed", [MAIN_CU, CU])
def test_another_hand_in_the_contract_behind_a_main_contract(sandbox, run, feed):
    def script(strategy):
        contract = store.mains.traded(feed)
        yield strategy.buy(size=3)
        by_hand(strategy, -1, contract)
        by_hand(strategy, -2, contract)
        yield None
        yield None
        yield strategy.sell(size=1)
        by_hand(strategy, 1, contract)
        yield from (None,) * 2
        expected.extend(round_trips(store, contract))

    expected = []
    store = sandbox(start=MORNING, ticks_per_pack=5)
    strategy = play(store, run, script, feed)
    assert [trade.pnl for trade in strategy.trades] == pytest.approx(expected)
    assert len(expected) == 2


def test_lots_without_a_feed_are_in_trades_too(sandbox, run):
    def script(strategy):
        broker = strategy.broker
        yield None
        by_hand(strategy, 2)
        yield broker.sell_close(M, 2)
        yield broker.buy_open(M, 3)
        by_hand(strategy, -3)
        yield from (None,) * 2
        expected.extend(round_trips(store, M))

    expected = []
    store = sandbox(start=MORNING, ticks_per_pack=5)
    strategy = play(store, run, script, CU)
    assert [(trade.data._name, trade.pnl) for trade in strategy.trades] == [
        (M, pytest.approx(profit)) for profit in expected
    ]
    assert len(expected) == 2


def test_a_trade_of_a_feed_without_a_bar_is_told_with_its_first_and_keeps_nobody_waiting(sandbox):
    """A daily feed has no bar before the day is over."""

    def script(strategy):
        minutes, days = strategy.datas
        yield None
        by_hand(strategy, 2)
        by_hand(strategy, -2)
        expected = round_trips(store, M)
        order = strategy.buy(minutes, 1)
        yield order
        assert strategy.path(order)[-1] == "Completed"
        while not len(days):
            assert strategy.trades == []
            yield None
        yield None
        [trade] = strategy.trades
        assert (trade.data, trade.close_datetime()) == (days, days.datetime.datetime(0))
        assert [trade.pnl] == pytest.approx(expected)
        done.append(True)

    done = []
    store = sandbox(start="2026-11-10 14:50:00", days=2, ticks_per_pack=10)
    cerebro_of(store, script, feeds=(CU, store.get_daily_data(M))).run()
    assert done


@pytest.mark.parametrize("lots", [-3, -1, 1])
def test_a_restart_after_another_hand_goes_on_with_what_is_held(tmp_path, run, lots):
    def first(strategy):
        yield strategy.buy(size=3)
        by_hand(strategy, lots)
        held.append(strategy.position.price * strategy.position.size)

    def second(strategy):
        yield None
        assert open_lots(strategy) == strategy.position.size == 3 + lots
        if 3 + lots:
            order = strategy.close()
            yield order
            yield None
            [trade] = strategy.trades
            cash = order.executed.price * (3 + lots) - held[0]
            assert trade.pnl == pytest.approx(cash * store.instrument(M).volume_multiple)
        order = strategy.buy(size=1)
        yield order
        yield strategy.sell(size=1)
        yield None
        assert [one.size for one in strategy.trades] == [0] * (1 + bool(3 + lots))
        done.append(True)

    held, done = [], []
    with EmbeddedSandbox(start=MORNING, ticks_per_pack=5) as box:
        for script in (first, second):
            with MyStore("sandbox", "sandbox", urls=box.urls, strategy_name="one") as store:
                store.getbroker(records=tmp_path)
                play(store, run, script, M)
    assert done


def test_another_run_on_one_store_counts_another_hand_once(sandbox, run):
    def first(strategy):
        yield strategy.buy(size=4)
        by_hand(strategy, -1)  # and no strategy is notified any more

    def second(strategy):
        assert open_lots(strategy) == strategy.position.size == 3
        yield strategy.sell(size=3)
        yield None
        assert [trade.size for trade in strategy.trades] == [0]
        assert open_lots(strategy) == 0
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=5)
    play(store, run, first, M)
    play(store, run, second, M)
    assert done


@pytest.mark.told_time("two sessions of one thread would wait for each other's time")
def test_trades_of_another_terminal_at_a_futures_company(sandbox, run):
    """The other terminal is another login."""

    def script(strategy):
        yield strategy.buy(size=4)
        server = store.sandbox_server
        with store_at(server.urls, "ctp") as other:
            other.getbroker(records=False).start()
            sold = other.broker.sell_close(M, 3)
            while sold.alive():
                other.pump(0.1)
                store.pump(0.0)
        while strategy.position.size != 1:
            yield None
        yield strategy.sell(size=1)
        yield from (None,) * 2
        assert [trade.pnl for trade in strategy.trades] == pytest.approx(round_trips(store, M))
        assert store.broker.books.fees == pytest.approx(account_of(store)["commission"])
        done.append(True)

    done = []
    store = sandbox(start=MORNING, counter="ctp", ticks_per_pack=5)
    play(store, run, script, M)
    assert done


# -- funds ------------------------------------------------------------------------------------


@pytest.mark.parametrize("counter", ["plain", "kq", "ctp"])
def test_two_orders_of_one_moment_are_not_paid_with_the_same_money(sandbox, counter):
    """At a futures company the account includes a fill only seconds later."""

    def script(strategy):
        strategy.setsizer(MaxLots(share=0.6))
        yield None
        available = strategy.broker.getcash()
        first, second = strategy.buy(), strategy.buy()
        a_lot = strategy.broker.order_cost(CU, 1).total
        assert first.size == int(0.6 * available // a_lot) > 2
        assert second.size == int(0.6 * (available - first.size * a_lot) // a_lot) > 0
        bound = strategy.broker.getcash()
        assert bound == pytest.approx(available - (first.size + second.size) * a_lot)
        while first.alive() or second.alive():
            store.pump(0.1)
            assert strategy.broker.getcash() < available - first.executed.size * a_lot * 0.9
        assert [first.status, second.status] == [first.Completed] * 2
        yield from (None,) * 3
        assert strategy.broker.getcash() == strategy.broker.get_account()["available"]
        done.append(True)

    done = []
    store = sandbox(start=MORNING, counter=counter, balance=250_000.0, ticks_per_pack=5)
    cerebro_of(store, script, feeds=(CU,)).run()
    assert done
