"""Backtrader's ways to longer bars, on feeds of ours: by sessions, never by a clock."""

from datetime import date, datetime
from itertools import pairwise
from random import Random

import backtrader as bt
import pytest
from day_of_minutes import day_of_minutes

from tianqin_backtrader.core.clock import DAY, HOUR, MINUTE, SECOND, from_ns, to_ns
from tianqin_backtrader.core.model import Bar
from tianqin_backtrader.feeds.bar_feeds import BarFeed
from tianqin_backtrader.feeds.slots import MidnightSlotTable, SlotTable
from tianqin_backtrader.session_calendar import CALENDAR

DAYS = [date(2026, 11, day) for day in (6, 9)]
#: Nights to 23:00, 1:00 and 2:30 and none; the bonds' afternoon is longer.
SYMBOLS = ["SHFE.rb2701", "SHFE.cu2612", "SHFE.au2612", "CZCE.AP701", "CFFEX.IF2612", "CFFEX.T2612"]


class Given(BarFeed):
    """Bars of a list, live: one in every other round of Cerebro."""

    params = (("bars", ()), ("timeframe", bt.TimeFrame.Minutes))

    def __init__(self):
        self.left, self.has_bar = list(self.p.bars)[::-1], False
        self.heard, self.newest = 0, None

    @property
    def heard_until(self):
        return self.heard

    def islive(self):
        return True

    def do_qcheck(self, onoff, qlapse):
        """Cerebro says so at the start of a round."""
        self.has_bar = not self.has_bar

    def _load(self):
        if not self.has_bar or not self.left:
            return False if self.has_bar else None
        bar = self.left.pop()
        self.heard = bar.id  # in these tests: until when all is here, once it is delivered
        self.newest = from_ns(bar.end)
        self._write(bar)
        return True


class Keep(bt.Strategy):
    """The bars of the last feed, and the end of the newest bar of the first when each came."""

    def __init__(self):
        self.bars, self.came = [], []

    def next(self):
        data = self.datas[-1]
        if len(data) > len(self.bars):
            row = [line[0] for line in (data.open, data.high, data.low, data.close, data.volume)]
            self.bars.append((data.datetime.datetime(0), *row))
            self.came.append(self.env.datas[0].newest)

    prenext = next


def minutes_of(symbol, days=DAYS, seed=1, thin=0):
    """Made-up minutes of trading days; ``thin``: so many at a day's start have no trade."""
    table, random = SlotTable(CALENDAR, symbol, MINUTE), Random(seed)
    close, bars = 100.0, []
    for day in days:
        for number, slot in enumerate(table.of_day(day)):
            if number < thin:
                prices, volume = (close,) * 4, 0
            else:
                opened = close if number > thin else close + 50
                steps = [opened + random.randint(-9, 9) for _ in range(3)]
                close = steps[-1]
                prices, volume = (opened, max(steps), min(steps), close), random.randint(1, 99)
                prices = (opened, max(opened, *steps), min(opened, *steps), close)
            bars.append(Bar(slot.start, slot.end, *prices, volume, 1, 1))
    return bars


def longer(symbol, bars, minutes, cut_at_midnight=False):
    """What they make in bars of so many minutes: by the exchange's rule."""
    table = (MidnightSlotTable if cut_at_midnight else SlotTable)(
        CALENDAR, symbol, minutes * MINUTE
    )
    found = []
    for day in dict.fromkeys(CALENDAR.trading_day_at(from_ns(bar.end - 1)) for bar in bars):
        for slot in table.of_day(day):
            inside = [bar for bar in bars if slot.start < bar.end <= slot.certain]
            if inside:
                found.append((from_ns(slot.end), *day_of_minutes(inside)[2:7]))
    return found


def play(symbol, bars, *, beside, base=bt.TimeFrame.Minutes, frame=bt.TimeFrame.Minutes, **options):
    cerebro = bt.Cerebro(stdstats=False)
    data = Given(dataname=symbol, bars=bars, timeframe=base)
    if beside:
        cerebro.adddata(data)
    cerebro.resampledata(data, timeframe=frame, **options)
    cerebro.addstrategy(Keep)
    return cerebro.run()[0]


@pytest.mark.parametrize("beside", [True, False], ids=["beside the minutes", "alone"])
@pytest.mark.parametrize(
    ("symbol", "minutes"),
    [
        *((symbol, 60) for symbol in SYMBOLS),
        *((SYMBOLS[1], minutes) for minutes in (2, 20, 30, 120)),
    ],
)
def test_every_bar_comes_with_its_last_minute(symbol, minutes, beside):
    bars = minutes_of(symbol)
    strategy = play(symbol, bars, beside=beside, compression=minutes)
    expected = longer(symbol, bars, minutes)
    assert strategy.bars == expected
    certain = [
        slot.certain
        for day in DAYS
        for slot in SlotTable(CALENDAR, symbol, minutes * MINUTE).of_day(day)
    ]
    assert strategy.came == [from_ns(one) for one in certain]


@pytest.mark.parametrize("minutes", [7, 25, 45, 50])
def test_lengths_that_fit_into_no_day_begin_anew_at_midnight(minutes):
    bars = minutes_of("SHFE.au2612")
    strategy = play("SHFE.au2612", bars, beside=False, compression=minutes)
    assert strategy.bars == longer("SHFE.au2612", bars, minutes, cut_at_midnight=True)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_slots_are_those_of_tianqin_where_the_length_fits_into_a_day(symbol):
    for minutes in (1, 3, 5, 15, 30, 60):
        ours, tianqins = (
            kind(CALENDAR, symbol, minutes * MINUTE) for kind in (MidnightSlotTable, SlotTable)
        )
        assert [ours.of_day(day) for day in DAYS] == [tianqins.of_day(day) for day in DAYS]


@pytest.mark.parametrize("beside", [True, False], ids=["beside the minutes", "alone"])
@pytest.mark.parametrize("symbol", ["SHFE.cu2612", "CFFEX.T2612"])
def test_days_and_weeks_come_with_their_last_minute(symbol, beside):
    bars = minutes_of(symbol)
    days = [bars[begin : begin + len(bars) // 2] for begin in range(0, len(bars), len(bars) // 2)]
    for frame, groups in (
        (bt.TimeFrame.Days, days),
        (bt.TimeFrame.Weeks, [days[0]]),
    ):
        strategy = play(symbol, bars, beside=beside, frame=frame)
        made = [(from_ns(one[-1].end), *day_of_minutes(one)[2:7]) for one in groups]
        assert strategy.bars[: len(made)] == made
        assert strategy.came[: len(made)] == [from_ns(one[-1].end) for one in groups]


def test_two_days_and_months():
    bars = minutes_of("SHFE.cu2612", [date(2026, 11, 27), date(2026, 11, 30), date(2026, 12, 1)])
    two = play("SHFE.cu2612", bars, beside=True, frame=bt.TimeFrame.Days, compression=2)
    month = play("SHFE.cu2612", bars, beside=True, frame=bt.TimeFrame.Months)
    close = datetime(2026, 11, 30, 15)
    assert two.bars[0] == month.bars[0]
    assert (two.bars[0][0], two.came[0], month.came[0]) == (close, close, close)


@pytest.mark.parametrize("minutes", [5, 60, None])
@pytest.mark.parametrize("thin", [3, 200])
@pytest.mark.parametrize("symbol", ["SHFE.cu2612", "CFFEX.IF2612"])
def test_a_bar_opens_with_the_days_first_trade(symbol, thin, minutes):
    """Minutes before it are flat at the close of the day before: the gap is no part of a bar."""
    bars = minutes_of(symbol, thin=thin)
    if minutes:
        made = play(symbol, bars, beside=True, compression=minutes)
        assert made.bars == longer(symbol, bars, minutes)
        return
    made = play(symbol, bars, beside=True, frame=bt.TimeFrame.Days)
    size = len(bars) // 2
    days = [bars[begin : begin + size] for begin in range(0, len(bars), size)]
    assert [bar[1:] for bar in made.bars] == [day_of_minutes(day)[2:7] for day in days]


def test_a_day_and_minutes_without_any_trade_are_flat():
    bars = minutes_of("SHFE.cu2612", DAYS[:2], thin=1000)
    made = play("SHFE.cu2612", bars, beside=True, frame=bt.TimeFrame.Days)
    assert [bar[1:] for bar in made.bars] == [(100.0, 100.0, 100.0, 100.0, 0.0)] * 2


def test_a_missing_last_minute_does_not_spoil_the_next_bar():
    whole = minutes_of("SHFE.rb2701", [date(2026, 11, 10)])
    bars = [bar for bar in whole if from_ns(bar.end).strftime("%H:%M") not in ("11:30", "10:15")]
    made = play("SHFE.rb2701", bars, beside=True, compression=30)
    assert made.bars == longer("SHFE.rb2701", bars, 30)


@pytest.mark.parametrize("beside", [True, False], ids=["beside the minutes", "alone"])
def test_replayed_bars_end_where_resampled_ones_do(beside):
    bars = minutes_of("SHFE.cu2612")

    class Last(Keep):
        def next(self):
            data = self.datas[-1]
            del self.bars[len(data) - 1 :]
            row = [line[0] for line in (data.open, data.high, data.low, data.close, data.volume)]
            self.bars.append(tuple(row))

        prenext = next

    cerebro = bt.Cerebro(stdstats=False)
    data = Given(dataname="SHFE.cu2612", bars=bars)
    if beside:
        cerebro.adddata(data)
    cerebro.replaydata(data, timeframe=bt.TimeFrame.Minutes, compression=30)
    cerebro.addstrategy(Last)
    [strategy] = cerebro.run()
    assert strategy.bars == [row[1:] for row in longer("SHFE.cu2612", bars, 30)]


# -- bars of ticks --------------------------------------------------------------------------------


def at(text):
    return to_ns(datetime.fromisoformat(f"2026-11-10 {text}"))


def ticks_of(*rows):
    """(stamp, price, until when all ticks are here once it is delivered)."""
    return [
        Bar(at(stamp), at(stamp), *(price,) * 4, 1, 1, 1, id=at(heard))
        for stamp, price, heard in rows
    ]


def made_of(ticks, *, beside, **options):
    return play("SHFE.rb2701", ticks, beside=beside, base=bt.TimeFrame.Ticks, **options).bars


@pytest.mark.parametrize("beside", [True, False], ids=["beside the ticks", "alone"])
def test_bars_of_ticks_are_closed_by_a_later_tick_or_by_proof(beside):
    ticks = ticks_of(
        ("09:04:59.500", 1.0, "09:04:59"),
        ("09:05:00.500", 2.0, "09:05:00"),
        ("10:14:59", 3.0, "10:15:01"),  # a straggler may come
        ("10:15:00.500", 4.0, "10:15:03"),
        ("14:59:50", 5.0, "15:00:02"),
    )
    bars = made_of(ticks, beside=beside, compression=5)
    assert [(f"{bar[0]:%H:%M}", bar[4], bar[5]) for bar in bars] == [
        ("09:05", 1.0, 1), ("09:10", 2.0, 1), ("10:15", 4.0, 2), ("15:00", 5.0, 1),
    ]  # fmt: skip


@pytest.mark.parametrize("beside", [True, False], ids=["beside the ticks", "alone"])
def test_the_day_of_ticks_ends_by_proof(beside):
    ticks = ticks_of(("09:04:59", 1.0, "09:05:00"), ("15:00:00", 2.0, "15:00:02"))
    [day] = made_of(ticks, beside=beside, frame=bt.TimeFrame.Days)
    assert day == (datetime(2026, 11, 10, 15), 1.0, 2.0, 1.0, 2.0, 2)


def test_bars_of_so_many_ticks_are_stamped_with_their_last():
    ticks = ticks_of(*((f"09:00:0{second}", float(second), "09:00:00") for second in range(6)))
    bars = made_of(ticks, beside=True, frame=bt.TimeFrame.Ticks, compression=3)
    assert [(f"{bar[0]:%H:%M:%S}", bar[4]) for bar in bars] == [
        ("09:00:02", 2.0),
        ("09:00:05", 5.0),
    ]


def test_a_tick_in_the_auction_is_the_first_bars():
    table = MidnightSlotTable(CALENDAR, "SHFE.rb2701", 5 * MINUTE)
    auction = to_ns(datetime(2026, 11, 9, 20, 59))
    assert table.locate(auction) == (date(2026, 11, 10), 0)
    assert table.locate(at("15:00:01")) == table.locate(at("14:59:59"))


def test_no_slot_reaches_over_two_days():
    table = MidnightSlotTable(CALENDAR, "SHFE.au2612", 6 * HOUR)
    slots = [slot for day in DAYS for slot in table.of_day(day)]
    assert all(a.end <= b.start for a, b in pairwise(slots))
    assert all(slot.start < slot.certain <= slot.end <= slot.start + DAY for slot in slots)
    assert SECOND < slots[0].end - slots[0].start
