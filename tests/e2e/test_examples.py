"""The examples do in the sandbox what they say they do."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from webhook import Webhook

EXAMPLES = Path(__file__).parents[2] / "examples"
BALANCE = r"Balance\(start=1000000\.0, profit=-?[\d.]+, fees=[\d.]+\)"
#: Example: its options, and what its output must show, in this order.
SHOWS = {
    "opening_range": (["--days", "2"], [r"long\n", r"sold 2 at", r"trade ", r"short\n", BALANCE]),
    "bollinger": ([], [r"\+3 lots", r"long [+-]", r"-3 lots", r"short [+-]", BALANCE]),
    "spread": ([], [r"score \+\d.\d: -2\n", r": \+0\n", r"score -\d.\d: \+2\n", "round trips"]),
    "daily_trend": (["--days", "2"], [r"leaves \d+ - \d+: -2 lots", r"sold 2 at", r"^-2 lots"]),
    "scalper": (["--trips", "5"], [r"^5 round trips of \d+ orders", BALANCE]),
    "rolling_main": (
        [],
        [r"bought 2 SHFE\.cu2612", r"SHFE\.cu2612 -> SHFE\.cu2701, gap",
         r"sold 1 SHFE\.cu2612", r"bought 1 SHFE\.cu2701", r"roll of 2 lots long .*: DONE",
         r"^SHFE\.cu2701 (long|short)", BALANCE],
    ),
    "risk_rules": (
        [],
        [r"max_order_size is 5", r"below the day's limit", r"REDUCING", r"flatten\n",
         r"nothing is held any more", r"^REDUCING " + BALANCE],
    ),
}  # fmt: skip

LONG = {"daily_trend", "rolling_main", "spread"}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in LONG else ()) for name in SHOWS],
)
def test_it_does_what_it_says(name, tmp_path):
    options, expected = SHOWS[name]
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py", *options],
        capture_output=True, text=True, encoding="utf-8", timeout=280, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "refused" not in done.stdout or name == "risk_rules"
    assert re.search(".*?".join(f"(?:{one})" for one in expected), done.stdout, re.S | re.M)
    assert "Traceback" not in done.stderr


def test_risk_rules_tell_an_alert_server(tmp_path):
    hook = Webhook()
    try:
        subprocess.run(
            [sys.executable, EXAMPLES / "risk_rules.py", "--alert", hook.url],
            check=True, capture_output=True, timeout=280, cwd=tmp_path,
        )  # fmt: skip
        told = "\n".join(f"{one['title']} {one['message']}" for one in hook.messages)
    finally:
        hook.close()
    assert "max_order_size is 5" in told
    assert "REDUCING" in told


def test_every_example_is_run_by_a_test():
    others = {"dual_ma", "recorded_day"}  # these have tests of their own
    assert {path.stem for path in EXAMPLES.glob("*.py")} == SHOWS.keys() | others
