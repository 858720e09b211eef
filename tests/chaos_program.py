"""A trading program that does a little of everything, and writes down all that it is told.

Run as ``python chaos_program.py '{"urls": ..., "folder": ..., "seed": 7, "run": 1, ...}'``. Its
strategy draws its orders by seed. What it asks for, what it is told and how long its rounds took
goes to ``diary.jsonl``, a line of JSON each, which survives a kill. The files ``drain`` and
``finish`` in its folder tell it to withdraw everything, and to end.
"""

import json
import os
import random
import sys
import threading
import time
import traceback
from pathlib import Path

import backtrader as bt
from tqsdk import TqAccount

from tianqin_backtrader import MyStore
from tianqin_backtrader.errors import JournalError
from tianqin_backtrader.feeds.feed_list import has_bar
from tianqin_backtrader.risk.limits import GuardState

#: Rounds of so many seconds are written down, one by one.
LONG_ROUND = 0.7
STOPS = (bt.Order.Stop, bt.Order.StopLimit, bt.Order.StopTrail, bt.Order.StopTrailLimit)
#: Where a round of so many seconds stands is written down at once.
STUCK = 5.0
#: Of a login that rests the owner takes care so many seconds after the end was asked for.
OWNER_COMES = 40.0
#: What the strategy does, and how often in comparison.
WEIGHTS = {
    "enter_market": 6, "enter_limit": 8, "four_way": 6, "bracket": 8, "oco_exits": 6,
    "stop_exit": 6, "stop_entry": 2, "close_out": 4, "limit_exit": 5, "target_size": 4,
    "target_percent": 2, "target_position": 3, "cancel_one": 6, "cancel_and_close": 5,
    "requote": 4, "close_when_cancelled": 4, "flatten": 1, "at_the_close": 1,
}  # fmt: skip


class Diary:
    """Lines of JSON at the end of a file; each is there when ``write`` returns."""

    def __init__(self, path, run):
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._run = run

    def write(self, kind, **fields):
        line = json.dumps({"t": time.monotonic(), "run": self._run, "kind": kind, **fields})
        os.write(self._file, f"{line}\n".encode())


def waited_for_a_core():
    """Seconds that this thread has stood in the queue for a core; 0 where nobody counts them."""
    try:
        text = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat").read_text("ascii")
    except OSError:
        return 0.0
    return int(text.split()[1]) / 1e9


class WatchedStore(MyStore):
    """Measures the rounds of Cerebro, which asks here once in each."""

    diary = None
    longest = 0.0
    _began = None
    _place = ()

    def watch(self, diary):
        """Begin to measure; a thread notes where a long round stands."""
        self.diary = diary
        main = threading.main_thread().ident
        threading.Thread(target=self._look, args=(main,), daemon=True).start()

    def watch_no_more(self):
        """The last round is over."""
        self._began = None

    def _look(self, main):
        while True:
            time.sleep(0.2)
            began = self._began
            if began is not None and time.monotonic() - began[0] > LONG_ROUND:
                frames = traceback.extract_stack(sys._current_frames().get(main))
                self._place = [f"{Path(one.filename).name}:{one.lineno} {one.name}"
                               for one in frames]  # fmt: skip
                written = False
                while self._began is began:
                    time.sleep(0.05)
                    if not written and time.monotonic() - began[0] > STUCK:  # it may never end
                        written = True
                        self.diary.write("stuck", since=began[0], place=self._place)

    def get_notifications(self):
        now, queued, computed = time.monotonic(), waited_for_a_core(), time.thread_time()
        if self._began is not None and self.diary is not None:
            began, queued_before, computed_before = self._began
            took = now - began - (queued - queued_before)
            self.longest = max(self.longest, took)
            if took > LONG_ROUND:
                self.diary.write(
                    "round", took=took, since=began, computed=computed - computed_before,
                    place=list(self._place),
                )  # fmt: skip
                self._place = ()
        self._began = now, queued, computed
        return super().get_notifications()


def signed(direction):
    return 1 if direction == "BUY" else -1


class Chaotic(bt.Strategy):
    """Draws what it does; never asks for more than ``cap`` lots net of a contract."""

    params = (("options", None), ("diary", None))

    def __init__(self):
        self.options, self.diary = self.p.options, self.p.diary
        seed, run = self.options["seed"], self.options["run"]
        self.rng = random.Random(f"strategy {seed} {run}")
        self.folder = Path(self.options["folder"])
        self.store = self.broker.store
        self.cap, self.serial = self.options["cap"], 0
        self.next_act = time.monotonic() + self.rng.uniform(0.2, 1.0)
        self.targets, self.busy = dict(self.store.state.get("targets", {})), {}
        self.close_after, self.closing, self.resume_at = set(), set(), None
        self.exits_on_loss = self.rng.random() < 0.5
        self.draining = self.flattened = self.owner_came = False
        self.drain_began, self.tend_at, self.quiet_since = None, 0.0, None

    # -- what it hears ------------------------------------------------------------------------

    def start(self):
        for order in self.broker.get_all_orders():
            self.diary.write("adopted", **self.picture(order))

    def picture(self, order):
        """An order as a line of the diary has it."""
        symbol = order.data._dataname
        lots = {side: int(self.broker.getposition(symbol, side=side).size)
                for side in ("long", "short")}  # fmt: skip
        legs = [
            [leg.order_id, str(leg.direction), str(leg.offset), leg.volume, leg.filled]
            for leg in order.legs
        ]
        return {
            "ref": order.ref, "tag": order.info.get("tag"), "symbol": symbol,
            "status": order.getstatusname(), "size": int(order.created.size),
            "executed": int(order.executed.size), "legs": legs, "lots": lots,
            "reason": order.info.get("reason", ""), "type": order.getordername(),
        }  # fmt: skip

    def notify_order(self, order):
        self.diary.write("order", **self.picture(order))
        if order.alive():
            return
        data = self.feed_of(order.data._dataname)
        if self.busy.get(order.data._dataname) == order.ref:
            del self.busy[order.data._dataname]
        if order.ref in self.close_after:
            self.close_after.discard(order.ref)
            if order.status == order.Canceled and not self.draining:
                self.close_now(data, why="its resting exit was withdrawn")

    def notify_trade(self, trade):
        self.diary.write(
            "trade", symbol=trade.data._dataname, size=int(trade.size), closed=trade.isclosed,
            opened=trade.justopened, number=trade.ref, profit=trade.pnlcomm,
        )  # fmt: skip

    def notify_store(self, msg, *args, **kwargs):
        order = kwargs.get("order")
        self.diary.write("store", text=str(msg), ref=None if order is None else order.ref)

    def notify_data(self, data, status, *args, **kwargs):
        name = data._getstatusname(status)
        self.diary.write("data", symbol=data._dataname, status=name)
        held = len(data) and self.getposition(data).size
        if name == "DISCONNECTED" and held and self.exits_on_loss and not self.draining:
            self.close_now(data, why="it was told DISCONNECTED")

    # -- its rounds ---------------------------------------------------------------------------

    def next(self):
        if not self.draining:
            self.tend_risk()
            for _ in range(3):  # several at once where ticks are rare
                if time.monotonic() >= self.next_act:
                    self.next_act += self.rng.expovariate(1 / 0.3)
                    self.act()
            self.next_act = max(self.next_act, time.monotonic() - 1.0)

    prenext = next

    def each_round(self):
        """Called by the store in every round, with a tick or without one."""
        if not self.draining and (self.folder / "drain").exists():
            self.draining, self.drain_began = True, time.monotonic()
            self.diary.write("drain")
        if self.draining:
            self.drain()

    def tend_risk(self):
        """What is halted or reduced, by us or by the library, goes on after a while."""
        if self.broker.risk_state is GuardState.ACTIVE:
            self.resume_at = None
        elif self.resume_at is None:
            self.targets.clear()
            self.diary.write("risk", state=str(self.broker.risk_state),
                             reason=self.broker.risk.reason)  # fmt: skip
            self.resume_at = time.monotonic() + 2.0
        elif time.monotonic() >= self.resume_at:
            self.resume_at = time.monotonic() + 1.0
            self.resume()

    def resume(self):
        try:
            self.broker.resume()
        except JournalError as error:
            self.diary.write("resume", ok=False, words=str(error))
        else:
            self.diary.write("resume", ok=True)

    def drain(self):
        """Withdraw everything, flatten if it is to be, wait until nothing is left, and end."""
        now = time.monotonic()
        if now < self.tend_at:
            return
        self.tend_at = now + 0.5
        for symbol in list(self.targets):
            self.drop_target(symbol)
        for symbol in self.options["symbols"]:
            self.broker.drop_target(symbol)
        if self.broker.risk_state is not GuardState.ACTIVE and not self.flattened:
            self.resume()
            return
        if self.store.no_trading:  # what other terminals do is not seen
            if not self.owner_came and now - self.drain_began > OWNER_COMES:
                self.owner_came = True
                self.store.resume_trading()
            return
        alive = self.broker.get_orders_open()
        if self.flattened and self.broker.get_account_positions() and now < self.flat_until:
            return  # it has its own orders out
        for order in alive:
            self.withdraw(order)
        if alive:
            self.quiet_since = None
            return
        if self.options["flatten"] and not self.flattened:
            self.flattened, self.flat_until = True, now + 15.0
            self.diary.write("flatten")
            self.broker.flatten()
            return
        if self.broker.risk_state is not GuardState.ACTIVE:
            self.resume()
        if not all(has_bar(data) for data in self.datas):
            return  # no fill is told of a feed that has no bar yet
        if self.quiet_since is None:
            self.quiet_since = now
            self.diary.write("quiet")
        if (self.folder / "finish").exists():
            self.finish()

    def finish(self):
        books = {
            symbol: {
                "net": int(self.broker.getposition(symbol).size),
                "long": int(self.broker.getposition(symbol, side="long").size),
                "short": int(self.broker.getposition(symbol, side="short").size),
            }
            for symbol in {*self.options["traded"], *self.broker.get_account_positions()}
        }
        balance = self.broker.balance()
        self.diary.write(
            "final", books=books, account=self.broker.get_account(),
            positions=self.broker.get_account_positions(), equity=balance.equity,
            value=self.broker.getvalue(), open=len(self.broker.get_orders_open()),
            risk=str(self.broker.risk_state), longest=self.store.longest,
        )  # fmt: skip
        self.env.runstop()

    # -- asking -------------------------------------------------------------------------------

    def feed_of(self, symbol):
        return next((data for data in self.datas if data._dataname == symbol), None)

    def alive(self, symbol):
        return [order for order in self.broker.get_orders_open() if order.data._dataname == symbol]

    def lots(self, symbol, buys):
        """Lots that a buy (or a sell) can close."""
        side = "short" if buys else "long"
        return abs(int(self.broker.getposition(symbol, side=side).size))

    def room(self, symbol, buys, exits=0):
        """Lots that may be opened net in a direction, if all that is out is filled.

        Args:
            symbol, buys: Of which contract, and whether by buying.
            exits: Lots that are closed besides.
        """
        sign = 1 if buys else -1
        worst = sign * int(self.broker.getposition(symbol).size)
        for order in self.alive(symbol):
            if order.isbuy() == buys:
                worst += abs(order.executed.remsize) - self.closes(order)
                exits += self.closes(order)
        worst += min(exits, self.lots(symbol, buys))
        if symbol in self.targets:
            worst = max(worst, sign * self.targets[symbol])
        return self.cap - worst

    def closes(self, order):
        """Lots of an order that are to close: as it was meant, or as its legs say.

        An order beside one that is still to open lots may close more of them than were held.
        """
        left = abs(int(order.executed.remsize))
        sent = [leg for leg in order.legs if not leg.over]
        closing = sum(leg.volume - leg.filled for leg in sent if str(leg.offset) != "OPEN")
        meant = left if order.ref in self.closing else closing
        return min(left, max(closing, order.info.get("exits", meant)))

    def free(self, symbol, buys):
        """Lots that a limit or market order of now would close: no earlier exit claims them."""
        claimed = sum(self.closes(order) for order in self.alive(symbol) if order.isbuy() == buys)
        return max(0, self.lots(symbol, buys) - claimed)

    def ask(self, place, data, size, what, *, buys, exits, tagged=True, **facts):
        """Write down what is asked for, ask, and write down the order's number."""
        self.serial += 1
        tag = f"{self.options['run']}-{self.serial}"
        symbol = data._dataname
        self.diary.write(
            "ask", tag=tag, symbol=symbol, size=size, buys=buys, exits=exits, what=what,
            lots=[self.lots(symbol, False), self.lots(symbol, True)], **facts,
        )  # fmt: skip
        info = {"tag": tag} if exits is None else {"tag": tag, "exits": exits}
        order = place(**info) if tagged else place()
        refs = [one.ref for one in order] if isinstance(order, list) else [order and order.ref]
        self.closing |= {ref for ref in refs if size is not None and exits == size}
        self.diary.write("asked", tag=tag, refs=refs)
        return order

    def side(self):
        return self.rng.random() < 0.5

    def price(self, data, ticks):
        tick = self.store.instrument(data._dataname).price_tick
        return round(round((data.close[0] + ticks * tick) / tick) * tick, 6)

    def withdraw(self, order):
        self.diary.write("cancel", ref=order.ref, tag=order.info.get("tag"))
        self.cancel(order)

    def drop_target(self, symbol):
        self.targets.pop(symbol, None)
        self.store.state["targets"] = dict(self.targets)
        self.diary.write("drop target", symbol=symbol)
        self.broker.drop_target(symbol)

    # -- what it does -------------------------------------------------------------------------

    def act(self):
        ready = [data for data in self.datas if len(data) and data._dataname not in self.busy]
        if not ready or self.broker.risk_state is not GuardState.ACTIVE:
            return
        data = self.rng.choice(ready)
        names = list(WEIGHTS)
        [name] = self.rng.choices(names, [WEIGHTS[one] for one in names])
        if data._dataname in self.targets and name != "target_position":
            if self.rng.random() < 0.7:
                return
            self.drop_target(data._dataname)
        if len(self.alive(data._dataname)) > 8:
            name = "cancel_and_close"
        getattr(self, f"do_{name}")(data, data._dataname)

    def plain(self, data, symbol, buys, size, what, **terms):
        """A limit or market order: it closes the lots that are free, and opens the rest."""
        exits = min(size, self.free(symbol, buys))
        if size - exits > self.room(symbol, buys, exits):
            return None
        kind = self.buy if buys else self.sell
        return self.ask(
            lambda **info: kind(data, size=size, **terms, **info), data, size, what,
            buys=buys, exits=exits,
        )  # fmt: skip

    def do_enter_market(self, data, symbol):
        buys, size = self.side(), self.rng.randint(1, 2)
        if size <= self.room(symbol, buys):
            self.plain(data, symbol, buys, size, "market")

    def do_enter_limit(self, data, symbol):
        buys, size = self.side(), self.rng.randint(1, 3)
        if size <= self.room(symbol, buys):
            price = self.price(data, self.rng.choice((-8, -3, -1, 0, 1, 3, 8)))
            self.plain(data, symbol, buys, size, "limit", exectype=bt.Order.Limit, price=price)

    def do_four_way(self, data, symbol):
        opens, buys, size = self.side(), self.side(), self.rng.randint(1, 2)
        price = None if self.side() else self.price(data, self.rng.choice((-4, -1, 0, 1, 4)))
        if opens:
            if size > self.room(symbol, buys):
                return
            name = "buy_open" if buys else "sell_open"
        else:
            size = min(size, self.lots(symbol, buys))
            if not size:
                return
            name = "buy_close" if buys else "sell_close"
        call = getattr(self.broker, name)
        advanced = self.rng.choice((None, None, "FAK")) if price else None
        self.ask(
            lambda: call(symbol, size, price, owner=self, advanced=advanced), data, size, name,
            buys=buys, exits=0 if opens else size, tagged=False,
        )  # fmt: skip

    def do_bracket(self, data, symbol):
        buys, size = self.side(), self.rng.randint(1, 3)
        if size > self.room(symbol, buys) or self.lots(symbol, buys):
            return
        sign = 1 if buys else -1
        market = self.rng.random() < 0.4
        price = None if market else self.price(data, self.rng.choice((-2, 0, 1, 2)) * sign)
        middle = price or data.close[0]
        tick = self.store.instrument(symbol).price_tick
        stop = middle - sign * self.rng.randint(2, 12) * tick
        target = middle + sign * self.rng.randint(2, 12) * tick
        exectype = bt.Order.Market if market else bt.Order.Limit
        enter, leave = (self.buy, self.sell) if buys else (self.sell, self.buy)
        parent = self.ask(
            lambda **info: enter(data, size=size, exectype=exectype, price=price, transmit=False,
                                 **info),
            data, size, "parent", buys=buys, exits=0,
        )  # fmt: skip
        family = f"{self.options['run']}-{self.serial}"
        self.ask(
            lambda **info: leave(data, size=size, exectype=bt.Order.Stop, price=stop,
                                 parent=parent, transmit=False, **info),
            data, size, "child stop", buys=not buys, exits=size, protects=True, family=family,
            placed_to_close=True,
        )  # fmt: skip
        self.ask(
            lambda **info: leave(data, size=size, exectype=bt.Order.Limit, price=target,
                                 parent=parent, **info),
            data, size, "child target", buys=not buys, exits=size, family=family,
            placed_to_close=True,
        )  # fmt: skip

    def do_oco_exits(self, data, symbol):
        net = int(self.getposition(data).size)
        buys = net < 0
        if not net or self.free(symbol, buys) < abs(net):
            return
        size, leave = abs(net), self.buy if buys else self.sell
        away = self.rng.randint(1, 8) * (-1 if buys else 1)
        first = self.ask(
            lambda **info: leave(data, size=size, exectype=bt.Order.Limit,
                                 price=self.price(data, away), **info),
            data, size, "oco target", buys=buys, exits=size, placed_to_close=True,
        )  # fmt: skip
        family = f"{self.options['run']}-{self.serial}"
        second = bt.Order.Limit if self.rng.random() < 0.25 else bt.Order.Stop
        away = away + 2 if second == bt.Order.Limit else -away
        self.ask(
            lambda **info: leave(data, size=size, exectype=second,
                                 price=self.price(data, away), oco=first, **info),
            data, size, "oco second", buys=buys, exits=size, placed_to_close=True, family=family,
            protects=second == bt.Order.Stop,
        )  # fmt: skip

    def do_stop_exit(self, data, symbol):
        net = int(self.getposition(data).size)
        buys = net < 0
        if not net or not self.free(symbol, buys):
            return
        size, leave = min(abs(net), self.free(symbol, buys)), self.buy if buys else self.sell
        whole = size == abs(net)
        kind = self.rng.choice(STOPS)
        tick = self.store.instrument(symbol).price_tick
        away = self.rng.randint(1, 10)
        terms = {"exectype": kind}
        if kind in (bt.Order.StopTrail, bt.Order.StopTrailLimit):
            terms["trailamount"] = away * tick
        else:
            terms["price"] = self.price(data, away if buys else -away)
        if kind in (bt.Order.StopLimit, bt.Order.StopTrailLimit):
            terms["plimit"] = self.price(data, (away + 3) if buys else -(away + 3))
        if kind == bt.Order.StopTrailLimit:
            terms["price"] = self.price(data, away if buys else -away)
        self.ask(
            lambda **info: leave(data, size=size, **terms, **info), data, size, "stop exit",
            buys=buys, exits=size, placed_to_close=whole, protects=whole,
        )  # fmt: skip

    def do_stop_entry(self, data, symbol):
        buys, size = self.side(), self.rng.randint(1, 2)
        if size > self.room(symbol, buys) or self.lots(symbol, buys):
            return
        kind = self.buy if buys else self.sell
        price = self.price(data, self.rng.randint(1, 6) * (1 if buys else -1))
        self.ask(
            lambda **info: kind(data, size=size, exectype=bt.Order.Stop, price=price, **info),
            data, size, "stop entry", buys=buys, exits=0,
        )  # fmt: skip

    def close_now(self, data, why):
        net = int(self.getposition(data).size)
        if net:
            return self.ask(
                lambda **info: self.close(data, **info), data, abs(net), "close", buys=net < 0,
                exits=abs(net), placed_to_close=True, why=why,
            )  # fmt: skip
        return None

    def do_close_out(self, data, symbol):
        self.close_now(data, why="drawn")

    def do_limit_exit(self, data, symbol):
        net = int(self.getposition(data).size)
        buys = net < 0
        size = min(abs(net), self.rng.randint(1, 2))
        if net and size <= self.free(symbol, buys):
            price = self.price(data, self.rng.choice((-6, -2, 0, 2, 6)))
            self.plain(data, symbol, buys, size, "limit exit", exectype=bt.Order.Limit, price=price)

    def do_target_size(self, data, symbol):
        target = self.rng.randint(-2, 2)
        more = target - int(self.getposition(data).size)
        size, buys = abs(more), more > 0
        exits = min(size, self.free(symbol, buys))
        if not size or size - exits > self.room(symbol, buys, exits):
            return
        self.ask(
            lambda **info: self.order_target_size(data, target=target, **info), data, size,
            "target size", buys=buys, exits=exits, target=target,
            placed_to_close=target == 0 and exits == size,
        )  # fmt: skip

    def do_target_percent(self, data, symbol):
        if min(self.room(symbol, True), self.room(symbol, False)) < 3:
            return
        margin, lots = self.store.instrument(symbol).margin, self.rng.choice((-2, -1, 0, 1, 2))
        share = lots * margin * 1.02 / self.broker.getvalue()
        self.ask(
            lambda **info: self.order_target_percent(data, target=share, **info), data, None,
            "target percent", buys=None, exits=None, target=lots,
        )  # fmt: skip

    def do_target_position(self, data, symbol):
        if self.alive(symbol):
            return
        target = self.rng.randint(-2, 2)
        self.diary.write("target", symbol=symbol, target=target)
        self.broker.order_target_position(symbol, target, owner=self)
        self.targets[symbol] = target
        self.store.state["targets"] = dict(self.targets)

    def do_cancel_one(self, data, symbol):
        alive = self.alive(symbol)
        if alive:
            self.withdraw(self.rng.choice(alive))

    def do_cancel_and_close(self, data, symbol):
        for order in self.alive(symbol):
            self.withdraw(order)
        order = self.close_now(data, why="cancel and close")
        if order is not None and order.alive():
            self.busy[symbol] = order.ref
            self.diary.write("ends flat", ref=order.ref, symbol=symbol)

    def do_requote(self, data, symbol):
        limits = [
            order for order in self.alive(symbol)
            if order.exectype == bt.Order.Limit and order.info.get("exits", 1) == 0
            and order.info.get("tag")
        ]  # fmt: skip
        if not limits:
            return
        old = self.rng.choice(limits)
        left, buys = abs(int(old.executed.remsize)), old.isbuy()
        if left <= self.room(symbol, buys):
            self.withdraw(old)
            price = self.price(data, self.rng.choice((-3, -1, 0, 1, 3)))
            self.plain(data, symbol, buys, left, "limit", exectype=bt.Order.Limit, price=price)

    def do_close_when_cancelled(self, data, symbol):
        net = int(self.getposition(data).size)
        buys = net < 0
        if not net or self.free(symbol, buys) < abs(net):
            return
        price = self.price(data, -30 if buys else 30)
        order = self.plain(
            data, symbol, buys, abs(net), "resting exit", exectype=bt.Order.Limit, price=price
        )
        if order is not None and order.alive():
            self.close_after.add(order.ref)
            if self.side():
                self.withdraw(order)

    def do_flatten(self, data, symbol):
        self.diary.write("flatten")
        self.broker.flatten()
        self.targets.clear()
        self.store.state["targets"] = {}

    def do_at_the_close(self, data, symbol):
        net = int(self.getposition(data).size)
        buys = net < 0
        if net and self.free(symbol, buys) >= abs(net):
            leave = self.buy if buys else self.sell
            self.ask(
                lambda **info: leave(data, size=abs(net), exectype=bt.Order.Close, **info),
                data, abs(net), "at the close", buys=buys, exits=abs(net),
            )  # fmt: skip


def account_of(options):
    """The account of a broker at the counter ``ctp``, else the paper account."""
    if options["counter"] != "ctp":
        return None
    return TqAccount("chaos", options["user"], "password")


def main(options):
    folder = Path(options["folder"])
    diary = Diary(folder / "diary.jsonl", options["run"])
    diary.write("begin", pid=os.getpid())
    with WatchedStore(
        options["user"], "password", urls=options["urls"], strategy_name="chaos",
        account=account_of(options),
    ) as store:  # fmt: skip
        diary.write("connected")
        store.watch(diary)
        broker = store.getbroker(records=options["records"], on_restart=options["on_restart"])
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.setbroker(broker)
        for symbol in options["symbols"]:
            cerebro.adddata(store.get_tick_data(symbol))
        cerebro.addstrategy(Chaotic, options=options, diary=diary)

        def each_round():
            for strategy in cerebro.runningstrats:
                strategy.each_round()

        store.keepers.append(each_round)
        diary.write("running")
        cerebro.run()
        store.watch_no_more()
        diary.write("over")
    diary.write("end", longest=store.longest)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
