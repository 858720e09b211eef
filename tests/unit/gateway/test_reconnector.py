"""How often a login is sent to a counter, depending on its answers."""

from datetime import timedelta

import pytest

from tianqin_backtrader.core import clock
from tianqin_backtrader.core.clock import SECOND, deadline_in
from tianqin_backtrader.core.login_words import Refusal, Why
from tianqin_backtrader.core.model import CONNECTED, LOST, RESTORED, Notice
from tianqin_backtrader.errors import (
    CounterAway,
    LinkLost,
    LinkTimeout,
    LoginRefused,
    TradingLoginRefused,
)
from tianqin_backtrader.gateway import trading_login
from tianqin_backtrader.gateway.supervisor import Event, State
from tianqin_backtrader.store_reconnect import Reconnector

ENDED = Notice(0, "WARNING", "您的账号已在其他地方登录，被强制退出")
LOCKED = TradingLoginRefused(Refusal(Why.LOCKED, "登录被禁止", 75))
AWAY = CounterAway(Refusal(Why.AWAY, "CTP:还没有初始化", 7))
SILENT = LinkTimeout("TianQin did not answer within 60 s")


class Counter:
    """A link whose next logins are answered with these errors.

    ``refused`` is TianQin's answer before the old session is given up.
    """

    refused = None

    connected = renewable = True
    opened = 0

    def __init__(self, *answers):
        self.answers, self.notices, self.renewed = list(answers), [], []
        self.there, self.probes = True, 0

    def connect(self):
        pass

    def renew(self, away, patience, *, trading=True):
        self.away, self.given = away, patience
        if self.refused is not None:
            raise self.refused
        self.renewed.append(trading)
        if trading and self.answers:
            raise self.answers.pop(0)

    def pump(self, timeout):
        return True

    def new_notices(self):
        notices, self.notices = self.notices, []
        return notices

    said = True

    def ask(self):
        return lambda: self.said

    def probe(self, patience):
        self.patience = patience
        self.probes += 1
        return self

    def answer(self, timeout=0.0):
        return self.there


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(trading_login, "ONCE_MORE", 0.0)
    monkeypatch.setattr(trading_login, "AWAY_AGAIN", 0.0)


def tried(counter, rounds=20):
    """Sessions made after another login has ended this one; True is one with a login."""
    link = Reconnector(counter, jitter=lambda: 0.0)
    link.connect()
    counter.notices.append(ENDED)
    for _ in range(rounds):
        link.wait(deadline_in(0.0))
    return link, counter.renewed


@pytest.mark.parametrize("answer", [LOCKED, SILENT], ids=["refused", "silent"])
def test_a_login_that_was_ended_is_tried_once_more_whatever_the_answer_is(answer):
    link, renewed = tried(Counter(answer))
    assert renewed == [False, True, False]
    assert not link.trading_up and "trading is paused" in link.counter_words


def test_a_counter_that_takes_no_logins_is_tried_until_it_does_also_when_it_says_nothing():
    link, renewed = tried(Counter(AWAY, SILENT))
    assert renewed[-1] is True and renewed.count(True) == 3
    assert link.trading_up


def test_a_login_that_is_refused_as_the_client_connects_by_itself_is_tried_once_more():
    refused = Notice(3, "WARNING", "CTP:不合法的登录")
    for answers, up in (((), True), ((LOCKED,), False)):
        counter = Counter(*answers)
        link = Reconnector(counter, jitter=lambda: 0.0)
        link.connect()
        connected = Notice(CONNECTED, "INFO", "网络连接已建立", conn_id="td_0")
        for batch in ([connected], [refused, connected]):
            counter.notices += batch
            counter.opened += 1
            link.wait(deadline_in(0.0))
        for _ in range(20):
            link.wait(deadline_in(0.0))
        assert link.trading_up is up and counter.renewed.count(True) == 1
        assert [one.content for one in link.take_notices()] == [
            one.content for one in (connected, refused, connected)
        ]


def deaf(there):
    """A link that the client has connected again as if for the first time.

    A probe is answered with ``there``.
    """
    counter = Counter()
    counter.there = there
    link = Reconnector(counter, jitter=lambda: 0.0)
    link.connect()
    for _ in range(2):
        counter.notices.append(Notice(CONNECTED, "INFO", "网络连接已建立", conn_id="md"))
        link.wait(deadline_in(0.0))
    return link, counter


def rounds(link, number=5):
    for _ in range(number):
        link.wait(deadline_in(0.0))


def test_nothing_is_given_up_before_a_knock_is_answered():
    link, counter = deaf(None)
    rounds(link)
    assert (counter.renewed, counter.probes, link.trading_up) == ([], 1, True)
    counter.there = True
    rounds(link)
    assert (counter.renewed, counter.probes, link.state) == ([True], 1, State.UP)


def test_a_server_that_is_away_when_a_session_is_to_be_made_is_knocked_at_again():
    link, counter = deaf(False)
    rounds(link)
    assert counter.renewed == [] and counter.probes > 1
    counter.there = True
    rounds(link)
    assert counter.renewed == [True] and link.state is State.UP


class Stopwatch(clock.Machine):
    """A machine on which time passes when the test says so."""

    passed = 1000.0

    def monotonic(self):
        return self.passed


@pytest.fixture
def stopwatch():
    watch = Stopwatch()
    clock.live_on(watch)
    yield watch
    clock.live_on(None)


class Open:
    """A market that trades, and may have news at any time."""

    lead, feeds, recorded, counted, next_ns = timedelta(), (), (), 0, 0

    def now_ns(self):
        return 0

    def events(self):
        return []

    def awake(self):
        return True


def test_a_line_is_doubtful_when_it_takes_long_to_answer(stopwatch):
    counter = Counter()
    counter.said = False
    link = Reconnector(counter, Open(), jitter=lambda: 0.0)
    link.connect()
    link.wait(deadline_in(0.0))
    assert link.doubt() and not link.doubtful
    stopwatch.passed += 0.9
    link.wait(deadline_in(0.0))
    assert not link.doubtful
    counter.said = True
    link.wait(deadline_in(0.0))
    counter.said = False
    stopwatch.passed += 10.1  # silent for so long, it is asked again
    link.wait(deadline_in(0.0))
    assert not link.doubtful
    for seconds in (1.0, 4.1):  # no answer, and then it is taken for lost
        stopwatch.passed += seconds
        link.wait(deadline_in(0.0))
        assert link.doubtful


def test_a_server_on_a_line_that_is_late_has_as_long_to_answer_a_knock(stopwatch):
    counter = Counter()
    link = Reconnector(counter, Open(), jitter=lambda: 0.0)
    link.connect()
    assert link.doubt()
    stopwatch.passed += 6.0
    link.wait(deadline_in(0.0))  # the answer has come
    counter.notices.append(Notice(LOST, "WARNING", "网络连接断开", conn_id="td_0"))
    link.wait(deadline_in(0.0))
    rounds(link, 1)
    assert counter.patience == 12.0
    assert counter.renewed and counter.given == 12.0  # and so has the session that follows


class Evening(Open):
    """An open is near, as often as it is reported."""

    ahead = opens = False

    def events(self):
        said = [Event.AHEAD] * self.ahead + [Event.BOUNDARY] * self.opens
        self.ahead = self.opens = False
        return said


@pytest.fixture
def evening(stopwatch):
    """A session before an open: hours, link, reconnector."""
    counter, hours = Counter(), Evening()
    link = Reconnector(counter, hours, jitter=lambda: 1.0)
    link.connect()
    stopwatch.passed += 3600.0
    link.heard()
    rounds(link, 1)
    hours.ahead = True
    return hours, counter, link


REFUSED = LoginRefused("TianQin refused the login: 401")


@pytest.mark.parametrize("what", [REFUSED, LinkLost("not in service"), None])
def test_a_session_that_works_is_kept_where_it_cannot_be_renewed(stopwatch, evening, what):
    hours, counter, link = evening
    counter.refused, counter.there = what, what is not None
    for opens in range(1, 6):
        for _ in range(30):
            stopwatch.passed += 1.0
            link.heard()
            rounds(link, 1)
            assert link.trading_up and link.market_data_up and not link.doubtful
        assert (link.state, link.kept, counter.probes) == (State.UP, opens, opens)
        stopwatch.passed += 3600.0
        hours.ahead = True
        rounds(link, 1)
    counter.refused, counter.there, hours.ahead = None, True, True
    rounds(link)
    assert counter.renewed == [True] and link.state is State.UP


def test_a_login_that_takes_until_the_open_ends_no_session_behind_it(evening):
    hours, counter, link = evening
    counter.there = None
    rounds(link, 1)
    hours.opens = True
    rounds(link, 1)
    assert (link.state, link.kept) == (State.UP, 1) and "before the open" in link.last_error
    counter.there = True
    rounds(link)
    assert counter.renewed == [] and link.state is State.UP


def test_after_an_interrupt_while_a_session_is_made_it_is_made_with_the_next_waits(stopwatch):
    link, counter = deaf(None)
    counter.refused, counter.there = KeyboardInterrupt(), True
    with pytest.raises(KeyboardInterrupt):
        rounds(link)
    counter.refused = None
    rounds(link)
    assert counter.renewed == [True] and link.state is State.UP


def test_a_session_whose_trading_is_lost_meanwhile_is_not_kept(stopwatch, evening):
    _, counter, link = evening
    counter.there = None
    rounds(link, 1)
    assert link.state is State.RENEWING
    counter.notices.append(Notice(LOST, "WARNING", "网络连接断开", conn_id="td_0"))
    rounds(link, 1)
    counter.refused, counter.there = REFUSED, True
    with pytest.raises(LoginRefused, match="repeatedly"):
        for _ in range(20):
            stopwatch.passed += 1.0
            rounds(link, 1)
    assert link.kept == 0 and link.state is State.FATAL


def test_a_refusal_ends_no_program_whose_market_data_lives_while_trading_is_wanted(stopwatch):
    counter = Counter()
    counter.refused = REFUSED
    link = Reconnector(counter, Open(), jitter=lambda: 1.0)
    link.connect()
    counter.notices.append(ENDED)
    for _ in range(60):
        stopwatch.passed += 1.0
        link.heard()
        rounds(link, 1)
    assert link.market_data_up and not link.trading_up
    counter.refused = None
    for _ in range(60):
        stopwatch.passed += 1.0
        rounds(link, 1)
    assert link.state is State.UP


@pytest.mark.parametrize("state", [State.DOWN, State.BACKOFF, State.BUILDING, State.RENEWING])
def test_market_data_that_lives_is_asked_while_trading_is_lost(stopwatch, evening, state):
    hours, counter, link = evening
    hours.ahead = state is State.RENEWING
    counter.there = False if state is State.BACKOFF else None
    if state is not State.RENEWING:
        conn = Notice(CONNECTED, "INFO", "网络连接已建立", conn_id="td_0")
        lost = Notice(LOST, "WARNING", "网络连接断开", conn_id="td_0")
        for one in [conn, conn] if state is State.BUILDING else [lost]:
            counter.notices.append(one)
            rounds(link, 1)
    rounds(link, 1)
    assert link.state is state
    counter.said = False
    assert link.doubt() and not link.doubt()
    counter.said = True
    rounds(link, 1)
    assert link.answers == 1 and link.doubt()
    counter.notices.append(Notice(LOST, "WARNING", "网络连接断开", conn_id="md"))
    rounds(link, 2)
    assert not link.doubt()


@pytest.mark.parametrize("sign", ["answer", "data"])
def test_a_line_that_speaks_as_the_knock_is_answered_is_kept(stopwatch, sign):
    counter = Counter()
    counter.said, counter.there = False, None
    link = Reconnector(counter, Open(), jitter=lambda: 0.0)
    link.connect()
    assert link.doubt()
    stopwatch.passed += 5.1
    rounds(link, 1)
    assert (link.state, counter.probes) == (State.OVERDUE, 1)
    counter.there, counter.said = True, sign == "answer"
    if sign == "data":
        link.heard()
    rounds(link)
    assert counter.renewed == [] and link.state is State.UP


@pytest.mark.parametrize("clocks", ["that goes on and the wall's", "of the wall alone"])
def test_a_sleep_is_counted_to_how_long_the_data_was_away(clocks):
    """``time.monotonic`` stops while the machine sleeps; on other systems the other clock does."""

    class Sleeper(Stopwatch):
        slept = 0.0

        def passed_ns(self):
            goes_on = self.slept if clocks == "that goes on and the wall's" else 0.0
            return int((self.passed + goes_on) * SECOND)

        def now_ns(self):
            return int((1e9 + self.passed + self.slept) * SECOND)

    machine, counter = Sleeper(), Counter()
    clock.live_on(machine)
    try:
        link = Reconnector(counter, Open(), jitter=lambda: 0.0)
        link.connect()
        link.heard()
        machine.passed += 10.0
        machine.slept += 3 * 86400.0
        counter.notices.append(Notice(LOST, "WARNING", "网络连接断开", conn_id="td_0"))
        for _ in range(3):
            link.wait(deadline_in(0.0))
    finally:
        clock.live_on(None)
    assert counter.away == 3 * 86400.0 + 10.0


def lost(conn):
    return [Notice(CONNECTED, "INFO", "网络连接已建立", conn_id=conn)], [
        Notice(LOST, "WARNING", "网络连接断开", conn_id=conn),
        Notice(RESTORED, "WARNING", "网络连接已恢复", conn_id=conn),
    ]


FRONT = [
    Notice(322, "WARNING", "与交易前置断开"), Notice(320, "INFO", "已连接交易前置"),
    Notice(323, "INFO", "交易前置重新登录成功"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "said", "losses"),
    [(*lost("md"), 1), (*lost("td_0"), 0), ([], FRONT, 0)],
    ids=["market data", "trading", "front"],
)
def test_each_line_that_was_lost_is_counted_also_if_it_is_back_at_once(before, said, losses):
    counter = Counter()
    link = Reconnector(counter, jitter=lambda: 0.0)
    link.connect()
    for batch in (before, said):
        counter.notices += batch
        link.wait(deadline_in(0.0))
    assert link.trading_up
    assert (link.breaks, link.losses) == (1, losses)


def test_a_rest_of_microseconds_is_not_waited_for(monkeypatch):
    """A rest caused by rounding of floats would be waited for in nanoseconds."""
    now, waits = [100.0], []
    monkeypatch.setattr("tianqin_backtrader.store_reconnect.monotonic", lambda: now[0])
    counter = Counter()
    link = Reconnector(counter, jitter=lambda: 0.0)
    link.connect()

    def pump(timeout):
        waits.append(timeout)
        now[0] += max(0.0, timeout - 9e-6)
        return False

    monkeypatch.setattr(counter, "pump", pump)
    link.wait(deadline_in(0.5))
    assert now[0] == pytest.approx(100.5, abs=0.001) and len(waits) < 10
