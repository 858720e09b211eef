"""``calendars.update_tables``, against the holidays of a real server."""

import os
import subprocess
import sys
from datetime import date
from importlib.resources import files
from pathlib import Path

import pytest

from tianqin_backtrader.calendars.update_tables import main, updated_holidays
from tianqin_backtrader.errors import CalendarError
from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox

PACKAGED = Path(str(files("tianqin_backtrader") / "data" / "holidays.csv"))
TABLE = """date,name,status
2025-01-01,New Year,official
2025-10-01,National Day,official
2026-01-01,New Year,expected
2026-10-01,National Day,expected
2027-01-01,New Year,expected
"""


def days(*texts):
    return [date.fromisoformat(text) for text in texts]


def test_an_announced_year_takes_the_place_of_the_expected_one():
    listed = days("2025-01-01", "2025-10-01", "2026-01-01", "2026-01-02", "2026-10-01")
    assert updated_holidays(TABLE, listed).splitlines() == [
        "date,name,status",
        "2025-01-01,New Year,official",
        "2025-10-01,National Day,official",
        "2026-01-01,New Year,official",
        "2026-01-02,,official",
        "2026-10-01,National Day,official",
        "2027-01-01,New Year,expected",
    ]


def test_weekends_years_before_the_table_and_years_half_listed_are_left_out():
    listed = days("2024-10-01", "2025-01-01", "2025-10-01", "2025-10-04", "2027-01-01")
    assert updated_holidays(TABLE, listed) == TABLE


def test_a_day_the_list_does_not_have_goes_from_its_year():
    listed = days("2025-10-01")
    assert "2025-01-01" not in updated_holidays(TABLE, listed)


def test_another_table_is_refused():
    with pytest.raises(CalendarError, match="columns date, name, status"):
        updated_holidays("exchange_id,product_id\n", [])


@pytest.fixture(scope="module")
def url():
    """The address of an exchange's holidays, for a real HTTP request."""
    with EmbeddedSandbox(start="2026-11-10") as sandbox:
        yield sandbox.urls["TQ_CHINESE_HOLIDAY_URL"]


@pytest.fixture
def old(tmp_path):
    """The packaged table as it was before 2026 was announced."""
    path = tmp_path / "holidays.csv"
    lines = PACKAGED.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(("2026", "2027"))]
    path.write_text("".join(kept), encoding="utf-8")
    return path


def test_it_shows_and_writes_nothing(url, old, capsys):
    before = old.read_bytes()
    assert main(["--url", url, "--table", str(old)]) == 1
    shown = capsys.readouterr().out
    assert "+2026-02-16,,official" in shown
    assert not [line for line in shown.splitlines() if line.startswith("-2")]
    assert shown.endswith("use --write\n")
    assert old.read_bytes() == before


def test_it_writes_when_told_to_and_then_agrees(url, old, capsys):
    assert main(["--url", url, "--table", str(old), "--write"]) == 0
    assert "\n2026-10-07,,official\n" in old.read_text(encoding="utf-8")
    capsys.readouterr()
    assert main(["--url", url, "--table", str(old)]) == 0
    assert capsys.readouterr().out == f"{old} agrees with TianQin\n"


def test_as_a_command_with_the_address_of_the_environment(url, old):
    environment = {**os.environ, "TQ_CHINESE_HOLIDAY_URL": url}
    command = [
        sys.executable,
        "-m",
        "tianqin_backtrader.calendars.update_tables",
        "--table",
        str(old),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "+2026-10-01,,official" in done.stdout


def test_the_packaged_table_is_what_is_compared_by_default(url, capsys):
    # 2027, not announced yet, is official to the exchange of this test or not at all.
    before = PACKAGED.read_bytes()
    main(["--url", url])
    shown = capsys.readouterr().out
    changed = [line for line in shown.splitlines() if line[:1] in "+-" and line[1:2].isdigit()]
    assert all(line[1:5] == "2027" for line in changed)
    assert PACKAGED.read_bytes() == before


@pytest.mark.parametrize("wrong", ["http://127.0.0.1:9/", "holidays.json"])
def test_no_list_is_an_error(wrong, old, capsys):
    assert main(["--url", wrong, "--table", str(old)]) == 2
    assert wrong in capsys.readouterr().err


def test_no_table_is_an_error(url, tmp_path, capsys):
    assert main(["--url", url, "--table", str(tmp_path / "none.csv")]) == 2
    assert "none.csv" in capsys.readouterr().err
