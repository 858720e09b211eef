"""Breakout of the opening range, for the night and for the day session.

The first minutes after 21:00 and after 9:00 give a range. A close above it opens a long position,
one below it a short one, with a stop on its other side that the library holds; everything is
closed before the session ends. A break at 10:15 or 11:30 does not begin a new session.

    python examples/opening_range.py [--paper] [--symbol KQ.m@SHFE.rb]
"""

from __future__ import annotations

import argparse
from datetime import timedelta

import backtrader as bt

from tianqin_backtrader import MyStore, session_calendar

LONG_BREAK = timedelta(hours=4)


class OpeningRange(bt.Strategy):
    params = dict(minutes=15, size=2, flat_minutes=5)

    def __init__(self):
        self.opened = self.ends = None
        self.high = self.low = None
        self.orders = []

    def next(self):
        if self.data.history_phase:
            return
        now = self.data.datetime.datetime(0)
        self.follow_session(now)
        if now > self.ends - timedelta(minutes=self.p.flat_minutes):
            self.leave()
        elif now <= self.opened + timedelta(minutes=self.p.minutes):
            self.high = max(self.data.high[0], self.high or self.data.high[0])
            self.low = min(self.data.low[0], self.low or self.data.low[0])
        elif not self.orders and self.high is not None:
            self.look_for_a_breakout()

    def follow_session(self, now):
        """Find the session, night or day, that the bar belongs to."""
        if self.ends is not None and self.opened < now <= self.ends:
            return
        blocks = []
        moment = now - timedelta(seconds=1)  # a bar that ends at 15:00 belongs before it
        for start, end in session_calendar.resolve_intervals(self.data._dataname, moment):
            if blocks and start - blocks[-1][1] < LONG_BREAK:
                blocks[-1] = blocks[-1][0], end
            else:
                blocks.append((start, end))
        self.opened, self.ends = next(one for one in blocks if one[0] < now <= one[1])
        self.high = self.low = None
        self.orders = []
        print(f"[{now}] session {self.opened:%a %H:%M} - {self.ends:%H:%M}")

    def look_for_a_breakout(self):
        close, when = self.data.close[0], self.data.datetime.datetime(0)
        market = dict(size=self.p.size, exectype=bt.Order.Market, limitexec=None)
        if close > self.high:
            print(f"[{when}] above {self.high:g}: long")
            self.orders = self.buy_bracket(stopprice=self.low, **market)
        elif close < self.low:
            print(f"[{when}] below {self.low:g}: short")
            self.orders = self.sell_bracket(stopprice=self.high, **market)

    def leave(self):
        """Withdraw waiting orders, and close the position."""
        for order in self.orders:
            if order is not None and order.alive():
                self.cancel(order)
        if self.position and self.broker.store.is_trading(self.data._dataname):
            self.close()

    def notify_order(self, order):
        if order.status == order.Completed:
            side = "bought" if order.isbuy() else "sold"
            print(f"    {side} {abs(order.executed.size):g} at {order.executed.price:g}")
        elif order.status in (order.Rejected, order.Margin):
            print(f"    refused: {order.info.reason}")

    def notify_trade(self, trade):
        if trade.isclosed:
            print(f"    trade  {trade.pnlcomm:+.2f} yuan")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paper", action="store_true", help="use the TianQin paper account")
    parser.add_argument("--symbol", default="KQ.m@SHFE.rb")
    parser.add_argument("--days", type=int, default=2, help="trading days in the sandbox")
    args = parser.parse_args()
    name = "opening_range"
    sandbox = dict(days=args.days, ticks_per_pack=10, strategy_name=name)  # sooner done
    with MyStore(strategy_name=name) if args.paper else MyStore.sandbox(**sandbox) as store:
        cerebro = bt.Cerebro()
        cerebro.setbroker(store.getbroker())
        cerebro.adddata(store.getdata(args.symbol))
        cerebro.addstrategy(OpeningRange)
        cerebro.run()
        print(store.broker.balance())


if __name__ == "__main__":
    main()
