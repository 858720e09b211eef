"""The only room that imports tqsdk: owns the ``TqApi``, drives it, makes values of what it holds.

``pump`` is the one caller of ``wait_update``. Ticks and bars are read from the client's data tree
by id, not from its frames: the tree holds every row, exact, and costs nothing per open serial.
That is below tqsdk's public surface; ``TESTED_TQSDK`` says which versions it was tested with.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests
import tqsdk
from tqsdk import TqApi, TqAuth, TqKq, TqSim
from tqsdk.diff import _get_obj
from tqsdk.exceptions import TqTimeoutError

from .clock import SECOND, deadline_in
from .data_tree import DayRows, Series, plain, to_fill, to_instrument, to_report
from .errors import LinkError, LinkLost, LinkTimeout, LoginRefused, OrderError, UnknownSymbol
from .model import Direction, Fill, Instrument, Notice, Offset, OrderReport

logger = logging.getLogger(__name__)

TESTED_TQSDK = "3.10"

#: Rows that TianQin gives in one chart.
LARGEST_CHART = 10_000

_INSTRUMENT_QUERY = """
query($instrument_id:[String]){ multi_symbol_info(instrument_id:$instrument_id) {
 ... on basic { instrument_id class exchange_id price_tick price_decs trading_time { day night } }
 ... on tradeable { volume_multiple upper_limit lower_limit }
 ... on index { index_multiple }
 ... on future { expired product_id expire_datetime settlement_price margin commission
                 max_limit_order_volume max_market_order_volume }
 ... on option { expired expire_datetime settlement_price max_limit_order_volume
                 max_market_order_volume }
 ... on combine { expired product_id expire_datetime }
 ... on derivative { underlying { edges { node { ... on basic { instrument_id } } } } }
}}"""


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the length of a block, then put back what was there."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _closing_on_error(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """A ``TqApi`` that fails while it is made leaves its tasks and its loop open."""
    try:
        yield
    except BaseException:
        if not loop.is_closed():
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.close()
        raise


def _past_proxies(urls: Mapping[str, str]) -> dict[str, str]:
    """The addresses, and that no proxy of the environment gets what is meant for this machine."""
    if not any("://127.0.0.1" in url for url in urls.values()):
        return dict(urls)
    exempt = ",".join(filter(None, (os.environ.get("no_proxy"), "127.0.0.1")))
    return dict(urls) | {"no_proxy": exempt, "NO_PROXY": exempt}


class Gateway:
    """One TianQin session.

    Args:
        key: TianQin user.
        value: Its password.
        account: An account object of tqsdk; None for the TianQin paper account (``TqKq``).
        backtest: ``TqBacktest``, or None.
        urls: The ``TQ_*`` addresses of a TianQin-compatible server; empty for TianQin's own or
            for what the environment names.
        debug: Write tqsdk's own debug log (800 bytes of disk a tick).
    """

    def __init__(
        self,
        key: str,
        value: str,
        *,
        account: Any = None,
        backtest: Any = None,
        urls: Mapping[str, str] | None = None,
        debug: bool = False,
    ) -> None:
        self._key, self._value = key, value
        self._account = account
        # tqsdk's account objects hold the state of one session; each connection gets a new one.
        self._template = copy.deepcopy(account)
        self._backtest, self._urls, self._debug = backtest, dict(urls or {}), debug
        #: Connections of a session: market data and, unless the client matches itself, trading.
        self.links = 1 if isinstance(account, TqSim) else 2
        self._api: Any = None
        self._series: dict[tuple[str, int], Series] = {}
        self._seen_notices: set[str] = set()
        self._questions = 0
        self._orders: dict[str, tuple[Any, ...]] = {}
        self._trades: set[str] = set()
        self._trading: Any = None

    # -- life ---------------------------------------------------------------------------------

    def connect(self) -> None:
        """Open the session.

        Raises:
            LoginRefused: Wrong user or password, or no permission; with the server's answer.
            LinkLost: No server there.
            LinkTimeout: The server did not deliver its first picture in a minute.
        """
        account = TqKq() if self._template is None else self._account or self._template
        loop = asyncio.SelectorEventLoop()
        with environment(_past_proxies(self._urls)), _closing_on_error(loop):
            try:
                self._api = TqApi(
                    account,
                    auth=TqAuth(self._key, self._value),
                    backtest=self._backtest,
                    debug=self._debug,
                    loop=loop,
                    disable_print=True,
                )
            except requests.RequestException as error:
                raise LinkLost(f"TianQin cannot be reached: {type(error).__name__}") from error
            except TqTimeoutError as error:
                raise LinkTimeout(f"TianQin did not answer within 60 s: {error}") from error
            except OSError as error:
                raise LinkLost(f"TianQin cannot be reached: {error}") from error
            except Exception as error:  # tqsdk raises bare Exception for everything else
                raise LoginRefused(f"TianQin refused the login: {error}") from error
        self._account = None  # the next connection starts from the template
        self._trading = self._api.register_update_notify(
            [self._api.get_account(), self._api.get_order(), self._api.get_trade()]
        )
        if not self._debug:
            # tqsdk makes a log record of every pack, whether anybody reads it or not.
            logging.getLogger("TqApi").setLevel(logging.WARNING)
        logger.info("connected to TianQin, tqsdk %s", tqsdk.__version__)

    def close(self) -> None:
        """End the session; closing twice does no harm."""
        api, self._api = self._api, None
        self._series.clear()
        if api is not None:
            api.close()
            logger.info("session closed")

    @property
    def api(self) -> Any:
        """The ``TqApi`` of the moment.

        Raises:
            LinkError: There is none.
        """
        if self._api is None:
            raise LinkError("not connected to TianQin")
        return self._api

    def pump(self, timeout: float) -> bool:
        """Wait for news of any kind, at most ``timeout`` seconds; False when none came."""
        return bool(self.api.wait_update(deadline=deadline_in(timeout)))

    def virtual_now(self) -> int | None:
        """The server's own time in nanoseconds where it has one (sandbox, history), else None."""
        state = self.api._data.get("_tqsdk_backtest")
        return None if state is None else state.get("current_dt")

    # -- instruments --------------------------------------------------------------------------

    def instrument(self, symbol: str) -> Instrument:
        """Ask TianQin for a contract's specification of today.

        Raises:
            UnknownSymbol: There is no such contract; known at once, without a time-out.
            LinkTimeout: No answer within a minute.
        """
        api = self.api
        if "." not in symbol:
            raise UnknownSymbol(symbol, f"{symbol!r} is no symbol: write SHFE.cu2612 or the like")
        try:
            # tqsdk answers a question it has had before from memory; tomorrow's limits are others.
            self._questions += 1
            query = f"{_INSTRUMENT_QUERY}\n# {self._questions}"
            answer = api.query_graphql(query, {"instrument_id": [symbol]})
        except TqTimeoutError as error:
            raise LinkTimeout(f"TianQin did not say within 60 s what {symbol} is") from error
        found = (answer.get("result") or {}).get("multi_symbol_info") or []
        words = answer.get("error")
        if words or not found:
            raise UnknownSymbol(
                symbol,
                f"TianQin knows no contract {symbol!r}"
                + (f" ({words})" if words else "")
                + "; expected EXCHANGE.contract, for example SHFE.cu2612, and mind the case",
            )
        return to_instrument(found[0])

    def price_limits(self, symbol: str) -> tuple[float, float]:
        """Today's (upper_limit, lower_limit) from the quote, where the specification has none.

        Raises:
            OrderError: The quote has none either, as before the day's first data.
        """
        quote = self.api.get_quote(symbol)
        limits = (float(quote.upper_limit), float(quote.lower_limit))
        if any(limit != limit for limit in limits):
            raise OrderError(f"no price limits of {symbol} are known yet: give a limit price")
        return limits

    # -- ticks and bars -----------------------------------------------------------------------

    def series(self, symbol: str, seconds: int, width: int) -> Series:
        """Subscribe to the newest ``width`` ticks (``seconds`` 0) or bars; returns at once."""
        key = (symbol, seconds)
        known = self._series.get(key)
        width = min(width, LARGEST_CHART)
        if known is None or known.width < width:
            self._series[key] = self._chart(symbol, seconds, width, f"{width}")
        return self._series[key]

    def older(self, series: Series | DayRows, first_id: int, width: int) -> Series:
        """Ask for rows of the past that a series does not reach; they come into the same tree.

        Args:
            series: The series.
            first_id: The oldest row wanted.
            width: How many from there on.

        Returns:
            Rows that are all there when it is ``ready``.
        """
        symbol, seconds = series.symbol, series.seconds
        return self._chart(symbol, seconds, width, f"from_{first_id}", left_kline_id=first_id)

    def drop(self, older: Series) -> None:
        """End a request of ``older``: its rows stay, a lost link does not ask for them again."""
        self.api._send_pack(
            {
                "aid": "set_chart",
                "chart_id": older.chart_id,
                "ins_list": "",
                "duration": older.seconds * SECOND,
                "view_width": older.width,
            }
        )

    def _chart(self, symbol: str, seconds: int, width: int, name: str, **position: int) -> Series:
        duration = seconds * SECOND
        chart_id = f"TQBT_{symbol}_{seconds}_{name}"
        path = ["klines", symbol, str(duration)] if seconds else ["ticks", symbol]
        # Made ahead, so that one look-up finds them whenever the server fills them.
        root = _get_obj(self.api._data, path)
        chart = _get_obj(self.api._data, ["charts", chart_id])
        pack = {
            "aid": "set_chart",
            "chart_id": chart_id,
            "ins_list": symbol,
            "duration": duration,
            "view_width": width,
        }
        self.api._send_pack(pack | position)
        return Series(symbol, seconds, width, root.__dict__, chart.__dict__, chart_id)

    def release(self, series: Series | DayRows, keep: int) -> None:
        """Let the client forget old rows, unless a serial of the user's own looks at them."""
        path = series.path
        for serial in self.api._serials.values():
            if any(root["_path"] == path for root in serial["root"]):
                return
        series.release(keep)

    # -- trading ------------------------------------------------------------------------------

    def insert_order(
        self,
        order_id: str,
        symbol: str,
        direction: Direction,
        offset: Offset,
        volume: int,
        limit_price: float | str | None,
        advanced: str | None = None,
    ) -> None:
        """Hand an order to the client; it leaves with the next ``pump``.

        Args:
            limit_price: A price, None for a market order, ``"BEST"`` or ``"FIVELEVEL"``.
            advanced: None, ``"FAK"`` or ``"FOK"``.

        Raises:
            OrderError: The client's own rules forbid it; nothing was sent.
        """
        try:
            self.api.insert_order(
                symbol, str(direction), str(offset), volume, limit_price, advanced, order_id
            )
        except TqTimeoutError as error:
            raise UnknownSymbol(symbol, f"TianQin knows no contract {symbol!r}") from error
        except Exception as error:  # tqsdk raises bare Exception
            raise OrderError(str(error)) from error

    def cancel_order(self, order_id: str) -> None:
        """Ask for the withdrawal of an order; it leaves with the next ``pump``."""
        self.api.cancel_order(order_id)

    def trading_changed(self) -> bool:
        """Whether account, orders or trades have changed since the last question."""
        if self._trading.empty():
            return False
        while not self._trading.empty():
            self._trading.recv_nowait()
        return True

    def new_reports(self) -> list[OrderReport | Fill]:
        """Orders that changed and trades that are new, each trade before its order's end."""
        news: list[OrderReport | Fill] = []
        for trade_id, trade in self.api.get_trade().items():
            if trade_id not in self._trades:
                self._trades.add(trade_id)
                news.append(to_fill(trade_id, trade))
        for order_id, order in self.api.get_order().items():
            state = (order.status, order.volume_left, order.exchange_order_id, order.last_msg)
            if self._orders.get(order_id) != state:
                self._orders[order_id] = state
                news.append(to_report(order_id, order))
        return news

    def account(self) -> dict[str, Any]:
        """The account's fields as TqSdk names them, in yuan."""
        return dict(self.api.get_account())

    def positions(self) -> dict[str, dict[str, Any]]:
        """The account's positions by symbol, fields as TqSdk names them."""
        found = self.api.get_position()
        return {symbol: plain(position) for symbol, position in found.items()}

    # -- notices ------------------------------------------------------------------------------

    def new_notices(self) -> list[Notice]:
        """Notifications that came since the last question."""
        notices = self.api._data.get("notify", {})
        if len(notices.__dict__) - 2 == len(self._seen_notices):  # _path and _listener
            return []
        new = []
        for key, notice in notices.items():
            if key not in self._seen_notices:
                self._seen_notices.add(key)
                new.append(
                    Notice(
                        code=int(notice.get("code", 0)),
                        level=str(notice.get("level", "INFO")),
                        content=str(notice.get("content", "")),
                        conn_id=str(notice.get("conn_id", "")),
                    )
                )
        return new
