"""Records that cannot be written are tried again, less and less often."""

from itertools import pairwise
from types import SimpleNamespace

import pytest
from desk_on_stubs import StubbedDesk

from tianqin_backtrader import order_scribe
from tianqin_backtrader.errors import JournalError
from tianqin_backtrader.order_scribe import AGAIN, AT_MOST, OrderScribe


@pytest.fixture
def clock(monkeypatch):
    """Seconds, moved by hand."""
    seconds = [0.0]
    monkeypatch.setattr(order_scribe, "monotonic", lambda: seconds[0])
    return seconds


def test_each_failure_doubles_the_time_to_the_next_attempt(clock):
    tried = []

    def together():
        tried.append(clock[0])
        raise JournalError("journal.db", "the disk is full")

    scribe = OrderScribe(StubbedDesk().store, lambda error: None)
    scribe.journal = SimpleNamespace(together=together)
    scribe.note("something")
    for _ in range(900):
        scribe.flush()
        clock[0] += 1.0
    pauses = [after - before for before, after in pairwise(tried)]
    assert pauses == [AGAIN, 2 * AGAIN, 4 * AGAIN, 8 * AGAIN, 16 * AGAIN, 32 * AGAIN, AT_MOST]
