"""Observers are notified even if the run has no further round."""

import backtrader as bt
from e2e_script import CU, MORNING, play

from tianqin_backtrader.monitoring.observers import Observer


class Heard(Observer):
    """Keeps notifications of orders and of lots without protection."""

    def __init__(self):
        self.orders, self.lots = [], []

    def order(self, order):
        self.orders.append(order.getstatusname())

    def exposed(self, symbol, lots, text):
        self.lots.append((symbol, lots))


def test_an_order_that_is_refused_in_the_last_moment_of_a_run_is_observed(sandbox, run):
    def script(strategy):
        yield None
        strategy.buy(size=1.5)  # and the run ends

    store, heard = sandbox(start=MORNING), Heard()
    store.observers.add(heard)
    play(store, run, script, CU)
    assert heard.orders == ["Rejected"]


def test_lots_that_lose_their_stop_by_the_owners_button_are_observed_at_once(sandbox, run):
    def script(strategy):
        yield strategy.buy(size=2)
        strategy.sell(size=2, exectype=bt.Order.Stop, price=60000.0)
        yield None
        strategy.broker.halt()
        told.extend(heard.lots)  # the alert does not wait for the end of next()

    told, heard = [], Heard()
    store = sandbox(start=MORNING)
    store.observers.add(heard)
    play(store, run, script, CU)
    assert told == [(CU, 2)]
