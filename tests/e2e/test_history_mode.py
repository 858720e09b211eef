"""``backtest=TqBacktest(start, end)``: tqsdk's own back-test, fed by the sandbox's market data.

TianQin's servers answer a back-test like any client: with charts that begin at a given time. So
does the sandbox. The licence and the true history are not tested here.
"""

from datetime import date, datetime

import backtrader as bt
import pytest
from tqsdk import TqBacktest, TqSim

from tianqin_backtrader import MyStore
from tianqin_backtrader.core.clock import from_ns
from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox

CU = "SHFE.cu2612"
DAY = "2026-11-10"
AFTERNOON = (datetime(2026, 11, 10, 14, 45), datetime(2026, 11, 10, 15, 0))


@pytest.fixture(scope="module")
def server():
    with EmbeddedSandbox(start="2026-11-13") as server:
        yield server


@pytest.fixture
def history(server):
    """Make stores in history mode; all are closed at the end."""
    stores = []

    def make(start, end):
        days = TqBacktest(start, end)
        store = MyStore("u", "p", urls=server.urls, account=TqSim(1_000_000), backtest=days)
        stores.append(store)
        return store

    yield make
    for store in stores:
        store.close()


class Quoted(bt.Strategy):
    """Buys at the ask and sells at the bid, in turn, and keeps its bars and fills."""

    def __init__(self):
        self.bars, self.fills, self.heard = [], [], []

    def next(self):
        data = self.data
        self.bars.append((str(data.datetime.datetime(0)), data.history_phase, data.open[0],
                          data.high[0], data.low[0], data.close[0], data.volume[0],
                          data.openinterest[0]))  # fmt: skip
        if data.history_phase:
            return
        if not self.position:
            self.buy(price=data.ask_price[0] + 50, exectype=bt.Order.Limit)
        elif len(data) % 5 == 0:
            self.close(price=data.bid_price[0] - 50, exectype=bt.Order.Limit)

    def notify_order(self, order):
        if order.status == order.Completed:
            self.fills.append((order.isbuy(), order.executed.price))

    def notify_data(self, data, status, *args, **kwargs):
        self.heard.append(data._getstatusname(status))


class AtTheMarket(bt.Strategy):
    """Buys and sells at the market, in turn."""

    def __init__(self):
        self.fills = []

    def next(self):
        if not self.data.history_phase and len(self.data) % 3 == 0:
            self.close() if self.position else self.buy()

    def notify_order(self, order):
        if order.status == order.Completed:
            low, high = self.data.low[0] - 50, self.data.high[0] + 50
            self.fills.append(low <= order.executed.price <= high)


def official(server, moments):
    rows = server.bars(CU, 60, trading_day=DAY)
    found = {
        str(from_ns(row["datetime"] + 60_000_000_000)): tuple(
            row[name] for name in ("open", "high", "low", "close", "volume", "close_oi")
        )
        for row in rows
    }
    return [found[moment] for moment in moments]


def test_minutes_of_the_past_come_as_live_ones_and_orders_fill(server, history, run):
    store = history(*AFTERNOON)
    feed = store.getdata(CU)
    strategy = run(store, Quoted, feed)
    stamps = [bar[0] for bar in strategy.bars]
    assert stamps[0] <= f"{DAY} 14:46:00" and stamps[-1] == f"{DAY} 15:00:00"
    assert [bar[2:] for bar in strategy.bars] == official(server, stamps)
    assert len(strategy.bars) >= 15
    certificate = feed.certificate()
    assert certificate.corrected == certificate.missing == 0
    assert strategy.heard[0] == "LIVE"
    sides = [side for side, _ in strategy.fills]
    assert len(sides) > 2 and sides == [index % 2 == 0 for index in range(len(sides))]
    assert store.market_over and store.now() <= AFTERNOON[1]
    assert store.broker.getvalue() != 1_000_000


@pytest.mark.slow
def test_history_comes_before_it(server, history, run):
    store = history(*AFTERNOON)
    strategy = run(store, Quoted, store.getdata(CU, lookback=60, night_start=False))
    phases = [bar[1] for bar in strategy.bars]
    assert phases[:60] == [True] * 60 and not any(phases[60:])
    stamps = [bar[0] for bar in strategy.bars]
    assert stamps[59] <= f"{DAY} 14:45:00" and stamps == sorted(set(stamps))
    assert [bar[2:] for bar in strategy.bars] == official(server, stamps)


@pytest.mark.slow
def test_days_and_nights_follow_each_other(server, history, run):
    store = history(date(2026, 11, 10), date(2026, 11, 11))
    strategy = run(store, Quoted, store.getdata(CU))
    wanted = [
        str(from_ns(row["datetime"] + 60_000_000_000))
        for day in (DAY, "2026-11-11")
        for row in server.bars(CU, 60, trading_day=day)
    ]
    assert [bar[0] for bar in strategy.bars] == wanted


def test_market_orders_meet_the_other_side_of_the_book(server, run):
    """tqsdk's own matching fills at the limit price, which must not be the day's limit."""
    days = TqBacktest(*AFTERNOON)
    with MyStore("u", "p", urls=server.urls, backtest=days) as store:
        strategy = run(store, AtTheMarket, store.getdata(CU))
        assert len(strategy.fills) >= 4
        assert all(strategy.fills)
        balance = store.broker.balance()
        assert abs(balance.profit) < 5_000
