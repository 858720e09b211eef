"""A program that gets the history of many contracts.

``python history_client.py SIDE PLAN``: SIDE is ``bare`` (tqsdk alone) or ``ours``; PLAN is a JSON
object: ``urls``, ``clock_port``, ``count`` (of contracts), ``bars``. It prints a JSON object:
``seconds`` from the connected session until all bars were there, ``peak`` (MB of memory at most),
``bars`` (how many each contract had).
"""

import json
import resource
import sys
import time

import backtrader as bt
from tqsdk import TqApi, TqAuth, TqKq

from tianqin_backtrader import MyStore
from tianqin_backtrader.core.clock import live_on
from tianqin_backtrader.core.shared_clock import SharedClock
from tianqin_backtrader.gateway.event_loop import environment


def contracts(api, count):
    """As many futures, spread over the exchanges."""
    found = sorted(api.query_quotes(ins_class="FUTURE", expired=False))
    return found[:: len(found) // count][:count]


def bare(plan):
    """One serial after the other, as TqSdk's own examples get them."""
    with environment(plan["urls"]):
        api = TqApi(TqKq(), auth=TqAuth("u", "p"), disable_print=True, debug=False)
    with api:
        symbols, began = contracts(api, plan["count"]), time.perf_counter()
        klines = [api.get_kline_serial(one, 60, plan["bars"]) for one in symbols]
        took = time.perf_counter() - began
        return took, [int((one["id"] >= 0).sum()) for one in klines]


class First(bt.Strategy):
    """Stops the run with the first bar of history."""

    def prenext(self):
        self.at = time.perf_counter()
        self.env.runstop()

    next = prenext


def ours(plan):
    """The same as feeds, until the first bar of history is in the strategy."""
    with MyStore("u", "p", urls=plan["urls"]) as store:
        symbols, began = contracts(store.tianqin, plan["count"]), time.perf_counter()
        cerebro = bt.Cerebro(stdstats=False)
        store.instruments(symbols)
        feeds = [store.getdata(one, lookback=plan["bars"]) for one in symbols]
        for feed in feeds:
            cerebro.adddata(feed)
        cerebro.addstrategy(First)
        [strategy] = cerebro.run()
        return strategy.at - began, [len(one) + len(one._history) for one in feeds]


if __name__ == "__main__":
    SIDE, PLAN = sys.argv[1], json.loads(sys.argv[2])
    live_on(SharedClock(PLAN["clock_port"]))
    SECONDS, BARS = {"bare": bare, "ours": ours}[SIDE](PLAN)
    PEAK = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": SECONDS, "peak": PEAK, "bars": BARS}))
