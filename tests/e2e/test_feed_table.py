"""Rows of the table in docs/feeds.md, tested in live runs."""

from datetime import time

import backtrader as bt
import pytest

from tianqin_backtrader.core.clock import MINUTE, from_ns
from tianqin_backtrader.errors import ConfigError

CU, DAY = "SHFE.cu2612", "2026-11-10"
PRICES = ("open", "high", "low", "close")


class Closes(bt.Strategy):
    """Keeps (stamp, open, high, low, close)."""

    def __init__(self):
        self.bars = []

    def next(self):
        data = self.data
        prices = (data.open[0], data.high[0], data.low[0], data.close[0])
        self.bars.append((data.datetime.datetime(0).replace(microsecond=0), *prices))


def official(store):
    rows = store.sandbox_server.bars(CU, 60, trading_day=DAY)
    return [(from_ns(row["datetime"] + MINUTE), *(row[name] for name in PRICES)) for row in rows]


def play(store, feed, **how):
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(feed)
    cerebro.addstrategy(Closes)
    [strategy] = cerebro.run(**how)
    return strategy.bars


@pytest.mark.parametrize(
    "how",
    [
        {"exactbars": 1}, {"exactbars": -1}, {"exactbars": -2}, {"oldsync": True}, {"live": True},
        {"runonce": True}, {"runonce": False}, {"preload": True}, {"preload": False},
    ],
    ids=str,
)  # fmt: skip
def test_ways_to_run(sandbox, how):
    store = sandbox(start=f"{DAY} 14:50:20", ticks_per_pack=60)
    bars = play(store, store.getdata(CU, lookback=30, night_start=False), **how)
    assert bars == official(store)[-40:]


def test_a_session_filter_leaves_out_what_is_outside(sandbox):
    store = sandbox(start=f"{DAY} 14:50:20", ticks_per_pack=60)
    session = {"sessionstart": time(14, 55), "sessionend": time(14, 58)}
    feed = store.getdata(CU, lookback=30, night_start=False, **session)
    feed.addfilter(bt.filters.SessionFilter)
    bars = play(store, feed)
    assert [f"{bar[0]:%H:%M}" for bar in bars] == ["14:55", "14:56", "14:57", "14:58"]
    assert bars == [bar for bar in official(store) if bar[0] in {one[0] for one in bars}]


def test_heikin_ashi(sandbox):
    store = sandbox(start=f"{DAY} 14:50:20", ticks_per_pack=60)
    feed = store.getdata(CU, lookback=30, night_start=False)
    feed.addfilter(bt.filters.HeikinAshi)
    bars, theirs = play(store, feed), official(store)[-40:]
    assert [bar[0] for bar in bars] == [bar[0] for bar in theirs][-len(bars) :] and len(bars) >= 39
    means = [sum(bar[1:]) / 4 for bar in theirs]
    assert [bar[4] for bar in bars] == pytest.approx(means[-len(bars) :])


def test_day_steps(sandbox):
    store = sandbox(start="2026-11-06 14:50:00", days=2, ticks_per_pack=200)
    feed = store.get_daily_data(CU, lookback=2)
    feed.addfilter(bt.filters.DayStepsFilter)
    bars = play(store, feed)
    assert [f"{bar[0]:%m-%d}" for bar in bars[::2]] == ["11-04", "11-05", "11-06", "11-09"]
    assert [bar[0] for bar in bars[1::2]] == [bar[0] for bar in bars[::2]]
    assert all(
        step[1:] == (whole[1],) * 4 for step, whole in zip(bars[::2], bars[1::2], strict=True)
    )
    [today] = store.sandbox_server.bars(CU, 86400, trading_day="2026-11-09")
    assert bars[-1][1:] == tuple(today[name] for name in PRICES)


@pytest.mark.parametrize("name", ["DaySplitter_Close", "SessionFiller", "CalendarDays", "Renko"])
def test_filters_that_need_a_whole_run_are_refused(sandbox, name):
    store = sandbox(start=f"{DAY} 14:58:00", ticks_per_pack=60)
    feed = store.getdata(CU)
    with pytest.raises(ConfigError, match=name):
        feed.addfilter(getattr(bt.filters, name))
        play(store, feed)
