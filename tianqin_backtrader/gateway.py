"""The room of tqsdk (with ``charts``): owns and drives the ``TqApi``, makes values of its data.

``pump`` is the one caller of ``wait_update``. Where the room goes below tqsdk's public surface,
``TESTED_TQSDK`` says which versions that was tested with; with others ticks and bars are read from
its frames.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import requests
import tqsdk
from shinny_structlog import JSONFormatter
from tqsdk import TqApi, TqAuth, TqKq, TqSim
from tqsdk.exceptions import BacktestFinished, TqTimeoutError
from tqsdk.log import _get_log_name

from .charts import FrameCharts, TreeCharts
from .client_loop import ClientLoop, closing_on_error, environment, past_proxies
from .clock import deadline_in
from .data_tree import plain, to_fill, to_instrument, to_report
from .errors import LinkLost, LinkTimeout, LoginRefused, OrderError, UnknownSymbol
from .knock import Knock
from .model import Direction, Fill, Instrument, Notice, Offset, OrderReport
from .plain_logging import restore_logging
from .redaction import hide, redacted

restore_logging()
logger = logging.getLogger(__name__)

TESTED_TQSDK = "3.10"

_T = TypeVar("_T")

#: In the words of a client that finds the servers down for their daily maintenance.
OUT_OF_SERVICE = ("运维", "名称服务")
#: A question that costs nothing to answer.
ALIVE_QUERY = "query{multi_symbol_info(instrument_id:[]){... on basic{instrument_id}}}"

_INSTRUMENT_QUERY = """
query($instrument_id:[String]){ multi_symbol_info(instrument_id:$instrument_id) {
 ... on basic { instrument_id class exchange_id price_tick price_decs trading_time { day night } }
 ... on tradeable { volume_multiple upper_limit lower_limit }
 ... on index { index_multiple }
 ... on future { expired product_id expire_datetime settlement_price margin commission
                 max_limit_order_volume max_market_order_volume
                 open_min_limit_order_volume open_min_market_order_volume }
 ... on option { expired expire_datetime settlement_price max_limit_order_volume
                 max_market_order_volume }
 ... on combine { expired product_id expire_datetime }
 ... on derivative { underlying { edges { node { ... on basic { instrument_id } } } } }
}}"""


class _Redacting(JSONFormatter):
    """tqsdk's own format, without the token and the password."""

    def __init__(self, password: str) -> None:
        super().__init__()
        self._password = password

    def format(self, record: logging.LogRecord) -> str:
        """As of tqsdk."""
        return redacted(super().format(record), [self._password])


class Gateway:
    """One TianQin session.

    Args:
        key: TianQin user.
        value: Its password.
        account: An account object of tqsdk; None for the TianQin paper account (``TqKq``), in a
            back-test for ``TqSim``.
        backtest: ``TqBacktest``, or None.
        urls: The ``TQ_*`` addresses of a TianQin-compatible server; empty for TianQin's own or
            for what the environment names.
        debug: Write tqsdk's own debug log (800 bytes of disk a tick), to a file of that name or
            where tqsdk keeps its logs; without password and tokens.
    """

    def __init__(
        self,
        key: str,
        value: str,
        *,
        account: Any = None,
        backtest: Any = None,
        urls: Mapping[str, str] | None = None,
        debug: bool | str = False,
    ) -> None:
        self._key, self._value = key, value
        if backtest is not None and account is None:
            account = TqSim()  # the only kind of account that has a past
        if value != key:  # the embedded exchange's is no secret
            hide(value, str(getattr(account, "_password", "")))
        self._given = account
        # tqsdk's account objects hold the state of one session; each connection gets a new one.
        self._template = copy.deepcopy(account)
        self._backtest, self._urls, self._debug = backtest, dict(urls or {}), debug
        #: Connections of a session: market data and, unless the client matches itself, trading.
        self.links = 1 if isinstance(account, TqSim) else 2
        self._api: Any = None
        self._loop: ClientLoop
        self._addresses: list[str] = []
        self._headers: dict[str, str] = {}
        self._last_account: dict[str, Any] = {}
        self._last_positions: dict[str, dict[str, Any]] = {}
        self._charts: TreeCharts | FrameCharts | None = None
        self._seen_notices: set[str] = set()
        self._questions = 0
        self._orders: dict[str, tuple[Any, ...]] = {}
        self._trades: set[str] = set()
        self._quotes: dict[str, Any] = {}
        self._trading: Any = None
        self._trading_news = False
        #: Whether the days of ``backtest`` are over: nothing more can come.
        self.history_over = False

    # -- life ---------------------------------------------------------------------------------

    def connect(self) -> None:
        """Open the session, or a new one in place of one that has ended.

        Raises:
            LoginRefused: Wrong user or password, or no permission; with the server's answer.
            LinkLost: No server there, or it is not in service.
            LinkTimeout: The server did not deliver its first picture in a minute.
        """
        self._loop = ClientLoop()
        self._prepare_logs()
        with (
            environment(past_proxies(self._urls)),
            closing_on_error(self._loop),
            self._loop.whole_callbacks(),
        ):
            api = self._make_api(self._loop)
        self._given = None  # the next connection starts from the template
        if not self._debug:
            # tqsdk makes a log record of every pack, whether anybody reads it or not.
            logging.getLogger("TqApi").setLevel(logging.WARNING)
        self._api = api
        self._seen_notices.clear()
        self._quotes.clear()
        self._trading = api.register_update_notify(
            [api.get_account(), api.get_order(), api.get_trade()]
        )
        self._trading_news = True
        accounts = getattr(api._account, "_account_list", ())
        self._headers = dict(api._base_headers)
        self._addresses = [api._md_url, *(getattr(one, "_td_url", "") for one in accounts)]
        if self._charts is None:
            tested = tqsdk.__version__.startswith(f"{TESTED_TQSDK}.")
            self._charts = TreeCharts(api) if tested else FrameCharts(api)
        logger.info("connected to TianQin, tqsdk %s", tqsdk.__version__)

    def _prepare_logs(self) -> None:
        """Before tqsdk does: what it and its websockets log of a login holds the token."""
        logging.getLogger("websockets").setLevel(logging.INFO)
        client = logging.getLogger("TqApi")
        if self._debug and not client.handlers:
            path = self._debug if isinstance(self._debug, str) else _get_log_name()
            handler = logging.FileHandler(path, encoding="utf-8")
            handler.setFormatter(_Redacting(self._value))
            client.addHandler(handler)
            client.setLevel(logging.DEBUG)

    def _make_api(self, loop: ClientLoop) -> Any:
        account = self._given if self._given is not None else copy.deepcopy(self._template)
        try:
            return TqApi(
                TqKq() if account is None else account,
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
        except (OSError, ValueError) as error:  # a ValueError is an answer that is no JSON
            raise LinkLost(f"TianQin cannot be reached: {error}") from error
        except Exception as error:
            if type(error) is not Exception:  # what tqsdk raises for everything else
                raise
            if any(word in str(error) for word in OUT_OF_SERVICE):
                raise LinkLost(f"TianQin is not in service: {error}") from error
            raise LoginRefused(f"TianQin refused the login: {error}") from error

    def renew(self, away: float) -> None:
        """A new session in place of this one, with everything subscribed again.

        Args:
            away: Seconds since data came; what was missed is asked for.

        Raises:
            As of ``connect``; then there is no session.
        """
        self._end_session(abruptly=True)
        self.connect()
        self.charts.renew(self.api, away)

    def close(self) -> None:
        """End the session; closing twice does no harm."""
        if self._api is not None:
            self._end_session(abruptly=False)
            logger.info("session closed")

    def _end_session(self, *, abruptly: bool) -> None:
        api, self._api = self._api, None
        if api is None:
            return
        self._last_account = dict(api.get_account())
        self._last_positions = {s: plain(one) for s, one in api.get_position().items()}
        if not abruptly:
            api.close()
            return
        self._loop.abort_connections()
        try:
            api.close()
        except Exception as error:  # of tasks whose connection was broken
            logger.info("the old session ended with: %s", error)
        finally:
            self._loop.end()

    @property
    def api(self) -> Any:
        """The ``TqApi`` of the moment.

        Raises:
            LinkLost: There is none.
        """
        if self._api is None:
            raise LinkLost("not connected to TianQin at the moment")
        return self._api

    @property
    def connected(self) -> bool:
        """Whether there is a session, working or not."""
        return self._api is not None

    @property
    def matches_itself(self) -> bool:
        """Whether orders are filled by the client: whole, and at their own limit price."""
        return isinstance(self._template, TqSim)

    @property
    def renewable(self) -> bool:
        """Whether a new session finds what the old one had: what the client itself simulates dies
        with it.
        """
        return self._backtest is None and not isinstance(self._template, TqSim)

    @property
    def charts(self) -> TreeCharts | FrameCharts:
        """Ticks and bars."""
        if self._charts is None:
            raise LinkLost("not connected to TianQin yet")
        return self._charts

    def knock(self) -> Knock:
        """Begin to ask whether the servers of the session take connections."""
        return Knock(self._addresses, self._headers)

    def ask(self) -> Callable[[], bool]:
        """Ask market data something; the answer says that the line is alive, held back or not.

        Returns:
            Tells whether the answer has come.
        """
        answer = self._question(ALIVE_QUERY, {}, bool)
        return lambda: answer() is not None

    def _question(
        self, query: str, variables: dict[str, Any], read: Callable[[Any], _T]
    ) -> Callable[[], _T | None]:
        """Ask the server of instruments; what is returned gives what is read of the answer."""
        self._questions += 1
        query_id = f"TQBT_{self._questions}"
        api = self.api
        pack = {"aid": "ins_query", "query_id": query_id, "variables": variables}
        api._send_pack(pack | {"query": query})

        def answer() -> _T | None:
            came = api._data.get("symbols", {}).get(query_id)
            if came is None:
                return None
            found = read(came)
            api._send_pack(pack | {"query": ""})  # the server takes its answer back
            return found

        return answer

    def pump(self, timeout: float) -> bool:
        """Wait for news of any kind, at most ``timeout`` seconds; False when none came.

        Raises:
            LinkLost: There is no session, or tqsdk gives it up: it does when a first connection
                breaks in the hours of daily maintenance.
        """
        if self.history_over:
            return False
        api = self.api
        try:
            with self._loop.whole_callbacks():
                return bool(api.wait_update(deadline=deadline_in(timeout)))
        except BacktestFinished:
            logger.info("the days of the back-test are over")
            self.history_over = True
            return False
        except Exception as error:
            if any(word in str(error) for word in OUT_OF_SERVICE):
                raise LinkLost(f"TianQin is not in service: {error}") from error
            raise

    def virtual_now(self) -> int | None:
        """The server's own time in nanoseconds where it has one (sandbox, history), else None."""
        state = self._api._data.get("_tqsdk_backtest") if self._api is not None else None
        if state is None or "current_dt" not in state:
            return None
        # At its end a back-test of tqsdk says 2038.
        return min(int(state["current_dt"]), int(state.get("end_dt", state["current_dt"])))

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
        found, words = _instruments_of(answer), answer.get("error")
        if words or symbol not in found:
            raise UnknownSymbol(
                symbol,
                f"TianQin knows no contract {symbol!r}"
                + (f" ({words})" if words else "")
                + "; expected EXCHANGE.contract, for example SHFE.cu2612, and mind the case",
            )
        return found[symbol]

    def ask_instruments(self, symbols: list[str]) -> Callable[[], dict[str, Instrument] | None]:
        """Ask for specifications without waiting.

        Returns:
            Gives the answer when it has come, once; None before.
        """
        return self._question(_INSTRUMENT_QUERY, {"instrument_id": symbols}, _instruments_of)

    def contracts(self, exchange_id: str, product_id: str) -> list[str]:
        """The futures of a product that trade.

        Raises:
            LinkTimeout: No answer in time.
        """
        try:
            found = self.api.query_quotes(
                ins_class="FUTURE", exchange_id=exchange_id, product_id=product_id, expired=False
            )
        except TqTimeoutError as error:
            raise LinkTimeout(f"TianQin did not say what {product_id} there are") from error
        return sorted(found)

    def price_limits(self, symbol: str) -> tuple[float, float]:
        """Today's (upper_limit, lower_limit) from the quote, where the specification has none.

        Raises:
            OrderError: The quote has none either, as before the day's first data.
        """
        quote = self.quote(symbol)
        limits = (float(quote.upper_limit), float(quote.lower_limit))
        if any(limit != limit for limit in limits):
            raise OrderError(f"no price limits of {symbol} are known yet: give a limit price")
        return limits

    def best_prices(self, symbol: str) -> tuple[float, float]:
        """The market's (ask, bid) now.

        Raises:
            OrderError: One of them is missing: nobody buys, or nobody sells.
        """
        quote = self.quote(symbol)
        prices = (float(quote.ask_price1), float(quote.bid_price1))
        if any(price != price for price in prices):
            raise OrderError(f"{symbol} has no two sides now: give a limit price")
        return prices

    def quote(self, symbol: str) -> Any:
        """The client's quote of a contract, subscribed when it is first asked for.

        Raises:
            LinkLost: There is no session.
            LinkTimeout: Its first data did not come in half a minute.
        """
        found = self._quotes.get(symbol)
        if found is None:
            try:
                found = self._quotes[symbol] = self.api.get_quote(symbol)
            except TqTimeoutError as error:
                raise LinkTimeout(f"no quote of {symbol} within 30 s") from error
        return found

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
        changed, self._trading_news = self._trading_news and self.connected, False
        while self.connected and not self._trading.empty():
            self._trading.recv_nowait()
            changed = True
        return changed

    def all_reports(self) -> list[OrderReport | Fill]:
        """Every order and trade that the client knows, as ``new_reports``."""
        self._orders.clear()
        self._trades.clear()
        return self.new_reports()

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
        """The account's fields as TqSdk names them, in yuan; without a session the last ones."""
        return dict(self._api.get_account()) if self.connected else dict(self._last_account)

    def positions(self) -> dict[str, dict[str, Any]]:
        """The account's positions by symbol, fields as TqSdk names them; as ``account``."""
        if not self.connected:
            return dict(self._last_positions)
        found = self._api.get_position()
        return {symbol: plain(position) for symbol, position in found.items()}

    def report_again(self, order_id: str) -> None:
        """Have the next ``new_reports`` tell an order and its trades once more."""
        self._orders.pop(order_id, None)
        self._trades -= {
            trade_id
            for trade_id in self._trades
            if self.api.get_trade(trade_id).order_id == order_id
        }
        self._trading_news = True

    def position(self, symbol: str) -> dict[str, Any]:
        """The account's position in one contract, fields as TqSdk names them; {} if none."""
        if not self.connected:
            return self._last_positions.get(symbol, {})
        found = self._api.get_position()
        return plain(found[symbol]) if symbol in found else {}

    def known_orders(self) -> set[str]:
        """The ids of the orders in the client's picture; in a new session, in the exchange's."""
        return set(self.api.get_order())

    # -- notices ------------------------------------------------------------------------------

    def new_notices(self) -> list[Notice]:
        """Notifications that came since the last question."""
        notices = self._api._data.get("notify", {}) if self.connected else {}
        if not notices:
            return []
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


def _instruments_of(answer: Mapping[str, Any]) -> dict[str, Instrument]:
    rows = (answer.get("result") or {}).get("multi_symbol_info") or []
    return {one.symbol: one for one in map(to_instrument, rows)}
