"""What servers say of a login, and what it means."""

import pytest

from tianqin_backtrader.core.login_words import (
    ADVICE,
    MORE_WORDS,
    NO_END,
    LoginWatch,
    Why,
    front_lost,
    front_there,
    is_good,
    is_unclear,
    out_of_service,
    refusal_in,
    why_of,
)
from tianqin_backtrader.core.model import Notice

WRONG = Notice(3, "WARNING", "交易服务器登录失败,CTP:不合法的登录")
OVER = Notice(345, "INFO", "用户登录失败!")
IN = Notice(324, "INFO", "登录成功")
BAD_PASSWORD = "{'error_description': 'Invalid user credentials'}"


@pytest.mark.parametrize("words", [BAD_PASSWORD, "{'error': 'unavailable'}", "{}"])
@pytest.mark.parametrize(
    "sentence", ["用户权限认证失败 ({status},{words})", "添加期货账户失败。{status}, {words}"]
)
@pytest.mark.parametrize(
    ("status", "in_trouble"),
    [(400, False), (401, False), (403, False), (404, False), (408, True), (425, True),
     (429, True), (500, True), (502, True), (503, True), (504, True)],
)  # fmt: skip
def test_the_status_says_whether_a_login_server_is_in_trouble_whatever_its_words(
    status, in_trouble, sentence, words
):
    error = Exception(sentence.format(status=status, words=words))
    assert out_of_service(error) is in_trouble
    assert not is_unclear(error)


@pytest.mark.parametrize(
    ("words", "in_trouble", "unclear"),
    [
        ("与 wss://x 的连接失败，每日 19:00-19:30 为日常运维时间，请稍后再试", True, False),
        ("调用名称服务失败: 503, b'503 here'", True, False),
        ("不支持该期货公司 - H海通期货，请联系期货公司。", False, True),
        ("查询快期账户授权到期日期失败", False, True),
        ("您的账户不支持查看 SHFE.cu2612 的行情数据，需要购买后才能使用", False, False),
    ],
)
def test_words_without_a_status(words, in_trouble, unclear):
    assert out_of_service(Exception(words)) is in_trouble
    assert is_unclear(Exception(words)) is unclear


@pytest.mark.parametrize(
    ("code", "words", "why"),
    [
        (3, "交易服务器登录失败,CTP:不合法的登录", Why.PASSWORD),
        (339, "账户和密码不匹配!", Why.PASSWORD),
        (402, "账户和密码不匹配!", Why.PASSWORD),
        (140, "交易服务器登录失败,CTP:首次登录必须修改密码，请修改密码后重新登录", Why.CHANGE),
        (131, "交易服务器登录失败,CTP:弱密码，请修改密码后重新登录", Why.CHANGE),
        (141, "交易服务器登录失败,CTP:您的密码已过期", Why.CHANGE),
        (75, "交易服务器登录失败,CTP:连续登录失败次数超限，登录被禁止", Why.LOCKED),
        (0, "交易服务器登录失败,账户已锁定", Why.LOCKED),
        (0, "交易服务器登录失败,登录过于频繁", Why.LOCKED),
        (7, "交易服务器登录失败,CTP:还没有初始化", Why.AWAY),
        (8, "交易服务器登录失败,CTP:前置不活跃", Why.AWAY),
        (347, "用户登录超时!", Why.AWAY),
        (63, "交易服务器认证失败,CTP:客户端认证失败", Why.OTHER),
        (0, "您的账号已在其他地方登录，被强制退出", Why.ENDED),
        (3, "交易服务器登录失败,CTP:不合法的登录,请稍后再试", Why.PASSWORD),
        (3, "交易服务器登录失败,请稍后再试", Why.PASSWORD),
        (75, "交易服务器登录失败,请稍后再试", Why.LOCKED),
        (0, "交易服务器登录失败,密码错误,请稍后重试", Why.PASSWORD),
        (5, "交易服务器登录失败,CTP:重复的登录", Why.ENDED),
    ],
)
def test_words_and_number_say_why_a_login_was_refused(code, words, why):
    found = refusal_in(Notice(code, "WARNING", words))
    assert found is not None
    assert (found.why, found.words, found.advice) == (why, words, ADVICE[why])


@pytest.mark.parametrize("why", Why)
def test_no_advice_is_to_try_again(why):
    assert "try again" not in ADVICE[why].lower()


@pytest.mark.parametrize(
    "notice",
    [
        IN,
        Notice(401, "INFO", "登录成功"),
        Notice(323, "INFO", "交易服务器重登录成功"),
        Notice(338, "INFO", "重复发送登录请求!"),
        Notice(6, "WARNING", "下单失败,CTP:还没有登录"),
        Notice(3, "WARNING", "报单,尚未登录"),
        Notice(31, "WARNING", "下单失败,CTP:资金不足"),
        Notice(0, "WARNING", "下单失败,报单过于频繁"),
        Notice(14, "WARNING", "修改密码失败,CTP:旧密码不匹配"),
        Notice(333, "WARNING", "当前时间不支持下单!"),
        Notice(321, "INFO", "已经连接到交易前置"),
        Notice(322, "INFO", "已经断开与交易前置的连接"),
        Notice(332, "INFO", "尊敬的客户:近期盗号频发,请定期修改密码"),
        Notice(332, "WARNING", "登录失败三次的账户将被锁定"),
        Notice(332, "INFO", "登录成功后请核对结算单"),
        Notice(0, "INFO", "请妥善保管密码"),
        Notice(2019112911, "WARNING", "与 ws://x 的网络连接断开，登录失败", conn_id="td_0"),
    ],
)
def test_other_notices_refuse_no_login(notice):
    assert refusal_in(notice) is None


def test_a_front_is_lost_and_there_again():
    lost, there = Notice(322, "INFO", "x"), Notice(320, "INFO", "已经重新连接到交易前置")
    assert front_lost(lost) and not front_there(lost)
    assert front_there(there) and not front_lost(there)
    assert front_lost(Notice(0, "INFO", "与交易前置断开"))
    ours = Notice(2019112911, "WARNING", "与 ws://前置 的网络连接断开", conn_id="td_0")
    assert not front_lost(ours) and not front_there(ours) and not is_good(ours)


def test_what_a_broker_tells_all_its_customers_changes_no_login():
    login = Notice(332, "INFO", "登录成功后请核对结算单")
    front = Notice(332, "INFO", "今晚交易前置切换,连接可能短暂断开")
    back = Notice(332, "INFO", "交易前置已恢复连接")
    assert not is_good(login)
    assert not front_lost(front) and not front_there(back)
    assert watched(IN, Notice(332, "INFO", "请定期修改密码"), until=9.0) is None


def watched(*notices, until=0.0):
    watch = LoginWatch()
    for notice in notices:
        watch.hear(notice, 0.0)
    return watch.verdict(until)


def test_a_refusal_in_two_notices_is_one_at_once_with_the_words_of_the_first():
    found = watched(WRONG, OVER)
    assert (found.why, found.words, found.code) == (Why.PASSWORD, WRONG.content, 3)


def test_the_order_of_the_two_does_not_matter():
    assert watched(OVER, WRONG) == watched(WRONG, OVER)


def test_one_that_comes_alone_is_waited_with_for_a_moment():
    assert watched(WRONG, until=NO_END - 0.01) is None
    assert watched(WRONG, until=NO_END).words == WRONG.content
    assert watched(OVER, until=MORE_WORDS - 0.01) is None
    assert watched(OVER, until=MORE_WORDS).words == OVER.content


def test_a_login_that_is_good_after_all_was_not_refused():
    """The counter tries several fronts."""
    assert watched(WRONG, IN, until=9.0) is None
    assert watched(IN, until=9.0) is None


def test_a_general_end_says_what_the_words_do_not():
    strange = Notice(1999, "WARNING", "交易服务器登录失败,Error")
    assert watched(strange, Notice(346, "INFO", "用户登录失败!")).why is Why.CHANGE
    assert why_of("Error", 0) is Why.OTHER
