"""Without the server's time and with wrong clocks: all products, bars of all lengths."""

from datetime import datetime

import pytest
from official_bars import FIELDS, Keep, assert_all_official

from tianqin_backtrader.core.clock import MINUTE, from_ns
from tianqin_backtrader.session_calendar import CALENDAR

#: Nights to 2:30 and 23:00, exchanges with timestamps of whole seconds, and a main contract.
CONTRACTS = ("SHFE.au2704", "INE.sc2701", "CZCE.SR701", "CZCE.AP701", "GFEX.si2701", "KQ.m@DCE.m")
INDEX_OPTIONS = ("CFFEX.IO", "CFFEX.HO", "CFFEX.MO")
slow = pytest.mark.slow


@pytest.mark.parametrize(
    ("start", "contracts", "ahead"),
    [
        ("2026-11-10 10:02:59.900000", CONTRACTS, 90.0),
        ("2026-11-11 02:29:58", CONTRACTS[:2], -90.0),
        pytest.param("2026-11-10 10:03:00.300000", CONTRACTS, -90.0, marks=slow),
        pytest.param("2026-11-10 10:20:00", CONTRACTS, -90.0, marks=slow),
        pytest.param("2026-11-10 22:59:58", CONTRACTS[:3], 90.0, marks=slow),
        pytest.param("2026-11-11 02:20:20", CONTRACTS[:2], 90.0, marks=slow),
        pytest.param("2026-11-13 20:59:00", CONTRACTS[:3], 90.0, marks=slow),
    ],
)
def test_contracts_of_other_exchanges_and_nights(sandbox, run, start, contracts, ahead):
    store = sandbox(start=start, days=2, tells_time=False, clock_ahead=ahead)
    feeds = [store.getdata(one, lookback=30, night_start=False) for one in contracts]
    strategy = run(store, Keep, *feeds)
    assert_all_official(store, strategy)
    begin = datetime.fromisoformat(start)
    for bars in strategy.bars.values():
        history = [bar[0] for bar in bars if bar[-1]]
        assert history and history[-1] <= begin  # no running minute is history


@pytest.mark.parametrize("ahead", [-75.0, pytest.param(75.0, marks=slow)])
def test_the_quote_of_the_night_before_is_not_the_present(sandbox, run, ahead):
    """It is the first thing to come; a clock set by it would doubt the first minute's ticks."""
    store = sandbox(start="2026-11-10 08:50:00", tells_time=False, clock_ahead=ahead)
    feed = store.getdata("SHFE.cu2612", lookback=30, night_start=False, qcheck=5.0)
    assert_all_official(store, run(store, Keep, feed, live=2))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("ahead", [-90.0, 90.0])
def test_every_product(sandbox, run, ahead):
    store = sandbox(start="2026-11-10 10:02:59.900000", tells_time=False, clock_ahead=ahead, seed=3)
    keys = [key for key in CALENDAR.products if key not in INDEX_OPTIONS]
    assert len(keys) == 96
    wanted = {"lookback": 5, "night_start": False, "qcheck": 5.0}
    feeds = [store.getdata(f"KQ.m@{key}", **wanted) for key in keys]
    assert_all_official(store, run(store, Keep, *feeds, live=3))


@pytest.mark.parametrize(
    ("minutes", "start", "ahead"),
    [
        (5, "2026-11-10 10:04:59.900000", 90.0),
        *(pytest.param(minutes, start, ahead, marks=slow)
          for minutes, start in [(3, "2026-11-10 10:08:59.900000"), (15, "2026-11-10 10:14:58"),
                                 (30, "2026-11-10 11:29:58"), (60, "2026-11-10 10:59:59.900000")]
          for ahead in (-90.0, 90.0)),
    ],
)  # fmt: skip
def test_longer_bars(sandbox, run, minutes, start, ahead):
    """Start shortly before a bar ends, or a break begins."""
    store = sandbox(start=start, days=2, tells_time=False, clock_ahead=ahead)
    wanted = {"compression": minutes, "lookback": 10, "night_start": False, "qcheck": 5.0}
    feeds = [store.getdata(one, **wanted) for one in ("SHFE.cu2612", "CFFEX.T2612")]
    strategy = run(store, Keep, *feeds, live=2)
    for data in strategy.datas:
        rows = [
            (from_ns(row["datetime"] + minutes * MINUTE), *(row[name] for name in FIELDS))
            for day in ("2026-11-06", "2026-11-09", "2026-11-10", "2026-11-11")
            for row in store.sandbox_server.bars(data.symbol, 60 * minutes, trading_day=day)
        ]
        bars = [bar[:-1] for bar in strategy.bars[data._name]]
        begin = [row[0] for row in rows].index(bars[0][0])
        assert bars == rows[begin : begin + len(bars)], data.symbol
        found = data.certificate()
        assert found.corrected == found.missing == found.ignored == 0, found


@pytest.mark.parametrize(
    ("start", "ahead"),
    [
        ("2026-11-10 14:59:58", 90.0),
        *(pytest.param(start, ahead, marks=slow)
          for start in ("2026-11-10 14:40:00", "2026-11-10 20:59:00") for ahead in (-90.0, 90.0)),
    ],
)  # fmt: skip
def test_days(sandbox, run, start, ahead):
    """Run over the close of a day, or the open of the next one, until a day has ended."""
    store = sandbox(start=start, days=2, tells_time=False, clock_ahead=ahead)
    feed = store.get_daily_data("CFFEX.IF2612", lookback=3, qcheck=5.0)
    strategy = run(store, Keep, feed, live=1)
    [bars] = strategy.bars.values()
    server = store.sandbox_server
    for stamp, *values, _ in bars:
        [row] = server.bars("CFFEX.IF2612", 86400, trading_day=f"{stamp:%Y-%m-%d}")
        assert values == [row[name] for name in FIELDS], stamp
    assert [bar[-1] for bar in bars] == [True] * (len(bars) - 1) + [False] and len(bars) > 3


@pytest.mark.parametrize(
    ("speed", "drift"),
    [(15, 1e-4), pytest.param(2, -1e-4, marks=slow), pytest.param(10, 1e-4, marks=slow)],
)
def test_on_a_clock_that_runs(sandbox, run, speed, drift):
    store = sandbox(
        start="2026-11-10 10:11:30", tells_time=False, speed=speed, clock_ahead=-90.0,
        clock_drift=drift,
    )  # fmt: skip
    feeds = [
        store.getdata(one, lookback=30, night_start=False)
        for one in ("SHFE.cu2612", "SHFE.rb2701", "DCE.m2701")
    ]
    assert_all_official(store, run(store, Keep, *feeds, live=2))


@pytest.mark.parametrize(
    "drift", [1e-4, pytest.param(-1e-4, marks=slow), pytest.param(3e-5, marks=slow)]
)
def test_a_clock_that_drifts_over_a_night_and_a_weekend(sandbox, run, drift):
    """The clock is up to 24 s wrong when the market opens again, and no tick is left out."""
    store = sandbox(
        start="2026-11-13 14:57:00", days=2, tells_time=False, clock_ahead=10.0, clock_drift=drift
    )
    wanted = {"lookback": 30, "night_start": False, "qcheck": 5.0}
    symbols = ("SHFE.rb2701", "CFFEX.IF2612")  # one has no data over the weekend, one none at night
    strategy = run(store, Keep, *[store.getdata(one, **wanted) for one in symbols], live=6)
    assert_all_official(store, strategy)
    assert all(bars[-1][0].month == 11 for bars in strategy.bars.values())
