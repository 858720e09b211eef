"""Every order has one end and every fill is notified once, whatever faults occur.

``python -m pytest -m slow tests/chaos/test_seeded_chaos.py -n 4`` runs the seeds in real time, at
each counter; the environment variable ``CHAOS_SEEDS`` (``200:300``) selects others.
"""

import os

import pytest
from seeded_chaos import make_plan, run_chaos

COUNTERS = ("kq", "ctp")
FIRST, LAST = (int(one) for one in os.environ.get("CHAOS_SEEDS", "0:100").split(":"))


def assert_right(outcome, capsys):
    with capsys.disabled():
        figures = ", ".join(f"{name} {value:.4g}" for name, value in outcome.figures.items())
        print(f"\n{outcome.plan.counter} {outcome.plan.seed}: {figures}")  # noqa: T201
    assert not outcome.violations, "\n".join([outcome.plan.text, *outcome.violations])


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(FIRST, LAST))
@pytest.mark.parametrize("counter", COUNTERS)
def test_chaos_by_seed(counter, seed, tmp_path, capsys):
    assert_right(run_chaos(seed, counter, tmp_path), capsys)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("counter", "seed"), [pytest.param("kq", 191, marks=pytest.mark.slow), ("ctp", 121)]
)
def test_a_little_chaos(counter, seed, tmp_path, capsys):
    """Run short seeds that include a kill and another terminal's trades."""
    outcome = run_chaos(seed, counter, tmp_path, seconds=6.0)
    assert_right(outcome, capsys)
    assert outcome.figures["kills"] == 1


def test_a_seed_is_a_plan():
    assert make_plan(3, "kq") == make_plan(3, "kq")
    assert make_plan(3, "kq") != make_plan(4, "kq")
    plans = [make_plan(seed, "ctp") for seed in range(100)]
    whats = {event.what for plan in plans for event in plan.events}
    assert {"kill", "disk full", "drop", "refuse_token", "front_lost", "foreign_trade"} <= whats
    assert 20 < sum(bool(plan.others) for plan in plans) < 60
