"""A trading login that is refused, ended, or useless because the front is down."""

import logging
from time import monotonic

import backtrader as bt
import pytest
from counter_desk import CHANGE, ENDED, LOCKED, NUMBER, SLEEPS, STATEMENT, WRONG, counter, store_at
from e2e_script import CU, Script
from tqsdk import TqAccount
from webhook import Webhook

from tianqin_backtrader import MyStore, log_to
from tianqin_backtrader.core.clock import WallClock
from tianqin_backtrader.core.login_words import Why
from tianqin_backtrader.core.model import Direction
from tianqin_backtrader.errors import LinkLost, LoginRefused, OrderError
from tianqin_backtrader.gateway import trading_login
from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox


@pytest.fixture
def desk():
    with counter() as made:
        yield made


@pytest.fixture
def at_once(monkeypatch):
    """Make the second attempt come after a second."""
    monkeypatch.setattr(trading_login, "ONCE_MORE", 1.0)


def broker_account():
    return TqAccount("H宏源期货", NUMBER, "futures-pass")


def play(store, script):
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.setbroker(store.getbroker(records=False))
    cerebro.adddata(store.get_tick_data(CU))
    cerebro.addstrategy(Script, script=script)
    [done] = cerebro.run()
    return done


REFUSALS = {
    "wrong password": (WRONG, Why.PASSWORD, "CTP:不合法的登录"),
    "to be changed": (CHANGE, Why.CHANGE, "首次登录必须修改密码"),
    "locked": (LOCKED, Why.LOCKED, "登录被禁止"),
    "the paper account's": ([(402, "INFO", "账户和密码不匹配!")], Why.PASSWORD, "不匹配"),
    "no end": (WRONG[:1], Why.PASSWORD, "CTP:不合法的登录"),
    "no reason": (WRONG[1:], Why.OTHER, "用户登录失败!"),
}


@pytest.fixture(scope="module")
def market():
    with EmbeddedSandbox(start="2026-11-10 09:31:00") as server:
        yield server


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("account", [None, broker_account], ids=["paper", "broker"])
def test_a_refused_login_is_told_at_once_in_the_counters_words(market, desk, name, account):
    notices, why, words = REFUSALS[name]
    desk.answers.append(notices)
    with pytest.raises(LoginRefused, match=words) as refused:
        MyStore(
            "tom", "open-sesame", account=account and account(),
            urls={**market.urls, "TQ_TD_URL": desk.url},
        )  # fmt: skip
    [login] = desk.logins
    assert monotonic() - login["at"] < 3
    assert refused.value.refusal.why is why
    assert refused.value.refusal.advice in str(refused.value)


def test_a_counter_that_is_not_in_service_says_nothing_of_the_password(desk):
    desk.answers.append(SLEEPS)
    with pytest.raises(LinkLost, match="CTP:还没有初始化"), store_at(desk):
        pytest.fail("it was let in")


@pytest.fixture
def hook():
    made = Webhook()
    yield made
    made.close()


def until(condition):
    """Yield until a condition holds."""
    while not condition():
        yield


def accepted(strategy):
    """Place an order, and wait until it is Accepted."""
    order = strategy.broker.buy_open(CU, 1, limit_price=strategy.data.close[0])
    assert order.alive(), order.info
    yield from until(lambda: order.status == bt.Order.Accepted)


def test_a_refused_login_is_tried_once_more_then_trading_rests_and_data_goes_on(
    desk, at_once, hook
):
    found = {}

    def script(strategy):
        broker, store = strategy.broker, strategy.broker.store
        yield
        desk.answers.extend([WRONG] * 20)
        desk.drop()
        yield from until(lambda: store.no_trading.startswith("trading is paused"))
        refused = broker.buy_open(CU, 1)
        yield from until(lambda: "once more" not in store.no_trading)
        begun, ticks, logins = monotonic(), len(strategy), len(desk.logins)
        yield from until(lambda: monotonic() - begun > 3)
        found.update(
            reason=refused.info["reason"], ticks=len(strategy) - ticks, logins=len(desk.logins),
            at_first=logins, up=(store.market_data_up, store.trading_up),
            health=store.health().no_trading, account=store.gateway.trading.account()["balance"],
        )  # fmt: skip
        with pytest.raises(OrderError, match="trading is paused"):
            store.tianqin.insert_order(CU, "BUY", "OPEN", 1, 78000)
        desk.answers.clear()
        store.resume_trading()
        yield from until(lambda: store.trading_up)
        yield from accepted(strategy)

    with store_at(desk, speed=20.0) as store:
        store.alerts(hook.url)
        done = play(store, script)
    assert "CTP:不合法的登录" in found["reason"]
    assert found["ticks"] > 5
    assert found["up"] == (True, False)
    assert "CTP:不合法的登录" in found["health"]
    assert found["account"] == 1e6  # of the last snapshot, not of a simulation
    # the first session's; tqsdk's own after the lost line, if it was fast enough; ours
    assert found["logins"] == found["at_first"] <= 3
    assert len(desk.orders) == 1
    assert hook.titles[0] == "Trading rests"
    assert hook.titles[-1] == "Trading goes on"
    assert "CTP:不合法的登录" in hook.messages[0]["message"]
    assert "trading goes on" in done.heard
    assert f"trading is paused: {WRONG[0][2]}" in done.heard


@pytest.mark.parametrize("notices", [CHANGE, LOCKED], ids=["to be changed", "locked"])
def test_what_another_attempt_cannot_mend_is_not_tried_again(desk, at_once, notices):
    def script(strategy):
        store = strategy.broker.store
        yield
        desk.answers.extend([notices] * 20)
        desk.drop()
        yield from until(lambda: store.no_trading.startswith("trading is paused"))
        begun = monotonic()
        yield from until(lambda: monotonic() - begun > 3)

    with store_at(desk, speed=20.0) as store:
        play(store, script)
        assert "once more" not in store.no_trading
    assert len(desk.logins) <= 3


def test_market_data_goes_on_while_the_counter_takes_no_logins(desk, monkeypatch):
    monkeypatch.setattr(trading_login, "AWAY_AGAIN", 2.0)

    def script(strategy):
        store = strategy.broker.store
        yield
        desk.answers.extend([SLEEPS] * 50)
        desk.drop()
        yield from until(lambda: "accepts no logins: 交易服务器登录失败" in store.no_trading)
        ticks, asked = len(strategy), len(desk.logins)
        yield from until(lambda: len(desk.logins) > asked + 2)  # as often as needed
        assert len(strategy) > ticks
        desk.answers.clear()
        yield from until(lambda: store.trading_up)
        yield from accepted(strategy)

    with store_at(desk, speed=20.0) as store:
        play(store, script)


def test_ahead_of_a_session_a_login_that_another_has_ended_is_tried_once(desk, at_once):
    logins = []

    def script(strategy):
        store = strategy.broker.store

        def hear(msg, *args, **kwargs):
            if "is closed" in str(msg):
                store.server.advance(to="2026-11-10 13:28:30")

        strategy.notify_store = hear
        yield
        desk.say(*ENDED)
        yield from until(lambda: len(desk.logins) == 2 and store.trading_up)
        desk.say(*ENDED)
        yield from until(lambda: store.no_trading == f"trading is paused: {ENDED[2]}")
        logins.append(len(desk.logins))
        store.server.advance(to="2026-11-10 12:30:00")
        yield from until(lambda: store.now().hour >= 13)
        assert store.trading_up

    with store_at(desk, start="2026-11-10 11:00:00", speed=20.0, rebuild_ahead=60.0) as store:
        play(store, script)
    assert logins[0] <= 3
    assert len(desk.logins) == logins[0] + 1


def test_another_login_that_ends_this_one_is_not_ended_again_and_again(desk, at_once):
    def script(strategy):
        store = strategy.broker.store
        yield
        desk.say(*ENDED)
        yield from until(lambda: len(desk.logins) == 2 and store.trading_up)
        desk.say(*ENDED)
        yield from until(lambda: store.no_trading == f"trading is paused: {ENDED[2]}")
        begun = monotonic()
        yield from until(lambda: monotonic() - begun > 3)

    with store_at(desk, speed=20.0) as store:
        play(store, script)
        assert store.no_trading
        assert store.market_data_up
    assert len(desk.logins) == 2


def test_a_front_that_is_away_takes_no_orders_until_the_counter_is_logged_in_there(desk, hook):
    told = []

    def script(strategy):
        broker, store = strategy.broker, strategy.broker.store
        yield
        desk.say(322, "INFO", "已经断开与交易前置的连接")
        yield from until(lambda: not store.trading_up)
        told.append(broker.buy_open(CU, 1).info["reason"])
        desk.say(320, "INFO", "已经重新连接到交易前置")
        yield
        yield
        told.append(store.trading_up)
        desk.say(323, "INFO", "交易服务器重登录成功")
        yield from until(lambda: store.trading_up)
        yield from accepted(strategy)

    with store_at(desk, speed=20.0) as store:
        store.alerts(hook.url)
        play(store, script)
    assert "front" in told[0]
    assert told[1] is False
    assert [len(desk.orders), len(desk.logins)] == [1, 1]
    assert hook.titles == ["Order rejected"]  # no alert: the front was down for less than 30 s


def test_a_front_whose_own_login_is_refused_lets_trading_rest(desk):
    def script(strategy):
        store = strategy.broker.store
        yield
        desk.say(322, "INFO", "已经断开与交易前置的连接")
        desk.say(320, "INFO", "已经重新连接到交易前置")
        desk.say(3, "WARNING", "交易服务器重登录失败,CTP:不合法的登录")
        yield from until(lambda: "trading is paused" in store.no_trading)
        yield

    with store_at(desk, speed=20.0) as store:
        play(store, script)
        assert "重登录失败,CTP:不合法的登录" in store.no_trading
    assert len(desk.logins) == 1


def test_a_front_of_a_new_day_is_logged_in_to_anew(desk):
    """The front's login is not notified, the day's statement is; a new login confirms that."""

    def script(strategy):
        store = strategy.broker.store
        yield
        desk.say(322, "INFO", "已经断开与交易前置的连接")
        desk.say(320, "INFO", "已经重新连接到交易前置")
        desk.say(325, "INFO", STATEMENT, "SETTLEMENT")
        yield from until(lambda: len(desk.logins) == 2 and store.trading_up)

    with store_at(desk, account=broker_account(), speed=20.0) as store:
        play(store, script)
    assert desk.confirmed == 2


def test_words_of_an_order_without_an_answer_are_found(desk):
    found = {}

    def script(strategy):
        broker, store = strategy.broker, strategy.broker.store
        yield
        desk.on_order = lambda pack: (333, "WARNING", "当前时间不支持下单!")
        sent = WallClock().now_ns()
        broker.buy_open(CU, 1, limit_price=strategy.data.close[0])
        begun = monotonic()
        while "words" not in found and monotonic() - begun < 4:
            words = store.reconnector.refusals.take(CU, Direction.BUY, 1, sent)
            if words:
                found["words"] = words
            yield

    with store_at(desk, speed=20.0) as store:
        play(store, script)
    assert found == {"words": "当前时间不支持下单!"}


def test_neither_statement_nor_number_nor_password_reaches_logs_and_listeners(
    desk, hook, tmp_path, caplog
):
    caplog.set_level(logging.DEBUG)

    def script(strategy):
        yield
        desk.say(325, "INFO", STATEMENT, "SETTLEMENT")
        desk.say(355, "WARNING", f"撤单请求发送失败，撤单信息，用户名:{NUMBER}，报单编号:x")
        yield from until(lambda: len(strategy.heard) > 2 and "撤单" in str(strategy.heard))
        raise ZeroDivisionError(f"of {NUMBER}")

    log, own = log_to(tmp_path / "run.jsonl", "DEBUG"), tmp_path / "tqsdk.log"
    try:
        with (
            pytest.raises(ZeroDivisionError),
            store_at(desk, account=broker_account(), speed=20.0, debug=str(own)) as store,
        ):
            store.alerts(hook.url)
            play(store, script)
    finally:
        logging.getLogger().removeHandler(log)
        log.close()
    [message] = hook.messages
    texts = [
        (tmp_path / "run.jsonl").read_text(encoding="utf-8"),
        own.read_text(encoding="utf-8"),
        message["message"],
    ]
    assert "the settlement statement of the day has come" in texts[0]
    assert "rtn_data" in texts[1]
    for text in texts:
        for secret in (NUMBER, "王小明", "交易结算单", "futures-pass", "open-sesame"):
            assert secret not in text, (secret, text[max(0, text.find(secret) - 300) :][:600])


# -- the sandbox's counters -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counter", "fault", "why", "words"),
    [
        ("ctp", "refuse_login", Why.PASSWORD, "CTP:不合法的登录"),
        ("ctp", "password_change", Why.CHANGE, "CTP:首次登录必须修改密码"),
        ("kq", "refuse_login", Why.OTHER, "用户登录失败!"),
    ],
)
def test_a_start_at_a_counter_that_refuses(counter, fault, why, words):
    with EmbeddedSandbox(start="2026-11-10 09:31:00", counter=counter) as server:
        server.fault(fault)
        begun = monotonic()
        with pytest.raises(LoginRefused, match=words) as refused:
            MyStore("tom", "open-sesame", urls=server.urls)
        assert monotonic() - begun < 10  # a bound for hangs
        assert refused.value.refusal.why is why
        MyStore("tom", "open-sesame", urls=server.urls).close()


def test_another_terminal_at_the_counter_lets_trading_rest_after_one_more_try(sandbox, at_once):
    store = sandbox(start="2026-11-10 09:31:00", counter="ctp", speed=20.0)
    server = store.sandbox_server

    def script(strategy):
        yield
        for sessions in (1, 3):  # with market data alone, then with the account again
            server.fault("second_login")
            yield from until(lambda more=sessions: store.reconnector.sessions > more)
            yield from until(lambda: store.trading_up or "once more" not in store.no_trading)
        refused = strategy.broker.buy_open(CU, 1)
        assert "重复的登录" in refused.info["reason"]
        ticks = len(strategy)
        yield from until(lambda: len(strategy) > ticks + 5)
        store.resume_trading()
        yield from until(lambda: store.trading_up)
        order = strategy.broker.buy_open(CU, 1)
        yield from until(lambda: not order.alive())
        assert order.status == bt.Order.Completed

    play(store, script)


@pytest.mark.parametrize("notice", [False, True])
def test_no_order_is_swallowed_while_the_counter_has_lost_the_front(sandbox, notice):
    store = sandbox(start="2026-11-10 09:31:00", counter="ctp", speed=20.0)
    sent = []

    def script(strategy):
        broker = strategy.broker
        yield
        store.sandbox_server.fault("front_lost", seconds=60.0, notice=notice)
        yield from until(lambda: not store.trading_up)
        while not store.trading_up:
            sent.append(broker.buy_open(CU, 1))
            yield
        order = broker.buy_open(CU, 1)
        yield from until(lambda: not order.alive())
        assert order.status == bt.Order.Completed

    play(store, script)
    assert sent
    for order in sent:
        assert order.status == bt.Order.Rejected
        assert "front" in order.info["reason"]
    assert store.reconnector.sessions == 1
