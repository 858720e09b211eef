"""Answers worked out by hand from the exchanges' rules, in session_answers.csv."""

import csv
from datetime import date, datetime
from pathlib import Path

import pytest

from tianqin_backtrader import session_calendar as calendar

ANSWERS = list(
    csv.DictReader(
        Path(__file__).with_name("session_answers.csv").read_text(encoding="utf-8").splitlines()
    )
)


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda row: f"{row['symbol']} {row['now']}")
def test_answers_by_hand(answer):
    symbol, now = answer["symbol"], datetime.fromisoformat(answer["now"])
    trading = answer["trading"] == "yes"
    boundary = datetime.fromisoformat(answer["next_boundary"])
    assert calendar.is_trading_now(symbol, now) is trading, answer["why"]
    assert calendar.trading_day(symbol, now) == date.fromisoformat(answer["trading_day"])
    assert calendar.next_session_boundary(symbol, now) == boundary, answer["why"]
    intervals = calendar.resolve_intervals(symbol, now)
    assert any(start <= now < end for start, end in intervals) is trading


def test_the_answers_cover_the_market():
    assert len(ANSWERS) >= 150
    assert {answer["trading"] for answer in ANSWERS} == {"yes", "no"}
    exchanges = {answer["symbol"].partition(".")[0] for answer in ANSWERS}
    assert exchanges == {*calendar.EXCHANGES, "KQ"}
    assert all(answer["why"] and None not in answer for answer in ANSWERS)
