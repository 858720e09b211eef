"""When bars begin and end, by the sessions."""

from datetime import date, datetime

import pytest

from tianqin_backtrader.core.clock import HOUR, MINUTE, to_ns
from tianqin_backtrader.feeds.slots import DaySlotTable, SlotCursor, SlotTable, day_slots
from tianqin_backtrader.session_calendar import CALENDAR

DAY = date(2026, 11, 10)


def at(text, day="2026-11-10"):
    return to_ns(datetime.fromisoformat(f"{day} {text}"))


def test_slots_may_span_a_break_but_are_certain_when_trading_ends():
    slots = day_slots(CALENDAR.sessions("SHFE.bu2612", DAY), 4 * MINUTE)
    spanning = [slot for slot in slots if slot.start == at("10:12:00")]
    assert [(slot.end, slot.certain) for slot in spanning] == [(at("10:16:00"), at("10:15:00"))]
    assert at("10:28:00") in [slot.start for slot in slots]


@pytest.mark.parametrize(
    ("symbol", "period", "after", "begins"),
    [
        ("SHFE.cu2612", MINUTE, at("09:31:00"), at("09:31:00")),
        ("SHFE.cu2612", MINUTE, at("10:15:00"), at("10:30:00")),
        ("SHFE.cu2612", MINUTE, at("15:00:00"), at("21:00:00")),
        ("CFFEX.IF2612", MINUTE, at("15:00:00"), at("09:30:00", "2026-11-11")),
        ("CFFEX.IF2612", HOUR, at("15:00:00"), at("09:00:00", "2026-11-11")),
        ("SHFE.cu2612", MINUTE, at("15:00:00", "2026-11-13"), at("21:00:00", "2026-11-13")),
    ],
)
def test_a_cursor_begins_with_the_slot_after_the_last_known_bar(symbol, period, after, begins):
    cursor = SlotCursor(SlotTable(CALENDAR, symbol, period), after)
    assert cursor.slot.start == begins


def test_a_cursor_goes_through_all_slots_and_days():
    cursor = SlotCursor(SlotTable(CALENDAR, "SHFE.cu2612", MINUTE), at("14:59:00"))
    assert cursor.day == DAY
    cursor.step()
    assert (cursor.slot.start, cursor.day) == (at("21:00:00"), date(2026, 11, 11))
    for _ in range(4 * 60):
        cursor.step()
    assert cursor.slot.start == at("09:00:00", "2026-11-11")
    cursor.begin_after(at("13:30:00", "2026-11-11"))
    assert cursor.slot.start == at("13:30:00", "2026-11-11")


def test_a_day_begins_with_the_auction_of_its_night():
    cursor = SlotCursor(DaySlotTable(CALENDAR, "SHFE.cu2612"), at("15:00:00", "2026-11-13"))
    slot = cursor.slot
    assert at("20:54:00", "2026-11-13") < slot.start < at("20:55:00", "2026-11-13")
    assert slot.end == at("15:00:00", "2026-11-16")
