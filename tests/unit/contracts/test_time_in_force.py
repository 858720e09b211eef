"""How long an order is valid. 10 November 2026 is a Tuesday."""

from datetime import date, datetime, timedelta

import pytest

from tianqin_backtrader.contracts.time_in_force import validity
from tianqin_backtrader.core.clock import to_backtrader, to_ns
from tianqin_backtrader.errors import OrderError
from tianqin_backtrader.session_calendar import CALENDAR

NOW = datetime(2026, 11, 10, 21, 30)  # a night that belongs to the eleventh


@pytest.mark.parametrize(
    ("valid", "until", "over_days"),
    [
        (None, None, True),
        (0, datetime(2026, 11, 11, 15), False),
        (timedelta(), datetime(2026, 11, 11, 15), False),
        (timedelta(hours=1), datetime(2026, 11, 10, 22, 30), False),
        (date(2026, 11, 12), datetime(2026, 11, 12, 15), True),
        (date(2026, 11, 14), datetime(2026, 11, 14, 23, 59, 59, 999999), True),  # a Saturday
        (datetime(2026, 11, 13, 10), datetime(2026, 11, 13, 10), True),
        (
            to_backtrader(to_ns(datetime(2026, 11, 13, 10))),
            datetime(2026, 11, 13, 10),
            True,
        ),
    ],
)
def test_what_backtraders_valid_means(valid, until, over_days):
    found = validity(valid, "SHFE.cu2612", NOW, CALENDAR)
    if until is None or found.until is None:
        assert found.until is until
    else:
        assert abs(found.until - until) < timedelta(seconds=1)
    assert found.over_days is over_days


@pytest.mark.parametrize("valid", [0, timedelta()])
def test_a_day_that_is_over_means_the_next_one(valid):
    """A strategy on daily bars places its order a second after the close."""
    friday = datetime(2026, 11, 13, 15, 0, 1)
    found = validity(valid, "SHFE.cu2612", friday, CALENDAR)
    assert (found.until, found.over_days) == (datetime(2026, 11, 16, 15), False)


@pytest.mark.parametrize("valid", ["day", True, float("nan"), 3.0, datetime(2026, 11, 10, 21)])
def test_what_means_nothing_or_is_past_is_refused(valid):
    with pytest.raises(OrderError):
        validity(valid, "SHFE.cu2612", NOW, CALENDAR)
