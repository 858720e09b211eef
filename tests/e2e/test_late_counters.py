"""Counters that report late, by a message only, or not at all."""

import backtrader as bt
import pytest
from e2e_script import CU, MORNING, Script, exchange_orders, play
from sandbox_account import store_at

from tianqin_backtrader import RiskLimits
from tianqin_backtrader.core.clock import monotonic
from tianqin_backtrader.execution import order_manager
from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox

COUNTER = "ctp"


def ticks(count):
    for _ in range(count):
        yield None


def until(store, true):
    patience = monotonic() + 30
    while not true() and monotonic() < patience:
        store.pump(0.05)
    assert true()


def hold_three(program, records):
    """Run a program that buys three lots, and ends."""
    with program() as store:
        broker = store.getbroker(records=records)
        quote = store.tianqin.get_quote(CU)
        until(store, lambda: quote.last_price == quote.last_price)
        broker.start()
        order = broker.buy_open(CU, 3)
        until(store, lambda: not order.alive())
        while broker.get_notification():
            pass


@pytest.mark.parametrize("symbol", [CU, "DCE.m2701"])
@pytest.mark.parametrize("query_seconds", [0.15, 2.0])
def test_an_exit_follows_its_entry_at_once_however_old_the_queries_are(
    sandbox, run, symbol, query_seconds
):
    """The counter's positions lag: lots are missing at first, and shown when they are closed."""

    def script(strategy):
        for _ in range(3):
            entry = strategy.buy(size=4)
            yield entry
            target = strategy.sell(
                size=4, exectype=bt.Order.Limit, price=strategy.data.close[0] * 1.02
            )
            yield None
            strategy.cancel(target)
            yield strategy.close()
            assert strategy.position.size == 0
            yield strategy.sell(size=2)
            yield strategy.close()
        done.append(True)

    done = []
    store = sandbox(start=MORNING, query_seconds=query_seconds, speed=None)
    play(store, run, script, symbol)
    assert done
    orders = exchange_orders(store).values()
    assert sum(one["volume_orign"] for one in orders if one["offset"] == "OPEN") == 18
    [account] = store.sandbox_server.state()["accounts"].values()
    assert account["positions"].get(symbol, {}).get("pos_short_today", 0) == 0


def test_a_refusal_that_is_a_message_only_is_the_orders_reason(sandbox, run):
    def script(strategy):
        server, link = strategy.broker.store.sandbox_server, strategy.broker.store.reconnector
        sessions = link.sessions
        server.fault("refuse_by_notice", count=1)
        order = strategy.buy(size=1)
        patience = monotonic() + 20
        while order.alive() and monotonic() < patience:
            strategy.broker.store.pump(0.05)
        yield None
        assert strategy.path(order) == ["Submitted", "Rejected"]
        assert "当前时间不支持下单" in order.info.reason
        assert link.sessions == sessions
        done.append(True)

    done = []
    play(sandbox(start=MORNING), run, script, CU)
    assert done


def test_a_stop_that_is_refused_by_a_message_only_is_sent_again(sandbox, run):
    def script(strategy):
        store = strategy.broker.store
        yield strategy.buy(size=2)
        store.sandbox_server.fault("refuse_by_notice", count=1)
        stop = strategy.sell(size=2, exectype=bt.Order.Stop, price=strategy.data.close[0] + 50)
        patience = monotonic() + 30
        while stop.alive() and monotonic() < patience:
            store.pump(0.05)
        yield None
        assert strategy.path(stop)[-1] == "Completed"
        done.append(True)

    done = []
    play(sandbox(start=MORNING), run, script, CU)
    assert done


def test_a_cancel_without_an_answer_is_a_sign_of_a_dead_link(sandbox, run):
    """The connection is open but dead; tqsdk would detect that after 40 s."""

    def script(strategy):
        store = strategy.broker.store
        order = strategy.buy(size=1, exectype=bt.Order.Limit, price=strategy.data.close[0] * 0.98)
        yield from ticks(2)
        sessions, began = store.reconnector.sessions, monotonic()
        store.sandbox_server.fault("freeze", conn="td")
        strategy.cancel(order)
        while order.alive() and monotonic() < began + 30:
            store.pump(0.05)
        yield None
        assert strategy.path(order)[-1] == "Canceled"
        assert store.reconnector.sessions == sessions + 1
        assert monotonic() < began + 20
        done.append(True)

    done = []
    store = sandbox(start=MORNING, speed=5.0)  # the market is still open when the link is doubted
    run(store, Script, store.get_tick_data(CU), script=script)
    assert done


@pytest.mark.parametrize("records", [True, False])
@pytest.mark.parametrize("counter", ["kq", "ctp"])
def test_positions_that_come_late_at_a_start_are_known_in_the_end(tmp_path, counter, records):
    with EmbeddedSandbox(start=MORNING, counter=counter) as box:

        def program():
            return store_at(box.urls, counter, strategy_name="one")

        hold_three(program, tmp_path if records else False)
        box.fault("late_positions", seconds=2.0)
        with program() as store:
            store.tianqin.get_quote(CU)
            broker = store.getbroker(records=tmp_path if records else False)
            broker.start()
            until(store, lambda: broker.getposition(CU).size == 3)
            assert broker.risk_state == "ACTIVE"
            order = broker.sell_close(CU, 3)
            until(store, lambda: not order.alive())
            assert order.status == bt.Order.Completed


@pytest.mark.parametrize("counter", ["kq", "ctp"])
def test_lots_that_come_late_at_a_first_start_are_on_record_for_the_next(tmp_path, counter):
    with EmbeddedSandbox(start=MORNING, days=2, counter=counter) as box:

        def program():
            return store_at(box.urls, counter, strategy_name="one")

        hold_three(program, False)
        box.advance(to="2026-11-11 09:31:00")  # the counter does not list trades of the day before
        box.fault("late_positions", seconds=2.0)
        for _ in range(2):
            with program() as store:
                broker = store.getbroker(records=tmp_path)
                broker.start()
                until(store, lambda broker=broker: broker.getposition(CU).size == 3)
                assert broker.risk_state == "ACTIVE"


def test_the_books_begin_with_what_the_account_is_worth_when_its_positions_come(tmp_path):
    """The market continues while the program waits for the positions."""
    with EmbeddedSandbox(start=MORNING, counter="kq") as box:

        def program():
            return store_at(box.urls, "kq", strategy_name="one")

        hold_three(program, tmp_path)
        box.fault("late_positions", seconds=2.0)
        with program() as store:
            broker = store.getbroker(records=tmp_path)
            broker.getvalue = lambda: 1e6 + 500.0 * len(broker.get_account_positions())
            broker.start()
            assert broker.getposition(CU).size == 3
            assert broker.balance().start == broker.startingcash == 1e6 + 500.0


@pytest.mark.parametrize("fires", [False, True], ids=["waits", "fires"])
@pytest.mark.parametrize("counter", ["kq", "ctp"])
def test_lots_that_come_late_after_a_second_login_keep_their_stop(sandbox, run, counter, fires):
    """The account shows no lots for a minute; they are known from the fills."""

    def script(strategy):
        broker, link = strategy.broker, store.reconnector
        yield strategy.buy(size=3)
        price = strategy.data.close[0] + (500 if fires else -3000)
        sessions = link.sessions
        store.sandbox_server.fault("late_positions", seconds=60.0)
        store.sandbox_server.fault("drop", conn="td")
        until(store, lambda: link.sessions > sessions and store.trading_up)
        assert broker.get_account_position(CU) == {}
        stop = strategy.sell(size=3, exectype=bt.Order.Stop, price=price)
        while broker.get_account_position(CU) == {}:
            assert stop.alive() and strategy.position.size == 3
            store.pump(0.05)
        until(store, lambda: stop.alive() is not fires)
        yield from ticks(2)
        assert broker.risk_state == "ACTIVE"
        assert strategy.position.size == (0 if fires else 3)
        assert not any("no protection" in str(word) for word in strategy.heard)
        done.append(True)

    done = []
    store = sandbox(start=MORNING, counter=counter, speed=20.0)
    run(store, Script, store.get_tick_data(CU), script=script)
    assert done


def test_a_cancel_that_the_noon_break_refuses_is_repeated_at_the_open(sandbox, monkeypatch, caplog):
    monkeypatch.setattr(order_manager, "CANCEL_AGAIN", 0.2)
    store = sandbox(start="2026-11-10 11:29:30", ticks_per_pack=2)
    broker = store.getbroker(risk=RiskLimits(cancels_per_day=2))
    quote = store.tianqin.get_quote(CU)
    until(store, lambda: quote.last_price == quote.last_price)
    broker.start()
    order = broker.buy_open(CU, 1, quote.lower_limit)
    until(store, lambda: order.status == bt.Order.Accepted)
    until(store, lambda: f"{store.now():%H:%M:%S}" > "11:30:00")
    broker.cancel(order)
    with caplog.at_level("INFO"):
        until(store, lambda: not order.alive())
    assert f"{store.now():%H:%M}" >= "13:30" and order.status == bt.Order.Canceled
    assert sum("撤单失败" in one for one in caplog.messages) == 1
    assert broker.buy_open(CU, 1).status != bt.Order.Rejected
