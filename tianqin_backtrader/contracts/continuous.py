"""``KQ.m@``: the present and earlier underlying contracts, and the gaps between them.

TianQin names the present one in the contract's specification, the others in a table that TqSdk's
``query_his_cont_quotes`` reads, too (``TQ_CONT_TABLE_URL``); closes come from the day bars of the
contracts, including expired ones. A free account is enough.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from ..core.clock import from_ns, monotonic, wait_for
from ..core.context import Context
from ..core.http import fetch
from ..core.model import Instrument
from ..core.ports import ChartPort
from ..errors import LinkError, LinkLost, LinkTimeout
from .adjustment import MainChange, changes_of

logger = logging.getLogger(__name__)

MAIN = "KQ.m@"
_URL = "https://files.shinnytech.com/continuous_table.json"
#: Seconds to wait for the table before a run, and for day bars.
TABLE_SECONDS, BARS_SECONDS = 30.0, 30.0
#: Seconds to wait for day bars during a run, and until the table is requested again.
SHORTLY, ASK_AGAIN = 3.0, 60.0
#: Seconds in which the table usually arrives; a round may wait this long.
A_MOMENT = 0.5
#: Day bars requested beyond those since the first change.
SPARE_DAYS = 10


class ContinuousContracts:
    """The known main contracts of a session.

    Args:
        context: Contracts and time.
        bars: Returns day bars of contracts.
        urls: The ``TQ_*`` addresses.
    """

    def __init__(self, context: Context, bars: ChartPort, urls: Mapping[str, str]) -> None:
        self._context, self._bars = context, bars
        self._url = urls.get("TQ_CONT_TABLE_URL") or os.environ.get("TQ_CONT_TABLE_URL") or _URL
        self._now: dict[str, str] = {}
        self._before: dict[str, str] = {}
        self._since: dict[str, date] = {}
        self._not_before = 0.0
        self._rows: dict[str, list[tuple[date, str]]] = {}
        self._fetched: date | None = None
        self._fetch: TableFetch | None = None

    def traded(self, symbol: str) -> str:
        """The present underlying contract of a main contract; any other symbol itself.

        It is the previous one while TianQin names none, and "" before TianQin has named any.

        Raises:
            LinkError: It is requested for the first time, and TianQin does not answer.
        """
        if not symbol.startswith(MAIN):
            return symbol
        found = str(self._context.instrument(symbol).underlying_symbol)
        self._see(symbol, found)
        return self._now.get(symbol, "")

    def learn(self, instrument: Instrument) -> None:
        """Take a new specification, so that a change is seen on its day even if nobody asks."""
        if instrument.symbol in self._now:
            self._see(instrument.symbol, instrument.underlying_symbol)

    def _see(self, symbol: str, found: str) -> None:
        known = self._now.get(symbol)
        if not found or found == known:
            return
        self._now[symbol] = found
        if known is not None:
            self._before[symbol], self._since[symbol] = known, self._today()
            logger.info("%s: %s -> %s", symbol, known, found)

    def since(self, symbol: str) -> date:
        """The trading day on which the present underlying was first seen."""
        return self._since.get(symbol, date.min)

    def before(self, symbol: str) -> str:
        """The previous underlying contract of a main contract, "" for none.

        Raises:
            LinkError: It is not known yet; it is requested in the background, once a minute.
        """
        if not symbol.startswith(MAIN):
            return ""
        now = self.traded(symbol)
        if not now:
            return ""
        if symbol not in self._before:
            rows = self._rows_at_once(symbol, now)
            today = self._today()
            earlier = [name for day, name in sorted(rows) if day <= today and name != now]
            self._before[symbol] = earlier[-1] if earlier else ""
        return self._before[symbol]

    def ask(self) -> None:
        """Wait for the table before a run; if it does not come, it is requested again later."""
        try:
            if monotonic() >= self._not_before:
                self._table()
        except LinkError as error:
            self._later(error)

    def _rows_at_once(self, symbol: str, now: str) -> list[tuple[date, str]]:
        """The table's rows of a main contract, requested in the background.

        Raises:
            LinkLost: The table has not arrived.
        """
        today = self._today()
        if self._fetched != today:
            self._follow(today)
        if self._fetched != today:
            raise LinkLost(self._unknown(symbol, now))
        return self._rows.get(symbol, [])

    def _follow(self, today: date) -> None:
        """Take the table if it has arrived; otherwise request it, once a minute."""
        if self._fetch is None and monotonic() >= self._not_before:
            self._fetch = TableFetch(self._url, today)
            self._fetch.wait(A_MOMENT)
        fetch = self._fetch
        if fetch is None or not fetch.done:
            return
        self._fetch = None
        if fetch.error is None:
            self._rows, self._fetched = fetch.rows, fetch.day
        else:
            self._later(fetch.error)

    def _later(self, error: LinkError) -> None:
        self._not_before = monotonic() + ASK_AGAIN
        logger.warning("%s; it will be requested again in %.0f s", error, ASK_AGAIN)

    def _table(self) -> dict[str, list[tuple[date, str]]]:
        """The table of the day; waits for it."""
        today = self._today()
        if self._fetched != today:
            self._rows, self._fetched = fetch_table(self._url, seconds=TABLE_SECONDS), today
        return self._rows

    def _unknown(self, symbol: str, now: str) -> str:
        return (
            f"which contract was behind {symbol} before {now} is not known, and lots may be held "
            f"in it: order {now} itself, or make sure that {self._url} is reachable"
        )

    def behind(self, symbol: str) -> tuple[str, ...]:
        """The contracts in which lots of a symbol may be held: the present and the previous one.

        While the previous one is unknown this is only the present one; orders on the main
        contract are refused then.
        """
        if not symbol.startswith(MAIN):
            return (symbol,)
        try:
            before = self.before(symbol)
        except LinkError:
            before = ""
        return tuple(filter(None, (self.traded(symbol), before)))

    def changes(self, symbol: str, since: date) -> list[MainChange]:
        """Changes of a main contract after a trading day with their gaps, oldest first.

        Raises:
            LinkError: The table or the day bars did not arrive.
        """
        rows = self._table().get(symbol, [])
        found = changes_of(rows, self._today())
        return self._with_gaps([change for change in found if change.day > since])

    def change(self, day: date, old: str, new: str) -> MainChange:
        """The change on a trading day, with its gap.

        Raises:
            LinkError: The day bars did not arrive within seconds.
        """
        [found] = self._with_gaps([MainChange(day, old, new)], SHORTLY)
        return found

    def can_tell(self, day: date, old: str, new: str) -> bool:
        """Whether ``change`` would return at once; requests the day bars."""
        return all(one.ready for one in self._day_bars([MainChange(day, old, new)]).values())

    # -- inside -------------------------------------------------------------------------------

    def _today(self) -> date:
        return self._context.trading_day()

    def _day_bars(self, changes: list[MainChange]) -> dict[str, Any]:
        charts = self._bars.charts
        symbols = {name for change in changes for name in (change.old, change.new)}
        first = min((change.day for change in changes), default=self._today())
        width = (self._today() - first).days + SPARE_DAYS
        return {name: charts.series(name, 86400, width) for name in sorted(symbols)}

    def _with_gaps(
        self, changes: list[MainChange], seconds: float = BARS_SECONDS
    ) -> list[MainChange]:
        series = self._day_bars(changes)
        deadline = monotonic() + seconds
        while not all(one.ready for one in series.values()):
            self._bars.pump(max(0.0, deadline - monotonic()))
            if monotonic() >= deadline:
                raise LinkTimeout(f"no day bars of {', '.join(series)} within {seconds:.0f} s")
        found = []
        for change in changes:
            last = self._context.calendar.previous_trading_day(change.day)
            old, new = (_close(series[name], last) for name in (change.old, change.new))
            found.append(replace(change, gap=new - old))
        return found


def _close(series: Any, day: date) -> float:
    """A contract's close on a trading day, NaN if there is none."""
    last_id = series.last_id
    for bar in series.bars(series.left_id, last_id) if last_id >= 0 else []:
        if from_ns(bar.start).date() == day:
            return float(bar.close)
    return float("nan")


class TableFetch:
    """Fetches the table in a thread, which touches nothing but its result.

    Args:
        url: The address of the table.
        day: The trading day of the request.

    Attributes:
        rows, error: The table, or what failed, once it is ``done``.
    """

    def __init__(self, url: str, day: date) -> None:
        self._url, self.day = url, day
        self.rows: dict[str, list[tuple[date, str]]] = {}
        self.error: LinkError | None = None
        self._done = threading.Event()
        threading.Thread(target=self._ask, name="main contracts", daemon=True).start()

    @property
    def done(self) -> bool:
        """Whether the fetch has ended."""
        return self._done.is_set()

    def wait(self, seconds: float) -> None:
        """Wait for the end of the fetch, at most this long."""
        wait_for(self._done, seconds)

    def _ask(self) -> None:
        try:
            self.rows = fetch_table(self._url, seconds=TABLE_SECONDS)
        except LinkError as error:
            self.error = error
        except Exception as error:  # otherwise an empty table would be the answer
            logger.exception("TianQin's table of main contracts cannot be fetched")
            self.error = LinkLost(f"TianQin's table of main contracts cannot be fetched: {error!r}")
        finally:
            self._done.set()


def fetch_table(url: str, *, seconds: float) -> dict[str, list[tuple[date, str]]]:
    """Fetch TianQin's table: ``{"KQ.m@SHFE.cu": [(first trading day, contract), ...]}``.

    Raises:
        LinkLost: It cannot be fetched or parsed.
    """
    try:
        table = json.loads(fetch(url, seconds=seconds))
        return {
            f"{MAIN}{key}": [
                (datetime.strptime(str(day), "%Y%m%d").date(), str(name)) for day, name in rows
            ]
            for key, rows in table.items()
        }
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise LinkLost(f"TianQin's table of main contracts cannot be fetched: {error}") from error
