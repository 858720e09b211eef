"""Features that scripts for Backtrader's back-tests use work, or are refused with a reason."""

from multiprocessing.pool import Pool

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
from e2e_script import CU, MORNING, play

from tianqin_backtrader.errors import ConfigError


class Bars(bt.Strategy):
    """Keep every bar of every feed."""

    def __init__(self):
        self.bars = {data._name: [] for data in self.datas}

    def next(self):
        for data in self.datas:
            bars = self.bars[data._name]
            while len(data) > len(bars):
                bars.append(None)
            if bars:
                lines = (data.open, data.high, data.low, data.close, data.volume)
                bars[-1] = (data.datetime.datetime(), *[line[0] for line in lines])

    prenext = next


def cerebro_of(store, *strategies, **options):
    cerebro = bt.Cerebro(stdstats=False, **options)
    cerebro.setbroker(store.getbroker())
    for strategy in strategies or (Bars,):
        cerebro.addstrategy(strategy)
    return cerebro


@pytest.mark.parametrize("beside", [True, False], ids=["beside the minutes", "alone"])
def test_days_and_weeks_made_of_minutes_are_of_trading_days(sandbox, beside):
    """Backtrader's own days are cut at midnight: nights are divided, and Saturdays exist."""
    store = sandbox(start="2026-11-10 14:50:00", ticks_per_pack=20)
    cerebro = cerebro_of(store)
    one = store.getdata(CU, lookback=1500)
    if beside:
        cerebro.adddata(one)
    for method, length in (("resample", "Days"), ("replay", "Days"), ("resample", "Weeks")):
        minutes = one if beside else store.getdata(CU, lookback=1500)
        make = getattr(cerebro, f"{method}data")
        make(minutes, timeframe=getattr(bt.TimeFrame, length), name=f"{method} {length}")
    cerebro.adddata(store.get_daily_data(CU, lookback=True), name="days")
    [strategy] = cerebro.run()
    bars = strategy.bars
    made = bars["resample Days"]
    assert [str(bar[0]) for bar in made[-4:]] == [
        f"2026-11-{day} 15:00:00" for day in ("05", "06", "09", "10")
    ]
    assert made == bars["replay Days"] == bars["days"][-len(made) :]
    for week, days in zip(bars["resample Weeks"][-2:], (made[-7:-2], made[-2:]), strict=True):
        assert week[1:] == (
            days[0][1], max(day[2] for day in days), min(day[3] for day in days), days[-1][4],
            sum(day[5] for day in days[-len(made) :]),
        )  # fmt: skip


def test_a_calendar_of_the_users_own_is_obeyed(sandbox):
    """Sessions from midnight to midnight."""
    store = sandbox(start="2026-11-10 14:58:00")
    cerebro = cerebro_of(store)
    cerebro.addcalendar(bt.TradingCalendar())
    minutes = store.getdata(CU, lookback=1500)
    cerebro.resampledata(minutes, timeframe=bt.TimeFrame.Days, name="made")
    [strategy] = cerebro.run()
    assert "2026-11-07" in [str(bar[0].date()) for bar in strategy.bars["made"]]


def test_numbers_of_numpy_are_numbers(sandbox, run):
    """Sizes and prices calculated by indicators and pandas."""

    def script(strategy):
        broker, last = strategy.broker, np.float32(strategy.data.close[0])
        limit = strategy.buy(
            size=np.int64(2), price=np.int64(last + 200), exectype=bt.Order.Limit, bars=np.int64(3)
        )
        yield limit
        assert limit.executed.size == 2
        assert type(limit.info.bars) is type(limit.created.price) is int
        yield strategy.sell(size=np.float32(1))
        yield broker.sell_close(CU, np.int32(1), np.int64(last - 200))
        assert broker.getposition(CU).size == 0
        stop = strategy.buy(
            size=np.int64(1), exectype=bt.Order.StopTrail, trailamount=np.int64(10_000)
        )
        yield None
        assert stop.alive()
        assert stop.created.price > last + 9_000
        done.append(True)

    done = []
    play(sandbox(start=MORNING), run, script, CU)
    assert done


def test_an_order_of_no_kind_is_refused_as_such(sandbox, run):
    def script(strategy):
        for kind in (bt.Order.Historical, 99, "Limit"):
            order = strategy.buy(size=1, price=1.0, exectype=kind, trailamount=10.0)
            assert order.status == bt.Order.Rejected
            assert repr(kind) in order.info.reason
        yield None
        done.append(True)

    done = []
    play(sandbox(start=MORNING), run, script, CU)
    assert done


SETTINGS = [
    ("setcash", (1e6,), "sandbox\\(balance"),
    ("set_coc", (True,), "filled by the exchange"),
    ("set_slippage_perc", (0.01,), "filled by the exchange"),
    ("set_shortcash", (True,), "determine margin and payments"),
    ("set_fundmode", (True,), "shares of a fund"),
    ("add_order_history", ([],), "in the records"),
    ("setcommission", (2.0, 2000.0, 10.0), "name of a feed"),
    ("addcommissioninfo", (bt.CommissionInfo(),), "name of a feed"),
]


def test_settings_of_the_simulated_broker_are_refused_in_words(sandbox):
    broker = sandbox(start=MORNING).getbroker()
    for name, arguments, words in SETTINGS:
        with pytest.raises(ConfigError, match=words):
            getattr(broker, name)(*arguments)


def test_commission_of_a_named_feed_is_the_users(sandbox):
    store = sandbox(start="2026-11-10 14:59:00")
    broker = store.getbroker()
    broker.setcommission(commission=5.0, margin=1000.0, mult=5.0, name="copper")
    cerebro = cerebro_of(store)
    cerebro.adddata(store.getdata(CU, name="copper"))
    cerebro.adddata(store.getdata(CU, name="other"))
    [strategy] = cerebro.run()
    mult = [broker.getcommissioninfo(data).p.mult for data in strategy.datas]
    assert mult == [5.0, store.instrument(CU).volume_multiple]


@pytest.mark.parametrize("processes", [1, None])
def test_an_optimization_on_an_account_is_refused(sandbox, processes):
    """In one process it would trade with one parameter after the other."""
    store = sandbox(start="2026-11-10 14:59:00")
    cerebro = bt.Cerebro(maxcpus=processes)
    cerebro.setbroker(store.getbroker())
    cerebro.adddata(store.getdata(CU))
    cerebro.optstrategy(bt.Strategy)
    with pytest.raises(ConfigError, match="once for each parameter") as refused:
        cerebro.run()
    for entry in refused.traceback:
        pool = entry.frame.f_locals.get("pool")
        if isinstance(pool, Pool):  # Backtrader leaves it open
            pool.terminate()
            pool.join()


@pytest.mark.parametrize("kind", ["chaindata", "rolloverdata"])
def test_live_feeds_are_not_chained(sandbox, kind):
    """The run would end without a bar, or never end."""
    store = sandbox(start="2026-11-10 14:59:00")
    cerebro = cerebro_of(store)
    getattr(cerebro, kind)(store.getdata(CU), store.getdata("SHFE.cu2701"), name="both")
    with pytest.raises(ConfigError, match=r"KQ\.m@"):
        cerebro.run()


@pytest.mark.parametrize(
    ("broker_too", "instead"), [(True, r"use next\(\)"), (False, r"order in next\(\)")]
)
def test_an_open_that_is_past_is_not_cheated_on(sandbox, broker_too, instead):
    store = sandbox(start="2026-11-10 14:59:00")
    cerebro = cerebro_of(store, cheat_on_open=True, broker_coo=broker_too)
    cerebro.adddata(store.getdata(CU))
    with pytest.raises(ConfigError, match=instead):
        cerebro.run()


def test_feeds_of_others_clones_and_feeds_without_a_bar_beside_ours(sandbox):
    """Analyzers and strategies query the broker about all feeds."""

    class Mixed(bt.Strategy):
        def notify_order(self, order):
            if not order.alive():
                ends.append((order.getstatusname(), order.info.get("reason", "")))

        def prenext(self):
            if len(self.data) == 1 and not bought:
                bought.extend([self.buy(data=five, size=2), self.buy(data=own, size=1)])
            if len(self.data) == 2:
                self.margin = 2 * store.instrument(CU).margin
                self.held = {name: pos.size for name, pos in self.getpositionsbyname().items()}

        next = prenext

    store = sandbox(start="2026-11-10 14:50:00")
    cerebro = cerebro_of(store, Mixed)
    minutes = store.getdata(CU, name="minutes")
    cerebro.adddata(minutes)
    five = cerebro.resampledata(minutes, timeframe=bt.TimeFrame.Minutes, compression=5, name="five")
    own = bt.feeds.PandasData(
        dataname=pd.DataFrame(
            dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0),
            index=pd.date_range("2026-11-10 14:54", periods=2, freq="min"),
        ),
        name="own",
    )
    cerebro.adddata(own)
    cerebro.addanalyzer(bt.analyzers.PositionsValue, _name="values")
    ends, bought = [], []
    [strategy] = cerebro.run()
    assert strategy.held == {"minutes": 2, "five": 2, "own": 0}
    assert [status for status, _ in ends] == ["Rejected", "Completed"]
    assert "own" in ends[0][1]
    [*_, values] = strategy.analyzers.values.get_analysis().values()
    assert values == [strategy.margin, strategy.margin, 0.0]
