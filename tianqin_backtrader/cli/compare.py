"""``compare``: whether two recordings, and the trades in them, are equal."""

from __future__ import annotations

from pathlib import Path

import click

from .shell import REFUSED, Command


@click.command(cls=Command)
@click.argument("one", type=click.Path(path_type=Path))
@click.argument("other", type=click.Path(path_type=Path))
@click.pass_context
def command(ctx: click.Context, one: Path, other: Path) -> None:
    """Compare two folders of recordings or of records.

    A day that was traded live is equal to its replay; otherwise the first difference is shown.
    Exit codes: 0 equal, 1 different.
    """
    from ..recording.compare import compare_folders

    found = compare_folders(one, other)
    click.echo(str(found))
    ctx.exit(0 if found.equal else REFUSED)
