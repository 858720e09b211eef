"""Without the server's time every bar is right: at any start, with a wrong clock, a late line."""

from datetime import datetime

import pytest
from official_bars import SYMBOLS, Keep, assert_all_official, assert_official

from tianqin_backtrader.core.clock import SECOND, from_ns, to_ns

#: Contracts with a night session; at these starts the others would wait for the morning.
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
#: The cases that every run tries.
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
    from tianqin_backtrader.core import clock

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
EACH_RUN = {"stands still 90 s", "falls behind by 30 s"}


@pytest.mark.parametrize(
    "trouble",
    [pytest.param(one, marks=[] if one in EACH_RUN else pytest.mark.slow) for one in TROUBLES],
)
def test_bars_are_official_whatever_keeps_ticks_or_program_late(sandbox, run, trouble):
    store = sandbox(start="2026-11-10 10:04:20", tells_time=False, clock_ahead=10.0)
    feeds = [store.getdata(symbol, lookback=30, night_start=False) for symbol in SYMBOLS]
    strategy = run(store, Keep, *feeds, live=9, at={"10:06": TROUBLES[trouble]})
    assert not strategy.faults
    assert_all_official(store, strategy)


# -- stamps of another time -------------------------------------------------------------------

CU, RB = SYMBOLS[:2]


class KeepAndCompareClocks(Keep):
    """How far the store's clock is ahead of the market's at each bar, seconds."""

    def __init__(self):
        super().__init__()
        self.ahead = []

    def next(self):
        super().next()
        store = self.broker.store
        self.ahead.append((store.clock.now_ns() - store.sandbox_server.clock.market_ns()) / SECOND)


def assert_left_out(store, strategy, symbol, count):
    """``count`` ticks of one contract were left out; bars are official, and the clock is right."""
    for data in strategy.datas:
        assert_official(store, strategy.bars[data._name], data.symbol)
        found = data.certificate()
        assert found.corrected == found.missing == 0, (data.symbol, found)
        assert found.ignored == (count if data.symbol == symbol else 0), (data.symbol, found)
    live = strategy.ahead[-5:]
    assert all(abs(ahead) < 1.0 for ahead in live), live


def odd_tick(at, **params):
    return {"at": {"time": f"2026-11-10 {at}"}, "fault": "odd_tick", "symbol": CU, **params}


@pytest.mark.parametrize(
    ("seconds", "ahead"),
    [
        (30, -90.0), (240, 10.0),
        *(pytest.param(seconds, ahead, marks=pytest.mark.slow)
          for seconds in (10, 60, 270, 299) for ahead in (-90.0, 10.0)),
    ],
)  # fmt: skip
def test_a_tick_stamped_ahead_closes_no_bar(sandbox, run, seconds, ahead):
    """One in the last seconds of a minute, and two in a row."""
    moments = ("10:05:52", "10:06:10.2", "10:06:10.3")
    # Of the same tick sent again a quote would show nothing: the volumes differ.
    script = [odd_tick(at, seconds=seconds, volume=lots) for lots, at in enumerate(moments)]
    store = sandbox(start="2026-11-10 10:04:20", tells_time=False, clock_ahead=ahead, script=script)
    feeds = [store.getdata(one, lookback=30, night_start=False) for one in (CU, RB)]
    strategy = run(store, KeepAndCompareClocks, *feeds, live=8)
    assert_left_out(store, strategy, CU, 3)


class BeforeTheNight:
    """Sends a tick with the opening time every second until the open."""

    OPEN = to_ns(datetime(2026, 11, 9, 21))

    def __init__(self, store, begin):
        self.store, self.next = store, to_ns(datetime.fromisoformat(begin))
        self.wrong = []
        self.sent = 0

    def __call__(self):
        now = self.store.sandbox_server.clock.market_ns()
        if self.next <= now < self.OPEN:
            self.next += SECOND
            self.sent += 1
            self.store.sandbox_server.fault(
                "odd_tick", symbol=CU, stamp="2026-11-09 21:00:00", last_price=77_000.0,
                volume=self.sent,  # otherwise the quote would show the same tick again
            )  # fmt: skip
            if self.store.clock.trusted and self.store.clock.now_ns() > now + 3 * SECOND:
                self.wrong.append(from_ns(now))


@pytest.mark.parametrize(
    ("start", "ahead"),
    [
        ("20:49:50", 90.0),
        ("20:55:50", 0.0),
        *(pytest.param("20:49:50", ahead, marks=pytest.mark.slow) for ahead in (0.0, -90.0)),
    ],
)
def test_stamps_of_the_coming_night_open_no_market(sandbox, run, start, ahead):
    begin = f"2026-11-09 {start}"
    store = sandbox(start=begin, tells_time=False, clock_ahead=ahead)
    feeds = [store.getdata(one, lookback=30, night_start=False) for one in (CU, RB)]
    store.getbroker()
    before = BeforeTheNight(store, begin)
    store.keepers.append(before)
    strategy = run(store, KeepAndCompareClocks, *feeds, live=4)
    assert before.sent > 200 and not before.wrong
    for data in strategy.datas:
        assert_official(store, strategy.bars[data._name], data.symbol)
        assert data.certificate().corrected == data.certificate().missing == 0
    ignored = [data.certificate().ignored for data in strategy.datas]
    # A stamp up to the machine's clock, which may be ahead, may be right.
    assert before.sent - max(ahead, 0.0) - 5 <= ignored[0] <= before.sent and ignored[1] == 0
    assert all(abs(one) < 1.0 for one in strategy.ahead[-3:])
