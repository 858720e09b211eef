"""What alerts observe of a session, and which are sent."""

from datetime import datetime, timedelta

import pytest
from session_stubs import CU, MORNING, StubBroker, StubFeed, StubOrder, StubSession

from tianqin_backtrader.core.clock import live_on
from tianqin_backtrader.feeds.live_bars import Certificate
from tianqin_backtrader.gateway.supervisor import State
from tianqin_backtrader.monitoring.alerts.service import Alerts
from tianqin_backtrader.monitoring.alerts.settings import AlertSettings


class Told:
    """The alerts of a session, in order of sending."""

    def __init__(self, session, **settings):
        self.session, self._told = session, []
        take = lambda alert: self._told.append(alert) or True  # noqa: E731
        self.alerts = Alerts(session.view, AlertSettings(**settings), [take])

    def rounds(self, *moments):
        for moment in moments:
            self.session.at(moment)
            self.session.observers.round()

    def __call__(self):
        self.alerts.close()  # what waits is sent
        return self._told


@pytest.fixture
def session():
    made = StubSession(strategy_name="dual")
    live_on(made)
    made.clock.join(made.wall.now_ns())
    yield made
    live_on(None)


def later(seconds):
    return MORNING + timedelta(seconds=seconds)


def test_a_link_that_is_lost_for_longer_than_its_owner_waits_is_told_with_the_reason(session):
    told = Told(session, link_lost_after=30.0)
    session.link.market_data_up, session.link.last_error = False, "no answer"
    told.rounds(later(0), later(20), later(31))
    [alert] = told()
    assert (alert.title, alert.event) == ("[dual] Link lost", "link")
    assert alert.text == "down for 31 s: no answer\n2026-11-10 10:00:31"


def test_a_link_that_is_lost_while_nobody_trades_is_not_told(session):
    told = Told(session, link_lost_after=30.0)
    session.link.market_data_up, session.hours.awake = False, lambda: False
    told.rounds(later(0), later(100))
    assert told() == []


def test_trading_that_rests_is_a_matter_of_the_login_and_not_of_the_link(session):
    told = Told(session, link_lost_after=0.0)
    session.link.trading_up, session.link.trading_rests = False, "the password must be changed"
    told.rounds(later(0), later(100))
    assert [alert.title for alert in told()] == ["[dual] Trading rests"]


def test_a_link_that_is_given_up_is_told_at_once(session):
    told = Told(session)
    session.link.market_data_up, session.link.state = False, State.FATAL
    told.rounds(later(0))
    assert [alert.title for alert in told()] == ["[dual] Link given up"]


def test_nothing_is_looked_at_before_the_market_s_clock_has_begun(session):
    session.clock.virtual, session.clock._latest = True, 0
    told = Told(session)
    session.link.market_data_up, session.link.state = False, State.FATAL
    session.observers.round()
    assert told() == []


def test_a_change_of_the_risk_state_is_told(session):
    session.view.broker = StubBroker()
    told = Told(session)
    told.rounds(later(0))
    session.view.broker.risk.halt("a limit")
    told.rounds(later(1))
    [alert] = told()
    assert alert.title == "[dual] Risk state is HALTED" and "a limit" in alert.text


@pytest.mark.parametrize("status", [StubOrder.Rejected, StubOrder.Margin])
def test_a_refused_order_is_told_with_its_reason(session, status):
    told = Told(session)
    session.observers.order(StubOrder(size=-3, status=status, reason="no funds"))
    [alert] = told()
    assert alert.title == "[dual] Order rejected"
    assert alert.text.startswith(f"{CU} sell 3: no funds\n")


def test_orders_that_are_refused_in_history_are_no_news(session):
    session.view.feeds.in_history = True
    told = Told(session)
    session.observers.order(StubOrder(status=StubOrder.Rejected))
    session.observers.order(StubOrder(ref=2))
    assert told() == []


def test_of_what_notify_store_is_told_flattening_is_told(session):
    told = Told(session)
    for text in ("the market is open", "flatten: 2 lots are locked at the limit"):
        session.observers.said(text)
    assert [alert.text.split("\n")[0] for alert in told()] == [
        "flatten: 2 lots are locked at the limit"
    ]


def test_what_a_failed_program_leaves_behind_is_told(session):
    session.view.broker = broker = StubBroker()
    waiting = StubOrder(ref=2)
    waiting.legs = []
    broker.orders = [StubOrder(), waiting, StubOrder(ref=3, status=StubOrder.Rejected)]
    session.positions = {CU: {"pos_long": 2, "pos_short": 0}}
    told = Told(session)
    session.observers.failed(RuntimeError("the strategy fails"))
    [alert] = told()
    assert alert.title == "[dual] The program has failed"
    assert alert.text.split("\n")[:-1] == [
        "RuntimeError: the strategy fails",
        "orders working at the exchange: 1",
        "orders that waited in the ended program: 1",
        "equity 1,000,000.00 yuan, today +100,000.00",
        "fees 12.50, available 500,000.00",
        f"positions: {CU} long 2",
    ]


def test_a_day_is_reported_with_the_figures_of_before_its_settlement(session):
    feed = StubFeed()
    feed.proof = Certificate(corrected=3)
    session.view.feeds.append(feed)
    told = Told(session, events=("day",))
    session.hours.boundary = datetime(2026, 11, 10, 15)
    session.observers.order(StubOrder())
    told.rounds(datetime(2026, 11, 10, 14, 59))
    session.hours.trading, session.hours.boundary = False, datetime(2026, 11, 10, 21)
    session.funds["balance"] = 9.9e5  # settled: the next day's figures
    told.rounds(datetime(2026, 11, 10, 15), datetime(2026, 11, 10, 20, 0))
    [alert] = told()
    assert alert.title == "[dual] Trading day 2026-11-10"
    assert "equity 1,000,000.00 yuan" in alert.text
    assert "orders 1, refused 0" in alert.text
    assert "bars that differ since the start: 3" in alert.text


def test_before_an_open_all_that_is_wrong_is_told(session, tmp_path):
    session.view.broker = broker = StubBroker()
    broker.risk.halt("the owner's word")
    broker.records_folder = str(tmp_path / "gone")
    feed = StubFeed(name="copper")
    feed.current = False
    session.view.feeds.append(feed)
    session.link.market_data_up, session.link.no_trading = False, "the trading link is down"
    session.funds = {}
    session.hours.trading = False
    session.hours.boundary = datetime(2026, 11, 10, 21)
    told = Told(session, events=("check",))
    told.rounds(datetime(2026, 11, 10, 20, 57), datetime(2026, 11, 10, 20, 58, 30))
    [alert] = told()
    assert alert.title == "[dual] NO GO for 21:00"
    assert alert.text.split("\n")[:-1] == [
        "link: market data is down and the trading link is down",
        "account: not logged in, or without funds",
        "calendar: ok",
        f"disk: {tmp_path / 'gone'} is not writable: No such file or directory",
        "feeds: no data yet: copper",
        "risk: HALTED: the owner's word",
    ]


def test_before_an_open_with_nothing_wrong_it_is_told_to_go(session, tmp_path):
    session.view.broker = StubBroker()
    session.view.broker.records_folder = str(tmp_path)
    session.view.feeds.append(StubFeed())
    session.hours.trading, session.hours.boundary = False, datetime(2026, 11, 10, 21)
    told = Told(session, events=("check",))
    told.rounds(datetime(2026, 11, 10, 20, 58, 30))
    assert [alert.title for alert in told()] == ["[dual] Go for 21:00"]


def test_who_has_closed_hears_nothing(session):
    told = Told(session)
    told.alerts.close()
    session.observers.exposed(CU, 2, "2 lots without a stop")
    assert told() == []
