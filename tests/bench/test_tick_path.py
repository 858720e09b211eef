"""Ticks per second: the bare tqsdk client, and the whole product from the wire to next().

Run with ``python -m pytest -m bench -s tests/bench``. Both sides take the same ticks from a sandbox
of the same seed, in one run and in turn; the figures that mean something are the ratios.
"""

import statistics
import time

import backtrader as bt
import pytest
from bare_client import bare_api, bare_rate

from tianqin_backtrader import MyStore
from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox

ROUNDS = 3
START, DAYS = "2026-11-10 09:31:00", 20  # products without a night trade, too
#: Symbols, market steps in a pack, ticks to take.
CASES = (
    (1, 1, 4000), (10, 1, 6000), (50, 1, 8000), (100, 1, 8000),
    (1, 20, 10_000), (10, 20, 20_000), (50, 20, 30_000), (100, 20, 30_000),
)  # fmt: skip
#: Ratios below which something is broken. The goals are 0.9 with one symbol and 2 with a hundred,
#: one step a pack; in long packs both sides do little but merge them.
FLOORS = {
    (1, 1): 0.9, (10, 1): 1.0, (50, 1): 1.5, (100, 1): 2.0,
    (1, 20): 0.8, (10, 20): 0.8, (50, 20): 0.8, (100, 20): 0.8,
}  # fmt: skip


def contracts(count):
    """Contracts that trade in the day: copper, main contracts, all months, indexes."""
    with EmbeddedSandbox(start=START) as server, bare_api(server) as api:
        main = sorted(api.query_quotes(ins_class="CONT"))
        months = sorted(api.query_quotes(ins_class="FUTURE", expired=False))
        indexes = sorted(api.query_quotes(ins_class="INDEX"))
    names = list(dict.fromkeys(["SHFE.cu2612", *main, *months, *indexes]))
    assert len(names) >= count
    return names[:count]


def bare(symbols, per_pack, wanted):
    """Ticks per second through get_tick_serial and wait_update."""
    with EmbeddedSandbox(start=START, days=DAYS, ticks_per_pack=per_pack) as server:
        return bare_rate(server, symbols, wanted)


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

    prenext = next


def product(symbols, per_pack, wanted):
    """Ticks per second through feeds, broker and cerebro into next()."""
    with MyStore.sandbox(start=START, days=DAYS, ticks_per_pack=per_pack) as store:
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.setbroker(store.getbroker())
        for symbol in symbols:
            cerebro.adddata(store.getdata(symbol))
        cerebro.addstrategy(Count, wanted=wanted)
        [strategy] = cerebro.run()
        assert strategy.rate > 0
        return strategy.rate


@pytest.mark.bench
@pytest.mark.timeout(1800)
def test_product_against_bare_client():
    names, cost, broken = contracts(100), {}, []
    print("\nsymbols  steps/pack  bare ticks/s  product ticks/s  ratio  product us/tick")
    for count, per_pack, wanted in CASES:
        symbols = names[:count]
        pairs = [
            (bare(symbols, per_pack, wanted), product(symbols, per_pack, wanted))
            for _ in range(ROUNDS)
        ]
        ratio = statistics.median(ours / theirs for theirs, ours in pairs)
        theirs = statistics.median(pair[0] for pair in pairs)
        ours = statistics.median(pair[1] for pair in pairs)
        cost[count, per_pack] = 1e6 / ours
        print(
            f"{count:7d}  {per_pack:10d}  {theirs:12.0f}  {ours:15.0f}  {ratio:5.2f}"
            f"  {1e6 / ours:15.0f}",
            flush=True,
        )
        if ratio < FLOORS[count, per_pack]:
            broken.append((count, per_pack, ratio))
    for per_pack in (1, 20):
        growth = cost[100, per_pack] / cost[1, per_pack]
        print(f"product's cost of a tick, 100 symbols against 1, {per_pack} a pack: {growth:.2f}")
        if growth > 1.5:
            broken.append(("growth", per_pack, growth))
    assert broken == []
