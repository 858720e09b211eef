"""Auctions, sizers, trailing limits, a flatten that cannot succeed, Backtrader's analyzers."""

import backtrader as bt
import pytest
from e2e_script import CU, IF, MORNING, M, Script, exchange_orders, play

from tianqin_backtrader.account.sizers import MaxLots

COUNTER = "ctp"


@pytest.mark.parametrize("auction", ["reject", "hold"])
def test_an_order_in_a_call_auction_is_treated_as_its_owner_says(sandbox, run, auction):
    """IF has its auction from 9:25 to 9:30, while copper trades."""

    def script(strategy):
        broker = strategy.broker
        store = broker.store
        while not store.calendar.is_auction(IF, store.now()):
            yield None
        order = broker.buy_open(IF, 1)
        if auction == "reject":
            assert "call auction" in order.info.reason
            yield order
            assert strategy.path(order) == ["Rejected"]
        else:
            assert order.legs == []
            yield order
            assert strategy.path(order) == ["Submitted", "Accepted", "Completed"]
            [fill] = order.legs[0].fills.values()
            assert str(bt.num2date(order.executed.dt).time()) >= "09:30:00"
            assert fill.volume == 1
        done.append(True)

    done = []
    store = sandbox(start="2026-11-10 09:20:00", balance=20_000_000.0)
    store.getbroker(auction=auction)
    yesterday = store.getdata(IF, lookback=1, night_start=False)
    run(store, Script, store.getdata(CU), yesterday, script=script)
    assert done


def test_a_sizer_buys_what_can_be_paid_and_sells_what_is_held(sandbox, run):
    def script(strategy):
        broker = strategy.broker
        strategy.setsizer(MaxLots(share=0.5))
        available = broker.get_account()["available"]
        cost = broker.order_cost(CU, 1, strategy.data.close[0]).total
        order = strategy.buy()
        assert order.size == available * 0.5 // cost > 0
        yield order
        assert strategy.path(order)[-1] == "Completed"
        assert broker.get_account()["available"] >= available * 0.49
        assert strategy.sell().size == -strategy.position.size
        yield None
        yield None
        assert strategy.position.size == 0
        strategy.setsizer(MaxLots(most=2))
        assert strategy.buy().size == 2
        done.append(True)

    done = []
    play(sandbox(start=MORNING), run, script, CU)
    assert done


def test_a_trailing_stop_with_a_limit_keeps_their_distance(sandbox, run):
    def script(strategy):
        yield strategy.buy(size=1)
        last = strategy.data.close[0]
        order = strategy.sell(
            size=1, exectype=bt.Order.StopTrailLimit, price=last, plimit=last - 80, trailamount=60
        )
        apart = order.created.price - order.created.pricelimit
        for _ in range(300):
            yield None
            assert order.created.price - order.created.pricelimit == apart
            if not order.alive():
                break
        [leg] = order.legs
        assert leg.limit_price == order.created.pricelimit
        assert strategy.path(order)[-1] == "Completed"
        assert order.executed.price >= leg.limit_price
        done.append(True)

    done = []
    play(sandbox(start=MORNING), run, script, CU)
    assert done


def test_a_flatten_that_cannot_succeed_says_so(sandbox, run):
    def script(strategy):
        broker = strategy.broker
        yield broker.buy_open(CU, 2)
        broker.store.sandbox_server.fault("reject_order", count=1000)
        broker.flatten()
        for _ in range(10):
            yield None
        assert f"flatten: given up, still held: {CU}" in strategy.heard
        assert broker.get_account_position(CU)["pos_long"] == 2
        assert broker.risk_state == "REDUCING"
        done.append(len(exchange_orders(store)))

    done = []
    store = sandbox(start=MORNING)
    play(store, run, script, CU)
    assert done and done[0] < 40


@pytest.mark.parametrize("counter", ["kq", "ctp"])
def test_backtraders_observers_and_analyzers_see_what_the_exchange_did(sandbox, counter):
    def script(strategy):
        for size in (2, -3, 4, -5):  # the second and the fourth reverse
            yield strategy.buy(size=size) if size > 0 else strategy.sell(size=-size)
            yield None
            yield None
        yield strategy.close()
        yield strategy.sell(data=strategy.datas[1], size=3)
        yield None
        yield strategy.close(data=strategy.datas[1])
        yield None
        yield None

    store = sandbox(start=MORNING, counter=counter)
    cerebro = bt.Cerebro()  # with the default observers
    cerebro.setbroker(store.getbroker())
    for symbol in (CU, M):
        cerebro.adddata(store.getdata(symbol))
    cerebro.addobserver(bt.observers.DrawDown)
    cerebro.addanalyzer(bt.analyzers.TradeAnalyzer, _name="trades")
    cerebro.addanalyzer(bt.analyzers.Transactions, _name="transactions")
    cerebro.addanalyzer(
        bt.analyzers.TimeReturn, _name="returns", timeframe=bt.TimeFrame.NoTimeFrame
    )
    cerebro.addanalyzer(bt.analyzers.PyFolio, _name="pyfolio")
    cerebro.addstrategy(Script, script=script)
    [strategy] = cerebro.run()
    books = store.getbroker().balance()
    trades = strategy.analyzers.trades.get_analysis()
    assert trades.total.total == trades.total.closed == len(strategy.trades) == 5
    told = trades.pnl.gross.total - trades.pnl.net.total
    if counter == "kq":  # other counters' trades have estimated fees
        assert told == pytest.approx(books.fees, abs=0.005)
    assert 0.5 * books.fees < told < 1.5 * books.fees
    profit = books.equity - store.getbroker().startingcash
    assert trades.pnl.gross.total - books.fees == pytest.approx(profit, abs=0.005)
    [earned] = strategy.analyzers.returns.get_analysis().values()
    assert earned == pytest.approx(profit / store.getbroker().startingcash, abs=1e-6)
    [account] = store.sandbox_server.state()["accounts"].values()
    transactions = strategy.analyzers.transactions.get_analysis()
    lots = sum(abs(one[0]) for many in transactions.values() for one in many)
    assert lots == sum(trade["volume"] for trade in account["trades"].values())
    assert len(strategy.analyzers.pyfolio.get_pf_items()) == 4


def test_a_contract_that_rests_at_night_keeps_no_other_one_waiting(sandbox, run):
    """A contract without a night session has no bar before the morning."""

    def script(strategy):
        night, day = strategy.datas
        refused = strategy.buy(day, 1)
        yield refused
        assert strategy.path(refused) == ["Rejected"]
        entry = strategy.buy(night, 1)
        yield entry
        assert strategy.path(entry) == ["Submitted", "Accepted", "Completed"]
        yield strategy.close(night)
        assert [trade.data for trade in strategy.trades] == [night]
        assert not len(day)
        done.append(True)

    done = []
    store = sandbox(start="2026-11-10 21:00:00", days=2, ticks_per_pack=5)
    play(store, run, script, CU, IF)
    assert done
