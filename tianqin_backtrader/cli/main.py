"""``tianqin-backtrader``: the commands and their common options."""

from __future__ import annotations

import logging
import sys
from difflib import get_close_matches
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path

import click

from .. import __version__
from .shell import Shell

#: Commands in the order of the help: name (also of the module) and summary.
COMMANDS = {
    "run": "Run a strategy: in the sandbox, on paper or live.",
    "sandbox": "Serve a TianQin-compatible exchange on this machine.",
    "doctor": "Check account, servers, clock, calendar, disk and versions.",
    "sessions": "Show when a contract trades on a trading day.",
    "positions": "Show an account's funds, positions and working orders.",
    "flatten": "Withdraw all orders and close all positions of an account.",
    "roll": "Move an account's lots to another contract of the product.",
    "watch": "Show contracts and an account in a browser, without trading.",
    "record": "Record ticks and bars of contracts to Parquet files.",
    "compare": "Say whether two recordings are equal, or where they differ.",
    "report": "Write the figures and pictures of a folder of records.",
}


class Commands(click.Group):
    """Loads a command when it is named; listing them imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of ``COMMANDS``."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command, None if it does not exist."""
        if name not in COMMANDS:
            return None
        found: click.Command = import_module(f"{__package__}.{name}").command
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Like click's, with a suggestion for a misspelt name."""
        close = get_close_matches(args[0], COMMANDS, n=1)
        if close and args[0] not in COMMANDS:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {close[0]!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Like click's, from ``COMMANDS``."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Help on a command: tianqin-backtrader run --help. "
    "Exit codes: 0 success, 1 a failed check or a refusal, 2 wrong usage.",
)
@click.version_option(__version__, package_name="tianqin_backtrader")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Configuration file [default: TQBT_CONFIG, else ./tianqin_backtrader.toml].",
)
@click.option("-v", "--verbose", count=True, help="Log to stderr; twice for more.")
@click.pass_context
def main(ctx: click.Context, config: Path | None, verbose: int) -> None:
    """Backtrader strategies on the Chinese futures exchanges, through TianQin.

    To begin, without account and network:

    \b
      tianqin-backtrader run my_strategy.py --symbol KQ.m@SHFE.cu

    With a TianQin account (TQ_USER and TQ_PASS, https://account.shinnytech.com):

    \b
      tianqin-backtrader doctor
      tianqin-backtrader run my_strategy.py --symbol KQ.m@SHFE.cu --paper
    """
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    root = logging.getLogger()
    if not root.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        handler.setLevel(level)  # TqSdk's loggers ignore the level of the root logger
        root.addHandler(handler)
        root.setLevel(level)
    ctx.obj = Shell(config)


def run(argv: list[str] | None = None) -> int:
    """Run the program; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a console that cannot display Chinese
    try:
        main.main(args=argv, prog_name="tianqin-backtrader")
    except SystemExit as end:
        return int(end.code or 0)
    return 0
