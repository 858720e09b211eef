"""How long packs are on their way on a line that is slow."""

import random

import pytest

from tianqin_backtrader.sandbox.latency import Latency


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
