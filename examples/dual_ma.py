"""Dual moving average, long and short, on one contract.

Without an account it trades a whole trading day on the embedded exchange::

    python examples/dual_ma.py

With a TianQin account (``TQ_USER`` and ``TQ_PASS``) it trades on the TianQin paper account until
Ctrl-C::

    python examples/dual_ma.py --paper --symbol KQ.m@SHFE.cu
"""

from __future__ import annotations

import argparse
import signal
import sys

import backtrader as bt

from tianqin_backtrader import MyStore
from tianqin_backtrader.errors import TianqinError


class DualMovingAverage(bt.Strategy):
    """An upward cross closes a short and opens a long at the ask; a downward cross does the
    reverse.

    The price may move away from a limit order, and the market may close before it fills. So the
    strategy remembers the side of the last cross, and works towards it with every bar.
    """

    params = dict(fast=5, slow=20, size=1)

    def __init__(self):
        self.symbol = self.data._dataname
        fast = bt.ind.SMA(self.data.close, period=self.p.fast)
        slow = bt.ind.SMA(self.data.close, period=self.p.slow)
        self.crossover = bt.ind.CrossOver(fast, slow)
        self.side = None  # +1 long, -1 short, None before the first cross
        self.orders = []
        self.trades = []
        self.warming_up = False

    def next(self):
        if self.data.history_phase:
            self.warming_up = True
            if len(self.data) % 2000 == 0:
                print(f"[{self.data.datetime.datetime(0)}] warming up: {len(self.data)} bars")
            return
        if self.warming_up:
            self.warming_up = False
            print(f"[{self.data.datetime.datetime(0)}] live, after {len(self.data) - 1} bars")
        if self.crossover[0]:
            self.side = 1 if self.crossover[0] > 0 else -1
            name = "long" if self.side > 0 else "short"
            print(f"[{self.data.datetime.datetime(0)}] signal {name} at {self.data.close[0]:g}")
        if self.side is not None:
            self.work_towards(self.side)

    def work_towards(self, side):
        """Withdraw unfilled orders; close the other side, then open this one."""
        working = [order for order in self.orders if order.alive()]
        for order in working:
            self.broker.cancel(order)
        if working:
            return  # the next bar knows how much of it was filled
        position = self.broker.get_account_position(self.symbol)
        long, short = position.get("pos_long", 0), position.get("pos_short", 0)
        ask, bid = self.data.ask_price[0], self.data.bid_price[0]
        if side > 0 and ask == ask:  # not nan: there is an ask
            if short:
                self.place(self.broker.buy_close, short, ask)
            if long < self.p.size:
                self.place(self.broker.buy_open, self.p.size - long, ask)
        elif side < 0 and bid == bid:
            if long:
                self.place(self.broker.sell_close, long, bid)
            if short < self.p.size:
                self.place(self.broker.sell_open, self.p.size - short, bid)

    def place(self, four_way, size, price):
        """Send a four-way order; if the market is closed, the next bar tries again."""
        if self.broker.store.is_trading(self.symbol):
            print(f"    order  {four_way.__name__} {size} at {price:g}")
            self.orders = [order for order in self.orders if order.alive()]
            self.orders.append(four_way(self.symbol, size, price, owner=self))

    def notify_order(self, order):
        if order.status in (order.Partial, order.Completed):
            when = f"{self.data.num2date(order.executed.dt):%F %T}"
            side, done = "buy " if order.isbuy() else "sell", order.executed
            print(f"    fill   {side} {abs(done.size):g} at {done.price:g}, {when}")
        elif order.status in (order.Rejected, order.Margin):
            print(f"    refused: {order.info.reason}")

    def notify_trade(self, trade):
        if trade.isclosed:
            self.trades.append(trade)
            print(f"    trade  {'long' if trade.long else 'short'}: {trade.pnlcomm:+.2f} yuan")


def report(strategy, broker):
    """Print the result of the run."""
    balance = broker.balance()
    wins = sum(trade.pnlcomm > 0 for trade in strategy.trades)
    longs = sum(trade.long for trade in strategy.trades)
    print()
    print(
        f"round trips   {len(strategy.trades)} ({longs} long, {len(strategy.trades) - longs} short)"
    )
    print(f"winners       {wins}")
    print(f"start         {balance.start:15,.2f} yuan")
    print(f"profit        {balance.profit:+15,.2f}")
    print(f"fees          {-balance.fees:+15,.2f}")
    print(f"final equity  {balance.equity:15,.2f} by the library")
    print(f"              {broker.getvalue():15,.2f} by the account")
    positions = broker.get_account_positions()
    for symbol, position in positions.items():
        print(f"position      {symbol} long {position['pos_long']} short {position['pos_short']}")
    if not positions:
        print("position      none")


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paper", action="store_true", help="use the TianQin paper account")
    parser.add_argument("--symbol", default="KQ.m@SHFE.cu", help="contract (default %(default)s)")
    parser.add_argument("--fast", type=int, default=5, help="minutes of the fast average")
    parser.add_argument("--slow", type=int, default=20, help="minutes of the slow average")
    parser.add_argument("--days", type=int, default=1, help="trading days in the sandbox")
    parser.add_argument("--seed", type=int, default=1, help="determines the sandbox's market")
    return parser.parse_args(argv)


def main(argv=None):
    args = parse(argv)
    if args.paper:
        store = MyStore(strategy_name="dual_ma")
    else:
        options = dict(seed=args.seed, days=args.days, strategy_name="dual_ma")
        store = MyStore.sandbox(**options, ticks_per_pack=5)  # faster
    with store:
        cerebro = bt.Cerebro()
        cerebro.setbroker(store.getbroker())
        cerebro.adddata(store.getdata(instrument=args.symbol, lookback=True))
        cerebro.addstrategy(DualMovingAverage, fast=args.fast, slow=args.slow)
        signal.signal(signal.SIGINT, lambda *_: cerebro.runstop())
        [strategy] = cerebro.run()
        report(strategy, cerebro.broker)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except TianqinError as error:
        sys.exit(f"{type(error).__name__}: {error}")
