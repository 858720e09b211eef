"""What a connection sends, and what faults change. The transport is a list of bytes."""

import asyncio
import json
from typing import Any

import pytest

from tianqin_backtrader.sandbox.wire.connection import Connection, text_frame
from tianqin_backtrader.sandbox.wire.send_queue import SendQueue
from tianqin_backtrader.sandbox.wire.td import TdSession


class Line(asyncio.Transport):
    """Stores what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.aborted = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def link(line: Line) -> Connection:
    desk: Any = None  # nothing is traded here
    return Connection("td", TdSession(desk, 1), "client", line, 1, lambda: None)


def payload(frame: bytes) -> dict[str, Any]:
    pack: dict[str, Any] = json.loads(frame[2:] if frame[1] < 126 else frame[4:])
    return pack


def peek(link: Connection) -> None:
    link.receive({"aid": "peek_message"})


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (0, "8100"),
        (125, "817d"),
        (126, "817e007e"),
        (65535, "817effff"),
        (65536, "817f0000000000010000"),
    ],
)
def test_frames_say_their_length_in_as_many_bytes_as_it_takes(size: int, header: str) -> None:
    assert text_frame(b"x" * size) == bytes.fromhex(header) + b"x" * size


def test_a_pack_leaves_only_for_an_open_peek_and_closes_it(link: Connection, line: Line) -> None:
    link.session.outbox.add({"a": 1})
    assert not link.can_send
    peek(link)
    assert link.can_send
    link.send_due()
    assert payload(line.written[0]) == {"aid": "rtn_data", "data": [{"a": 1}, {}]}
    assert not link.session.peek_open and not link.can_send


def test_a_repeated_pack_has_its_elements_twice_in_one_answer(link: Connection, line: Line) -> None:
    link.session.outbox.add({"a": 1}, {"b": 2})
    link.repeat_next = True
    peek(link)
    link.send_due()
    assert payload(line.written[0])["data"] == [{"a": 1}, {"b": 2}, {"a": 1}, {"b": 2}, {}]
    assert len(line.written) == 1 and not link.repeat_next


def test_a_cut_frame_ends_half_way_with_the_line(link: Connection, line: Line) -> None:
    link.session.outbox.add({"a": 1})
    link.cut_next = True
    peek(link)
    link.send_due()
    whole = text_frame(b'{"aid":"rtn_data","data":[{"a":1},{}]}')
    assert line.written == [whole[: len(whole) // 2]] and line.aborted


def test_a_frozen_connection_keeps_what_comes_until_it_thaws(link: Connection) -> None:
    link.frozen = True
    assert link.receive({"aid": "peek_message"}) is False
    link.session.outbox.add({"a": 1})
    assert not link.session.peek_open and not link.can_send
    link.thaw()
    assert link.session.peek_open and link.can_send


def test_differences_join_unless_a_pack_stands_alone() -> None:
    outbox = SendQueue()
    outbox.add({"a": 1})
    outbox.add({"b": 2})
    outbox.add_pack(lambda: [{"c": 3}])
    outbox.add({"d": 4})
    packs = [outbox.take() for _ in range(len(outbox))]
    assert packs == [[{"a": 1}, {"b": 2}], [{"c": 3}], [{"d": 4}]]
