"""TianQin's list of closed days: over HTTP from a test server, and its copy on disk."""

import json
import logging
import os
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tianqin_backtrader.calendars import holiday_cache as cache
from tianqin_backtrader.errors import CalendarError, ConfigError, LinkError

LISTED = ["2026-01-01", "2026-02-16", "2026-10-01", "2026-10-02"]
DATES = tuple(date.fromisoformat(text) for text in LISTED)
NEXT = ("2027-01-01", "2027-10-01")
TODAY = date(2026, 6, 1)


@pytest.fixture
def server():
    """An HTTP server; ``answer`` is its answer, ``asked`` the number of requests."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked += 1
            body = server.answer if isinstance(server.answer, bytes) else None
            self.send_response(200 if body is not None else server.answer)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.answer, server.asked = json.dumps(LISTED).encode(), 0
        server.url = f"http://127.0.0.1:{server.server_port}/holidays.json"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def ask(server, tmp_path):
    """``tianqin_holidays`` with a copy in the test's own folder."""
    path = tmp_path / "deep" / "holidays.json"

    def ask(today=TODAY, url=server.url):
        return cache.tianqin_holidays(today, url=url, path=path)

    ask.path = path
    return ask


@pytest.fixture
def logged():
    """The texts of the warnings. (TqSdk removes caplog's root logger.)"""
    texts = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: texts.append(record.getMessage())
    cache.logger.addHandler(handler)
    yield texts
    cache.logger.removeHandler(handler)


def test_the_list_is_fetched_once_and_kept(ask, server, logged):
    assert ask() == ask() == DATES
    assert server.asked == 1
    assert [path.name for path in ask.path.parent.iterdir()] == ["holidays.json"]
    assert not logged


def test_a_new_year_asks_again(ask, server):
    ask()
    server.answer = json.dumps([*LISTED, *NEXT]).encode()
    assert ask(date(2027, 1, 4))[-1] == date(2027, 10, 1)
    assert server.asked == 2


def test_from_november_on_each_week_until_the_next_year_is_there(ask, server):
    ask(date(2026, 10, 31))
    for today in (date(2026, 11, 6), date(2026, 11, 7), date(2026, 11, 8)):
        ask(today)
    assert server.asked == 2
    server.answer = json.dumps([*LISTED, *NEXT]).encode()
    for day in (14, 25, 30):
        ask(date(2026, 11, day))
    assert server.asked == 3


def test_a_list_that_only_begins_the_next_year_is_not_the_next_year(ask, server):
    server.answer = json.dumps([*LISTED, NEXT[0]]).encode()
    ask(date(2026, 11, 1))
    ask(date(2026, 11, 8))
    assert server.asked == 2


def test_without_an_answer_the_copy_serves(ask, server, logged):
    ask()
    server.answer = 503
    assert ask(date(2027, 1, 4)) == DATES
    [text] = logged
    assert "the copy of 2026-06-01" in text
    assert "503" in text


def test_without_answer_and_copy_there_is_the_table(ask, server, logged):
    server.answer = 404
    assert ask() == ()
    assert "the packaged table" in logged[0]
    assert not ask.path.exists()


@pytest.mark.parametrize(
    "answer", [b"", b"<html>", b"{}", b"[]", b"[1, 2]", b'["2026-02-30"]', b"\xff\xfe"]
)
def test_an_answer_that_is_no_list_of_dates_is_not_kept(ask, server, logged, answer):
    server.answer = answer
    with pytest.raises(CalendarError):
        cache.fetch_holidays(server.url)
    assert ask() == ()
    assert logged
    assert not ask.path.exists()


@pytest.mark.parametrize(
    "damage",
    [
        b"", b"{", b"[]", b"null", b"\xff",
        b'{"source": "x", "fetched": "2026-06-01", "dates": []}',
        b'{"source": "x", "fetched": "June", "dates": ["2026-01-01"]}',
        b'{"source": "x", "dates": ["2026-01-01"]}',
        b'{"source": "x", "fetched": "2026-06-01", "dates": [1]}',
    ],
)  # fmt: skip
def test_a_damaged_copy_is_ignored_and_replaced(ask, server, logged, damage):
    ask.path.parent.mkdir()
    ask.path.write_bytes(damage)
    assert ask() == DATES
    assert "damaged" in logged[0]
    logged.clear()
    assert ask() == DATES
    assert server.asked == 1
    assert not logged


def test_a_copy_belongs_to_its_address(ask, server):
    ask()
    assert ask(url=server.url + "?of=another") == DATES
    assert server.asked == 2


def test_a_copy_is_whole_even_if_writing_breaks_off(ask, server, logged, monkeypatch):
    ask()
    before = ask.path.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    assert ask(date(2027, 1, 4)) == DATES  # what was fetched is used all the same
    assert ask.path.read_bytes() == before
    assert [path.name for path in ask.path.parent.iterdir()] == ["holidays.json"]
    assert "disk full" in logged[0]


def test_nobody_there(logged, tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as closed:
        url = f"http://127.0.0.1:{closed.server_port}/"
    with pytest.raises(LinkError, match="did not return the holidays"):
        cache.fetch_holidays(url)
    assert cache.tianqin_holidays(TODAY, url=url, path=tmp_path / "holidays.json") == ()
    assert len(logged) == 1


def test_a_proxy_of_the_environment_does_not_get_what_is_meant_for_this_machine(
    server, monkeypatch
):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert cache.fetch_holidays(server.url) == DATES


@pytest.mark.parametrize("url", ["", "holidays.json", "file:///etc/passwd", "ftp://host/list"])
def test_only_http_addresses_are_asked(url):
    with pytest.raises(ConfigError, match="not an http address"):
        cache.fetch_holidays(url)


def test_address_and_place_come_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("TQ_CHINESE_HOLIDAY_URL", raising=False)
    assert cache.holiday_url() == "https://files.shinnytech.com/shinny_chinese_holiday.json"
    monkeypatch.setenv("TQ_CHINESE_HOLIDAY_URL", "http://127.0.0.1:1/list")
    assert cache.holiday_url() == "http://127.0.0.1:1/list"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.default_path() == tmp_path / "tianqin_backtrader" / "holidays.json"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.default_path().parts[-3:] == (".cache", "tianqin_backtrader", "holidays.json")
