"""``roll``: moves positions to another contract (移仓换月)."""

from __future__ import annotations

import click

from .shell import REFUSED, Command, Shell, answer, json_option, place_option
from .stops import stopped_by_signal

#: Seconds of one wait.
STEP = 0.5


@click.command(cls=Command)
@click.argument("old")
@click.argument("new")
@click.option("--lots", type=click.IntRange(1), help="Number of lots [default: all].")
@click.option("--side", type=click.Choice(["long", "short"]), help="Needed if both sides are held.")
@click.option(
    "--slice",
    "slice_lots",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="At most so many lots are in neither contract at a time, or the smallest order if larger.",
)
@click.option("--max-slippage", type=float, help="Quote units [default: 20 price ticks].")
@click.option("--yes", is_flag=True, help="Do not ask.")
@place_option
@json_option
@click.pass_context
def command(
    ctx: click.Context, old: str, new: str, lots: int | None, side: str | None, slice_lots: int,
    max_slippage: float | None, yes: bool, live: bool, as_json: bool,
) -> None:  # fmt: skip
    """Close lots of OLD and open as many of NEW, slice by slice, until all are moved.

    Ctrl-C interrupts the roll between two orders; the same command continues it. After an error
    nothing more is sent, and the exit code is 1. Stops and targets of another running program are
    not known here and stay with OLD: let that program roll (store.roll).
    """
    shell: Shell = ctx.obj
    settings = shell.settings()
    what = f"{lots or 'all'} lots from {old} to {new}"
    account = "the FUTURES ACCOUNT" if live else "the paper account"
    if not yes:
        # In a session of its own: nobody serves a connection while the user decides.
        with settings.store(live=live) as store:
            for symbol in (old, new):
                store.instrument(symbol)
        click.confirm(f"Move {what} on {account}?", abort=True, err=True)
    stopped = stopped_by_signal()
    with settings.store(live=live, strategy_name="roll") as store:
        store.getbroker(risk=settings.risk).start()
        roll = store.rolls.working_on(old) or store.roll(
            old, new, lots, side=side, slice_lots=slice_lots, max_slippage=max_slippage
        )
        while not (roll.done or roll.halted or stopped()):
            store.pump(STEP)
        report = roll.report()
    if as_json:
        from dataclasses import asdict

        answer({**asdict(report), "cost": report.cost})
    else:
        click.echo(str(report))
    ctx.exit(0 if roll.done else REFUSED)
