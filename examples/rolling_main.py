"""A trend of the main contract whose position is rolled when the main contract changes (移仓换月).

The feed is TianQin's main contract without jumps: prices of earlier contracts are moved to those of
the newest one, so the averages see no gap at a change. Orders on it go to the underlying contract.
On the first day of another main contract ``RollManager`` closes the position in the old one and
opens it in the new one, lot by lot; the strategy waits meanwhile. In the sandbox copper's main
contract changes on the second day, from SHFE.cu2612 to SHFE.cu2701.

    python examples/rolling_main.py [--paper] [--symbol KQ.m@SHFE.cu]
"""

from __future__ import annotations

import argparse

import backtrader as bt

from tianqin_backtrader import MyStore, RollManager


class MainTrend(bt.Strategy):
    params = dict(fast=60, slow=240, size=2)

    def __init__(self):
        self.fast = bt.ind.SMA(period=self.p.fast)
        self.slow = bt.ind.SMA(period=self.p.slow)
        self.order = None

    def next(self):
        working = self.order is not None and self.order.alive()
        rolling = any(not roll.state.ended for roll in self.broker.store.rolls.rolls)
        if self.data.history_phase or working or rolling:
            return
        self.order = self.order_target_size(target=self.p.size * (-1) ** (self.fast < self.slow))

    def notify_order(self, order):
        if order.status == order.Completed:
            side = "bought" if order.isbuy() else "sold"
            contracts = ", ".join(sorted({leg.symbol for leg in order.legs}))
            done = order.executed
            when = f"{self.data.num2date(done.dt):%Y-%m-%d %H:%M:%S}"
            print(f"[{when}] {side} {abs(done.size):g} {contracts} at {done.price:g}")
        elif order.status == order.Rejected:
            print(f"refused: {order.info.reason}")

    def notify_data(self, data, status, *args, **kwargs):
        if status == data.MAIN_CHANGED:
            change = kwargs["change"]
            print(f"{change.day}: {change.old} -> {change.new}, gap {change.gap:+g}")

    def notify_store(self, msg, *args, **kwargs):
        if "roll" in kwargs or "warning" in kwargs:
            print(f"    {msg}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paper", action="store_true", help="use the TianQin paper account")
    parser.add_argument("--symbol", default="KQ.m@SHFE.cu")
    args = parser.parse_args()
    name = "rolling_main"
    sandbox = dict(start="2026-11-03 13:30:00", days=2, ticks_per_pack=5, strategy_name=name)
    with MyStore(strategy_name=name) if args.paper else MyStore.sandbox(**sandbox) as store:
        cerebro = bt.Cerebro()
        cerebro.setbroker(store.getbroker())
        cerebro.adddata(store.getdata(args.symbol, lookback=500, adjust="back"))
        RollManager(store, args.symbol)
        cerebro.addstrategy(MainTrend)
        cerebro.run()
        for symbol, held in store.broker.get_account_positions().items():
            print(symbol, "long", held["pos_long"], "short", held["pos_short"])
        print(store.broker.balance())


if __name__ == "__main__":
    main()
