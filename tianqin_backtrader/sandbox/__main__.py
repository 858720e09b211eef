"""``python -m tianqin_backtrader.sandbox``: run the embedded exchange until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
import threading
from datetime import date, datetime
from pathlib import Path

from ..errors import TianqinError
from .exchange.counter import COUNTERS
from .exchange.ctp_view import COMMISSIONS
from .faults import FaultError
from .server import DEFAULT_SEED, DEFAULT_START, HOST, SandboxOptions, SandboxServer

#: Exit codes besides 0: a wrong option or a taken port, and a failure while running.
EXIT_USAGE, EXIT_FAILED = 2, 1


def parse_start(text: str) -> date | datetime:
    """Parse a trading day (``2026-11-10``) or a Beijing time (``2026-11-10 09:30:00``)."""
    try:
        return datetime.fromisoformat(text) if len(text) > 10 else date.fromisoformat(text)
    except ValueError as error:
        expected = "expected 2026-11-10 or '2026-11-10 09:30:00'"
        raise argparse.ArgumentTypeError(f"{text!r} is not a day or time; {expected}") from error


def parse_port(text: str) -> int:
    """Parse a port number; 0 takes any free port."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 to 65535")
    return int(text)


def parse_user(text: str) -> tuple[str, str]:
    """Parse ``name:password``."""
    name, colon, password = text.partition(":")
    if not (name and colon and password):
        raise argparse.ArgumentTypeError(f"{text!r} is not name:password")
    return name, password


def parse_speed(text: str) -> float | None:
    """Parse ``max`` or a positive number."""
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not speed > 0:
        raise argparse.ArgumentTypeError(f"speed must be max or above 0, not {text}")
    return speed


def positive(text: str) -> int:
    """Parse a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1")
    return int(text)


def not_negative(text: str) -> float:
    """Parse a number of seconds that is not negative."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 3600:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds of at least 0")
    return seconds


def make_parser(prog: str = "python -m tianqin_backtrader.sandbox") -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="A TianQin-compatible exchange on this machine, for TqSdk without network.",
    )
    add = parser.add_argument
    add("--port", type=parse_port, default=0, help="0 (default) takes any free port")
    add("--seed", type=int, default=DEFAULT_SEED, help="equal seeds give equal markets")
    add(
        "--start",
        type=parse_start,
        help=f"trading day 2026-11-10 or time '2026-11-10 09:30:00' (default {DEFAULT_START}; "
        "now with --speed 1)",
    )
    add("--days", type=positive, default=1, help="trading days after which the market stops")
    add("--speed", type=parse_speed, default=None, help="multiple of real time, or max (default)")
    add("--ticks-per-pack", type=positive, default=1, help="market steps in one pack")
    add("--balance", type=float, default=1_000_000.0, help="opening balance of a new account, yuan")
    add("--user", type=parse_user, action="append", metavar="NAME:PASSWORD", help="repeatable")
    add("--script", type=Path, help="JSON list of faults and when they happen")
    add("--replay", help="CSV or Parquet file, or folder, of recorded ticks")
    add("--counter", choices=tuple(COUNTERS), default="kq", help="which trading counter to imitate")
    add("--query-seconds", type=not_negative, help="ctp: age of every queried figure")
    add("--commission", choices=COMMISSIONS, help="ctp: the commission field of a trade")
    add("--account-file", help="JSON of a recorded account, sent to every user")
    add("--silent", action="store_true", help="do not send the market's time, like TianQin")
    add("--json", action="store_true", help="print one JSON line instead of export lines")
    add("--parent-pipe", action="store_true", help="end when stdin closes; ignore Ctrl-C")
    add("--verbose", action="store_true", help="log to stderr")
    return parser


def make_options(args: argparse.Namespace) -> SandboxOptions:
    """Turn the parsed arguments into options."""
    script = json.loads(args.script.read_text(encoding="utf-8")) if args.script else ()
    return SandboxOptions(
        port=args.port,
        seed=args.seed,
        start=args.start,
        days=args.days,
        speed=args.speed,
        ticks_per_pack=args.ticks_per_pack,
        balance=args.balance,
        users=dict(args.user or ()),
        script=script,
        replay=args.replay,
        counter=args.counter,
        query_seconds=args.query_seconds,
        commission=args.commission,
        account_file=args.account_file,
        tells_time=not args.silent,
    )


def announce(server: SandboxServer, *, as_json: bool) -> None:
    """Print the addresses of the server."""
    if as_json:
        ready = {"port": server.port, "clock_port": server.clock_port, "urls": server.urls()}
        print(json.dumps(ready), flush=True)
        return
    for name, value in server.urls().items():
        print(f"export {name}={value}", flush=True)


async def run(options: SandboxOptions, *, as_json: bool, parent_pipe: bool) -> int:
    """Serve until stopped; returns the exit code."""
    loop = asyncio.get_running_loop()
    server = SandboxServer(options)
    failures: list[object] = []

    def fail(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        loop.default_exception_handler(context)
        if isinstance(context.get("exception"), Exception):
            failures.append(context)
            server.stop()

    loop.set_exception_handler(fail)
    try:
        await server.start()
    except OSError as error:
        print(
            f"sandbox: port {options.port} of {HOST} cannot be used ({error.strerror}); "
            "choose another --port, or 0 for any free one",
            file=sys.stderr,
        )
        await server.close()
        return EXIT_USAGE
    stop_on_signals(loop, server, parent_pipe=parent_pipe)
    announce(server, as_json=as_json)
    await server.serve()
    return EXIT_FAILED if failures or server.failed else 0


def stop_on_signals(
    loop: asyncio.AbstractEventLoop, server: SandboxServer, *, parent_pipe: bool
) -> None:
    """Stop the server on SIGTERM, and on Ctrl-C or, with ``parent_pipe``, when the parent ends."""

    def on_signal(number: int, frame: object) -> None:
        loop.call_soon_threadsafe(server.stop)

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, signal.SIG_IGN if parent_pipe else on_signal)
    if parent_pipe:
        stdin = sys.stdin.fileno()

        def watch() -> None:
            # Not sys.stdin: its lock would delay the exit of the interpreter by a second.
            while os.read(stdin, 4096):
                pass
            loop.call_soon_threadsafe(server.stop)

        threading.Thread(target=watch, name="parent", daemon=True).start()


def main(argv: list[str] | None = None, prog: str | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = make_parser(prog) if prog else make_parser()
    args = parser.parse_args(argv)
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if args.verbose else logging.WARNING,
        format="%(name)s %(levelname)s %(message)s",
    )
    try:
        options = make_options(args)
        return asyncio.run(run(options, as_json=args.json, parent_pipe=args.parent_pipe))
    except (FaultError, TianqinError, FileNotFoundError, json.JSONDecodeError) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return EXIT_USAGE


if __name__ == "__main__":
    sys.exit(main())
