"""Live bars are TianQin's own, however ticks and bars are packed, and whichever of them lags."""

import random
from datetime import datetime

import pytest
from sieves import all_that_can_be

from tianqin_backtrader.core.clock import MINUTE, SECOND, to_ns
from tianqin_backtrader.core.model import Bar, Tick
from tianqin_backtrader.feeds.live_bars import LiveBars
from tianqin_backtrader.feeds.slots import SlotCursor, SlotTable
from tianqin_backtrader.session_calendar import CALENDAR

SYMBOL = "SHFE.cu2612"
#: From before the break at 10:15 into the afternoon, across two breaks.
BEGIN = to_ns(datetime(2026, 11, 10, 10, 10))
END = to_ns(datetime(2026, 11, 10, 13, 40))
TABLE = SlotTable(CALENDAR, SYMBOL, MINUTE)
HALF = SECOND // 2


class Server:
    """Makes a contract's bars from its ticks as TianQin does: a flat one with the next tick."""

    ready = True

    def __init__(self):
        begin = BEGIN - MINUTE
        self.last = Bar(begin, BEGIN, 100.0, 100.0, 100.0, 100.0, 5, 500, 500, id=0)
        self.rows, self.volume, self.shown = [self.last], 0, []
        self._cursor = SlotCursor(TABLE, BEGIN)

    @property
    def last_id(self):
        return self.rows[-1].id

    def bars(self, first, last):
        return self.rows[first : last + 1]

    def take(self):
        shown, self.shown = self.shown, []
        return shown

    def show(self, tick):
        """The quote; of ticks in one pack only the last is seen."""
        self.shown = [tick]

    def make(self, tick):
        """The bars with a tick in them."""
        bar, slot = self.rows[-1], self._cursor.slot
        while slot.certain < tick.time:
            if bar.start < slot.start:
                self._begin(slot, bar)
            self._cursor.step()
            bar, slot = self.rows[-1], self._cursor.slot
        if bar.start < slot.start:
            bar = self._begin(slot, bar, tick.last_price if slot.opens_segment else bar.close)
        price = tick.last_price
        self.rows[-1] = bar._replace(
            high=max(bar.high, price), low=min(bar.low, price), close=price,
            volume=bar.volume + tick.volume - self.volume, close_oi=tick.open_interest,
        )  # fmt: skip
        self.volume = tick.volume

    def _begin(self, slot, before, opened=None):
        price = before.close if opened is None else opened
        self.rows.append(
            Bar(
                slot.start, slot.end, price, price, price, price, 0, before.close_oi,
                before.close_oi, id=before.id + 1,
            )
        )  # fmt: skip
        return self.rows[-1]


def stream(rng):
    """Ticks in trading time, on half seconds, most of them about a minute's end."""
    minutes = rng.sample(range((END - BEGIN) // MINUTE), 40)
    near = {120 * minute + offset for minute in minutes for offset in rng.sample(range(-6, 7), 5)}
    chosen = sorted(place for place in near | {rng.randrange(25_000) for _ in range(40)})
    day = CALENDAR.trading_day_at(datetime(2026, 11, 10, 10))
    sessions = [(to_ns(a), to_ns(b)) for a, b in CALENDAR.sessions(SYMBOL, day)]
    times = [BEGIN + (place + 1) * HALF for place in chosen]
    times = [t for t in times if t < END and any(a < t < b for a, b in sessions)]
    volume, ticks = 0, []
    for number, stamp in enumerate(times):
        volume += rng.randrange(6)
        ticks.append(Tick(number, stamp, float(rng.randrange(90, 111)), volume, 0.0, 500 + number))
    return ticks


def delivered(live):
    bars = []
    while live.has_bar(live.complete_until):
        bars.append(live.pop())
    return bars


def official(ticks):
    """All bars of the stream, as TianQin has them when the last one is over."""
    server = Server()
    for tick in ticks:
        server.make(tick)
    server.make(Tick(0, END + HALF, 100.0, server.volume, 0.0, 500))
    return server.rows[1:-1]


@pytest.mark.parametrize("seed", range(100))
def test_bars_are_those_of_the_server_whatever_comes_first(seed):
    rng = random.Random(seed)
    ticks, server = stream(rng), Server()
    live = LiveBars(
        SYMBOL, SlotCursor(TABLE, BEGIN), server, server, all_that_can_be(SYMBOL), server.last
    )
    assert live.begin(BEGIN) == []
    bars, made = [], 0
    for number, tick in enumerate(ticks):
        now = tick.time - 1
        live.flush(now - HALF)  # what the clock has proved; the bars may lack the last ticks
        bars += delivered(live)
        server.show(tick)
        following = ticks[number + 1].time if number + 1 < len(ticks) else END
        if rng.random() < 0.5 or following - ticks[made].time > 2 * SECOND:
            for one in ticks[made : number + 1]:
                server.make(one)
            made = number + 1
        live.take()
    live.flush(END)
    bars += delivered(live)
    assert [bar[:9] for bar in bars] == [bar[:9] for bar in official(ticks)]
    live.check(END + MINUTE)
    found = live.certificate()
    assert found.corrected == found.missing == 0
