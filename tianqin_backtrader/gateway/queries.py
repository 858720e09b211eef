"""``Queries``: TianQin's answers about contracts, and the client's quotes of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from tqsdk.diff import _get_obj
from tqsdk.exceptions import TqTimeoutError
from tqsdk.objs_not_entity import QuoteList

from ..contracts.instrument_provider import check_name, no_such_contract
from ..contracts.odd_prices import Limits, sane
from ..core.model import Instrument
from ..errors import LinkTimeout, OrderError
from .current_session import CurrentSession
from .rows import to_instrument

_T = TypeVar("_T")

#: A query whose answer costs nothing.
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


#: Prices of a quote that affect decisions; they are checked against the day's limits.
_PRICES = frozenset(
    {"last_price", *(f"{side}_price{level}" for side in ("bid", "ask") for level in range(1, 11))}
)
_LIMITS = frozenset({"upper_limit", "lower_limit"})


class CleanQuote:
    """The client's quote of a contract, with NaN for invalid prices.

    Args:
        symbol: The contract.
        quote: TqSdk's quote, which is always the newest.
    """

    def __init__(self, symbol: str, quote: Any) -> None:
        self._symbol, self._quote = symbol, quote

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._quote, name)
        if name in _PRICES:
            return sane(self._symbol, float(value), Limits(self.lower_limit, self.upper_limit))
        return sane(self._symbol, float(value)) if name in _LIMITS else value


class Queries:
    """Specifications and quotes.

    Args:
        session: The current session.
        matches_itself: Whether the client matches orders itself.
    """

    def __init__(self, session: CurrentSession, *, matches_itself: bool) -> None:
        self._session, self._matches_itself = session, matches_itself
        self._questions = 0
        self._quotes: dict[str, CleanQuote] = {}

    @property
    def connected(self) -> bool:
        """Whether there is a session to query."""
        return self._session.client is not None

    def begin(self) -> None:
        """Begin a new session: quotes are those of its client."""
        self._quotes.clear()

    def instrument(self, symbol: str) -> Instrument:
        """Query TianQin for a contract's specification of today.

        Raises:
            UnknownSymbol: There is no such contract; known at once, without a time-out.
            LinkTimeout: There was no answer within a minute.
        """
        check_name(symbol)
        found, words = self._ask([symbol])
        if symbol not in found:
            raise no_such_contract(symbol, words)
        return found[symbol]

    def instruments(self, symbols: Collection[str]) -> dict[str, Instrument]:
        """Query TianQin for several specifications at once; unknown contracts are left out.

        Raises:
            LinkTimeout: There was no answer within a minute.
        """
        return self._ask(symbols)[0]

    def _ask(self, symbols: Collection[str]) -> tuple[dict[str, Instrument], str]:
        """The specifications that there are, and the words of an error."""
        # TqSdk answers a repeated query from memory; tomorrow's limits differ.
        self._questions += 1
        query = f"{_INSTRUMENT_QUERY}\n# {self._questions}"
        try:
            answer = self._session.api.query_graphql(query, {"instrument_id": list(symbols)})
        except TqTimeoutError as error:
            names = ", ".join(symbols)
            raise LinkTimeout(f"TianQin did not answer within 60 s what {names} is") from error
        words = str(answer.get("error") or "")
        return ({} if words else self._instruments_of(answer)), words

    def ask_instruments(self, symbols: list[str]) -> Callable[[], dict[str, Instrument] | None]:
        """Query specifications without waiting.

        Returns:
            A function that returns the answer once, when it has come; None before.
        """
        return self._question(_INSTRUMENT_QUERY, {"instrument_id": symbols}, self._instruments_of)

    def contracts(self, exchange_id: str, product_id: str) -> list[str]:
        """The futures of a product that are trading.

        Raises:
            LinkTimeout: There was no answer in time.
        """
        try:
            found = self._session.api.query_quotes(
                ins_class="FUTURE", exchange_id=exchange_id, product_id=product_id, expired=False
            )
        except TqTimeoutError as error:
            raise LinkTimeout(f"TianQin did not list the contracts of {product_id}") from error
        return sorted(found)

    def ask(self) -> Callable[[], bool]:
        """Send a request to market data; its answer proves that the line is alive.

        Returns:
            A function that tells whether the answer has come, even if TqSdk holds it back.
        """
        answer = self._question(ALIVE_QUERY, {}, bool)
        return lambda: answer() is not None

    def _question(
        self, query: str, variables: dict[str, Any], read: Callable[[Any], _T]
    ) -> Callable[[], _T | None]:
        """Query the instrument server; returns a function that returns the parsed answer."""
        self._questions += 1
        query_id = f"TQBT_{self._questions}"
        api = self._session.api
        pack = {"aid": "ins_query", "query_id": query_id, "variables": variables}
        api._send_pack(pack | {"query": query})

        def answer() -> _T | None:
            came = api._data.get("symbols", {}).get(query_id)
            if came is None:
                return None
            found = read(came)
            api._send_pack(pack | {"query": ""})  # lets the server drop its answer
            return found

        return answer

    def _instruments_of(self, answer: Mapping[str, Any]) -> dict[str, Instrument]:
        rows = (answer.get("result") or {}).get("multi_symbol_info") or []
        found = {one.symbol: one for one in map(to_instrument, rows)}
        self._session.contracts_known |= found
        return found

    # -- quotes -------------------------------------------------------------------------------

    def price_limits(self, symbol: str) -> tuple[float, float]:
        """Today's (upper_limit, lower_limit) from the quote, if the specification has none.

        A limit is NaN if the quote does not have it either, as before the day's first data.
        """
        quote = self.quote(symbol)
        return float(quote.upper_limit), float(quote.lower_limit)

    def best_prices(self, symbol: str) -> tuple[float, float]:
        """The market's (ask, bid) now.

        Raises:
            OrderError: One of them is missing: nobody sells, or nobody buys.
        """
        quote = self.quote(symbol)
        prices = (float(quote.ask_price1), float(quote.bid_price1))
        if any(price != price for price in prices):
            raise OrderError(f"{symbol} has only one side of the book now: give a limit price")
        return prices

    def quote(self, symbol: str) -> CleanQuote:
        """The client's quote of a contract, subscribed at the first call.

        It returns without waiting: prices are NaN until the first data arrive. Only a client that
        matches orders itself runs until it has the quote, because it cannot fill orders without it.

        Raises:
            LinkLost: There is no session.
            LinkTimeout: A client that matches orders itself got no quote within half a minute.
            OrderError: The user has no permission for the contract's market data.
        """
        found = self._quotes.get(symbol)
        if found is None:
            found = self._quotes[symbol] = self._subscribe(symbol)
        return found

    def _subscribe(self, symbol: str) -> CleanQuote:
        api = self._session.api
        try:
            if self._matches_itself:
                return CleanQuote(symbol, api.get_quote(symbol))
            api._auth._has_md_grants(symbol)
        except TqTimeoutError as error:
            raise LinkTimeout(f"no quote of {symbol} within 30 s") from error
        except Exception as error:  # TqSdk raises a plain Exception
            raise OrderError(str(error)) from error
        quote = _get_obj(api._data, ["quotes", symbol], api._prototype["quotes"]["#"])
        QuoteList(api, [quote])  # its tasks subscribe, and continue in ``pump``
        return CleanQuote(symbol, quote)
