"""Risk rules, checked before every order, and what to do when one of them refuses.

A strategy that deliberately trades far too much reaches its limits one after the other: the size of
an order, the position, the orders of a day, the loss of a day. Then ``broker.flatten()`` closes
everything; the rules never prevent that.

    python examples/risk_rules.py [--paper] [--symbol KQ.m@DCE.m] [--alert dingtalk://token]

With ``--alert`` refusals and changes of the risk state are sent there, too; this needs the extra
``[alerts]``.
"""

from __future__ import annotations

import argparse

import backtrader as bt

from tianqin_backtrader import MyStore, RiskLimits

RULES = RiskLimits(
    max_order_size=5,
    max_position=8,
    max_price_distance=0.02,
    orders_per_day=20,
    max_daily_loss=300,
    no_self_trade=True,
)


class Reckless(bt.Strategy):
    def __init__(self):
        self.refusals = set()
        self.bars, self.flat = 0, False

    def next(self):
        if not self.broker.store.is_trading(self.data._dataname):
            return
        self.bars += 1
        if self.broker.risk_state != "ACTIVE":
            self.flatten()
        elif self.bars == 1:
            self.buy(size=50)  # too large
        elif self.bars == 2:
            self.buy(size=1, exectype=bt.Order.Limit, price=self.data.close[0] * 0.9)  # too far
        elif self.bars % 2:
            self.buy(size=4)
        else:
            self.sell(size=5)

    def flatten(self):
        if not self.broker.get_account_positions():
            self.env.runstop()
        elif not self.flat:
            self.flat = True
            print(f"[{self.data.datetime.datetime(0)}] flatten")
            self.broker.flatten()

    def notify_order(self, order):
        if order.status == order.Rejected:
            rule = order.info.reason.split(" is ")[0]
            if rule not in self.refusals:
                self.refusals.add(rule)
                print(f"[{self.data.datetime.datetime(0)}] refused: {order.info.reason}")

    def notify_store(self, msg, *args, **kwargs):
        print(f"    {msg}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paper", action="store_true", help="use the TianQin paper account")
    parser.add_argument("--symbol", default="KQ.m@DCE.m")
    parser.add_argument("--alert", action="append", default=[], metavar="URL", help="tell it there")
    args = parser.parse_args()
    name = "risk_rules"
    sandbox = dict(ticks_per_pack=5, strategy_name=name)  # sooner done
    with MyStore(strategy_name=name) if args.paper else MyStore.sandbox(**sandbox) as store:
        if args.alert:
            store.alerts(*args.alert, events=["rejected", "risk"])
        cerebro = bt.Cerebro()
        cerebro.setbroker(store.getbroker(risk=RULES))
        cerebro.adddata(store.getdata(args.symbol))
        cerebro.addstrategy(Reckless)
        cerebro.run()
        print(store.broker.risk_state, store.broker.balance())


if __name__ == "__main__":
    main()
