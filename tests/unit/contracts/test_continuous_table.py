"""TianQin's table of main contracts, and the changes that a session remembers."""

import datetime
import logging
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from tianqin_backtrader.contracts.adjustment import MainChange
from tianqin_backtrader.contracts.continuous import ContinuousContracts, fetch_table
from tianqin_backtrader.core.clock import monotonic, pause
from tianqin_backtrader.errors import LinkLost
from tianqin_backtrader.feeds.continuous_feed import MainBars
from tianqin_backtrader.session_calendar import CALENDAR

MAIN = "KQ.m@SHFE.cu"
TABLE = '{"SHFE.cu": [["20261104", "SHFE.cu2701"], ["20261008", "SHFE.cu2612"]]}'


class Store:
    """The parts of a store that are needed."""

    calendar = CALENDAR

    def __init__(self, moment, behind):
        self.moment, self.behind = moment, behind

    def now(self):
        return self.moment

    def trading_day(self):
        return self.calendar.trading_day_at(self.moment)

    def instrument(self, symbol):
        assert symbol == MAIN
        return SimpleNamespace(underlying_symbol=self.behind)


@pytest.fixture
def url(tmp_path):
    path = tmp_path / "table.json"
    path.write_text(TABLE, encoding="utf-8")
    return path.as_uri()


def test_the_table_is_read(url):
    assert fetch_table(url, seconds=1.0)[MAIN] == [
        (datetime.date(2026, 11, 4), "SHFE.cu2701"),
        (datetime.date(2026, 10, 8), "SHFE.cu2612"),
    ]


@pytest.mark.parametrize("text", ["", "[1]", '{"SHFE.cu": [["soon", "SHFE.cu2701"]]}'])
def test_a_table_that_cannot_be_read_is_a_link_error(tmp_path, text):
    path = tmp_path / "table.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(LinkLost, match="table of main contracts"):
        fetch_table(path.as_uri(), seconds=1.0)


def test_what_was_before_comes_from_the_table_and_then_from_what_was_seen(url):
    store = Store(datetime.datetime(2026, 11, 3, 14), "SHFE.cu2612")
    mains = ContinuousContracts(store, None, {"TQ_CONT_TABLE_URL": url})
    assert mains.behind("SHFE.cu2612") == ("SHFE.cu2612",)
    assert mains.behind(MAIN) == ("SHFE.cu2612",)  # the table's next row is tomorrow's
    store.moment, store.behind = datetime.datetime(2026, 11, 3, 21), "SHFE.cu2701"
    assert mains.behind(MAIN) == ("SHFE.cu2701", "SHFE.cu2612")
    other = ContinuousContracts(
        store, None, {"TQ_CONT_TABLE_URL": url}
    )  # a program started after it
    assert other.behind(MAIN) == ("SHFE.cu2701", "SHFE.cu2612")


def test_without_a_table_nobody_knows_and_that_is_told_once(caplog):
    store = Store(datetime.datetime(2026, 11, 4, 14), "SHFE.cu2701")
    mains = ContinuousContracts(store, None, {"TQ_CONT_TABLE_URL": "file:///there/is/none.json"})
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with pytest.raises(LinkLost, match="lots may be held in it"):
                mains.before(MAIN)
        assert mains.behind(MAIN) == ("SHFE.cu2701",)
    assert len(caplog.records) == 1


@contextmanager
def hanging_server():
    """An address whose table is sent when the test releases it, and the release."""
    go_on, asked = threading.Event(), threading.Event()

    class Hangs(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.set()
            go_on.wait(20)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(TABLE.encode())

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hangs) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/table.json", asked, go_on
        go_on.set()
        server.shutdown()


@pytest.mark.timeout(20)
def test_a_name_that_comes_while_the_tables_server_hangs_holds_up_no_round():
    store = Store(datetime.datetime(2026, 11, 4, 14), "")
    with hanging_server() as (url, asked, go_on):
        mains = ContinuousContracts(store, None, {"TQ_CONT_TABLE_URL": url})
        assert mains.behind(MAIN) == () and not asked.is_set()
        store.behind = "SHFE.cu2701"
        begun = monotonic()
        for _ in range(100):  # rounds, while nothing comes
            assert mains.behind(MAIN) == ("SHFE.cu2701",)
            with pytest.raises(LinkLost, match="lots may be held in it"):
                mains.before(MAIN)
        assert monotonic() - begun < 10  # a bound for hangs; the first one waits a moment
        assert asked.is_set()
        go_on.set()
        while mains.behind(MAIN) != ("SHFE.cu2701", "SHFE.cu2612"):
            pause(0.01)


def test_the_table_is_there_before_a_contract_is_named(url):
    store = Store(datetime.datetime(2026, 11, 4, 14), "")
    feed = Feed(store, ContinuousContracts(store, None, {"TQ_CONT_TABLE_URL": url}))
    MainBars(feed).begin([])
    Path(url.removeprefix("file://")).unlink()
    store.behind = "SHFE.cu2701"
    assert store.mains.behind(MAIN) == ("SHFE.cu2701", "SHFE.cu2612")


def test_a_contract_that_is_not_named_for_a_while_is_the_one_before(url):
    store = Store(datetime.datetime(2026, 11, 3, 14), "")
    mains = ContinuousContracts(store, None, {"TQ_CONT_TABLE_URL": url})
    assert mains.traded(MAIN) == mains.before(MAIN) == ""
    assert mains.behind(MAIN) == ()
    store.behind = "SHFE.cu2612"
    assert mains.behind(MAIN) == ("SHFE.cu2612",)
    store.behind = ""
    mains.learn(SimpleNamespace(symbol=MAIN, underlying_symbol=""))
    assert mains.traded(MAIN) == "SHFE.cu2612"
    assert mains.since(MAIN) == datetime.date.min
    store.moment, store.behind = datetime.datetime(2026, 11, 3, 21), "SHFE.cu2701"
    assert mains.behind(MAIN) == ("SHFE.cu2701", "SHFE.cu2612")


class Feed:
    """The parts of a feed that are needed, with its notifications."""

    symbol, MAIN_CHANGED = MAIN, 10
    p = SimpleNamespace(adjust=None)

    def __init__(self, store, mains):
        self.store, self.notifs, self.running_day = store, [], datetime.date(2026, 11, 3)
        store.mains, self._env = mains, SimpleNamespace(_datanotify=lambda: None)
        mains.can_tell = lambda *change: self.ready
        mains.change = MainChange
        self.ready = False


def test_nothing_is_waited_for_while_no_bar_of_the_new_contract_has_come(url):
    store = Store(datetime.datetime(2026, 11, 3, 14), "")
    feed = Feed(store, ContinuousContracts(store, None, {"TQ_CONT_TABLE_URL": url}))
    bars = MainBars(feed)
    assert bars.begin([]) == []
    store.behind = "SHFE.cu2612"
    bars.look_ahead()
    assert feed.notifs == []  # it has been named: that is no change
    store.moment, store.behind = datetime.datetime(2026, 11, 3, 20, 59), "SHFE.cu2701"
    feed.ready = True
    bars.look_ahead()
    assert feed.notifs == []  # a bar of the day before is still to come
    feed.running_day, feed.ready = datetime.date(2026, 11, 4), False
    bars.look_ahead()
    assert feed.notifs == []  # the gap has been asked for
    feed.ready = True
    bars.look_ahead()
    bars.look_ahead()
    [(status, _, told)] = feed.notifs
    change = told["change"]
    assert (status, change.day, change.old, change.new) == (
        10, datetime.date(2026, 11, 4), "SHFE.cu2612", "SHFE.cu2701",
    )  # fmt: skip
