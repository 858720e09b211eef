"""Two days of five contracts with a server that sends no time, under faults of link and machine.

``python -m pytest -m slow tests/chaos/test_silent_days.py -n 2`` runs the seeds; the environment
variable ``SILENT_SEEDS`` (``50:60``) selects others.
"""

import os
import random
from datetime import datetime, timedelta

import pytest
from official_bars import Keep, assert_all_official

from tianqin_backtrader.core.clock import MINUTE, from_ns

#: One contract with ticks every few seconds and four with gaps of minutes, with all night sessions.
SYMBOLS = ("SHFE.cu2612", "SHFE.au2704", "DCE.m2707", "CZCE.SR705", "CFFEX.T2703")
START, DAYS = "2026-11-10 08:50:00", ("2026-11-10", "2026-11-11")
#: Sessions with faults: start and length in minutes.
SESSIONS = (
    ("2026-11-10 09:00", 75), ("2026-11-10 10:30", 60), ("2026-11-10 13:30", 90),
    ("2026-11-10 21:00", 240), ("2026-11-11 09:00", 75), ("2026-11-11 10:30", 60),
    ("2026-11-11 13:30", 85),
)  # fmt: skip
FIRST, LAST = (int(one) for one in os.environ.get("SILENT_SEEDS", "0:50").split(":"))
TROUBLES = 8


def draw(rng):
    """Draw one fault: its name and parameters."""
    conn = rng.choice(["md", "td", "all"])
    line = {"conn": rng.choice(["md", "all"])}
    return rng.choice([
        ("drop", {"conn": conn, "how": rng.choice(["abrupt", "clean"])}),
        ("cut", {"conn": "md"}),
        ("repeat", {"conn": "md"}),
        ("freeze", {**line, "seconds": rng.uniform(1.0, 30.0)}),
        ("latency", {**line, "seconds": rng.uniform(0.02, 3.0), "jitter": rng.random()}),
        ("latency", {**line, "seconds": rng.uniform(3.0, 30.0), "over": rng.uniform(5.0, 90.0)}),
        ("stop_program", {"seconds": rng.uniform(1.0, 120.0)}),
        ("hole", {"symbol": SYMBOLS[0], "count": rng.randint(1, 20)}),
    ])  # fmt: skip


def make_plan(seed):
    """Return (the machine's clock error, the faults); the same seed gives the same plan."""
    rng = random.Random(f"silent {seed}")
    clock = {"clock_ahead": rng.uniform(-90.0, 90.0), "clock_drift": rng.uniform(-1e-4, 1e-4)}
    script = []
    for _ in range(TROUBLES):
        begin, minutes = rng.choice(SESSIONS)
        moment = datetime.fromisoformat(begin) + timedelta(seconds=rng.uniform(0, minutes * 60))
        name, parameters = draw(rng)
        script.append({"at": {"time": f"{moment}"}, "fault": name, **parameters})
    return clock, script


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(FIRST, LAST))
def test_every_bar_is_official_over_two_days_without_a_told_time(sandbox, run, capsys, seed):
    clock, script = make_plan(seed)
    options = {"seed": seed + 1, "ticks_per_pack": 30, "tells_time": False, **clock}
    store = sandbox(start=START, days=len(DAYS), script=script, **options)
    # With the default wait of half a second per round, two days would take too many rounds.
    wanted = {"lookback": 30, "night_start": False, "qcheck": 5.0}
    feeds = [store.getdata(symbol, **wanted) for symbol in SYMBOLS]
    strategy = run(store, Keep, *feeds, live=10**6)
    assert_all_official(store, strategy)
    for symbol, bars in strategy.bars.items():
        last = store.sandbox_server.bars(symbol, 60, trading_day=DAYS[-1])[-1]
        assert bars[-1][0] == from_ns(last["datetime"] + MINUTE)
        assert bars[0][0] <= datetime.fromisoformat(START) and not bars[-1][-1]
    assert store.sandbox_server.state()["faults"]["planned"] == 0
    certificates = store.certificate().values()
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{seed}: {sum(one.delivered for one in certificates)} bars, "
            f"{store.reconnector.sessions} sessions"
        )


def test_a_seed_is_a_plan():
    assert make_plan(3) == make_plan(3) != make_plan(4)
    names = {one["fault"] for seed in range(50) for one in make_plan(seed)[1]}
    assert names >= {"drop", "freeze", "latency", "stop_program", "hole"}
