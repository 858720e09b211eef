"""Bars that Cerebro makes of our feeds, alone and beside others, equal the exchange's own."""

from datetime import timedelta

import backtrader as bt
import pytest
from silent_server import ask, silent_server

from tianqin_backtrader import MyStore
from tianqin_backtrader.core.clock import MINUTE, from_ns

COLUMNS = ("open", "high", "low", "close", "volume")


class Keep(bt.Strategy):
    """Each feed's bars, and the time of the market when they came."""

    params = dict(store=None)

    def __init__(self):
        self.bars = {data._name: [] for data in self.datas}
        self.lengths = dict.fromkeys(self.datas, 0)

    def next(self):
        for data in self.datas:
            if len(data) > self.lengths[data]:
                self.lengths[data] = len(data)
                row = [getattr(data, name)[0] for name in COLUMNS]
                self.bars[data._name].append((data.datetime.datetime(0), row, self.p.store.now()))

    prenext = next


def official(server, symbol, minutes, day="2026-11-10"):
    rows = server.bars(symbol, 60 * minutes, trading_day=day)
    return [
        (from_ns(row["datetime"] + minutes * MINUTE), [row[name] for name in COLUMNS])
        for row in rows
    ]


LENGTHS = {"SHFE.rb2701": 60, "CFFEX.IF2612": 30, "CFFEX.T2612": 60}


@pytest.mark.parametrize(
    "beside", [pytest.param("another contract", marks=pytest.mark.slow), "nothing"]
)
def test_a_feed_that_is_resampled_over_a_day_with_its_breaks(sandbox, beside):
    store = sandbox(start="2026-11-10 09:00:00", ticks_per_pack=100)
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.setbroker(store.getbroker())
    if beside == "another contract":
        cerebro.adddata(store.getdata("DCE.m2701"))
    for symbol, minutes in LENGTHS.items():
        feed = store.getdata(symbol, lookback=400)
        cerebro.resampledata(feed, timeframe=bt.TimeFrame.Minutes, compression=minutes, name=symbol)
    cerebro.addstrategy(Keep, store=store)
    [strategy] = cerebro.run()
    for symbol, minutes in LENGTHS.items():
        rows = official(store.sandbox_server, symbol, minutes)
        bars = [bar[:2] for bar in strategy.bars[symbol]]
        assert bars[bars.index(rows[0]) :] == rows


@pytest.mark.both_worlds
def test_days_of_a_contract_that_is_seldom_traded(sandbox, tells_time):
    """Four minutes of five are flat; those before the first trade are not part of the day's bar."""
    thin, days = "KQ.m@CZCE.RS", ("2026-11-09", "2026-11-10")[0 if tells_time else 1 :]
    store = sandbox(start=f"{days[0]} 08:55:00", days=len(days), ticks_per_pack=20)
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.setbroker(store.getbroker())
    feed = store.getdata(thin, qcheck=5.0)
    cerebro.resampledata(feed, timeframe=bt.TimeFrame.Days, name="made")
    cerebro.addstrategy(Keep, store=store)
    [strategy] = cerebro.run()
    server = store.sandbox_server
    rows = [row for day in days for row in server.bars(thin, 86400, trading_day=day)]
    minutes = server.bars(thin, 60, trading_day=days[-1])
    assert not any(row["volume"] for row in minutes[:5]) and minutes[0]["open"] != rows[-1]["open"]
    made = [(f"{at:%Y-%m-%d}", row) for at, row, _ in strategy.bars["made"]]
    assert made == [
        (day, [row[name] for name in COLUMNS]) for day, row in zip(days, rows, strict=True)
    ]


@pytest.mark.parametrize("beside", ["another contract", "nothing"])
def test_bars_of_ticks_hold_every_tick_of_their_time(sandbox, beside):
    store = sandbox(start="2026-11-10 10:40:00", ticks_per_pack=20)
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.setbroker(store.getbroker())
    if beside == "another contract":
        cerebro.adddata(store.getdata("DCE.m2701"))
    ticks = store.get_tick_data("SHFE.cu2612", name="ticks")
    cerebro.resampledata(ticks, timeframe=bt.TimeFrame.Minutes, compression=15, name="made")
    cerebro.addstrategy(Keep, store=store)
    [strategy] = cerebro.run()
    bars = strategy.bars["made"][1:]  # the run began inside the first
    expected = official(store.sandbox_server, "SHFE.cu2612", 15)[-len(bars) :]
    assert len(bars) == 9
    assert [(bar[0], bar[1][3:]) for bar in bars] == [(at, row[3:]) for at, row in expected]


class One(Keep):
    """Ends the run with the bar of ten o'clock, or of the break."""

    def next(self):
        super().next()
        if self.bars["made"] and str(self.bars["made"][-1][0])[8:16] in ("10 10:00", "10 10:16"):
            self.env.runstop()

    prenext = next


@pytest.mark.parametrize(("kind", "start"), [("minutes", "09:59:54"), ("ticks", "10:14:54")])
def test_in_real_time_a_bar_waits_for_all_of_it_and_no_longer(kind, start):
    """The server does not send its time; the clock reaches the end before the minute arrives."""
    symbol = "SHFE.cu2605"
    server = silent_server("--speed", "1", "--start", f"2026-03-10 {start}")
    with server as urls, MyStore("u", "p", urls=urls) as store:
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.setbroker(store.getbroker())
        ticks = store.get_tick_data(symbol, name="ticks")
        feed = ticks if kind == "ticks" else store.getdata(symbol, lookback=60)
        cerebro.resampledata(feed, timeframe=bt.TimeFrame.Minutes, compression=2, name="made")
        cerebro.addstrategy(One, store=store)
        [strategy] = cerebro.run()
        stamp, made, came = strategy.bars["made"][-1]
        assert came < stamp + timedelta(seconds=5)
        rows = ask(urls, f"bars?symbol={symbol}&seconds=60&trading_day=2026-03-10")["rows"]
    by_start = {from_ns(row["datetime"]): row for row in rows}
    last = by_start[stamp - timedelta(minutes=1 if stamp.minute == 0 else 2)]
    assert made[3] == last["close"]
    if kind == "minutes":
        assert made[4] == last["volume"] + by_start[stamp - timedelta(minutes=2)]["volume"]
