"""What scripts written for Backtrader's back-tests do: it works here, or is refused in words."""

import backtrader as bt
import pytest
from e2e_script import CU


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
    """Backtrader's own are cut at midnight: every night in two, and Saturdays among them."""
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
