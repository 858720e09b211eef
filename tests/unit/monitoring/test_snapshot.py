"""A session as one frozen value, as JSON, and as Prometheus metrics."""

import math
from datetime import datetime

import pytest
from session_stubs import CU, MORNING, StubBroker, StubFeed, StubOrder, StubSession

from tianqin_backtrader.core.clock import SECOND, live_on, to_ns
from tianqin_backtrader.core.model import Direction, Fill, Offset
from tianqin_backtrader.feeds.live_bars import Certificate
from tianqin_backtrader.monitoring.prometheus import (
    PUBLISH_EVERY,
    Publisher,
    health_of,
    metrics_page,
)
from tianqin_backtrader.monitoring.snapshot import plain, take_snapshot


@pytest.fixture
def session():
    made = StubSession(strategy_name="dual")
    live_on(made)
    yield made
    live_on(None)


def fill(trade_id, volume=1):
    return Fill(
        trade_id, "one", CU, Direction.BUY, Offset.OPEN, 78000.0, volume, to_ns(MORNING), 5.0
    )


def look(session):
    return take_snapshot(session.view, 0.0, {"rounds": 1})


# -- the value --------------------------------------------------------------------------------


def test_without_a_broker_there_is_no_risk_state(session):
    taken = look(session)
    assert (taken.risk_state, taken.risk_reason, taken.strategy) == ("", "", "dual")
    session.view.broker = StubBroker()
    session.view.broker.risk.halt("a limit")
    taken = look(session)
    assert (taken.risk_state, taken.risk_reason) == ("HALTED", "a limit")


def test_before_the_market_was_heard_of_there_is_no_moment(session):
    assert look(session).at == MORNING
    session.clock.virtual = True
    assert look(session).at is None


def test_figures_that_the_account_has_not_are_nan(session):
    taken = look(session)
    assert taken.account["balance"] == 1e6 and math.isnan(taken.account["margin"])


def test_positions_are_sides_that_hold_lots_and_a_price_of_zero_is_none(session):
    session.positions = {
        CU: {
            "pos_long": 2, "pos_long_today": 1, "open_price_long": 0.0, "last_price": 78000.0,
            "float_profit_long": 50.0, "pos_short": 0,
        },
        "SHFE.rb2701": {"pos_long": 0, "pos_short": 3, "open_price_short": 3100.0},
    }  # fmt: skip
    long, short = look(session).positions
    assert (long.symbol, long.side, long.lots, long.today, long.profit) == (CU, "long", 2, 1, 50.0)
    assert math.isnan(long.price) and long.last_price == 78000.0
    assert (short.side, short.lots, short.today, short.price) == ("short", 3, 0, 3100.0)
    assert math.isnan(short.profit)


def test_bars_are_counted_by_the_name_of_their_feed(session):
    first, second = StubFeed(), StubFeed()
    second.proof = Certificate(delivered=5, equal=4, corrected=1)
    session.view.feeds += [first, second]
    bars = look(session).bars
    assert list(bars) == [CU, f"{CU} 1 minute"]
    assert bars[f"{CU} 1 minute"] == {
        "delivered": 5, "equal": 4, "corrected": 1, "missing": 0, "pending": 0,
    }  # fmt: skip


def test_the_lag_is_that_of_the_newest_tick_of_any_feed(session):
    now = to_ns(MORNING)
    assert math.isnan(session.view.health().lag)
    session.view.feeds += [
        StubFeed(last_tick=now - 9 * SECOND),
        StubFeed("SHFE.rb2701", last_tick=now - 2 * SECOND),
        StubFeed("DCE.m2701"),
    ]
    health = session.view.health()
    assert health.lag == 2.0
    assert health.last_data == {
        CU: datetime(2026, 11, 10, 9, 59, 51),
        "SHFE.rb2701": datetime(2026, 11, 10, 9, 59, 58),
        "DCE.m2701": None,
    }


# -- as JSON ----------------------------------------------------------------------------------


def test_json_holds_moments_as_texts_and_what_is_no_number_as_null(session):
    assert plain({"a": (float("nan"), 1, None), "b": MORNING}) == {
        "a": [None, 1, None],
        "b": "2026-11-10 10:00:00.000",
    }
    assert plain(session.view.health())["state"] == "UP"
    with pytest.raises(TypeError, match="set"):
        plain({1})


def test_health_says_how_old_it_is(session):
    health = health_of(look(session), 2.5)
    assert health["age"] == 2.5 and health["counts"] == {"rounds": 1}
    assert (health["market_data_up"], health["risk_state"]) == (True, "")


# -- published --------------------------------------------------------------------------------


def test_a_snapshot_is_taken_a_few_times_a_second(session):
    publisher = Publisher(session.view)
    first = publisher.latest
    session.observers.round()
    assert publisher.latest is first
    session.seconds += PUBLISH_EVERY
    session.observers.round()
    assert publisher.latest is not first and publisher.latest.counts["rounds"] == 2


def test_orders_and_fills_are_counted_once_each(session):
    publisher = Publisher(session.view)
    session.observers.order(StubOrder())
    session.observers.order(StubOrder(fills=[fill("a")]))
    session.observers.order(StubOrder(fills=[fill("a"), fill("b")]))
    session.observers.order(StubOrder(ref=2, status=StubOrder.Rejected))
    publisher.publish(0.0)
    assert publisher.latest.counts == {"rounds": 0, "orders": 2, "rejected": 1, "fills": 2}


def test_prometheus_has_the_states_lots_and_counts(session):
    session.positions = {CU: {"pos_long": 2, "pos_short": 0}}
    session.view.broker = StubBroker()
    session.view.feeds.append(StubFeed())
    publisher = Publisher(session.view)
    session.observers.order(StubOrder(status=StubOrder.Margin))
    session.seconds = 1.5
    publisher.publish(0.0)
    lines = metrics_page(publisher)().body.decode().splitlines()
    for line in (
        "tianqin_market_data_up 1.0",
        "tianqin_snapshot_age_seconds 1.5",
        "tianqin_account_balance_yuan 1e+06",
        'tianqin_link_state{state="UP"} 1.0',
        'tianqin_link_state{state="DOWN"} 0.0',
        'tianqin_risk_state{state="ACTIVE"} 1.0',
        f'tianqin_position_lots{{side="long",symbol="{CU}"}} 2.0',
        f'tianqin_bars{{feed="{CU}",result="equal"}} 0.0',
        "tianqin_rejected_total 1.0",
    ):
        assert line in lines
