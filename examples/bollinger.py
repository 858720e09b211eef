"""Bollinger breakout on five-minute bars.

A close above the upper band opens a long position, one below the lower band a short one; back at
the middle band the position is closed. The five-minute bars are TianQin's own, not resampled: they
end where its charts end them, also at breaks.

    python examples/bollinger.py [--paper] [--symbol KQ.m@DCE.m]
"""

from __future__ import annotations

import argparse

import backtrader as bt

from tianqin_backtrader import MyStore


class Bollinger(bt.Strategy):
    params = dict(period=20, width=2.0, size=3)

    def __init__(self):
        self.bands = bt.ind.BollingerBands(period=self.p.period, devfactor=self.p.width)

    def next(self):
        if self.data.history_phase:
            return
        close, size = self.data.close[0], self.position.size
        if close > self.bands.top[0] and size <= 0:
            self.work_towards(self.p.size)
        elif close < self.bands.bot[0] and size >= 0:
            self.work_towards(-self.p.size)
        elif (size > 0 and close < self.bands.mid[0]) or (size < 0 and close > self.bands.mid[0]):
            self.work_towards(0)

    def work_towards(self, target):
        """Reverse in one call if needed: the order closes first, then opens."""
        if self.broker.store.is_trading(self.data._dataname):
            print(f"[{self.data.datetime.datetime(0)}] {self.data.close[0]:g}: {target:+d} lots")
            self.order_target_size(target=target)

    def notify_order(self, order):
        if order.status in (order.Rejected, order.Margin):
            print(f"    refused: {order.info.reason}")

    def notify_trade(self, trade):
        if trade.isclosed:
            side = "long" if trade.long else "short"
            print(f"    {side} {trade.pnlcomm:+.2f} yuan")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paper", action="store_true", help="use the TianQin paper account")
    parser.add_argument("--symbol", default="KQ.m@DCE.m")
    parser.add_argument("--days", type=int, default=1, help="trading days in the sandbox")
    args = parser.parse_args()
    name = "bollinger"
    sandbox = dict(days=args.days, ticks_per_pack=10, strategy_name=name)  # sooner done
    with MyStore(strategy_name=name) if args.paper else MyStore.sandbox(**sandbox) as store:
        cerebro = bt.Cerebro()
        cerebro.setbroker(store.getbroker())
        cerebro.adddata(store.getdata(args.symbol, lookback=200, compression=5))
        cerebro.addstrategy(Bollinger)
        cerebro.run()
        print(store.broker.balance())


if __name__ == "__main__":
    main()
