"""The examples do in the sandbox what they say they do."""

import os
import re
import signal
import socket
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


DEPLOY = EXAMPLES / "deploy"


@pytest.fixture
def unattended(tmp_path):
    """``trade.py`` in the sandbox, and what ``healthcheck.py`` says of it."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    where = {"cwd": tmp_path, "env": os.environ | {"HEALTH_PORT": f"{port}"}}
    program = subprocess.Popen(
        [sys.executable, DEPLOY / "trade.py", "--sandbox"], stderr=subprocess.DEVNULL, **where
    )

    def wrong():
        command = [sys.executable, DEPLOY / "healthcheck.py"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, **where)
        assert done.returncode == bool(done.stderr)
        return done.stderr

    yield program, wrong, tmp_path / "records"
    program.kill()
    program.wait()


def test_an_unattended_program_is_well_until_it_stands_still_and_ends_in_order(unattended):
    program, wrong, records = unattended
    while wrong() or not list(records.glob("*/journal.sqlite")):
        assert program.poll() is None, "it ended before it was well"
    program.send_signal(signal.SIGSTOP)
    assert "does not answer: timed out" in wrong()
    program.send_signal(signal.SIGCONT)
    program.terminate()
    assert program.wait(60) == 0
    assert "does not answer" in wrong()


def test_a_container_is_made_of_files_that_exist():
    lines = (DEPLOY / "Dockerfile").read_text("ascii").splitlines()
    copied = [path for line in lines if line.startswith("COPY") for path in line.split()[1:-1]]
    assert len(copied) == 6 and all((EXAMPLES.parent / path).exists() for path in copied)
