"""``flatten``: closes all positions and cancels all orders of an account."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from .shell import REFUSED, Command, Shell, answer, json_option, place_option

if TYPE_CHECKING:
    from ..orders.leg import OrderLeg
    from ..store import MyStore
    from .account import Picture

#: Seconds for cancels, and again for fills; and of one wait in between.
PATIENCE, STEP = 60.0, 0.2


@click.command(cls=Command)
@place_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_context
def command(ctx: click.Context, live: bool, yes: bool, as_json: bool) -> None:
    """Cancel every order of an account and close all its positions at the market.

    The command shows the account and asks, unless --yes is given. Orders of other programs are
    cancelled, too; a strategy that is still running may open positions again: stop it first.
    Positions without a trading session now remain, an order without a counterparty waits at the
    day's limit, and the exit code is 1; run the command again when the market is open.
    """
    from .account import picture, show, working

    shell: Shell = ctx.obj
    settings = shell.settings()
    if not yes:
        # In a session of its own: nobody serves a connection while the user decides.
        with settings.store(live=live) as store:
            store.getbroker().start()
            there = picture(store, settings, live=live)
        if not as_json:
            show(there)
        _ask(there)
    with settings.store(live=live) as store:
        store.getbroker().start()
        before = picture(store, settings, live=live)
        _withdraw(store, working)
        _close(store)
        after = picture(store, settings, live=live)
        rest = {row["symbol"] for row in after["positions"]}
        rest |= {row["symbol"] for row in after["working_orders"]}
        closed = [symbol for symbol in sorted(rest) if not store.is_trading(symbol)]
    left = after["positions"] or after["working_orders"]
    if as_json:
        answer({"flat": not left, "no_session": closed, "before": before, "after": after})
    elif not left:
        click.secho("flat: no positions, no working orders", fg="green")
    else:
        click.secho("NOT flat. Left:", fg="red", bold=True)
        show(after)
        for symbol in closed:
            click.secho(f"{symbol} has no trading session now", fg="yellow")
    ctx.exit(REFUSED if left else 0)


def _ask(there: Picture) -> None:
    orders, lots = len(there["working_orders"]), sum(row["lots"] for row in there["positions"])
    what = [f"withdraw {orders} order{'s' * (orders != 1)}"] * bool(orders)
    what += [f"close {lots} lot{'s' * (lots != 1)} at the market"] * bool(lots)
    if what:
        text = " and ".join(what).capitalize()
        click.confirm(f"{text}, {there['account']}?", abort=True, err=True)


def _withdraw(store: MyStore, working: Callable[[MyStore], dict[str, OrderLeg]]) -> None:
    """Cancel all orders, also those of other programs, which would keep lots from being closed.

    Closed exchanges do not execute cancels; those are requested but not waited for.
    """
    store.getbroker().cancel_all()
    for order_id in working(store):
        store.gateway.trading.cancel_order(order_id)
    _wait(store, lambda: not any(store.is_trading(leg.symbol) for leg in working(store).values()))


def _close(store: MyStore) -> None:
    store.getbroker().flatten("flattened from the command line")
    _wait(store, lambda: not _open_markets(store))


def _open_markets(store: MyStore) -> set[str]:
    """The symbols with positions that can be closed now."""
    return {
        symbol for symbol in store.getbroker().get_account_positions() if store.is_trading(symbol)
    }


def _wait(store: MyStore, done: Callable[[], bool]) -> None:
    from ..core.clock import monotonic

    deadline = monotonic() + PATIENCE
    while not done() and monotonic() < deadline:
        store.pump(STEP)
