"""Seconds from the return of the network to the first new data, the product and the bare client.

Run with ``python -m pytest -m bench -s tests/bench/test_recovery.py``; it lasts as long as the
outages do, times ``RECOVERY_ROUNDS``. The network is away: connections are broken and every attempt
to connect is refused. The product is measured up to a new minute bar in ``next()``, the bare client
up to a new row of its tick serial, which comes earlier; the market runs as fast as it is taken.
"""

import os
import statistics
import time

import backtrader as bt
import pytest
from bare_client import bare_api

from tianqin_backtrader import MyStore
from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox

SYMBOL, START = "SHFE.cu2612", "2026-11-10 09:31:00"
ROUNDS = int(os.environ.get("RECOVERY_ROUNDS", "3"))
#: Seconds that the bare client is waited for after the network's return.
PATIENCE = float(os.environ.get("RECOVERY_PATIENCE", "400"))
GOAL = 2.0


def cut_off(server, seconds):
    """Break everything for so long; the moment at which the network is there again."""
    server.fault("refuse", conn="all", seconds=seconds)
    returns = time.monotonic() + seconds
    server.fault("drop", conn="all")
    return returns


class Recovery(bt.Strategy):
    params = dict(outage=0)

    def __init__(self):
        self.returns, self.took, self.bars = None, None, 0

    def next(self):
        self.bars += 1
        if self.returns is None and self.bars == 20:
            self.returns = cut_off(self.broker.store.sandbox_server, self.p.outage)
        elif self.returns is not None and time.monotonic() >= self.returns:
            self.took = time.monotonic() - self.returns
            self.env.runstop()


def product(outage):
    """Seconds to the first new bar in next()."""
    with MyStore.sandbox(start=START, days=5) as store:
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.setbroker(store.getbroker())
        cerebro.adddata(store.getdata(SYMBOL))
        cerebro.addstrategy(Recovery, outage=outage)
        [strategy] = cerebro.run()
        certificate = store.certificate()[SYMBOL]
        assert certificate.corrected == certificate.missing == 0
        assert strategy.took is not None
        return strategy.took


def bare(outage):
    """Seconds to the first new row, or None where none came."""
    with EmbeddedSandbox(start=START, days=5) as server, bare_api(server) as api:
        serial = api.get_tick_serial(SYMBOL)
        for _ in range(2000):
            api.wait_update()
        returns = cut_off(server, outage)
        seen = serial["id"].iloc[-1]
        while time.monotonic() < returns + PATIENCE:
            api.wait_update(deadline=time.time() + 0.5)
            newest, now = serial["id"].iloc[-1], time.monotonic()
            if now >= returns and newest != seen:
                return now - returns
            seen = newest
        return None


def shown(seconds):
    return f"> {PATIENCE:.0f}" if seconds is None else f"{seconds:.2f}"


@pytest.mark.bench
@pytest.mark.timeout(4000)
@pytest.mark.parametrize("outage", [1, 10, 60, 300])
def test_after_an_outage(outage):
    ours = [product(outage) for _ in range(ROUNDS)]
    theirs = [bare(outage) for _ in range(ROUNDS if outage <= 60 else 1)]
    median = statistics.median(ours)
    print(
        f"\noutage {outage} s: product {', '.join(map(shown, ours))} (median {median:.2f}); "
        f"bare client {', '.join(map(shown, theirs))}",
        flush=True,
    )
    assert median <= GOAL
