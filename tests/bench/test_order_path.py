"""What an order costs: from ``self.buy()`` to the wire, and the loop with 1000 working orders.

Run with ``python -m pytest -m bench -s tests/bench/test_order_path.py``.
"""

import statistics
import time

import backtrader as bt
import pytest
from e2e_script import CU, MORNING, play

from tianqin_backtrader import MyStore
from tianqin_backtrader.execution.write_ahead import WriteAheadLog

ORDERS = 200


def milliseconds(call, count=ORDERS):
    """Median time of a call."""
    times = []
    for _ in range(count):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


@pytest.mark.bench
@pytest.mark.parametrize("recorded", [False, True], ids=["without records", "with records"])
def test_an_order_of_ours_against_a_bare_one(run, tmp_path, recorded):
    """At most half a millisecond above tqsdk's own ``insert_order``."""
    found = {}

    def script(strategy):
        store, data = strategy.broker.store, strategy.data
        yield None
        price = data.close[0] - 1000
        api = store.tianqin

        calls = {
            "bare": lambda: api.insert_order(CU, "BUY", "OPEN", 1, price),
            "self.buy": lambda: strategy.buy(size=1, exectype=bt.Order.Limit, price=price),
            "buy_open": lambda: strategy.broker.buy_open(CU, 1, price),
        }
        times = {name: [] for name in calls}
        for number in range(ORDERS):
            # What is handed to the client leaves with the next wait, whoever has handed it over.
            for name, call in calls.items():
                began = time.perf_counter()
                call()
                times[name].append((time.perf_counter() - began) * 1000)
            if number % 10 == 9:
                store.gateway.pump(0.01)
        found.update({name: statistics.median(each) for name, each in times.items()})

    with MyStore.sandbox(start=MORNING, balance=1e9) as store:
        store.getbroker(records=tmp_path if recorded else False)
        play(store, run, script, CU)
    print({name: f"{value:.3f} ms" for name, value in found.items()})
    assert found["self.buy"] - found["bare"] <= 0.5
    assert found["buy_open"] - found["bare"] <= 0.5


@pytest.mark.bench
def test_what_the_records_of_a_whole_order_cost(run, tmp_path, monkeypatch):
    """Everything written of an order, from its intent to the strategy having heard its end."""
    written, costs = [], []
    write = WriteAheadLog._write

    def timed(scribe, journal):
        began = time.perf_counter()
        write(scribe, journal)
        written.append((time.perf_counter() - began) * 1000)

    monkeypatch.setattr(WriteAheadLog, "_write", timed)

    def script(strategy):
        yield None
        for number in range(100):
            side = strategy.buy if number % 2 == 0 else strategy.sell
            written.clear()
            order = side(size=1)
            yield order
            costs.append((sum(written), len(written)))

    with MyStore.sandbox(start=MORNING, balance=1e9) as store:
        store.getbroker(records=tmp_path)
        play(store, run, script, CU)
    times = [cost for cost, _ in costs]
    print(f"an order on record: median {statistics.median(times):.3f} ms, least {min(times):.3f}, "
          f"{statistics.median(count for _, count in costs):.0f} transactions")  # fmt: skip


@pytest.mark.bench
def test_a_thousand_working_orders_and_the_loop(run):
    """They slow a round of the loop by at most a half."""
    rounds = {}

    def script(strategy):
        store, data = strategy.broker.store, strategy.data
        yield None
        price = data.close[0] - 1000

        def measure(name):
            rounds[name] = milliseconds(lambda: store.pump(0.05), 600)

        measure("none")
        for number in range(1000):
            strategy.broker.buy_open(CU, 1, price - 10 * (number % 50))
        for _ in range(200):
            store.pump(0.05)
        assert sum(order.alive() for order in strategy.broker.get_all_orders()) == 1000
        measure("working")
        strategy.broker.cancel_all()
        for _ in range(200):
            store.pump(0.05)
        last = data.close[0]
        for number in range(1000):
            far = last - 2000 - number
            strategy.sell(size=1, exectype=bt.Order.Stop, price=far)
        measure("held")

    with MyStore.sandbox(start=MORNING, balance=1e9) as store:
        play(store, run, script, CU)
    print({name: f"{value:.3f} ms" for name, value in rounds.items()})
    assert rounds["working"] <= 1.5 * rounds["none"]
    assert rounds["held"] <= 1.5 * rounds["none"]
