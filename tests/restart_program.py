"""A trading program that can be killed at every step of an order's way, and a plan for its orders.

Run as ``python restart_program.py '{"urls": ..., "folder": ..., "plan": ..., "kill": 7}'`` it works
through a fixed list of orders on a living sandbox. Steps are counted where the journal is written
and where orders are handed over; with ``kill`` the process kills itself at that step, with
``kill_at`` at the first step of that name.
"""

import os
import signal
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import backtrader as bt
import pandas as pd
from sandbox_account import store_at
from warm_programs import run_main

from tianqin_backtrader.core.clock import to_ns
from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox

SYMBOL = "CFFEX.IF2612"
START = "2026-11-10 09:31:00"
TICK = 0.2
ORDER = ("direction", "offset", "volume_orign", "volume_left", "limit_price", "status")
TRADE = ("direction", "offset", "price", "volume", "commission")
#: Orders rest for so many minutes at least before the market comes to them.
CALM = 3


class Path60:
    """The minutes of the market, to choose prices that are reached later, and not before."""

    def __init__(self, bars):
        self.bars = bars

    def reached(self, place, side):
        """(price, minute in which it is reached) of a limit order that is placed in a minute."""
        calm = self.bars[place : place + CALM + 1]
        low, high = min(bar["low"] for bar in calm), max(bar["high"] for bar in calm)
        for later in range(place + CALM + 1, len(self.bars)):
            bar = self.bars[later]
            if side > 0 and bar["low"] <= low - 2 * TICK:
                return round(low - TICK, 1), later
            if side < 0 and bar["high"] >= high + 2 * TICK:
                return round(high + TICK, 1), later
        raise LookupError("the market never comes there")


def make_plan(**options):
    """Orders with their minutes and prices, from the market's own bars."""
    with EmbeddedSandbox(start=START, **options) as scratch:
        scratch.advance(to="2026-11-10 14:59:00")
        rows = scratch.bars(SYMBOL, trading_day="2026-11-10")
    begin = to_ns(datetime.fromisoformat(START))
    market = Path60([bar for bar in rows if bar["datetime"] >= begin])
    place, plan = 3, []
    for name, size in (("in", 21), ("out", -21)):  # an order of the exchange has 20 at most
        price, later = market.reached(place, size)
        plan.append({"name": name, "at": place, "size": size, "price": price})
        place = later + 2
    plan.append({"name": "cancel", "at": place, "size": 1, "price": price - 200})
    place += 3
    price, later = market.reached(place, 1)
    target, last = market.reached(later, -1)
    plan.append(
        {"name": "bracket", "at": place, "size": 2, "price": price, "target": target,
         "stop": price - 300}
    )  # fmt: skip
    for one in plan:
        one["at"] = market.bars[one["at"]]["datetime"]
    return {"orders": plan, "last": market.bars[last]["datetime"]}


class Worker(bt.Strategy):
    """Places each order in its minute, and remembers in ``store.state`` what is done.

    What it is told it writes into a file. An end is told once, and a program that dies as it is
    told has not heard it: so it looks at all orders of the day, too.
    """

    params = (("plan", None), ("told", None))

    def __init__(self):
        self.store = self.broker.store
        self.state = self.store.state

    def next(self):
        for order in self.broker.get_all_orders():
            self.look(order)
        done = self.state.get("done", 0)
        if done == len(self.p.plan["orders"]):
            self.env.runstop()
            return
        step = self.p.plan["orders"][done]
        now = to_ns(self.data.datetime.datetime(0))
        working = [one for one in self.broker.get_orders_open() if one.info.get("step") is not None]
        if not working and now > step["at"] and not self.has_begun(done):
            self.place(done, step)
        for order in working:
            if step["name"] == "cancel" and order.status == order.Accepted:
                self.cancel(order)

    def has_begun(self, done):
        """Whether an order of this step was sent, even if its end is not told yet."""
        return any(
            one.info.get("step") == done and one.status != one.Expired
            for one in self.broker.get_all_orders()
        )

    def place(self, number, step):
        kind = self.buy if step["size"] > 0 else self.sell
        size = abs(step["size"])
        if step["name"] != "bracket":
            kind(size=size, exectype=bt.Order.Limit, price=step["price"], step=number)
            return
        parent = self.buy(size=size, exectype=bt.Order.Limit, price=step["price"],
                          transmit=False, step=number)  # fmt: skip
        self.sell(size=size, exectype=bt.Order.Stop, price=step["stop"], parent=parent,
                  transmit=False, child=number)  # fmt: skip
        self.sell(size=size, exectype=bt.Order.Limit, price=step["target"], parent=parent,
                  child=number)  # fmt: skip

    def notify_order(self, order):
        name = f"{order.info.get('step')} {order.info.get('child')} {order.ticket.key}"
        lots = abs(int(order.executed.size))
        self.p.told.write(f"{name} {order.getstatusname()} {lots}\n")
        self.p.told.flush()
        self.look(order)

    def look(self, order):
        """See whether an order's end is that of a step."""
        done = self.state.get("done", 0)
        name = self.p.plan["orders"][done]["name"] if done < len(self.p.plan["orders"]) else ""
        ended = order.info.get("child" if name == "bracket" else "step") == done
        if ended and order.status in (order.Completed, order.Canceled):
            if name != "bracket" or order.status == order.Completed:
                self.state["done"] = done + 1


class Steps:
    """Counts the steps of the order path, and dies at one of them."""

    def __init__(self, options):
        self.kill, self.kill_at = options.get("kill"), options.get("kill_at")
        self.log = Path(options["log"]).open("a", encoding="utf-8")
        self.count = 0
        self.sent = False

    def step(self, name):
        self.log.write(f"{name}\n")
        if self.count == self.kill or name == self.kill_at:
            self.log.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1

    def watch(self, store, broker):
        gateway, journal = store.gateway, broker.journal
        for name in ("insert_order", "cancel_order"):
            self.around(gateway.trading, name)
        self.watch_pump(gateway)
        for name in ("intent", "report", "fill", "plan"):
            self.before(journal, name)
        self.watch_commits(journal)

    def around(self, owner, name):
        call = getattr(owner, name)

        def stepped(*args, **kwargs):
            self.step(f"before {name}")
            call(*args, **kwargs)
            self.sent = True
            self.step(f"after {name}")

        setattr(owner, name, stepped)

    def before(self, owner, name):
        call = getattr(owner, name)

        def stepped(*args, **kwargs):
            self.step(f"before the row of {name}")
            self.wrote = True
            return call(*args, **kwargs)

        setattr(owner, name, stepped)

    def watch_commits(self, journal):
        together = journal.together

        @contextmanager
        def stepped():
            self.wrote = False
            with together():
                yield
                if self.wrote:
                    self.step("before a commit")
            if self.wrote:
                self.step("after a commit")
                self.wrote = False

        journal.together = stepped

    def watch_pump(self, gateway):
        pump = gateway.pump

        def stepped(timeout):
            came = pump(timeout)
            if self.sent:
                self.sent = False
                self.step("after what was handed over has left")
            return came

        gateway.pump = stepped


def outcome(box, folder):
    """What it all came to: at the exchange, and in the files."""
    [books] = box.state()["accounts"].values()
    orders, trades = books["orders"].values(), books["trades"].values()
    csv_orders = pd.read_csv(folder / "worker" / "order.csv").drop_duplicates(
        "order_id", keep="last"
    )
    csv_trades = pd.read_csv(folder / "worker" / "trade.csv")
    left = csv_orders[csv_orders.order_id.isin(books["orders"])]
    # A futures company's trades name no fee: what is written of one is an estimate.
    fields = [name for name in TRADE if name != "commission" or box.counter != "ctp"]
    return {
        "orders": sorted(tuple(str(one[name]) for name in ORDER) for one in orders),
        "trades": sorted(tuple(str(one[name]) for name in TRADE) for one in trades),
        "order.csv": sorted(left[list(ORDER)].astype(str).itertuples(index=False, name=None)),
        "trade.csv": sorted(
            csv_trades[[*fields, "trade_date_time"]].astype(str).itertuples(index=False, name=None)
        ),
        "others in order.csv": {
            (one.status, one.last_msg)
            for one in csv_orders[~csv_orders.order_id.isin(books["orders"])].itertuples()
        },
        "balance": books["account"]["balance"],
        "account.csv": pd.read_csv(folder / "worker" / "account.csv").balance.iloc[-1],
        "equity.csv": pd.read_csv(folder / "worker" / "equity.csv").balance.iloc[-1],
        "positions": books["positions"],
        "held by position.csv": int(pd.read_csv(folder / "worker" / "position.csv").pos.iloc[-1]),
    }


def told_ends(folder):
    """The ends that strategies were told, by order, over all runs."""
    ends = {}
    for line in (folder / "told").read_text(encoding="utf-8").splitlines():
        *_, key, status, _ = line.split()
        if status not in ("Submitted", "Accepted", "Partial"):
            ends.setdefault(key, []).append(status)
    return ends


def told_lots(folder):
    """The lots that strategies were told of, by order, each time."""
    lots = {}
    for line in (folder / "told").read_text(encoding="utf-8").splitlines():
        *_, key, status, number = line.split()
        if status in ("Partial", "Completed"):
            lots.setdefault(key, []).append(int(number))
    return lots


def run_program(box, folder, plan, *, kill=None, kill_at=None):
    """Run it to its end, or to its death; return (exit code, names of the steps it took)."""
    log = folder / "steps"
    log.unlink(missing_ok=True)
    options = {"urls": box.urls, "counter": box.counter, "folder": str(folder), "plan": plan,
               "log": str(log), "kill": kill, "kill_at": kill_at}  # fmt: skip
    done = run_main("restart_program", options)
    if done.returncode not in (0, -signal.SIGKILL):
        raise AssertionError(done.stderr)
    return done.returncode, log.read_text(encoding="utf-8").splitlines()


def main(options):
    with store_at(options["urls"], options["counter"], strategy_name="worker") as store:
        steps = Steps(options)
        broker = store.getbroker(records=options["folder"], on_restart="resend")
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.setbroker(broker)
        cerebro.adddata(store.getdata(SYMBOL))
        told = (Path(options["folder"]) / "told").open("a", encoding="utf-8")
        cerebro.addstrategy(Worker, plan=options["plan"], told=told)
        keep = broker._keeper.open

        # From the first row on: the restart itself can be killed, too.
        def opened():
            journal = keep()
            broker._write_ahead.journal = journal
            steps.watch(store, broker)
            return journal

        broker._keeper.open = opened
        cerebro.run()
    steps.log.flush()
