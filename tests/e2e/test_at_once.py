"""Nothing waits that could happen at once: orders leave in their command, bars are delivered."""

import backtrader as bt
from e2e_script import CU, MORNING, exchange_orders, play

#: Questions to the exchange, each of which takes about a millisecond.
QUESTIONS = 200


def test_an_order_and_its_cancel_reach_the_exchange_before_the_next_wait(sandbox, run, monkeypatch):
    store, waits, seen = sandbox(start=MORNING), [], []
    wait = store.reconnector.wait
    monkeypatch.setattr(store.reconnector, "wait", lambda end: waits.append(end) or wait(end))

    def asked(right):
        for _ in range(QUESTIONS):
            if any(right(one) for one in exchange_orders(store).values()):
                return True
        return False

    def script(strategy):
        yield None
        begun = len(waits)
        order = strategy.buy(size=1, exectype=bt.Order.Limit, price=strategy.data.close[0] - 500)
        seen.append(asked(lambda one: one["status"] == "ALIVE"))
        seen.append(len(waits) - begun)
        while order.status != order.Accepted:
            yield None
        begun = len(waits)
        strategy.cancel(order)
        seen.append(asked(lambda one: one["status"] == "FINISHED"))
        seen.append(len(waits) - begun)

    play(store, run, script, CU)
    assert seen == [True, 0, True, 0]


class Ticks(bt.Strategy):
    def __init__(self):
        self.times, self.lengths = [], [0, 0]

    def next(self):
        for number, data in enumerate(self.datas):
            if len(data) > self.lengths[number]:
                self.times.append(data.datetime[0])
        self.lengths = [len(data) for data in self.datas]
        if len(self.times) > 200:
            self.env.runstop()

    prenext = next


def test_ticks_of_two_contracts_in_one_pack_are_all_delivered_before_the_next_wait(
    sandbox, run, monkeypatch
):
    store, left = sandbox(start=MORNING, ticks_per_pack=20), []
    wait = store.reconnector.wait

    def look_and_wait(end):
        left.append(sum(feed.put_back for feed in store.feeds))
        return wait(end)

    monkeypatch.setattr(store.reconnector, "wait", look_and_wait)
    feeds = [store.get_tick_data(symbol) for symbol in (CU, "SHFE.rb2701")]
    strategy = run(store, Ticks, *feeds)
    assert strategy.times == sorted(strategy.times) and min(strategy.lengths) > 20
    *during, _end = left  # the run may end in the middle of a pack
    assert len(left) < len(strategy.times) and not any(during)


class StopOnMinutes(bt.Strategy):
    """Buys the contract of minutes, and keeps when its stop was filled."""

    def __init__(self):
        self.stop_order, self.filled = None, None

    def next(self):
        if self.stop_order is None and len(self.datas[-1]) >= 2:
            self.stop_order = self.buy(self.datas[-1], size=1)

    prenext = next

    def notify_order(self, order):
        if order.status != order.Completed:
            return
        if order.isbuy():
            price = order.executed.price - 2
            self.stop_order = self.sell(order.data, size=1, exectype=bt.Order.Stop, price=price)
        else:
            self.filled = (order.executed.dt, order.executed.price)
            self.env.runstop()


def test_a_stop_fires_at_the_same_tick_beside_a_contract_whose_ticks_come_first(sandbox, run):
    def filled(*others):
        store = sandbox(start=MORNING)
        others = [store.get_tick_data(symbol) for symbol in others]
        return run(store, StopOnMinutes, *others, store.getdata("SHFE.rb2701")).filled

    alone = filled()
    assert alone is not None and filled(CU) == alone
