"""A program that answers every tick of one contract with an order, and keeps minutes of the others.

``python answering_client.py SIDE PLAN``: SIDE is ``bare`` (tqsdk alone), ``least`` (the least that
Backtrader needs between the two: no checks, no records, no other contracts) or ``ours``; PLAN is a
JSON object with ``urls``, ``clock_port``, ``symbols`` (the first one is traded), ``seconds`` and
``records`` (a folder, or false). It prints a JSON object: ``answers``, ``minutes`` (the end of a
minute, nanoseconds: how many nanoseconds later all contracts had their bar), ``cpu`` (seconds of
processor time in the measured time), ``peak`` (MB of memory at most).
"""

import json
import resource
import sys
import threading
import time

import backtrader as bt
from tqsdk import TqApi, TqAuth, TqKq

from tianqin_backtrader import MyStore
from tianqin_backtrader.core.clock import MINUTE, SECOND, Machine, live_on, to_backtrader, to_ns
from tianqin_backtrader.core.shared_clock import SharedClock
from tianqin_backtrader.gateway.event_loop import environment

HALF = SECOND // 2
#: Seconds after the start that are not measured.
WARM_UP = 12.0
#: Below the market, so that no order is filled; each of fifty ticks in a row has another price.
FAR, STEP, PRICES = 79_000.0, 10.0, 50


def price_of(stamp):
    """The price of the order that answers the tick of a stamp (nanoseconds)."""
    return FAR - STEP * (stamp // HALF % PRICES)


class MovedMachine(Machine):
    """This machine, with its clock set to the market's time; it costs what the real clock costs."""

    def __init__(self, port):
        shared = SharedClock(port)
        self._moved = shared.now_ns() - time.time_ns()
        shared.close()

    def now_ns(self):
        return time.time_ns() + self._moved


class Watch:
    """When minutes came, and what the processor did.

    A thread measures, so that nothing needs to come.
    """

    def __init__(self, clock, seconds):
        self.clock, self.answers, self.minutes = clock, 0, {}
        self.over, self.end, self._cpu = False, lambda: None, 0.0
        self._thread = threading.Thread(target=self._measure, args=[seconds], daemon=True)
        self._thread.start()

    def _measure(self, seconds):
        time.sleep(WARM_UP)
        before = time.process_time()
        time.sleep(seconds)
        self._cpu, self.over = time.process_time() - before, True
        self.end()

    def note_minute(self, end):
        self.minutes[end] = self.clock.now_ns() - end

    def report(self):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"answers": self.answers, "minutes": self.minutes, "cpu": self._cpu, "peak": peak}


def bare(plan, clock):
    """The loop of TqSdk's own examples."""
    traded, *others = plan["symbols"]
    with environment(plan["urls"]):
        api = TqApi(TqKq(), auth=TqAuth("u", "p"), disable_print=True, debug=False)
    with api:
        ticks = api.get_tick_serial(traded)
        klines = [api.get_kline_serial(symbol, 60) for symbol in others]
        watch, end = Watch(clock, plan["seconds"]), 0
        while not watch.over:
            api.wait_update(deadline=time.time() + 0.5)
            if api.is_changing(ticks):
                price = price_of(int(ticks["datetime"].iloc[-1]))
                api.insert_order(traded, "BUY", "OPEN", 1, price, advanced="FAK")
                watch.answers += 1
            if klines and clock.now_ns() >= end:
                # A bar is whole when the next one has begun.
                if end and all(one["datetime"].iloc[-1] >= end for one in klines):
                    watch.note_minute(end)
                    end += MINUTE
                end = end or (clock.now_ns() // MINUTE + 1) * MINUTE
    return watch.report()


class LeastFeed(bt.feed.DataBase):
    """Ticks of a client, one a round; it ends when the watch is over."""

    params = dict(api=None, watch=None, qcheck=0.0)

    def start(self):
        super().start()
        self._ticks = self.p.api.get_tick_serial(self.p.dataname)

    def islive(self):
        return True

    def haslivedata(self):
        return False

    def _load(self):
        api = self.p.api
        if self.p.watch.over:
            return False
        api.wait_update(deadline=time.time() + 0.5)
        if not api.is_changing(self._ticks):
            return None
        tick, lines = self._ticks.iloc[-1], self.lines
        lines.datetime[0] = to_backtrader(int(tick["datetime"]))
        lines.open[0] = lines.high[0] = lines.low[0] = lines.close[0] = tick["last_price"]
        lines.volume[0], lines.openinterest[0] = tick["volume"], tick["open_interest"]
        return True


class LeastBroker(bt.brokers.BackBroker):
    """Backtrader's own broker, which sends each order to the account as it is made."""

    def submit(self, order, check=True):
        order.p.data.p.api.insert_order(
            order.p.data.p.dataname, "BUY", "OPEN", int(order.size), order.price, advanced="FAK"
        )
        return order


class Least(bt.Strategy):
    params = dict(watch=None)

    def next(self):
        price = price_of(to_ns(self.data.datetime.datetime()))
        self.buy(size=1, exectype=bt.Order.Limit, price=price)
        self.p.watch.answers += 1


def least(plan, clock):
    """A strategy on TqSdk with nothing between."""
    traded, *_ = plan["symbols"]
    with environment(plan["urls"]):
        api = TqApi(TqKq(), auth=TqAuth("u", "p"), disable_print=True, debug=False)
    with api:
        watch = Watch(clock, plan["seconds"])
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.setbroker(LeastBroker())
        cerebro.adddata(LeastFeed(dataname=traded, api=api, watch=watch))
        cerebro.addstrategy(Least, watch=watch)
        cerebro.run()
    return watch.report()


class Answer(bt.Strategy):
    params = dict(watch=None, traded="")

    def __init__(self):
        self.ticks = self.bars = self.last = 0

    def next(self):
        watch = self.p.watch
        if len(self.data) != self.ticks:
            self.ticks = len(self.data)
            price = price_of(to_ns(self.data.datetime.datetime()))
            self.broker.buy_open(self.p.traded, 1, price, advanced="FAK")
            watch.answers += 1
        if len(self.datas) > 1 and len(self.datas[1]) != self.bars:
            self.bars, end = len(self.datas[1]), self.datas[1].datetime[0]
            if not self.datas[1].history_phase:
                assert all(data.datetime[0] == end for data in self.datas[1:])
                watch.note_minute(to_ns(self.datas[1].datetime.datetime()))

    prenext = next


def ours(plan, clock):
    """The same in a strategy."""
    traded, *others = plan["symbols"]
    with MyStore("u", "p", urls=plan["urls"]) as store:
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.setbroker(store.getbroker(records=plan["records"]))
        cerebro.adddata(store.get_tick_data(traded))
        for symbol in others:
            cerebro.adddata(store.getdata(symbol, quotes=False))
        watch = Watch(clock, plan["seconds"])
        watch.end = cerebro.runstop
        cerebro.addstrategy(Answer, watch=watch, traded=traded)
        cerebro.run()
    return watch.report()


if __name__ == "__main__":
    SIDE, PLAN = sys.argv[1], json.loads(sys.argv[2])
    CLOCK = MovedMachine(PLAN["clock_port"])
    live_on(CLOCK)
    print(json.dumps({"bare": bare, "least": least, "ours": ours}[SIDE](PLAN, CLOCK)))
