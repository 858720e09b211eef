"""``run``: a strategy from a file, in the sandbox, on paper or live."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack, cast

import click

from ..errors import ConfigError
from ..feeds.names import named
from .shell import Command, Shell, answer, console, json_option, table
from .strategy_file import load_strategy, parameters

if TYPE_CHECKING:
    import backtrader as bt

    from ..config.settings import Settings
    from ..store import MyStore

#: Options for the sandbox only.
SANDBOX_ONLY = ("seed", "start", "days", "speed")
#: The fields of a feed's certificate that are shown.
PROOF = ("delivered", "equal", "corrected", "missing", "pending")


class Sandboxed(TypedDict, total=False):
    """Options of the sandbox."""

    seed: int
    start: str
    days: int
    speed: float


class Options(TypedDict):
    """The options of the command line; None if not given."""

    seed: int | None
    start: str | None
    days: int | None
    speed: float | None
    file: Path
    symbols: tuple[str, ...]
    place: str
    lookback: int | bool
    params: tuple[str, ...]
    strategy: str | None
    records: Path | None
    no_records: bool
    as_json: bool


class Result(TypedDict):
    """The result of a run, in the format of ``--json``; yuan, lots."""

    strategy: str
    place: str
    symbols: tuple[str, ...]
    params: dict[str, object]
    bars: dict[str, int]
    certificate: dict[str, dict[str, int]]
    orders: int
    fills: int
    start: float
    profit: float
    fees: float
    equity: float
    positions: dict[str, dict[str, int]]
    records: str | None


def lookback(text: str) -> int | bool:
    """Parse ``all`` (True) or a number of bars."""
    if text == "all":
        return True
    if not text.isdecimal():
        raise click.BadParameter(f"{text!r} is neither a number of minutes nor all")
    return int(text)


def speed(text: str) -> float | None:
    """Parse ``max`` (None) or a multiple of real time."""
    try:
        times = None if text == "max" else float(text)
    except ValueError:
        times = 0.0
    if times is not None and not times > 0:
        raise click.BadParameter(f"{text!r} is neither a number above 0 nor max")
    return times


def moment(text: str) -> str:
    """Check a trading day or a time, which the sandbox parses."""
    try:
        datetime.fromisoformat(text)
    except ValueError as error:
        expected = "expected 2026-11-10 or '2026-11-10 09:30:00'"
        raise click.BadParameter(f"{text!r} is not a day or time; {expected}") from error
    return text


@click.command(cls=Command)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--symbol", "symbols", multiple=True, required=True, help="Contract; repeat for more feeds."
)
@click.option("--sandbox", "place", flag_value="sandbox", default="sandbox", help="Here [default].")
@click.option("--paper", "place", flag_value="paper", help="On the TianQin paper account.")
@click.option("--live", "place", flag_value="live", help="With real MONEY, on the futures account.")
@click.option(
    "--lookback",
    type=lookback,
    default="0",
    metavar="MINUTES",
    help="Bars of history before live bars: a number, or all (10 000).",
)
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="Of the strategy.")
@click.option("--strategy", metavar="CLASS", help="Class to run, if the file has several.")
@click.option("--records", type=click.Path(path_type=Path), help="Folder [default: records].")
@click.option("--no-records", is_flag=True, help="Keep none.")
@click.option("--seed", type=int, help="Sandbox: determines the market [default: 1].")
@click.option(
    "--start",
    type=moment,
    metavar="TEXT",
    help="Sandbox: trading day, or time '2026-11-10 09:30:00'.",
)
@click.option("--days", type=click.IntRange(1), help="Sandbox: trading days [default: 1].")
@click.option(
    "--speed", type=speed, metavar="TIMES", help="Sandbox: multiple of real time [default: max]."
)
@json_option
@click.pass_obj
def command(shell: Shell, /, **options: Unpack[Options]) -> None:
    """Run the strategy in FILE, a plain bt.Strategy with minute bars of the symbols.

    \b
      tianqin-backtrader run dual_ma.py --symbol KQ.m@SHFE.cu
      tianqin-backtrader run dual_ma.py --symbol KQ.m@SHFE.cu --lookback all \\
          --param fast=10 --paper

    In the sandbox the run ends with the last trading day, elsewhere with Ctrl-C, which stops the
    strategy in order; orders working at the exchange stay there. The limits of [risk] in the
    configuration apply to every order. Records are written to records/<class>_<place>.

    The file is imported: code besides the strategy's definition belongs under
    if __name__ == "__main__":, otherwise it runs first.
    """
    _must_fit(options)
    settings = shell.settings()
    with contextlib.redirect_stdout(sys.stderr if options["as_json"] else sys.stdout):
        strategy = load_strategy(options["file"], options["strategy"])
        params = parameters(strategy, options["params"])
        name = f"{strategy.__name__}_{options['place']}"
        settings.use_sessions()
        with _store(settings, options, name) as store:
            result = _run(store, strategy, params, settings, options, name)
    if options["as_json"]:
        answer(result)
    else:
        _show(result)


def _must_fit(options: Options) -> None:
    given = [name for name in SANDBOX_ONLY if options.get(name) is not None]
    if given and options["place"] != "sandbox":
        raise ConfigError(f"--{given[0]} is for the sandbox only, not for --{options['place']}")
    if options["records"] and options["no_records"]:
        raise ConfigError("--records and --no-records exclude each other")


def _store(settings: Settings, options: Options, name: str) -> MyStore:
    place = options["place"]
    if place != "sandbox":
        return settings.store(live=place == "live", strategy_name=name, stop_on_signals=False)
    from ..store import MyStore

    named = {name: options.get(name) for name in SANDBOX_ONLY}
    given = cast("Sandboxed", {name: one for name, one in named.items() if one is not None})
    return MyStore.sandbox(**given, strategy_name=name, stop_on_signals=False)


def _run(
    store: MyStore,
    strategy: type[bt.Strategy],
    params: dict[str, object],
    settings: Settings,
    options: Options,
    name: str,
) -> Result:
    import backtrader as bt

    from ..monitoring.alerts.service import Alerts
    from ..performance_tracker import PerformanceTracker

    folder = options["records"] or Path(settings.records.folder)
    records = False if options["no_records"] else str(folder)
    broker = store.getbroker(risk=settings.risk, records=records)
    alerts = settings.alerts_expanded()
    if alerts.urls and options["place"] != "sandbox":
        Alerts(store.view, alerts)
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.setbroker(broker)
    store.instruments(options["symbols"])
    for symbol in options["symbols"]:
        # ``all`` starts at the beginning of a trading day; a number is exactly that many bars.
        bars = options["lookback"]
        cerebro.adddata(store.getdata(symbol, lookback=bars, night_start=bars is True))
    cerebro.addstrategy(strategy, **params)
    if not options["no_records"]:
        cerebro.addanalyzer(PerformanceTracker, name=name, folder=str(folder))
    click.echo(
        f"{strategy.__name__} on {', '.join(options['symbols'])}, {_where(options['place'])}; "
        "press Ctrl-C to end",
        err=True,
    )
    with stopping(store, cerebro):
        cerebro.run()
    balance = broker.balance()
    return {
        "strategy": strategy.__name__,
        "place": options["place"],
        "symbols": options["symbols"],
        "params": params,
        "bars": {name: len(feed) for name, feed in named(store.feeds).items()},
        "certificate": {
            feed: {key: getattr(one, key) for key in PROOF}
            for feed, one in store.certificate().items()
        },
        "orders": len(broker.get_all_orders()),
        "fills": broker.books.fills,
        "start": balance.start,
        "profit": balance.profit,
        "fees": balance.fees,
        "equity": balance.equity,
        "positions": {
            symbol: {side: held[f"pos_{side}"] for side in ("long", "short")}
            for symbol, held in broker.get_account_positions().items()
        },
        "records": None if options["no_records"] else str(folder / name),
    }


def _where(place: str) -> str:
    return {
        "sandbox": "in the sandbox",
        "paper": "on the TianQin paper account",
        "live": "LIVE, on the futures account",
    }[place]


@contextlib.contextmanager
def stopping(store: MyStore, cerebro: bt.Cerebro) -> Iterator[None]:
    """Stop the strategy on Ctrl-C or a service manager's SIGTERM; a second signal kills.

    Alerts report the positions and orders that remain.

    Args:
        store: Made with ``stop_on_signals=False``, because results are shown afterwards.
        cerebro: The running Cerebro.
    """
    from ..gateway.stop_signals import StopSignals

    def stop_run() -> bool:
        cerebro.runstop()
        return True

    signals = StopSignals(stop_run)
    signals.install()
    try:
        yield
    finally:
        signals.restore()
        if signals.came:
            store.observers.stopped(signals.came)


def _show(result: Result) -> None:
    out = console()
    out.print()
    figures = table("result", "yuan", right=("yuan",))
    for key in ("start", "profit", "fees", "equity"):
        value = 0.0 - result[key] if key == "fees" else result[key]
        figures.add_row(key, f"{value:,.2f}")
    out.print(figures)
    out.print(f"{result['orders']} orders, {result['fills']} fills")
    for feed, bars in result["bars"].items():
        proof = ", ".join(f"{n} {key}" for key, n in result["certificate"][feed].items() if n)
        out.print(f"{feed}: {bars} bars; live: {proof or 'none'}")
    for symbol, held in result["positions"].items():
        out.print(f"still held: {symbol} long {held['long']} short {held['short']}", style="yellow")
    if result["records"]:
        out.print(f"next: tianqin-backtrader report {result['records']}", soft_wrap=True)
