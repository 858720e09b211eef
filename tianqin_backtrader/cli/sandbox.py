"""``sandbox``: the embedded exchange, as ``python -m tianqin_backtrader.sandbox`` runs it."""

from __future__ import annotations

import click


@click.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Serve the exchange until Ctrl-C; prints the variables that direct TqSdk to it."""
    from ..sandbox.__main__ import main

    ctx.exit(main(ctx.args, prog=ctx.command_path))
