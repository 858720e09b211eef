"""``sessions``: the trading hours of a day."""

from __future__ import annotations

from datetime import date, datetime
from typing import TypedDict

import click

from .shell import Command, Shell, answer, console, json_option, table


class Sessions(TypedDict):
    """A trading day of a contract, in the format of ``--json``; pairs are (open, close)."""

    symbol: str
    product: str
    trading_day: date
    announced: bool
    sessions: list[tuple[datetime, datetime]]
    auctions: list[tuple[datetime, datetime]]
    now: datetime
    trading_now: bool
    auction_now: bool
    next_boundary: datetime


@click.command(cls=Command)
@click.argument("symbol")
@click.argument("day", required=False, type=click.DateTime(["%Y-%m-%d"]), metavar="[DATE]")
@json_option
@click.pass_obj
def command(shell: Shell, symbol: str, day: datetime | None, as_json: bool) -> None:
    """Show when SYMBOL (SHFE.cu2612, or a product, SHFE.cu) trades.

    DATE is a trading day, 2026-11-16; the default is the present one. Its night session is on the
    evening of the trading day before. No connection is needed: hours are those of the packaged
    tables and of [sessions] in the configuration.
    """
    from ..core.clock import beijing_now

    shell.settings().use_sessions()
    now = beijing_now()
    found = sessions_of(symbol, None if day is None else day.date(), now)
    if as_json:
        answer(found)
    else:
        show(found)


def sessions_of(symbol: str, day: date | None, now: datetime) -> Sessions:
    """The sessions of a trading day and the market's state now.

    Raises:
        CalendarError: Unknown product, or the day is not a trading day.
    """
    from ..calendars.auctions import auctions
    from ..errors import CalendarError
    from ..session_calendar import CALENDAR

    product = CALENDAR.product(symbol)
    today = CALENDAR.trading_day_at(now)
    day = today if day is None else day
    if not CALENDAR.is_trading_day(day):
        after = CALENDAR.next_trading_day(day)
        raise CalendarError(f"{day} is not a trading day; the next one is {after}")
    sessions = CALENDAR.sessions(symbol, day)
    return {
        "symbol": symbol,
        "product": product.key,
        "trading_day": day,
        "announced": CALENDAR.holidays.first_year <= day.year <= CALENDAR.holidays.last_year,
        "sessions": list(sessions),
        "auctions": list(auctions(product.key, day, sessions)),
        "now": now,
        "trading_now": CALENDAR.is_trading_now(symbol, now),
        "auction_now": CALENDAR.is_auction(symbol, now),
        "next_boundary": CALENDAR.next_session_boundary(symbol, now),
    }


def show(found: Sessions) -> None:
    """Print the sessions as text."""
    out = console()
    day = found["trading_day"]
    out.print(f"{found['symbol']}, trading day {day:%Y-%m-%d %A}, Beijing time")
    rows = [(*one, "auction") for one in found["auctions"]]
    rows += [(*one, "night" if one[0].date() < day else "day") for one in found["sessions"]]
    hours = table("", "from", "to")
    for start, end, kind in sorted(rows):
        until = f"{end:%H:%M}" if end.date() == start.date() else f"{end:%a %m-%d %H:%M}"
        hours.add_row(kind, f"{start:%a %m-%d %H:%M}", until)
    out.print(hours)
    state = "open" if found["trading_now"] else "closed"
    if found["auction_now"] and not found["trading_now"]:
        state = "in a call auction"
    boundary = found["next_boundary"]
    out.print(f"Now {found['now']:%a %m-%d %H:%M:%S}: {state} until {boundary:%a %Y-%m-%d %H:%M}.")
    if not found["announced"]:
        out.print(
            f"The holidays of {day.year} are not in the table: this is a guess.", style="yellow"
        )
