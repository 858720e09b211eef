"""A run may begin at any time: between history and live bars none is missing or comes twice."""

import os
import subprocess
import sys
from datetime import datetime, timedelta

import backtrader as bt
import pytest

from tianqin_backtrader.core.clock import MINUTE, from_ns, to_ns


class Keep(bt.Strategy):
    params = dict(live=40)

    def __init__(self):
        self.bars = []

    def next(self):
        data = self.data
        self.bars.append(
            (
                data.datetime.datetime(0), data.open[0], data.high[0], data.low[0], data.close[0],
                data.volume[0], data.openinterest[0], data.history_phase,
            )
        )  # fmt: skip
        if sum(not bar[-1] for bar in self.bars) == self.p.live:
            self.env.runstop()


@pytest.mark.parametrize(
    ("start", "first_live"),
    [
        ("2026-11-10 10:02:17", "2026-11-10 10:03"),
        ("2026-11-10 10:02:00", "2026-11-10 10:03"),
        ("2026-11-10 10:15:30", "2026-11-10 10:31"),
        ("2026-11-10 10:20:00", "2026-11-10 10:31"),
        ("2026-11-10 12:00:00", "2026-11-10 13:31"),
        ("2026-11-10 17:00:00", "2026-11-10 21:01"),
        ("2026-11-10 20:57:00", "2026-11-10 21:01"),
        ("2026-11-10 23:59:31", "2026-11-11 00:00"),
        ("2026-11-11 00:30:30", "2026-11-11 00:31"),
        ("2026-11-13 23:30:30", "2026-11-13 23:31"),  # Friday's night is Monday's
        ("2026-11-14 10:00:00", "2026-11-16 09:01"),  # Saturday
        ("2026-09-25 10:00:00", "2026-09-28 09:01"),  # a holiday
        ("2026-09-24 21:30:00", "2026-09-28 09:01"),  # its eve has no night session
        ("2026-10-04 21:30:00", "2026-10-08 09:01"),  # in the National Day week
    ],
)
def test_history_and_live_bars_meet(sandbox, run, start, first_live):
    store = sandbox(start=start, days=2, ticks_per_pack=20)
    feed = store.getdata("SHFE.cu2612", lookback=120, night_start=False)
    bars = run(store, Keep, feed).bars
    live = [bar for bar in bars if not bar[-1]]
    # Before a live tick has set the clock the latest two minutes are not history.
    proved = datetime.fromisoformat(start) - timedelta(minutes=0 if store.clock.virtual else 2)
    assert proved < live[0][0] <= datetime.fromisoformat(first_live)
    assert not store.clock.virtual or live[0][0] == datetime.fromisoformat(first_live)
    assert len(bars) == 160
    days = {store.calendar.trading_day_at(from_ns(to_ns(bar[0]) - MINUTE)) for bar in bars}
    official = [
        (
            from_ns(row["datetime"] + MINUTE), row["open"], row["high"], row["low"], row["close"],
            row["volume"], row["close_oi"],
        )
        for day in sorted(days)
        for row in store.sandbox_server.bars("SHFE.cu2612", 60, trading_day=day)
    ]  # fmt: skip
    begin = [row[0] for row in official].index(bars[0][0])
    assert [bar[:-1] for bar in bars] == official[begin : begin + 160]


@pytest.mark.parametrize(
    ("start", "symbol", "minutes"),
    [
        ("2026-11-10 10:40:33", "SHFE.cu2612", 60),
        ("2026-11-10 13:10:00", "CFFEX.IF2612", 60),
        ("2026-11-10 22:59:50", "DCE.m2701", 30),
    ],
)
def test_a_bar_whose_beginning_was_missed_is_the_official_one(sandbox, run, start, symbol, minutes):
    """The recent ticks do not reach back to the beginning of the running bar."""
    store = sandbox(start=start, days=2, ticks_per_pack=40)
    feed = store.getdata(symbol, compression=minutes, lookback=5, night_start=False)
    bars = run(store, Keep, feed, live=3).bars
    live = [bar for bar in bars if not bar[-1]]
    days = {store.calendar.trading_day_at(from_ns(to_ns(bar[0]) - MINUTE)) for bar in live}
    official = [
        (
            from_ns(row["datetime"] + minutes * MINUTE), row["open"], row["high"], row["low"],
            row["close"], row["volume"], row["close_oi"],
        )
        for day in sorted(days)
        for row in store.sandbox_server.bars(symbol, 60 * minutes, trading_day=day)
    ]  # fmt: skip
    assert [bar[:-1] for bar in live] == [row for row in official if row[0] >= live[0][0]][:3]
    certificate = feed.certificate()
    assert certificate.corrected == certificate.missing == 0


@pytest.mark.parametrize(
    ("start", "symbol", "end"),
    [
        ("2026-11-10 11:40:00", "SHFE.cu2612", "2026-11-10 12:00"),
        ("2026-11-10 11:40:00", "CFFEX.IF2612", "2026-11-10 12:00"),
        ("2026-11-11 02:45:00", "SHFE.au2704", "2026-11-11 03:00"),
        ("2026-11-10 15:20:00", "CFFEX.T2612", "2026-11-10 16:00"),
    ],
)
def test_an_hour_that_a_break_has_cut_is_history_as_it_is(sandbox, run, start, symbol, end):
    store = sandbox(start=start, days=2, ticks_per_pack=40)
    feed = store.getdata(symbol, compression=60, lookback=5, night_start=False)
    bars = run(store, Keep, feed, live=1).bars
    [last] = [bar for bar in bars if bar[-1]][-1:]
    assert f"{last[0]:%Y-%m-%d %H:%M}" == end
    day = store.calendar.trading_day_at(from_ns(to_ns(last[0]) - 60 * MINUTE))
    names = ("open", "high", "low", "close", "volume", "close_oi")
    rows = store.sandbox_server.bars(symbol, 3600, trading_day=day)
    [official] = [row for row in rows if from_ns(row["datetime"] + 60 * MINUTE) == last[0]]
    assert last[1:-1] == tuple(official[name] for name in names)


@pytest.mark.parametrize(
    ("symbol", "lookback", "count", "first"),
    [
        ("SHFE.cu2612", 30, 300, "2026-11-09 21:01"),  # the night's 240 and 60
        ("SHFE.cu2612", 300, 300, "2026-11-09 21:01"),
        ("SHFE.cu2612", 301, 300 + 465, "2026-11-06 21:01"),  # Friday's night is Monday's
        ("CFFEX.IF2612", 30, 30, "2026-11-10 09:31"),
        ("CFFEX.IF2612", 31, 30 + 240, "2026-11-09 09:31"),
    ],
)
def test_a_number_of_bars_reaches_back_to_a_days_opening(
    sandbox, run, symbol, lookback, count, first
):
    store = sandbox(start="2026-11-10 10:00:20", ticks_per_pack=20)
    bars = run(store, Keep, store.getdata(symbol, lookback=lookback)).bars
    history = [bar for bar in bars if bar[-1]]
    assert f"{history[0][0]:%Y-%m-%d %H:%M}" == first
    assert len(history) == count >= lookback


def test_before_the_first_open_of_a_new_contract(sandbox, run):
    """T2709 trades from 2026-09-28 on."""
    store = sandbox(start="2026-09-28 09:00:00", ticks_per_pack=20)
    bars = run(store, Keep, store.getdata("CFFEX.T2709", lookback=100)).bars
    official = store.sandbox_server.bars("CFFEX.T2709", 60, trading_day="2026-09-28")
    assert [bar[0] for bar in bars] == [from_ns(row["datetime"] + MINUTE) for row in official[:40]]
    assert [bar[4] for bar in bars] == [row["close"] for row in official[:40]]
    assert not any(bar[-1] for bar in bars)


def test_the_second_day_of_a_new_contract_has_the_first_as_its_history(sandbox, run):
    store = sandbox(start="2026-09-29 09:40:00", ticks_per_pack=20)
    bars = run(store, Keep, store.getdata("CFFEX.T2709", lookback=1000)).bars
    rows = [
        row
        for day in ("2026-09-28", "2026-09-29")
        for row in store.sandbox_server.bars("CFFEX.T2709", 60, trading_day=day)
    ]
    expected = [(from_ns(row["datetime"] + MINUTE), row["close"]) for row in rows]
    known, later = bars[: len(expected)], bars[len(expected) :]
    assert [(bar[0], bar[4]) for bar in known] == expected[: len(bars)]
    # The server makes the row of a minute without a tick when a later tick comes.
    assert all((bar[4], bar[5]) == (expected[-1][1], 0) for bar in later)
    assert sum(bar[-1] for bar in bars) == len(bars) - 40 >= 250


ANY_ZONE = """
import backtrader as bt
from tianqin_backtrader import MyStore

class Show(bt.Strategy):
    def next(self):
        d = self.data
        print(d.datetime[0].hex(), d.datetime.datetime(0), d.close[0], d.history_phase)
        if len(d) == 130:
            self.env.runstop()

with MyStore.sandbox(start="2026-11-10 23:40:20", ticks_per_pack=20) as store:
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(store.getdata("SHFE.cu2612", lookback=100, night_start=False))
    cerebro.addstrategy(Show)
    cerebro.run()
"""


def test_bars_are_bit_equal_under_any_timezone_of_the_machine():
    zones = ("Asia/Shanghai", "America/New_York", "Pacific/Chatham")
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", ANY_ZONE],
            env=os.environ | {"TZ": zone}, stdout=subprocess.PIPE, text=True,
        )
        for zone in zones
    ]  # fmt: skip
    outputs = [program.communicate()[0].splitlines() for program in programs]
    assert [program.returncode for program in programs] == [0, 0, 0]
    beijing, *others = ([line for line in one if line.startswith("0x")] for one in outputs)
    assert len(beijing) == 130
    assert "2026-11-11 00:00:00" in "".join(beijing)
    assert others == [beijing, beijing]
