"""Where nobody tells the time every bar is right: at every start, on a wrong clock, a late line."""

from datetime import datetime

import pytest
from official_bars import SYMBOLS, Keep, assert_all_official

#: So many trade at night, and where they begin the others would have to wait for the morning.
NIGHT, IN_THE_EVENING = 3, ("before the close", "Friday evening")
STARTS = {
    "before an end": "2026-11-10 10:02:59.900000",
    "at an end": "2026-11-10 10:03:00",
    "after an end": "2026-11-10 10:03:00.300000",
    "in a break": "2026-11-10 10:20:00",
    "after a close": "2026-11-10 11:30:20",
    "before the close": "2026-11-10 14:59:58",
    "Friday evening": "2026-11-13 20:59:00",
    "Saturday": "2026-11-14 11:00:00",
}
AHEAD = (-90.0, -10.0, 0.0, 10.0, 90.0)
#: Of the table those that every run tries.
TRIED = [
    ("before an end", 90.0), ("at an end", -90.0), ("after an end", 10.0), ("in a break", 90.0),
    ("before the close", 90.0), ("Friday evening", -90.0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("start", "ahead"),
    [
        pytest.param(
            start, ahead, marks=[] if (start, ahead) in TRIED else pytest.mark.slow,
            id=f"{start}, {ahead:+.0f} s",
        )
        for start in STARTS
        for ahead in AHEAD
    ],
)  # fmt: skip
def test_bars_are_official_at_every_start_on_every_clock(sandbox, run, start, ahead):
    store = sandbox(start=STARTS[start], days=2, tells_time=False, clock_ahead=ahead)
    symbols = SYMBOLS[:NIGHT] if start in IN_THE_EVENING else SYMBOLS
    feeds = [store.getdata(symbol, lookback=30, night_start=False) for symbol in symbols]
    strategy = run(store, Keep, *feeds)
    assert not store.clock.virtual
    assert_all_official(store, strategy)
    begin = datetime.fromisoformat(STARTS[start])
    for bars in strategy.bars.values():
        history = [bar[0] for bar in bars if bar[-1]]
        assert history and history[-1] <= begin  # no running minute is history


def stand_still(seconds):
    return lambda store: store.sandbox_server.fault("stop_program", seconds=seconds)


def late_line(seconds, jitter=0.0, over=None):
    return lambda store: store.sandbox_server.fault(
        "latency", conn="md", seconds=seconds, jitter=jitter, over=over
    )


def frozen(seconds):
    return lambda store: store.sandbox_server.fault("freeze", conn="all", seconds=seconds)


def computing(seconds):
    """A ``next()`` that computes over the end of a minute."""
    from tianqin_backtrader import clock

    return lambda _: clock.pause(seconds)


TROUBLES = {
    "stands still 5 s": stand_still(5.0), "stands still 90 s": stand_still(90.0),
    "late by 0.5 s": late_line(0.5), "late by 3 s": late_line(3.0),
    "late by 0.02 to 3 s": late_line(0.02, 2.98), "falls behind by 30 s": late_line(30.0, over=60),
    "the network stands 1 s": frozen(1.0), "the network stands 4 s": frozen(4.0),
    "the network stands 30 s": frozen(30.0),
    "computes 58 s": computing(58.0), "computes 61 s": computing(61.0),
    "computes 300 s": computing(300.0),
}  # fmt: skip
EACH_RUN = {"stands still 90 s", "late by 3 s", "falls behind by 30 s", "computes 61 s"}


@pytest.mark.parametrize(
    "trouble",
    [pytest.param(one, marks=[] if one in EACH_RUN else pytest.mark.slow) for one in TROUBLES],
)
def test_bars_are_official_whatever_keeps_ticks_or_program_late(sandbox, run, trouble):
    store = sandbox(start="2026-11-10 10:04:20", tells_time=False, clock_ahead=10.0)
    feeds = [store.getdata(symbol, lookback=30, night_start=False) for symbol in SYMBOLS]
    strategy = run(store, Keep, *feeds, live=14, at={"10:06": TROUBLES[trouble]})
    assert not strategy.faults
    assert_all_official(store, strategy)
