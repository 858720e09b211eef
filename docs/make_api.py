"""Render the docstrings of the public names as HTML pages.

pip install -e ".[docs]" && python docs/make_api.py

writes docs/api/ beside this file; index.html there is the beginning.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

import pdoc
import pdoc.render

import tianqin_backtrader

HERE = Path(__file__).parent
#: Modules that users meet, besides the names of the package and what is in its ``__all__``.
MODULES = (
    "broker",
    "contracts.offsets",
    "core.model",
    "datafeed",
    "feeds.bar_feeds",
    "feeds.live_bars",
    "monitoring.health",
    "orders.leg",
    "records.journal",
    "records.metrics",
    "records.records",
    "risk.limits",
    "sandbox.embedded",
    "store",
    "store_reconnect",
)


def names() -> list[str]:
    """The modules that get pages."""
    return ["tianqin_backtrader", *(f"tianqin_backtrader.{name}" for name in MODULES)]


def render(folder: Path) -> Path:
    """Write the pages; return the first one."""
    for name in tianqin_backtrader.__all__:  # they are loaded when first used: now
        setattr(tianqin_backtrader, name, getattr(tianqin_backtrader, name))
    for name in names():
        import_module(name)
    pdoc.render.configure(docformat="google", show_source=False, include_undocumented=False)
    pdoc.pdoc(*names(), output_directory=folder)
    return folder / "index.html"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=HERE / "api", help="[docs/api]")
    print(render(parser.parse_args().folder))
