"""Thirty trading days unattended, trading every hour on two contracts, under random faults.

``SOAK_DAYS`` and ``SOAK_SEED`` of the environment run other ones; the printed line has the figures.
"""

import os
import random
from datetime import date, datetime, timedelta

import backtrader as bt
import pytest

from tianqin_backtrader.session_calendar import CALENDAR

SYMBOLS = ("SHFE.cu2612", "DCE.m2701")
FIRST_DAY = date(2026, 10, 9)
DAYS, SEED = int(os.environ.get("SOAK_DAYS", "30")), int(os.environ.get("SOAK_SEED", "1"))
FAULTS_A_DAY = 3
COUNTER = "ctp"
COLUMNS = ("open", "high", "low", "close", "volume", "close_oi")


def trading_days(count):
    days = [FIRST_DAY]
    while len(days) < count:
        days.append(CALENDAR.next_trading_day(days[-1]))
    return days


def fault_script(days, seed):
    """Faults at random moments of trading; the same seed is the same script.

    The last day is left alone: it must end in the right state whatever was before. Rows are lost of
    copper only, which has a tick every second: of a contract that is silent for minutes nobody can
    know that a row is missing before the next one comes, and its bars are told as corrected.
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
    """Turns each contract's position between -2 and +2 lots with the first bar of every hour."""

    def __init__(self):
        self.rng = random.Random(SEED)
        self.bars = {data._name: [] for data in self.datas}
        self.hours = dict.fromkeys(self.bars, datetime.min)
        self.told, self.asked = {}, 0

    def notify_order(self, order):
        self.told.setdefault(order.ref, []).append(order.getstatusname())

    def prenext(self):
        for data in self.datas:
            if len(data) > len(self.bars[data._name]):
                self.take(data)

    next = prenext

    def take(self, data):
        stamp = data.datetime.datetime(0)
        lines = (data.open, data.high, data.low, data.close, data.volume, data.openinterest)
        self.bars[data._name].append(tuple(line[0] for line in lines))
        hour = stamp.replace(minute=0)
        if hour != self.hours[data._name]:
            self.hours[data._name] = hour
            for order in self.broker.get_all_orders()[-20:]:
                if order.data is data and order.alive():
                    self.broker.cancel(order)
            self.asked += 1
            self.order_target_size(data, target=self.rng.randint(-2, 2))


def check_orders(store, strategy):
    """No order twice, every order told to an end, one end each."""
    [account] = store.sandbox_server.state()["accounts"].values()
    orders = store.broker.get_all_orders()
    legs = [leg for order in orders for leg in order.legs]
    ids = [leg.order_id for leg in legs]
    assert len(set(ids)) == len(ids)
    assert set(account["orders"]) <= set(ids)
    ends = ("Completed", "Canceled", "Rejected")
    for order in orders:
        told = strategy.told[order.ref]
        assert told[-1] in ends, told
        assert sum(told.count(end) for end in ends) == 1, told
        assert told.count("Submitted") == 1 and told.count("Accepted") <= 1, told
    return account, orders


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
    faults = store.sandbox_server.state()["faults"]
    assert faults["planned"] == 0
    breaks = sum(faults["counts"].get(name, 0) for name in ("drop", "cut", "freeze", "fill_away"))
    assert 1 < store.reconnector.sessions <= 2 * breaks + 1
    errors = [record for record in caplog.records if record.exc_info]
    assert errors == []
    completed = sum(order.status == bt.Order.Completed for order in orders)
    with capsys.disabled():
        bars = sum(one.delivered for one in certificates)
        repaired = sum(one.repaired for one in certificates)
        print(  # noqa: T201
            f"\n{DAYS} days, seed {SEED}: {bars} bars, {repaired} repaired, {len(orders)} orders, "
            f"{completed} completed, {store.reconnector.sessions} sessions, "
            f"faults {faults['counts']}"
        )
