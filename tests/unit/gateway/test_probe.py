"""A probe always has a result: without one there would be no further probe."""

import socket
import threading

import pytest
from websockets.sync.server import serve

from tianqin_backtrader.gateway.probe import IN_VAIN, ServerProbe, ServerProbes


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
    assert ServerProbe([url], {}, 5.0).answer(10.0) is False


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
        assert ServerProbe([f"ws://127.0.0.1:{port}/md"], {}, 1.0).answer(10.0) is speaks
        done.set()


def test_a_port_where_nobody_answers_is_away():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert ServerProbe([f"ws://127.0.0.1:{port}/md"], {}, 1.0).answer(10.0) is False


class Line:
    """A server that answers, and the number of its requests."""

    def __init__(self):
        self.asked = 0

    def answer(self, line):
        line.recv()
        self.asked += 1
        line.send("{}")


@pytest.fixture
def line():
    made = Line()
    with serve(made.answer, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}/md"
        yield made


OLD, NEW = {"Authorization": "Bearer old"}, {"Authorization": "Bearer new"}


class Login:
    """Returns the next session's servers, and counts the requests."""

    def __init__(self, *urls, fails=False):
        self.headers = NEW
        self.urls, self.fails, self.times = urls, fails, 0

    @property
    def asked(self):
        return self.times > 0

    def ask(self):
        if self.fails:
            raise RuntimeError("of the thread")
        self.times += 1
        return self.urls


def test_a_login_follows_when_all_servers_are_there(line):
    login = Login(line.url)
    assert ServerProbe([line.url], {}, 5.0, login).answer(10.0) is True
    assert login.times == 1
    assert line.asked == 1  # where the login leads it has been asked


def test_nobody_logs_in_while_a_server_is_away():
    login = Login()
    assert ServerProbe(["ws://127.0.0.1:9/x"], {}, 5.0, login).answer(10.0) is False
    assert not login.asked


def test_another_server_that_a_login_leads_to_is_asked_too(line):
    assert ServerProbe([line.url], {}, 5.0, Login("ws://127.0.0.1:9/x")).answer(10.0) is False


def test_a_login_that_fails_in_an_unknown_way_is_an_answer():
    assert ServerProbe([], {}, 5.0, Login(fails=True)).answer(10.0) is False


@pytest.fixture(params=[401, 403])
def strict(request):
    """A server that accepts only the new session's token."""
    made = Line()

    def look(connection, handshake):
        if handshake.headers.get("Authorization") != NEW["Authorization"]:
            return connection.respond(request.param, "the token has expired")

    with serve(made.answer, "127.0.0.1", 0, process_request=look) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}/md"
        yield made


def test_a_server_that_takes_the_old_token_no_more_is_there_if_it_takes_the_new_one(strict):
    assert ServerProbe([strict.url], OLD, 5.0, Login(strict.url)).answer(10.0) is True
    assert strict.asked == 1  # with the new one
    assert (
        ServerProbe([strict.url], OLD, 5.0, Login()).answer(10.0) is True
    )  # the login says why not


def test_a_server_that_takes_the_new_token_neither_is_away(strict):
    login = Login(strict.url)
    login.headers = OLD
    assert ServerProbe([strict.url], OLD, 5.0, login).answer(10.0) is False


def test_after_knocks_in_vain_the_login_says_where_the_servers_are_now(line):
    logins = []

    def new_login():
        logins.append(Login(line.url))
        return logins[-1]

    probes, gone = ServerProbes(new_login), ["ws://127.0.0.1:9/gone"]
    answers = [probes.probe(gone, OLD, 5.0).answer(10.0) for _ in range(IN_VAIN + 1)]
    assert answers == [False] * IN_VAIN + [True]
    assert [one.times for one in logins] == [0] * IN_VAIN + [1] and probes.login is logins[-1]
    assert probes.probe(gone, OLD, 5.0).answer(10.0) is False  # it was answered: begun anew


def test_a_login_of_a_knock_in_vain_is_good_for_the_next_ones():
    logins = []

    def new_login():
        logins.append(Login("ws://127.0.0.1:9/away"))
        return logins[-1]

    probes = ServerProbes(new_login)
    for _ in range(IN_VAIN + 5):
        assert probes.probe(["ws://127.0.0.1:9/gone"], OLD, 5.0).answer(10.0) is False
    assert len(logins) == IN_VAIN + 1
