"""When orders leave, and which orders and trades are reported."""

import asyncio
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from manual_clock import ManualClock
from tqsdk.entity import Entity

from tianqin_backtrader.core.model import Direction, Offset
from tianqin_backtrader.gateway import client
from tianqin_backtrader.gateway.client import Client
from tianqin_backtrader.gateway.news import News
from tianqin_backtrader.gateway.trading import Trading

CU, LOT = "SHFE.cu2612", {"direction": "BUY", "offset": "OPEN"}
#: The exchange's time, which is not this machine's.
NOW = 1794278710 * 10**9


def entity(**fields):
    made = Entity()
    made.update(exchange_id="SHFE", instrument_id="cu2612", **LOT, **fields)
    return made


class Api:
    """The orders and trades of a client, and how often it was told to send."""

    def __init__(self):
        self.orders, self.trades, self.sent = {}, {}, 0
        self.account, self.looks = {}, 0
        self.news = News(sure=True)

    def register_update_notify(self, objects):
        return SimpleNamespace(empty=lambda: True)

    def get_account(self):
        self.looks += 1
        return self.account

    def get_order(self):
        return self.orders

    def get_trade(self):
        return self.trades

    def insert_order(self, *order):
        pass

    cancel_order = insert_order

    def send_now(self):
        self.sent += 1

    def order(self, order_id, left, status="ALIVE"):
        self.orders[order_id] = entity(
            volume_orign=3, volume_left=left, status=status, exchange_order_id="1", last_msg="",
            limit_price=5.0, insert_date_time=NOW,
        )  # fmt: skip
        self.news.note([{"trade": {"me": {"orders": {order_id: {}}}}}])

    def trade(self, trade_id, order_id):
        self.trades[trade_id] = entity(
            order_id=order_id, price=5.0, volume=1, trade_date_time=1794278710 * 10**9,
            commission=1.0, exchange_trade_id=trade_id,
        )  # fmt: skip
        self.news.note([{"trade": {"me": {"trades": {trade_id: {}}}}}])


@pytest.fixture
def api():
    return Api()


@pytest.fixture
def session(api):
    return SimpleNamespace(logged_in=True, client=api, api=api, told_now=None, contracts_known={})


@pytest.fixture
def trading(session):
    kept = SimpleNamespace(matches_itself=False, is_paper=True, renewable=True)
    made = Trading(session, kept, ManualClock(NOW))
    made.begin()
    return made


def told(trading):
    return [getattr(one, "trade_id", "") or one.order_id for one in trading.new_reports()]


# -- sending ----------------------------------------------------------------------------------


def test_nothing_is_sent_where_nothing_was_given(trading, api):
    trading.send()
    assert api.sent == 0


def test_what_was_given_is_sent_once(trading, api):
    trading.cancel_order("a")
    trading.cancel_order("b")
    trading.send()
    trading.send()
    assert api.sent == 1


def test_what_a_block_gives_is_sent_at_its_end(trading, api):
    with trading.sent_together():
        trading.cancel_order("a")
        trading.send()
        assert api.sent == 0
    assert api.sent == 1


def test_it_is_sent_when_the_block_fails_too(trading, api):
    with pytest.raises(ValueError), trading.sent_together():
        trading.cancel_order("a")
        raise ValueError
    assert api.sent == 1


def test_without_a_session_nothing_is_sent(trading, api, session):
    trading.cancel_order("a")
    session.client = None
    trading.send()
    assert api.sent == 0


class Loop:
    """The inner parts of a client that ``send_now`` uses."""

    def __init__(self, error=None):
        self._exceptions, self._error, self.runs = [], error, []
        self._loop = SimpleNamespace(whole_callbacks=nullcontext())

    def _run_until_idle(self, *, async_run):
        self.runs.append(async_run)
        if self._error is not None:
            raise self._error


def test_sending_receives_nothing():
    loop = Loop()
    Client.send_now(loop)
    assert loop.runs == [False]


def test_the_error_of_a_task_is_left_to_the_next_wait():
    loop = Loop(OSError("the line is broken"))
    Client.send_now(loop)
    assert [str(one) for one in loop._exceptions] == ["the line is broken"]
    Client.send_now(loop)
    assert len(loop.runs) == 1 and len(loop._exceptions) == 1


def test_in_a_notebook_and_with_an_unknown_tqsdk_the_wait_sends(monkeypatch):
    loop = Loop()

    async def within():
        Client.send_now(loop)

    asyncio.run(within())
    monkeypatch.setattr(client, "TESTED", False)
    Client.send_now(loop)
    assert loop.runs == []


# -- reports ----------------------------------------------------------------------------------


def test_a_session_begins_with_everything_and_goes_on_with_what_changes(trading, api):
    api.order("a", 3)
    api.order("b", 3)
    assert told(trading) == ["a", "b"]
    assert told(trading) == []
    api.order("b", 2)
    api.trade("t", "b")
    assert told(trading) == ["t", "b"]


def test_orders_that_are_noted_and_have_not_changed_are_not_reported(trading, api):
    api.order("a", 3)
    told(trading)
    api.order("a", 3)
    api.trade("t", "a")
    assert told(trading) == ["t"]
    api.trade("t", "a")
    assert told(trading) == []


def test_what_the_client_has_dropped_is_not_reported(trading, api):
    told(trading)
    api.order("a", 3)
    api.trade("t", "a")
    api.orders.clear()
    api.trades.clear()
    assert told(trading) == []


def test_an_order_whose_fields_come_later_is_reported_then(trading, api):
    told(trading)
    api.orders["a"] = entity(status="", volume_left=3, exchange_order_id="", last_msg="")
    api.news.note([{"trade": {"me": {"orders": {"a": {}}}}}])
    assert told(trading) == []
    api.order("a", 3)
    assert told(trading) == ["a"]


def test_an_order_is_reported_again_with_its_trades(trading, api):
    for order_id in ("a", "b"):
        api.order(order_id, 2)
        api.trade(f"t{order_id}", order_id)
    told(trading)
    trading.report_again("a")
    assert trading.changed()
    assert told(trading) == ["ta", "a"]
    assert told(trading) == []


def test_everything_is_reported_on_request_and_in_a_new_session(trading, api):
    api.order("a", 3)
    told(trading)
    assert [one.order_id for one in trading.all_reports()] == ["a"]
    trading._orders.clear()
    trading.begin()
    assert told(trading) == ["a"]


# -- the account's figures --------------------------------------------------------------------


def has_changed(api, **fields):
    api.account = api.account | fields
    api.news.note([{"trade": {"me": {"accounts": {"CNY": fields}}}}])


def test_figures_are_looked_up_when_the_account_may_have_changed(trading, api):
    has_changed(api, available=5.0, margin=1.0)
    looks = api.looks
    for _ in range(3):
        assert trading.funds("available", "margin") == (5.0, 1.0)
        assert trading.funds("margin") == (1.0,)
    assert api.looks == looks + 1
    has_changed(api, available=4.0)
    assert trading.funds("available", "margin") == (4.0, 1.0)


def test_of_an_unknown_client_figures_are_looked_up_each_time(trading, api):
    api.news = News(sure=False)
    for figure in (5.0, 4.0):
        api.account = {"available": figure}
        assert trading.funds("available") == (figure,)


def test_a_new_session_has_figures_of_its_own(trading, api, session):
    has_changed(api, available=5.0)
    assert trading.funds("available") == (5.0,)
    session.client = session.api = another = Api()
    another.account = {"available": 7.0}
    another.news.account_changes = api.news.account_changes
    trading.begin()
    assert trading.funds("available") == (7.0,)


def test_an_order_on_its_way_was_sent_by_the_exchanges_time(trading, api, monkeypatch):
    monkeypatch.setattr(Trading, "_introduce", lambda *_: None)
    trading.insert_order("TQBT_1", CU, Direction.BUY, Offset.OPEN, 3, 5.0)
    trading.begin()
    api.order("SERVER.           1.1.1", left=3)
    assert told(trading) == ["TQBT_1"]
