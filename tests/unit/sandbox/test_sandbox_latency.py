"""How long packs are under way on a slow line."""

import asyncio
import random
from typing import Any

import pytest

from tianqin_backtrader.sandbox.fault_runner import FaultRunner
from tianqin_backtrader.sandbox.faults import FaultBook, make_fault
from tianqin_backtrader.sandbox.server import SandboxOptions, make_engine
from tianqin_backtrader.sandbox.wire.connection import Connection
from tianqin_backtrader.sandbox.wire.latency import Latency
from tianqin_backtrader.sandbox.wire.td import TdSession


class Clock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


def make(clock: Clock, seconds: float, jitter: float = 0.0, over: float | None = None) -> Latency:
    return Latency(seconds, jitter, over, clock, random.Random(1))


@pytest.mark.parametrize("seconds", [0.02, 3.0])
def test_it_is_the_same_both_ways(seconds: float) -> None:
    line = make(Clock(), seconds)
    assert line.out() == pytest.approx(seconds)
    assert line.into() == pytest.approx(seconds)


def test_jitter_makes_it_longer_and_nothing_overtakes() -> None:
    clock = Clock()
    line, arrivals, ways = make(clock, 1.0, 2.0), [], []
    for _ in range(200):
        clock.now += 0.1
        ways.append(line.out())
        arrivals.append(clock.now + ways[-1])
    assert 1.0 <= min(ways) < 1.5 and 2.5 < max(ways) <= 3.0
    assert arrivals == sorted(arrivals)


def test_a_line_falls_behind_and_catches_up() -> None:
    clock = Clock()
    line, ways = make(clock, 3.0, over=10.0), []
    for _ in range(26):
        ways.append(round(line.out(), 6))
        clock.now += 1.0
    assert ways[:11] == pytest.approx([0.3 * step for step in range(11)])
    assert max(ways) == 3.0 and ways[20:] == [0.0] * 6


async def are_late(*faults: dict[str, Any]) -> list[str]:
    """After each fault, the kinds of connections that get a latency if they are made then."""
    runner = FaultRunner(make_engine(SandboxOptions()), FaultBook())
    found = []
    for params in faults:
        runner.apply(make_fault("latency", params))
        links = []
        for kind in ("md", "td"):
            desk: Any = None
            links.append(Connection(kind, TdSession(desk, 1), "", asyncio.Transport(), 1, list))
            runner.begin(links[-1])
        found.append(" ".join(link.kind for link in links if link.is_slow))
    return found


def test_connections_made_later_are_late_where_that_is_asked_for_until_it_is_not() -> None:
    late = are_late(
        {"conn": "all", "seconds": 3.0},
        {"conn": "all", "seconds": 3.0, "later": True},
        {"conn": "td", "seconds": 0.0, "later": True},
        {"conn": "md", "seconds": 3.0},
    )
    assert asyncio.run(late) == ["", "md td", "md", ""]
