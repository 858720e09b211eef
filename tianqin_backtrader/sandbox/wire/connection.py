"""One client's websocket: reading and writing packs, and the faults of the connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any

from .latency import Latency
from .md import MdSession
from .td import TdSession

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_TEXT_FRAME = 0x81


def text_frame(payload: bytes) -> bytes:
    """An unmasked websocket frame as a server sends it.

    >>> text_frame(b"{}").hex()
    '81027b7d'
    """
    size = len(payload)
    if size < 126:
        return bytes((_TEXT_FRAME, size)) + payload
    if size < 65536:
        return bytes((_TEXT_FRAME, 126)) + size.to_bytes(2, "big") + payload
    return bytes((_TEXT_FRAME, 127)) + size.to_bytes(8, "big") + payload


class Connection:
    """A connected md or td session.

    Frames are written to the transport directly, so a step's answer leaves in the same turn of
    the event loop in which the last peek arrived.

    Attributes:
        kind: ``"md"`` or ``"td"``.
        client: The key (the token) that all connections of one client share.
        frozen: Whether it neither reads nor answers, not even pings.
        latency: The latency, or None.
        port: The client's port.
        untaken: Whether an answer has been written that the client has not followed by a request.
    """

    def __init__(
        self,
        kind: str,
        session: MdSession | TdSession,
        client: str,
        transport: asyncio.Transport,
        number: int,
        close: Callable[[], object],
        *,
        port: int = 0,
        later: Callable[[float, Callable[[], object]], object] | None = None,
        before_write: Callable[[int], object] = lambda port: None,
    ) -> None:
        self.kind = kind
        self.session = session
        self.client = client
        self.number = number
        self.transport = transport
        self._close = close
        self._later = later or (lambda s, act: asyncio.get_running_loop().call_later(s, act))
        self._before_write = before_write
        self.port = port
        self.frozen = self.untaken = False
        self.latency: Latency | None = None
        self.delay_seconds = 0.0
        self.repeat_next = False
        self.cut_next = False
        self.packs_in = self.packs_out = 0
        #: Answers to pings that are sent when a freeze ends.
        self.pings: list[Callable[[], object]] = []
        self._backlog: list[dict[str, Any]] = []
        self._sending = False
        self._greeted = False

    def greet(self) -> None:
        """Send the packs that follow the handshake; if frozen, send them after the thaw."""
        if self.frozen:
            return
        self._greeted = True
        for pack in self.session.greeting:
            if self.latency is not None:
                self._later(self.latency.out(), partial(self._write_frame, self._frame(pack)))
            else:
                self._write(pack)

    def receive(self, pack: dict[str, Any]) -> bool:
        """Pass a pack to the session; False if the connection is frozen and keeps the pack."""
        if self.frozen:
            self._backlog.append(pack)
            return False
        self.packs_in += 1
        self.session.receive(pack)
        return True

    def hear(self, pack: dict[str, Any]) -> None:
        """Note that the client has sent a pack; with latency it is handled later."""
        if pack.get("aid") == "peek_message":
            self.untaken = False

    def thaw(self) -> None:
        """End a freeze and handle the packs that came meanwhile."""
        self.frozen = False
        if not self._greeted:
            self.greet()
        backlog, self._backlog = self._backlog, []
        for pack in backlog:
            self.receive(pack)
        pings, self.pings = self.pings, []
        for answer in pings:
            answer()

    @property
    def can_send(self) -> bool:
        """Whether a pack is due: there is an open peek and something to send, and no freeze."""
        session = self.session
        return session.peek_open and bool(session.outbox) and not (self.frozen or self._sending)

    def send_unasked(self) -> None:
        """Send packs that do not wait for a peek, unless the connection is frozen."""
        session = self.session
        if self.frozen or not isinstance(session, TdSession):
            return
        packs, session.unasked = session.unasked, []
        for data in packs:
            frame = self._frame({"aid": "rtn_data", "data": data})
            if wait := self._wait_before_sending():
                self._later(wait, partial(self._write_frame, frame))
            else:
                self._write_frame(frame)

    def send_due(self) -> None:
        """Answer the open peek with the next pack."""
        data = self.session.outbox.take()
        if self.repeat_next:
            self.repeat_next = False
            data = data + data
        self.session.peek_open = False
        if isinstance(self.session, TdSession):
            self.session.unread = True
        pack = {"aid": "rtn_data", "data": [*data, {}]}
        if wait := self._wait_before_sending():
            self._sending = True
            self._later(wait, partial(self._write_late, self._frame(pack)))
        else:
            self._write_answer(self._frame(pack))

    def _wait_before_sending(self) -> float:
        if self.latency is not None:
            return self.latency.out()
        return self.delay_seconds

    @property
    def is_slow(self) -> bool:
        """Whether the connection has a latency."""
        return bool(self._sending or self.delay_seconds or self.latency is not None)

    def _write_late(self, frame: bytes) -> None:
        self._sending = False
        self._write_answer(frame)

    def _write_answer(self, frame: bytes) -> None:
        self.untaken = True
        self._write_frame(frame)

    def _frame(self, pack: dict[str, Any]) -> bytes:
        return text_frame(_ENCODER.encode(pack).encode())

    def _write(self, pack: dict[str, Any]) -> None:
        self._write_frame(self._frame(pack))

    def _write_frame(self, frame: bytes) -> None:
        if self.transport.is_closing():
            return
        self.packs_out += 1
        self._before_write(self.port)
        if self.cut_next:
            self.transport.write(frame[: len(frame) // 2])
            self.transport.abort()
            return
        self.transport.write(frame)

    def drop(self, *, clean: bool) -> None:
        """End the connection, with close code 1000 or like a broken line."""
        self._before_write(self.port)
        if clean:
            self._close()
        else:
            self.transport.abort()
