"""Strategies with the calls that forwardtrader's users know run as they are."""

from datetime import datetime, timedelta

import backtrader as bt
import pytest

from tianqin_backtrader.core.clock import MINUTE, from_ns, to_ns
from tianqin_backtrader.errors import ConfigError, OrderError

CU = "SHFE.cu2701"


class Channel(bt.Indicator):
    """Highest high and lowest low of the bars before."""

    lines = ("upper", "lower")
    params = (("period", 10),)

    def __init__(self):
        self.addminperiod(self.p.period + 1)

    def next(self):
        self.lines.upper[0] = max(self.data.high.get(-1, self.p.period))
        self.lines.lower[0] = min(self.data.low.get(-1, self.p.period))


class ByTicks(bt.Strategy):
    """Ticks in ``data0``, their minutes in ``data1``; cancels all working orders in every tick."""

    params = (("datafeed", None), ("until", None))

    def __init__(self):
        self.channel = Channel(self.data1, period=10)
        self.mean = bt.indicators.SMA(self.data1, period=20)
        self.ticks, self.minutes, self.seen = [], [], 0
        self.asked, self.states, self.step = [], [], 0
        self.told = []

    def notify_order(self, order):
        self.told.append((order.ref, order.getstatusname()))

    def next(self):
        if len(self.data1) != self.seen:
            self.seen = len(self.data1)
            bar = self.data1
            self.minutes.append((
                bar.datetime.datetime(0), bar.high[0], bar.low[0], bar.close[0], bar.volume[0],
            ))  # fmt: skip
        if self.p.datafeed.history_phase:
            return
        tick = (self.data0.datetime[0], self.data0.close[0])
        if not self.ticks or self.ticks[-1] != tick:
            self.ticks.append(tick)
        assert self.channel.upper[0] >= self.channel.lower[0] and self.mean.sma[0] > 0
        orders = self.broker.get_all_orders()
        for order_id in list(orders.keys()):
            if orders[order_id].get("status", None) == "ALIVE":
                self.asked.append(order_id)
                self.broker.cancel_order(order_id)
        position = self.broker.get_account_position(self.data0._name)
        self.states.append((position.get("pos_long", 0), position.get("pos_short", 0)))
        self.trade(orders, *self.states[-1])
        if self.data.datetime.datetime() >= self.p.until:
            self.env.runstop()

    def trade(self, orders, long_lots, short_lots):
        done = len(orders) and all(one["status"] == "FINISHED" for one in orders.values())
        price, name = self.data0.close[0], self.data0._name
        if self.step == 0:
            self.first = self.broker.buy_open(name, size=2, limit_price=price - 500)
            self.step = 1
        elif self.step == 1 and done:
            self.broker.buy_open(name, size=3, limit_price=self.data1.high[0] + 500)
            self.step = 2
        elif self.step == 2 and long_lots == 3:
            self.broker.sell_close(name, size=1, limit_price=price - 500)
            self.step = 3
        elif self.step == 3 and long_lots == 2:
            self.sell_close(name, size=1, limit_price=price - 500)  # on the strategy itself
            self.step = 4
        elif self.step == 4 and long_lots == 1:
            self.sell(size=long_lots)
            self.step = 5
        elif self.step == 5 and not long_lots:
            self.sell_open(name, size=1, limit_price=price - 500)
            self.step = 6
        elif self.step == 6 and short_lots == 1:
            self.buy_close(name, 1, price + 500)
            self.step = 7


def two_rows_of_bars(store, feed):
    """Set up a run like the samples: the feed itself, and minutes made from it."""
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.setbroker(store.getbroker())
    cerebro.adddata(feed)
    cerebro.resampledata(feed, timeframe=bt.TimeFrame.Minutes)
    return cerebro


@pytest.mark.parametrize("lookback", [60, True])
def test_a_strategy_by_ticks_with_minutes_beside_them(sandbox, lookback):
    store = sandbox(start="2026-11-10 09:30:20", balance=10_000_000)
    feed = store.getdata_v2(instrument=CU, lookback=lookback)
    cerebro = two_rows_of_bars(store, feed)
    cerebro.addstrategy(ByTicks, datafeed=feed, until=datetime(2026, 11, 10, 9, 34, 10))
    [done] = cerebro.run()
    official = {
        from_ns(row["datetime"] + MINUTE): tuple(
            row[name] for name in ("high", "low", "close", "volume")
        )
        for day in {
            store.calendar.trading_day_at(bar[0] - timedelta(minutes=1)) for bar in done.minutes
        }
        for row in store.sandbox_server.bars(CU, 60, trading_day=day)
    }
    assert len(done.minutes) >= (60 if lookback == 60 else 1000)
    assert [bar[1:] for bar in done.minutes] == [official[bar[0]] for bar in done.minutes]
    assert done.minutes[-1][0] == datetime(2026, 11, 10, 9, 34)
    # Every tick since the last bar of history, also those before the program began.
    begin = to_ns(datetime(2026, 11, 10, 9, 30))
    rows = store.sandbox_server.ticks(CU, trading_day="2026-11-10")
    stamps = [row["last_price"] for row in rows if row["datetime"] > begin]
    assert [price for _, price in done.ticks] == stamps[: len(done.ticks)]
    assert len(done.ticks) > 50
    certificate = feed.certificate()  # ticks are not compared; the end of history is
    assert certificate.equal == certificate.corrected == certificate.missing == 0
    assert certificate.seam >= 1 and certificate.pending == 0


class Watches(bt.Strategy):
    """Keeps ticks and minutes until a time."""

    params = (("until", None),)

    def __init__(self):
        self.stamps, self.minutes = [], {}

    def next(self):
        self.stamps.append(self.data0.datetime.datetime())
        self.minutes[self.data1.datetime.datetime()] = self.data1.volume[0]
        if self.stamps[-1] >= self.p.until:
            self.env.runstop()

    def prenext(self):
        self.stamps.append(self.data0.datetime.datetime())


@pytest.mark.parametrize("lookback", [False, 20])
def test_an_auctions_lots_are_those_of_the_first_tick_in_the_session(sandbox, lookback):
    store = sandbox(start="2026-11-09 20:58:30")
    feed = store.getdata_v2(CU, lookback=lookback)
    cerebro = two_rows_of_bars(store, feed)
    cerebro.addstrategy(Watches, until=datetime(2026, 11, 9, 21, 2, 5))
    [done] = cerebro.run()
    live = [stamp for stamp in done.stamps if stamp > datetime(2026, 11, 9, 20)]
    assert live[0] >= datetime(2026, 11, 9, 21)
    rows = store.sandbox_server.bars(CU, 60, trading_day="2026-11-10")
    for minute in (datetime(2026, 11, 9, 21, 1), datetime(2026, 11, 9, 21, 2)):
        [row] = [one for one in rows if from_ns(one["datetime"] + MINUTE) == minute]
        assert done.minutes[minute] == row["volume"]
    auction = store.sandbox_server.ticks(CU, trading_day="2026-11-10")[0]
    assert from_ns(auction["datetime"]) < datetime(2026, 11, 9, 21) and auction["volume"] > 0


def test_orders_are_walked_by_id_and_withdrawn(sandbox):
    store = sandbox(start="2026-11-10 09:30:20", balance=10_000_000)
    feed = store.getdata_v2(instrument=CU, lookback=60)
    cerebro = two_rows_of_bars(store, feed)
    cerebro.addstrategy(ByTicks, datafeed=feed, until=datetime(2026, 11, 10, 9, 33))
    [done] = cerebro.run()
    assert done.step == 7 and done.states[-1] == (0, 0)
    orders = store.broker.get_all_orders()
    first = orders[0]
    assert first.getstatusname() == "Canceled" and len(orders) == 7
    assert first.legs[0].order_id in done.asked
    # Its cancel was requested in every tick until it was over.
    assert done.told.count((first.ref, "Canceled")) == 1
    assert [one.getstatusname() for one in orders[1:]] == ["Completed"] * 6
    assert {one["status"] for one in orders.values()} == {"FINISHED"}
    row = dict(orders)[orders[1].legs[0].order_id]
    assert (row["direction"], row["offset"], row["volume_orign"], row["volume_left"]) == (
        "BUY", "OPEN", 3, 0,
    )  # fmt: skip
    with pytest.raises(OrderError, match=r"one bt\.Order.*order\.legs"):
        first[0]


class Waits(bt.Strategy):
    """Cancels a stop that waits in the program, and an order at the exchange, by their ids."""

    def __init__(self):
        self.live = 0

    def next(self):
        if self.data.history_phase:
            return
        self.live += 1
        if self.live == 1:
            price = self.data.close[0]
            self.stop_order = self.buy(exectype=bt.Order.Stop, price=price + 1000)
            self.limit = self.broker.buy_open(self.data._name, 1, limit_price=price - 500)
        elif self.live == 3:
            orders = self.broker.get_all_orders()
            self.before = {key: dict(one) for key, one in orders.items()}
            for order_id, one in orders.items():
                if one.get("status") == "ALIVE":
                    self.broker.cancel_order(order_id)
        elif self.live == 8:
            self.env.runstop()


def test_an_order_that_waits_with_us_has_an_id_too(sandbox, run):
    store = sandbox(start="2026-11-10 09:30:20")
    strategy = run(store, Waits, store.getdata_v2(CU))
    waiting, sent = strategy.before.values()
    assert (waiting["status"], waiting["offset"]) == ("ALIVE", "")
    assert (sent["status"], sent["offset"]) == ("ALIVE", "OPEN")
    assert waiting["order_id"] in strategy.before
    assert strategy.stop_order.getstatusname() == strategy.limit.getstatusname() == "Canceled"


def test_what_cannot_be_is_refused_in_words_and_before_anything_is_subscribed(sandbox):
    store = sandbox(start="2026-11-10 09:30:20")
    with pytest.raises(ConfigError, match="single ticks after minutes"):
        store.getdata_v2(CU, lookback=True, compression=5)
    with pytest.raises(ConfigError, match="lookback is True, False or a number"):
        store.getdata_v2(CU, lookback="yes")
    assert store.getdata_v2(lookback=None).symbol == "KQ.m@SHFE.cu"
    with pytest.raises(OrderError, match=r"get_all_orders\(\)\.keys\(\)"):
        store.getbroker().cancel_order("nobody's")
