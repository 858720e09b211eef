"""A client's HTTP requests are sent once, before it is made; errors are reported in time."""

import json
from contextlib import suppress
from types import SimpleNamespace

import jwt
import pytest
import requests
from requests.adapters import HTTPAdapter
from tqsdk import TqAccount, TqKq, TqMultiAccount

from tianqin_backtrader.errors import LinkLost, LoginRefused
from tianqin_backtrader.gateway.session_login import SessionLogin

MD, TD, BROKER = "wss://md.example/x", "wss://td.example/y", "H宏源期货"


class Internet:
    """Answers TqSdk's requests (through ``requests``) like TianQin.

    Addresses in ``fails`` return an error; those in ``away`` do not answer.
    """

    def __init__(self):
        self.asked, self.fails, self.accounts, self.away = [], {}, [], False

    def send(self, request):
        url = request.url
        self.asked.append(url)
        if self.away:
            raise requests.ReadTimeout("30 s")
        for part, status in self.fails.items():
            if part in url:
                return self._say(url, status, {"error_description": "Invalid user credentials"})
        if "update-grant-accounts" in url:
            self.accounts.append(url.rpartition("/")[2])
        grants = {"features": ["futr"], "accounts": list(self.accounts)}
        token = jwt.encode({"sub": "the-id", "grants": grants}, "k" * 32, algorithm="HS256")
        named = {name: {"category": ["TQ"], "url": TD} for name in (BROKER, "快期模拟")}
        answers = {
            "/token": {"access_token": token, "refresh_token": token},
            "get-grant": {"exp": 4102444799, "daysleft": 9999, "account_type": "free"},
            "/ns": {"mdurl": MD},
        }
        return self._say(url, 200, next((answers[part] for part in answers if part in url), named))

    def _say(self, url, status, what):
        answer = requests.Response()
        answer.url, answer.status_code, answer.encoding = url, status, "utf-8"
        answer._content = json.dumps(what).encode()
        return answer


@pytest.fixture
def internet(monkeypatch):
    made = Internet()
    monkeypatch.setattr(HTTPAdapter, "send", lambda adapter, request, **how: made.send(request))
    for name in ("TQ_AUTH_URL", "TQ_MD_URL", "TQ_TD_URL"):
        monkeypatch.delenv(name, raising=False)
    return made


def broker():
    return TqAccount(BROKER, "88001234", "futures-pass")


def as_a_client_does(login, account):
    """The requests of the constructor of ``TqApi``."""
    login.init()
    login.login()
    with suppress(Exception):
        assert login.expire_datetime
    account._update_otg_info(SimpleNamespace(_auth=login, _td_url=None))
    return login._get_md_url(True, backtest=False), account._td_url


@pytest.mark.parametrize("account", [TqKq, broker], ids=["paper", "broker"])
def test_a_client_finds_every_answer_there(internet, account):
    login = SessionLogin("tom", "open-sesame", account())
    assert not login.asked
    assert sorted(login.ask()) == [MD, TD]
    assert "Bearer " in login.headers["Authorization"]
    asked = list(internet.asked)
    assert sorted(login.ask()) == [MD, TD] and internet.asked == asked
    login.check(trading=True)
    asked = len(internet.asked)
    assert login.asked
    assert as_a_client_does(login, account()) == (MD, TD)
    assert len(internet.asked) == asked


def test_a_futures_account_that_is_new_is_bound_ahead(internet):
    SessionLogin("tom", "open-sesame", broker()).ask()
    assert internet.accounts == ["88001234"]


def test_addresses_that_are_named_are_not_asked_for(internet, monkeypatch):
    monkeypatch.setenv("TQ_MD_URL", "ws://127.0.0.1:9/md")
    monkeypatch.setenv("TQ_TD_URL", "ws://127.0.0.1:9/td")
    login = SessionLogin("tom", "open-sesame", TqMultiAccount([TqKq()]))
    assert login.ask() == ["ws://127.0.0.1:9/md", "ws://127.0.0.1:9/td"]
    assert len(internet.asked) == 2  # token and licence


@pytest.mark.parametrize(
    ("part", "status", "error", "words"),
    [
        ("/token", 401, LoginRefused, "TianQin refused the login: .*Invalid user credentials"),
        ("/token", 503, LinkLost, "not in service, which says nothing of user and password: .*503"),
        ("/ns", 500, LinkLost, "not in service"),
    ],
)
def test_what_is_wrong_with_the_login_is_told_by_the_check(internet, part, status, error, words):
    internet.fails[part] = status
    login = SessionLogin("tom", "open-sesame", TqKq())
    assert login.ask() == []
    for trading in (True, False):
        with pytest.raises(error, match=words):
            login.check(trading=trading)


def test_what_is_wrong_with_the_account_is_so_for_a_session_that_trades(internet):
    internet.fails["files.shinnytech"] = 500
    login = SessionLogin("tom", "open-sesame", broker())
    assert login.ask() == [MD]
    login.check(trading=False)
    with pytest.raises(LinkLost, match="not in service"):
        login.check(trading=True)


def test_a_licence_that_is_not_told_is_not_asked_for_again(internet):
    internet.fails["get-grant"] = 503
    login = SessionLogin("tom", "open-sesame", TqKq())
    login.ask()
    login.check(trading=True)
    asked = len(internet.asked)
    as_a_client_does(login, TqKq())
    assert len(internet.asked) == asked


def test_a_server_that_does_not_answer_is_a_lost_link(internet):
    internet.away = True
    login = SessionLogin("tom", "open-sesame", TqKq())
    login.ask()
    with pytest.raises(LinkLost, match="ReadTimeout"):
        login.check(trading=False)


def test_no_secret_is_logged(internet, caplog):
    caplog.set_level("DEBUG", logger="tianqin_backtrader")
    internet.fails["/token"] = 401
    SessionLogin("tom", "open-sesame", broker()).ask()
    assert "open-sesame" not in caplog.text and "eyJ" not in caplog.text
