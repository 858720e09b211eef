"""An HTTP server on loopback for the user of this machine, in threads of its own.

It answers from immutable values that it is given. Requests that another site has caused in a
browser are refused: Host and Origin must be this server's, and commands need a token in a header.
"""

from __future__ import annotations

import hmac
import json
import logging
import os
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ..core.json_values import Json
from ..errors import ConfigError

logger = logging.getLogger(__name__)

#: Seconds in which a client must have sent its request.
REQUEST_SECONDS = 10
#: The most streams that may be open, and the longest accepted body.
STREAMS, BODY = 8, 1000

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request."""

    body: bytes
    kind: str = "text/plain; charset=utf-8"
    status: int = 200

    @classmethod
    def json(cls, value: Json, status: int = 200) -> Answer:
        """An answer with a value as JSON."""
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        return cls(text.encode(), "application/json; charset=utf-8", status)


@dataclass(frozen=True, slots=True)
class Site:
    """The contents of a server, by path.

    Attributes:
        pages: Functions that answer a GET.
        streams: Functions that yield texts, one server-sent event each; "" keeps the connection
            alive.
        commands: Functions that execute a POST with the right token.
        token: The token of commands; None disables them.
    """

    pages: Mapping[str, Callable[[], Answer]]
    streams: Mapping[str, Callable[[threading.Event], Iterator[str]]]
    commands: Mapping[str, Callable[[], Answer]]
    token: str | None = None


class LocalServer:
    """Serves a site on 127.0.0.1.

    Args:
        site: The site.
        port: The port; 0 takes any free one.

    Attributes:
        url: ``"http://127.0.0.1:8080/"``.

    Raises:
        ConfigError: The port is in use.
    """

    def __init__(self, site: Site, port: int = 0) -> None:
        self.site = site
        self.ended = threading.Event()
        self.room = threading.BoundedSemaphore(STREAMS)
        try:
            self._server = _Server(("127.0.0.1", port), _Handler)
        except (OSError, OverflowError) as error:
            raise ConfigError(f"port {port} cannot be used: {error}; 0 takes a free one") from error
        self._server.owner = self
        self.port = int(self._server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}/"
        self.hosts = {f"{name}:{self.port}" for name in ("127.0.0.1", "localhost")}
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="local server", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop serving; further calls do nothing."""
        if self.ended.is_set():
            return
        self.ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    owner: LocalServer
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = os.name != "nt"  # on Windows two programs could use one port

    def server_bind(self) -> None:
        """Bind without a reverse look-up of 127.0.0.1."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a client that has disconnected."""
        logger.debug("a request has failed", exc_info=True)  # noqa: LOG014 (called in one)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version = "tianqin_backtrader", ""
    timeout = REQUEST_SECONDS

    def do_GET(self) -> None:
        """Send a page or a stream."""
        owner = self.server.owner
        path = self.path.partition("?")[0]
        if not self._is_ours():
            return
        if path in owner.site.streams:
            self._stream(owner.site.streams[path])
        elif path in owner.site.pages:
            self._send(owner.site.pages[path]())
        else:
            self._send(Answer(b"no such page\n", status=404))

    def do_POST(self) -> None:
        """Execute a command."""
        owner = self.server.owner
        if not self._is_ours():
            return
        length = self.headers.get("Content-Length") or "0"
        if not length.isdecimal() or int(length) > BODY:
            self._send(Answer(b"too long\n", status=413))
            return
        self.rfile.read(int(length))  # the body is not used
        command = owner.site.commands.get(self.path)
        if command is None:
            self._send(Answer(b"no such command\n", status=404))
        elif owner.site.token is None:
            self._send(Answer(b"read-only: the program has set no token\n", status=403))
        elif not self._has_token(owner.site.token):
            logger.warning("a command with a wrong token was refused: %s", self.path)
            self._send(Answer(b"wrong token\n", status=401))
        else:
            self._send(command())

    def _is_ours(self) -> bool:
        """Refuse requests of other sites' pages, or by a foreign name for this address."""
        hosts = self.server.owner.hosts
        origin = self.headers.get("Origin")
        fine = self.headers.get("Host") in hosts and (
            origin is None or origin in {f"http://{host}" for host in hosts}
        )
        if not fine:
            self._send(Answer(b"not from here\n", status=403))
        return fine

    def _has_token(self, token: str) -> bool:
        kind, _, given = (self.headers.get("Authorization") or "").partition(" ")
        same = hmac.compare_digest(given.encode(errors="replace"), token.encode())
        return same and kind == "Bearer"

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        self._end_headers()
        self.wfile.write(answer.body)

    def _end_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.end_headers()

    def _stream(self, texts: Callable[[threading.Event], Iterator[str]]) -> None:
        owner = self.server.owner
        if not owner.room.acquire(blocking=False):
            self._send(Answer(b"too many viewers\n", status=503))
            return
        try:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream; charset=utf-8")
            self._end_headers()
            for text in texts(owner.ended):
                self.wfile.write(f"data: {text}\n\n".encode() if text else b": alive\n\n")
                self.wfile.flush()
        finally:
            owner.room.release()

    def log_message(self, format: str, *args: object) -> None:
        """Log requests at debug level."""
        logger.debug(format, *args)
