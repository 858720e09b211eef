"""Recorded and missing ids; without files and servers."""

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tianqin_backtrader.core.clock import to_ns
from tianqin_backtrader.core.model import Instrument
from tianqin_backtrader.recording.tracks import (
    LARGEST_REQUEST,
    TRIES,
    DayOfTime,
    IdSet,
    Track,
    instrument_fields,
    instrument_of,
)
from tianqin_backtrader.session_calendar import CALENDAR

TODAY, YESTERDAY = "2026-11-10", "2026-11-09"
SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)), max_size=12)


def rows(first, last, day=TODAY):
    return [(day, (row_id, "row")) for row_id in range(first, last + 1)]


@given(SPANS, st.integers(0, 80), st.integers(0, 80))
def test_an_id_set_is_a_set_of_ids(spans, first, last):
    ids, plain = IdSet(), set()
    for start, length in spans:
        ids.add(start, start + length - 1)
        plain |= set(range(start, start + length))
    assert len(ids) == len(plain)
    assert [one for one in range(100) if one in ids] == sorted(plain)
    missing = [one for a, b in ids.missing(first, last) for one in range(a, b + 1)]
    assert missing == sorted(set(range(first, last + 1)) - plain)
    again = IdSet()
    again.add_ids(sorted(plain))
    assert list(again) == list(ids)
    # Ranges do not touch each other.
    assert all(a[1] + 1 < b[0] for a, b in zip(list(ids), list(ids)[1:], strict=False))


def test_no_row_is_taken_twice():
    track = Track(IdSet(), 0, TODAY)
    track.see(0, 9)
    assert len(track.take(rows(0, 9))) == 10
    assert track.take(rows(5, 9)) == []
    assert [row[0] for _, row in track.take(rows(8, 11), again=9)] == [9, 10, 11]


def test_missing_ids_are_holes_and_are_asked_for_in_pieces():
    track = Track(IdSet([(0, 9)]), 0, TODAY)
    track.see(30_000, 30_500)
    track.take(rows(30_000, 30_500))
    assert track.holes == [(10, 29_999)]
    span = track.askable()
    assert span == (10, 10 + LARGEST_REQUEST - 1)
    track.take(rows(*span))
    track.answered(span)
    assert track.askable() == (span[1] + 1, span[1] + LARGEST_REQUEST)
    assert not track.complete


def test_what_the_server_has_not_is_given_up_until_a_new_session_and_stays_a_hole():
    track = Track(IdSet([(0, 9)]), 0, TODAY)
    track.see(0, 20)
    track.take(rows(12, 20))
    for _ in range(TRIES):
        assert track.askable() == (10, 11)
        track.answered((10, 11))
    assert track.askable() is None and track.complete
    assert track.holes == [(10, 11)]
    track.try_again()
    assert track.askable() == (10, 11)


def test_the_first_days_first_row_is_looked_for():
    track = Track(IdSet(), None, TODAY)
    track.see(9_000, 9_400)
    track.take(rows(9_000, 9_400))
    track.seek()
    span = track.askable()
    assert span == (7_000, 8_999)
    # The day began with id 7777.
    track.take(rows(7_000, 7_776, YESTERDAY) + rows(7_777, 8_999))
    track.answered(span)
    assert track.start == 7_777
    assert track.complete and track.holes == []
    assert track.have.first == 7_777


def test_a_recording_may_begin_before_its_first_row_exists():
    track = Track(IdSet(), None, TODAY)
    track.see(0, 99)
    assert track.take(rows(0, 99, YESTERDAY)) == []
    assert track.start == 100 and track.complete
    track.see(0, 101)
    assert len(track.take(rows(100, 101))) == 2


def test_a_contract_may_begin_with_the_recording():
    track = Track(IdSet(), None, TODAY)
    track.see(0, 50)
    track.take(rows(0, 50))
    track.seek()
    assert track.start == 0 and track.complete


def test_the_servers_history_may_end_before_the_first_row():
    track = Track(IdSet(), None, TODAY)
    track.see(5_000, 5_400)
    track.take(rows(5_000, 5_400))
    track.seek()
    for _ in range(TRIES):
        span = track.askable()
        track.take(rows(4_000, 4_999))
        track.answered(span)
    assert track.start == 4_000 and track.complete


def test_a_row_of_yesterday_that_was_missing_is_no_hole_once_it_came():
    track = Track(IdSet(), None, TODAY)
    track.see(0, 20)
    track.take(rows(0, 9, YESTERDAY) + rows(12, 20))
    assert track.holes == [(10, 11)]
    track.take(rows(10, 10, YESTERDAY) + rows(11, 11))
    assert track.start == 11 and track.holes == []


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        (datetime(2026, 11, 13, 14, 59, 59), "2026-11-13"),
        (datetime(2026, 11, 13, 21, 0), "2026-11-16"),  # Friday's night is Monday's
        (datetime(2026, 11, 14, 0, 59), "2026-11-16"),
        (datetime(2026, 11, 16, 0, 0), "2026-11-16"),  # a day bar's stamp
    ],
)
def test_rows_belong_to_trading_days(moment, day):
    assert DayOfTime(CALENDAR)(to_ns(moment)) == day


def test_a_specification_survives_json():
    instrument = Instrument(
        "SHFE.cu2612", "FUTURE", "SHFE", "cu", 10.0, 0, 5, False, datetime(2026, 12, 15, 15),
        upper_limit=80_000.0, margin=32_000.0, trading_time={"day": [["09:00:00", "10:15:00"]]},
    )  # fmt: skip
    fields = instrument_fields(instrument)
    assert fields["lower_limit"] is None
    again = instrument_of(fields)
    assert replace(again, lower_limit=0, pre_settlement=0, commission=0) == replace(
        instrument, lower_limit=0, pre_settlement=0, commission=0
    )
    assert again.lower_limit != again.lower_limit
