"""Trade two contracts every hour for thirty days under random faults.

Every lot that is held has a trailing stop, which is adjusted to the position.

The environment variables ``SOAK_DAYS`` and ``SOAK_SEED`` select others; the test prints figures.
"""

import os
import random
from datetime import date, datetime, timedelta

import backtrader as bt
import pytest
from asked_for import Wish, bounds

from tianqin_backtrader.core.model import Offset
from tianqin_backtrader.session_calendar import CALENDAR

SYMBOLS = ("SHFE.cu2612", "DCE.m2701")
FIRST_DAY = date(2026, 10, 9)
DAYS, SEED = int(os.environ.get("SOAK_DAYS", "30")), int(os.environ.get("SOAK_SEED", "1"))
FAULTS_A_DAY = 3
COUNTER = "ctp"
#: How far a stop trails, as a fraction of the price: some are reached in an hour, most are not.
TRAIL = 0.004
#: How many of a contract's latest orders can still change; the results of older ones are summed up.
LATEST = 12
COLUMNS = ("open", "high", "low", "close", "volume", "close_oi")


def trading_days(count):
    days = [FIRST_DAY]
    while len(days) < count:
        days.append(CALENDAR.next_trading_day(days[-1]))
    return days


def fault_script(days, seed):
    """Make faults at random moments of trading; the same seed gives the same script.

    The last day has no faults: it must end in the right state whatever happened before. Only
    copper loses rows, as it has a tick every second. In a contract without ticks for minutes, a
    missing row cannot be noticed before the next one comes, and its bars are reported as corrected.
    """
    rng, script = random.Random(seed), []
    makers = [
        lambda: [{"fault": "drop", "conn": rng.choice(["md", "td", "all"])}],
        lambda: [{"fault": "drop", "conn": rng.choice(["md", "td", "all"]), "how": "clean"}],
        lambda: [{"fault": "freeze", "conn": rng.choice(["md", "all"]), "seconds": rng.random()}],
        lambda: [{"fault": "batch", "steps": rng.randint(200, 5000)}],
        lambda: [{"fault": "repeat", "conn": "md"}],
        lambda: [{"fault": "cut", "conn": rng.choice(["md", "all"])}],
        lambda: [{"fault": "hole", "symbol": SYMBOLS[0], "count": rng.randint(1, 20)}],
        lambda: [{"fault": "shuffle", "symbol": SYMBOLS[0], "count": rng.randint(1, 5)}],
        lambda: [{"fault": "fill_away", "conn": "all", "seconds": rng.randint(30, 7200)}],
        lambda: [{"fault": "refuse_token", "attempts": 1}, {"fault": "drop", "conn": "all"}],
        lambda: [
            {"fault": "refuse", "conn": "all", "attempts": rng.randint(1, 2)},
            {"fault": "drop", "conn": "all"},
        ],
        lambda: [{"fault": "reject_order", "count": rng.randint(1, 2)}],
    ]
    for day in days[:-1]:
        sessions = CALENDAR.sessions(SYMBOLS[0], day)
        for _ in range(FAULTS_A_DAY):
            opened, closed = rng.choice(sessions)
            moment = opened + timedelta(seconds=rng.uniform(0, (closed - opened).total_seconds()))
            at = {"time": f"{moment:%Y-%m-%d %H:%M:%S}"}
            script += [{"at": at, **fault} for fault in rng.choice(makers)()]
    return script


class Hourly(bt.Strategy):
    """Sets each contract's position to -2 to +2 lots with the first bar of every hour.

    Attributes:
        stops: The trailing stop of the position, by contract.
        exits: Orders that were placed to close.
        beside_fired: Other reducing orders, placed while the position's stop had triggered.
        stopped: How many stops have closed.
    """

    def __init__(self):
        self.rng = random.Random(SEED)
        self.bars = {data._name: [] for data in self.datas}
        self.hours = dict.fromkeys(self.bars, datetime.min)
        self.told, self.heard, self.asked = {}, [], 0
        self.stops, self.exits, self.beside_fired = dict.fromkeys(self.bars), [], []
        self.wishes = {name: [] for name in self.bars}
        self.older = dict.fromkeys(self.bars, 0)

    def notify_order(self, order):
        self.told.setdefault(order.ref, []).append(order.getstatusname())

    def notify_store(self, msg, *args, **kwargs):
        self.heard.append(str(msg))

    def prenext(self):
        for data in self.datas:
            if len(data) > len(self.bars[data._name]):
                self.take(data)

    next = prenext

    def take(self, data):
        stamp = data.datetime.datetime(0)
        lines = (data.open, data.high, data.low, data.close, data.volume, data.openinterest)
        self.bars[data._name].append(tuple(line[0] for line in lines))
        self.look_at_exposure(data)
        hour = stamp.replace(minute=0)
        if hour != self.hours[data._name]:
            self.hours[data._name] = hour
            for order in self.broker.get_all_orders()[-20:]:
                if order.data is data and order.alive() and order is not self.stops[data._name]:
                    self.broker.cancel(order)
            self.asked += 1
            self.turn(data, self.rng.randint(-2, 2))
        self.follow(data)

    def turn(self, data, target):
        held = self.getposition(data).size
        order = self.order_target_size(data, target=target)
        if order is None:
            return
        self.wishes[data._name].append(Wish(data._name, int(abs(order.size)), order))
        if target * held >= 0 and abs(target) < abs(held):
            # A triggered stop has claimed its lots, so another order may open.
            stop = self.stops[data._name]
            fired = stop is not None and stop.alive() and stop.triggered
            (self.beside_fired if fired else self.exits).append(order)

    def follow(self, data):
        """Keep one stop for the position: as many lots, on the right side."""
        held, stop = int(self.getposition(data).size), self.stops[data._name]
        if stop is not None and stop.alive():
            if stop.ticket.direction.sign * stop.ticket.left == -held:
                return
            self.broker.cancel(stop)
        self.stops[data._name] = None
        if held:
            make = self.sell if held > 0 else self.buy
            stop = make(
                data=data, size=abs(held), exectype=bt.Order.StopTrail,
                trailamount=data.close[0] * TRAIL,
            )  # fmt: skip
            self.stops[data._name] = stop
            self.exits.append(stop)
            self.wishes[data._name].append(Wish(data._name, abs(held), exits=[stop]))

    def look_at_exposure(self, data):
        """Assert that the position is within what was ordered, and not long and short at once."""
        wishes, name = self.wishes[data._name], data._name
        while len(wishes) > LATEST and not any(one.alive() for one in wishes[0].orders):
            self.older[name] += wishes.pop(0).net
        account = self.broker.get_account_position(name)
        long, short = account.get("pos_long", 0), account.get("pos_short", 0)
        low, high = bounds(wishes, name)
        assert low <= long - short - self.older[name] <= high, (name, long, short, wishes)
        assert not (long and short), (name, long, short)
        for wish in wishes:
            wish.check()

    @property
    def stopped(self):
        return sum(
            bool(one.executed.size) and one.exectype == bt.Order.StopTrail for one in self.exits
        )


def check_orders(store, strategy):
    """Assert that no order is duplicated, each has one notified end, and no exit has opened."""
    [account] = store.sandbox_server.state()["accounts"].values()
    orders = store.broker.get_all_orders()
    legs = [leg for order in orders for leg in order.legs]
    ids = [leg.order_id for leg in legs]
    assert len(set(ids)) == len(ids)
    assert set(account["orders"]) <= set(ids)
    ends = ("Completed", "Canceled", "Rejected")
    living = [one for one in strategy.stops.values() if one is not None and one.alive()]
    for order in orders:
        told = strategy.told[order.ref]
        assert (told[-1] in ends) is (order not in living), told
        assert sum(told.count(end) for end in ends) == (order not in living), told
        assert told.count("Submitted") == 1 and told.count("Accepted") <= 1, told
    for order in strategy.exits:
        assert all(leg.offset is not Offset.OPEN for leg in order.legs), (
            order.ref, order.getordername(), order.legs, dict(order.info),
        )  # fmt: skip
    return account, orders


def check_stops(strategy):
    """Assert that the final positions have stops of as many lots."""
    for data in strategy.datas:
        held, stop = strategy.getposition(data).size, strategy.stops[data._name]
        covered = stop.ticket.left if stop is not None and stop.alive() else 0
        assert covered == abs(held), (data._name, held, stop)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("query_seconds", [0.15, 2.0])
def test_thirty_days_unattended(sandbox, run, capsys, caplog, query_seconds):
    days = trading_days(DAYS)
    script = fault_script(days, SEED)
    options = {"ticks_per_pack": 30, "seed": SEED, "query_seconds": query_seconds}
    store = sandbox(start=days[0], days=len(days), script=script, **options)
    strategy = run(store, Hourly, *[store.getdata(symbol) for symbol in SYMBOLS])
    for symbol in SYMBOLS:
        official = [
            tuple(row[name] for name in COLUMNS)
            for day in days
            for row in store.sandbox_server.bars(symbol, 60, trading_day=day)
        ]
        assert strategy.bars[symbol] == official, symbol
    certificates = store.certificate().values()
    assert sum(one.corrected + one.missing for one in certificates) == 0
    account, orders = check_orders(store, strategy)
    for data in strategy.datas:
        held = store.broker.get_account_position(data._dataname)
        net = held.get("pos_long", 0) - held.get("pos_short", 0)
        exchange = account["positions"].get(data._dataname, {})
        official = sum(
            sign * exchange.get(f"pos_{side}_{age}", 0)
            for side, sign in (("long", 1), ("short", -1))
            for age in ("today", "his")
        )
        assert strategy.getposition(data).size == net == official
    check_stops(strategy)
    faults = store.sandbox_server.state()["faults"]
    assert faults["planned"] == 0
    breaks = sum(faults["counts"].get(name, 0) for name in ("drop", "cut", "freeze", "fill_away"))
    assert 1 < store.reconnector.sessions <= 2 * breaks + 1
    errors = [record for record in caplog.records if record.exc_info]
    assert errors == []
    completed = sum(order.status == bt.Order.Completed for order in orders)
    with capsys.disabled():
        bars = sum(one.delivered for one in certificates)
        print(  # noqa: T201
            f"\n{DAYS} days, seed {SEED}: {bars} bars, {len(orders)} orders, "
            f"{completed} completed, {strategy.stopped} stops that closed, "
            f"{len(strategy.beside_fired)} orders beside a stop that had fired, "
            f"{store.reconnector.sessions} sessions, faults {faults['counts']}"
        )
