"""When a trading login is tried, and when it is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tianqin_backtrader.core.login_words import Refusal, Why
from tianqin_backtrader.gateway.trading_login import (
    FRONT_LOGIN,
    HEALTHY,
    ONCE_MORE,
    TRANSITIONS,
    Login,
    Seen,
    TradingLogin,
)


def refusal(why=Why.PASSWORD):
    return Refusal(why, f"words of {why}", 3)


@pytest.fixture
def login():
    one = TradingLogin()
    one.observe(Seen.LOGGED_IN, 0.0)
    return one


def test_a_refused_login_is_tried_once_more_and_then_rests(login):
    login.refused(refusal(), 10.0)
    assert (login.state, login.up, login.rests) == (Login.AGAIN, False, True)
    login.observe(Seen.DUE, 10.0 + ONCE_MORE - 0.01)
    assert login.state is Login.AGAIN
    login.observe(Seen.DUE, login.due)
    assert login.state is Login.TRYING and not login.rests
    assert "once more" in login.words  # however long it takes
    login.refused(refusal(), 50.0)
    assert login.state is Login.RESTS and "once more" not in login.words
    login.observe(Seen.DUE, 1e9)
    assert login.state is Login.RESTS
    assert "words of PASSWORD" in login.words


@pytest.mark.parametrize("why", [Why.CHANGE, Why.LOCKED])
def test_what_another_attempt_cannot_mend_rests_at_once(login, why):
    login.refused(refusal(why), 10.0)
    assert login.state is Login.RESTS


def test_an_attempt_that_tqsdk_has_made_by_itself_counts(login):
    login.refused(refusal(), 10.0, tries=2)
    assert login.state is Login.RESTS


@pytest.mark.parametrize(
    ("why", "state"),
    [
        (Why.PASSWORD, Login.RESTS),
        (Why.CHANGE, Login.RESTS),
        (Why.LOCKED, Login.RESTS),
        (Why.ENDED, Login.TRYING),
        (Why.OTHER, Login.RESTS),
    ],
)
def test_ahead_of_a_session_it_is_tried_if_another_login_had_ended_it(login, why, state):
    login.refused(refusal(why), 10.0, tries=2)
    login.observe(Seen.AHEAD, 5000.0)
    assert login.state is state
    login.refused(refusal(why), 5001.0)
    assert login.state is Login.RESTS  # one try a session


@pytest.mark.parametrize("why", Why)
def test_the_owner_may_always_have_it_tried(login, why):
    login.refused(refusal(why), 10.0, tries=2)
    login.observe(Seen.ASKED, 11.0)
    assert login.state is Login.TRYING
    login.observe(Seen.LOGGED_IN, 12.0)
    assert (login.up, login.words, login.refusal) == (True, "", None)


def test_two_programs_do_not_end_each_other_for_ever(login):
    login.refused(refusal(Why.ENDED), 10.0)
    login.observe(Seen.DUE, 10.0 + ONCE_MORE)
    login.observe(Seen.LOGGED_IN, 41.0)
    login.refused(refusal(Why.ENDED), 60.0)
    assert login.state is Login.RESTS


def test_after_a_healthy_time_a_refusal_is_a_first_one(login):
    login.refused(refusal(Why.ENDED), 10.0)
    login.observe(Seen.DUE, 10.0 + ONCE_MORE)
    login.observe(Seen.LOGGED_IN, 41.0)
    login.refused(refusal(Why.ENDED), 41.0 + HEALTHY)
    assert login.state is Login.AGAIN


def test_a_front_must_be_logged_in_to_before_orders_go_out(login):
    login.observe(Seen.FRONT_LOST, 1.0)
    assert not login.up and "front" in login.words
    login.observe(Seen.FRONT_THERE, 2.0)
    assert not login.up
    login.observe(Seen.LOGGED_IN, 3.0)
    assert login.up


def test_a_front_that_does_not_tell_of_its_login_is_asked_by_a_session_anew(login):
    login.observe(Seen.FRONT_LOST, 1.0)
    login.observe(Seen.FRONT_THERE, 2.0)
    login.observe(Seen.DUE, 2.0 + FRONT_LOGIN)
    assert login.state is Login.TRYING
    assert not login.up and login.words


def test_a_counter_that_takes_no_logins_is_tried_until_it_does(login):
    asleep = Refusal(Why.AWAY, "CTP:还没有初始化", 7)
    now = 0.0
    for _ in range(20):
        login.counter_away(asleep, now)
        assert login.state is Login.AGAIN and login.rests
        assert login.words == "the counter accepts no logins: CTP:还没有初始化"
        now = login.due
        login.observe(Seen.DUE, now)
        assert login.state is Login.TRYING
    login.observe(Seen.LOGGED_IN, now)
    login.refused(refusal(), now)  # it was no refusal: this is a first one
    assert login.state is Login.AGAIN


def test_a_front_that_is_not_there_is_waited_for(login):
    login.observe(Seen.FRONT_LOST, 1.0)
    login.observe(Seen.DUE, 1e9)
    assert login.state is Login.FRONT_LOST


def test_the_statement_of_a_new_day_is_confirmed_by_a_login(login):
    login.observe(Seen.STATEMENT, 1.0)
    assert login.state is Login.IN
    login.observe(Seen.FRONT_LOST, 2.0)
    login.observe(Seen.STATEMENT, 3.0)
    assert login.state is Login.TRYING


def test_every_state_but_in_says_why():
    reached = {state for _, state in TRANSITIONS.items()}
    assert reached == set(Login)


_BY_ITSELF = [Seen.FRONT_LOST, Seen.FRONT_THERE, Seen.STATEMENT, Seen.DUE]


@given(
    st.sampled_from(Why),
    st.lists(st.tuples(st.sampled_from([*_BY_ITSELF, "session"]), st.floats(0, 100))),
)
def test_without_owner_and_opens_no_more_than_two_logins_are_refused(why, steps):
    """Sessions are replaced for any reason, and the counter refuses all of them."""
    login, now, refused = TradingLogin(), 0.0, 0
    login.observe(Seen.LOGGED_IN, now)
    for what, seconds in steps:
        now += seconds
        if what != "session":
            login.observe(what, now)
        elif not login.rests:
            login.refused(refusal(why), now)
            refused += 1
    assert refused <= 2
    assert login.up is not bool(login.words)
