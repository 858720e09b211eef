"""A knock always has an answer: without one nobody would knock again."""

import socket
import threading

import pytest
from websockets.sync.server import serve

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
    assert Knock([url], {}, 5.0).answer(10.0) is False


@pytest.mark.parametrize("speaks", [True, False])
def test_a_server_that_takes_connections_and_is_silent_is_away(speaks):
    done = threading.Event()

    def answer(line):
        if speaks:
            line.recv()
            line.send("{}")
        done.wait(10)

    with serve(answer, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.socket.getsockname()[1]
        assert Knock([f"ws://127.0.0.1:{port}/md"], {}, 1.0).answer(10.0) is speaks
        done.set()


def test_a_port_where_nobody_answers_is_away():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert Knock([f"ws://127.0.0.1:{port}/md"], {}, 1.0).answer(10.0) is False
