"""Ten feeds over trading days; prints one line of JSON a day: what the client's process holds.

Run by ``test_memory`` in a process of its own, so that nothing else is in it.
"""

import gc
import json
import sys

import backtrader as bt
import psutil

from tianqin_backtrader import MyStore

SYMBOLS = (
    "SHFE.cu2612", "SHFE.rb2701", "SHFE.au2612", "INE.sc2701", "DCE.m2701", "DCE.i2701",
    "CZCE.SR701", "CZCE.MA701", "CFFEX.T2612", "GFEX.lc2701",
)  # fmt: skip


class Measure(bt.Strategy):
    def __init__(self):
        self.day, self.days = None, 0
        self.averages = [bt.ind.SMA(data.close, period=20) for data in self.datas]

    def prenext(self):
        store = self.datas[0].store
        day = store.calendar.trading_day_at(store.now())
        if self.day is not None and day != self.day:
            self.measure()
        self.day = day

    next = prenext

    def stop(self):
        self.measure()

    def measure(self):
        gc.collect()
        self.days += 1
        bars = sum(data.certificate().delivered for data in self.datas)
        held = psutil.Process().memory_info().rss / 2**20
        print(json.dumps({"day": self.days, "rss": held, "bars": bars}), flush=True)


def main(days, *symbols):
    options = dict(start="2026-10-09", days=int(days), ticks_per_pack=60)
    with MyStore.sandbox(**options) as store:
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.setbroker(store.getbroker())
        for symbol in symbols or SYMBOLS:
            cerebro.adddata(store.getdata(symbol, keep_bars=1000))
        cerebro.addstrategy(Measure)
        cerebro.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
