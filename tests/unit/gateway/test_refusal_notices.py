"""Which notice belongs to an order without a report."""

import pytest

from tianqin_backtrader.core.clock import SECOND
from tianqin_backtrader.core.model import Direction, Notice
from tianqin_backtrader.gateway.refusal_notices import KEPT, RefusalNotices, may_refuse_an_order

BUY, SELL = Direction.BUY, Direction.SELL
CLOSED = Notice(333, "WARNING", "当前时间不支持下单!")


def named(symbol, side, lots):
    return Notice(
        357, "WARNING",
        f"报单单号重复，不能下单，合约代码:{symbol}，下单方向:{side}，开平标志:开仓，"
        f"委托价格:78000，委托手数:{lots}",
    )  # fmt: skip


@pytest.fixture
def notices():
    return RefusalNotices()


def test_words_that_came_after_the_order_are_given_once(notices):
    notices.hear(CLOSED, 10)
    assert notices.take("SHFE.cu2612", BUY, 1, sent=11) == ""
    assert notices.take("SHFE.cu2612", BUY, 1, sent=9) == CLOSED.content
    assert notices.take("SHFE.cu2612", BUY, 1, sent=9) == ""


def test_words_that_name_an_order_belong_to_it_and_to_no_other(notices):
    notices.hear(CLOSED, 1)
    notices.hear(named("SHFE.cu2612", "卖", 2), 2)
    assert notices.take("SHFE.cu2612", BUY, 2, 0) == CLOSED.content
    assert notices.take("SHFE.cu2612", BUY, 2, 0) == ""
    assert notices.take("SHFE.cu2612", SELL, 3, 0) == ""
    assert notices.take("DCE.m2701", SELL, 2, 0) == ""
    assert "报单单号重复" in notices.take("SHFE.cu2612", SELL, 2, 0)


def test_two_orders_get_two_notices_in_the_order_of_time(notices):
    notices.hear(CLOSED, 1)
    notices.hear(Notice(358, "WARNING", "下单请求发送失败"), 2)
    assert notices.take("SHFE.cu2612", BUY, 1, 0) == CLOSED.content
    assert notices.take("SHFE.cu2612", BUY, 1, 0) == "下单请求发送失败"


def test_words_of_an_order_that_has_an_answer_are_no_other_orders(notices):
    notices.hear(Notice(30, "WARNING", "下单失败,CTP:平仓量超过持仓量"), 1)
    notices.answered("CTP:平仓量超过持仓量", 2)
    notices.answered("", 2)
    assert notices.take("SHFE.cu2612", SELL, 1, 0) == ""


@pytest.mark.parametrize(("later", "given"), [(1, False), (4, False), (6, True)])
def test_a_notice_that_comes_a_moment_after_its_answer_is_no_other_orders(notices, later, given):
    words = "下单失败,CTP:平仓量超过持仓量"
    notices.answered("CTP:平仓量超过持仓量", 0)
    notices.hear(Notice(30, "WARNING", words), later * SECOND)
    assert bool(notices.take("SHFE.cu2612", SELL, 1, 0)) is given
    notices.hear(Notice(30, "WARNING", words), later * SECOND + 1)  # one answer, one notice
    assert notices.take("SHFE.cu2612", SELL, 1, 0) == words


@pytest.mark.parametrize(
    "notice",
    [
        Notice(334, "WARNING", "当前时间不支持撤单!"),
        Notice(26, "WARNING", "撤单失败,CTP:报单已全成交或已撤销，不能再撤"),
        Notice(355, "WARNING", "撤单请求发送失败，撤单信息，用户名:x，报单编号:y"),
        Notice(420, "WARNING", "要撤销的单不存在"),
        Notice(0, "WARNING", "确认结算单失败"),
        Notice(90, "WARNING", "CTP:查询未就绪,请稍后重试"),
        Notice(332, "WARNING", "下单前请注意保证金已上调"),
        Notice(328, "INFO", "下单成功，合约代码:SHFE.cu2612"),
        Notice(335, "WARNING", "当前时间不支持转账!"),
        Notice(322, "INFO", "已经断开与交易前置的连接"),
        Notice(3, "WARNING", "交易服务器重登录失败,CTP:不合法的登录"),
        Notice(331, "INFO", "成交通知,合约:SHFE.cu2612"),
        Notice(325, "INFO", "the statement", type="SETTLEMENT"),
        Notice(2019112911, "WARNING", "与 ws://x 的网络连接断开", conn_id="td_0"),
    ],
)
def test_what_is_about_something_else_refuses_no_order(notice):
    assert not may_refuse_an_order(notice)


@pytest.mark.parametrize(
    "notice",
    [
        CLOSED,
        Notice(6, "WARNING", "下单失败,CTP:还没有登录"),
        Notice(407, "WARNING", "下单, 已被服务器拒绝,原因:单号重复"),
        Notice(330, "WARNING", "下单失败,已撤单报单被拒绝SHFE:...，合约代码:SHFE.cu2612"),
    ],
)
def test_what_refuses_an_order(notice):
    assert may_refuse_an_order(notice)


def test_old_ones_are_forgotten(notices):
    for at in range(KEPT + 10):
        notices.hear(CLOSED, at)
    taken = [notices.take("SHFE.cu2612", BUY, 1, 0) for _ in range(KEPT + 10)]
    assert taken == [CLOSED.content] * KEPT + [""] * 10
