"""No contract month stands fixed where a calendar makes it wrong."""

import inspect
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import tianqin_backtrader
from tianqin_backtrader import MyStore
from tianqin_backtrader.cli.main import main

ROOT = Path(__file__).parents[2]
PACKAGE = Path(tianqin_backtrader.__file__).parent
MONTH = re.compile(r"\b(?:SHFE|INE|DCE|CZCE|CFFEX|GFEX)\.[A-Za-z]+\d{3,4}\b")
#: What stays right: recordings of a day that is past, and runs of the sandbox that start on one.
KEPT = {
    "examples/recorded_day.py": {'default="SHFE.cu2612"'},
    "examples/rolling_main.py": {"from SHFE.cu2612 to SHFE.cu2701"},
}
READ_FIRST = ["README.md", "README_zh.md", "test.ipynb"] + [
    f"examples/{path.name}" for path in sorted((ROOT / "examples").glob("*.py"))
]


@pytest.mark.parametrize("page", READ_FIRST)
def test_what_is_read_first_names_main_contracts(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for kept in KEPT.get(page, ()):
        assert kept in text, f"{kept} is gone: take it from the list"
        text = text.replace(kept, "")
    assert MONTH.findall(text) == []


@pytest.mark.parametrize("factory", ["getdata", "getdata_v2", "get_daily_data", "get_tick_data"])
def test_a_feed_is_by_default_of_a_contract_that_never_expires(factory):
    default = inspect.signature(getattr(MyStore, factory)).parameters["instrument"].default
    assert default == "KQ.m@SHFE.cu"


def test_no_default_of_the_package_names_a_month():
    given = re.compile(rf"(?:default|instrument|symbol)[^=\n]*=\s*f?[\"']{MONTH.pattern}")
    for path in PACKAGE.rglob("*.py"):
        assert given.findall(path.read_text(encoding="utf-8")) == [], path


def test_the_commands_help_names_main_contracts():
    for arguments in ([], ["run"]):
        shown = CliRunner().invoke(main, [*arguments, "--help"]).output
        assert "--symbol KQ.m@SHFE.cu" in shown and not MONTH.search(shown)
