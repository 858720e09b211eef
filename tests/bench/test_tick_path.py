"""Ticks per second of a market: the bare tqsdk client, and the whole product up to next().

Run with ``python -m pytest -m bench -s tests/bench``. The product follows the minutes of contracts;
a bare client takes their ticks, as a program must that makes its own minutes, and another one their
minutes, which costs it a serial each. All take the same market from a sandbox of the same seed, in
one run and in turn; the figures that mean something are the ratios. Ticks are counted that the
sandbox has made in that time of the market: a long pack shows of minutes only the outcome.
"""

import statistics
import time

import backtrader as bt
import pytest
from bare_client import bare_api, bare_rate

from tianqin_backtrader import MyStore
from tianqin_backtrader.core.clock import from_ns, to_ns
from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox
from tianqin_backtrader.session_calendar import CALENDAR

ROUNDS = 3
START, DAYS = "2026-11-10 09:31:00", 20  # products without a night trade, too
#: Symbols, market steps in a pack, ticks to follow at least.
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


def minutes_of(symbols, wanted):
    """Whole minutes that have so many ticks."""
    return max(3, round(wanted / len(symbols) / 120))


def market_ticks(server, symbols, first, last):
    """Ticks between the ends of two minutes, Beijing time, nanoseconds."""
    days = sorted({CALENDAR.trading_day_at(from_ns(end)) for end in (first, last)})
    assert len(days) == 1
    return sum(
        first < tick["datetime"] <= last
        for symbol in symbols
        for tick in server.ticks(symbol, trading_day=days[0])
    )


def bare(symbols, per_pack, wanted):
    """Ticks per second through get_tick_serial and wait_update."""
    with EmbeddedSandbox(start=START, days=DAYS, ticks_per_pack=per_pack) as server:
        return bare_rate(server, symbols, wanted)


def bare_minutes(symbols, per_pack, wanted):
    """Ticks per second through get_kline_serial and wait_update."""
    with EmbeddedSandbox(start=START, days=DAYS, ticks_per_pack=per_pack) as server:
        with bare_api(server) as api:
            serials = [api.get_kline_serial(symbol, 60) for symbol in symbols]

            def wait_for(minute):
                while int(serials[0]["id"].iloc[-1]) < minute:
                    api.wait_update()
                return time.perf_counter(), int(serials[0]["datetime"].iloc[-1])

            minute = int(serials[0]["id"].iloc[-1]) + 1
            began, first = wait_for(minute)
            ended, last = wait_for(minute + minutes_of(symbols, wanted))
        return market_ticks(server, symbols, first, last) / (ended - began)


class Count(bt.Strategy):
    params = dict(minutes=0)

    def __init__(self):
        self.seen = []

    def next(self):
        end = to_ns(self.data.datetime.datetime(0))
        if not self.seen or end > self.seen[-1][1]:
            self.seen.append((time.perf_counter(), end))
            if len(self.seen) > self.p.minutes:
                self.env.runstop()

    prenext = next


def product(symbols, per_pack, wanted):
    """Ticks per second through feeds, broker and cerebro into next()."""
    with MyStore.sandbox(start=START, days=DAYS, ticks_per_pack=per_pack) as store:
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.setbroker(store.getbroker())
        for symbol in symbols:
            cerebro.adddata(store.getdata(symbol))
        cerebro.addstrategy(Count, minutes=minutes_of(symbols, wanted))
        [strategy] = cerebro.run()
        (began, first), (ended, last) = strategy.seen[0], strategy.seen[-1]
        return market_ticks(store.sandbox_server, symbols, first, last) / (ended - began)


@pytest.mark.bench
@pytest.mark.timeout(1800)
def test_product_against_bare_client():
    names, cost, broken = contracts(100), {}, []
    print(
        "\nsymbols  steps/pack  bare ticks/s  product ticks/s  ratio  to minutes  product us/tick"
    )
    for count, per_pack, wanted in CASES:
        symbols = names[:count]
        sides = (bare, bare_minutes, product)
        rates = [[side(symbols, per_pack, wanted) for side in sides] for _ in range(ROUNDS)]
        ratio = statistics.median(ours / theirs for theirs, _, ours in rates)
        minutes = statistics.median(ours / theirs for _, theirs, ours in rates)
        theirs, _, ours = (statistics.median(column) for column in zip(*rates, strict=True))
        cost[count, per_pack] = 1e6 / ours
        print(
            f"{count:7d}  {per_pack:10d}  {theirs:12.0f}  {ours:15.0f}  {ratio:5.2f}"
            f"  {minutes:10.2f}  {1e6 / ours:15.0f}",
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
