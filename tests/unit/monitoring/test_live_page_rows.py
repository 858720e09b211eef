"""The rows that the live page keeps of a session, and the execution of its commands."""

from datetime import datetime

import pytest
from session_stubs import CU, MORNING, StubBroker, StubFeed, StubOrder, StubSession

from tianqin_backtrader.core.clock import MINUTE, live_on, to_ns
from tianqin_backtrader.core.model import NAN, Bar, Direction, Fill, Offset
from tianqin_backtrader.errors import ConfigError, JournalError
from tianqin_backtrader.monitoring.live_page import ASKED, ORDERS, LivePage
from tianqin_backtrader.monitoring.live_page.page_state import chart_time

TOKEN = "a long enough token"
BEGIN = to_ns(MORNING)


@pytest.fixture
def session():
    made = StubSession()
    live_on(made)
    made.clock.join(made.wall.now_ns())
    made.view.feeds.append(StubFeed())
    yield made
    live_on(None)


@pytest.fixture
def page(session):
    """Creates pages, and closes them."""
    made = []

    def make(token=TOKEN):
        made.append(LivePage(session.view, token=token))
        return made[-1]

    yield make
    for one in made:
        one.close()


def rows(page, what):
    page.publish(0.0)
    return [row for _, row in getattr(page.page, what)]


def bar(end, close=78000.0):
    return Bar(end - MINUTE, end, 78000.0, 78010.0, 77990.0, close, 12, 100, 101)


def test_bars_are_kept_by_feed_and_one_without_a_price_is_left_out(session, page):
    made = page()
    session.observers.bar(CU, bar(BEGIN))
    session.observers.bar(CU, bar(BEGIN + MINUTE, close=NAN))
    made.publish(0.0)
    [(_, row)] = made.page.bars[CU]
    assert row == [chart_time(BEGIN), 78000.0, 78010.0, 77990.0, 78000.0, 12]
    assert made.page.feeds == {CU: CU}


def test_equity_is_kept_once_a_minute_and_when_it_has_changed(session, page):
    made = page()
    for minute, worth in ((0, 1e6), (0, 2e6), (1, 1e6), (2, 1.1e6), (3, 0.0)):
        session.funds["balance"] = worth
        session.at(datetime(2026, 11, 10, 10, minute))
        session.observers.round()
    assert [worth for _, worth in rows(made, "equity")] == [1e6, 1.1e6]


def test_an_order_is_one_row_that_is_newest_where_it_changed_last(session, page):
    made = page()
    session.observers.order(StubOrder(ref=1))
    session.observers.order(StubOrder(ref=2, size=-1))
    session.observers.order(StubOrder(ref=1, size=5))
    found = [(row["ref"], row["direction"], row["size"]) for row in rows(made, "orders")]
    assert found == [(2, "SELL", 1), (1, "BUY", 5)]


def test_the_oldest_orders_are_forgotten(session, page):
    made = page()
    for ref in range(ORDERS + 3):
        session.observers.order(StubOrder(ref=ref))
    found = rows(made, "orders")
    assert len(found) == ORDERS and found[0]["ref"] == 3


def test_a_fill_is_kept_once_however_often_its_order_is_told(session, page):
    made = page()
    fill = Fill("a", "one", CU, Direction.BUY, Offset.OPEN, 78000.0, 2, BEGIN, 5.0)
    for _ in range(3):
        session.observers.order(StubOrder(fills=[fill]))
    [row] = rows(made, "fills")
    assert (row["direction"], row["offset"], row["volume"]) == ("BUY", "OPEN", 2)


def test_orders_of_before_are_shown_and_a_refusal_is_in_the_log(session, page):
    session.view.broker = StubBroker()
    session.view.broker.orders = [StubOrder(status=StubOrder.Rejected, reason="no funds")]
    made = page()
    assert [row["status"] for row in rows(made, "orders")] == ["Rejected"]
    assert f"{CU} BUY refused: no funds" in [row["text"] for row in rows(made, "log")]


def test_what_is_asked_for_is_done_in_the_session_s_own_round(session, page):
    session.view.broker = broker = StubBroker()
    made = page()
    answer = made._ask("halt")()
    assert answer.status == 202 and broker.asked == []
    session.observers.round()
    assert broker.asked == [("halt", "halt on the live page")]
    session.observers.round()
    assert len(broker.asked) == 1


def test_no_more_is_asked_than_can_wait(session, page):
    made = page()
    asked = [made._ask("flatten")().status for _ in range(ASKED + 1)]
    assert asked == [202] * ASKED + [503]


def test_what_cannot_be_done_is_logged_and_disturbs_nobody(session, page, caplog):
    made = page()
    made._ask("halt")()
    session.observers.round()
    session.view.broker = StubBroker()
    session.view.broker.fails = JournalError("records", "disk full")
    made._ask("flatten")()
    session.observers.round()
    errors = [one.message for one in caplog.records if one.levelname == "ERROR"]
    assert errors[0] == "halt: this session has no broker"
    assert errors[1].startswith("flatten is not complete, request it again:")


def test_without_a_token_nothing_can_be_asked_for(page):
    made = page(token=None)
    made.publish(0.0)
    assert made.page.commands is False
    assert page().page.commands is True


def test_a_token_that_could_be_guessed_is_refused(session):
    with pytest.raises(ConfigError, match="12 characters"):
        LivePage(session.view, token="1234")
