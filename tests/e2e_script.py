"""A strategy that is written as a generator, and what the exchange says of its orders."""

import backtrader as bt

CU, M, IF, SR, SI = "SHFE.cu2612", "DCE.m2701", "CFFEX.IF2612", "CZCE.SR701", "GFEX.si2701"
MORNING = "2026-11-10 09:31:00"


class Script(bt.Strategy):
    """Run a generator: it yields orders to wait for, or None for the next bar."""

    params = (("script", None),)

    def __init__(self):
        self.told = {}
        self.trades = []
        self.heard = []
        self.steps = self.p.script(self)
        self.waiting = None

    def next(self):
        if self.waiting is None or not self.waiting.alive():
            self.waiting = next(self.steps, self.steps)
            if self.waiting is self.steps:
                self.env.runstop()
                self.waiting = None

    prenext = next

    def notify_order(self, order):
        self.told.setdefault(order.ref, []).append(order.getstatusname())

    def notify_store(self, msg, *args, **kwargs):
        self.heard.append(msg)

    def notify_trade(self, trade):
        if trade.isclosed:
            self.trades.append(trade)

    def path(self, order):
        return self.told[order.ref]


def play(store, run, script, *symbols):
    return run(store, Script, *[store.getdata(symbol) for symbol in symbols], script=script)


def exchange_orders(store):
    [account] = store.sandbox_server.state()["accounts"].values()
    return account["orders"]
