"""``watch``: a page with bars, positions, orders and health; without trading."""

from __future__ import annotations

import click

from .run import stopping
from .shell import Command, Shell, place_option


@click.command(cls=Command)
@click.argument("symbols", nargs=-1, required=True)
@click.option("--port", type=int, default=8750, show_default=True, help="On this machine only.")
@click.option("--lookback", type=click.IntRange(0), default=300, show_default=True)
@place_option
@click.pass_obj
def command(shell: Shell, symbols: tuple[str, ...], port: int, lookback: int, live: bool) -> None:
    """Show SYMBOLS and the account in a browser on this machine, until Ctrl-C.

    Orders of other programs on the account are shown, too. Only the login is sent.
    """
    import backtrader as bt

    with shell.settings().store(live=live, stop_on_signals=False) as store:
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.setbroker(store.getbroker(records=False))
        store.instruments(symbols)
        for symbol in symbols:
            cerebro.adddata(store.getdata(symbol, lookback=lookback, night_start=False))
        cerebro.addstrategy(bt.Strategy)
        page = store.serve(port)
        click.echo(f"{page.url} shows {', '.join(symbols)}; press Ctrl-C to end")
        with stopping(store, cerebro):
            cerebro.run()
