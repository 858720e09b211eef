"""``kill -9`` at every step of an order: no order is duplicated or lost, and the books agree."""

from collections import Counter

import pytest
from restart_program import START, make_plan, outcome, run_program, told_ends, told_lots

from tianqin_backtrader.reconciliation.startup import NEVER_LEFT
from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox

#: The number of tests that share the steps; they may run in parallel.
PARTS = 4
MARKET = {"seed": 11}
SANDBOX = {"start": START, "ticks_per_pack": 5, "balance": 1e8, **MARKET}
#: The paper account, and a futures company with query results up to this many seconds old.
COUNTERS = {
    "kq": {},
    "ctp 0.15": {"counter": "ctp", "query_seconds": 0.15},
    "ctp 2": {"counter": "ctp", "query_seconds": 2.0},
}
#: Every kind of step that the order path has.
KINDS = {
    *(f"before the row of {name}" for name in ("intent", "plan", "report", "fill")),
    "before a commit", "after a commit", "before insert_order", "after insert_order",
    "before cancel_order", "after cancel_order", "after what was handed over has left",
}  # fmt: skip


@pytest.fixture(scope="module")
def plan():
    return make_plan(**MARKET)


@pytest.fixture(
    scope="module",
    params=[pytest.param("kq", marks=pytest.mark.slow), "ctp 0.15",
            pytest.param("ctp 2", marks=pytest.mark.slow)],
)  # fmt: skip
def market(request):
    return SANDBOX | COUNTERS[request.param]


@pytest.fixture(scope="module")
def whole(plan, market, tmp_path_factory):
    """Return the outcome of an undisturbed run, and the names of its steps."""
    folder = tmp_path_factory.mktemp("whole")
    with EmbeddedSandbox(**market) as box:
        code, steps = run_program(box, folder, plan)
        assert code == 0
        return outcome(box, folder), steps


def assert_told_once(folder, kind):
    """Assert that the records have each end and each filled lot notified at most once."""
    for key, ends in told_ends(folder).items():
        assert len(ends) == 1, f"{kind}: {key} was told to be {ends}"
    for key, lots in told_lots(folder).items():
        assert lots == sorted(set(lots)), f"{kind}: of {key} {lots} lots were told"


def assert_equal(found, whole, kind):
    others = found.pop("others in order.csv")
    expected = {name: value for name, value in whole.items() if name != "others in order.csv"}
    assert found == expected, kind
    assert {words for _, words in others} <= {"Canceled", NEVER_LEFT}, kind


@pytest.mark.parametrize(
    "deaths",
    [
        # Recorded but not sent; sent but not reported; filled but not recorded.
        ["before insert_order", "after what was handed over has left", "before the row of fill"],
    ],
)
def test_a_program_that_dies_three_times_comes_to_the_same(plan, market, whole, tmp_path, deaths):
    with EmbeddedSandbox(**market) as box:
        for death in deaths:
            code, steps = run_program(box, tmp_path, plan, kill_at=death)
            assert (code, steps[-1]) == (-9, death)
        assert run_program(box, tmp_path, plan)[0] == 0
        assert_equal(outcome(box, tmp_path), whole[0], deaths)
        assert_told_once(tmp_path, deaths)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
def test_every_step_survives_its_killing(plan, market, whole, tmp_path, part):
    expected, names = whole
    assert set(names) == KINDS
    visited, number, failed = {}, part, []
    while True:
        folder = tmp_path / str(number)
        folder.mkdir()
        with EmbeddedSandbox(**market) as box:
            code, steps = run_program(box, folder, plan, kill=number)
            if code == 0:
                break
            assert len(steps) == number + 1
            visited[number] = steps[-1]
            assert run_program(box, folder, plan)[0] == 0
            try:
                assert_equal(outcome(box, folder), expected, f"step {number}: {steps[-1]}")
                assert_told_once(folder, f"step {number}: {steps[-1]}")
            except AssertionError as error:
                failed.append(f"step {number}, {steps[-1]}: {error}")
        number += PARTS
    assert not failed, "\n".join(failed)
    # A program's packs, and so its steps, differ a little from run to run.
    assert number >= 0.9 * len(names)
    assert sorted(visited) == list(range(part, number, PARTS))
    print(f"\npart {part}: killed at {len(visited)} steps, {Counter(visited.values())}")  # noqa: T201
