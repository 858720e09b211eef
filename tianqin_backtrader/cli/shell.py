"""Common parts of the commands: configuration, output and errors."""

from __future__ import annotations

import json
import sys
from datetime import date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..core.json_values import Json
from ..errors import ConfigError, TianqinError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ..config.settings import Settings

#: Exit codes besides 0.
REFUSED, WRONG_USE = 1, 2


class Shell:
    """The state of one call of the program.

    Args:
        config: The file given with ``--config``.
    """

    def __init__(self, config: Path | None) -> None:
        self._config = config

    def settings(self) -> Settings:
        """The configuration.

        Raises:
            ConfigError: It is invalid.
        """
        from ..config.settings import Settings

        return Settings.load(self._config)


class Command(click.Command):
    """A command that prints errors of the library as one line, without a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        """Like click's."""
        try:
            return super().invoke(ctx)
        except TianqinError as error:
            kind = type(error).__name__
            if ctx.params.get("as_json"):
                answer({"error": {"kind": kind, "message": str(error)}})
            else:
                click.secho(f"{kind}: {error}", fg="red", err=True)
            ctx.exit(WRONG_USE if isinstance(error, ConfigError) else REFUSED)


#: Adds ``--json``, passed to the command as ``as_json``.
json_option = click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
#: Adds ``--paper`` and ``--live``, passed to the command as ``live``.
place_option = click.option(
    "--live/--paper",
    default=False,
    help="The futures account, or the TianQin paper account [default: --paper].",
)


def answer(value: object) -> None:
    """Print one JSON object to stdout; times as ISO texts, unknown values as null."""
    click.echo(json.dumps(_plain(value), ensure_ascii=False, indent=2))


def _plain(value: object) -> Json:
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, float) and value != value:
        return None
    return value if isinstance(value, str | int | float | None) else str(value)


def console() -> Console:
    """A console for stdout; with colours on a terminal."""
    from rich.console import Console

    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False)


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """A table without borders; ``right`` names the columns of numbers."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left")
    return made
