"""The steps of a round of the loop, their order, and the notifications."""

from contextlib import contextmanager
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from manual_clock import ManualClock

from tianqin_backtrader.core.clock import (
    NEVER,
    SECOND,
    Machine,
    MarketClock,
    live_on,
    seconds_until,
    to_ns,
)
from tianqin_backtrader.core.context import Context
from tianqin_backtrader.core.model import Direction, Notice, Offset, OrderReport
from tianqin_backtrader.errors import LinkLost, LinkTimeout
from tianqin_backtrader.gateway.liveness import GRACE
from tianqin_backtrader.gateway.loop import MARKET_OVER, EventLoop
from tianqin_backtrader.gateway.loop_ports import LoopPorts
from tianqin_backtrader.monitoring.observers import Observers
from tianqin_backtrader.session_calendar import CALENDAR

CU = "SHFE.cu2612"
MORNING = to_ns(datetime(2026, 11, 10, 10))
REFUSED = OrderReport(
    "one", CU, Direction.BUY, Offset.OPEN, 1, 1, 100.0, "FINISHED", "", "no funds"
)  # fmt: skip


class Feed:
    """A feed whose contents the test sets."""

    DISCONNECTED = 7
    delivers_ticks = False

    def __init__(self, world):
        self._world, self.symbol, self.stamps = world, CU, []
        self.dues, self.complete_until = (), 0
        self.has_history = self.finished = self.bar = self.put_back = False
        self.current, self.told, self.flushed, self.came = True, [], [], []

    @property
    def first_due(self):
        return min(self.dues, default=NEVER)

    @property
    def waits(self):
        return self.has_history or self.bar or self.put_back

    def has_bar(self, horizon):
        return self.bar

    def take(self):
        self._world.calls.append("ticks")
        return self.stamps.pop(0) if self.stamps else 0

    def on_round(self, alive_at, *, over, came):
        self.came.append(came)
        self.flushed.append(alive_at - GRACE)
        self._world.calls.append("check")

    def put_notification(self, status):
        self.told.append(status)


class Link:
    """A connection whose waits use and move the machine's clock."""

    def __init__(self, world):
        self._world, self.waits, self.notices, self.lost = world, [], [], False
        self.sessions = self.answers = 1
        self.losses = self.kept = self.heard_times = self.doubts = 0
        self.last_error, self.counter_words, self.trading_up = "no answer", "", True
        self.refusals = SimpleNamespace(answered=lambda words, now: world.calls.append(words))

    def wait(self, deadline):
        seconds = max(0.0, round(seconds_until(deadline), 1))
        self.waits.append(seconds)
        self._world.pass_time(seconds)
        if self.lost:
            raise LinkLost("the password is no longer right")
        return False

    def heard(self):
        self.heard_times += 1

    def doubt(self):
        self.doubts += 1
        return True

    def take_notices(self):
        notices, self.notices = self.notices, []
        return notices


class Gateway:
    """A session with market data and a trading side."""

    def __init__(self, world):
        self._world, self.links, self.history_over, self.time = world, 2, False, None
        self.reports, self.answered, self.pumped = [], True, 0
        self.trading, self.news = self, None

    def take_news(self):
        return self.news

    @contextmanager
    def sent_together(self):
        yield
        self._world.calls.append("send")

    @property
    def told_now(self):
        return self.time

    def changed(self):
        return bool(self.reports)

    def new_reports(self):
        reports, self.reports = self.reports, []
        return reports

    def ask(self):
        return lambda: self.answered

    def pump(self, timeout):
        self.pumped += 1
        self._world.pass_time(max(timeout, 0.1))


class Broker:
    """Records what it is given."""

    def __init__(self, world):
        self._world, self.has_news, self.reports, self.notices = world, False, [], 0

    def take_reports(self, reports):
        self._world.calls.append("reports")
        self.reports += reports

    def follow_session(self, session, link):
        self._world.calls.append("session")

    def heard(self):
        self.notices += 1


class World(Machine):
    """A session at ten in the morning; its machine's time passes during waits."""

    def __init__(self):
        self.calls, self.seconds, self.asked, self.new_sessions = [], 0.0, 0, 0
        self.wall = ManualClock(MORNING)
        self.clock = MarketClock(self.wall)
        self.context = Context(self.clock, CALENDAR, None, Observers())
        self.feed, self.link, self.gateway = Feed(self), Link(self), Gateway(self)
        self.hours = SimpleNamespace(trading=False, boundary=datetime(2026, 11, 10, 10, 15))
        self.feeds, self.keepers = [self.feed], []
        instruments = SimpleNamespace(
            wanted=set(), due=False, day=None, follow=lambda: None, ask=self._ask
        )
        listeners = SimpleNamespace(listening=[self], round=lambda: self.calls.append("listeners"))
        self.loop = EventLoop(
            LoopPorts(
                self.context, self.gateway, self.link, self.hours, instruments, self.feeds,
                listeners, self.keepers,
            ),
            self._new_session,
        )  # fmt: skip

    def _ask(self):
        self.asked += 1

    def _new_session(self):
        self.new_sessions += 1

    def monotonic(self):
        return self.seconds

    def pass_time(self, seconds):
        self.seconds += seconds
        self.wall.advance_to(self.wall.now_ns() + int(seconds * SECOND))

    def with_broker(self):
        broker = self.loop.broker = Broker(self)
        return broker

    def told(self):
        words = [text for text, _, _ in self.context.unsaid]
        self.context.unsaid.clear()
        return words


@pytest.fixture
def world():
    made = World()
    live_on(made)
    yield made
    live_on(None)


# -- the order of things ----------------------------------------------------------------------


def test_feeds_come_first_then_reports_then_keepers_and_listeners_last(world):
    world.with_broker()
    world.keepers.append(lambda: world.calls.append("keeper"))
    world.loop.rolls = SimpleNamespace(rolls=[world], on_round=lambda: world.calls.append("rolls"))
    world.gateway.reports = [REFUSED]
    world.loop.pump(0.0)
    assert world.calls == [
        "session", "ticks", "check", "no funds", "reports", "keeper", "rolls", "listeners", "send",
    ]  # fmt: skip


def test_without_a_broker_reports_are_taken_and_nobody_keeps_anything(world):
    world.keepers.append(lambda: world.calls.append("keeper"))
    world.gateway.reports = [REFUSED]
    world.loop.pump(0.0)
    assert world.calls == ["ticks", "check", "no funds", "listeners", "send"]
    assert not world.gateway.changed()


def test_a_report_that_is_no_refusal_answers_no_notice(world):
    broker = world.with_broker()
    alive = OrderReport("one", CU, Direction.BUY, Offset.OPEN, 1, 1, 100.0, "ALIVE", "17", "ok")
    world.gateway.reports = [alive]
    world.loop.pump(0.0)
    assert broker.reports == [alive] and "ok" not in world.calls


def test_listeners_see_the_end_of_a_session_that_cannot_go_on(world):
    world.link.lost = True
    with pytest.raises(LinkLost):
        world.loop.pump(0.0)
    assert world.calls == ["listeners"]


# -- ticks that are delivered at once ---------------------------------------------------------


class Ticks(Feed):
    """A feed of ticks, which has one to deliver when it has taken one."""

    delivers_ticks = True

    def take(self):
        self.bar = bool(self.stamps)
        stamp = self.stamps.pop(0) if self.stamps else 0
        self._world.calls.append("tick")
        return stamp


@pytest.fixture
def ticks(world):
    """Beside the feed of minutes, whose running one ends in some seconds."""
    world.clock.join(MORNING)
    world.gateway.news = {CU}
    world.feed.dues = (MORNING + 10 * SECOND,)
    made = Ticks(world)
    world.feeds.append(made)
    return made


def test_a_tick_is_delivered_before_minutes_are_updated(world, ticks):
    ticks.stamps, world.feed.stamps = [MORNING + SECOND], [MORNING + SECOND]
    world.loop.poll(0.5)
    assert world.calls[:2] == ["tick", "check"] and world.feed.came == []
    world.loop.begin()
    ticks.bar, world.gateway.news = False, set()  # it was delivered
    world.loop.poll(0.0)
    assert world.feed.came == [True]  # what was put off; then nothing has come, and nothing is due


def test_orders_that_wait_for_a_price_are_looked_at_with_what_was_put_off(world, ticks):
    ticks.stamps, world.feed.stamps = [MORNING + SECOND], [MORNING + SECOND]
    world.with_broker()
    world.loop.poll(0.5)
    world.loop.begin()
    world.calls.clear()
    world.loop.poll(0.0)
    assert world.calls[:4] == ["ticks", "check", "check", "session"]


def test_a_minute_that_may_be_over_comes_before_the_tick_that_ends_it(world, ticks):
    ticks.stamps = world.feed.stamps = [MORNING + 10 * SECOND, MORNING + 10 * SECOND]
    world.loop.poll(0.5)
    assert world.feed.came == [True]


def test_minutes_wait_for_no_tick_that_is_left_out(world, ticks):
    world.feed.stamps = [MORNING + SECOND]
    world.loop.pump(0.0)
    assert world.feed.came == [True] and not ticks.bar


def test_nothing_is_put_off_at_the_end_of_the_market(world, ticks):
    ticks.stamps, world.feed.stamps = [MORNING + SECOND], [MORNING + SECOND]
    world.gateway.history_over = True
    world.loop.pump(0.0)
    assert world.feed.came == [True]


def test_what_was_put_off_is_taken_before_another_wait(world, ticks):
    ticks.stamps, world.feed.stamps = [MORNING + SECOND], [MORNING + SECOND]
    world.loop.pump(0.0)
    assert world.feed.came == []
    world.loop.pump(0.0)
    assert world.feed.came[0] is True and world.calls.index("ticks") < len(world.calls) - 3


# -- waiting ----------------------------------------------------------------------------------


def test_it_is_waited_once_in_a_round(world):
    world.loop.poll(0.5)
    world.loop.poll(0.5)
    assert world.seconds == 0.5
    world.loop.begin()
    world.loop.poll(0.5)
    assert world.seconds == 1.0


@pytest.mark.parametrize("news", ["history", "bar", "finished", "unsaid", "order"])
def test_nothing_is_waited_for_where_there_is_something_to_deliver(world, news):
    broker = world.with_broker()
    if news == "unsaid":
        world.context.notify("the market is open")
    broker.has_news = news == "order"
    world.feed.has_history, world.feed.bar = news == "history", news == "bar"
    world.feed.finished = news == "finished"
    world.loop.poll(0.5)
    assert world.link.waits == []


def test_a_run_goes_on_while_one_feed_is_not_finished(world):
    world.feed.finished = True
    world.feeds.append(Feed(world))
    world.loop.poll(0.5)
    assert world.seconds == 0.5


def test_a_wait_ends_when_a_bar_can_be_proved_to_be_over(world):
    world.clock.join(MORNING)
    world.feed.dues = (MORNING + 2 * SECOND,)
    world.loop.poll(5.0)
    first, *_ = world.link.waits
    assert first == pytest.approx(2.5, abs=0.05)  # its end, and half a second for other contracts
    assert world.link.doubts > 0


def test_what_a_recorder_waits_for_ends_a_wait_too(world):
    world.clock.join(MORNING)
    world.loop.recorder = SimpleNamespace(dues=[(CU, MORNING + SECOND)], take=list)
    world.loop.poll(5.0)
    assert world.link.waits[0] == pytest.approx(1.5, abs=0.05)


def test_bars_are_complete_as_far_as_those_of_the_slowest_feed(world):
    world.feeds.append(Feed(world))
    world.feed.complete_until, world.feeds[1].complete_until = 20, 10
    assert world.loop.horizon() == 10
    world.feeds.clear()
    assert world.loop.horizon() == 0


# -- time -------------------------------------------------------------------------------------


def test_a_tick_sets_the_clock_and_the_link_lives(world):
    world.feed.stamps = [MORNING + 17 * SECOND]
    world.loop.pump(0.0)
    assert world.clock.trusted and world.clock.now_ns() == MORNING + 17 * SECOND
    assert world.link.heard_times == 1
    assert world.loop.alive_at(CU) == MORNING + 17 * SECOND


def test_a_stamp_before_an_open_does_not_set_a_clock_that_has_not_heard_the_market(world):
    world.feed.stamps = [to_ns(datetime(2026, 11, 10, 20, 59, 50))]
    world.loop.pump(0.0)
    assert not world.clock.trusted and world.link.heard_times == 1


def test_stamps_of_a_recorder_count_as_those_of_feeds(world):
    world.feeds.clear()
    stamp = MORNING + SECOND
    world.loop.recorder = SimpleNamespace(dues=[], take=lambda: [(CU, stamp)])
    world.loop.pump(0.0)
    assert world.clock.trusted and world.loop.alive_at(CU) == stamp


def test_a_server_that_tells_the_time_is_believed(world):
    world.gateway.time = to_ns(datetime(2020, 1, 2, 9))
    world.loop.pump(0.0)
    assert world.clock.virtual and world.context.now() == datetime(2020, 1, 2, 9)


def test_to_catch_up_is_to_wait_for_an_answer(world):
    world.clock.join(MORNING)
    world.pass_time(3.0)
    world.loop.catch_up(world.seconds + 5.0)
    assert world.loop.alive_at(CU) == MORNING + 3 * SECOND and world.gateway.pumped == 0
    world.gateway.answered = False
    with pytest.raises(LinkTimeout):
        world.loop.catch_up(world.seconds + 0.25)
    assert world.gateway.pumped > 0


def test_where_the_server_tells_the_time_nothing_has_to_be_caught_up_with(world):
    world.clock.virtual, world.gateway.answered = True, False
    world.loop.catch_up(world.seconds)
    assert world.gateway.pumped == 0


# -- what has become of the connection --------------------------------------------------------


def test_an_open_is_told_once_and_contracts_are_asked_for(world):
    world.hours.trading = True
    world.loop.pump(0.0)
    world.loop.pump(0.0)
    assert world.told() == ["the market is open until 2026-11-10 10:15:00"]
    assert world.asked == 1
    world.hours.trading, world.hours.boundary = False, datetime(2026, 11, 10, 10, 30)
    world.loop.pump(0.0)
    assert world.told() == ["the market is closed until 2026-11-10 10:30:00"]
    assert world.asked == 1


@pytest.mark.parametrize(
    ("trading_up", "words"),
    [
        (True, "connected again: everything is subscribed and compared"),
        (False, "connected again: everything is subscribed; market data only"),
    ],
)
def test_a_new_session_is_told_and_everything_is_asked_for_anew(world, trading_up, words):
    world.link.sessions, world.link.trading_up = 2, trading_up
    world.loop.pump(0.0)
    world.loop.pump(0.0)
    assert world.told() == [words]
    assert (world.new_sessions, world.asked) == (1, 1)


def test_feeds_are_told_of_a_lost_link_once(world):
    world.link.losses = 1
    world.loop.pump(0.0)
    world.loop.pump(0.0)
    assert world.feed.told == [Feed.DISCONNECTED]


def test_the_feed_of_an_ended_contract_is_told_of_no_lost_link(world):
    world.feed.finished = True
    world.link.losses = 1
    world.loop.pump(0.0)
    assert world.feed.told == []


def test_a_session_that_could_not_be_renewed_and_goes_on_is_told(world):
    world.link.kept = 1
    world.loop.pump(0.0)
    assert world.told() == ["the session was not renewed and continues: no answer"]


def test_the_counters_words_are_told_and_that_trading_goes_on(world):
    world.link.counter_words = "the password must be changed"
    world.loop.pump(0.0)
    world.link.counter_words = ""
    world.loop.pump(0.0)
    assert world.told() == ["the password must be changed", "trading goes on"]


def test_a_notice_of_the_server_is_told_and_the_client_s_own_is_no_word_of_the_counter(world):
    broker = world.with_broker()
    world.link.notices = [Notice(1, "INFO", "funds have come"), Notice(2, "INFO", "lost", "td")]
    world.loop.pump(0.0)
    assert world.told() == ["funds have come", "lost"]
    assert broker.notices == 1


# -- the end ----------------------------------------------------------------------------------


def test_a_market_is_over_when_every_connection_has_said_so(world):
    over = Notice(MARKET_OVER, "INFO", "the days are over")
    world.link.notices = [over]
    world.loop.pump(0.0)
    assert not world.loop.market_over
    world.link.notices = [over]
    world.loop.pump(0.0)
    assert world.loop.market_over and world.told() == []


def test_a_new_session_has_to_say_anew_that_the_market_is_over(world):
    world.link.notices = [Notice(MARKET_OVER, "INFO", "")] * 2
    world.loop.pump(0.0)
    world.link.sessions += 1
    world.loop.pump(0.0)
    assert not world.loop.market_over


def test_bars_close_at_the_end_of_a_market_though_nothing_is_stamped_later(world):
    world.clock.virtual = True
    world.clock.join(MORNING)
    world.gateway.history_over = True
    world.loop.pump(0.0)
    assert world.feed.flushed[-1] > MORNING + timedelta(minutes=1).seconds * SECOND
