"""Seconds until fifty contracts have 10 000 minutes of history each, and the memory it takes.

Run with ``python -m pytest -m bench -s tests/bench/test_many_histories.py``. Both sides get the
same bars of a sandbox in a process of its own, in real time, which has made its past already; they
run in turn, each in a fresh process. ``MANY_HISTORIES=50:10000:5`` selects contracts, bars and
rounds.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from silent_server import started

START, HERE = "2026-11-10 10:30:00", Path(__file__).parent
SANDBOX = ("-m", "tianqin_backtrader.sandbox", "--speed", "1")
SIDES, GOAL = ("bare", "ours"), 1.2


def run(side, plan):
    done = subprocess.run(
        [sys.executable, HERE / "history_client.py", side, json.dumps(plan)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.bench
@pytest.mark.timeout(3600)
def test_many_histories_against_bare_client():
    count, bars, rounds = map(int, os.environ.get("MANY_HISTORIES", "50:10000:5").split(":"))
    with started(*SANDBOX, "--start", START) as here:
        plan = {"count": count, "bars": bars} | {
            name: here[name] for name in ("urls", "clock_port")
        }
        run("ours", plan)  # the sandbox makes its past
        rows = [{side: run(side, plan) for side in SIDES} for _ in range(rounds)]
    for row in rows:
        # The running bar is one of the bare client's.
        assert all(number >= bars for number in row["ours"]["bars"])
        assert all(number == bars for number in row["bare"]["bars"])
    print(f"\n{count} contracts, {bars} minutes each\nside  seconds      MB")
    for side in SIDES:
        seconds, peak = (
            statistics.median(row[side][what] for row in rows) for what in ("seconds", "peak")
        )
        print(f"{side:5s} {seconds:7.2f} {peak:7.0f}")
    ratio = statistics.median(row["ours"]["seconds"] / row["bare"]["seconds"] for row in rows)
    print(f"ratio {ratio:.2f}")
    assert ratio <= GOAL
