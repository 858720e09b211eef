"""What a run in WarmUpCerebro has in common with a plain one, and what not."""

import math
from datetime import datetime, time, timedelta

import backtrader as bt
import pandas as pd
import pytest
from twin_runs import Noting, assert_equal_lives, assert_equal_pasts, run_once, twins

from tianqin_backtrader import WarmUpCerebro
from tianqin_backtrader.errors import ConfigError

CU, NI, RB, IF = "SHFE.cu2612", "SHFE.ni2612", "SHFE.rb2701", "CFFEX.IF2612"
MAIN = "KQ.m@SHFE.cu"
MARKET = dict(start="2026-11-10 14:40:00", ticks_per_pack=60)


def averages(strategy):
    made = []
    for data in strategy.datas:
        fast, slow = bt.ind.SMA(data, period=5), bt.ind.EMA(data, period=12)
        made += [fast, slow, bt.ind.CrossOver(fast, slow), bt.ind.ATR(data, period=6)]
    return made


AVERAGES = (Noting, dict(make=averages))


def minutes(*symbols, lookback=120, **options):
    options = {"night_start": False, **options}
    return lambda store: [store.getdata(one, lookback=lookback, **options) for one in symbols]


# -- feeds ------------------------------------------------------------------------------------


def long_and_short(store):
    return [
        store.getdata(CU, lookback=150, night_start=False),
        store.getdata(NI, lookback=40, night_start=False),
    ]


def with_and_without(store):
    return [
        store.getdata(RB),
        store.getdata(CU, lookback=60, night_start=False),
        store.getdata(IF),
    ]


def days_and_minutes(store):
    return [
        store.get_daily_data(CU, lookback=20),
        store.getdata(CU, lookback=90, night_start=False, name="minutes"),
        store.getdata(CU, compression=5, lookback=60, night_start=False, name="fives"),
    ]


def night_and_day(store):
    return minutes(CU, RB, IF, lookback=300)(store)


def whole_days(store):
    return [store.getdata(CU, lookback=30), store.getdata(RB, lookback=30)]


def from_a_date(store):
    begin = datetime(2026, 11, 10, 13, 45)
    return [store.getdata(CU, lookback=120, fromdate=begin), *minutes(NI)(store)]


@pytest.mark.parametrize(
    "feeds",
    [
        long_and_short, with_and_without, days_and_minutes, night_and_day, whole_days,
        from_a_date, minutes(MAIN, adjust="back", lookback=2500),
        minutes(CU, RB, lookback=100, keep_bars=30),
    ],
)  # fmt: skip
def test_the_life_is_that_of_a_plain_run(sandbox, feeds):
    """In every live bar: feeds, indicators, the strategy's length, and what lies behind."""
    [(plain, warm)], cerebro = twins(sandbox, MARKET, feeds, AVERAGES)
    assert_equal_lives(plain, warm)
    assert cerebro.bar_by_bar == {}
    if feeds is not from_a_date and warm.data.keep_bars is None:
        assert_equal_pasts(plain, warm)


def test_ticks_beside_minutes(sandbox):
    """One feed has no history; its first tick is a live bar."""

    def feeds(store):
        return [store.get_tick_data(NI), *minutes(CU)(store)]

    market = dict(start="2026-11-10 14:57:00", ticks_per_pack=20)
    [(plain, warm)], cerebro = twins(sandbox, market, feeds, AVERAGES)
    assert_equal_lives(plain, warm)
    assert cerebro.bar_by_bar == {}


def test_minutes_before_ticks(sandbox):
    market = dict(start="2026-11-10 14:58:00", ticks_per_pack=20)
    [(plain, warm)], cerebro = twins(
        sandbox, market, lambda store: [store.getdata_v2(CU, lookback=50)], AVERAGES
    )
    assert_equal_lives(plain, warm)
    assert_equal_pasts(plain, warm)
    assert cerebro.bar_by_bar == {}


def test_a_main_contract_changes_its_contract_after_the_warm_up(sandbox):
    """Bars of history are shifted then, as if they had been delivered one by one."""

    def feeds(store):
        return [store.getdata(MAIN, lookback=200, adjust="back", night_start=False)]

    market = dict(start="2026-11-03 14:50:00", days=2, ticks_per_pack=60)
    [(plain, warm)], _ = twins(sandbox, market, feeds, (Few, dict(make=averages, bars=20)))
    assert warm.datetime.datetime() > datetime(2026, 11, 3, 21)
    assert_equal_lives(plain, warm)
    assert_equal_pasts(plain, warm)


class Few(Noting):
    """Stops after so many live bars."""

    params = (("bars", 10),)

    def note(self, name):
        super().note(name)
        if len(self.rows) == self.p.bars:
            self.env.runstop()


def test_only_the_latest_bars_are_kept_after_the_warm_up(sandbox):
    feeds = minutes(CU, RB, lookback=250, keep_bars=30)
    [(_, warm)], _ = twins(sandbox, MARKET, feeds, (Few, dict(make=averages, bars=1)))
    lines = [line for one in (*warm.datas, *warm.made, warm) for line in one.lines]
    assert max(len(line.array) for line in lines) <= 31
    assert len(warm.data) == 251


def test_an_indicator_that_needs_more_bars_than_are_kept_is_refused(sandbox):
    store = sandbox(**MARKET)
    with pytest.raises(ConfigError, match=r"keep_bars=10 .* need 13 bars"):
        run_once(store, WarmUpCerebro, minutes(CU, keep_bars=10), [AVERAGES])


# -- where the history must be walked through -----------------------------------------------------


def resampled(cerebro):
    [feed] = cerebro.datas
    cerebro.resampledata(feed, timeframe=bt.TimeFrame.Minutes, compression=5)


def replayed(cerebro):
    [feed] = cerebro.datas
    cerebro.replaydata(feed, timeframe=bt.TimeFrame.Minutes, compression=5)


def filtered(cerebro):
    cerebro.datas[0].addfilter(bt.filters.HeikinAshi)


def cloned(cerebro):
    cerebro.adddata(cerebro.datas[0].clone())


def with_a_table(cerebro):
    """A feed of the user's own; its bars are of the day's morning and of the day before."""
    stamps = pd.date_range("2026-11-09 13:31", periods=90, freq="min")
    stamps = stamps.append(pd.date_range("2026-11-10 13:31", periods=60, freq="min"))
    prices = pd.Series(range(100, 100 + len(stamps)), index=stamps, dtype=float)
    columns = ("open", "high", "low", "close", "volume", "openinterest")
    frame = pd.DataFrame(dict.fromkeys(columns, prices))
    cerebro.adddata(
        bt.feeds.PandasData(dataname=frame, timeframe=bt.TimeFrame.Minutes, name="table")
    )


@pytest.mark.parametrize(
    ("prepare", "how"),
    [
        (resampled, {}), (replayed, {}), (filtered, {}), (cloned, {}), (with_a_table, {}),
        (None, {"exactbars": 1}), (None, {"exactbars": -1}), (None, {"oldsync": True}),
    ],
)  # fmt: skip
def test_walking_through_the_history_gives_the_same_life(sandbox, prepare, how):
    """The strategy is silent, too; only time differs."""
    options = dict(make=averages, back=1 if how.get("exactbars") else 20)
    [(plain, warm)], cerebro = twins(
        sandbox, MARKET, minutes(CU), (Noting, options), prepare=prepare, **how
    )
    assert_equal_lives(plain, warm)
    assert list(cerebro.bar_by_bar) == ["the history"]


@pytest.mark.parametrize("how", ["resampledata", "replaydata"])
def test_longer_bars_alone(sandbox, how):
    """The bar that is being made over the end of history belongs to the first live round."""
    done = []
    for kind in (bt.Cerebro, WarmUpCerebro):
        store = sandbox(**MARKET | dict(start="2026-11-10 14:13:00"))

        def prepare(cerebro, store=store):
            [feed] = minutes(CU)(store)
            getattr(cerebro, how)(feed, timeframe=bt.TimeFrame.Minutes, compression=5)

        _, [strategy] = run_once(store, kind, lambda store: [], [AVERAGES], prepare)
        store.close()
        done.append(strategy)
    assert_equal_lives(*done, least=9)
    assert_equal_pasts(*done)


def test_a_feed_that_ends_within_its_history(sandbox):
    def feeds(store):
        end = datetime(2026, 11, 10, 14, 10)
        return [*minutes(CU)(store), *minutes(NI, todate=end)(store)]

    [(plain, warm)], cerebro = twins(sandbox, MARKET, feeds, AVERAGES)
    assert_equal_lives(plain, warm)
    assert_equal_pasts(plain, warm)
    assert "todate" in cerebro.bar_by_bar["the history"]


def test_an_own_class_of_feed_loads_in_its_own_way(sandbox):
    def feeds(store):
        [feed] = minutes(CU)(store)
        feed.__class__ = type("Halved", (type(feed),), {"_write": halved})
        return [feed]

    def halved(self, bar):
        super(type(self), self)._write(bar._replace(close=bar.close / 2))

    [(plain, warm)], cerebro = twins(sandbox, MARKET, feeds, AVERAGES)
    assert_equal_lives(plain, warm)
    assert_equal_pasts(plain, warm)
    assert list(cerebro.bar_by_bar) == ["the history"]


# -- the strategy ---------------------------------------------------------------------------------


def test_two_strategies_of_which_one_goes_bar_by_bar(sandbox):
    def pivots(strategy):
        return [bt.ind.PivotPoint(), *averages(strategy)]

    pairs, cerebro = twins(sandbox, MARKET, minutes(CU, RB), AVERAGES, (Noting, dict(make=pivots)))
    assert len(pairs) == 2
    for plain, warm in pairs:
        assert_equal_lives(plain, warm)
        assert_equal_pasts(plain, warm)
    assert list(cerebro.bar_by_bar) == ["LinesCoupler"]


@pytest.mark.parametrize("how", [{}, {"lookahead": 7}])
def test_two_strategies_at_once(sandbox, how):
    pairs, cerebro = twins(sandbox, MARKET, minutes(CU), AVERAGES, (Noting, {}), **how)
    for plain, warm in pairs:
        assert_equal_lives(plain, warm)
        assert_equal_pasts(plain, warm)
    assert cerebro.bar_by_bar == {}


def test_statuses_come_as_in_a_plain_run(sandbox):
    [(plain, warm)], _ = twins(sandbox, MARKET, minutes(CU, NI), AVERAGES)
    assert warm.statuses == plain.statuses
    assert warm.statuses[:2] == [(CU, "DELAYED", 0), (NI, "DELAYED", 0)]
    live = next(seen for seen in warm.statuses if seen[:2] == (CU, "LIVE"))
    assert live[2] in (120, 121)  # with the first live bar, or in a round without one


def test_a_strategy_that_computes_lines_of_its_own(sandbox):
    class Signals(Noting):
        lines = ("signal",)

        def __init__(self):
            super().__init__()
            self.lines.signal = bt.ind.SMA(period=4) - bt.ind.SMA(period=9)

    [(plain, warm)], cerebro = twins(sandbox, MARKET, minutes(CU), (Signals, dict(make=averages)))
    assert_equal_lives(plain, warm)
    assert_equal_pasts(plain, warm)
    assert list(cerebro.bar_by_bar) == ["LinesOperation"]


def test_signals_and_indicators_of_cerebro(sandbox):
    done = []
    for kind in (bt.Cerebro, WarmUpCerebro):
        store = sandbox(**MARKET)
        cerebro = kind(stdstats=False)
        cerebro.setbroker(store.getbroker())
        cerebro.adddata(store.getdata(CU, lookback=60, night_start=False))
        cerebro.addindicator(bt.ind.MACD)
        cerebro.add_signal(bt.SIGNAL_LONGSHORT, Momentary)
        [strategy] = cerebro.run()
        done.append([repr(line.array) for one in strategy.getindicators() for line in one.lines])
        assert store.getbroker().get_all_orders()
        store.close()
    assert done[0] == done[1]


class Momentary(bt.Indicator):
    lines = ("signal",)

    def __init__(self):
        self.lines.signal = bt.ind.Momentum(period=3)


class Trading(Noting):
    """Buys with the first call, and sells three bars later."""

    def note(self, name):
        super().note(name)
        if not self.position and len(self.rows) == 1:
            self.buy()
        elif self.position and len(self.rows) == 4:
            self.close()

    def notify_trade(self, trade):
        if trade.isclosed:
            self.closed = trade.pnl, trade.barlen


def test_trades_observers_and_analyzers(sandbox):
    """Observers have no values in history, analyzers see live bars alone."""

    class Seen(bt.Analyzer):
        def start(self):
            self.seen = []

        def prenext(self):
            self.seen.append(("prenext", len(self.data)))

        def nextstart(self):
            self.seen.append(("nextstart", len(self.data)))

        def next(self):
            self.seen.append(("next", len(self.data)))

    def prepare(cerebro):
        cerebro.addanalyzer(Seen)
        cerebro.addanalyzer(bt.analyzers.TradeAnalyzer)
        cerebro.addobserver(bt.observers.DrawDown)
        cerebro.addobserver(bt.observers.TimeReturn)

    [(plain, warm)], _ = twins(
        sandbox, MARKET, minutes(CU, NI), (Trading, dict(make=averages)), prepare=prepare,
        options={"stdstats": True},
    )  # fmt: skip
    assert_closed_alike(plain, warm)
    before = len(warm) - len(warm.rows)
    for one, other in zip(plain.getobservers(), warm.getobservers(), strict=True):
        assert len(one) == len(other)
        for line, twin in zip(one.lines, other.lines, strict=True):
            assert len(line.array) == len(twin.array)
            assert repr(list(line.array[before:])) == repr(list(twin.array[before:]))
            assert all(map(math.isnan, twin.array[:before]))
    assert warm.analyzers.seen.seen[0] == ("nextstart", before + 1)
    assert warm.analyzers.seen.seen[1:] == plain.analyzers.seen.seen[before + 1 :]
    analyses = [one.analyzers.tradeanalyzer.get_analysis() for one in (plain, warm)]
    assert analyses[0] == analyses[1]
    assert analyses[0].total.closed == 1


def assert_closed_alike(plain, warm):
    assert warm.closed == plain.closed
    assert_equal_lives(plain, warm)


@pytest.mark.parametrize("keep_bars", [None, 30])
def test_the_run_can_be_plotted(sandbox, monkeypatch, keep_bars):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    monkeypatch.setattr(matplotlib, "use", lambda *args, **kwargs: None)  # Backtrader would use Tk
    store = sandbox(**MARKET)
    feeds = minutes(CU, RB, keep_bars=keep_bars)
    options = {"stdstats": True}
    cerebro, _ = run_once(
        store, WarmUpCerebro, feeds, [(Trading, dict(make=averages))], None, options
    )
    assert cerebro.plot(iplot=False)


def test_timers_are_for_live_bars_only(sandbox):
    """A time that has passed in history does not fire with the first live bar."""

    def timers(cerebro):
        for when in (time(9, 30), time(14, 30), time(14, 45)):
            cerebro.add_timer(when, strats=True)
        cerebro.add_timer(time(14, 0), strats=True, repeat=timedelta(minutes=7), cheat=True)
        cerebro.add_timer(bt.timer.SESSION_START, strats=True)
        cerebro.add_timer(bt.timer.SESSION_END, strats=True, offset=-timedelta(minutes=5))

    [(plain, warm)], cerebro = twins(
        sandbox, MARKET, minutes(CU, lookback=400), AVERAGES, prepare=timers
    )
    assert cerebro.bar_by_bar == {}
    live = [when for when, in_history in plain.fired if not in_history]
    assert [when for when, _ in warm.fired] == live
    assert len(live) == 5
    assert len(plain.fired) > 20


def test_timers_that_ask_a_feed_go_through_the_history(sandbox):
    def timers(cerebro):
        for when in (time(9, 30), time(14, 45)):
            cerebro.add_timer(when, strats=True, tzdata=cerebro.datas[0])

    [(plain, warm)], cerebro = twins(
        sandbox, MARKET, minutes(CU, lookback=400), AVERAGES, prepare=timers
    )
    assert list(cerebro.bar_by_bar) == ["timers"]
    assert_equal_lives(plain, warm)
    live = [when for when, in_history in plain.fired if not in_history]
    assert [when for when, _ in warm.fired] == live
    assert len(live) == 1


@pytest.mark.parametrize("prepared", [None, filtered])
def test_a_writer_begins_with_the_first_live_bar(sandbox, prepared):
    def prepare(cerebro):
        cerebro.addwriter(bt.WriterFile, csv=True, out=f"{type(cerebro).__name__}.csv")
        if prepared is not None:
            prepared(cerebro)

    [(_, warm)], _ = twins(sandbox, MARKET, minutes(CU), AVERAGES, prepare=prepare)
    rows = {}
    for name in ("Cerebro", "WarmUpCerebro"):
        with open(f"{name}.csv") as file:
            rows[name] = [line.split(",", 1)[1] for line in file if line[:1].isdigit()]
    assert len(rows["WarmUpCerebro"]) == len(warm.rows)
    assert rows["WarmUpCerebro"] == rows["Cerebro"][-len(warm.rows) :]


def test_a_stop_before_the_first_bar(sandbox):
    class Stopping(Noting):
        def notify_data(self, data, status, *args, **kwargs):
            self.env.runstop()

    store = sandbox(**MARKET)
    _, [strategy] = run_once(store, WarmUpCerebro, minutes(CU), [(Stopping, dict(make=averages))])
    assert strategy.calls == []
    assert len(strategy) == len(strategy.data) == 0


def test_a_second_run_goes_on_where_the_first_ended(sandbox):
    done = []
    for kind in (bt.Cerebro, WarmUpCerebro):
        store = sandbox(**MARKET)
        cerebro, [first] = run_once(store, kind, minutes(CU), [(Few, dict(make=averages, bars=5))])
        [second] = cerebro.run()
        done.append((first, second))
        store.close()
    for plain, warm in zip(*done, strict=True):
        assert_equal_lives(plain, warm, least=5)
        assert_equal_pasts(plain, warm)
    assert second.rows[0][0] == [1, first.datetime.datetime() + timedelta(minutes=1)]


def test_what_a_live_run_cannot_do_is_refused_as_in_cerebro(sandbox):
    with pytest.raises(ConfigError, match="trade at its open"):
        run_once(sandbox(**MARKET), WarmUpCerebro, minutes(CU), [AVERAGES], cheat_on_open=True)


@pytest.mark.parametrize("how", [{}, {"runonce": False}])
def test_without_live_feeds_it_is_cerebro(how):
    done = []
    for kind in (bt.Cerebro, WarmUpCerebro):
        cerebro = kind(stdstats=False)
        with_a_table(cerebro)
        cerebro.addstrategy(Closes)
        done += cerebro.run(**how)
    assert done[0].seen == done[1].seen
    assert len(done[0].seen) == 148


class Closes(bt.Strategy):
    def __init__(self):
        self.average, self.seen = bt.ind.SMA(period=3), []

    def next(self):
        self.seen.append((self.data.close[0], self.average[0]))
