"""Every kind of fault at critical times: bars are complete and official, orders are sent once.

The strategy opens two lots, leaves an order far from the market working, and later closes one lot
and cancels the working order, whatever the link does. If a fault makes an order Rejected, the
strategy tries again.
"""

import backtrader as bt
import pytest

from tianqin_backtrader.core.clock import MINUTE, from_ns, to_ns

SYMBOL = "SHFE.cu2612"
TWO_LINES = {"fault": "drop", "conn": "all"}
FAULTS = {
    "md dropped": [{"fault": "drop", "conn": "md"}],
    "td dropped": [{"fault": "drop", "conn": "td"}],
    "all dropped": [TWO_LINES],
    "all closed": [{"fault": "drop", "conn": "all", "how": "clean"}],
    "frozen for a second": [{"fault": "freeze", "conn": "all", "seconds": 1}],
    "refused twice": [{"fault": "refuse", "conn": "all", "attempts": 2}, TWO_LINES],
    "pack cut": [{"fault": "cut", "conn": "all"}],
    "token refused once": [{"fault": "refuse_token", "attempts": 1}, TWO_LINES],
}
#: When the market begins, when the fault occurs, or else the end of the bar in which the strategy
#: requests it: then the market makes no step until the program has run.
MOMENTS = {
    "first minute of the day": ("2026-11-10 08:55:00", "2026-11-10 09:00:20", None),
    "first minute of the night": ("2026-11-09 20:55:00", "2026-11-09 21:00:20", None),
    "night": ("2026-11-09 23:00:00", "2026-11-09 23:10:30", None),
    "break": ("2026-11-10 10:05:00", None, "2026-11-10 10:15:00"),
    "order working": ("2026-11-10 09:31:00", None, "2026-11-10 09:41:00"),
    "order on its way": ("2026-11-10 09:31:00", None, "order on its way"),
}
#: (moment, fault) that are always run; all others with -m slow.
FAST = {
    *((moment, "all dropped") for moment in MOMENTS),
    *(("order working", fault) for fault in FAULTS),
    ("break", "td dropped"), ("break", "md dropped"), ("order on its way", "td dropped"),
}  # fmt: skip
CASES = [
    pytest.param(moment, fault, marks=() if (moment, fault) in FAST else pytest.mark.slow)
    for moment in MOMENTS
    for fault in FAULTS
]


class Persistent(bt.Strategy):
    """Holds two lots and a working order; then one lot and no order."""

    params = dict(harm=None, at=None, bars=30)

    def __init__(self):
        self.bars, self.told, self.harmed = [], {}, False
        self.wanted = self.step_open, self.step_work, self.step_close, self.step_withdraw
        self.done, self.order, self.working = [], None, None

    def notify_order(self, order):
        self.told.setdefault(order.ref, []).append(order.getstatusname())

    def next(self):
        data = self.data
        lines = (data.open, data.high, data.low, data.close, data.volume, data.openinterest)
        self.bars.append((data.datetime.datetime(0), *(line[0] for line in lines)))
        at = self.p.at
        if at is not None and f"{self.bars[-1][0]}" == at:
            self.do_harm()
        # Two steps come before the middle of the run, the other two after it.
        due = 2 if len(self.bars) < 14 else 4
        if len(self.done) < due and len(self.bars) >= 2:
            self.wanted[len(self.done)]()
        ended = len(self.done) == 4 and not any(
            order.alive() for order in self.broker.get_all_orders()
        )
        if len(self.bars) >= self.p.bars and ended:
            self.env.runstop()

    def do_harm(self):
        self.harmed = True
        self.p.harm(self.broker.store.sandbox_server)

    def step_open(self):
        if self.order is None or self.order.status in (bt.Order.Rejected, bt.Order.Canceled):
            missing = 2 - self.getposition().size
            self.order = self.broker.buy_open(SYMBOL, missing)
            if self.p.at == "order on its way" and not self.harmed:
                self.do_harm()
        if self.order.status == bt.Order.Completed:
            self.done.append("open")
            self.order = None

    def step_work(self):
        if self.working is None or self.working.status == bt.Order.Rejected:
            far = self.data.close[0] - 500
            self.working = self.broker.buy_open(SYMBOL, 1, far)
        if self.working.status == bt.Order.Accepted:
            self.done.append("work")

    def step_close(self):
        if self.order is None or self.order.status in (bt.Order.Rejected, bt.Order.Canceled):
            self.order = self.broker.sell_close(SYMBOL, 1)
        if self.order.status == bt.Order.Completed:
            self.done.append("close")

    def step_withdraw(self):
        if self.working.alive():
            self.broker.cancel(self.working)
        else:
            self.done.append("withdraw")


def official_bars(store, first, last):
    """The sandbox's bars from the one that ends at ``first`` to that at ``last``."""
    days = {store.calendar.trading_day_at(from_ns(to_ns(one) - MINUTE)) for one in (first, last)}
    rows = [
        (
            from_ns(row["datetime"] + MINUTE), row["open"], row["high"], row["low"], row["close"],
            row["volume"], row["close_oi"],
        )
        for day in sorted(days)
        for row in store.sandbox_server.bars(SYMBOL, 60, trading_day=day)
    ]  # fmt: skip
    return [row for row in rows if first <= row[0] <= last]


def check_books(store, strategy, lots):
    """Check that strategy, account and exchange agree; each order was sent once, and is over."""
    broker = store.broker
    [account] = store.sandbox_server.state()["accounts"].values()
    legs = [leg for order in broker.get_all_orders() for leg in order.legs]
    assert len({leg.order_id for leg in legs}) == len(legs)
    sent = {leg.order_id for leg in legs if leg.exchange_order_id}
    assert set(account["orders"]) == sent  # no other order, none of them twice
    assert all(order["status"] == "FINISHED" for order in account["orders"].values())
    for leg in legs:
        if leg.order_id in sent:
            official = account["orders"][leg.order_id]
            assert leg.volume - leg.filled == official["volume_left"]
    for order in broker.get_all_orders():
        told = strategy.told[order.ref]
        assert told[-1] in ("Completed", "Canceled", "Rejected")
        assert told.count("Submitted") == 1 and told.count("Accepted") <= 1
        assert sum(told.count(end) for end in ("Completed", "Canceled", "Rejected")) == 1
    position = account["positions"][SYMBOL]
    held = broker.get_account_position(SYMBOL)
    assert strategy.getposition().size == held["pos_long"] == lots
    assert position["pos_long_today"] + position["pos_long_his"] == lots
    assert position["pos_short_today"] + position["pos_short_his"] == held["pos_short"] == 0


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("moment", "fault"), CASES)
def test_whatever_happens_bars_and_orders_are_right(sandbox, run, moment, fault):
    start, time, bar = MOMENTS[moment]
    script = [{"at": {"time": time}, **one} for one in FAULTS[fault]] if time else []

    def harm(server):
        for one in FAULTS[fault]:
            parameters = dict(one)
            server.fault(parameters.pop("fault"), **parameters)

    store = sandbox(start=start, ticks_per_pack=10, script=script)
    strategy = run(store, Persistent, store.getdata(SYMBOL), harm=harm, at=bar)
    counts = store.sandbox_server.state()["faults"]["counts"]
    assert sum(counts.values()) == len(FAULTS[fault])
    assert strategy.done == ["open", "work", "close", "withdraw"]
    assert strategy.bars == official_bars(store, strategy.bars[0][0], strategy.bars[-1][0])
    certificate = store.certificate()[SYMBOL]
    assert certificate.corrected == certificate.missing == 0
    check_books(store, strategy, lots=1)
