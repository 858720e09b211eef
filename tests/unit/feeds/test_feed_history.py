"""Until when a feed's history is complete, by the stamps there are."""

from datetime import datetime
from types import SimpleNamespace

import pytest
from manual_clock import ManualClock

from tianqin_backtrader.core.clock import SECOND, Machine, MarketClock, live_on, to_ns
from tianqin_backtrader.core.model import Tick
from tianqin_backtrader.errors import LinkTimeout
from tianqin_backtrader.feeds.history import FeedHistory, load_together
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
    tick = Tick(7, stamp, 78000.0, 10, 0.0, 100)
    quote = SimpleNamespace(ready=True, newest=lambda: tick)
    history = FeedHistory(store, None, store, CU, None, quote, 10, whole_days=False)
    assert history.passed() == passed


class Hand(Machine):
    """A machine whose time passes while the test waits."""

    seconds = 0.0

    def monotonic(self):
        return self.seconds


@pytest.fixture
def machine():
    live_on(made := Hand())
    yield made
    live_on(None)


class Server:
    """Charts whose rows arrive with the next wait, or never."""

    def __init__(self, machine, *, answers=True):
        self.charts, self.asked, self.waits, self.proofs = self, [], 0, 0
        self._machine, self._answers = machine, answers

    def rows(self, symbol, left_id):
        return SimpleNamespace(symbol=symbol, ready=False, left_id=left_id, last_id=999, seconds=0)

    def older(self, series, first_id, width):
        self.asked.append(self.rows(series.symbol, first_id))
        return self.asked[-1]

    def drop(self, older):
        assert older.ready

    def pump(self, timeout):
        self.waits += 1
        if not self._answers:
            self._machine.seconds += timeout
        for one in self.asked:
            one.ready = self._answers

    def catch_up(self, deadline):
        self.proofs += 1


def histories(server, names, left_id):
    """Of contracts that want all 1000 rows and have those from ``left_id`` on."""
    context = SimpleNamespace(clock=SimpleNamespace(trusted=True))
    found = []
    for name in names:
        klines, quote = server.rows(name, left_id), SimpleNamespace(ready=True, newest=lambda: None)
        server.asked.append(klines)
        found.append(
            FeedHistory(context, server, server, name, klines, quote, 2000, whole_days=False)
        )
    return found


NAMES = [f"SHFE.cu27{month:02}" for month in range(1, 7)]


def test_histories_of_a_run_are_asked_for_side_by_side(machine):
    server = Server(machine)
    found = histories(server, NAMES, 400)
    load_together(found, server, server)
    assert all(one.loaded for one in found)
    assert [one.left_id for one in server.asked[-6:]] == [0] * 6
    assert (server.waits, server.proofs) == (2, 1)  # for the charts, then for all older rows
    load_together(found, server, server)
    assert (server.waits, server.proofs) == (2, 1)


def test_histories_that_do_not_come_are_named(machine):
    server = Server(machine, answers=False)
    with pytest.raises(LinkTimeout, match=r"SHFE\.cu2701, SHFE\.cu2702 within"):
        load_together(histories(server, NAMES[:2], 400), server, server)
