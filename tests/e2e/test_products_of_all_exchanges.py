"""One product of each exchange and class of sessions, through the real client, over a close."""

from datetime import datetime

import backtrader as bt
import pytest

from tianqin_backtrader.core.clock import MINUTE, from_ns


class TradeAll(bt.Strategy):
    """Buys the smallest opening order in every feed, closes it two bars later, ends at a time."""

    params = dict(until=None)

    def __init__(self):
        self.bars = {data: [] for data in self.datas}
        self.done = {data._name: [] for data in self.datas}

    def prenext(self):
        self.next()

    def next(self):
        for data in self.datas:
            bars = self.bars[data]
            if len(data) == len(bars):
                continue
            bars.append((
                data.datetime.datetime(0), data.open[0], data.high[0], data.low[0], data.close[0],
                data.volume[0],
            ))  # fmt: skip
            known = self.broker.store.instrument(data._name)
            if len(bars) == 1:  # at a limit that waits for the lots that the book does not show
                self.buy(
                    data, size=known.open_min_limit_order_volume,
                    exectype=bt.Order.Limit, price=known.upper_limit,
                )  # fmt: skip
            elif len(bars) == 3:
                self.close(data)
        if self.data.datetime.datetime(0) >= self.p.until:
            self.env.runstop()

    def notify_order(self, order):
        if not order.alive():
            self.done[order.data._name].append(order.getstatusname())


@pytest.mark.parametrize(
    ("start", "until", "symbols"),
    [
        (  # the day's close, 15:15 for bonds
            "2026-11-10 14:52:00", "2026-11-10 15:15:00",
            ["CFFEX.TL2612", "SHFE.ni2701", "INE.ec2612", "DCE.jd2701", "CZCE.AP701",
             "CFFEX.IM2612", "GFEX.ps2701"],
        ),
        (  # the night's close at 23:00, while other products trade on
            "2026-11-09 22:54:00", "2026-11-09 23:04:00",
            ["INE.bc2701", "SHFE.hc2701", "DCE.p2701", "CZCE.FG701", "DCE.l2701F"],
        ),
    ],
    ids=["day", "night"],
)  # fmt: skip
def test_they_are_traded_and_every_bar_is_the_official_one(sandbox, run, start, until, symbols):
    store = sandbox(start=start, balance=50_000_000, ticks_per_pack=5)
    feeds = [store.getdata(symbol) for symbol in symbols]
    strategy = run(store, TradeAll, *feeds, until=datetime.fromisoformat(until))
    for feed, bars in strategy.bars.items():
        rows = store.sandbox_server.bars(feed._name, 60, trading_day="2026-11-10")
        official = [
            (from_ns(row["datetime"] + MINUTE),
             *(row[name] for name in ("open", "high", "low", "close", "volume")))
            for row in rows
        ]  # fmt: skip
        begin = official.index(bars[0])
        assert bars == official[begin : begin + len(bars)] and len(bars) >= 5, feed._name
        assert strategy.done[feed._name] == ["Completed"] * 2
    assert store.broker.get_account_positions() == {}
