"""``report``: figures and pictures of records."""

from __future__ import annotations

from pathlib import Path

import click

from .shell import Command, answer, json_option


@click.command(cls=Command)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The HTML file [default: report.html in the folder].",
)
@json_option
def command(folder: Path, output: Path | None, as_json: bool) -> None:
    """Write the figures and pictures of a FOLDER of records, such as records/dual_ma.

    The figures are printed; the report with its pictures is written to an HTML file.
    """
    from ..records.records import Records

    with Records(folder) as records:
        statistics = records.statistics()
    from ..records.report import (  # needs an extra; report other errors first
        terminal_table,
        write_report,
    )

    if as_json:
        answer({"report": write_report(folder, output), "statistics": vars_of(statistics)})
        return
    click.echo(terminal_table(statistics))
    click.echo()
    click.echo(write_report(folder, output))


def vars_of(statistics: object) -> dict[str, object]:
    """The fields of a frozen value."""
    from dataclasses import asdict

    return asdict(statistics)  # type: ignore[call-overload,no-any-return]
