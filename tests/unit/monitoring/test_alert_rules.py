"""Which facts become alerts."""

from datetime import date, datetime, timedelta

import pytest

from tianqin_backtrader.errors import ConfigError
from tianqin_backtrader.monitoring.alerts.facts import (
    Alive,
    Checked,
    DayOver,
    Differs,
    Exposed,
    Failed,
    LinkSeen,
    LoginSeen,
    Rejected,
    RiskSaid,
    RiskSeen,
    Stopped,
)
from tianqin_backtrader.monitoring.alerts.rules import LINK, AlertRules
from tianqin_backtrader.monitoring.alerts.settings import AlertEvent, AlertSettings

NOON = datetime(2026, 11, 10, 12, 0)


def titles(facts, **settings):
    """The titles of the alerts; facts are (seconds after noon, fact)."""
    rules = AlertRules(AlertSettings(**settings))
    return [
        alert.title
        for after, fact in facts
        for alert in rules.observe(fact, NOON + timedelta(seconds=after))
    ]


def link(*seen, **settings):
    """Seen are (seconds, "up", "down", "idle" or "given up"); the market's clock stands still."""
    return titles(
        [
            (0, LinkSeen(how == "up", how != "idle", seconds, how == "given up"))
            for seconds, how in seen
        ],
        **settings,
    )


def test_the_links_table_is_complete():
    states = set(LINK)
    for row in LINK.values():
        assert set(row) == set(next(iter(LINK.values())))
        assert {following for following, _ in row.values()} <= states


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        ([(0, "up"), (1, "down"), (30.9, "down"), (31, "up")], []),
        ([(0, "up"), (1, "down"), (31, "down"), (90, "down")], ["Link lost"]),
        ([(1, "down"), (31, "down"), (40, "up")], ["Link lost", "Link is back"]),
        ([(1, "down"), (20, "up"), (21, "down"), (50, "down")], []),
        ([(1, "idle"), (9999, "idle"), (10000, "down"), (10029, "down")], []),
        ([(1, "idle"), (9999, "idle"), (10000, "down"), (10030, "down")], ["Link lost"]),
        ([(1, "down"), (31, "down"), (99, "idle"), (999, "up")], ["Link lost", "Link is back"]),
        ([(0, "up"), (1, "given up")], ["Link given up"]),
        ([(1, "down"), (31, "down"), (40, "given up")], ["Link lost", "Link given up"]),
    ],
)
def test_a_link_is_lost_when_it_is_down_for_too_long_while_the_market_trades(seen, told):
    assert link(*seen) == told


def test_losses_are_told_each_time():
    lost = [(s, "down") for s in (1, 31)] + [(40, "up"), (50, "down"), (80, "down")]
    assert link(*lost) == ["Link lost", "Link is back", "Link lost"]


def test_the_text_says_for_how_long_and_why():
    rules = AlertRules(AlertSettings(link_lost_after=5))
    rules.observe(LinkSeen(False, True, 100.0), NOON)
    [alert] = rules.observe(LinkSeen(False, True, 105.5, error="no server there"), NOON)
    assert alert.text == "down for 6 s: no server there"


def test_the_same_refusal_is_told_once_an_hour_with_its_count():
    rules = AlertRules(AlertSettings())

    def refused(after, symbol, reason):
        now = NOON + timedelta(seconds=after)
        return [one.text for one in rules.observe(Rejected(symbol, "buy 1", reason), now)]

    assert refused(0, "SHFE.cu2612", "no funds: 100.5 of 200") == ["buy 1: no funds: 100.5 of 200"]
    assert refused(1, "SHFE.cu2612", "no funds: 90.25 of 200") == []
    assert refused(2, "SHFE.cu2612", "market is closed") == ["buy 1: market is closed"]
    assert refused(3, "DCE.m2701", "no funds: 90.25 of 200") == ["buy 1: no funds: 90.25 of 200"]
    assert refused(3599, "SHFE.cu2612", "no funds: 1 of 200") == []
    [text] = refused(3600, "SHFE.cu2612", "no funds: 2 of 200")
    assert text.endswith("(2 more of these since the last alert)")


def test_what_is_remembered_has_an_end():
    rules = AlertRules(AlertSettings())
    for number in range(2000):
        name = "".join(chr(97 + int(digit)) for digit in str(number))
        assert rules.observe(Rejected(name, "buy 1", "no"), NOON)
    assert len(rules._told) <= 501


def test_the_risk_state_is_told_when_it_changes():
    states = ["ACTIVE", "ACTIVE", "REDUCING", "REDUCING", "HALTED", "ACTIVE"]
    facts = [(n, RiskSeen(state, "why")) for n, state in enumerate(states)]
    assert titles(facts) == [
        "Risk state is REDUCING", "Risk state is HALTED", "Risk state is ACTIVE",
    ]  # fmt: skip
    assert titles([(0, RiskSeen("HALTED", "since yesterday"))]) == []


def test_a_trading_login_is_told_when_it_is_refused_and_when_it_is_good_again():
    seen = ["", "rests: a, tried once more", "rests: a", "rests: a", "", "rests: a"]
    facts = [(n, LoginSeen(words)) for n, words in enumerate(seen)]
    assert titles(facts) == [
        "Trading rests", "Trading rests", "Trading goes on", "Trading rests",
    ]  # fmt: skip
    assert titles(facts, events=("rejected",)) == []


def test_a_program_that_is_stopped_says_by_what_and_what_it_leaves():
    [alert] = AlertRules(AlertSettings()).observe(Stopped("SIGTERM", ("1 order", "x")), NOON)
    assert (alert.level, alert.text) == ("warning", "by SIGTERM\n1 order\nx")


def test_checks_say_go_or_no_go():
    good = Checked(datetime(2026, 11, 10, 21), {"link": "", "disk": ""})
    bad = Checked(datetime(2026, 11, 10, 21), {"link": "trading is down", "disk": ""})
    assert titles([(0, good), (1, bad)]) == ["Go for 21:00", "NO GO for 21:00"]
    [alert] = AlertRules(AlertSettings()).observe(bad, NOON)
    assert alert.text == "link: trading is down\ndisk: ok"
    assert alert.level == "failure"


def test_every_loss_of_protection_is_told_as_a_failure():
    exposed = Exposed("SHFE.cu2612", 3, "SHFE.cu2612: 3 lots have no protection")
    too_many = Exposed("SHFE.cu2612", -1, "SHFE.cu2612: 1 lots more were closed")
    rules = AlertRules(AlertSettings())
    for fact in (exposed, exposed, too_many):
        [alert] = rules.observe(fact, NOON)
        assert (alert.event, alert.level, alert.text) == ("exposed", "failure", fact.text)
    assert titles([(0, exposed), (1, too_many)]) == [
        "Lots without protection", "Too many lots were closed",
    ]  # fmt: skip


EVERY = [
    (0, LinkSeen(False, True, 0.0, given_up=True)),
    (0, Rejected("a", "b", "c")),
    (0, Exposed("a", 1, "b")),
    (0, Differs("a", NOON, ("close",))),
    (0, RiskSeen("ACTIVE")),
    (0, RiskSeen("HALTED")),
    (0, RiskSaid("flatten: given up")),
    (0, Failed("ValueError: x", ("1 order",))),
    (0, Stopped("SIGTERM", ("1 order",))),
    (0, DayOver(date(2026, 11, 10), ("equity 1",))),
    (0, Alive(("up",))),
    (0, Checked(NOON, {})),
]
NUMBER = {"risk": 2}


@pytest.mark.parametrize("event", AlertEvent)
def test_events_can_be_chosen(event):
    assert len(titles(EVERY, events=(event,))) == NUMBER.get(event, 1)
    assert len(titles(EVERY)) == 11


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        ({"events": ("lnk",)}, "lnk"),
        ({"urls": "json://localhost/s3cret"}, "urls"),
        ({"link_lost_after": -1}, "link_lost_after"),
        ({"repeat_after": float("nan")}, "repeat_after"),
        ({"alive_at": ("25:00",)}, "25:00"),
    ],
)
def test_settings_that_cannot_be_meant_are_named(wrong, names):
    with pytest.raises(ConfigError, match=names) as caught:
        AlertSettings(**wrong)
    assert "s3cret" not in str(caught.value)


def test_settings_do_not_show_urls():
    assert "token" not in repr(AlertSettings(urls=("dingtalk://token",)))
