"""Orders through the real client: sent orders, reports, and notifications of strategies."""

import datetime

import backtrader as bt
import pytest
import tqsdk
from e2e_script import CU, IF, MORNING, SI, SR, M, Script, exchange_orders, play

from tianqin_backtrader.errors import OrderError

COUNTER = "ctp"


@pytest.mark.parametrize("symbol", [CU, M, IF, SR, SI, "INE.sc2701"])
@pytest.mark.parametrize("price", ["limit", "market"])
def test_four_directions_on_every_exchange(sandbox, run, symbol, price):
    """Open and close both sides; every order ends Completed, the account is flat."""

    def script(strategy):
        broker, data = strategy.broker, strategy.datas[0]
        for open_it, close_it, side in (
            (broker.buy_open, broker.sell_close, "ask"),
            (broker.sell_open, broker.buy_close, "bid"),
        ):
            yield None
            limit = getattr(data, f"{side}_price")[0] if price == "limit" else None
            order = open_it(symbol, 1, limit)
            yield order
            broker.cancel(order)
            yield order
            opened = order.executed.size
            if not opened:
                continue
            assert broker.get_account_position(symbol)["pos_long" if opened > 0 else "pos_short"]
            # As a market order, so that it is sure to fill.
            order = close_it(symbol, 1)
            yield order
            assert strategy.path(order)[-1] == "Completed", order.info
        assert broker.get_account_position(symbol) == {}
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=4)
    strategy = play(store, run, script, symbol)
    assert done
    assert store.broker.books.fills >= 2
    assert len(strategy.trades) >= 1
    balance = store.broker.balance()
    assert balance.equity == pytest.approx(store.broker.getvalue(), abs=0.005)


def test_a_feeds_name_means_its_contract_wherever_a_symbol_is_asked_for(sandbox, run):
    """Old strategies query positions and send orders by ``self.data0._name``."""

    def script(strategy):
        broker, name = strategy.broker, strategy.data._name
        yield None
        yield broker.buy_open(name, 2)
        assert name == "copper"
        assert broker.get_account_position(name) == broker.get_account_position(CU)
        assert broker.get_account_position(name)["pos_long"] == 2
        assert broker.getposition(name).size == 2
        assert broker.order_cost(name, 1) == broker.order_cost(CU, 1)
        assert broker.max_lots(name) == broker.max_lots(CU) > 0
        yield broker.sell_close(name, broker.get_account_position(name)["pos_long"])
        assert broker.get_account_position(name) == {}
        target = broker.order_target_position(name, 1, owner=strategy)
        while not target.reached:
            yield None
        broker.drop_target(name)
        assert broker.getposition(name).size == 1
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=4)
    run(store, Script, store.getdata(CU, name="copper"), script=script)
    assert done


@pytest.mark.both_worlds
def test_todays_lots_are_closed_with_closetoday_and_told_once(sandbox, run):
    def script(strategy):
        broker = strategy.broker
        first = broker.buy_open(CU, 3)
        yield first
        second = broker.sell_close(CU, 3)
        yield second
        assert [str(leg.offset) for leg in second.legs] == ["CLOSETODAY"]
        for order in (first, second):
            path = strategy.path(order)
            assert path[:2] == ["Submitted", "Accepted"]
            assert path[-1] == "Completed"
            assert set(path[2:-1]) <= {"Partial"}
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=4)
    play(store, run, script, CU)
    assert done
    offsets = [order["offset"] for order in exchange_orders(store).values()]
    assert offsets == ["OPEN", "CLOSETODAY"]


def test_over_two_days_a_close_is_split_into_today_and_yesterday(sandbox, run):
    """Two of today and five of yesterday: closing four sends two and two."""

    def script(strategy):
        broker, store = strategy.broker, strategy.broker.store
        day = store.calendar.trading_day_at(store.now())
        yield broker.buy_open(CU, 5)
        while store.calendar.trading_day_at(store.now()) == day:
            yield None
        yield broker.buy_open(CU, 2)
        position = broker.get_account_position(CU)
        assert (position["pos_long_today"], position["pos_long_his"]) == (2, 5)
        order = broker.sell_close(CU, 4)
        yield order
        sent = [(str(leg.offset), leg.volume) for leg in order.legs]
        assert sent == [("CLOSETODAY", 2), ("CLOSE", 2)]
        assert strategy.path(order)[-1] == "Completed"
        position = broker.get_account_position(CU)
        assert (position["pos_long_today"], position["pos_long_his"]) == (0, 3)
        done.append(True)

    done = []
    play(sandbox(start="2026-11-10 14:50:00", days=2), run, script, CU)
    assert done


def test_backtraders_buy_against_a_short_closes_it_first(sandbox, run):
    def script(strategy):
        first = strategy.sell(size=2)
        yield first
        assert strategy.position.size == -2
        second = strategy.buy(size=5)
        yield second
        assert [(str(leg.offset), leg.volume) for leg in second.legs] == [
            ("CLOSETODAY", 2),
            ("OPEN", 3),
        ]
        assert strategy.position.size == 3
        third = strategy.order_target_size(target=0)
        yield third
        assert strategy.position.size == 0
        assert strategy.broker.get_account_position(CU) == {}
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=4, counter="kq")  # its trades state their fees
    strategy = play(store, run, script, CU)
    assert done
    assert [trade.long for trade in strategy.trades] == [False, True]
    profit = sum(trade.pnlcomm for trade in strategy.trades)
    assert profit == pytest.approx(store.broker.getvalue() - 1_000_000.0, abs=0.01)


def test_two_closes_in_one_breath_do_not_over_close(sandbox, run):
    def script(strategy):
        broker = strategy.broker
        yield broker.buy_open(CU, 2)
        one, two = broker.sell_close(CU, 2), broker.sell_close(CU, 2)
        assert two.getstatusname() == "Rejected"
        assert "only 0 can be closed" in two.info.reason
        yield one
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=4)
    play(store, run, script, CU)
    assert done
    assert len(exchange_orders(store)) == 2


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (lambda s: s.broker.sell_close(CU, 1), "to close 1 lots of SHFE.cu2612, but only 0"),
        (lambda s: s.broker.buy_open(CU, 0), "positive whole number of lots"),
        (lambda s: s.broker.buy_open(CU, 1.5), "positive whole number of lots"),
        (lambda s: s.broker.buy_open(CU, 1, float("nan")), "is not a number"),
        (lambda s: s.broker.buy_open(CU, 1, 1_000_000.0), "涨停板"),
        (lambda s: s.broker.buy_open(CU, 400), "资金不足"),
        (lambda s: s.broker.buy_open("SHFE.xx2612", 1), "unknown product SHFE.xx"),
        (lambda s: s.broker.buy_open("SHFE.cu9912", 1), "knows no contract"),
        (lambda s: s.broker.buy_open(CU, 1, "BEST"), "BEST"),
        (lambda s: s.broker.buy_open(CU, -1), "positive whole number of lots"),
        (lambda s: s.broker.buy_open(CU, 1e9), "more than 50 orders of 500"),
        (lambda s: s.buy(exectype=bt.Order.Stop), "a Stop order needs a price"),
        (lambda s: s.buy(exectype=bt.Order.StopLimit, price=1.0), "needs a limit price"),
        (lambda s: s.buy(exectype=bt.Order.StopTrail), "needs a positive distance"),
        (lambda s: s.buy(valid=datetime.datetime(2020, 1, 1)), "was valid until 2020"),
        (lambda s: s.buy(valid="tomorrow"), "valid must be None, a date"),
        (lambda s: s.broker.buy_open(CU, 1, order_type="LIMIT"), "does not fit"),
        (lambda s: s.broker.buy_open(SR, 1, 5000.0, advanced="FOK"), "CZCE does not accept FOK"),
        (lambda s: s.broker.buy_open(CU, 1, 1.0), "跌停板"),
        (lambda s: s.broker.buy_open("KQ.i@SHFE.cu", 1), "is an index"),
        (lambda s: s.broker.sell_open(CU, True), "positive whole number"),
    ],
)
def test_refusals_reach_the_strategy_as_rejected_with_the_reason(sandbox, run, action, words):
    def script(strategy):
        order = action(strategy)
        yield order
        assert strategy.path(order)[-1] == ("Margin" if "资金" in order.info.reason else "Rejected")
        assert any(word in order.info.reason for word in words.split("|"))
        done.append(True)

    done = []
    play(sandbox(start=MORNING, ticks_per_pack=4), run, script, CU)
    assert done


def test_no_order_leaves_in_history(sandbox, run):
    class Eager(bt.Strategy):
        def __init__(self):
            self.reasons = []

        def next(self):
            if self.data.history_phase:
                self.buy()
            else:
                self.env.runstop()

        def notify_order(self, order):
            self.reasons.append(order.info.reason)

    store = sandbox()
    strategy = run(store, Eager, store.getdata(CU, lookback=100, night_start=False))
    assert len(strategy.reasons) == 100
    assert all("history" in reason for reason in strategy.reasons)
    assert exchange_orders(store) == {}


def test_a_feed_of_days_that_shows_history_does_not_stop_live_orders(sandbox, run):
    """The newest bar of a daily feed is yesterday's all day long."""

    def script(strategy):
        broker, minutes, days = strategy.broker, *strategy.datas
        while not len(minutes) or minutes.history_phase:
            order = broker.buy_open(M, 1)
            assert "history_phase" in order.info.reason
            yield None
        assert days.history_phase
        for order in (broker.buy_open(CU, 1), broker.buy_open(M, 1), strategy.buy(days, size=1)):
            yield order
            assert strategy.path(order)[-1] == "Completed", order.info
        broker.flatten()
        for _ in range(4):
            yield None
        assert broker.get_account_positions() == {}
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=4)
    feeds = store.get_daily_data(CU, lookback=3), store.getdata(CU, lookback=10, night_start=False)
    run(store, Script, *reversed(feeds), script=script)
    assert done


@pytest.mark.parametrize("other", ["forgotten", "of another Cerebro", "of days"])
def test_another_feed_without_a_bar_does_not_stop_live_orders(sandbox, run, other):
    """A notebook cell that is run again makes another feed; daily bars come in the afternoon."""

    def script(strategy):
        order = strategy.broker.buy_open(CU, 1)
        yield order
        assert strategy.path(order)[-1] == "Completed", order.info
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=4)
    without = store.get_daily_data(CU, lookback=False) if other == "of days" else store.getdata(CU)
    if other == "of another Cerebro":
        bt.Cerebro().adddata(without)
    feeds = [store.getdata(CU), *([without] if other == "of days" else [])]
    run(store, Script, *feeds, script=script)
    assert done
    assert any(feed is without for feed in store.feeds) is (other != "of another Cerebro")


def test_a_cancelled_order_is_told_and_a_finished_one_stays(sandbox, run):
    def script(strategy):
        broker, data = strategy.broker, strategy.data
        order = broker.buy_open(CU, 1, data.bid_price[0] - 500)
        yield None
        assert order.getstatusname() == "Accepted"
        broker.cancel_order(order.legs[0].order_id)
        yield order
        assert strategy.path(order) == ["Submitted", "Accepted", "Canceled"]
        broker.cancel(order)
        yield None
        assert strategy.path(order) == ["Submitted", "Accepted", "Canceled"]
        with pytest.raises(OrderError, match="no order with the id"):
            broker.cancel_order("nobody's")
        assert strategy.cancel(None) is broker.cancel_order(None) is None  # nothing was sent
        assert broker.get_order(order.legs[0].order_id) is order
        assert broker.get_all_orders() == [order]
        done.append(True)

    done = []
    play(sandbox(start=MORNING, ticks_per_pack=4), run, script, CU)
    assert done


def test_orders_on_a_contract_without_a_feed(sandbox, run):
    def script(strategy):
        order = strategy.broker.buy_open(M, 1)
        yield order
        assert strategy.path(order)[-1] == "Completed"
        assert strategy.broker.get_account_position(M)["pos_long"] == 1
        done.append(True)

    done = []
    play(sandbox(start=MORNING, ticks_per_pack=4), run, script, CU)
    assert done


def test_prices_are_put_on_the_tick_towards_the_passive_side(sandbox, run):
    def script(strategy):
        data = strategy.data
        strategy.broker.buy_open(CU, 1, data.bid_price[0] - 494)
        strategy.broker.sell_open(CU, 1, data.ask_price[0] + 494)
        prices.extend((data.bid_price[0], data.ask_price[0]))
        yield None

    prices = []
    store = sandbox(start=MORNING, ticks_per_pack=4)
    play(store, run, script, CU)
    bid, ask = prices
    assert [order["limit_price"] for order in exchange_orders(store).values()] == [
        bid - 500,
        ask + 500,
    ]


@pytest.mark.parametrize(
    "account", [tqsdk.TqKq, tqsdk.TqSim, lambda: tqsdk.TqAccount("simnow", "12345", "secret")]
)
def test_the_same_strategy_on_every_kind_of_account(sandbox, run, account):
    def script(strategy):
        # TqSim fills only whole orders, at their limit price: the limit is far from the market.
        yield strategy.broker.buy_open(M, 1, strategy.data.ask_price[0] + 5)
        assert strategy.broker.get_account_position(M)["pos_long"] == 1
        yield strategy.broker.sell_close(M, 1, strategy.data.bid_price[0] - 5)
        assert strategy.broker.get_account_position(M) == {}
        done.append(True)

    done = []
    store = sandbox(start=MORNING, ticks_per_pack=4, account=account())
    strategy = play(store, run, script, M)
    assert done
    assert all(path[-1] == "Completed" for path in strategy.told.values())


@pytest.mark.told_time("a process lives on one sandbox's clock")
def test_two_stores_are_two_accounts(sandbox, run):
    one, two = sandbox(), sandbox(balance=5_000_000.0)
    assert one is not two
    assert one.getbroker().getvalue() == 1_000_000.0
    assert two.getbroker().getvalue() == 5_000_000.0


def test_before_the_first_bar_orders_are_refused_not_raised(sandbox, run):
    class Early(bt.Strategy):
        def __init__(self):
            self.orders = []

        def start(self):
            self.orders = [self.broker.buy_open(CU, 1), self.buy(size=1), self.close(size=1)]

        def next(self):
            self.env.runstop()

    store = sandbox(start=MORNING, ticks_per_pack=4)
    strategy = run(store, Early, store.getdata(CU))
    for order in filter(None, strategy.orders):
        assert order.getstatusname() == "Rejected"
        assert "before its feed has delivered a bar" in order.info.reason
    assert len(list(filter(None, strategy.orders))) == 2
    assert exchange_orders(store) == {}
