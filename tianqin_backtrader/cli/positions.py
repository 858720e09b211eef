"""``positions``: shows an account."""

from __future__ import annotations

import click

from .shell import Command, Shell, answer, json_option, place_option


@click.command(cls=Command)
@place_option
@json_option
@click.pass_obj
def command(shell: Shell, live: bool, as_json: bool) -> None:
    """Show an account's funds, positions and working orders.

    Only the login is sent. With TQ_* addresses in the environment it uses another server, such
    as tianqin-backtrader sandbox.
    """
    from .account import picture, show

    settings = shell.settings()
    with settings.store(live=live) as store:
        store.getbroker().start()
        found = picture(store, settings, live=live)
    if as_json:
        answer(found)
    else:
        show(found)
