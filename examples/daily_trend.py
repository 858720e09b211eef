"""Trend on daily bars, executed minute by minute.

The daily bars run from 21:00 of the night before to 15:00, like the exchanges' trading days. A
close above the highest high of the last five days asks for a long position, below the lowest low
for a short one. ``order_target_position`` builds it with one limit order at a time that follows
the market.

    python examples/daily_trend.py [--paper] [--symbol KQ.m@DCE.m]
"""

from __future__ import annotations

import argparse

import backtrader as bt

from tianqin_backtrader import MyStore


class DailyTrend(bt.Strategy):
    params = dict(days=5, size=2)

    def __init__(self):
        self.minutes, self.daily = self.datas
        self.highest = bt.ind.Highest(self.daily.high(-1), period=self.p.days)
        self.lowest = bt.ind.Lowest(self.daily.low(-1), period=self.p.days)
        self.target = None

    def next(self):
        if not len(self.minutes) or self.minutes.history_phase:
            return  # the days are history until the first complete live day
        price = self.minutes.close[0]  # of this minute, against completed days
        highest = max(self.highest[0], self.daily.high[0])
        lowest = min(self.lowest[0], self.daily.low[0])
        wanted = self.p.size if price > highest else -self.p.size if price < lowest else None
        if wanted is not None and (self.target is None or self.target.net != wanted):
            when = self.minutes.datetime.datetime(0)
            print(f"[{when}] {price:g} leaves {lowest:g} - {highest:g}: {wanted:+d} lots")
            symbol = self.minutes._dataname
            self.target = self.broker.order_target_position(symbol, wanted, owner=self)

    def notify_order(self, order):
        if order.status == order.Completed:
            side = "bought" if order.isbuy() else "sold"
            print(f"    {side} {abs(order.executed.size):g} at {order.executed.price:g}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paper", action="store_true", help="use the TianQin paper account")
    parser.add_argument("--symbol", default="KQ.m@DCE.m")
    parser.add_argument("--days", type=int, default=3, help="trading days in the sandbox")
    args = parser.parse_args()
    name = "daily_trend"
    sandbox = dict(days=args.days, strategy_name=name)
    with MyStore(strategy_name=name) if args.paper else MyStore.sandbox(**sandbox) as store:
        cerebro = bt.Cerebro()
        cerebro.setbroker(store.getbroker())
        cerebro.adddata(store.getdata(args.symbol))
        # Without the gaps between one main contract and the next, which are no trend.
        adjust = "back" if args.symbol.startswith("KQ.m@") else None
        cerebro.adddata(store.get_daily_data(args.symbol, lookback=60, adjust=adjust))
        cerebro.addstrategy(DailyTrend)
        [strategy] = cerebro.run()
        print(strategy.getposition(strategy.minutes).size, "lots,", store.broker.balance())


if __name__ == "__main__":
    main()
