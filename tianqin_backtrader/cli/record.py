"""``record``: writes market data to Parquet files."""

from __future__ import annotations

from pathlib import Path

import click

from .shell import Command, Shell, answer, json_option
from .stops import stopped_by_signal


@click.command(cls=Command)
@click.argument("symbols", nargs=-1, required=True)
@click.option("--path", type=click.Path(path_type=Path), required=True, help="The folder.")
@json_option
@click.pass_obj
def command(shell: Shell, symbols: tuple[str, ...], path: Path, as_json: bool) -> None:
    """Record ticks, minute and day bars of SYMBOLS until Ctrl-C.

    A folder with earlier days is continued; damage by a crash is repaired, and missing data are
    requested from TianQin.
    """
    stopped = stopped_by_signal()
    with shell.settings().store() as store:
        recorder = store.record(symbols, path)
        names = ", ".join(recorder.symbols)
        click.echo(f"recording {names} into {path}; press Ctrl-C to end", err=as_json)
        recorder.run(stopped)
        holes = recorder.holes()
    if as_json:
        answer({"rows": recorder.rows_written, "holes": len(holes)})
    else:
        click.echo(f"{recorder.rows_written} rows, {len(holes)} holes")
