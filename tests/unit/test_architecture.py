"""The rooms of the house: who may import whom."""

import ast
import subprocess
import sys
from pathlib import Path

import tianqin_backtrader
from tianqin_backtrader.cli.main import COMMANDS

PACKAGE = Path(tianqin_backtrader.__file__).parent


def test_the_contracts_of_the_rooms_are_kept():
    """``import-linter`` reads them from ``pyproject.toml``."""
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=PACKAGE.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_only_the_gateway_waits_for_the_server():
    callers = [
        path.stem
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "wait_update"
    ]
    # The client itself looks at what comes while it logs in.
    assert sorted(set(callers)) == ["client", "gateway"]


def test_every_command_has_its_module():
    assert {path.stem for path in (PACKAGE / "cli").glob("*.py")} >= set(COMMANDS)


def test_help_needs_neither_the_client_libraries_nor_an_extra():
    code = (
        "import sys, click;"
        "from tianqin_backtrader.cli.main import COMMANDS, main;"
        "[main.get_command(click.Context(main), name) for name in COMMANDS];"
        "heavy = {'tqsdk', 'backtrader', 'pandas', 'rich', 'keyring', 'matplotlib'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_sandbox_starts_without_the_client_libraries():
    code = (
        "import sys, tianqin_backtrader.sandbox.server;"
        "print(sorted({'tqsdk', 'backtrader', 'pandas', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
