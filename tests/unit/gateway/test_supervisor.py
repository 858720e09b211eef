"""When a session is checked, probed, and replaced."""

import pytest

from tianqin_backtrader.gateway.supervisor import (
    ANSWER,
    ANSWERS_KEPT,
    ATTEMPTS,
    DEBOUNCE,
    KNOCK_EVERY,
    LONG_REST,
    LONGEST_ANSWER,
    LONGEST_SILENCE,
    OWN_ATTEMPT,
    REFUSALS,
    SILENCE,
    TRANSITIONS,
    Action,
    Event,
    State,
    Supervisor,
)


@pytest.fixture
def supervisor():
    """In trading hours, connected at 0, with delays as in the table."""
    one = Supervisor(lambda: 1.0)
    one.observe(Event.BUILT, 0.0)
    one.awake = True
    return one


def observe(supervisor, *events, start=1.0):
    """The actions of events a millisecond apart."""
    return [supervisor.observe(event, start + n / 1000) for n, event in enumerate(events)]


def test_data_keeps_it_content(supervisor):
    for second in range(100):
        assert supervisor.observe(Event.DATA, float(second)) is Action.WAIT
        assert supervisor.observe(Event.TIME, second + 0.9) is Action.WAIT
    assert supervisor.state is State.UP


def test_silence_is_asked_and_an_illiquid_contract_is_not_a_dead_line(supervisor):
    now, waits = 0.0, []
    for _ in range(6):
        asked = supervisor.next_change()
        assert supervisor.observe(Event.TIME, asked - 0.01) is Action.WAIT
        assert supervisor.observe(Event.TIME, asked) is Action.ASK
        waits.append(asked - now)
        assert supervisor.observe(Event.ANSWERED, asked) is Action.WAIT
        now = asked
    assert waits == [SILENCE, 10.0, 20.0, LONGEST_SILENCE, LONGEST_SILENCE, LONGEST_SILENCE]
    supervisor.observe(Event.DATA, now)
    assert supervisor.next_change() - now == SILENCE


def test_no_answer_is_a_dead_line(supervisor):
    assert supervisor.observe(Event.TIME, SILENCE) is Action.ASK
    assert supervisor.observe(Event.TIME, SILENCE + ANSWER) is Action.PROBE
    assert supervisor.observe(Event.SERVER_THERE, 11.0) is Action.BUILD
    assert supervisor.observe(Event.BUILT, 11.2) is Action.WAIT
    assert supervisor.state is State.UP


@pytest.mark.parametrize("sign", [Event.ANSWERED, Event.DATA])
@pytest.mark.parametrize("probe", [None, Event.SERVER_AWAY])
def test_whatever_comes_late_says_that_the_line_lives(supervisor, probe, sign):
    supervisor.observe(Event.TIME, SILENCE)
    assert supervisor.observe(Event.TIME, SILENCE + ANSWER) is Action.PROBE
    if probe is not None:
        assert supervisor.observe(probe, SILENCE + ANSWER + 0.5) is Action.WAIT
    assert supervisor.observe(sign, SILENCE + ANSWER + 1.0) is Action.WAIT
    assert (supervisor.state, supervisor.backoff) == (State.UP, 0.0)
    assert supervisor.observe(Event.SERVER_THERE, SILENCE + ANSWER + 1.1) is Action.WAIT


def answered(supervisor, now, took):
    """A silent line that answers a request after so many seconds; the actions meanwhile."""
    supervisor.observe(Event.DATA, now)
    asked = now + SILENCE
    actions = [supervisor.observe(Event.TIME, asked)]
    while supervisor.next_change() < asked + took:
        actions.append(supervisor.observe(Event.TIME, supervisor.next_change()))
    supervisor.observe(Event.ANSWERED, asked + took)
    assert supervisor.state is State.UP
    return asked + took, actions


@pytest.mark.parametrize(
    ("took", "patience"), [(0.0, ANSWER), (2.0, ANSWER), (6.0, 12.0), (20.0, LONGEST_ANSWER)]
)
def test_how_long_an_answer_may_take_is_learnt_from_those_that_came(supervisor, took, patience):
    now, _ = answered(supervisor, 0.0, took)
    assert supervisor.answer_within == patience
    now, actions = answered(supervisor, now, took)
    assert actions == ([Action.ASK] if took < patience else [Action.ASK, Action.PROBE])
    for _ in range(ANSWERS_KEPT):
        now, _ = answered(supervisor, now, 0.1)
    assert supervisor.answer_within == ANSWER


def test_an_answer_that_comes_after_data_is_learnt_from_too(supervisor):
    supervisor.observe(Event.TIME, SILENCE)
    supervisor.observe(Event.DATA, SILENCE + 1.0)
    assert supervisor.observe(Event.ANSWERED, SILENCE + 6.0) is Action.WAIT
    assert supervisor.answer_within == 12.0
    assert supervisor.next_change() == 2 * SILENCE + 1.0  # the data's


def test_a_question_that_may_still_be_answered_is_not_asked_again(supervisor):
    assert supervisor.observe(Event.TIME, SILENCE) is Action.ASK
    supervisor.observe(Event.DATA, SILENCE + 3.0)
    assert supervisor.observe(Event.TIME, supervisor.next_change()) is Action.WAIT
    assert supervisor.state is State.SUSPECT
    supervisor.observe(Event.DATA, SILENCE + LONGEST_ANSWER)
    assert supervisor.observe(Event.TIME, supervisor.next_change()) is Action.ASK
    supervisor.observe(Event.MD_LOST, supervisor.since + 1.0)  # on another line it must be
    assert supervisor.observe(Event.MD_RESTORED, supervisor.since + 0.1) is Action.ASK


def test_sessions_made_anew_for_want_of_an_answer_again_and_again_get_longer_for_one(supervisor):
    """The server answers a probe at once, and requests late."""
    now, waits = 0.0, []
    for _ in range(4):
        waits.append(supervisor.answer_within)
        supervisor.observe(Event.TIME, now := now + SILENCE)
        supervisor.observe(Event.TIME, now := now + supervisor.answer_within)
        assert supervisor.observe(Event.SERVER_THERE, now) is Action.BUILD
        supervisor.observe(Event.BUILT, now)
    assert waits == [ANSWER, 2 * ANSWER, 4 * ANSWER, 8 * ANSWER]
    answered(supervisor, now, 0.1)
    assert supervisor.answer_within == ANSWER


@pytest.mark.parametrize("lost", [Event.TD_LOST, Event.MD_LOST, Event.BROKEN, Event.TRADING])
@pytest.mark.parametrize("probe", [None, Event.SERVER_AWAY])
def test_a_line_that_breaks_while_its_answer_is_overdue_is_mended_by_a_new_session(
    supervisor, probe, lost
):
    supervisor.observe(Event.TIME, SILENCE)
    supervisor.observe(Event.TIME, SILENCE + ANSWER)
    if probe is not None:
        supervisor.observe(probe, 10.1)
    assert observe(supervisor, lost, Event.ANSWERED, Event.DATA, start=10.2) == [Action.WAIT] * 3
    if probe is not None:
        assert supervisor.observe(Event.TIME, 20.0) is Action.PROBE
    assert supervisor.observe(Event.SERVER_THERE, 20.1) is Action.BUILD


def test_off_hours_silence_means_nothing_and_a_server_away_is_left_alone(supervisor):
    supervisor.awake = False
    assert supervisor.next_change() == float("inf")
    assert supervisor.observe(Event.TIME, 9999.0) is Action.WAIT
    assert observe(supervisor, Event.TD_LOST, Event.SERVER_AWAY) == [Action.PROBE, Action.WAIT]
    assert supervisor.observe(Event.TIME, 99999.0) is Action.WAIT
    assert supervisor.observe(Event.AHEAD, 99999.0) is Action.PROBE


def test_tqsdk_may_restore_market_data_by_itself_and_is_then_asked(supervisor):
    assert observe(supervisor, Event.MD_LOST, Event.MD_RESTORED) == [Action.WAIT, Action.ASK]
    supervisor.observe(Event.ANSWERED, 2.0)
    supervisor.observe(Event.MD_LOST, 3.0)
    assert supervisor.observe(Event.TIME, 3.0 + OWN_ATTEMPT) is Action.PROBE


def test_after_a_lost_trading_link_there_is_always_a_new_session(supervisor):
    found = observe(supervisor, Event.TD_LOST, Event.MD_RESTORED, Event.DATA, Event.SERVER_THERE)
    assert found == [Action.PROBE, Action.WAIT, Action.WAIT, Action.BUILD]


def test_a_deaf_connection_is_replaced_at_once(supervisor):
    assert observe(supervisor, Event.DEAF) == [Action.BUILD]


def test_a_server_that_is_away_is_knocked_at_every_second(supervisor):
    now = 1.0
    supervisor.observe(Event.TD_LOST, now)
    for _ in range(300):
        assert supervisor.observe(Event.SERVER_AWAY, now) is Action.WAIT
        now += KNOCK_EVERY
        assert supervisor.observe(Event.TIME, now) is Action.PROBE
    assert supervisor.observe(Event.SERVER_THERE, now) is Action.BUILD


def fail(supervisor, times, now):
    """Failed attempts, each when it is due; the waits, and the time of the last one."""
    waits = []
    for _ in range(times):
        supervisor.observe(Event.FAILED, now)
        waits.append(supervisor.backoff)
        now = supervisor.next_change()
        assert supervisor.observe(Event.TIME, now) is Action.PROBE
        assert supervisor.observe(Event.SERVER_THERE, now) is Action.BUILD
    return waits, now


def test_failed_attempts_wait_longer_and_longer_then_for_the_next_boundary(supervisor):
    supervisor.observe(Event.DEAF, 1.0)
    waits, now = fail(supervisor, ATTEMPTS - 1, 1.0)
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0]
    supervisor.observe(Event.FAILED, now)
    supervisor.awake = False
    assert supervisor.observe(Event.TIME, now + 3600) is Action.WAIT
    assert supervisor.observe(Event.BOUNDARY, now + 3601) is Action.PROBE
    supervisor.observe(Event.SERVER_THERE, now + 3602)
    supervisor.observe(Event.BUILT, now + 3602)
    assert supervisor.backoff == 0.0


def test_while_the_market_trades_no_rest_is_long(supervisor):
    supervisor.observe(Event.DEAF, 1.0)
    _, now = fail(supervisor, ATTEMPTS - 1, 1.0)
    supervisor.observe(Event.FAILED, now)
    assert supervisor.next_change() == now + LONG_REST


@pytest.mark.parametrize("edge", [Event.AHEAD, Event.BOUNDARY])
def test_an_open_begins_the_attempts_anew(supervisor, edge):
    """A login that fails until half a minute after the open: only that time is lost."""
    supervisor.observe(Event.DEAF, 1.0)
    _, now = fail(supervisor, ATTEMPTS - 1, 1.0)
    supervisor.observe(Event.FAILED, now)
    assert supervisor.observe(edge, now + 1) is Action.PROBE
    assert supervisor.observe(Event.SERVER_THERE, now + 1) is Action.BUILD
    waits, _ = fail(supervisor, 3, now + 1)
    assert waits == [1.0, 2.0, 4.0]


def test_jitter_comes_from_outside():
    factors = iter([0.75, 1.25])
    one = Supervisor(lambda: next(factors))
    observe(one, Event.DEAF, Event.FAILED)
    assert one.backoff == 0.75
    one.observe(Event.SERVER_THERE, 2.0)
    one.observe(Event.FAILED, 2.0)
    assert one.backoff == 2.5


def test_a_password_that_is_refused_again_and_again_is_the_end(supervisor):
    supervisor.observe(Event.DEAF, 1.0)
    actions = []
    for second in range(REFUSALS):
        actions.append(supervisor.observe(Event.REFUSED, 2.0 + second))
        supervisor.observe(Event.SERVER_THERE, 2.5 + second)
    assert actions == [Action.WAIT] * (REFUSALS - 1) + [Action.GIVE_UP]
    assert supervisor.state is State.FATAL
    for event in Event:
        assert supervisor.observe(event, 1e6) is Action.WAIT
    assert supervisor.state is State.FATAL


def test_a_session_is_renewed_ahead_of_an_open_unless_it_is_new(supervisor):
    assert supervisor.observe(Event.AHEAD, DEBOUNCE - 1) is Action.WAIT
    assert supervisor.observe(Event.AHEAD, DEBOUNCE) is Action.BUILD


def test_a_renewal_that_nothing_forced_comes_to_nothing_and_changes_nothing(supervisor):
    for number in range(2 * REFUSALS):
        now = (number + 1) * DEBOUNCE
        assert supervisor.observe(Event.AHEAD, now) is Action.BUILD
        assert supervisor.observe(Event.KEPT, now + 1) is Action.WAIT
        assert (supervisor.state, supervisor.backoff) == (State.UP, 0.0)
        assert supervisor.observe(Event.TIME, now + 2) is Action.WAIT
    assert supervisor.observe(Event.TIME, now + 1 + SILENCE) is Action.ASK


@pytest.mark.parametrize(
    "lost", [Event.TD_LOST, Event.MD_LOST, Event.BROKEN, Event.DEAF, Event.TRADING]
)
def test_a_session_that_breaks_while_it_is_renewed_must_be_made_anew(supervisor, lost):
    supervisor.observe(Event.AHEAD, DEBOUNCE)
    assert supervisor.observe(lost, DEBOUNCE + 1) is Action.BUILD
    assert supervisor.observe(Event.KEPT, DEBOUNCE + 2) is Action.WAIT
    assert supervisor.state is State.BUILDING


@pytest.mark.parametrize("state", [state for state in State if state is not State.FATAL])
def test_there_is_a_way_back_from_every_state(state):
    reached, edge = {state}, {state}
    while edge:
        edge = {to for (at, _), (to, _) in TRANSITIONS.items() if at in edge} - reached
        reached |= edge
    assert State.UP in reached


def test_a_build_is_asked_for_exactly_where_the_state_says_so():
    for state, action in TRANSITIONS.values():
        assert (state in (State.BUILDING, State.RENEWING)) == (action is Action.BUILD)


def test_a_client_that_gives_up_is_replaced(supervisor):
    assert observe(supervisor, Event.BROKEN, Event.SERVER_THERE) == [Action.PROBE, Action.BUILD]
