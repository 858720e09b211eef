"""WarmUpCerebro's indicators have the values that they have in a plain run, on every bar."""

import backtrader as bt
import pytest
from twin_runs import Noting, assert_equal_lives, assert_equal_pasts, twins

MARKET = dict(start="2026-11-10 14:40:00", ticks_per_pack=60)
#: Bases without a computation, or what needs other packages or arguments of its own.
NO_DEFAULTS = {
    "ApplyN", "BaseApplyN", "CointN", "ExponentialSmoothingDynamic", "FindFirstIndex",
    "FindLastIndex", "Indicator", "MovingAverageBase", "OLS_BetaN", "OLS_Slope_InterceptN",
    "OLS_TransformationN", "OperationN", "Oscillator", "OscillatorMixIn", "PeriodN", "ReduceN",
}  # fmt: skip
KINDS = sorted(
    {
        kind
        for kind in vars(bt.indicators).values()
        if isinstance(kind, type) and issubclass(kind, bt.Indicator)
        if not kind.__dict__.get("aliased") and kind.__name__ not in NO_DEFAULTS
    },
    key=lambda kind: kind.__name__,
)
#: Indicators that need every bar in its turn.
SLOW = {"DemarkPivotPoint", "HeikinAshi", "Ichimoku", "LinesCoupler", "haDelta"}
#: Those that Backtrader computes by ``next`` in any case; with rounds in which their feed has no
#: bar, or on other indicators.
LOOPING = {
    "DicksonMovingAverage", "DicksonMovingAverageEnvelope", "DicksonMovingAverageOscillator",
    "HurstExponent", "LaguerreFilter", "LaguerreRSI", "ParabolicSAR", "ZeroLagIndicator",
    "ZeroLagIndicatorEnvelope", "ZeroLagIndicatorOscillator",
}  # fmt: skip
PIVOTS = {"PivotPoint", "FibonacciPivotPoint", "DemarkPivotPoint"}
SAME_SESSIONS, OTHER_SESSIONS = ("SHFE.cu2612", "SHFE.ni2612"), ("SHFE.cu2612", "SHFE.rb2701")


def feeds_of(*symbols, lookback=270, **options):
    options = {"night_start": False, **options}
    return lambda store: [store.getdata(one, lookback=lookback, **options) for one in symbols]


def each(kinds):
    """Every kind over every feed."""

    def make(strategy):
        return [
            kind(*([data] if kind._mindatas < 2 else [data.close, data.open]))
            for data in strategy.datas
            for kind in kinds
        ]

    return make


def test_there_are_more_than_a_hundred_indicators():
    assert len(KINDS) >= 120
    assert {kind.__name__ for kind in KINDS} >= (SLOW | LOOPING) - {"LinesCoupler"}


@pytest.mark.parametrize(
    ("symbols", "slow"),
    [
        (SAME_SESSIONS[:1], SLOW),
        (SAME_SESSIONS, SLOW),
        # Three in four minutes of the night have one bar.
        pytest.param(OTHER_SESSIONS, SLOW | LOOPING, marks=pytest.mark.slow),
    ],
)
def test_every_indicator_of_backtrader(sandbox, symbols, slow):
    [(plain, warm)], cerebro = twins(
        sandbox, MARKET, feeds_of(*symbols), (Noting, dict(make=each(KINDS)))
    )
    assert_equal_lives(plain, warm)
    assert_equal_pasts(plain, warm)
    assert set(cerebro.bar_by_bar) == slow


@pytest.mark.parametrize(
    ("symbols", "without"),
    [
        (SAME_SESSIONS[:1], SLOW | PIVOTS),
        (SAME_SESSIONS, SLOW | PIVOTS),
        pytest.param(OTHER_SESSIONS, SLOW | PIVOTS | LOOPING, marks=pytest.mark.slow),
    ],
)
def test_all_at_once_without_a_round_of_history(sandbox, symbols, without):
    kinds = [kind for kind in KINDS if kind.__name__ not in without]
    assert len(kinds) >= 100
    [(plain, warm)], cerebro = twins(
        sandbox, MARKET, feeds_of(*symbols), (Noting, dict(make=each(kinds)))
    )
    assert cerebro.bar_by_bar == {}
    assert_equal_lives(plain, warm)
    assert_equal_pasts(plain, warm)


def derived(strategy):
    """Indicators on indicators and lines, and operations."""
    made = []
    for data in strategy.datas:
        slow = bt.ind.SMA(data, period=10)
        fast = bt.ind.EMA(data.close, period=5)
        rsi = bt.ind.RSI(fast, period=9, safediv=True)
        made += [
            slow, fast, rsi,
            bt.ind.CrossOver(fast, slow),
            bt.ind.CrossOver(rsi, 50.0),
            bt.ind.BollingerBands(bt.ind.Momentum(slow)),
            bt.ind.PercentRank(rsi, period=20),
            bt.ind.Highest(data.high - data.low, period=7),
            bt.ind.StdDev(data.close(-3), period=8),
            bt.And(data.close > slow, fast(-1) > fast(-2)),
            bt.If(data.close > data.open, data.high, data.low),
            bt.Max(data.close - slow, 0.0),
            bt.DivByZero(fast - slow, data.close - data.open, zero=1.0),
            bt.Cmp(fast, slow),
            10.0 - slow / data.close,
            abs(slow - fast),
            bt.ind.ApplyN(data, period=4, func=max),
        ]  # fmt: skip
    return made


@pytest.mark.parametrize("symbols", [SAME_SESSIONS[:1], OTHER_SESSIONS])
def test_indicators_on_indicators_and_operations(sandbox, symbols):
    [(plain, warm)], cerebro = twins(
        sandbox, MARKET, feeds_of(*symbols), (Noting, dict(make=derived))
    )
    assert_equal_lives(plain, warm)
    assert_equal_pasts(plain, warm)
    assert set(cerebro.bar_by_bar) == {"ApplyN"}  # its function may be anything


def test_looping_indicators_on_others_are_computed_bar_by_bar(sandbox):
    loops = (bt.ind.LaguerreRSI, bt.ind.HurstExponent, bt.ind.LaguerreFilter)

    def make(strategy):
        average = bt.ind.EMA(period=10)
        return [average, *(kind(average) for kind in loops)]

    [(plain, warm)], cerebro = twins(
        sandbox, MARKET, feeds_of("SHFE.cu2612"), (Noting, dict(make=make))
    )
    assert_equal_lives(plain, warm)
    assert_equal_pasts(plain, warm)
    assert set(cerebro.bar_by_bar) == {kind.__name__ for kind in loops}


def between(strategy):
    """Indicators over two feeds."""
    one, two = strategy.datas
    return [
        one.close - two.close,
        bt.ind.SMA(one.close / two.close, period=12),
        bt.ind.CrossOver(bt.ind.SMA(one, period=3), bt.ind.SMA(two, period=3)),
        bt.If(one.close > one.open, two.high, two.low),
    ]


@pytest.mark.parametrize(("symbols", "at_once"), [(SAME_SESSIONS, True), (OTHER_SESSIONS, False)])
def test_indicators_over_two_feeds(sandbox, symbols, at_once):
    [(plain, warm)], cerebro = twins(
        sandbox, MARKET, feeds_of(*symbols), (Noting, dict(make=between))
    )
    assert_equal_lives(plain, warm)
    assert_equal_pasts(plain, warm)
    assert (cerebro.bar_by_bar == {}) is at_once


class Counting(bt.Indicator):
    """Remembers things outside of its lines, and has ``next`` alone."""

    lines = ("total",)

    def __init__(self):
        self.addminperiod(4)
        self.seen = []

    def prenext(self):
        self.seen.append(self.data[0])

    def next(self):
        self.seen.append(self.data[0])
        self.lines.total[0] = sum(self.seen) / len(self.seen) + len(self)


class OnceOnly(bt.Indicator):
    """Computes the same both ways, but remembers only what ``next`` has seen."""

    lines = ("highest",)
    top = 0.0

    def next(self):
        self.top = max(self.top, self.data[0])
        self.lines.highest[0] = self.top

    def once(self, start, end):
        top = 0.0
        for place in range(start, end):
            top = max(top, self.data.array[place])
            self.lines.highest.array[place] = top


class Peeping(bt.Indicator):
    """Reads what is none of its datas."""

    lines = ("sum",)
    params = {"other": None}

    def next(self):
        second = self._owner.datas[-1]
        value = second.close[0] if len(second) else 0.0
        self.lines.sum[0] = self.p.other[0] + value + len(self._owner)


class Nested(bt.Indicator):
    """One of Backtrader's with a part of the program's own."""

    lines = ("mean",)

    def __init__(self):
        self.lines.mean = bt.ind.SMA(Counting(self.data), period=3)


def own(strategy):
    made = []
    for data in strategy.datas:
        average = bt.ind.SMA(data, period=6)
        made += [
            average,
            Counting(data),
            OnceOnly(data),
            Peeping(data, other=average),
            Nested(data),
        ]
        made += [bt.ind.SMA(made[-1], period=5), bt.ind.SMA(data.high, period=5)]
    return made


@pytest.mark.parametrize("symbols", [SAME_SESSIONS[:1], SAME_SESSIONS, OTHER_SESSIONS])
def test_the_programs_own_indicators_are_computed_bar_by_bar(sandbox, symbols):
    """The simple averages of prices beside them are computed at once."""
    [(plain, warm)], cerebro = twins(sandbox, MARKET, feeds_of(*symbols), (Noting, dict(make=own)))
    assert_equal_lives(plain, warm)
    assert_equal_pasts(plain, warm)
    kinds = {"Counting", "OnceOnly", "Peeping", "Nested", "SMA", "SimpleMovingAverage"}
    assert {"Counting", "OnceOnly", "Peeping", "Nested"} < set(cerebro.bar_by_bar) <= kinds


@pytest.mark.parametrize("lookback", [3, 15, 40])
def test_history_that_is_shorter_than_some_indicators_need(sandbox, lookback):
    def make(strategy):
        return [bt.ind.SMA(period=3), bt.ind.SMA(period=20), bt.ind.MACD(), bt.ind.PSAR()]

    [(plain, warm)], cerebro = twins(
        sandbox, MARKET, feeds_of("SHFE.cu2612", lookback=lookback), (Noting, dict(make=make))
    )
    assert_equal_lives(plain, warm)
    assert_equal_pasts(plain, warm)
    assert warm.live_calls().count("nextstart") == (lookback + 20 >= 34)
    assert (cerebro.bar_by_bar == {}) is (lookback == 40)
