"""Uses of feeds in Cerebro: replay, runs over months, several contracts and accounts."""

from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread

import backtrader as bt
import pytest

from tianqin_backtrader import MyStore
from tianqin_backtrader.core.clock import MINUTE, from_ns
from tianqin_backtrader.errors import ConfigError

INDICATORS = (
    lambda d: bt.ind.SMA(d, period=20),
    lambda d: bt.ind.EMA(d, period=30),
    lambda d: bt.ind.WMA(d),
    lambda d: bt.ind.HMA(d),
    lambda d: bt.ind.DEMA(d),
    lambda d: bt.ind.KAMA(d),
    lambda d: bt.ind.RSI(d),
    lambda d: bt.ind.MACD(d),
    lambda d: bt.ind.TRIX(d),
    lambda d: bt.ind.BollingerBands(d),
    lambda d: bt.ind.ATR(d),
    lambda d: bt.ind.ADX(d),
    lambda d: bt.ind.CCI(d),
    lambda d: bt.ind.Stochastic(d),
    lambda d: bt.ind.UltimateOscillator(d),
    lambda d: bt.ind.AroonUpDown(d),
    lambda d: bt.ind.PercentRank(d),
    lambda d: bt.ind.Highest(d.high, period=50),
    lambda d: bt.ind.CrossOver(bt.ind.SMA(d, period=5), bt.ind.SMA(d, period=10)),
    lambda d: (d.close - d.open) / d.close(-3),
    lambda d: bt.And(d.close > d.open, d.close(-3) > d.close(-1)),
)


def lines_of(one):
    return getattr(one.lines, "lines", one.lines)


class Indicators(bt.Strategy):
    def __init__(self):
        self.kept = [make(data) for data in self.datas for make in INDICATORS]
        self.rows, self.longest = [], 0

    def next(self):
        lines = [line for one in (*self.kept, *self.datas, self) for line in lines_of(one)]
        self.rows.append(tuple(line[0] for line in lines))
        self.longest = max(self.longest, *(len(line.array) for line in lines))


def run_indicators(sandbox, keep_bars):
    store = sandbox(start="2026-11-10 14:00:00", ticks_per_pack=60)
    cerebro = bt.Cerebro()
    cerebro.setbroker(store.getbroker())
    options = dict(lookback=450, keep_bars=keep_bars, night_start=False)
    for symbol in ("SHFE.cu2612", "SHFE.rb2701"):
        cerebro.adddata(store.getdata(symbol, **options))
    cerebro.resampledata(cerebro.datas[0], timeframe=bt.TimeFrame.Minutes, compression=2)
    cerebro.addstrategy(Indicators)
    [strategy] = cerebro.run()
    store.close()
    return strategy


def test_only_the_latest_bars_are_kept_and_indicators_do_not_notice(sandbox):
    """Seven indicators in ten have a memory of their own; nested ones and observers are there."""
    whole, trimmed = run_indicators(sandbox, None), run_indicators(sandbox, 120)
    assert [len(data) for data in trimmed.datas] == [len(data) for data in whole.datas]
    assert list(map(str, trimmed.rows)) == list(map(str, whole.rows))  # nan is equal to nan
    assert whole.longest > 500
    assert trimmed.longest <= 2 * 120 + 2


def test_what_is_kept_can_be_plotted(sandbox, monkeypatch):
    """Bars, their indicators and the strategy were trimmed at different times."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    monkeypatch.setattr(matplotlib, "use", lambda *args, **kwargs: None)  # Backtrader would use Tk

    class Averages(bt.Strategy):
        def __init__(self):
            self.averages = [bt.ind.SMA(data, period=5) for data in self.datas]

    store = sandbox(start="2026-11-10 14:50:00", ticks_per_pack=60)
    cerebro = bt.Cerebro()
    cerebro.setbroker(store.getbroker())
    cerebro.adddata(store.getdata("SHFE.cu2612", lookback=100, keep_bars=40))
    cerebro.resampledata(cerebro.datas[0], timeframe=bt.TimeFrame.Minutes, compression=2)
    cerebro.addstrategy(Averages)
    [strategy] = cerebro.run()
    for data, average in zip(strategy.datas, strategy.averages, strict=True):
        closes, values = list(data.close.array), list(average.lines[0].array)
        assert len(closes) == len(values) == len(data.datetime.array) >= 20
        assert data.datetime.array[0] >= strategy.datetime.array[0]
        means = [sum(closes[place - 4 : place + 1]) / 5 for place in range(4, len(closes))]
        assert values[4:] == pytest.approx(means)
    assert cerebro.plot(iplot=False)


def test_what_a_live_run_cannot_do_is_refused_in_words(sandbox):
    def run_with(prepare):
        store = sandbox(start="2026-11-10 14:58:00", ticks_per_pack=60)
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.adddata(store.getdata("SHFE.cu2612"))
        cerebro.addstrategy(bt.Strategy)
        try:
            prepare(cerebro)
            cerebro.run()
        finally:
            store.close()

    with pytest.raises(ConfigError, match=r"in this run already: add feed\.clone"):
        run_with(lambda cerebro: cerebro.adddata(cerebro.datas[0]))
    with pytest.raises(ConfigError, match="Renko is a filter for back-tests alone"):
        run_with(lambda cerebro: cerebro.datas[0].addfilter(bt.filters.Renko, size=50))
    with pytest.raises(ConfigError, match="Beijing time"):
        sandbox().getdata("SHFE.cu2612", tzinput="Asia/Shanghai")


def test_dates_writers_observers_and_a_thread(sandbox):
    """A run in its own thread, over bars between two times, written to a file, with records."""
    store = sandbox(start="2026-11-10 14:50:00", ticks_per_pack=60)
    begin, end = datetime(2026, 11, 10, 14, 30), datetime(2026, 11, 10, 14, 55)
    feed = store.getdata("SHFE.cu2612", lookback=100, fromdate=begin, todate=end)
    cerebro = bt.Cerebro()
    cerebro.setbroker(store.getbroker(records="kept"))
    cerebro.adddata(feed)
    cerebro.addstrategy(Closes, bars=-1)
    cerebro.addobserver(bt.observers.DrawDown)
    cerebro.addwriter(bt.WriterFile, csv=True, out="run.csv")
    done = []
    thread = Thread(target=lambda: done.extend(cerebro.run()))
    thread.start()
    thread.join(60)
    [strategy] = done
    stamps = [stamp for stamp, _ in strategy.closes["SHFE.cu2612"]]
    assert (stamps[0], stamps[-1], len(stamps)) == (begin, end, 26)
    with open("run.csv") as file:
        rows = [line.split(",") for line in file if line[:1].isdigit()]
    assert [row[3] for row in rows] == [f"{stamp}" for stamp in stamps]
    store.close()  # in another thread than the run
    assert len(list(Path("kept").rglob("account.csv"))) == 1


@pytest.mark.parametrize("wrong", [0, -1, 9])
def test_too_few_bars_to_keep(sandbox, wrong):
    with pytest.raises(ConfigError, match="keep_bars"):
        sandbox().getdata("SHFE.cu2612", keep_bars=wrong)


@pytest.mark.parametrize("resampled", [False, True])
def test_an_indicator_that_needs_more_bars_than_are_kept(sandbox, resampled):
    """It would be calculated from the remaining bars, without an error."""

    class Long(bt.Strategy):
        def __init__(self):
            bt.ind.SMA(self.data, period=50)

    store = sandbox(start="2026-11-10 09:31:00", ticks_per_pack=20)
    feed = store.getdata("SHFE.cu2612", lookback=60, keep_bars=20)
    cerebro = bt.Cerebro(stdstats=False)
    if resampled:
        cerebro.resampledata(feed, timeframe=bt.TimeFrame.Minutes, compression=2)
    else:
        cerebro.adddata(feed)
    cerebro.addstrategy(Long)
    with pytest.raises(ConfigError, match=r"keep_bars=20 .* need 50 bars"):
        cerebro.run()


class Replayed(bt.Strategy):
    """Keep every state of the bar that is being replayed."""

    def __init__(self):
        self.states = []

    def next(self):
        data = self.datas[-1]
        self.states.append(
            (
                len(data), data.datetime.datetime(0), data.open[0], data.high[0], data.low[0],
                data.close[0], data.volume[0],
            )
        )  # fmt: skip
        if len(data) == 8:
            self.env.runstop()


@pytest.mark.parametrize("beside", [True, False], ids=["beside the feed", "alone"])
@pytest.mark.parametrize("kind", ["minutes", "ticks"])
def test_replayed_bars_grow_and_end_as_the_official_ones(sandbox, beside, kind):
    store = sandbox(start="2026-11-10 09:20:00", ticks_per_pack=20)
    make, minutes = (store.getdata, 5) if kind == "minutes" else (store.get_tick_data, 1)
    feed = make("SHFE.cu2612")
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.setbroker(store.getbroker())
    if beside:
        cerebro.adddata(feed)
    cerebro.replaydata(feed, timeframe=bt.TimeFrame.Minutes, compression=minutes)
    cerebro.addstrategy(Replayed)
    [strategy] = cerebro.run()
    length = timedelta(minutes=minutes)
    rows = store.sandbox_server.bars("SHFE.cu2612", 60 * minutes, trading_day="2026-11-10")
    official = {from_ns(row["datetime"] + minutes * MINUTE): row for row in rows}
    for number in range(2, 8):
        states = [state for state in strategy.states if state[0] == number]
        assert len(states) > 1
        _, stamp, opened, high, low, close, volume = states[-1]
        [row] = [row for end, row in official.items() if end - length < stamp <= end]
        assert (close, volume) == (row["close"], row["volume"])
        if kind == "minutes":  # a bar of ticks begins with a tick, not with the price in force
            assert (opened, high, low) == (row["open"], row["high"], row["low"])


class Closes(bt.Strategy):
    params = dict(bars=30)

    def __init__(self):
        self.closes = {data._name: [] for data in self.datas}
        self.lengths = dict.fromkeys(self.datas, 0)

    def next(self):
        for data in self.datas:
            if len(data) > self.lengths[data]:
                self.lengths[data] = len(data)
                self.closes[data._name].append((data.datetime.datetime(0), data.close[0]))
        if len(self.data) == self.p.bars:
            self.env.runstop()

    prenext = next


def official_closes(server, symbol, day):
    rows = server.bars(symbol, 60, trading_day=day)
    return [(from_ns(row["datetime"] + MINUTE), row["close"]) for row in rows]


def test_runs_one_after_the_other_on_one_store(sandbox, run):
    """With new feeds, and with an earlier one: a feed that is not in the run delays no other."""

    class Ten(bt.Strategy):
        def __init__(self):
            self.live = []

        def next(self):
            if not self.data.history_phase:
                self.live.append(self.data.datetime.datetime(0))
            if len(self.live) == 10:
                self.env.runstop()

    store = sandbox(start="2026-11-10 09:31:00", ticks_per_pack=20)

    def bars(feed):
        return run(store, Ten, feed).live

    symbol, first = "SHFE.cu2612", store.getdata("SHFE.cu2612", lookback=5)
    seen = bars(first)
    seen += bars(store.getdata(symbol, lookback=5))
    assert store.feeds[0] is not first
    seen += bars(store.getdata("DCE.m2701"))
    again = bars(first)
    assert len(again) == len(set(again)) == 10
    assert seen == sorted(set(seen)) and len(seen) == 30
    assert again[0] == seen[9] + timedelta(minutes=1), "it goes on where it ended"


#: Live bars until a feed releases rows.
LIVE = 60


class FirstLive(bt.Strategy):
    """Keeps all bars, and ends the run after some live ones."""

    def __init__(self):
        self.bars, self.live = [], 0

    def next(self):
        self.bars.append((self.data.datetime.datetime(0), self.data.close[0]))
        self.live += not self.data.history_phase
        if self.live == LIVE:
            self.env.runstop()


@pytest.mark.parametrize(
    "lookbacks",
    [
        (2500, 2500),
        pytest.param((50, 2500), marks=pytest.mark.slow),
        pytest.param((2500, 700), marks=pytest.mark.slow),
    ],
)
def test_a_second_run_has_as_much_history_as_the_first(sandbox, run, lookbacks):
    """The first run has released old rows, and a server sends no row twice on a connection."""
    store = sandbox(start="2026-11-10 09:31:00", ticks_per_pack=20)
    symbol = "SHFE.cu2612"
    for lookback in lookbacks:
        feed = store.getdata(symbol, lookback=lookback, night_start=False)
        bars = run(store, FirstLive, feed).bars
        rows = store.sandbox_server.bars(symbol, left=0, right=1 << 40)
        official = [(from_ns(row["datetime"] + MINUTE), row["close"]) for row in rows]
        assert len(bars) == lookback + LIVE
        place = official.index(bars[0])
        assert bars[:lookback] == official[place : place + lookback]


def test_a_silent_contract_holds_up_nobody(sandbox, run):
    """Far contracts have few ticks; each minute of the near one still comes when it ends."""
    store = sandbox(start="2026-11-10 09:30:20", ticks_per_pack=5)
    far = store.getdata("SHFE.cu2704")
    strategy = run(store, Closes, store.getdata("SHFE.cu2612"), far)
    near = strategy.closes["SHFE.cu2612"]
    assert near == official_closes(store.sandbox_server, "SHFE.cu2612", "2026-11-10")[270:300]
    quiet = store.sandbox_server.ticks("SHFE.cu2704", trading_day="2026-11-10")
    assert far.ticks_taken < 30
    assert len(quiet) < 1000
    # Flat minutes of the silent one came with the minutes of the other.
    flat = [stamp for stamp, _ in strategy.closes["SHFE.cu2704"]]
    assert [stamp for stamp in flat if stamp >= near[0][0]] == [stamp for stamp, _ in near]


@pytest.mark.told_time("a process lives on one sandbox's clock")
def test_a_second_account_beside_the_first(sandbox, run):
    """Two stores, each with feeds in the same run: both are waited for."""
    one = sandbox(start="2026-11-10 09:30:00", ticks_per_pack=10)
    two = sandbox(start="2026-11-10 09:30:00", ticks_per_pack=10)
    strategy = run(one, Closes, one.getdata("SHFE.cu2612"), two.getdata("SHFE.rb2701"))
    for store, symbol in ((one, "SHFE.cu2612"), (two, "SHFE.rb2701")):
        closes = strategy.closes[symbol]
        assert len(closes) >= 25
        official = official_closes(store.sandbox_server, symbol, "2026-11-10")
        begin = official.index(closes[0])
        assert closes == official[begin : begin + len(closes)]


def test_another_tqsdk_is_read_by_its_public_surface(sandbox, run, untested_tqsdk):
    """Data frames replace the data tree, which is not tested with that version."""
    store = sandbox(start="2026-11-10 09:30:00", ticks_per_pack=5)
    feeds = [
        store.getdata("SHFE.cu2612", lookback=100, night_start=False),
        store.getdata("SHFE.cu2612", compression=5, name="five"),
        store.get_daily_data("SHFE.cu2612", lookback=5, name="day"),
        store.get_tick_data("SHFE.cu2612", name="ticks"),
    ]
    strategy = run(store, Closes, *feeds, bars=130)
    closes = strategy.closes["SHFE.cu2612"]
    official = [
        row
        for day in ("2026-11-09", "2026-11-10")
        for row in official_closes(store.sandbox_server, "SHFE.cu2612", day)
    ]
    begin = official.index(closes[0])
    assert closes == official[begin : begin + 130]
    for name in ("SHFE.cu2612", "five"):
        certificate = store.certificate()[name]
        assert certificate.delivered - certificate.pending == certificate.equal > 4
    ticks = store.sandbox_server.ticks("SHFE.cu2612", trading_day="2026-11-10")
    lasts = [row["last_price"] for row in ticks]
    taken = [close for _, close in strategy.closes["ticks"]]
    begin = next(n for n in range(len(lasts)) if lasts[n : n + 20] == taken[:20])
    assert taken == lasts[begin : begin + len(taken)]


def test_feeds_of_one_contract_are_told_apart(sandbox, run):
    store = sandbox(start="2026-11-10 14:30:20")
    live = store.serve()
    symbol = "SHFE.cu2612"
    feeds = [
        store.getdata(symbol, lookback=5),
        store.get_daily_data(symbol, lookback=5),
        store.getdata(symbol, compression=5),
        store.getdata(symbol),
    ]
    run(store, Closes, *feeds, bars=-1)
    names = [symbol, f"{symbol} day", f"{symbol} 5 min", f"{symbol} 1 min"]
    certificates = store.certificate()
    assert list(certificates) == list(store.health().last_data) == names
    assert [certificates[name].delivered for name in names] == [30, 1, 6, 30]
    live.publish(live.latest.taken)
    assert dict(live.page.feeds) == dict.fromkeys(names, symbol)
    assert [len(live.page.bars[name]) for name in names] == [len(feed) for feed in feeds]


def test_a_timer_before_the_close_and_one_at_the_opening(sandbox, run):
    """Backtrader's way to be flat before the close; copper's night session ends at one."""

    class Timed(bt.Strategy):
        def __init__(self):
            self.fired = []
            self.add_timer(bt.timer.SESSION_END, offset=-timedelta(minutes=5), tzdata=self.data)
            self.add_timer(bt.timer.SESSION_START)

        def notify_timer(self, timer, when, *args, **kwargs):
            self.fired.append(f"{self.data.datetime.datetime(0):%m-%d %H:%M}")

    store = sandbox(start="2026-11-09 14:50:00", days=2, ticks_per_pack=60)
    assert run(store, Timed, store.getdata("SHFE.cu2612", lookback=1)).fired == [
        "11-06 21:01", "11-09 14:55", "11-09 21:01", "11-10 14:55",
    ]  # fmt: skip


def test_a_store_says_that_it_is_closed(sandbox):
    store = sandbox()
    store.close()
    with pytest.raises(Exception, match="closed"):
        MyStore.getdata(store, "SHFE.cu2612")
