"""Spread of two products: hot-rolled coil against rebar.

When the spread is far above its average of the last hour it is sold (coil short, rebar long), far
below it is bought; back at its average both legs are closed. Both legs are one decision but two
orders, so each bar checks what both legs really hold and completes the one that is behind.

    python examples/spread.py [--paper] [--coil KQ.m@SHFE.hc --rebar KQ.m@SHFE.rb]
"""

from __future__ import annotations

import argparse

import backtrader as bt

from tianqin_backtrader import MyStore


class Spread(bt.Strategy):
    params = dict(period=60, enter=2.0, leave=0.5, size=2)

    def __init__(self):
        coil, rebar = self.datas
        self.spread = coil.close - rebar.close
        self.mean = bt.ind.SMA(self.spread, period=self.p.period)
        self.deviation = bt.ind.StdDev(self.spread, period=self.p.period)
        self.wanted = 0
        self.working = {}
        self.trips = 0

    def next(self):
        coil, rebar = self.datas
        if coil.history_phase or rebar.history_phase:
            return
        if coil.datetime[0] != rebar.datetime[0] or not self.deviation[0]:
            return  # one of the two has no bar of this minute
        score = (self.spread[0] - self.mean[0]) / self.deviation[0]
        before = self.wanted
        if abs(score) > self.p.enter:
            self.wanted = -self.p.size if score > 0 else self.p.size
        elif abs(score) < self.p.leave:
            self.wanted = 0
        if self.wanted != before:
            self.trips += self.wanted == 0
            when = coil.datetime.datetime(0)
            print(f"[{when}] spread {self.spread[0]:g}, score {score:+.1f}: {self.wanted:+d}")
        self.bring(coil, self.wanted)
        self.bring(rebar, -self.wanted)

    def bring(self, data, target):
        """Bring a leg to its target; wait for orders that are still working."""
        order = self.working.get(data)
        if order is not None and order.alive():
            return
        missing = target - self.getposition(data).size
        if missing and self.broker.store.is_trading(data._dataname):
            self.working[data] = self.order_target_size(data, target)

    def notify_order(self, order):
        if order.status in (order.Rejected, order.Margin):
            print(f"    {order.data._dataname} refused: {order.info.reason}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paper", action="store_true", help="use the TianQin paper account")
    parser.add_argument("--coil", default="KQ.m@SHFE.hc")
    parser.add_argument("--rebar", default="KQ.m@SHFE.rb")
    parser.add_argument("--days", type=int, default=1, help="trading days in the sandbox")
    args = parser.parse_args()
    name = "spread"
    sandbox = dict(days=args.days, ticks_per_pack=10, strategy_name=name)  # sooner done
    with MyStore(strategy_name=name) if args.paper else MyStore.sandbox(**sandbox) as store:
        cerebro = bt.Cerebro()
        cerebro.setbroker(store.getbroker())
        cerebro.adddata(store.getdata(args.coil, lookback=600))
        cerebro.adddata(store.getdata(args.rebar, lookback=600))
        cerebro.addstrategy(Spread)
        [strategy] = cerebro.run()
        print(f"{strategy.trips} round trips, {store.broker.balance()}")


if __name__ == "__main__":
    main()
