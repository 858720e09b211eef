"""Until when a feed's history is complete, by the stamps there are."""

from datetime import datetime
from types import SimpleNamespace

import pytest
from manual_clock import ManualClock

from tianqin_backtrader.core.clock import SECOND, MarketClock, to_ns
from tianqin_backtrader.core.model import Tick
from tianqin_backtrader.feeds.history import FeedHistory
from tianqin_backtrader.session_calendar import CALENDAR

CU, TEN = "SHFE.cu2612", to_ns(datetime(2026, 11, 10, 10))


@pytest.mark.parametrize(
    ("stamp", "passed"),
    [
        (TEN + SECOND, TEN + SECOND - 1),
        (TEN - 8 * 3600 * SECOND, TEN - 10 * SECOND),
        (to_ns(datetime(2031, 1, 1)), TEN - 10 * SECOND),  # no calendar knows that year
        (0, TEN - 10 * SECOND),
    ],
)
def test_the_newest_tick_says_what_has_passed_if_it_can_be(stamp, passed):
    clock = MarketClock(ManualClock(TEN))
    store = SimpleNamespace(
        clock=clock, calendar=CALENDAR, alive_at=lambda symbol: TEN - 10 * SECOND
    )
    newest = Tick(7, stamp, 78000.0, 10, 0.0, 100)
    ticks = SimpleNamespace(last_id=7, ticks=lambda first, last: [newest])
    history = FeedHistory(store, None, store, CU, None, ticks, 10, whole_days=False)
    assert history.passed() == passed
