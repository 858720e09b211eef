"""Faults: their names, when they happen, and how they are counted."""

from typing import Any

import pytest

from tianqin_backtrader.sandbox.faults import (
    FAULTS,
    FaultBook,
    FaultError,
    kinds,
    make_fault,
    market_time,
    parse_script,
)


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_every_fault_can_be_made_with_its_defaults(name: str) -> None:
    assert make_fault(name, {}).params == FAULTS[name]


@pytest.mark.parametrize(
    ("name", "params", "words"),
    [
        ("meteor", {}, "the faults are advance"),
        ("drop", {"conn": "ts"}, "one of md, td, all"),
        ("drop", {"how": "politely"}, "abrupt or clean"),
        ("drop", {"when": 5}, "has no parameter"),
        ("freeze", {"seconds": -1}, "of at least 0"),
        ("freeze", {"seconds": "long"}, "of at least 0"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(name: str, params: dict[str, Any], words: str) -> None:
    with pytest.raises(FaultError, match=words):
        make_fault(name, params)


def test_a_planned_fault_comes_once_at_its_step() -> None:
    book = FaultBook(parse_script([{"at": {"step": 5}, "fault": "drop", "conn": "md"}]))
    assert book.take_due(4, 0) == []
    [fault] = book.take_due(6, 0)
    assert fault.name == "drop" and fault.params["conn"] == "md"
    assert book.take_due(7, 0) == []


def test_a_planned_fault_comes_at_its_market_time() -> None:
    moment = "2026-11-10 09:30:00"
    book = FaultBook(parse_script([{"at": {"time": moment}, "fault": "cut"}]))
    assert book.take_due(99, market_time(moment) - 1) == []
    assert len(book.take_due(99, market_time(moment))) == 1


@pytest.mark.parametrize(
    "entry",
    [
        {"fault": "drop"},
        {"at": {"step": 1}},
        {"at": {}, "fault": "drop"},
        {"at": {"time": "soon"}, "fault": "drop"},
        {"at": {"step": 1}, "fault": "meteor"},
    ],
)
def test_a_script_that_is_not_understood_says_which_entry(entry: dict[str, Any]) -> None:
    good = {"at": {"step": 1}, "fault": "drop"}
    with pytest.raises(FaultError, match="entry 1 of the script"):
        parse_script([good, entry])


def test_refusing_some_attempts_counts_them() -> None:
    book = FaultBook()
    book.refuse(kinds("td"), {"seconds": None, "attempts": 2, "status": 401}, 0.0)
    assert [book.refused_status("td", 0.0) for _ in range(3)] == [401, 401, None]
    assert book.refused_status("md", 0.0) is None


def test_refusing_for_some_seconds_ends_with_them() -> None:
    book = FaultBook()
    book.refuse(kinds("all"), {"seconds": 10.0, "attempts": None, "status": 503}, 100.0)
    assert [book.refused_status("md", now) for now in (100.0, 109.9, 110.0)] == [503, 503, None]


def test_refused_tokens_are_counted_down() -> None:
    book = FaultBook(refused_tokens=1)
    assert [book.refuses_token() for _ in range(2)] == [True, False]
