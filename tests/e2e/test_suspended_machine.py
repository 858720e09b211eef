"""A suspended machine (a closed lid): its ``monotonic`` stops while the market goes on."""

import backtrader as bt
import pytest

from tianqin_backtrader.core.clock import MINUTE, from_ns
from tianqin_backtrader.core.shared_clock import SharedClock
from tianqin_backtrader.gateway import charts

CU, FIELDS = "SHFE.cu2612", ("open", "high", "low", "close", "volume", "close_oi")
#: From Monday morning to Thursday afternoon: some 1 500 minutes of the market.
SLEEP = 3 * 86400 + 3.5 * 3600


@pytest.fixture
def asleep(monkeypatch):
    """The seconds for which the machine was suspended, a list to append to."""
    slept, latest, goes_on = [], [0.0], SharedClock.monotonic

    def monotonic(machine):
        latest[0] = max(latest[0], goes_on(machine) - sum(slept))
        return latest[0]

    monkeypatch.setattr(SharedClock, "monotonic", monotonic)
    return slept


class Sleeps(bt.Strategy):
    """Keeps live bars and the store's notifications; suspends the machine once."""

    params = dict(asleep=None, conn="all", until="2026-11-12 13:43")

    def __init__(self):
        self.bars, self.told = [], []

    def notify_store(self, msg, *args, **kwargs):
        self.told.append(str(msg))

    def next(self):
        data, lines = self.data, ("open", "high", "low", "close", "volume", "openinterest")
        if data.history_phase:
            return
        now = data.datetime.datetime(0).replace(microsecond=0)
        self.bars.append((now, *(getattr(data, name)[0] for name in lines)))
        if len(self.bars) == 3:
            self.broker.store.sandbox_server.fault("fill_away", conn=self.p.conn, seconds=SLEEP)
            self.p.asleep.append(SLEEP)
        if f"{now}" >= self.p.until:
            self.env.runstop()


def awake_again(sandbox, run, asleep, conn="all"):
    store = sandbox(start="2026-11-09 10:05:10", days=5, tells_time=False)
    feed = store.getdata(CU, lookback=3, night_start=False)
    strategy = run(store, Sleeps, feed, asleep=asleep, conn=conn)
    official = [
        (from_ns(row["datetime"] + MINUTE), *(row[name] for name in FIELDS))
        for day in ("2026-11-09", "2026-11-10", "2026-11-11", "2026-11-12")
        for row in store.sandbox_server.bars(CU, 60, trading_day=day)
    ]
    first, last = strategy.bars[0][0], strategy.bars[-1][0]
    expected = [bar for bar in official if first <= bar[0] <= last]
    left_out = [told for told in strategy.told if "are left out" in told]
    return strategy, expected, left_out, feed.certificate()


@pytest.mark.parametrize("conn", ["all", "md"])
def test_all_bars_of_a_long_sleep_are_the_official_ones(sandbox, run, asleep, conn):
    """If only market data breaks, tqsdk reconnects itself and requests the newest 600 bars."""
    strategy, expected, left_out, found = awake_again(sandbox, run, asleep, conn)
    assert strategy.bars == expected and len(expected) > 1400
    assert found.missing == found.corrected == 0 and not left_out


def test_bars_that_tianqin_sends_no_more_are_left_out_and_that_is_said(
    sandbox, run, asleep, monkeypatch
):
    """The machine was suspended for more minutes than one chart can have."""
    monkeypatch.setattr(charts, "LARGEST_CHART", 1000)
    strategy, expected, left_out, found = awake_again(sandbox, run, asleep)
    missing = [bar for bar in expected if bar not in strategy.bars]
    assert strategy.bars == [bar for bar in expected if bar not in missing]
    # The bar before the suspension is also missing: it has no official bar to compare with.
    assert len(missing) == found.missing - 1 > 300 and found.corrected == 0
    assert len(left_out) == 1 and f"{len(missing)} bars" in left_out[0]
