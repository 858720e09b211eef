"""Ticks per second: the bare tqsdk client, and the whole product from the wire to next().

Run with ``python -m pytest -m bench -s tests/bench``. Both sides take the same ticks from a sandbox
of the same seed, one tick at a time, in one run; the figure is the ratio.
"""

import os
import statistics
import time

import backtrader as bt
import pytest
from tqsdk import TqApi, TqAuth, TqKq

from tianqin_backtrader import MyStore
from tianqin_backtrader.embedded import EmbeddedSandbox

ROUNDS = 3


def contracts(count):
    """The most liquid contracts first: whatever the sandbox lists, main contracts ahead."""
    with EmbeddedSandbox() as server, bare_api(server) as api:
        main = api.query_cont_quotes()
        others = [s for s in api.query_quotes(ins_class="FUTURE", expired=False) if s not in main]
        names = ["SHFE.cu2612", *sorted(s for s in main if s != "SHFE.cu2612"), *sorted(others)]
    if len(names) < count:
        pytest.skip(f"the sandbox lists {len(names)} contracts only")
    return names[:count]


def bare_api(server):
    """A TqApi on the sandbox without anything of ours."""
    before = dict(os.environ)
    os.environ.update(server.urls)
    try:
        return TqApi(TqKq(), auth=TqAuth("u", "p"), disable_print=True, debug=False)
    finally:
        os.environ.clear()
        os.environ.update(before)


def bare(symbols, wanted):
    """Ticks per second through get_tick_serial and wait_update."""
    with EmbeddedSandbox() as server, bare_api(server) as api:
        serials = [api.get_tick_serial(symbol) for symbol in symbols]

        def taken():
            return sum(max(0, int(serial["id"].iloc[-1])) for serial in serials)

        first, began, packs = taken(), time.perf_counter(), 0
        while packs % 50 or taken() - first < wanted:
            api.wait_update()
            packs += 1
        return (taken() - first) / (time.perf_counter() - began)


class Count(bt.Strategy):
    params = dict(wanted=0)

    def __init__(self):
        self.began, self.first, self.rate = None, 0, 0.0

    def next(self):
        taken = sum(data.ticks_taken for data in self.datas)
        if self.began is None:
            self.began, self.first = time.perf_counter(), taken
        elif taken - self.first >= self.p.wanted:
            self.rate = (taken - self.first) / (time.perf_counter() - self.began)
            self.env.runstop()

    prenext = next  # contracts without a night have no bar yet


def product(symbols, wanted):
    """Ticks per second through feeds, broker and cerebro into next()."""
    with MyStore.sandbox() as store:
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.setbroker(store.getbroker())
        for symbol in symbols:
            cerebro.adddata(store.getdata(symbol))
        cerebro.addstrategy(Count, wanted=wanted)
        [strategy] = cerebro.run()
        return strategy.rate


@pytest.mark.bench
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("count", "wanted"), [(1, 4000), (10, 4000), (50, 4000)])
def test_product_against_bare_client(count, wanted):
    symbols = contracts(count)
    pairs = [(bare(symbols, wanted), product(symbols, wanted)) for _ in range(ROUNDS)]
    ratio = statistics.median(ours / theirs for theirs, ours in pairs)
    theirs = statistics.median(pair[0] for pair in pairs)
    ours = statistics.median(pair[1] for pair in pairs)
    print(f"\n{count} symbols: bare {theirs:.0f} ticks/s, product {ours:.0f}, ratio {ratio:.2f}")
    assert ratio >= 0.8
