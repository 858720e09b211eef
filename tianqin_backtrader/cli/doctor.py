"""``doctor``: finds what would keep a strategy from trading, before it runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import ConfigError
from .findings import Finding, State, bad
from .shell import REFUSED, Command, Shell, answer, console, json_option, place_option

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from rich.table import Table

    from ..config.settings import Settings

_COLOURS = {State.OK: "green", State.WARNING: "yellow", State.BAD: "bold red", State.SKIPPED: "dim"}


@click.command(cls=Command)
@place_option
@json_option
@click.pass_context
def command(ctx: click.Context, live: bool, as_json: bool) -> None:
    """Check everything a strategy needs; each check prints a line with advice if it fails.

    It checks versions, configuration, records, disk and how far holidays are known; with a TianQin
    account also the login, permissions and when they end, the clock, both servers and a session. No
    order is sent. The exit code is 1 if a check has failed.
    """
    shell: Shell = ctx.obj
    out = console()
    found = []
    with out.status("asking") if not as_json else _silence():
        for finding in _findings(shell, live=live):
            found.append(finding)
            if not as_json:
                out.print(_line(finding))
    failed = [one for one in found if one.state is State.BAD]
    if as_json:
        answer({"ok": not failed, "findings": [asdict(one) for one in found]})
    elif failed:
        out.print(f"\n{len(failed)} of {len(found)} checks failed", style="bold red")
    else:
        out.print("\nready", style="bold green")
    ctx.exit(REFUSED if failed else 0)


def _silence() -> AbstractContextManager[None]:
    from contextlib import nullcontext

    return nullcontext()


def _findings(shell: Shell, *, live: bool) -> Iterator[Finding]:
    from ..cli import checks_here, checks_there
    from ..core.clock import beijing_now

    yield checks_here.versions()
    settings, trouble = _settings(shell)
    yield from checks_here.configuration(settings) if trouble is None else [trouble]
    if live:
        yield checks_here.limits(settings)
    yield checks_here.records(Path(settings.records.folder), settings.records.min_free_gb)
    now = beijing_now()
    yield from checks_there.tianqin(settings, live=live, now=now)
    yield checks_here.calendar(now)


def _settings(shell: Shell) -> tuple[Settings, Finding | None]:
    """The configuration; if it is invalid, a usable part of it, and the finding."""
    from ..config.sections import AccountSettings
    from ..config.settings import Settings

    try:
        return shell.settings(), None
    except ConfigError as error:
        user = AccountSettings(user=os.environ.get("TQ_USER", ""))
        finding = bad("configuration", str(error), "correct it; other commands refuse it")
        return Settings(account=user), finding


def _line(finding: Finding) -> Table:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    for width in (7, 13):
        grid.add_column(width=width)
    grid.add_column()
    colour = _COLOURS[finding.state]
    grid.add_row(Text(finding.state, colour), finding.check, finding.text)
    if finding.advice:
        grid.add_row("", "", Text(f"-> {finding.advice}", "cyan"))
    return grid
