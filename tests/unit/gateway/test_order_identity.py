"""An order that comes back under another id is recognised by its exchange number."""

from dataclasses import replace
from datetime import date

import pytest

from tianqin_backtrader.core.clock import SECOND
from tianqin_backtrader.core.model import NAN, Direction, Fill, Offset, OrderReport
from tianqin_backtrader.gateway.order_identity import NEAR, OrderIdentity, made_up

NUMBER = "25169789"
OURS = OrderReport(
    "TQBT_1", "SHFE.rb2701", Direction.SELL, Offset.CLOSE, 3, 3, 3500.0, "ALIVE", NUMBER, ""
)
THEIRS = replace(OURS, order_id="SERVER.           7.-153212.1", volume_left=2)


def trade(order_id, number="    1234"):
    fields = OURS.symbol, OURS.direction, OURS.offset, 3500.0, 1, 5, NAN
    return Fill(f"{order_id}|{number}", order_id, *fields)


@pytest.fixture
def identity():
    return OrderIdentity()


def test_an_order_is_the_one_it_was_under_the_gateways_id(identity):
    assert identity.report(OURS) == OURS
    assert identity.report(THEIRS) == replace(THEIRS, order_id="TQBT_1")
    assert identity.ours(THEIRS.order_id) == "TQBT_1"
    assert identity.counters("TQBT_1") == THEIRS.order_id


def test_a_trade_told_under_both_ids_is_one_trade(identity):
    identity.report(OURS)
    identity.report(THEIRS)
    assert identity.fill(trade(THEIRS.order_id)) == identity.fill(trade("TQBT_1"))
    plain = replace(trade(THEIRS.order_id), trade_id="0d7f")
    assert identity.fill(plain) == replace(plain, order_id="TQBT_1")


def test_an_order_of_an_earlier_run_is_known_by_its_record(identity):
    identity.recognise(OURS)
    assert identity.report(THEIRS).order_id == "TQBT_1"


@pytest.mark.parametrize(
    "other",
    [
        {"exchange_order_id": "25169790"},
        {"symbol": "DCE.m2701"},
        {"direction": Direction.BUY},
        {"offset": Offset.OPEN},
        {"volume_orign": 4},
    ],
)
def test_an_order_of_another_terminal_is_not_ours(identity, other):
    identity.report(OURS)
    foreign = replace(THEIRS, **other)
    assert identity.report(foreign) == foreign
    assert identity.fill(trade(foreign.order_id)) == trade(foreign.order_id)


def test_an_order_without_a_number_is_not_taken_for_another_one(identity):
    identity.report(replace(OURS, exchange_order_id=""))
    nameless = replace(THEIRS, exchange_order_id="")
    assert identity.report(nameless) == nameless


SENT_AT = 1_000_000 * SECOND
SENT = replace(OURS, exchange_order_id="", insert_date_time=SENT_AT)
CAME = replace(THEIRS, insert_date_time=SENT_AT - SECOND // 2)


def lost_on_its_way(identity, *orders):
    for order in orders or [SENT]:
        identity.sent(order)
        identity.report(order)  # the client's own echo
    identity.new_session()


def test_an_order_on_its_way_is_known_by_its_content_and_time(identity):
    lost_on_its_way(identity)
    assert identity.report(CAME) == replace(CAME, order_id="TQBT_1")
    assert identity.fill(trade(CAME.order_id)) == trade("TQBT_1")
    assert identity.counters("TQBT_1") == CAME.order_id
    done = replace(CAME, volume_left=0, status="FINISHED", insert_date_time=0)
    assert identity.report(done).order_id == "TQBT_1"
    identity.new_session()  # and by its number from now on
    assert identity.report(replace(done, order_id="SERVER. 9")).order_id == "TQBT_1"


def test_an_order_that_has_no_number_yet_is_known_by_its_content(identity):
    lost_on_its_way(identity)
    submitted = replace(CAME, exchange_order_id="")
    assert identity.report(submitted).order_id == "TQBT_1"
    assert identity.report(CAME).order_id == "TQBT_1"
    identity.new_session()
    assert identity.report(replace(CAME, order_id="SERVER. 9")).order_id == "TQBT_1"


def test_a_market_order_on_its_way_is_one_without_a_price(identity):
    lost_on_its_way(identity, replace(SENT, limit_price=NAN))
    assert identity.report(CAME) == CAME
    assert identity.report(replace(CAME, limit_price=0.0)).order_id == "TQBT_1"


def test_two_equal_orders_on_their_way_are_two(identity):
    lost_on_its_way(identity, SENT, replace(SENT, order_id="TQBT_2"))
    second = replace(CAME, order_id="SERVER.           8.-153212.1", exchange_order_id="25169791")
    third = replace(CAME, order_id="SERVER.           9.-153212.1", exchange_order_id="25169792")
    found = [identity.report(one).order_id for one in (CAME, second, third)]
    assert found == ["TQBT_1", "TQBT_2", third.order_id]


@pytest.mark.parametrize(
    "other",
    [
        {"symbol": "DCE.m2701"},
        {"direction": Direction.BUY},
        {"offset": Offset.OPEN},
        {"volume_orign": 4},
        {"limit_price": 3501.0},
        {"insert_date_time": SENT_AT - NEAR - 1},
        {"insert_date_time": SENT_AT + NEAR + 1},
        {"insert_date_time": 0},
    ],
)
def test_another_order_is_not_taken_for_one_on_its_way(identity, other):
    lost_on_its_way(identity)
    foreign = replace(CAME, **other)
    assert identity.report(foreign) == foreign


def test_an_order_that_is_answered_is_not_looked_for(identity):
    lost_on_its_way(identity)
    identity.report(OURS)
    twin = replace(CAME, exchange_order_id="25169791")
    assert identity.report(twin) == twin


def test_a_refused_order_is_not_looked_for(identity):
    lost_on_its_way(identity)
    identity.report(replace(SENT, status="FINISHED"))
    assert identity.report(CAME) == CAME


def test_an_order_of_this_session_is_not_looked_for_among_others(identity):
    identity.new_session()
    identity.sent(SENT)
    assert identity.report(CAME) == CAME


def test_an_order_on_its_way_when_the_program_was_killed_is_known_by_its_record(identity):
    identity.recognise(SENT)
    assert identity.report(CAME).order_id == "TQBT_1"


def test_in_a_new_session_the_gateway_may_have_our_ids_again(identity):
    identity.report(OURS)
    identity.report(THEIRS)
    identity.new_session()
    assert identity.counters("TQBT_1") == "TQBT_1"
    assert identity.report(THEIRS).order_id == "TQBT_1"  # or not


def test_a_number_of_yesterday_is_given_to_another_order_today(identity):
    identity.begin_day(date(2026, 11, 10))
    identity.report(OURS)
    identity.begin_day(date(2026, 11, 10))
    assert identity.report(THEIRS).order_id == "TQBT_1"
    identity.begin_day(date(2026, 11, 11))
    assert identity.report(THEIRS) == THEIRS


def test_ids_that_gateways_make_are_told_from_those_of_clients():
    assert made_up(THEIRS.order_id)
    assert not made_up("PYSDK_insert_SERVER.1")
