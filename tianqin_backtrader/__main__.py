"""``python -m tianqin_backtrader report | record | compare``."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Callable

from .errors import TianqinError


def main(argv: list[str] | None = None) -> int:
    """Run a command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tianqin_backtrader")
    commands = parser.add_subparsers(dest="command", required=True)
    report = commands.add_parser("report", help="figures and pictures of a folder of records")
    report.add_argument("folder", help="such as records/dual_ma")
    report.add_argument("--output", help="the HTML file (default report.html in the folder)")
    record = commands.add_parser(
        "record",
        help="record ticks, minutes and days until Ctrl-C",
        description="The account is that of TQ_USER and TQ_PASS.",
    )
    record.add_argument("symbols", nargs="+", help="such as SHFE.cu2612")
    record.add_argument("--path", required=True, help="the folder; one that is there is carried on")
    compare = commands.add_parser(
        "compare",
        help="whether two recordings (and records of orders and trades in them) are equal",
        description="Exit status 0: equal; 1: the first difference is shown.",
    )
    compare.add_argument("one", help="a folder of a recording or of records")
    compare.add_argument("other")
    args = parser.parse_args(argv)
    try:
        if args.command == "record":
            return _record(args.symbols, args.path)
        if args.command == "compare":
            return _compare(args.one, args.other)
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


def _record(symbols: list[str], path: str) -> int:
    from .store import MyStore

    handler = logging.StreamHandler()
    handler.setLevel(logging.INFO)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", handlers=[handler]
    )
    with MyStore() as store:
        recorder = store.record(symbols, path)
        print(f"recording {', '.join(recorder.symbols)} into {path}; Ctrl-C ends it", flush=True)
        recorder.run(_stopped_by_signal())
        holes = recorder.holes()
    print(f"{recorder.rows_written} rows, {len(holes)} holes", flush=True)
    return 0


def _stopped_by_signal() -> Callable[[], bool]:
    """Tells whether Ctrl-C or SIGTERM has come; a wait is ended in order, not in its middle."""
    signals: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: signals.append(number))
    return lambda: bool(signals)


def _compare(one: str, other: str) -> int:
    from .recording_compare import compare_folders

    found = compare_folders(one, other)
    print(found)
    return 0 if found.equal else 1


if __name__ == "__main__":
    sys.exit(main())
