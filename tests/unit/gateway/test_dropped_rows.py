"""Bars that the client has dropped are still there for another run."""

from types import SimpleNamespace

import pytest

from tianqin_backtrader.core.clock import MINUTE
from tianqin_backtrader.gateway.rows import Dropped, Series

CU = "SHFE.cu2612"


class Server:
    """The client's rows of a contract, which the test adds."""

    def __init__(self):
        self.data, self.root = SimpleNamespace(), {"last_id": -1}
        self.root["data"] = self.data

    def add(self, first, last):
        for row_id in range(first, last + 1):
            row = SimpleNamespace(
                datetime=row_id * MINUTE, open=1.0, high=2.0, low=0.5, close=row_id, volume=3,
                open_oi=4, close_oi=5,
            )  # fmt: skip
            setattr(self.data, str(row_id), row)
        self.root["last_id"] = last

    def series(self, width, dropped=None, seconds=60):
        made = Series(CU, seconds, width, f"{width}", dropped)
        made.bind(self.root, {"ready": True, "left_id": 0})
        return made

    @property
    def rows(self):
        return sorted(map(int, vars(self.data)))


@pytest.fixture
def server():
    return Server()


def ids(series, first, last):
    return [bar.id for bar in series.bars(first, last)]


def test_dropped_bars_are_read_like_others(server):
    series = server.series(100, Dropped(1000))
    server.add(0, 99)
    before = series.bars(0, 99)
    series.release(10)
    assert server.rows == [*range(89, 100)]
    assert series.bars(0, 99) == before
    assert series.bars(-5, 3) == before[:4]


def test_the_newest_ones_are_kept(server):
    series = server.series(100, Dropped(50))
    for first in (0, 20, 40, 60, 80, 100, 120):
        server.add(first, first + 19)
        series.release(10)  # up to 128
    assert ids(series, 0, 139) == [*range(79, 140)]


def test_a_history_is_kept_whole(server):
    series = server.series(100, Dropped(50))
    server.add(0, 99)
    series.release(10)  # 89 at a time
    assert ids(series, 0, 99) == [*range(100)]


def test_a_larger_request_finds_what_a_smaller_one_has_dropped(server):
    dropped = Dropped(1000)
    server.add(0, 99)
    server.series(100, dropped).release(10)
    assert ids(server.series(1000, dropped), 0, 99) == [*range(100)]


def test_what_was_missing_is_missing(server):
    series = server.series(100, Dropped(1000))
    server.add(0, 99)
    del vars(server.data)["0"], vars(server.data)["50"]
    series.release(10)
    assert ids(series, 0, 99) == [*range(1, 50), *range(51, 100)]


def test_in_a_new_session_the_server_sends_them_again(server):
    dropped = Dropped(1000)
    series = server.series(100, dropped)
    server.add(0, 99)
    series.release(10)
    dropped.clear()
    assert ids(series, 0, 99) == [*range(89, 100)]


def test_ticks_are_dropped_for_good(server):
    series = server.series(100, Dropped(1000), seconds=0)
    server.add(0, 99)
    series.release(10)
    assert ids(series, 0, 99) == [*range(89, 100)]
