"""Configuration: parsing, priorities, and errors that say where and what instead."""

import textwrap
from datetime import date
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend

from tianqin_backtrader import RiskLimits, Settings, session_calendar
from tianqin_backtrader.config import sections as settings_sections
from tianqin_backtrader.errors import ConfigError
from tianqin_backtrader.risk.limits import GuardState

SECRET = "correct-horse-battery"


@pytest.fixture
def load(tmp_path):
    """Load a file of this text, with these variables."""

    def load(text="", **environ):
        path = tmp_path / "my.toml"
        path.write_text(text, encoding="utf-8")
        return Settings.load(path, environ)

    return load


@pytest.fixture
def ring():
    """The operating system's keyring during a test."""

    class Ring(KeyringBackend):
        priority = 1

        def __init__(self):
            super().__init__()
            self.kept = {}

        def get_password(self, service, username):
            return self.kept.get((service, username))

        def set_password(self, service, username, password):
            self.kept[service, username] = password

        def delete_password(self, service, username):
            del self.kept[service, username]

    before = keyring.get_keyring()
    keyring.set_keyring(Ring())
    yield keyring
    keyring.set_keyring(before)


def test_without_anything_there_are_defaults(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Settings.load(environ={}) == Settings()


def test_the_example_of_the_documentation_is_read(load, tmp_path):
    example = settings_sections.__doc__.partition("::\n")[2].partition("\nEach key")[0]
    settings = load(textwrap.dedent(example))
    assert settings.account.user == "trader"
    assert settings.account.broker == "H海通期货"
    assert settings.account.number == "022631"
    assert settings.records.folder == str(tmp_path / "records")
    assert settings.sessions.file == str(tmp_path / "my_sessions.toml")
    assert settings.risk == RiskLimits(max_position=5, max_daily_loss=20000.0)
    assert settings.alerts.events == ("link", "rejected", "exposed", "risk")
    assert settings.alerts.alive_at == ("12:00",)


@pytest.mark.parametrize("how", ["working directory", "variable"])
def test_where_the_file_is_looked_for(tmp_path, monkeypatch, how):
    path = tmp_path / "tianqin_backtrader.toml"
    path.write_text('[account]\nuser = "me"\n')
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path if how == "working directory" else elsewhere)
    environ = {} if how == "working directory" else {"TQBT_CONFIG": str(path)}
    settings = Settings.load(environ=environ)
    assert settings.account.user == "me"
    assert settings.path == path


def test_a_file_that_was_named_must_be_there(tmp_path):
    with pytest.raises(ConfigError, match=r"configuration file .* does not exist"):
        Settings.load(tmp_path / "nothing.toml", {})
    with pytest.raises(ConfigError, match=r"nothing\.toml"):
        Settings.load(environ={"TQBT_CONFIG": "nothing.toml"})


def test_the_environment_comes_before_the_file(load):
    text = '[account]\nuser = "file"\n[risk]\nmax_position = 5\nmax_daily_loss = 100\n'
    settings = load(
        text,
        TQ_USER="variable",
        TQBT_RISK_MAX_POSITION="3",
        TQBT_RISK_ON_LOSS="HALTED",
        TQBT_RISK_NO_SELF_TRADE="true",
        TQBT_RISK_MAX_PRICE_DISTANCE="0.02",
        TQBT_RECORDS_FOLDER="here",
        TQBT_ALERTS_EVENTS="risk, day",
    )
    assert settings.account.user == "variable"
    assert settings.records.folder == "here"
    assert settings.alerts.events == ("risk", "day")
    assert settings.risk == RiskLimits(
        max_position=3,
        max_daily_loss=100.0,
        max_price_distance=0.02,
        on_loss=GuardState.HALTED,
        no_self_trade=True,
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[risks]", r"my\.toml: \[risks\] is not a section; did you mean risk\?"),
        ("[risk]\nmax_positon = 5", r"risk\.max_positon is not a key; did you mean max_position\?"),
        ("[risk]\nmax_position = 2.5", r"risk\.max_position cannot be 2\.5: expected a whole"),
        ("[risk]\nmax_position = true", r"cannot be True: expected a whole number"),
        ('[risk]\nmax_position = "5"', r"cannot be '5': expected a whole number"),
        ("[risk]\nmax_position = -1", r"my\.toml: \[risk\] max_position is a limit"),
        ('[risk]\non_loss = "STOP"', r"cannot be 'STOP': expected REDUCING or HALTED"),
        ("[account]\nnumber = 22631", r"account\.number cannot be 22631: expected a text in quot"),
        (
            '[alerts]\nevents = ["late"]',
            r"my\.toml: \[alerts\] unknown events late; there are link",
        ),
        (
            "[alerts]\nlink_lost_after = -1",
            r"link_lost_after of the alerts must be a number of seconds",
        ),
        ('user = "me"', r"\[user\] is not a section"),
        ("records = 5", r"write \[records\] above its keys"),
        ("[risk\nmax_position = 5", r"my\.toml is not valid TOML"),
    ],
)
def test_errors_name_file_key_value_and_what_is_allowed(load, text, words):
    with pytest.raises(ConfigError, match=words):
        load(text)


def test_a_misspelt_variable_is_an_error_not_a_limit_that_is_not_there(load):
    with pytest.raises(ConfigError, match="did you mean TQBT_RISK_MAX_POSITION"):
        load(TQBT_RISK_MAX_POSITON="3")
    with pytest.raises(ConfigError, match="TQBT_RISK_MAX_POSITION cannot be 'three'"):
        load(TQBT_RISK_MAX_POSITION="three")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f'[account]\npassword = "{SECRET}"', "TQ_PASS"),
        (f'[account]\nTQ_PASS = "{SECRET}"', "keyring set tianqin_backtrader"),
        (f'[alerts]\ntoken = "{SECRET}"', r"write \$\{NAME\} in the url"),
        (f'[alerts]\nurls = ["dingtalk://{SECRET}"]', r"dingtalk:.*write \"\$\{NAME\}\""),
        (f'[alerts]\nurls = "mailto://me:{SECRET}@mail.com"', "environment variable"),
        (f'[alerts]\nurls = [["{SECRET}"]]', "expected a list of texts"),
    ],
)
def test_a_secret_in_a_file_is_an_error_that_says_where_to_put_it(load, text, words):
    with pytest.raises(ConfigError, match=words) as caught:
        load(text)
    assert SECRET not in str(caught.value)


def test_urls_refer_to_variables_and_are_shown_nowhere(load, monkeypatch):
    settings = load('[alerts]\nurls = ["${MY_URL}", "json://127.0.0.1:8080", "tgram://${T}/1"]')
    monkeypatch.setenv("MY_URL", f"dingtalk://{SECRET}")
    with pytest.raises(ConfigError, match=r"\$\{T\}, which is not set"):
        settings.alerts_expanded()
    monkeypatch.setenv("T", "token")
    full = settings.alerts_expanded()
    assert full.urls == (f"dingtalk://{SECRET}", "json://127.0.0.1:8080", "tgram://token/1")
    assert SECRET not in repr(full)
    assert SECRET not in repr(load(TQBT_ALERTS_URLS=f"dingtalk://{SECRET}"))


def test_passwords_come_from_environment_or_keyring_and_stay_out_of_the_settings(
    load, monkeypatch, ring
):
    text = '[account]\nuser = "me"\nbroker = "H海通期货"\nnumber = "022631"\n'
    settings = load(text)
    monkeypatch.delenv("TQ_PASS", raising=False)
    monkeypatch.delenv("TQBT_ACCOUNT_PASSWORD", raising=False)
    with pytest.raises(ConfigError, match="keyring set tianqin_backtrader me"):
        settings.tianqin()
    with pytest.raises(ConfigError, match="TQBT_ACCOUNT_PASSWORD"):
        settings.live_account()
    ring.set_password("tianqin_backtrader", "me", "of the ring")
    ring.set_password("tianqin_backtrader", "022631", SECRET)
    assert settings.tianqin() == ("me", "of the ring")
    account = settings.live_account()
    assert (account._broker_id, account._account_id) == ("H海通期货", "022631")
    assert account._password == SECRET
    monkeypatch.setenv("TQ_PASS", "of the environment")
    assert settings.tianqin() == ("me", "of the environment")
    assert SECRET not in repr(settings)
    assert "of the environment" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "live", "words"),
    [
        ("", False, "the TianQin user is missing.*TQ_USER"),
        ('[account]\nuser = "me"', False, "the TianQin password is missing"),
        ('[account]\nuser = "me"', True, "account.broker"),
        ('[account]\nuser = "me"\nbroker = "b"', True, "account.number.*TQBT_ACCOUNT_NUMBER"),
    ],
)
def test_a_store_is_not_made_without_an_account(load, monkeypatch, ring, text, live, words):
    monkeypatch.delenv("TQ_PASS", raising=False)
    if live:
        monkeypatch.setenv("TQ_PASS", "p")
    with pytest.raises(ConfigError, match=words):
        load(text).store(live=live)


def test_trading_hours_of_the_user_are_put_in_force(load, tmp_path):
    Path(tmp_path, "hours.toml").write_text('["SHFE.cu"]\nday = ["09:00-11:30"]\n')
    settings = load('[sessions]\nfile = "hours.toml"\n')
    try:
        settings.use_sessions()
        assert session_calendar.CLASS_SESSIONS["SHFE.rb"] != (("09:00", "11:30"),)
        day = session_calendar.CALENDAR.next_trading_day(date(2026, 11, 10))
        [only] = session_calendar.CALENDAR.sessions("SHFE.cu2612", day)
        assert f"{only[0]:%H:%M}-{only[1]:%H:%M}" == "09:00-11:30"
    finally:
        session_calendar.use_user_sessions(None)
