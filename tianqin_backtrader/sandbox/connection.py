"""One client's websocket: packs in, packs out, and everything that can go wrong with it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

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

    Frames are written to the transport directly: a step's answer leaves in the same turn of the
    event loop in which the last peek came.

    Attributes:
        kind: ``"md"`` or ``"td"``.
        client: What the connections of one client have in common (its token).
        frozen: Neither reads, answers nor pongs.
    """

    def __init__(
        self,
        kind: str,
        session: MdSession | TdSession,
        client: str,
        transport: asyncio.Transport,
        number: int,
        close: Callable[[], object],
    ) -> None:
        self.kind = kind
        self.session = session
        self.client = client
        self.number = number
        self.transport = transport
        self._close = close
        self.frozen = False
        self.delay_seconds = 0.0
        self.repeat_next = False
        self.cut_next = False
        self.packs_in = self.packs_out = 0
        self._backlog: list[dict[str, Any]] = []
        self._sending = False
        self._greeted = False

    def greet(self) -> None:
        """Send what comes unasked after the handshake; a frozen connection does when it thaws."""
        if self.frozen:
            return
        self._greeted = True
        for pack in self.session.greeting:
            self._write(pack)

    def receive(self, pack: dict[str, Any]) -> bool:
        """Hand a pack to the session; False if the connection is frozen and keeps it."""
        if self.frozen:
            self._backlog.append(pack)
            return False
        self.packs_in += 1
        self.session.receive(pack)
        return True

    def thaw(self) -> None:
        """End a freeze and handle what has come meanwhile."""
        self.frozen = False
        if not self._greeted:
            self.greet()
        backlog, self._backlog = self._backlog, []
        for pack in backlog:
            self.receive(pack)

    @property
    def can_send(self) -> bool:
        """Whether a pack is due: an open peek, something to send, and no freeze."""
        session = self.session
        return session.peek_open and bool(session.outbox) and not (self.frozen or self._sending)

    def send_unasked(self) -> None:
        """Send what does not wait for a peek, unless the connection is frozen."""
        session = self.session
        if self.frozen or not isinstance(session, TdSession):
            return
        packs, session.unasked = session.unasked, []
        for data in packs:
            frame = self._frame({"aid": "rtn_data", "data": data})
            if self.delay_seconds:
                loop = asyncio.get_running_loop()
                loop.call_later(self.delay_seconds, self._write_frame, frame)
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
        if self.delay_seconds:
            self._sending = True
            frame = self._frame(pack)
            asyncio.get_running_loop().call_later(self.delay_seconds, self._write_late, frame)
        else:
            self._write(pack)

    def _write_late(self, frame: bytes) -> None:
        self._sending = False
        self._write_frame(frame)

    def _frame(self, pack: dict[str, Any]) -> bytes:
        return text_frame(_ENCODER.encode(pack).encode())

    def _write(self, pack: dict[str, Any]) -> None:
        self._write_frame(self._frame(pack))

    def _write_frame(self, frame: bytes) -> None:
        if self.transport.is_closing():
            return
        self.packs_out += 1
        if self.cut_next:
            self.transport.write(frame[: len(frame) // 2])
            self.transport.abort()
            return
        self.transport.write(frame)

    def drop(self, *, clean: bool) -> None:
        """End the connection: with close code 1000, or as a broken line."""
        if clean:
            self._close()
        else:
            self.transport.abort()
