"""Bars are the same however a stream of ticks is packed, cut or repeated."""

from datetime import datetime
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from sieves import all_that_can_be

from tianqin_backtrader.core.clock import MINUTE, SECOND, to_ns
from tianqin_backtrader.core.model import NAN, Tick
from tianqin_backtrader.feeds.bar_builder import BarBuilder, SlotTable
from tianqin_backtrader.feeds.live_bars import LiveBars
from tianqin_backtrader.session_calendar import CALENDAR

SYMBOL = "SHFE.cu2612"
#: From before the break at 10:15 into the afternoon, across two breaks.
BEGIN = to_ns(datetime(2026, 11, 10, 10, 10))
END = to_ns(datetime(2026, 11, 10, 13, 40))
SESSIONS = [
    (to_ns(a), to_ns(b)) for a, b in CALENDAR.resolve_intervals(SYMBOL, datetime(2026, 11, 10, 10))
]
HALF = SECOND // 2


class Rows:
    ready = False  # no official bars come

    def __init__(self, ticks):
        self.all = {tick.id: tick for tick in ticks}
        self.last_id = -1

    def ticks(self, first, last):
        return [self.all[row] for row in range(first, last + 1) if row in self.all]

    def bars(self, first, last):
        return []


@st.composite
def streams(draw):
    """Ticks in trading time, on half seconds, some of them exactly at a minute's end."""
    slots = range(0, (END - BEGIN) // HALF)
    chosen = sorted(draw(st.sets(st.sampled_from(slots), min_size=1, max_size=120)))
    times = [BEGIN + (slot + 1) * HALF for slot in chosen]
    times = [t for t in times if any(a < t < b for a, b in SESSIONS)]
    volume, ticks = 1000, []
    for number, stamp in enumerate(times):
        volume += draw(st.integers(0, 5))
        price = draw(st.one_of(st.integers(90, 110).map(float), st.just(NAN)))
        ticks.append(Tick(number, stamp, price, volume, 0.0, 500 + number))
    return ticks


def live_bars(ticks):
    builder = BarBuilder(SlotTable(CALENDAR, SYMBOL, MINUTE))
    builder.begin_after(BEGIN, 100.0, 500)
    rows = Rows(ticks)
    live = LiveBars(SYMBOL, builder, rows, rows, 0, 0, all_that_can_be(SYMBOL))
    live.begin(None, [Tick(-1, BEGIN - SECOND, 100.0, 1000, 0.0, 500)], BEGIN)
    return live, rows


def finish(live):
    live.flush(END)
    bars = []
    while live.has_bar(live.complete_until, END):
        bars.append(live.pop())
    return [bar[:9] for bar in bars]


@settings(max_examples=150, deadline=None)
@given(streams(), st.data())
def test_packs_do_not_matter(ticks, data):
    one, rows = live_bars(ticks)
    rows.last_id = len(ticks) - 1
    one.take_ticks()
    expected = finish(one)
    other, rows = live_bars(ticks)
    while rows.last_id < len(ticks) - 1:
        rows.last_id += data.draw(st.integers(1, len(ticks)))
        rows.last_id = min(rows.last_id, len(ticks) - 1)
        other.take_ticks()
        other.take_ticks()  # without new ticks, nothing happens
        if rows.last_id >= 0:
            other.flush(ticks[rows.last_id].time)
    assert finish(other) == expected


@settings(max_examples=150, deadline=None)
@given(streams(), st.integers(0, 119))
def test_a_start_at_any_tick_gives_the_rest(ticks, cut):
    whole, rows = live_bars(ticks)
    rows.last_id = len(ticks) - 1
    whole.take_ticks()
    expected = finish(whole)
    begin = ticks[min(cut, len(ticks) - 1)].time // MINUTE * MINUTE if ticks else BEGIN
    known = [bar for bar in expected if bar[1] <= begin]
    builder = BarBuilder(SlotTable(CALENDAR, SYMBOL, MINUTE))
    before = known[-1] if known else (0, BEGIN, 0, 0, 0, 100.0, 0, 0, 500)
    builder.begin_after(before[1], before[5], before[8])
    later = LiveBars(SYMBOL, builder, Rows([]), Rows([]), len(known), 0, all_that_can_be(SYMBOL))
    newest = ticks[-1].time if ticks else BEGIN
    past = later.begin(None, [Tick(-1, BEGIN - SECOND, 100.0, 1000, 0.0, 500), *ticks], newest)
    assert [bar[:9] for bar in past] + finish(later) == expected[len(known) :]


@settings(max_examples=150, deadline=None)
@given(streams())
def test_every_slot_has_its_bar_and_volume_is_kept(ticks):
    live, rows = live_bars(ticks)
    rows.last_id = len(ticks) - 1
    live.take_ticks()
    bars = finish(live)
    assert len(bars) == 5 + 60 + 10
    assert all(low <= min(o, c) and high >= max(o, c) for _, _, o, high, low, c, *_ in bars)
    assert sum(bar[6] for bar in bars) == (ticks[-1].volume if ticks else 1000) - 1000
    assert all(before[8] == after[7] for before, after in pairwise(bars))
