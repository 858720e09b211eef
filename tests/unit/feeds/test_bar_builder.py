"""The official rule of bars, a test for each of its sentences."""

import csv
from datetime import date, datetime
from pathlib import Path

import pytest

from tianqin_backtrader.core.clock import MINUTE, SECOND, to_ns
from tianqin_backtrader.core.model import Tick
from tianqin_backtrader.feeds.bar_builder import BarBuilder, SlotTable, day_slots
from tianqin_backtrader.session_calendar import CALENDAR

RECORDED = Path(__file__).parents[4] / "shared" / "data" / "recorded"
DAY = "2026-11-10"


def at(text, day=DAY):
    return to_ns(datetime.fromisoformat(f"{day} {text}"))


def tick(text, price, volume, oi=100, day=DAY):
    return Tick(0, at(text, day), price, volume, 0.0, oi)


def builder_at(text, close=100.0, volume_before=None, symbol="SHFE.cu2612", day=DAY):
    """A builder that stands at a minute, knowing the last tick before it."""
    builder = BarBuilder(SlotTable(CALENDAR, symbol, MINUTE))
    start = at(text, day)
    builder.begin_after(start, close, 100)
    if volume_before is not None:
        builder.push(Tick(0, start - SECOND, close, volume_before, 0.0, 100))
    return builder


def test_a_tick_on_the_boundary_closes_the_old_bar():
    builder = builder_at("09:31:00", volume_before=10)
    assert builder.push(tick("09:31:30", 101.0, 12)) == []
    assert builder.push(tick("09:32:00", 103.0, 15)) == []
    [bar] = builder.push(tick("09:32:00.500", 104.0, 16))
    assert (bar.open, bar.high, bar.low, bar.close, bar.volume) == (100.0, 103.0, 100.0, 103.0, 5)


def test_inside_a_segment_a_bar_opens_at_the_price_in_force():
    builder = builder_at("09:31:00", close=100.0, volume_before=10)
    builder.push(tick("09:31:30", 105.0, 11))
    [bar] = builder.flush(at("09:32:00"))
    assert bar.open == 100.0


def test_the_first_bar_after_a_break_opens_at_its_first_price():
    builder = builder_at("10:30:00", close=100.0)
    builder.push(tick("10:14:59", 100.0, 10))
    builder.push(tick("10:30:01", 105.0, 11))
    [bar] = builder.flush(at("10:31:00"))
    assert (bar.open, bar.low, bar.volume) == (105.0, 105.0, 1)


def test_the_auction_counts_to_the_days_first_bar():
    builder = builder_at("21:00:00", close=100.0, day="2026-11-09")
    builder.push(tick("20:59:00.500", 110.0, 50, day="2026-11-09"))
    builder.push(tick("21:00:30", 112.0, 60, day="2026-11-09"))
    [bar] = builder.flush(at("21:01:00", "2026-11-09"))
    assert (bar.open, bar.high, bar.close, bar.volume) == (110.0, 112.0, 112.0, 60)


def test_before_the_days_first_trade_bars_are_flat_at_the_previous_close():
    builder = builder_at("21:00:00", close=100.0, day="2026-11-09")
    builder.push(tick("21:00:30", float("nan"), 0, day="2026-11-09"))
    [first] = builder.push(tick("21:01:30", 108.0, 3, day="2026-11-09"))
    [second] = builder.flush(at("21:02:00", "2026-11-09"))
    assert (first.open, first.close, first.volume) == (100.0, 100.0, 0)
    assert (second.open, second.low, second.volume) == (108.0, 108.0, 3)


def test_slots_without_ticks_are_flat():
    builder = builder_at("09:31:00", close=100.0, volume_before=10)
    bars = builder.push(tick("09:34:10", 101.0, 11, oi=120))
    assert [(bar.open, bar.close, bar.volume, bar.close_oi) for bar in bars] == [
        (100.0, 100.0, 0, 100)
    ] * 3


def test_volume_is_counted_from_the_days_reset():
    builder = builder_at("14:59:00", close=100.0, volume_before=900)
    builder.push(tick("14:59:30", 100.0, 950))
    [last] = builder.flush(at("15:00:00"))
    builder.push(tick("21:00:10", 100.0, 7))
    [first] = builder.flush(at("21:01:00"))
    assert (last.volume, first.volume) == (50, 7)


def test_a_straggler_after_the_close_counts_to_the_last_bar():
    builder = builder_at("14:59:00", close=100.0, volume_before=900)
    builder.push(tick("14:59:30", 100.0, 950))
    builder.push(tick("15:00:00.500", 102.0, 960))
    [bar] = builder.flush(at("15:00:01"))
    assert (bar.end, bar.close, bar.volume) == (at("15:00:00"), 102.0, 60)


def test_the_last_bar_of_a_session_is_closed_by_the_clock():
    builder = builder_at("10:14:00", close=100.0, volume_before=10)
    builder.push(tick("10:14:59.500", 101.0, 12))
    assert builder.flush(at("10:14:59.999")) == []
    [bar] = builder.flush(at("10:15:00"))
    assert bar.end == at("10:15:00")
    assert builder.slot.start == at("10:30:00")


def test_a_tick_that_comes_after_its_bar_was_closed_is_counted_as_late():
    builder = builder_at("09:31:00", volume_before=10)
    builder.flush(at("09:32:00"))
    assert builder.push(tick("09:31:59", 101.0, 12)) == []
    assert builder.late_ticks == 1


def test_ticks_of_known_bars_only_set_what_is_in_force():
    builder = builder_at("09:31:00", close=100.0)
    builder.push(tick("09:29:00", 98.0, 5))
    builder.push(tick("09:30:59", 99.0, 8))
    builder.push(tick("09:31:20", 101.0, 11))
    [bar] = builder.flush(at("09:32:00"))
    assert (bar.open, bar.close, bar.volume) == (99.0, 101.0, 3)
    assert builder.late_ticks == 0


@pytest.mark.parametrize("cut", range(0, 40, 7))
def test_a_stream_gives_the_same_bars_wherever_the_start_falls(cut):
    ticks = [tick(f"09:{31 + i // 8}:{i % 8 * 7:02d}", 100.0 + i % 5, 10 + i) for i in range(40)]
    whole = builder_at("09:31:00", close=100.0, volume_before=9)
    bars = [bar for one in ticks for bar in whole.push(one)] + whole.flush(at("09:36:00"))
    begin = ticks[cut].time // MINUTE * MINUTE
    known = [bar for bar in bars if bar.end <= begin]
    later = BarBuilder(SlotTable(CALENDAR, "SHFE.cu2612", MINUTE))
    close, oi = (known[-1].close, known[-1].close_oi) if known else (100.0, 100)
    later.begin_after(begin, close, oi)
    later.push(Tick(0, at("09:30:59"), 100.0, 9, 0.0, 100))
    rest = [bar for one in ticks for bar in later.push(one)] + later.flush(at("09:36:00"))
    assert rest == bars[len(known) :]


def test_slots_may_span_a_break_but_are_certain_when_trading_ends():
    slots = day_slots(CALENDAR.sessions("SHFE.bu2612", date(2026, 11, 10)), 4 * MINUTE)
    spanning = [slot for slot in slots if slot.start == at("10:12:00")]
    assert [(slot.end, slot.certain) for slot in spanning] == [(at("10:16:00"), at("10:15:00"))]
    assert at("10:28:00") in [slot.start for slot in slots]


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded data is not here")
def test_200_official_bars_follow_from_their_recorded_ticks():
    def number(text):
        return float(text) if text else float("nan")

    with (RECORDED / "ticks_SHFE.cu1909_20190916.csv").open(encoding="utf-8") as file:
        ticks = [
            Tick(
                int(row["id"]), int(row["datetime"]), number(row["last_price"]),
                int(row["volume"]), number(row["amount"]), int(row["open_interest"]),
            )
            for row in csv.DictReader(file)
        ]  # fmt: skip
    names = ("open", "high", "low", "close", "volume", "open_oi", "close_oi")
    with (RECORDED / "klines_10s_SHFE.cu1909.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    official = [(int(row["datetime"]), *(float(row[name]) for name in names)) for row in rows]
    builder = BarBuilder(SlotTable(CALENDAR, "SHFE.cu1909", 10 * SECOND))
    builder.begin_after(official[0][0], official[0][1], int(official[0][6]))
    bars = [bar for one in ticks for bar in builder.push(one)]
    bars += builder.flush(official[-1][0] + 10 * SECOND)
    built = [(bar.start, *(float(getattr(bar, name)) for name in names)) for bar in bars]
    assert len(official) == 200
    assert built == official
