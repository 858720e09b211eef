"""A program that rolls copper, and kills itself at a step if it is told to.

With the option ``exits`` the lots have a stop and a target before they are rolled. It prints a
line of JSON at its end. Steps are: before and after each write to disk, before and after each order
is handed to the client, after the wait with which orders have left, and after each report of the
exchange that comes while it rolls.
"""

import json
import os
import signal
import sys

import backtrader as bt
from sandbox_account import store_at

from tianqin_backtrader.gateway.gateway import Gateway
from tianqin_backtrader.gateway.trading import Trading
from tianqin_backtrader.rolling.roll_file import RollFile
from tianqin_backtrader.rolling.roll_service import RollService

OLD, NEW = "SHFE.cu2612", "SHFE.cu2701"


class Steps:
    """Counts, and dies."""

    def __init__(self, last):
        self.last, self.count, self.sent = last, 0, False

    def step(self):
        self.count += 1
        if self.count == self.last:
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))

    def around(self, home, name, also=None):
        real = getattr(home, name)

        def stepping(*args, **kwargs):
            self.step()
            result = real(*args, **kwargs)
            self.step()
            self.sent = self.sent or also is not None
            return result

        setattr(home, name, stepping)

    def after_sending(self, home):
        real = home.pump

        def pump(*args, **kwargs):
            sent, self.sent = self.sent, False
            news = real(*args, **kwargs)
            if sent:
                self.step()
            return news

        home.pump = pump

    def after_reports(self, broker):
        real = broker.take_reports

        def take_reports(reports):
            real(reports)
            if reports and broker.store.rolls.rolls:
                self.step()

        broker.take_reports = take_reports


class Protection:
    """Counts lots that are held without a stop, after each round of a roll."""

    def __init__(self):
        self.most_bare = 0
        on_round = RollService.on_round

        def tending(desk):
            on_round(desk)
            if desk.rolls and desk._broker.begun:
                self.look(desk._broker)

        RollService.on_round = tending

    def look(self, broker):
        bare = 0
        for symbol in (OLD, NEW):
            held = broker.get_account_position(symbol).get("pos_long", 0)
            stopped = sum(left for place, kind, left in exits(broker)
                          if place == symbol and kind == "Stop")  # fmt: skip
            bare += max(0, held - stopped)
        self.most_bare = max(self.most_bare, bare)


def exits(broker):
    """(contract, type, lots) of what waits or works to close."""
    return [
        (order.ticket.symbol, order.getordername(), order.ticket.left)
        for order in broker.get_orders_open()
        if order.issell() and "rolls" not in order.info
    ]


class Roller(bt.Strategy):
    params = (("options", None),)

    def __init__(self):
        self.heard, self.ending, self.bars = [], "", 0

    def notify_store(self, msg, *args, **kwargs):
        if "roll" in kwargs:
            self.heard.append(msg)

    def next(self):
        store = self.broker.store
        rolls = store.rolls.rolls
        options = dict(self.p.options)
        wants_exits = options.pop("exits", False)
        held = self.broker.get_account_position(OLD).get("pos_long", 0)
        if not rolls and held and wants_exits and not exits(self.broker):
            last = self.data.close[0]
            stop = self.sell(size=held, exectype=bt.Order.Stop, price=last - 5000)
            self.sell(size=held, exectype=bt.Order.Limit, price=last + 3000, oco=stop)
        elif not rolls and held:
            store.roll(OLD, NEW, **options)
        elif not rolls or rolls[0].done:
            self.bars += 1
            if self.bars > 2 or not wants_exits:  # the target's last answer is heard
                self.end("done")
        elif rolls[0].halted and self.heard:
            self.end("halted")

    def end(self, how):
        self.ending = how
        self.env.runstop()


def main(urls, counter, options, last):
    """Roll at these addresses of a counter with options of ``store.roll``; die at a step, or 0."""
    steps = Steps(last)
    steps.around(RollFile, "save")
    steps.around(Trading, "insert_order", also=True)
    steps.after_sending(Gateway)
    protection = Protection()
    with store_at(urls, counter, strategy_name="roller") as store:
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.setbroker(store.getbroker())
        steps.after_reports(store.broker)
        cerebro.adddata(store.getdata(OLD))
        cerebro.addstrategy(Roller, options=options)
        [done] = cerebro.run()
        state = str(store.broker.risk_state)
        reports = [roll.report() for roll in store.rolls.rolls]
        told = {"ending": done.ending, "heard": done.heard, "steps": steps.count, "state": state}
        told["exits"], told["bare"] = sorted(exits(store.broker)), protection.most_bare
        told["cost"] = [[one.closed, one.opened, one.fees] for one in reports]
        sys.stdout.write(f"{json.dumps(told)}\n")
