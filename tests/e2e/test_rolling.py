"""Moves of a position to the next main contract, with faults of market, link and machine.

The sandbox's main contract of copper changes on 2026-11-04 from cu2612 to cu2701. Some lots are
bought on the day before and some in the night, so that yesterday's and today's are held.
"""

import datetime
import json
import logging
from collections import deque
from random import Random

import pytest
from e2e_script import Script
from sandbox_account import store_at
from warm_programs import run_main

from tianqin_backtrader import MyStore
from tianqin_backtrader.errors import OrderError
from tianqin_backtrader.rolling.roll_state import RollPhase
from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox

OLD, NEW = "SHFE.cu2612", "SHFE.cu2701"
EVE = "2026-11-03 14:50:00"
#: Number of steps of a program that is not killed.
STEPS = 64
STEPS_WITH_EXITS = 106
STEPS_AT_ONCE = 42  # with stops and targets, all lots in one slice
#: The paper account, and a futures company with this age of queries in seconds.
MARKETS = {
    "kq": {},
    "ctp 0.15": {"counter": "ctp", "query_seconds": 0.15},
    "ctp 2": {"counter": "ctp", "query_seconds": 2.0},
}


def both_days(strategy, side="long", yesterday=3, today=2):
    """Buy or sell lots on two trading days."""
    broker, store = strategy.broker, strategy.broker.store
    send = broker.buy_open if side == "long" else broker.sell_open
    day = store.calendar.trading_day_at(store.now())
    yield send(OLD, yesterday)
    while store.calendar.trading_day_at(store.now()) == day or not broker.takes_orders(OLD):
        yield None
    order = send(OLD, today)
    yield order
    assert order.getstatusname() == "Completed", order.info
    position = broker.get_account_position(OLD)
    assert (position[f"pos_{side}_his"], position[f"pos_{side}_today"]) == (yesterday, today)


def bars_until(there):
    while not there():
        yield None


def until_it_ends(roll):
    yield from bars_until(lambda: roll.done or roll.halted)
    yield None  # its end is notified in the next round


def check_exchange(server, lots, yesterday, *, side="long", slice_lots=1, targets=()):
    """Check by the exchange's log that after no trade too many or too few lots were held.

    Returns:
        The lots held at the end in the old and in the new contract.
    """
    [account] = server.state()["accounts"].values()
    held, full = {OLD: yesterday, NEW: 0}, yesterday == lots
    for trade in account["trades"].values():
        symbol = f"{trade['exchange_id']}.{trade['instrument_id']}"
        opens = trade["offset"] == "OPEN"
        assert (trade["direction"] == "BUY") == (opens == (side == "long"))
        held[symbol] += trade["volume"] if opens else -trade["volume"]
        full = full or sum(held.values()) == lots
        assert min(held.values()) >= 0
        assert sum(held.values()) <= lots
        assert not full or sum(held.values()) >= lots - slice_lots
    assert full
    other = "short" if side == "long" else "long"
    for symbol in (OLD, NEW):
        position = account["positions"].get(symbol, {})
        sides = {
            one: position.get(f"pos_{one}_today", 0) + position.get(f"pos_{one}_his", 0)
            for one in (side, other)
        }
        assert sides == {side: held[symbol], other: 0}
    alive = [order for order in account["orders"].values() if order["status"] == "ALIVE"]
    assert [(order["instrument_id"], order["volume_left"]) for order in alive] == [
        (NEW.partition(".")[2], lots) for lots in targets
    ]
    return held[OLD], held[NEW]


@pytest.mark.parametrize("side", ["long", pytest.param("short", marks=pytest.mark.slow)])
def test_yesterdays_and_todays_lots_are_moved_in_slices(sandbox, run, side):
    def script(strategy):
        store = strategy.broker.store
        yield from both_days(strategy, side)
        sign = 1 if side == "long" else -1
        strategy.broker.order_target_position(OLD, 5 * sign)  # dropped by the roll
        waits = strategy.broker.sell_close(OLD, 1, store.instrument(OLD).upper_limit)
        roll = store.roll(OLD, NEW, slice_lots=2)
        with pytest.raises(OrderError, match="is being rolled already"):
            store.roll(OLD, NEW)
        refused = strategy.broker.buy_open(NEW, 1)
        assert "is being rolled into" in refused.info.reason
        yield from until_it_ends(roll)
        assert waits.getstatusname() == ("Canceled" if side == "long" else "Rejected")
        report = roll.report()
        assert (report.phase, report.closed, report.opened) == (RollPhase.DONE, 5, 5)
        trades = store.tianqin.get_trade().values()
        ours = [trade for trade in trades if trade.order_id in roll.state.order_ids]
        assert report.fees == pytest.approx(sum(trade.commission for trade in ours))
        assert 0 < report.slippage < 5 * 2 * 5 * 200
        order = strategy.broker.buy_open(NEW, 1, 1000.0)  # its price is refused, not the roll
        assert "rolled" not in order.info.reason
        done.append(roll)

    done = []
    store = sandbox(start=EVE, days=2, ticks_per_pack=5)
    strategy = run(store, Script, store.getdata(OLD), script=script)
    assert check_exchange(store.sandbox_server, 5, 3, side=side, slice_lots=2) == (0, 5)
    assert str(done[0].report()) in strategy.heard


def test_nothing_is_closed_that_could_not_be_opened_again(sandbox, run):
    """While the broker is REDUCING no slice is begun, and none is left half done."""

    def script(strategy):
        broker, store = strategy.broker, strategy.broker.store
        yield broker.buy_open(OLD, 3)
        broker.risk.reduce("enough for today")
        with pytest.raises(OrderError, match=r"REDUCING .*enough for today"):
            store.roll(OLD, NEW)
        broker.resume()
        roll = store.roll(OLD, NEW)
        while roll.report().opened < 1:
            store.pump(0.1)
        broker.risk.reduce("a bad day")
        for _ in range(5):
            yield None
        assert (roll.phase, broker.risk_state) == (RollPhase.CHECKING, "REDUCING")
        held = [broker.get_account_position(symbol)["pos_long"] for symbol in (OLD, NEW)]
        assert held == [2, 1]
        broker.resume()
        yield from until_it_ends(roll)
        assert roll.done
        done.append(roll)

    done = []
    store = sandbox(start="2026-11-04 09:31:00", ticks_per_pack=5)
    strategy = run(store, Script, store.getdata(OLD), script=script)
    assert done
    told = [text for text in strategy.heard if "is not rolled further" in str(text)]
    assert len(told) == 1 and "a bad day" in told[0]


@pytest.mark.slow
def test_flatten_is_not_held_up_by_a_roll(sandbox, run):
    def script(strategy):
        store = strategy.broker.store
        yield from both_days(strategy)
        roll = store.roll(OLD, NEW)
        while roll.phase is not RollPhase.OPENING:
            store.pump(0.1)
        strategy.broker.flatten()
        while strategy.broker.get_account_positions():
            yield None
        yield from bars_until(lambda: roll.state.ended)
        report = roll.report()
        assert report.opened + report.exited + report.given_up == 5 and report.opened < 5
        done.append(roll)

    done = []
    store = sandbox(start=EVE, days=2, ticks_per_pack=5)
    run(store, Script, store.getdata(OLD), script=script)
    assert done


def test_thin_books_rejects_and_drops(sandbox, run):
    """Forty lots, and a book with few lots per price; orders are refused, connections are lost."""

    def script(strategy):
        store = strategy.broker.store
        server = store.sandbox_server
        yield from both_days(strategy, "long", 25, 15)
        roll = store.roll(OLD, NEW, slice_lots=10, max_slippage=300.0)
        harms = [
            lambda: server.fault("reject_order", count=2),
            lambda: server.fault("drop", conn="td"),
            lambda: server.fault("drop", conn="all"),
            lambda: server.fault("cancel_away"),
        ]
        moved = 0
        while not (roll.done or roll.halted):
            if len(roll.state.order_ids) > moved and harms:
                moved = len(roll.state.order_ids)
                harms.pop(0)()
            store.pump(0.1)
        assert roll.done, roll.report()
        assert not harms
        done.append(roll.report())

    done = []
    store = sandbox(start=EVE, days=2, ticks_per_pack=5, balance=1e8)
    run(store, Script, store.getdata(OLD), store.getdata(NEW), script=script)
    assert check_exchange(store.sandbox_server, 40, 25, slice_lots=10) == (0, 40)
    assert done[0].orders > 4


def test_a_price_that_runs_away_ends_in_an_alarm_and_can_be_resumed(sandbox, run, caplog):
    """The new contract goes to its limit while a slice is half done."""

    def script(strategy):
        store = strategy.broker.store
        yield from both_days(strategy)
        roll = store.roll(OLD, NEW, slice_lots=2, patience=120.0, max_slippage=50.0)
        while roll.phase is not RollPhase.OPENING:
            store.pump(0.1)
        store.sandbox_server.fault("limit_up", symbol=NEW, seconds=600)
        yield from until_it_ends(roll)
        assert roll.halted
        assert strategy.broker.risk_state == "ACTIVE"  # other contracts still trade
        assert any(
            "HALTED" in record.message
            for record in caplog.records
            if record.levelno == logging.ERROR
        )
        refused = strategy.broker.buy_open(OLD, 1)
        assert refused.getstatusname() == "Rejected"
        assert "HALTED" in refused.info.reason
        for _ in range(12):
            yield None
        assert any("HALTED" in str(message) for message in strategy.heard)
        while not store.broker.takes_orders(NEW):
            yield None
        roll.resume()
        yield from until_it_ends(roll)
        assert roll.done, roll.report()
        done.append(True)

    done = []
    store = sandbox(start=EVE, days=2, ticks_per_pack=5)
    run(store, Script, store.getdata(OLD), script=script)
    assert done
    assert check_exchange(store.sandbox_server, 5, 3, slice_lots=2) == (0, 5)


@pytest.mark.slow
def test_half_a_slice_over_the_night_is_told_and_finished_once(sandbox, run):
    """The new contract is at its limit until the day ends, with two lots closed."""

    def script(strategy):
        store = strategy.broker.store
        yield store.broker.buy_open(OLD, 5)
        roll = store.roll(OLD, NEW, slice_lots=2, patience=7200.0)
        while roll.phase is not RollPhase.OPENING:
            store.pump(0.1)
        store.sandbox_server.fault("limit_up", symbol=NEW)
        day = store.calendar.trading_day_at(store.now())
        while store.calendar.trading_day_at(store.now()) == day:
            assert roll.phase is RollPhase.OPENING
            yield None
        yield from until_it_ends(roll)
        [told] = [text for text in strategy.heard if "half done" in str(text)]
        assert "OPENING, closed 2" in told
        assert roll.done, roll.report()
        done.append(roll)

    done = []
    store = sandbox(start="2026-11-04 14:40:00", days=2, ticks_per_pack=5)
    run(store, Script, store.getdata(OLD), store.getdata(NEW), script=script)
    [roll] = done
    assert roll.report().opened == roll.report().closed == 5
    [account] = store.sandbox_server.state()["accounts"].values()
    held = {symbol: one["pos_long_today"] + one["pos_long_his"]
            for symbol, one in account["positions"].items()}  # fmt: skip
    assert {symbol: lots for symbol, lots in held.items() if lots} == {NEW: 5}


@pytest.mark.slow
def test_an_alarm_outlives_its_program(run, caplog):
    def halts(strategy):
        store = strategy.broker.store
        yield from both_days(strategy)
        roll = store.roll(OLD, NEW, patience=60.0)
        while roll.phase is not RollPhase.OPENING:
            store.pump(0.1)
        server.fault("limit_up", symbol=NEW, seconds=300)
        yield from until_it_ends(roll)
        assert roll.halted

    def goes_on(strategy):
        [roll] = strategy.broker.store.rolls.rolls
        yield None
        refused = strategy.broker.buy_open(OLD, 1)
        assert "HALTED" in refused.info.reason
        yield from bars_until(lambda: strategy.data.datetime.time(0) >= datetime.time(21, 12))
        roll.resume()
        yield from until_it_ends(roll)
        assert roll.done, roll.report()

    with EmbeddedSandbox(seed=1, start=EVE, days=2, ticks_per_pack=5) as server:
        with MyStore("sandbox", "sandbox", urls=server.urls) as store:
            run(store, Script, store.getdata(OLD), script=halts)
        caplog.clear()
        with MyStore("sandbox", "sandbox", urls=server.urls) as store:
            broker = store.getbroker()
            [roll] = store.rolls.rolls
            assert roll.halted and "others were not" in roll.report().reason
            assert broker.risk_state == "ACTIVE"
            assert any(record.levelno == logging.ERROR for record in caplog.records)
            strategy = run(store, Script, store.getdata(OLD), script=goes_on)
            assert any("HALTED" in str(message) for message in strategy.heard)
        assert check_exchange(server, 5, 3) == (0, 5)


def test_a_trade_of_somebody_else_ends_in_an_alarm(sandbox, run):
    def script(strategy):
        store = strategy.broker.store
        yield from both_days(strategy)
        roll = store.roll(OLD, NEW)
        while roll.phase is not RollPhase.OPENING:
            store.pump(0.1)
        past_us = store.tianqin.insert_order(
            OLD, "SELL", "CLOSE", 1, store.instrument(OLD).lower_limit
        )
        yield from until_it_ends(roll)
        assert roll.halted
        assert past_us.volume_left == 0
        assert "somebody else" in roll.report().reason or "by the fills" in roll.report().reason
        assert strategy.broker.risk_state == "ACTIVE"
        refused = strategy.broker.buy_open(NEW, 1, 1000.0)
        assert "HALTED" in refused.info.reason
        roll.drop()
        order = strategy.broker.buy_open(NEW, 1, 1000.0)  # refused only for its price
        assert "HALTED" not in order.info.reason
        done.append(True)

    done = []
    store = sandbox(start=EVE, days=2, ticks_per_pack=5)
    run(store, Script, store.getdata(OLD), script=script)
    assert done


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"new": OLD}, "not two contracts of one product"),
        ({"new": "SHFE.rb2701"}, "not two contracts of one product"),
        ({"lots": 9}, "9 lots long of SHFE.cu2612 are to be moved, but 1 are held"),
        ({"lots": 0}, "positive whole number"),
        ({"slice_lots": 0}, "positive whole number"),
        ({"side": "both"}, "side is"),
        ({"side": "short"}, "positive whole number"),
        ({"patience": 0}, "patience above 0"),
        ({"old": "SHFE.cu2702"}, "holds nothing of SHFE.cu2702"),
    ],
)
def test_what_cannot_be_rolled_is_said_before_anything_is_sent(held_lot, options, words):
    with pytest.raises(OrderError, match=words):
        held_lot.roll(**{"old": OLD, "new": NEW} | options)
    [account] = held_lot.sandbox_server.state()["accounts"].values()
    assert len(account["orders"]) == 1


@pytest.fixture(scope="module")
def held_lot():
    with MyStore.sandbox(start="2026-11-04 09:31:00") as store:
        broker = store.getbroker()
        broker.start()
        store.tianqin.get_quote(OLD)
        order = broker.buy_open(OLD, 1)
        while order.alive():
            store.pump(1.0)
        yield store


# -- a program that is killed -----------------------------------------------------------------


def prepared(run, yesterday=3, today=2, **options):
    """Make an exchange, and a position there."""
    server = EmbeddedSandbox(seed=1, start=EVE, days=2, ticks_per_pack=5, balance=1e8, **options)

    def script(strategy):
        yield from both_days(strategy, "long", yesterday, today)

    with store_at(server.urls, server.counter) as store:
        run(store, Script, store.getdata(OLD), script=script)
    return server


def program(server, options, last):
    """Run the program; return its output, None if it was killed."""
    done = run_main("rolling_program", server.urls, server.counter, options, last)
    if done.returncode < 0:
        return None
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def rolled_after(run, kills, lots=(3, 2), harms=(), market=None, **options):
    """Run the program until it ends; kill it at these steps, with a fault before each run."""
    with prepared(run, *lots, **(market or {})) as server:
        harms = deque(harms)
        for last in kills:
            if harms:
                name, parameters = harms.popleft()
                server.fault(name, **parameters)
            told = program(server, options, last)
            if told is not None:
                break
        else:
            told = program(server, options, 0)
        targets = [sum(lots)] if options.get("exits") and told["ending"] == "done" else ()
        held = check_exchange(
            server, sum(lots), lots[0], slice_lots=options["slice_lots"], targets=targets
        )
        if told["ending"] == "done":
            assert held == (0, sum(lots))
        else:
            assert told["heard"]
        return told


@pytest.mark.timeout(200)
def test_a_killed_program_goes_on_where_it_was(run):
    told = rolled_after(run, [11], slice_lots=3)
    assert told["ending"] == "done"
    [[closed, opened, fees]] = told["cost"]
    assert (closed, opened) == (5, 5)
    assert fees > 0


def check_exits(told):
    """Check that one stop and one target cover the lots, and that no lot ever lacked a stop."""
    assert told["ending"] == "done"
    assert told["exits"] == [[NEW, "Limit", 5], [NEW, "Stop", 5]]
    assert told["bare"] == 0


@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    "kills",
    [
        pytest.param([0], marks=pytest.mark.slow),
        [14],
        pytest.param([21, 16, 19], marks=pytest.mark.slow),
    ],
)
def test_stops_and_targets_of_a_killed_program_are_rolled_by_the_next_one(run, kills):
    check_exits(rolled_after(run, kills, slice_lots=2, exits=True))


@pytest.mark.timeout(200)
@pytest.mark.parametrize("last", [21, 25])
def test_a_program_that_is_killed_with_all_lots_between_the_contracts_loses_no_exit(run, last):
    check_exits(rolled_after(run, [last], slice_lots=5, exits=True))


@pytest.mark.timeout(200)
def test_a_roll_goes_on_when_the_gateway_has_forgotten_whose_its_orders_are(run):
    """Each run of the program finds its orders and trades under the gateway's own ids."""
    harms = [("forget_order_ids", {})] * 2
    market = {"counter": "ctp"}
    check_exits(rolled_after(run, [12, 19], harms=harms, market=market, slice_lots=2, exits=True))


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("last", range(1, STEPS_AT_ONCE + 1))
@pytest.mark.parametrize("market", MARKETS)
def test_killed_at_every_step_with_all_lots_in_one_slice(run, market, last):
    check_exits(rolled_after(run, [last], market=MARKETS[market], slice_lots=5, exits=True))


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("last", range(1, STEPS_WITH_EXITS + 1))
@pytest.mark.parametrize("market", MARKETS)
def test_killed_at_every_step_with_stops_and_targets(run, market, last):
    check_exits(rolled_after(run, [last], market=MARKETS[market], slice_lots=2, exits=True))


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("last", range(1, STEPS + 1))
@pytest.mark.parametrize("market", MARKETS)
def test_killed_at_every_step(run, market, last):
    told = rolled_after(run, [last], market=MARKETS[market], slice_lots=2)
    assert told["ending"] == "done"


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", range(10))
def test_killed_again_and_again_in_a_thin_market_with_faults(run, seed):
    """Forty lots; before each run the exchange has a fault: refused orders, or lost connections."""
    rnd = Random(seed)
    harms = [
        ("reject_order", {"count": rnd.randint(1, 4)}),
        ("refuse", {"conn": "td", "attempts": 1}),
        ("reject_order", {"count": 2}),
        ("delay", {"conn": "td", "seconds": 0.3}),
        ("limit_up", {"symbol": rnd.choice([OLD, NEW]), "seconds": 60}),
        ("reject_order", {"count": 1}),
    ]
    rnd.shuffle(harms)
    told = rolled_after(run, [rnd.randint(3, 40) for _ in range(8)], (25, 15), harms, slice_lots=15)
    assert told["ending"] in ("done", "halted")
