"""Records that cannot be written are tried again, less and less often."""

from itertools import pairwise
from types import SimpleNamespace

import backtrader as bt
import pytest
from desk_on_stubs import StubbedDesk

from tianqin_backtrader.errors import JournalError
from tianqin_backtrader.execution import write_ahead
from tianqin_backtrader.execution.write_ahead import AGAIN, AT_MOST, WriteAheadLog


@pytest.fixture
def clock(monkeypatch):
    """Seconds, moved by hand."""
    seconds = [0.0]
    monkeypatch.setattr(write_ahead, "monotonic", lambda: seconds[0])
    return seconds


def test_each_failure_doubles_the_time_to_the_next_attempt(clock):
    tried = []

    def together():
        tried.append(clock[0])
        raise JournalError("journal.db", "the disk is full")

    log = WriteAheadLog(StubbedDesk().context)
    log.journal = SimpleNamespace(together=together)
    log.note("something")
    for _ in range(900):
        log.flush()
        clock[0] += 1.0
    pauses = [after - before for before, after in pairwise(tried)]
    assert pauses == [AGAIN, 2 * AGAIN, 4 * AGAIN, 8 * AGAIN, 16 * AGAIN, 32 * AGAIN, AT_MOST]


def full(at):
    """A desk whose records cannot be written."""

    def together():
        raise JournalError("journal.db", "the disk is full")

    at.context.strategy_name = "one"
    log = at.manager.write_ahead = WriteAheadLog(at.context)
    log.journal = SimpleNamespace(together=together)
    log.note("something")
    assert not log.flush()
    return at


def test_an_exit_is_sent_though_it_cannot_be_written_down(clock):
    at = full(StubbedDesk(today=3))
    stop = at.submit(at.fired_stop(3))
    assert at.gateway.sent == [("CLOSETODAY", 3)]
    rows = len(at.manager.write_ahead.rows)
    at.alive(stop.legs[0])
    at.fill(stop.legs[0], 3)
    assert at.ends_of(stop) == ["Completed"] and len(at.manager.write_ahead.rows) > rows  # owed


def test_what_opens_is_not_sent_while_nothing_can_be_written(clock):
    at = full(StubbedDesk())
    entry = at.submit(at.ticket(3, 3000.0, kind=bt.BuyOrder, exectype=bt.Order.Limit))
    assert at.ends_of(entry) == ["Rejected"] and at.gateway.sent == []
