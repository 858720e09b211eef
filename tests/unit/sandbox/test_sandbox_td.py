"""One trading connection, without a socket."""

from typing import Any

import pytest

from tianqin_backtrader.sandbox.exchange.ledger import Notice
from tianqin_backtrader.sandbox.exchange.views import JOINED, UNASKED, Parcel
from tianqin_backtrader.sandbox.wire.td import TdSession


class Desk:
    """Records the requests."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def login(self, session: TdSession, user_id: str) -> list[Parcel]:
        self.asked.append(("login", user_id))
        picture = {"trade": {user_id: {"trade_more_data": False}}}
        return [Parcel(UNASKED, ({"notify": {}},)), Parcel(JOINED, (picture,))]

    def login_refusal(self, user_id: str) -> list[Notice]:
        return [Notice(3, "no"), Notice(345, "never", False)] if user_id == "wrong" else []

    def insert(self, user_id: str, pack: dict[str, Any]) -> None:
        self.asked.append(("insert", user_id, pack["order_id"]))

    def cancel(self, user_id: str, order_id: str) -> None:
        self.asked.append(("cancel", user_id, order_id))


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def session(desk: Desk) -> TdSession:
    return TdSession(desk, 7)


def notices(session: TdSession) -> list[dict[str, Any]]:
    diffs = session.outbox.take()
    return [note for diff in diffs for note in diff.get("notify", {}).values()]


def test_it_greets_with_its_brokers(session: TdSession) -> None:
    [greeting] = session.greeting
    assert greeting["aid"] == "rtn_brokers" and greeting["capabilities"] == {}


def test_a_login_is_answered_with_what_the_desk_says(session: TdSession, desk: Desk) -> None:
    session.receive({"aid": "req_login", "bid": "快期模拟", "user_name": "me", "password": "x"})
    session.receive({"aid": "confirm_settlement"})
    assert session.outbox.take() == [{"notify": {}}]
    assert session.outbox.take() == [{"trade": {"me": {"trade_more_data": False}}}]
    assert session.user_id == "me" and desk.asked == [("login", "me")]


def test_a_login_without_a_name_is_refused(session: TdSession, desk: Desk) -> None:
    session.receive({"aid": "req_login", "user_name": ""})
    assert "失败" in notices(session)[0]["content"] and desk.asked == []


def test_orders_go_to_the_desk_under_the_name_of_the_login(session: TdSession, desk: Desk) -> None:
    session.receive({"aid": "req_login", "user_name": "me"})
    session.receive({"aid": "insert_order", "user_id": "other", "order_id": "o1"})
    session.receive({"aid": "cancel_order", "user_id": "me", "order_id": "o1"})
    assert desk.asked[1:] == [("insert", "me", "o1"), ("cancel", "me", "o1")]


@pytest.mark.parametrize("aid", ["insert_order", "cancel_order"])
def test_orders_before_the_login_are_refused_by_a_notice(
    session: TdSession, desk: Desk, aid: str
) -> None:
    session.receive({"aid": aid, "order_id": "o1"})
    [note] = notices(session)
    assert note["code"] > 0 and note["level"] == "WARNING" and desk.asked == []


def test_a_peek_says_that_the_pack_before_has_been_read(session: TdSession) -> None:
    session.unread = True
    session.receive({"aid": "peek_message"})
    assert session.peek_open and not session.unread


def test_notices_have_keys_of_their_own(session: TdSession) -> None:
    session.notify("one")
    session.notify("two")
    one, two = session.outbox.take()
    assert not one["notify"].keys() & two["notify"].keys()


def test_what_comes_unasked_waits_for_no_peek_where_time_passes_by_itself(desk: Desk) -> None:
    session = TdSession(desk, 7, asked=False)
    session.receive({"aid": "req_login", "user_name": "me"})
    assert session.unasked == [[{"notify": {}}]]
    assert len(session.outbox) == 1


def test_a_refused_login_is_its_messages_and_then_silence(desk: Desk) -> None:
    session = TdSession(desk, 7, silent=True)
    session.receive({"aid": "req_login", "user_name": "wrong"})
    session.receive({"aid": "insert_order", "user_id": "wrong", "order_id": "o1"})
    told = [note for _ in range(2) for note in notices(session)]
    assert [(note["code"], note["level"]) for note in told] == [(3, "WARNING"), (345, "INFO")]
    assert [note["session_id"] for note in told] == [7, 7]
    assert not session.outbox and desk.asked == [] and session.user_id == ""


def test_a_login_that_another_one_ends_leaves_the_connection_open_and_deaf(desk: Desk) -> None:
    session = TdSession(desk, 7, silent=True)
    session.receive({"aid": "req_login", "user_name": "me"})
    session.log_out([Notice(12, "elsewhere")])
    session.receive({"aid": "insert_order", "user_id": "me", "order_id": "o1"})
    assert desk.asked == [("login", "me")] and session.user_id == ""
