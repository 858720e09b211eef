"""The thread that sends alerts."""

import inspect
import logging
import subprocess
import sys
import threading
from datetime import datetime

import pytest
from webhook import Webhook

from tianqin_backtrader.core.redaction import clean
from tianqin_backtrader.errors import ConfigError
from tianqin_backtrader.monitoring.alerts.facts import Alert, Level
from tianqin_backtrader.monitoring.alerts.sender import AlertSender
from tianqin_backtrader.monitoring.alerts.service import Alerts
from tianqin_backtrader.monitoring.alerts.settings import AlertEvent, AlertSettings
from tianqin_backtrader.monitoring.alerts.targets import secrets_of, targets_of


def alert(text):
    return Alert(AlertEvent.ALIVE, Level.INFO, "Still alive", text, datetime(2026, 11, 10))


class Target:
    """Accepts as many alerts as the test allows, and lets the test wait for it."""

    def __init__(self, *answers):
        self.answers, self.seen = list(answers), []
        self.changed = threading.Condition()

    def __call__(self, alert):
        with self.changed:
            self.seen.append(alert.text)
            self.changed.notify_all()
            answer = self.answers.pop(0) if self.answers else True
        if isinstance(answer, Exception):
            raise answer
        return answer

    def wait(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.seen) >= count, 5)


@pytest.fixture
def sender():
    made = []

    def make(*targets, **options):
        made.append(AlertSender(targets, **options))
        return made[-1]

    yield make
    for one in made:
        one.close(1)


def test_alerts_arrive_in_their_order(sender):
    target = Target()
    one = sender(target)
    for text in "abc":
        one.put(alert(text))
    one.close()
    assert target.seen == ["a", "b", "c"]
    counts = one.counts()
    assert (counts.sent, counts.failed, counts.dropped, counts.waiting) == (3, 0, 0, 0)


def test_an_alert_that_is_not_taken_is_sent_again_and_then_given_up(sender, caplog):
    target = Target(False, OSError("http://secret"), True, False, False, False)
    one = sender(target, retries=(0.0, 0.0))
    with caplog.at_level(logging.INFO):
        one.put(alert("a"))
        target.wait(3)
        one.put(alert("b"))
        target.wait(6)
        one.close()
    assert target.seen == ["a", "a", "a", "b", "b", "b"]
    counts = one.counts()
    assert (counts.sent, counts.failed, counts.errors) == (1, 1, 5)
    assert [record.message for record in caplog.records] == [
        "alerts to target 1 fail (it was not accepted); logged once",
        "alerts to target 1 are accepted again",
        "alerts to target 1 fail (it was not accepted); logged once",
    ]


def test_a_target_that_fails_does_not_delay_the_others(sender):
    bad, good = Target(*[False] * 99), Target()
    one = sender(bad, good, retries=(3600.0,))
    for text in "abc":
        one.put(alert(text))
    good.wait(3)
    assert bad.seen == ["a"]
    assert one.counts().waiting == 3


def test_a_full_queue_drops_the_oldest_and_says_how_many(sender):
    going, seen = threading.Event(), []

    def slow(alert):
        seen.append(alert.text)
        return going.wait(5)

    one = sender(slow, capacity=3)
    for number in range(10):
        one.put(alert(str(number)))
    assert one.counts().waiting == 3
    going.set()
    one.close()
    counts = one.counts()
    assert counts.sent + counts.dropped == 10
    assert [text.partition("\n")[0] for text in seen[-3:]] == ["7", "8", "9"]
    assert any("older alerts were dropped" in text for text in seen)


def test_closing_does_not_wait_for_a_target_that_hangs(sender, caplog):
    ended = threading.Event()
    one = sender(lambda alert: ended.wait(60))
    one.put(alert("a"))
    one.close(0.05)
    assert one.counts().waiting == 1
    assert "1 alerts were not sent" in caplog.text
    ended.set()


@pytest.mark.parametrize(
    "url",
    [
        "dingtalk://aaaaaaaaaaaaaaaaaaaaaaaaaaaa12/13800000000",
        "wecombot://0f1e2d3c-aaaa-bbbb-cccc-000000000000",
        "feishu://0f1e2d3c-aaaa-bbbb-cccc-000000000000",
        "tgram://123456789:abcdefg_hijklmnop/12315544",
        "mailto://tom:s3cr3tWord@example.com",
        "json://tom:s3cr3tWord@127.0.0.1:8080/hook-1a2b3c4d",
    ],
)
def test_the_services_are_there_and_their_tokens_are_hidden(url):
    assert len(targets_of((url,))) == 1
    hidden = clean(url)
    assert "***" in hidden
    assert all(secret not in hidden for secret in secrets_of(url))


def test_a_url_that_is_not_understood_is_told_by_its_number():
    with pytest.raises(ConfigError, match=r"number 2 \(nowhere\)") as caught:
        targets_of(("json://127.0.0.1/", "nowhere://s3cr3tWord"))
    assert "s3cr3t" not in str(caught.value)


def test_alerts_without_a_url_are_refused():
    with pytest.raises(ConfigError, match="need a URL"):
        Alerts(None, AlertSettings())


def test_apprise_sends_to_a_webhook_and_no_log_has_its_token(caplog):
    hook = Webhook()
    try:
        with caplog.at_level(logging.DEBUG):
            [target] = targets_of((hook.url,))
            assert target(alert("line one\nline two"))
            hook.status = 500
            assert not target(alert("x"))
        [message] = hook.messages
        assert (message["title"], message["type"]) == ("Still alive", "info")
        assert message["message"].split() == ["line", "one", "line", "two"]
        assert "apprise" in {one.name for one in caplog.records}
        assert "Se3cretT0ken" not in caplog.text
    finally:
        hook.close()


SCRIPT = """
import sys
from datetime import datetime
from tianqin_backtrader.monitoring.alerts.facts import Alert, Level
from tianqin_backtrader.monitoring.alerts.settings import AlertEvent, AlertSettings
from tianqin_backtrader.monitoring.alerts.service import Alerts
from tianqin_backtrader.monitoring.observers import Observers

class View:
    strategy_name = ""
    observers = Observers()

alerts = Alerts(View, AlertSettings(urls=sys.argv[1:]))
alerts._sender.put(Alert(AlertEvent.LINK, Level.FAILURE, "Link given up", "<b> & co", datetime.min))
raise SystemExit("the run has failed")
"""


def test_the_last_words_of_a_program_that_fails_are_sent():
    hooks = [Webhook(), Webhook()]
    try:
        command = [sys.executable, "-c", SCRIPT, *(hook.url for hook in hooks)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (1, "the run has failed\n")
        for hook in hooks:
            [message] = hook.messages
            assert (message["title"], message["message"]) == ("Link given up", "<b> & co")
            assert message["type"] == "failure"
    finally:
        for hook in hooks:
            hook.close()


@pytest.mark.parametrize(
    "url", ["tgram://123456789:abcdefg_hij/12315544", "mailto://tom:s3cr3tWord@example.com"]
)
def test_texts_are_said_to_be_text_or_escaped(url):
    """Telegram refuses a message that is not HTML; a mail would be one line. Nothing is sent."""
    [target] = targets_of((url,))
    service = inspect.getclosurevars(target).nonlocals["service"]
    sent = []
    service.send = lambda body, title="", **how: sent.append((title + body, how)) or True
    assert target(alert("a < b\nc & d"))
    [(text, how)] = sent
    assert ("a &lt; b" in text and "c &amp; d" in text) or how["body_format"] == "text"
