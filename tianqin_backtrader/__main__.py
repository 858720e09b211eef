"""``python -m tianqin_backtrader report records/dual_ma``."""

from __future__ import annotations

import argparse
import sys

from .errors import TianqinError


def main(argv: list[str] | None = None) -> int:
    """Run a command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tianqin_backtrader")
    commands = parser.add_subparsers(dest="command", required=True)
    report = commands.add_parser("report", help="figures and pictures of a folder of records")
    report.add_argument("folder", help="such as records/dual_ma")
    report.add_argument("--output", help="the HTML file (default report.html in the folder)")
    args = parser.parse_args(argv)
    try:
        return _report(args.folder, args.output)
    except TianqinError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1


def _report(folder: str, output: str | None) -> int:
    from .records import Records
    from .report import terminal_table, write_report

    with Records(folder) as records:
        print(terminal_table(records.statistics()))
    print()
    print(write_report(folder, output))
    return 0


if __name__ == "__main__":
    sys.exit(main())
