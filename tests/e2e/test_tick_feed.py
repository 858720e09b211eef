"""Every tick once, in order, alone and beside bars of the same contract."""

import backtrader as bt
import pytest

from tianqin_backtrader.core.clock import from_ns
from tianqin_backtrader.errors import ConfigError


class Keep(bt.Strategy):
    params = dict(until=None)

    def __init__(self):
        self.ticks, self.minutes = [], []
        self.lengths = dict.fromkeys(self.datas, 0)

    def next(self):
        for data in self.datas:
            if len(data) > self.lengths[data]:
                self.lengths[data] = len(data)
                kept = self.ticks if data._timeframe == bt.TimeFrame.Ticks else self.minutes
                kept.append(
                    (data.datetime.datetime(0), data.close[0], data.volume[0], data.bid_price[0])
                )
        if self.data.datetime.datetime(0) >= self.p.until:
            self.env.runstop()

    prenext = next


@pytest.mark.parametrize("ticks_per_pack", [1, 13])
def test_every_tick_is_delivered_once(sandbox, run, ticks_per_pack):
    store = sandbox(start="2026-11-10 09:20:00", ticks_per_pack=ticks_per_pack)
    feed = store.get_tick_data("SHFE.cu2612")
    until = from_ns(store.clock.now_ns()).replace(minute=50)
    strategy = run(store, Keep, feed, until=until)
    rows = store.sandbox_server.ticks("SHFE.cu2612", trading_day="2026-11-10")
    first = strategy.ticks[0][0]
    # A time in Backtrader's days is up to 6 us off; the exchange's has half seconds.
    first = first.replace(microsecond=first.microsecond // 500_000 * 500_000)
    volumes = [0, *(row["volume"] for row in rows)]
    expected = [
        (row["last_price"], row["volume"] - volumes[number], row["bid_price1"])
        for number, row in enumerate(rows)
        if from_ns(row["datetime"])
        >= first.replace(microsecond=first.microsecond // 500000 * 500000)
    ]
    seen = [tick[1:] for tick in strategy.ticks]
    assert len(seen) > 200
    assert seen == expected[: len(seen)]
    assert store.certificate()["SHFE.cu2612"].missing == 0


def test_ticks_beside_minutes_of_the_same_contract(sandbox, run):
    store = sandbox(start="2026-11-10 09:20:00", ticks_per_pack=5)
    ticks = store.get_tick_data("SHFE.cu2612", name="ticks")
    minutes = store.getdata("SHFE.cu2612", name="minutes")
    until = from_ns(store.clock.now_ns()).replace(minute=40)
    strategy = run(store, Keep, ticks, minutes, until=until)
    assert len(strategy.minutes) >= 19
    by_minute = {}
    for (
        stamp,
        *_,
    ) in strategy.ticks:
        by_minute.setdefault(stamp.replace(second=0, microsecond=0), []).append(stamp)
    assert len(by_minute) >= 19
    stamps = [stamp for stamp, *_ in strategy.ticks]
    assert stamps == sorted(stamps)


def test_the_last_price_may_be_asked_in_every_round_of_a_new_session(sandbox, run):
    store = sandbox(start="2026-11-10 09:20:00", ticks_per_pack=5)
    feed = store.get_tick_data("SHFE.cu2612")
    prices = []
    until = from_ns(store.clock.now_ns()).replace(minute=24)

    class Dropped(Keep):
        def next(self):
            super().next()
            if len(self) == 10:
                store.keepers.append(lambda: prices.append(feed.last_price))
            if len(self) == 20:
                store.sandbox_server.fault("drop", conn="all")

    run(store, Dropped, feed, until=until)
    assert store.reconnector.sessions == 2
    assert any(price != price for price in prices)  # the new session's ticks have not come yet
    assert prices[0] == prices[0] and prices[-1] == prices[-1]


def test_what_ticks_have_not(sandbox):
    store = sandbox()
    with pytest.raises(ConfigError, match="no history of ticks"):
        store.get_tick_data("SHFE.cu2612", lookback=5)
    with pytest.raises(ConfigError, match="single ticks"):
        store.get_tick_data("SHFE.cu2612", compression=5)
