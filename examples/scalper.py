"""Scalper on ticks: joins the heavier side of the order book.

When there are far more lots bid than offered, it bids, too, at the best price. When that is
filled, it offers one tick higher, and gives up if the book turns. Orders unfilled after twenty
ticks are withdrawn.

    python examples/scalper.py [--paper] [--symbol KQ.m@SHFE.rb]
"""

from __future__ import annotations

import argparse

import backtrader as bt

from tianqin_backtrader import MyStore, RiskLimits


class Scalper(bt.Strategy):
    params = dict(heavy=0.8, patience=20, most=200)

    def __init__(self):
        self.order, self.age = None, 0
        self.trips = 0

    def next(self):
        tick = self.data
        bid, ask = tick.bid_price[0], tick.ask_price[0]
        lots = tick.bid_volume[0] + tick.ask_volume[0]
        symbol = tick._dataname
        if bid != bid or ask != ask or not lots or not self.broker.store.is_trading(symbol):
            return
        weight = tick.bid_volume[0] / lots
        if self.order is not None and self.order.alive():
            self.age += 1
            if self.age > self.p.patience:
                self.broker.cancel(self.order)
            return
        size, self.age = self.position.size, 0
        step = self.broker.store.instrument(symbol).price_tick
        if size > 0:
            price = bid if weight < 1 - self.p.heavy else max(ask, self.position.price + step)
            self.order = self.broker.sell_close(symbol, size, price, owner=self)
        elif size < 0:
            price = ask if weight > self.p.heavy else min(bid, self.position.price - step)
            self.order = self.broker.buy_close(symbol, -size, price, owner=self)
        elif self.trips >= self.p.most:
            self.env.runstop()
        elif weight > self.p.heavy:
            self.order = self.broker.buy_open(symbol, 1, bid, owner=self)
        elif weight < 1 - self.p.heavy:
            self.order = self.broker.sell_open(symbol, 1, ask, owner=self)

    def notify_trade(self, trade):
        self.trips += trade.isclosed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paper", action="store_true", help="use the TianQin paper account")
    parser.add_argument("--symbol", default="KQ.m@SHFE.rb")
    parser.add_argument("--trips", type=int, default=20, help="number of round trips")
    args = parser.parse_args()
    name = "scalper"
    sandbox = dict(strategy_name=name)
    with MyStore(strategy_name=name) if args.paper else MyStore.sandbox(**sandbox) as store:
        cerebro = bt.Cerebro(stdstats=False)  # an observer would store a value for every tick
        cerebro.setbroker(store.getbroker(risk=RiskLimits(max_position=1)))
        cerebro.adddata(store.get_tick_data(args.symbol))
        cerebro.addstrategy(Scalper, most=args.trips)
        [strategy] = cerebro.run()
        orders = store.broker.get_all_orders()
        print(f"{strategy.trips} round trips of {len(orders)} orders, {store.broker.balance()}")


if __name__ == "__main__":
    main()
