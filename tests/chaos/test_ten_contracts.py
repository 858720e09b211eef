"""Every bar of ten contracts of all six exchanges is equal over a weekend and a holiday eve.

Thursday 2026-09-24 is the eve of a holiday, Friday the holiday; Monday has no night session.
"""

import os
import random
from datetime import datetime, timedelta

import backtrader as bt
import pytest

SYMBOLS = (
    "SHFE.cu2611", "SHFE.rb2701", "SHFE.au2612", "INE.sc2611", "DCE.m2701", "DCE.i2701",
    "CZCE.SR701", "CZCE.MA701", "CFFEX.T2612", "GFEX.lc2701",
)  # fmt: skip
#: Feeds of each contract: name of the length, its seconds, and a function that makes the feed.
LENGTHS = {
    "1": (60, lambda store, symbol, name: store.getdata(symbol, name=name)),
    "5": (300, lambda store, symbol, name: store.getdata(symbol, name=name, compression=5)),
    "15": (900, lambda store, symbol, name: store.getdata(symbol, name=name, compression=15)),
    "60": (3600, lambda store, symbol, name: store.getdata(symbol, name=name, compression=60)),
    "day": (86400, lambda store, symbol, name: store.get_daily_data(symbol, name=name)),
}
DAYS = ["2026-09-23", "2026-09-24", "2026-09-28"]
COLUMNS = ("open", "high", "low", "close", "volume", "close_oi")
#: Sessions with link faults.
SESSIONS = (
    ("2026-09-22 21:00", 240), ("2026-09-23 09:00", 75), ("2026-09-23 10:30", 60),
    ("2026-09-23 13:30", 90), ("2026-09-23 21:00", 240), ("2026-09-24 09:00", 75),
    ("2026-09-24 10:30", 60), ("2026-09-24 13:30", 90), ("2026-09-28 09:00", 75),
    ("2026-09-28 10:30", 60), ("2026-09-28 13:30", 88),
)  # fmt: skip
SCRIPTS = int(os.environ.get("FAULT_SCRIPTS", "50"))


class Keep(bt.Strategy):
    def __init__(self):
        self.bars = {data._name: [] for data in self.datas}
        self.lengths = dict.fromkeys(self.bars, 0)

    def prenext(self):
        for data in self.datas:
            if len(data) > self.lengths[data._name]:
                self.lengths[data._name] = len(data)
                lines = (data.open, data.high, data.low, data.close, data.volume, data.openinterest)
                self.bars[data._name].append(tuple(line[0] for line in lines))

    next = prenext


def fault_script(seed):
    """Make six faults at random moments; the same seed gives the same script."""
    rng = random.Random(seed)

    def moment():
        start, minutes = rng.choice(SESSIONS)
        later = timedelta(seconds=rng.randint(0, minutes * 60))
        return f"{datetime.fromisoformat(start) + later}"

    makers = [
        lambda: {"fault": "drop", "conn": rng.choice(["md", "td", "all"])},
        lambda: {"fault": "drop", "conn": rng.choice(["md", "td", "all"]), "how": "clean"},
        lambda: {"fault": "freeze", "conn": rng.choice(["md", "all"]), "seconds": rng.random()},
        lambda: {"fault": "batch", "steps": rng.randint(20, 2000)},
        lambda: {"fault": "repeat", "conn": "md"},
        lambda: {"fault": "cut", "conn": "md"},
        lambda: {"fault": "refuse", "conn": "all", "attempts": rng.randint(1, 3)},
        lambda: {"fault": "fill_away", "conn": "md", "seconds": rng.randint(30, 7200)},
    ]
    return [{"at": {"time": moment()}, **rng.choice(makers)()} for _ in range(6)]


def run_days(sandbox, run, script, ticks_per_pack=30):
    """Compare every bar with the sandbox's own; return the store."""
    store = sandbox(start=DAYS[0], days=len(DAYS), ticks_per_pack=ticks_per_pack, script=script)
    feeds = [
        make(store, symbol, f"{symbol} {length}")
        for symbol in SYMBOLS
        for length, (_, make) in LENGTHS.items()
    ]
    strategy = run(store, Keep, *feeds)
    compared = 0
    for symbol in SYMBOLS:
        for length, (seconds, _) in LENGTHS.items():
            official = [
                tuple(row[name] for name in COLUMNS)
                for day in DAYS
                for row in store.sandbox_server.bars(symbol, seconds, trading_day=day)
            ]
            assert strategy.bars[f"{symbol} {length}"] == official, (symbol, length)
            compared += len(official)
    certificates = store.certificate().values()
    assert sum(one.delivered for one in certificates) == compared > 12_000
    assert sum(one.corrected + one.missing for one in certificates) == 0
    assert store.sandbox_server.state()["faults"]["planned"] == 0
    return store


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_bar_of_every_length_is_equal(sandbox, run):
    run_days(sandbox, run, ())


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(SCRIPTS))
def test_every_bar_is_equal_whatever_happens_to_the_link(sandbox, run, record_property, seed):
    store = run_days(sandbox, run, fault_script(seed), ticks_per_pack=100)
    record_property("sessions", store.reconnector.sessions)
