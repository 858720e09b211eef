"""The trading day and a market's phase, asked for by every order."""

from datetime import date, datetime, time
from types import SimpleNamespace

import pytest

from tianqin_backtrader.core.clock import MINUTE, to_ns
from tianqin_backtrader.core.context import Context
from tianqin_backtrader.core.model import MarketPhase
from tianqin_backtrader.errors import CalendarOutOfRange
from tianqin_backtrader.session_calendar import SessionCalendar, load_holidays, load_products

CU, IO = "SHFE.cu2612", "CFFEX.IO2612-C-4000"
CLOSED, AUCTION, TRADING = MarketPhase.CLOSED, MarketPhase.AUCTION, MarketPhase.TRADING


class Asked:
    """The calendar, and how often it is asked."""

    def __init__(self):
        self.calendar, self.count = SessionCalendar(load_products(), load_holidays()), 0

    def __getattr__(self, name):
        self.count += name in ("phase_at", "trading_day_at")
        return getattr(self.calendar, name)


class At:
    """A context whose time a test sets."""

    def __init__(self, moment="2026-11-10 09:30"):
        self.asked, self.said = Asked(), []
        self.clock = SimpleNamespace(now_ns=lambda: self.ns)
        watchers = SimpleNamespace(said=self.said.append)
        self.context = Context(self.clock, self.asked, SimpleNamespace(at_hand={}), watchers)
        self.go(moment)

    def go(self, moment):
        self.ns = to_ns(datetime.fromisoformat(moment))
        return self


DAY = [
    ("08:54", CLOSED), ("08:55", CLOSED), ("09:00", TRADING), ("10:14:59", TRADING),
    ("10:15", CLOSED), ("10:29:59", CLOSED), ("10:30", TRADING), ("11:30", CLOSED),
    ("13:30", TRADING), ("15:00", CLOSED), ("18:00", CLOSED), ("20:54:59", CLOSED),
    ("20:55", AUCTION), ("20:59:59", AUCTION), ("21:00", TRADING), ("23:59:59", TRADING),
]  # fmt: skip


def test_a_day_of_a_contract_phase_by_phase_asked_again_and_again():
    at = At()
    for clock, phase in DAY:
        at.go(f"2026-11-10 {clock}")
        expected = AUCTION if clock in ("08:55",) else phase  # before the day's open, too
        assert (clock, at.context.phase(CU)) == (clock, expected)
    assert at.go("2026-11-11 01:00").context.phase(CU) is CLOSED
    assert at.go("2026-11-10 09:00").context.phase(CU) is TRADING  # a clock that was set back


def test_every_minute_of_three_days_is_what_the_calendar_says():
    at = At()
    calendar = at.asked.calendar
    end = to_ns(datetime(2026, 11, 16, 12))
    at.go("2026-11-13 12:00")  # over a weekend
    while at.ns < end:
        now = at.context.now()
        for symbol in (CU, IO):
            auction, trading = (
                calendar.is_auction(symbol, now), calendar.is_trading_now(symbol, now)
            )  # fmt: skip
            expected = AUCTION if auction else TRADING if trading else CLOSED
            assert (now, at.context.phase(symbol)) == (now, expected)
            assert at.context.takes_orders(symbol) is (expected is TRADING)
        assert at.context.trading_day() == calendar.trading_day_at(now)
        at.ns += MINUTE


def test_within_a_session_the_calendar_is_asked_once():
    at = At()
    for minute in range(30, 60):
        at.go(f"2026-11-10 09:{minute}")
        assert at.context.phase(CU) is TRADING
    assert at.asked.count == 2  # for the day and for the phase


def test_what_the_calendar_learns_counts_at_once():
    at = At("2026-11-10 10:20")
    assert at.context.phase(CU) is CLOSED
    at.asked.calendar.learn(CU, {"day": [["09:00:00", "11:30:00"]]}, date(2026, 11, 10))
    assert at.context.phase(CU) is TRADING


@pytest.mark.filterwarnings("ignore:.*2027 are not announced")
def test_in_a_year_that_is_not_announced_nothing_is_sent_and_that_is_told_once():
    at = At("2027-03-03 09:30")
    with pytest.raises(CalendarOutOfRange):
        at.context.phase(CU)
    assert [at.context.takes_orders(CU) for _ in range(2)] == [False, False]
    assert len(at.said) == 1 and at.said[0].startswith("nothing is sent")


def test_the_trading_day_changes_at_six_in_the_evening():
    at = At("2026-11-10 17:59:59")
    assert at.context.trading_day() == date(2026, 11, 10)
    assert at.go("2026-11-10 18:00").context.trading_day() == date(2026, 11, 11)
    assert at.context.now().time() == time(18)
