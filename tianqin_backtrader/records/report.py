"""The report of a run: one self-contained HTML file, its pictures as PNG, a terminal table."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.clock import from_ns
from ..errors import JournalError
from .csv_log import replace_file
from .equity_curve import EquityPoint
from .metrics import Statistics, TradeStatistics, statistics
from .records import Records
from .report_pictures import (
    bars_picture,
    daily_picture,
    distribution_picture,
    equity_picture,
)
from .round_trips import Execution, RoundTrip

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: The number of contracts whose bars are drawn: those with the largest turnover.
_CONTRACTS = 4
_LATEST = 100

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; padding: 12px; max-width: 1120px;
  color: #222; background: #fff; }
h1, h2 { overflow-wrap: anywhere; }
h1 { font-size: 1.4em; } h2 { font-size: 1.1em; margin: 1.6em 0 .4em; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 8px; }
.figures div { border: 1px solid #ddd; border-radius: 6px; padding: 6px 10px; }
.figures span { display: block; color: #666; font-size: .85em; } .figures b { font-weight: 600; }
img { width: 100%; height: auto; display: block; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 440px), 1fr));
  gap: 0 24px; align-items: start; }
.table { overflow-x: auto; } table { border-collapse: collapse; font-size: .85em; width: 100%; }
th, td { padding: 3px 8px; text-align: right; border-bottom: 1px solid #eee; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
"""

_TRADE_HEAD = (
    "", "round trips", "lots", "net profit", "fees", "win rate", "profit factor", "average win",
    "average loss", "turnover", "slippage", "per lot",
)  # fmt: skip


def money(value: float) -> str:
    """Format yuan; NaN is a dash.

    >>> money(-1234.5), money(float("nan"))
    ('-1,234.50', '-')
    """
    return f"{value:,.2f}" if math.isfinite(value) else "-"


def percent(value: float) -> str:
    """Format a fraction as percent; NaN is a dash."""
    return f"{value:.2%}" if math.isfinite(value) else "-"


def number(value: float) -> str:
    """Format a ratio; NaN is a dash."""
    return f"{value:.2f}" if math.isfinite(value) else "-"


def key_figures(found: Statistics) -> list[tuple[str, str]]:
    """The figures of a run with their labels."""
    trades, fall = found.trades, found.max_drawdown
    period = f"{found.days[0].trading_day} to {found.days[-1].trading_day}" if found.days else "-"
    return [
        ("trading days", f"{len(found.days)}"),
        ("period", period),
        ("equity at the start", money(found.start)),
        ("equity at the end", money(found.end)),
        ("net profit", money(found.net_profit)),
        ("return", percent(found.total_return)),
        ("annual return", percent(found.annual_return)),
        ("volatility", percent(found.volatility)),
        ("Sharpe", number(found.sharpe)),
        ("Sortino", number(found.sortino)),
        ("Calmar", number(found.calmar)),
        ("maximum drawdown", f"{percent(fall.ratio)} ({money(fall.amount)})"),
        ("its length, days", f"{fall.days}"),
        ("fees", money(trades.fees)),
        ("fills", f"{trades.fills}"),
        ("round trips", f"{trades.round_trips}"),
        ("win rate", percent(trades.win_rate)),
        ("profit factor", number(trades.profit_factor)),
        ("average win", money(trades.average_win)),
        ("average loss", money(trades.average_loss)),
        ("turnover", money(trades.turnover)),
        ("turnover / equity", number(found.turnover_ratio)),
        ("slippage", money(trades.slippage)),
        ("time in the market", percent(found.time_in_market)),
        ("average exposure", percent(found.average_exposure)),
        ("lots still open", f"{sum(lot.volume for lot in found.matched.open)}"),
    ]


def breakdowns(found: Statistics) -> list[tuple[str, dict[str, TradeStatistics]]]:
    """The three breakdown tables: title, and statistics by name."""
    return [
        ("by contract", found.by_symbol),
        ("by side", found.by_side),
        ("by strategy", found.by_strategy),
    ]


def _cells(name: str, part: TradeStatistics) -> tuple[str, ...]:
    return (
        name, f"{part.round_trips}", f"{part.lots}", money(part.net_profit), money(part.fees),
        percent(part.win_rate), number(part.profit_factor), money(part.average_win),
        money(part.average_loss), money(part.turnover), money(part.slippage),
        money(part.slippage_per_lot),
    )  # fmt: skip


def terminal_table(found: Statistics) -> str:
    """The figures as text for a terminal, 72 columns wide."""
    figures = key_figures(found)
    half = (len(figures) + 1) // 2
    right = [*figures[half:], ("", "")]
    lines = [
        f"{a:<20}{x:>15}   {b:<20}{y:>14}".rstrip()
        for (a, x), (b, y) in zip(_narrow(figures[:half]), _narrow(right), strict=False)
    ]
    for title, parts in breakdowns(found):
        head = ("round trips", "net profit", "fees", "win rate")
        lines += ["", f"{title:<24}{head[0]:>12}{head[1]:>15}{head[2]:>12}{head[3]:>9}"]
        for name, part in parts.items():
            lines.append(
                f"{name:<24}{part.round_trips:>12}{money(part.net_profit):>15}"
                f"{money(part.fees):>12}{percent(part.win_rate):>9}"
            )
    return "\n".join(lines)


def _narrow(figures: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    short = {"period": lambda text: text.partition(" ")[0]}
    return [
        ("first day" if name == "period" else name,
         short[name](text) if name in short else text.partition(" (")[0])
        for name, text in figures
    ]  # fmt: skip


def write_report(folder: str | Path, path: str | Path | None = None) -> Path:
    """Write a folder's report; its program may still be running.

    Args:
        folder: Such as ``records/dual_ma``.
        path: The HTML file; default ``report.html`` in the folder. Pictures are beside it, named
            ``<path's stem>_<picture>.png``.

    Returns:
        The HTML file.

    Raises:
        JournalError: There are no records, or the report cannot be written.
    """
    target = Path(folder, "report.html") if path is None else Path(path)
    with Records(folder) as records:
        executions, equity = records.reader.executions(), records.reader.equity()
        found = statistics(executions, equity)
        pictures = _pictures(records, found, executions, equity)
    images = {}
    for name, figure in pictures.items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=200)
        images[name] = buffer.getvalue()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for name, data in images.items():
            target.with_name(f"{target.stem}_{_file_name(name)}.png").write_bytes(data)
    except OSError as error:
        raise JournalError(target, f"the report cannot be written: {error}") from error
    replace_file(target, _page(Path(folder).absolute().name, found, images))
    return target


def _pictures(
    records: Records,
    found: Statistics,
    executions: list[Execution],
    equity: list[EquityPoint],
) -> dict[str, Figure]:
    pictures = {"equity and drawdown": equity_picture(equity)}
    largest = sorted(found.by_symbol, key=lambda one: -found.by_symbol[one].turnover)
    for symbol in largest[:_CONTRACTS]:
        bars = records.reader.marks(symbol)
        if bars:
            its = [one for one in executions if one.symbol == symbol]
            pictures[symbol] = bars_picture(symbol, bars, its)
    pictures["daily profit"] = daily_picture(found.days)
    pictures["distribution of round trips"] = distribution_picture(found.matched.round_trips)
    return pictures


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter == "." else "_" for letter in name)


def _page(name: str, found: Statistics, images: dict[str, bytes]) -> str:
    title = html.escape(name)
    figures = "".join(
        f"<div><span>{html.escape(label)}</span><b>{html.escape(text)}</b></div>"
        for label, text in key_figures(found)
    )
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>",
        f'<div class="figures">{figures}</div>',
    ]
    parts.append('<div class="pictures">')
    for label, data in images.items():
        encoded = base64.b64encode(data).decode()
        parts.append(
            f"<div><h2>{html.escape(label)}</h2>"
            f'<img alt="{html.escape(label)}" src="data:image/png;base64,{encoded}"></div>'
        )
    parts.append("</div>")
    for label, its in breakdowns(found):
        rows = [_cells(one, part) for one, part in its.items()]
        parts.append(f"<h2>{label}</h2>{_table(_TRADE_HEAD, rows)}")
    latest = found.matched.round_trips[-_LATEST:]
    head = ("contract", "side", "lots", "net profit", "opened", "closed", "from", "to")
    parts.append(f"<h2>latest round trips</h2>{_table(head, map(_trip_cells, latest[::-1]))}")
    return "".join([*parts, "</body></html>"])


def _trip_cells(trip: RoundTrip) -> tuple[str, ...]:
    opened, closed = (
        f"{from_ns(ns):%Y-%m-%d %H:%M:%S}" for ns in (trip.entry_time, trip.exit_time)
    )
    return (
        trip.symbol, trip.side, f"{trip.volume}", money(trip.net_profit), opened, closed,
        f"{trip.entry_price:g}", f"{trip.exit_price:g}",
    )  # fmt: skip


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    names = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<div class="table"><table><tr>{names}</tr>{body}</table></div>'
