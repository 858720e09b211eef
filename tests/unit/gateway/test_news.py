"""What waits have brought: contracts with new rows, changed orders and trades."""

import pytest

from tianqin_backtrader.gateway.news import News

CU, M = "SHFE.cu2612", "DCE.m2701"


@pytest.fixture
def news():
    """A client whose first packs have been taken."""
    made = News(sure=True)
    made.take_contracts()
    made.take_reports()
    return made


def test_a_new_client_may_have_everything():
    news = News(sure=True)
    assert news.take_contracts() is None and news.take_reports() is None
    assert news.take_contracts() == set() and news.take_reports() == ([], [])


def test_of_an_unknown_client_everything_may_be_new_at_any_time():
    news = News(sure=False)
    for _ in range(3):
        assert news.take_contracts() is None and news.take_reports() is None


def test_contracts_with_ticks_and_with_bars_are_noted_once(news):
    news.note([{"ticks": {CU: {"last_id": 5}}}, {"klines": {M: {"60000000000": {}}}}])
    news.note([{"ticks": {CU: {"last_id": 6}}}])
    assert news.take_contracts() == {CU, M}
    assert news.take_contracts() == set()


@pytest.mark.parametrize(
    ("chart", "whole"),
    [
        ({"ready": True}, True),
        ({"more_data": True, "ready": False}, True),
        (None, True),  # the request has ended
        ({"left_id": 100, "right_id": 299}, False),
        ({}, False),
    ],
)
def test_rows_of_a_request_count_when_all_of_them_have_come(news, chart, whole):
    news.note([{"charts": {"one": chart}, "ticks": {CU: {}}}])
    assert news.take_contracts() == (None if whole else {CU})
    assert news.take_contracts() == set()


def test_orders_and_trades_keep_the_order_in_which_they_came(news):
    news.note([{"trade": {"me": {"orders": {"b": {}, "a": {}}, "accounts": {"CNY": {}}}}}])
    news.note([{"trade": {"me": {"orders": {"a": {}, "c": {}}, "trades": {"t": {}}}}}])
    assert news.take_reports() == (["b", "a", "c"], ["t"])
    assert news.take_reports() == ([], []) and news.take_contracts() == set()


def test_quotes_accounts_and_notices_are_no_news_of_rows_or_orders(news):
    news.note([{"quotes": {CU: {"last_price": 1.0}}}, {"notify": {"one": {}}}, {}])
    news.note([{"trade": {"me": {"accounts": {"CNY": {"balance": 1.0}}}}}, {"trade": {"me": None}}])
    assert news.take_contracts() == set() and news.take_reports() == ([], [])


def test_what_may_have_changed_the_account_is_counted(news):
    for differences, count in (
        ([{"trade": {"me": {"accounts": {"CNY": {"available": 1.0}}}}}], 1),
        ([{"ticks": {CU: {}}}], 1),
        ([{"trade": {"me": None}}, {"trade": {"me": {}}}], 3),
    ):
        news.note(differences)
        assert news.account_changes == count
    unknown = News(sure=False)
    unknown.note([{"trade": {"me": {}}}])
    assert unknown.account_changes is None


def test_changes_of_quotes_are_passed_on_in_their_order_to_who_wants_them(news):
    came, also = [], []
    news.quotes[CU] = [came.append, also.append]
    news.note([{"quotes": {CU: {"volume": 1}, M: {"volume": 7}}}, {"quotes": {CU: {"volume": 2}}}])
    assert came == also == [{"volume": 1}, {"volume": 2}]
    assert news.take_contracts() == {CU}
