"""Which requests a local server accepts."""

import http.client
import threading

import pytest

from tianqin_backtrader.errors import ConfigError
from tianqin_backtrader.monitoring.http_server import STREAMS, Answer, LocalServer, Site

TOKEN = "a-token-of-mine"


@pytest.fixture
def serve():
    made = []

    def make(token=TOKEN):
        asked = []

        def command():
            asked.append("halt")
            return Answer.json({"asked": "halt"}, 202)

        def texts(ended):
            yield "one"
            yield ""
            yield "two"
            ended.wait(10)

        site = Site({"/": lambda: Answer(b"page")}, {"/events": texts}, {"/halt": command}, token)
        server = LocalServer(site)
        server.asked = asked
        made.append(server)
        return server

    yield make
    for one in made:
        one.close()


def ask(server, method="GET", path="/", body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body=body, headers=headers)
    answer = connection.getresponse()
    answer.text = answer.read().decode()
    connection.close()
    return answer


def post(server, path="/halt", **headers):
    return ask(server, "POST", path, **{"Authorization": f"Bearer {TOKEN}", **headers}).status


def test_a_page_is_served_with_headers_that_keep_others_out(serve):
    answer = ask(serve())
    assert (answer.status, answer.text) == (200, "page")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "Python" not in answer.headers["Server"]


@pytest.mark.parametrize("path", ["/nothing", "/../pyproject.toml", "/static/", "/halt"])
def test_there_is_nothing_else(serve, path):
    assert ask(serve(), path=path).status == 404


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "localhost:1"]
)
def test_a_name_that_was_made_to_point_here_is_refused(serve, host):
    server = serve()
    host = host.format(port=server.port)
    assert ask(server, Host=host).status == 403
    assert ask(server, path="/events", Host=host).status == 403
    assert post(server, Host=host) == 403
    assert server.asked == []


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:{port}"])
def test_another_sites_page_is_refused(serve, origin):
    server = serve()
    origin = origin.format(port=server.port)
    assert ask(server, Origin=origin).status == 403
    assert post(server, Origin=origin) == 403
    assert server.asked == []


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_its_own_page_may_ask(serve, name):
    server = serve()
    host = f"{name}:{server.port}"
    assert post(server, Host=host, Origin=f"http://{host}") == 202
    assert server.asked == ["halt"]


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer x", f"Basic {TOKEN}", TOKEN, "Bearer é"])
def test_a_wrong_token_is_refused(serve, given):
    server = serve()
    assert post(server, Authorization=given.encode("latin-1")) == 401
    assert server.asked == []


def test_a_token_in_the_address_does_not_count(serve):
    server = serve()
    assert ask(server, "POST", f"/halt?token={TOKEN}").status == 404
    assert ask(server, "GET", "/halt", Authorization=f"Bearer {TOKEN}").status == 404
    assert server.asked == []


def test_without_a_token_nothing_can_be_done(serve):
    server = serve(token=None)
    assert post(server) == 403
    assert post(server, Authorization="Bearer None") == 403
    assert post(server, Authorization="Bearer ") == 403
    assert server.asked == []


def test_a_long_body_is_not_read(serve):
    assert post(serve(), Content_Length="5000000") == 413
    assert post(serve(), Content_Length="-1") == 413


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods_are_unknown(serve, method):
    assert ask(serve(), method).status == 501


def test_a_stream_is_server_sent_events(serve):
    server = serve()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request("GET", "/events")
    answer = connection.getresponse()
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    expected = b"data: one\n\n: alive\n\ndata: two\n\n"
    assert answer.read(len(expected)) == expected
    server.close()  # does not wait for viewers
    assert answer.read() == b""
    connection.close()


def test_viewers_are_counted(serve):
    server = serve()
    open_ones = []
    for _ in range(STREAMS):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        connection.request("GET", "/events")
        open_ones.append((connection, connection.getresponse()))
    assert ask(server, path="/events").status == 503
    assert ask(server).status == 200
    for connection, answer in open_ones:
        answer.close()
        connection.close()


def test_it_listens_on_loopback_alone(serve):
    assert serve()._server.server_address[0] == "127.0.0.1"


def test_a_taken_port_is_told(serve):
    server = serve()
    for port in (server.port, 99999):
        with pytest.raises(ConfigError, match=str(port)):
            LocalServer(Site({}, {}, {}), port)


def test_it_ends_its_thread(serve):
    server = serve()
    server.close()
    server.close()
    assert server._thread not in threading.enumerate()
