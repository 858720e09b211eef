"""README.md is correct: its commands are at the top, its code runs."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.M | re.S)


def test_two_commands_stand_at_its_top():
    first, second = blocks("bash")[:2]
    assert README.index(second) < README.index("## ")
    assert first.strip().endswith("python examples/dual_ma.py")
    assert "pytest" in second
    for command in (first, second):
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install")


def test_ci_runs_the_second_command_as_it_stands():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    found = subprocess.run(
        ["bash", "-c", re.search(r"command=\$\((.*)\)", script)[1]],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert found.stdout == blocks("bash")[1]


def test_its_python_runs():
    [code] = blocks("python")
    whole_day, afternoon = "days=1", 'start="2026-11-10 13:30:00", ticks_per_pack=5'
    assert whole_day in code
    code = code.replace(whole_day, afternoon)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", timeout=110
    )
    assert done.returncode == 0, done.stderr
    assert "Completed" in done.stdout
    assert "Balance(start=1000000.0" in done.stdout


def test_the_chinese_one_has_the_same_commands_code_headings_and_pictures():
    chinese = (ROOT / "README_zh.md").read_text(encoding="utf-8")
    for pattern in (
        r"^```.*?^```",  # commands and code
        r"^(#+) ",
        r"\]\(((?:figure|docs)/[\w./]+)\)",
        r"^(- \*\*|\d\. )",
    ):
        flags = re.M | re.S
        ours = re.findall(pattern, README, flags)
        assert ours == re.findall(pattern, chinese.replace("docs/zh/", "docs/"), flags), pattern
    code = r"`([^`\n]+)`"
    assert set(re.findall(code, README)) - set(re.findall(code, chinese)) <= {"examples/"}


def test_what_it_links_to_is_there():
    for page in ("README.md", "README_zh.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        for path in re.findall(r"\]\((?!http)([\w./]+)\)", text):
            assert (ROOT / path).exists(), path
