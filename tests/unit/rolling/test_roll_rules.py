"""When a contract must be rolled, and into which one."""

from datetime import date

import pytest

from tianqin_backtrader.contracts.adjustment import MainChange, back_adjusted, changes_of
from tianqin_backtrader.core.model import Bar
from tianqin_backtrader.errors import ConfigError
from tianqin_backtrader.rolling.roll_rules import (
    Listed,
    RollRules,
    RollTrigger,
    decide,
    hold_until,
    trading_days_until,
)
from tianqin_backtrader.session_calendar import CALENDAR

CU = (
    Listed("SHFE.cu2612", date(2026, 12, 15), 100_000, 150_000),
    Listed("SHFE.cu2701", date(2027, 1, 15), 90_000, 160_000),
    Listed("SHFE.cu2702", date(2027, 2, 18), 20_000, 60_000),
)


@pytest.mark.parametrize(
    ("symbol", "last_day", "private", "until"),
    [
        ("SHFE.cu2612", date(2026, 12, 15), True, date(2026, 11, 30)),
        ("SHFE.cu2612", date(2026, 12, 15), False, date(2026, 12, 15)),
        ("DCE.m2701", date(2027, 1, 15), True, date(2026, 12, 31)),
        ("CZCE.SR701", date(2027, 1, 15), True, date(2026, 12, 31)),
        ("GFEX.si2701", date(2027, 1, 15), True, date(2026, 12, 31)),
        ("CFFEX.IF2612", date(2026, 12, 18), True, date(2026, 12, 18)),  # settled in cash
        ("CFFEX.T2612", date(2026, 12, 11), True, date(2026, 11, 30)),
        # Trading ends before the delivery month: eight trading days before that.
        ("INE.sc2701", date(2026, 12, 31), True, date(2026, 12, 21)),
        ("DCE.l2612F", date(2026, 11, 30), True, date(2026, 11, 18)),
        ("SHFE.cu2610", date(2026, 10, 15), True, date(2026, 9, 30)),  # October begins closed
    ],
)
def test_until_when_a_contract_may_be_held(symbol, last_day, private, until):
    assert hold_until(Listed(symbol, last_day), private=private, days=CALENDAR) == until


def test_days_are_trading_days():
    assert trading_days_until(date(2026, 9, 30), date(2026, 10, 9), CALENDAR) == 2
    assert trading_days_until(date(2026, 10, 9), date(2026, 9, 30), CALENDAR) == -2
    assert trading_days_until(date(2026, 11, 4), date(2026, 11, 4), CALENDAR) == 0


@pytest.mark.parametrize(
    ("trigger", "main", "today", "new", "warn"),
    [
        ("main", "SHFE.cu2612", date(2026, 11, 3), "", False),
        ("main", "SHFE.cu2701", date(2026, 11, 3), "SHFE.cu2701", False),
        ("main", "SHFE.cu2611", date(2026, 11, 3), "", False),  # never into an earlier one
        ("main", "SHFE.cu2612", date(2026, 11, 20), "", True),  # six days left
        ("main", "SHFE.cu2612", date(2026, 11, 23), "SHFE.cu2701", True),  # five
        ("main", "SHFE.cu2612", date(2026, 12, 2), "SHFE.cu2701", True),  # too late: at once
        ("days", "SHFE.cu2701", date(2026, 11, 3), "", False),
        ("days", "SHFE.cu2702", date(2026, 11, 24), "SHFE.cu2702", True),
    ],
)
def test_what_is_decided(trigger, main, today, new, warn):
    rules = RollRules(RollTrigger(trigger))
    decision = decide("SHFE.cu2612", CU, main, today, rules, CALENDAR)
    assert (decision.new, decision.warn) == (new, warn)
    assert decision.reason


@pytest.mark.parametrize(
    ("volume", "interest", "new"),
    [(100_001, 150_001, "SHFE.cu2701"), (99_999, 150_001, ""), (100_001, 149_999, "")],
)
def test_interest_and_volume_must_both_be_larger(volume, interest, new):
    listed = (CU[0], Listed("SHFE.cu2701", date(2027, 1, 15), volume, interest), CU[2])
    rules = RollRules(RollTrigger.INTEREST)
    decision = decide("SHFE.cu2612", listed, "SHFE.cu2701", date(2026, 11, 3), rules, CALENDAR)
    assert decision.new == new


def test_the_last_contract_there_is_can_only_be_warned_of():
    decision = decide("SHFE.cu2612", CU[:1], "", date(2026, 12, 3), RollRules(), CALENDAR)
    assert decision.new == ""
    assert decision.warn
    assert "no later contract is known" in decision.reason
    assert decision.days_left == -3


def test_a_contract_that_must_soon_be_left_itself_is_not_chosen():
    rules = RollRules(RollTrigger.DAYS, days_before=30)
    decision = decide("SHFE.cu2612", CU, "SHFE.cu2701", date(2026, 11, 24), rules, CALENDAR)
    assert decision.new == "SHFE.cu2702"


@pytest.mark.parametrize("days_before", [-1, 61, True])
def test_days_before_is_a_number_of_days(days_before):
    with pytest.raises(ConfigError, match="days_before"):
        RollRules(days_before=days_before)


# -- gaps ---------------------------------------------------------------------------------------


def bar(day, close):
    return Bar(0, day.toordinal(), close, close + 1, close - 1, close, 7, 5, 6, id=3)


def test_bars_are_moved_by_all_later_gaps():
    changes = [
        MainChange(date(2026, 10, 8), "a", "b", 100.0),
        MainChange(date(2026, 11, 4), "b", "c", -30.0),
    ]
    bars = [
        bar(date(2026, 9, 30), 1000.0),
        bar(date(2026, 10, 8), 1100.0),
        bar(date(2026, 11, 3), 1110.0),
        bar(date(2026, 11, 4), 1080.0),
    ]
    moved = back_adjusted(bars, lambda one: date.fromordinal(one.end), changes)
    assert [one.close for one in moved] == [1070.0, 1070.0, 1080.0, 1080.0]
    assert [one.high - one.low for one in moved] == [2.0] * 4
    assert [(one.volume, one.close_oi, one.id) for one in moved] == [(7, 6, 3)] * 4
    assert moved[0].bid_price1 != moved[0].bid_price1  # nan stays


def test_changes_of_the_future_and_the_first_row_are_none():
    rows = [
        (date(2026, 11, 4), "c"),
        (date(2026, 9, 1), "a"),
        (date(2026, 10, 8), "b"),
        (date(2026, 10, 20), "b"),
    ]
    found = changes_of(rows, date(2026, 10, 30))
    assert [(one.day, one.old, one.new) for one in found] == [(date(2026, 10, 8), "a", "b")]
