"""What the types see: members that are misspelt, and where `Any` is still said."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import tianqin_backtrader

PACKAGE = Path(tianqin_backtrader.__file__).parent
#: File, what stands there, and how it is misspelt.
MISSPELT = [
    ("gateway/gateway.py", "self.charts.renew(", "self.charts.renw("),
    ("gateway/loop.py", "self._gateway.trading.new_reports()", "self._gateway.new_report()"),
    ("execution/order_manager.py", "self.trading.insert_order(", "self.trading.insert_ordr("),
    ("execution/order_manager.py", "self.trading.cancel_order(", "self.trading.cancel_odrer("),
    ("execution/pre_trade.py", "self._context.takes_orders(", "self._context.takes_order("),
    ("execution/order_router.py", "self._market.best_prices(", "self._market.best_price("),
    ("execution/execution_reports.py", "self._trading.report_again(", "self._trading.report_agin("),
    ("execution/engine.py", "self._contingent.settle_stops()", "self._contingent.setle_stops()"),
    ("risk/check.py", "self._hours.trading", "self._hours.tradng"),
    ("reconciliation/startup.py", "self._trading.all_reports()", "self._trading.all_report()"),
    ("reconciliation/after_reconnect.py", "self._account.held_lots()", "self._account.held_lot()"),
    ("rolling/roll_leg.py", "self._broker.takes_orders(", "self._broker.take_orders("),
]  # fmt: skip
#: Modules that may say ``Any``; fewer is better, more is not.
MOST_UNTYPED = 71


def untyped():
    """Modules that mypy lets say ``Any``."""
    settings = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    overrides = settings["tool"]["mypy"]["overrides"]
    [modules] = [one["module"] for one in overrides if "disallow_any_explicit" in one]
    return modules


def test_the_modules_that_may_say_any_become_fewer():
    assert len(untyped()) <= MOST_UNTYPED


@pytest.mark.parametrize("module", untyped())
def test_a_module_that_may_say_any_needs_it(module):
    path = PACKAGE.parent / Path(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    assert re.search(r"\bAny\b|SelectorKey", path.read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_misspelt_member_is_seen(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / PACKAGE.name)
    shutil.copy(PACKAGE.parent / "pyproject.toml", tmp_path)
    places = []
    for name, right, wrong in MISSPELT:
        path = tmp_path / PACKAGE.name / name
        before, found, after = path.read_text(encoding="utf-8").partition(right)
        assert found, (name, right)
        path.write_text(before + wrong + after, encoding="utf-8")
        places.append(f"{PACKAGE.name}/{name}:{before.count(chr(10)) + 1}: error:")
    done = subprocess.run(
        [sys.executable, "-m", "mypy"], cwd=tmp_path, capture_output=True, text=True
    )
    unseen = [place for place in places if place not in done.stdout]
    assert not unseen, done.stdout
