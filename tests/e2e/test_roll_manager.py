"""``RollManager`` over the change of copper's main contract, and before a delivery month."""

import datetime
import logging

import backtrader as bt
import pytest
from e2e_script import Script, exchange_orders

from tianqin_backtrader import RollManager
from tianqin_backtrader.errors import ConfigError, UnknownSymbol
from tianqin_backtrader.rolling.roll_state import RollPhase

MAIN, OLD, NEW = "KQ.m@SHFE.cu", "SHFE.cu2612", "SHFE.cu2701"
EVE = "2026-11-03 14:50:00"


class Telling(Script):
    """Keeps the keywords of notifications, too."""

    def __init__(self):
        super().__init__()
        self.words = []

    def notify_store(self, msg, *args, **kwargs):
        super().notify_store(msg, *args, **kwargs)
        self.words.append(kwargs)


def held(broker, symbol):
    position = broker.get_account_position(symbol)
    return position.get("pos_long", 0), position.get("pos_short", 0)


def test_both_sides_follow_the_main_contract_of_the_day(sandbox, run):
    def script(strategy):
        broker, store = strategy.broker, strategy.broker.store
        yield broker.buy_open(MAIN, 3)
        yield broker.sell_open(MAIN, 1)
        assert (held(broker, OLD), held(broker, NEW)) == ((3, 1), (0, 0))
        assert manager.rolls == []
        while strategy.data.datetime.datetime(0) < datetime.datetime(2026, 11, 3, 21, 10):
            assert store.calendar.trading_day_at(store.now()).day == 4 or not manager.rolls
            yield None
        assert (held(broker, OLD), held(broker, NEW)) == ((0, 0), (3, 1))
        done.append(True)

    done = []
    store = sandbox(start=EVE, days=2, ticks_per_pack=5)
    manager = RollManager(store, MAIN, slice_lots=2)
    strategy = run(store, Telling, store.getdata(MAIN), script=script)
    assert done
    assert [(roll.phase, roll.state.plan.side) for roll in manager.rolls] == [
        (RollPhase.DONE, "long"), (RollPhase.DONE, "short"),
    ]  # fmt: skip
    told = [words["roll"] for words in strategy.words if "roll" in words]
    assert told == manager.rolls
    assert strategy.position.size == 2


def test_a_main_contract_that_becomes_known_behind_the_open_is_followed_the_same_day(sandbox, run):
    """The underlying is queried at the open, and the manager may run before the answer."""

    def script(strategy):
        broker = strategy.broker
        while strategy.data.history_phase:
            yield None
        yield broker.buy_open(OLD, 2)
        while strategy.data.datetime.datetime(0) < datetime.datetime(2026, 11, 3, 21, 10):
            yield None
        assert (held(broker, OLD), held(broker, NEW)) == ((0, 0), (2, 0))
        done.append(True)

    done = []
    store = sandbox(start=EVE, days=2, ticks_per_pack=5)
    manager = RollManager(store, MAIN)
    ask, questions = store.gateway.queries.ask_instruments, []

    def answered_late(symbols):
        """Query, but return the answer two minutes of market time later."""
        answer, day = ask(symbols), store.calendar.trading_day_at(store.now())
        questions.append(day)
        due = datetime.datetime(2026, 11, 3, 21, 2)
        return lambda: answer() if day.day == 3 or store.now() > due else None

    store.gateway.queries.ask_instruments = answered_late
    run(store, Telling, store.getdata(MAIN, lookback=5, adjust="back"), script=script)
    assert done and datetime.date(2026, 11, 4) in questions
    assert [roll.phase for roll in manager.rolls] == [RollPhase.DONE]


def test_what_could_not_be_rolled_while_halted_is_rolled_after_resume(sandbox, run):
    def script(strategy):
        broker = strategy.broker
        yield broker.buy_open(OLD, 2)
        broker.halt("look at it")
        while strategy.data.datetime.datetime(0) < datetime.datetime(2026, 11, 3, 21, 5):
            yield None
        told = [str(one) for one in strategy.heard if "cannot be rolled" in str(one)]
        assert len(told) == 1 and "broker.resume() first" in told[0]
        broker.resume()
        while strategy.data.datetime.datetime(0) < datetime.datetime(2026, 11, 3, 21, 15):
            yield None
        assert (held(broker, OLD), held(broker, NEW)) == ((0, 0), (2, 0))
        done.append(True)

    done = []
    store = sandbox(start=EVE, days=2, ticks_per_pack=5)
    RollManager(store, MAIN)
    run(store, Telling, store.getdata(OLD), script=script)
    assert done


def test_a_contract_is_left_days_before_its_delivery_month(sandbox, run, caplog):
    """An individual may hold cu2612 until 2026-11-30; five trading days before that is the 23rd."""

    def script(strategy):
        broker, store = strategy.broker, strategy.broker.store
        yield broker.buy_open(OLD, 2)
        for _ in range(3):
            yield None
        assert manager.decisions[OLD].days_left == 6
        assert manager.rolls == []
        [warning] = [words["warning"] for words in strategy.words if "warning" in words]
        assert "until 2026-11-30, 6 trading days from now" in warning.reason
        while not (manager.rolls and manager.rolls[0].done):
            yield None
        assert store.calendar.trading_day_at(store.now()) == datetime.date(2026, 11, 23)
        assert (held(broker, OLD), held(broker, NEW)) == ((0, 0), (2, 0))
        done.append(True)

    done = []
    store = sandbox(start="2026-11-20 14:50:00", days=2, ticks_per_pack=5)
    manager = RollManager(store, MAIN, trigger="days", days_before=5)
    run(store, Telling, store.getdata(OLD), script=script)
    assert done
    warned = [record for record in caplog.records if "may be held by" in record.message]
    assert {record.levelno for record in warned} == {logging.WARNING}


def test_a_dry_run_sends_nothing_and_says_what_it_would_cost(sandbox, run):
    def script(strategy):
        yield strategy.broker.buy_open(OLD, 2)
        while not manager.estimates:
            yield None
        yield None
        done.append(True)

    done = []
    store = sandbox(start="2026-11-04 09:31:00", ticks_per_pack=5)
    manager = RollManager(store, MAIN, dry_run=True)
    strategy = run(store, Telling, store.getdata(OLD), script=script)
    assert done
    [estimate] = manager.estimates
    assert (estimate.old, estimate.new, estimate.lots, estimate.orders) == (OLD, NEW, 2, 0)
    assert estimate.cost == estimate.slippage + estimate.fees
    assert estimate.fees > 0 and estimate.slippage > 0
    assert len(exchange_orders(store)) == 1  # the entry
    assert any("dry run" in str(message) for message in strategy.heard)
    assert not list(store.rolls.folder.glob("roll_*"))


@pytest.mark.slow
def test_open_interest_and_volume_decide_without_tianqins_main(sandbox, run):
    """In the sandbox both change with the main contract."""

    def script(strategy):
        yield strategy.broker.buy_open(OLD, 1)
        while not (manager.rolls and manager.rolls[0].done):
            assert strategy.data.datetime.datetime(0) < datetime.datetime(2026, 11, 10, 10, 30)
            yield None
        done.append(manager.decisions)

    done = []
    store = sandbox(start="2026-11-10 09:31:00", ticks_per_pack=5)
    manager = RollManager(store, MAIN, trigger="interest")
    run(store, Telling, store.getdata(OLD), script=script)
    assert done
    assert manager.rolls[0].contracts == (OLD, NEW)


def test_wrong_parameters_are_said_at_once(sandbox):
    store = sandbox()
    for main, options, error, words in (
        ("SHFE.cu2612", {}, ConfigError, "is not a main contract"),
        (MAIN, {"trigger": "moon"}, ConfigError, "trigger must be main, interest, days"),
        (MAIN, {"days_before": -1}, ConfigError, "days_before"),
        ("KQ.m@SHFE.zz", {}, UnknownSymbol, "KQ.m@SHFE.zz"),
    ):
        with pytest.raises(error, match=words):
            RollManager(store, main, **options)
    assert store.keepers == []


def test_what_is_in_the_way_is_told_once_and_the_roll_begins_when_it_is_gone(
    sandbox, run, monkeypatch
):
    """A stop that closes two lots and opens three: it cannot be divided."""
    monkeypatch.setattr("tianqin_backtrader.rolling.roll_manager.ASK_AGAIN", 0.2)

    def script(strategy):
        broker, data = strategy.broker, strategy.data
        yield broker.buy_open(OLD, 2)
        reverses = strategy.sell(size=5, exectype=bt.Order.Stop, price=data.close[0] - 3000)
        while data.datetime.datetime(0) < datetime.datetime(2026, 11, 3, 21, 12):
            yield None
        assert reverses.alive() and not manager.rolls
        told = [str(one) for one in strategy.heard if "cannot be rolled" in str(one)]
        assert len(told) == 1 and "closes 2 lots and then opens 3" in told[0]
        strategy.cancel(reverses)
        strategy.sell(size=2, exectype=bt.Order.Stop, price=data.close[0] - 3000)
        while not (manager.rolls and manager.rolls[0].done):
            assert data.datetime.datetime(0) < datetime.datetime(2026, 11, 3, 23, 0)
            yield None
        [stop] = [one for one in broker.get_orders_open() if one.exectype == bt.Order.Stop]
        assert (stop.ticket.symbol, stop.ticket.left) == (NEW, 2)
        done.append(True)

    done = []
    store = sandbox(start=EVE, days=2, ticks_per_pack=5)
    manager = RollManager(store, MAIN)
    run(store, Telling, store.getdata(OLD), script=script)
    assert done
