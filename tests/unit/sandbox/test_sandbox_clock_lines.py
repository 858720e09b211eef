"""The sandbox's end of the shared clock: who waits, until when, and who is woken."""

import asyncio
from typing import Any

import pytest

from tianqin_backtrader.core.shared_clock import PORT, SAYS, SLEEPS, WAITS, WORD
from tianqin_backtrader.sandbox.wire.clock_lines import ClockLine, ClockLines


class Wire(asyncio.Transport):
    """Stores what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[Any, ...]] = []

    def write(self, data: Any) -> None:
        self.told += WORD.iter_unpack(data)


class World:
    """Two programs on a clock: the first has port 1, the second port 2."""

    def __init__(self) -> None:
        self.now, self.waits = 100, 0
        self.lines = ClockLines(lambda: (self.now, 0, 0.0), self.on_wait)
        self.wires = [Wire(), Wire()]
        self.ends = [ClockLine(self.lines) for _ in self.wires]
        for port, (end, wire) in enumerate(zip(self.ends, self.wires, strict=True), 1):
            end.connection_made(wire)
            end.data_received(SAYS.pack(PORT, port))

    def on_wait(self) -> None:
        self.waits += 1

    def wait(self, first: int, second: int, how: bytes = WAITS) -> None:
        for end, until in zip(self.ends, (first, second), strict=True):
            end.data_received(SAYS.pack(how, until))

    def told(self) -> list[list[int]]:
        return [[word[0] for word in wire.told] for wire in self.wires]


@pytest.fixture
def world() -> World:
    return World()


def test_a_program_is_told_the_time_when_it_comes(world: World) -> None:
    assert world.told() == [[100], [100]]


def test_time_goes_on_to_the_first_of_their_moments_when_all_wait(world: World) -> None:
    assert world.lines.next_wake is None
    world.ends[0].data_received(SAYS.pack(WAITS, 150))
    assert world.lines.next_wake is None and world.waits == 1
    world.ends[1].data_received(SAYS.pack(WAITS, 130))
    assert world.lines.next_wake == 130 and world.waits == 2


def test_who_is_due_is_woken_and_told(world: World) -> None:
    world.wait(150, 130)
    world.now = 130
    world.lines.wake()
    assert world.told() == [[100], [100, 130]]
    assert world.lines.next_wake is None


def test_who_is_sent_something_works(world: World) -> None:
    world.wait(150, 130)
    world.now = 120
    world.lines.sends_to(1)
    assert world.told() == [[100, 120], [100]] and world.lines.next_wake is None
    world.lines.sends_to(99)  # nobody's
    assert world.told() == [[100, 120], [100]]


def test_who_sleeps_is_told_and_sleeps_on(world: World) -> None:
    world.wait(150, 130, SLEEPS)
    world.now = 120
    world.lines.sends_to(1)
    assert world.told()[0] == [100, 120] and world.lines.next_wake == 130
    assert not world.lines.hears(1) and world.lines.hears(99)


def test_a_stop_lasts_longer_than_a_wait(world: World) -> None:
    world.wait(150, 130)
    world.lines.stopped_until = 140
    assert world.lines.next_wake == 140
    world.now = 140
    world.lines.wake()
    assert world.told() == [[100], [100, 140]]


def test_nobody_waits_for_who_has_gone(world: World) -> None:
    world.ends[0].data_received(SAYS.pack(WAITS, 150))
    world.ends[1].connection_lost(None)
    assert world.lines.next_wake == 150 and world.waits == 2
    world.ends[0].connection_lost(None)
    assert not world.lines


def test_what_comes_in_pieces_is_put_together(world: World) -> None:
    said = SAYS.pack(PORT, 7) + SAYS.pack(WAITS, 150)
    for byte in said:
        world.ends[0].data_received(bytes([byte]))
    assert world.ends[0].ports == {1, 7} and world.ends[0].until == 150
