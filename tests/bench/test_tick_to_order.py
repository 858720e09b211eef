"""How long it takes from a tick to the order that answers it, beside TqSdk alone.

Run with ``python -m pytest -m bench -s tests/bench/test_tick_to_order.py``. A sandbox in a process
of its own runs in real time and does not tell it. Every contract has two ticks a second; one of
them is traded on each tick, the others are kept as minute bars. Times are those of the sandbox:
when the pack with the tick was written, and when the order arrived. Both sides run in turn, each in
a fresh process; ``TICK_TO_ORDER=1,20:30:3`` selects contracts, seconds and rounds. With one
contract there is a third side, the least that Backtrader needs: a feed that reads TqSdk's serial
and a broker that sends.
"""

import json
import os
import statistics
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from answering_client import price_of
from paced_market import TRADED, contracts, stamped_server, write_market

from tianqin_backtrader.core.clock import SECOND

BEGINS, START, MINUTES = datetime(2026, 11, 10, 10, 30), "2026-11-10 10:44:40", 25
COUNTS, SECONDS, ROUNDS = "1,20,50,100", 60, 5
#: Side -> whether it writes records.
SIDES = {"bare": False, "least": False, "ours": False, "ours, records": True}
#: Contracts -> ratios of the median that are not to be exceeded.
GOALS = {1: 1.1, 20: 1.0, 50: 1.0, 100: 1.0}
#: The same of the 95th percentile.
GOAL_95 = 1.2
HERE = Path(__file__).parent


def asked():
    """(contracts, seconds, rounds)."""
    wanted = os.environ.get("TICK_TO_ORDER", f"{COUNTS}:{SECONDS}:{ROUNDS}")
    counts, seconds, rounds = wanted.split(":")
    return [int(one) for one in counts.split(",")], int(seconds), int(rounds)


def read_stamps(path):
    """(milliseconds from each tick to its order, ticks without one, packs and bytes a second)."""
    left, delays, packs = {}, [], []
    for line in path.read_text("ascii").splitlines():
        word, moment, number = line.split()
        if word == "tick":
            left[price_of(int(number))] = int(moment)
        elif word == "order" and float(number) in left:
            delays.append((int(moment) - left.pop(float(number))) / 1e6)
        elif word == "pack":
            packs.append((int(moment), int(number)))
    return delays, packs


def run(side, market, symbols, seconds, folder, program="answering_client.py"):
    """What a side reports, and the file of the server's stamps."""
    stamps = folder / "stamps"
    records = str(folder / "records") if SIDES[side] else False
    with stamped_server(market, stamps, TRADED, START) as server:
        plan = {
            "urls": server["urls"], "clock_port": server["clock_port"], "symbols": symbols,
            "seconds": seconds, "records": records,
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, HERE / program, side.split(",")[0], json.dumps(plan)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), stamps


def measure(side, market, symbols, seconds, folder):
    """Run a side once."""
    report, stamps = run(side, market, symbols, seconds, folder)
    delays, packs = read_stamps(stamps)
    # All but those of the start and the end.
    assert len(delays) >= 0.9 * seconds * 2, (len(delays), report)
    last = packs[-1][0] - seconds * SECOND
    inside = [size for moment, size in packs if moment > last]
    return {
        "delays": delays[-2 * seconds :],
        "minutes": [value / 1e6 for value in report["minutes"].values()],
        "cpu": report["cpu"] / seconds,
        "packs": len(inside) / seconds,
        "bytes": sum(inside) / seconds,
        "peak": report["peak"],
    }


def quantile(values, share):
    """The value below which a share of them is."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@pytest.mark.bench
@pytest.mark.timeout(7200)
def test_from_a_tick_to_its_order(tmp_path):
    counts, seconds, rounds = asked()
    market, broken = tmp_path / "market.csv", []
    write_market(market, contracts(max(counts)), BEGINS, MINUTES)
    head = "contracts  side           p50 ms  p95 ms  p99 ms  ratio of p50, p95"
    print(f"\n{head}  minute p50, p99  cpu %  packs/s  kB/s  MB")
    for count in counts:
        symbols, found = contracts(max(counts))[:count], {side: [] for side in sides_of(count)}
        for number in range(rounds):
            for side, runs in found.items():
                folder = tmp_path / f"{count}_{number}_{side}"
                folder.mkdir()
                runs.append(measure(side, market, symbols, seconds, folder))
        for side, runs in found.items():
            ratios = [
                statistics.median(
                    quantile(one["delays"], share) / quantile(other["delays"], share)
                    for one, other in zip(runs, found["bare"], strict=True)
                )
                for share in (0.5, 0.95)
            ]
            print(row(count, side, runs, ratios), flush=True)
            if "ours" in side and (ratios[0] > GOALS.get(count, 1.0) or ratios[1] > GOAL_95):
                broken.append((count, side, ratios))
    assert broken == []


def sides_of(count):
    """The sides that are compared with so many contracts."""
    return [side for side in SIDES if side != "least" or count == 1]


def row(count, side, runs, ratios):
    """A line of the table: medians of the rounds."""

    def middle(take):
        return statistics.median(map(take, runs))

    times = [middle(lambda run, q=q: quantile(run["delays"], q)) for q in (0.5, 0.95, 0.99)]
    minutes = [delay for run in runs for delay in run["minutes"]] or [0.0]
    return (
        f"{count:9d}  {side:13s}"
        + "".join(f"{one:8.2f}" for one in times)
        + "".join(f"{one:9.2f}" for one in ratios)
        + f"{quantile(minutes, 0.5):14.0f} {quantile(minutes, 0.99):9.0f}"
        + f"{100 * middle(lambda run: run['cpu']):7.1f} {middle(lambda run: run['packs']):8.0f}"
        + f"{middle(lambda run: run['bytes']) / 1000:6.0f} {middle(lambda run: run['peak']):6.0f}"
    )


@pytest.mark.bench
@pytest.mark.timeout(3600)
def test_where_the_time_goes(tmp_path):
    counts, seconds, _ = asked()
    market = tmp_path / "market.csv"
    write_market(market, contracts(max(counts)), BEGINS, MINUTES)
    print("\ncontracts  side           milliseconds of each part")
    for count in counts:
        for side in (side for side in SIDES if side != "least"):
            folder = tmp_path / f"{count}_{side}"
            folder.mkdir()
            symbols = contracts(max(counts))[:count]
            report, _ = run(side, market, symbols, seconds, folder, "traced_client.py")
            parts = "  ".join(f"{name} {value:.2f}" for name, value in report["stages"].items())
            print(f"{count:9d}  {side:13s}  {parts}", flush=True)
            assert all(value > 0 for value in report["stages"].values())
