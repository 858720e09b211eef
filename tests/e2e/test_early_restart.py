"""The next program finishes what one has begun, though its feeds have no bar for hours yet."""

import backtrader as bt
import pytest

from tianqin_backtrader import MyStore
from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox

CU = "SHFE.cu2612"


class Killed(Exception):
    pass


class First(bt.Strategy):
    """Holds two lots, begins something, and is killed."""

    params = dict(begin=None)

    def next(self):
        if len(self) == 2:
            self.buy(size=2)
        elif len(self) == 4:
            self.p.begin(self.broker)
            raise Killed


class Second(bt.Strategy):
    """Its first bar is the daily one, at the close, too late to finish anything."""

    def next(self):
        self.env.runstop()


def turn(urls, folder, feed, strategy, **params):
    with MyStore("u", "p", urls=urls, strategy_name="early") as store:
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.setbroker(store.getbroker(records=folder))
        cerebro.adddata(feed(store))
        cerebro.addstrategy(strategy, **params)
        cerebro.run()
        store.pump(0.0)
        orders = [order.getstatusname() for order in store.broker.get_all_orders()]
        return orders, store.broker.get_account_position(CU).get("pos_long", 0)


@pytest.mark.both_worlds
@pytest.mark.parametrize(
    ("begin", "lots"),
    [
        (lambda broker: broker.flatten(), 0),
        (lambda broker: broker.order_target_position(CU, 5), 5),
    ],
    ids=["flatten", "target"],
)
def test_it_waits_for_no_bar(tmp_path, tells_time, begin, lots):
    options = {"ticks_per_pack": 10, "tells_time": tells_time}
    with EmbeddedSandbox(start="2026-11-12 14:40:00", **options) as box:
        minutes, days = (lambda store: store.getdata(CU)), (lambda store: store.get_daily_data(CU))
        with pytest.raises(Killed):
            turn(box.urls, tmp_path, minutes, First, begin=begin)
        orders, held = turn(box.urls, tmp_path, days, Second)
    assert held == lots
    assert "Rejected" not in orders


class Resting(bt.Strategy):
    """Leaves an order at the exchange."""

    def next(self):
        self.order = self.buy(exectype=bt.Order.Limit, price=self.data.close[0] - 5)
        self.broker.store.pump(0.0)
        raise Killed


class DiesEarly(bt.Strategy):
    """Is killed before it is notified of anything."""

    def start(self):
        raise Killed


class Told(bt.Strategy):
    """Keeps the final states of orders."""

    params = dict(ends=None)

    def notify_order(self, order):
        if not order.alive():
            self.p.ends.append(order.getstatusname())

    def next(self):
        self.env.runstop()


def test_an_end_that_no_strategy_was_told_is_told_by_the_next_program(tmp_path):
    def minutes(store):
        return store.getdata(CU)

    with EmbeddedSandbox(start="2026-11-12 10:40:00", ticks_per_pack=10) as box:
        with pytest.raises(Killed):
            turn(box.urls, tmp_path, minutes, Resting)
        box.fault("cancel_away", conn="td")
        with pytest.raises(Killed):
            turn(box.urls, tmp_path, minutes, DiesEarly)
        ends = []
        turn(box.urls, tmp_path, minutes, Told, ends=ends)
    assert ends == ["Canceled"]
