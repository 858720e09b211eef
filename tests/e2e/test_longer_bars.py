"""Bars of several minutes and of days, live and from history, equal to the exchange's own."""

from datetime import timedelta

import backtrader as bt
import pytest

from tianqin_backtrader.core.clock import MINUTE, from_ns
from tianqin_backtrader.errors import ConfigError

LENGTHS = (3, 5, 15, 30, 60)
COLUMNS = ("open", "high", "low", "close", "volume", "close_oi")


class Keep(bt.Strategy):
    def __init__(self):
        self.bars = {data: [] for data in self.datas}
        self.lengths = dict.fromkeys(self.datas, 0)

    def prenext(self):
        self.next()

    def next(self):
        for data in self.datas:
            if len(data) > self.lengths[data]:
                self.lengths[data] = len(data)
                self.bars[data].append(
                    (
                        data.datetime.datetime(0), data.open[0], data.high[0], data.low[0],
                        data.close[0], data.volume[0], data.openinterest[0],
                    )
                )  # fmt: skip


def official(store, symbol, seconds, days):
    return [
        (row["datetime"], *(row[name] for name in COLUMNS))
        for day in days
        for row in store.sandbox_server.bars(symbol, seconds, trading_day=day)
    ]


@pytest.fixture
def day_of(sandbox, run, request):
    """One day of a contract as bars of all lengths, the exchange's own beside them.

    The tests of one contract share it.
    """

    def day_of(symbol):
        days = request.module.__dict__.setdefault("_days", {})
        if symbol not in days:
            store = sandbox(ticks_per_pack=20)
            feeds = {
                minutes: store.getdata(symbol, compression=minutes, lookback=50, night_start=False)
                for minutes in LENGTHS
            }
            strategy = run(store, Keep, *feeds.values())
            days[symbol] = {
                minutes: (
                    strategy.bars[feed][50:],
                    official(store, symbol, 60 * minutes, ["2026-11-10"]),
                    feed.certificate(),
                )
                for minutes, feed in feeds.items()
            }
        return days[symbol]

    return day_of


@pytest.mark.parametrize("minutes", LENGTHS)
@pytest.mark.parametrize("symbol", ["SHFE.cu2612", "CFFEX.T2612"])
def test_minutes_as_tianqin_cuts_them(day_of, symbol, minutes):
    live, expected, certificate = day_of(symbol)[minutes]
    assert live == [(from_ns(start + minutes * MINUTE), *rest) for start, *rest in expected]
    assert certificate.delivered == len(live)
    assert certificate.equal + certificate.pending == len(live)
    assert certificate.pending <= 1


@pytest.mark.parametrize(
    ("symbol", "close"),
    [("SHFE.cu2612", "15:00"), ("CFFEX.T2612", "15:15"), ("SHFE.au2704", "15:00")],
)
def test_days_from_the_night_to_the_close(sandbox, run, tells_time, symbol, close):
    # Friday from the afternoon on, and Monday with Friday's night.
    store = sandbox(start="2026-11-06 14:30:00", days=2, ticks_per_pack=50)
    feed = store.get_daily_data(symbol, lookback=5)
    strategy = run(store, Keep, feed)
    days = ["2026-11-06", "2026-11-09"]
    expected = [row[1:] for row in official(store, symbol, 86400, days)]
    bars = strategy.bars[feed]
    assert [f"{bar[0]:%Y-%m-%d %H:%M}" for bar in bars[-2:]] == [f"{day} {close}" for day in days]
    assert [bar[1:] for bar in bars[-2:]] == expected
    assert len(bars) == 7
    history = ["2026-10-30", "2026-11-02", "2026-11-03", "2026-11-04", "2026-11-05"]
    assert [bar[1:] for bar in bars[:5]] == [
        row[1:] for row in official(store, symbol, 86400, history)
    ]
    certificate = feed.certificate()
    assert certificate.equal == 2


def test_a_start_in_the_middle_of_a_day_knows_the_days_high_and_low(sandbox, run):
    store = sandbox(start="2026-11-10 14:30:00", ticks_per_pack=20)
    feed = store.get_daily_data("SHFE.cu2612", lookback=2)
    strategy = run(store, Keep, feed)
    expected = official(store, "SHFE.cu2612", 86400, ["2026-11-10"])
    assert [bar[1:] for bar in strategy.bars[feed][-1:]] == [row[1:] for row in expected]


def test_minutes_and_days_of_one_contract_together(sandbox, run):
    class Together(Keep):
        def next(self):
            super().next()
            if from_stamp := [d for d in self.datas if len(d) and d.datetime[0] == self.now()]:
                self.last = from_stamp
            if self.datas[1].today is not None:
                self.today = self.datas[1].today

        prenext = next

        def now(self):
            return max(data.datetime[0] for data in self.datas if len(data))

    store = sandbox(ticks_per_pack=20)
    minutes, days = store.getdata("CFFEX.IF2612"), store.get_daily_data("CFFEX.IF2612")
    strategy = run(store, Together, minutes, days)
    assert len(strategy.bars[minutes]) == 240
    [day] = strategy.bars[days]
    assert day[2] == max(bar[2] for bar in strategy.bars[minutes])
    assert day[5] == sum(bar[5] for bar in strategy.bars[minutes])
    assert day[0] == strategy.bars[minutes][-1][0]
    assert len(strategy.last) == 2, "the last minute and the day come in one next()"
    assert strategy.today.open == day[1]


def test_what_tianqin_does_not_cut_is_refused(sandbox):
    store = sandbox()
    with pytest.raises(ConfigError, match="compression is one of"):
        store.getdata("SHFE.cu2612", compression=7)
    with pytest.raises(ConfigError, match="get_daily_data delivers days"):
        store.getdata("SHFE.cu2612", timeframe=bt.TimeFrame.Days)
    with pytest.raises(ConfigError, match="Beijing time: leave tz away"):
        store.getdata("SHFE.cu2612", tz="Asia/Shanghai")
    with pytest.raises(ConfigError, match="single days"):
        store.get_daily_data("SHFE.cu2612", compression=2)


@pytest.mark.parametrize("feed", ["minutes", "days", "ticks"])
def test_another_timezone_for_the_whole_run_is_refused(sandbox, feed):
    store = sandbox(start="2026-11-10 09:31:00")
    make = {"minutes": store.getdata, "days": store.get_daily_data, "ticks": store.get_tick_data}
    cerebro = bt.Cerebro(tz="Asia/Shanghai")
    cerebro.adddata(make[feed]("SHFE.cu2612"))
    cerebro.addstrategy(bt.Strategy)
    with pytest.raises(ConfigError, match="Beijing time: leave tz away"):
        cerebro.run()


@pytest.mark.parametrize("symbol", ["CFFEX.IF2612", "CFFEX.T2612", "SHFE.cu2612", "DCE.m2701"])
def test_hours_have_their_history_also_where_they_begin_before_the_market(sandbox, run, symbol):
    class Past(bt.Strategy):
        def next(self):
            if self.data.history_phase:
                self.first, self.bars = self.data.datetime.datetime(1 - len(self)), len(self)
            else:
                self.env.runstop()

    store = sandbox(start="2026-11-10 10:50:00", days=1)
    past = run(store, Past, store.getdata(symbol, lookback=40, compression=60))
    day = store.calendar.trading_day_at(past.first)
    assert past.bars >= 40
    assert past.first - store.calendar.sessions(symbol, day)[0][0] <= timedelta(hours=1)


@pytest.mark.parametrize("beside", [True, False], ids=["beside the minutes", "alone"])
@pytest.mark.parametrize("kind", ["minutes", "ticks"])
def test_backtraders_own_resampling_works_on_our_feeds(sandbox, run, beside, kind):
    class Resampled(Keep):
        def next(self):
            super().next()
            self.phases = getattr(self, "phases", [])
            self.phases.append(self.data.history_phase)

        prenext = next

    store = sandbox(start="2026-11-10 13:50:00", ticks_per_pack=20)
    make = store.getdata if kind == "minutes" else store.get_tick_data
    feed = make("SHFE.cu2612")
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.setbroker(store.getbroker())
    if beside:
        cerebro.adddata(feed)
    resampled = cerebro.resampledata(feed, timeframe=bt.TimeFrame.Minutes, compression=5)
    cerebro.addstrategy(Resampled)
    [strategy] = cerebro.run()
    expected = {
        from_ns(start + 5 * MINUTE): rest
        for start, *rest in official(store, "SHFE.cu2612", 300, ["2026-11-10"])
    }
    bars = [bar for bar in strategy.bars[resampled] if bar[0].minute % 5 == 0]
    assert len(bars) >= 12
    assert not any(strategy.phases)
    if kind == "minutes":
        # From the second on: the run began inside the first.
        assert [list(bar[1:]) for bar in bars[1:]] == [expected[bar[0]] for bar in bars[1:]]
