"""A knock always has an answer: without one nobody would knock again."""

import pytest

from tianqin_backtrader.knock import Knock


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, "ws://127.0.0.1:9/nobody"),
        ({}, "ws://" + "a" * 64 + ".example/no-such-name"),  # no label of a name is so long
        ({"https_proxy": "socks5://127.0.0.1:9"}, "wss://example.invalid/"),  # needs a package
        ({"https_proxy": "no proxy"}, "wss://example.invalid/"),
    ],
)
def test_whatever_goes_wrong_the_server_is_away(monkeypatch, variables, url):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Knock([url], {}).answer(10.0) is False
