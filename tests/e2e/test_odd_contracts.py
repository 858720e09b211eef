"""Indexes, options, combinations, contracts that expire or are at their limit, and torn rows."""

import backtrader as bt
import pytest

from tianqin_backtrader.core.clock import MINUTE, from_ns


class Keep(bt.Strategy):
    params = dict(bars=None, act=None)

    def __init__(self):
        self.bars = {data._name: [] for data in self.datas}
        self.statuses, self.orders = [], []
        self.lengths = dict.fromkeys(self.datas, 0)

    def notify_data(self, data, status, *args, **kwargs):
        self.statuses.append((data._name, data._getstatusname(status)))

    def notify_order(self, order):
        if not order.alive():
            self.orders.append((order.getstatusname(), order.info.get("reason", "")))

    def next(self):
        for data in self.datas:
            if len(data) > self.lengths[data]:
                self.lengths[data] = len(data)
                self.bars[data._name].append(
                    (
                        data.datetime.datetime(0), data.open[0], data.high[0], data.low[0],
                        data.close[0], data.volume[0], data.openinterest[0],
                    )
                )  # fmt: skip
        if self.p.act is not None:
            self.p.act(self)
        if len(self.data) == self.p.bars:
            self.env.runstop()

    prenext = next


def official(store, symbol, day):
    names = ("open", "high", "low", "close", "volume", "close_oi")
    rows = store.sandbox_server.bars(symbol, 60, trading_day=day)
    return [(from_ns(row["datetime"] + MINUTE), *(row[name] for name in names)) for row in rows]


@pytest.mark.parametrize(
    "symbol", ["KQ.i@SHFE.cu", "SHFE.cu2612C78000", "DCE.SP m2701&m2705", "KQ.m@SHFE.cu"]
)
def test_bars_of_what_is_no_single_future(sandbox, run, symbol):
    store = sandbox(start="2026-11-10 09:31:00", ticks_per_pack=5)
    strategy = run(store, Keep, store.getdata(symbol, lookback=50, night_start=False), bars=90)
    bars = official(store, symbol, "2026-11-10")
    begin = bars.index(strategy.bars[symbol][0])
    assert strategy.bars[symbol] == bars[begin : begin + 90]
    certificate = store.certificate()[symbol]
    assert certificate.equal + certificate.pending == 40


def test_an_index_takes_no_orders_and_says_so(sandbox, run):
    def act(strategy):
        if len(strategy.data) == 3:
            strategy.buy()

    store = sandbox(start="2026-11-10 09:31:00", ticks_per_pack=5)
    strategy = run(store, Keep, store.getdata("KQ.i@SHFE.cu"), bars=5, act=act)
    [(status, reason)] = strategy.orders
    assert status == "Rejected"
    assert "is an index: it has bars but takes no orders" in reason


def test_a_contract_that_ends_leaves_the_others_alone(sandbox, run):
    """2026-11-16 is the last trading day of cu2611."""
    store = sandbox(start="2026-11-16", days=2, ticks_per_pack=60)
    strategy = run(store, Keep, store.getdata("SHFE.cu2611"), store.getdata("SHFE.cu2612"))
    assert strategy.bars["SHFE.cu2611"] == official(store, "SHFE.cu2611", "2026-11-16")
    assert strategy.bars["SHFE.cu2612"] == [
        bar for day in ("2026-11-16", "2026-11-17") for bar in official(store, "SHFE.cu2612", day)
    ]
    ended = [status for name, status in strategy.statuses if name == "SHFE.cu2611"]
    assert ended[0] == "LIVE"
    assert ended.index("NOTSUBSCRIBED") == len(ended) - 1
    assert store.certificate()["SHFE.cu2611"].equal == 465


def test_an_empty_side_of_the_book_at_the_limit_is_nan(sandbox, run):
    books = []

    def act(strategy):
        data = strategy.data
        if len(data) == 5:
            store.sandbox_server.fault("limit_up", symbol="SHFE.cu2612")
        books.append((data.close[0], data.bid_price[0], data.ask_price[0], data.ask_volume[0]))

    store = sandbox(start="2026-11-10 09:31:00", ticks_per_pack=5)
    strategy = run(store, Keep, store.getdata("SHFE.cu2612"), bars=15, act=act)
    limit = store.instrument("SHFE.cu2612").upper_limit
    close, bid, ask, ask_volume = books[-1]
    assert (close, bid, ask_volume) == (limit, limit, 0)
    assert ask != ask
    bars = official(store, "SHFE.cu2612", "2026-11-10")
    begin = bars.index(strategy.bars["SHFE.cu2612"][0])
    assert strategy.bars["SHFE.cu2612"] == bars[begin : begin + 15]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("tells_time", [True, False])
def test_bars_that_come_later_than_their_quotes_are_waited_for(sandbox, run, tells_time, count):
    """Before a break nothing else says that the last bar is not complete."""
    late = [
        {"at": {"time": f"2026-11-10 {at}"}, "fault": "late_bars", "count": count}
        for at in ("10:11:58.4", "10:12:58.9", "10:14:58.4")
    ]
    store = sandbox(start="2026-11-10 10:09:31", tells_time=tells_time, script=late)
    strategy = run(store, Keep, store.getdata("SHFE.cu2612"), bars=8)
    bars = official(store, "SHFE.cu2612", "2026-11-10")
    begin = bars.index(strategy.bars["SHFE.cu2612"][0])
    assert strategy.bars["SHFE.cu2612"] == bars[begin : begin + 8]
    assert store.sandbox_server.state()["faults"]["counts"]["late_bars"] == 3
    certificate = store.certificate()["SHFE.cu2612"]
    assert certificate.corrected == certificate.missing == 0


@pytest.mark.parametrize("faults", [["hole"], ["shuffle"], ["hole", "shuffle"]], ids="+".join)
def test_rows_of_ticks_that_are_lost_or_come_late_change_no_bar(sandbox, run, faults):
    def act(strategy):
        if len(strategy.data) % 5 == 0:
            for fault in faults:
                store.sandbox_server.fault(fault, count=3)

    store = sandbox(start="2026-11-10 09:31:00")
    strategy = run(store, Keep, store.getdata("SHFE.cu2612"), bars=70, act=act)
    bars = official(store, "SHFE.cu2612", "2026-11-10")
    begin = bars.index(strategy.bars["SHFE.cu2612"][0])
    assert strategy.bars["SHFE.cu2612"] == bars[begin : begin + 70]
    certificate = store.certificate()["SHFE.cu2612"]
    assert certificate.corrected == certificate.missing == 0
