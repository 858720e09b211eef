"""Which indicators may be computed over the whole history at once."""

import backtrader as bt
import pandas as pd
import pytest

from tianqin_backtrader.feeds.warm_up import Sorting, compute, lines_of, place

BARS = 60


def table(bars=BARS, begin="2026-11-10 09:01"):
    stamps = pd.date_range(begin, periods=bars, freq="min")
    prices = pd.Series([float(100 + n + 7 * (n % 5)) for n in range(bars)], index=stamps)
    columns = dict(open=prices - 1, high=prices + 2, low=prices - 3, close=prices)
    frame = pd.DataFrame(columns | dict(volume=1.0, openinterest=0.0))
    return bt.feeds.PandasData(dataname=frame, timeframe=bt.TimeFrame.Minutes)


def sorted_out(make, *feeds):
    """Make indicators in a strategy; return them, and why each cannot be computed at once."""

    class Sorted(bt.Strategy):
        def __init__(self):
            self.made = make(*self.datas)

        def start(self):
            stamps = {id(one): list(one.datetime.array) for one in self.datas}
            sorting = Sorting(stamps)
            self.reasons = {id(one): sorting.obstacle(one) for one in self.getindicators()}
            self.env.runstop()

    cerebro = bt.Cerebro(stdstats=False)
    for feed in feeds or (table(),):
        cerebro.adddata(feed)
    cerebro.addstrategy(Sorted)
    [strategy] = cerebro.run(runonce=False)
    return [strategy.reasons[id(one)] for one in strategy.made]


class Own(bt.Indicator):
    lines = ("value",)

    def next(self):
        self.lines.value[0] = self.data[0]


@pytest.mark.parametrize(
    "make",
    [
        lambda d: bt.ind.SMA(d, period=5),
        lambda d: bt.ind.CrossOver(d.close, d.open),
        lambda d: bt.ind.CrossOver(d.close, 100.0),
        lambda d: bt.ind.RSI(bt.ind.SMA(d.high, period=3), period=5),
        lambda d: bt.ind.PSAR(d),
        lambda d: bt.ind.LRSI(d.close),
        lambda d: bt.ind.PercentRank(d, period=10),
        lambda d: d.close - d.close(-2),
        lambda d: bt.And(d.close > d.open, d.high > 3),
    ],
)
def test_backtraders_own_are_computed_at_once(make):
    assert sorted_out(lambda data: [make(data)]) == [""]


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda d: Own(d), "is not Backtrader's own (Own)"),
        (lambda d: bt.ind.SMA(Own(d), period=3), "reads what is not known at once"),
        (lambda d: type("Longer", (bt.ind.SMA,), {})(d), "is not Backtrader's own (Longer)"),
        (lambda d: bt.ind.ApplyN(d, period=3, func=sum), "is not Backtrader's own (sum)"),
        (lambda d: bt.ind.ReduceN(d, max, period=3), "calls a function of the program"),
        (lambda d: bt.ind.Ichimoku(d, tenkan=2, kijun=3, senkou=4), "writes into bars of the past"),
        (lambda d: d.close(2), "writes into bars of the past"),
        (lambda d: bt.ind.HeikinAshi(d), "demands it"),
        (lambda d: d(), "follows the bars of another feed"),
        (lambda d: bt.ind.SMA(d, period=BARS + 1), "needs more bars than there are"),
        (lambda d: bt.ind.LRSI(bt.ind.SMA(d)), "is computed bar by bar by Backtrader, too"),
        (lambda d: bt.LineNum(5.0), "reads what is not known at once"),
    ],
)
def test_others_are_computed_bar_by_bar(make, why):
    assert sorted_out(lambda data: [make(data)]) == [why]


def test_an_indicator_does_not_spoil_those_beside_it():
    def make(data):
        own = Own(data)
        return own, bt.ind.SMA(own, period=3), bt.ind.SMA(data, period=3)

    assert sorted_out(make)[2] == ""


def test_feeds_with_the_same_timestamps_are_read_together():
    def make(one, two):
        return one.close - two.close, bt.ind.LRSI(one), bt.ind.SMA(two)

    assert sorted_out(make, table(), table()) == ["", "", ""]


def test_feeds_with_different_timestamps_are_not():
    def make(one, two):
        return one.close - two.close, bt.ind.LRSI(one), bt.ind.SMA(two)

    assert sorted_out(make, table(), table(begin="2026-11-10 09:31")) == [
        "reads feeds with different timestamps", "may count rounds of other feeds", "",
    ]  # fmt: skip


def test_an_indicator_of_a_feed_without_history_has_nothing_to_compute():
    def make(one, two):
        return bt.ind.SMA(one), bt.ind.SMA(two, period=BARS + 1)

    class Sorted(bt.Strategy):
        def __init__(self):
            self.made = make(*self.datas)

        def start(self):
            sorting = Sorting({id(self.data0): [1.0] * BARS, id(self.data1): []})
            self.reasons = [sorting.obstacle(one) for one in self.made]
            self.bars = [sorting.bars(one) for one in self.made]
            self.env.runstop()

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(table())
    cerebro.adddata(table())
    cerebro.addstrategy(Sorted)
    [strategy] = cerebro.run(runonce=False)
    assert strategy.reasons == ["", ""]
    assert strategy.bars == [BARS, 0]


def test_computed_lines_go_on_bar_by_bar_from_where_they_are_placed():
    """Over the first 40 of 60 bars at once, the rest by ``next``."""

    class Mixed(bt.Strategy):
        def __init__(self):
            self.macd = bt.ind.MACD()

        def start(self):
            compute(self.macd)
            for line in lines_of(self.macd):
                del line.array[40:]
            place(lines_of(self.macd), 40)
            place(self.data.lines, 40)
            for _ in range(20):
                self.data.lines.advance()
                self.macd._next()
            self.values = [list(line.array) for line in self.macd.lines]
            self.env.runstop()

    class Plain(bt.Strategy):
        def __init__(self):
            self.macd = bt.ind.MACD()

    def run(kind, **how):
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.adddata(table())
        cerebro.addstrategy(kind)
        return cerebro.run(**how)[0]

    plain = run(Plain, runonce=False)
    assert repr(run(Mixed, runonce=False).values) == repr(
        [list(line.array) for line in plain.macd.lines]
    )
