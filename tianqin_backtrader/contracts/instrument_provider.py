"""Specifications of the contracts of a run: cached, and renewed in the background.

An unknown contract is waited for before a run begins, but only briefly during a run. A new trading
day, an opening market and a new session renew all specifications without waiting: until the answer
arrives the last specification is used, without the price limits, which were another day's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import fields, replace
from datetime import date
from typing import Protocol

from ..calendars.products import did_you_mean
from ..core.clock import monotonic
from ..core.model import NAN, Instrument
from ..errors import LinkTimeout, UnknownSymbol
from ..session_calendar import CALENDAR

#: Seconds after which an unanswered request is repeated.
ASK_AGAIN = 10.0
#: Seconds to wait for a contract outside of a run, and during one while market data is connected:
#: then an answer takes some tens of milliseconds.
PATIENCE, HURRIED = 60.0, 0.5

Answer = Callable[[], "dict[str, Instrument] | None"]


class Source(Protocol):
    """The source of specifications; the gateway's ``Queries``."""

    @property
    def connected(self) -> bool: ...
    def instrument(self, symbol: str) -> Instrument: ...
    def instruments(self, symbols: Collection[str]) -> dict[str, Instrument]: ...
    def ask_instruments(self, symbols: list[str]) -> Answer: ...


class Question:
    """A request of specifications without waiting, repeated until it is answered.

    Attributes:
        asked: The contracts of the last request.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.asked: frozenset[str] = frozenset()
        self._asked_at = 0.0
        self._answer: Answer | None = None

    def begin(self) -> None:
        """Forget earlier requests."""
        self._answer = None

    def follow(self, symbols: Collection[str]) -> dict[str, Instrument] | None:
        """Send a request if it is due, and return the answer to the last one, if it has come."""
        if not symbols or not self._source.connected:
            return None
        news = self._answer() if self._answer is not None else None
        if news is not None:
            self._answer = None
        elif self._answer is None or monotonic() - self._asked_at > ASK_AGAIN:
            self._asked_at, self.asked = monotonic(), frozenset(symbols)
            self._answer = self._source.ask_instruments(sorted(symbols))
        return news


class InstrumentProvider:
    """Caches specifications.

    Args:
        source: Answers requests.
        pump: Waits for the server, for so many seconds.
        today: Returns the trading day.
        learn: Called with each new specification.
        patience: Returns the seconds to wait for a contract now.

    Attributes:
        at_hand: Those that are known, by symbol.
        wanted: Contracts that are to be asked for.
        day: The trading day that ``at_hand`` is of.
        due: Whether all are to be renewed.
    """

    def __init__(
        self,
        source: Source,
        pump: Callable[[float], object],
        today: Callable[[], date],
        learn: Callable[[Instrument], None],
        patience: Callable[[], float] = lambda: PATIENCE,
    ) -> None:
        self._pump = pump
        self._source, self._today, self._learn, self._patience = source, today, learn, patience
        self.at_hand: dict[str, Instrument] = {}
        self.wanted: set[str] = set()
        self._absent: set[str] = set()
        self.day: date | None = None
        self.due = False
        self._renewal, self._question = Question(source), Question(source)

    def get(self, symbol: str, patience: float | None = None) -> Instrument:
        """A contract's specification.

        Args:
            symbol: The contract.
            patience: Seconds to wait for an unknown contract; default as ``patience`` above.

        Raises:
            UnknownSymbol: There is no such contract.
            LinkError: It is requested for the first time, and there is no answer.
        """
        self.follow()
        found = self.at_hand.get(symbol)
        if found is None:
            seconds = self._patience() if patience is None else patience
            if seconds >= PATIENCE:
                self._wait(symbol)
            else:
                self._hurry(symbol, seconds)
            found = self.at_hand[symbol]
        return found

    def get_list(self, symbols: Iterable[str]) -> list[Instrument]:
        """Contracts' specifications, with one request for all that are unknown.

        Args:
            symbols: The contracts.

        Raises:
            UnknownSymbol: There is no such contract.
            LinkError: As for ``get``.
        """
        symbols = list(symbols)
        for symbol in symbols:
            check_name(symbol)
        unknown = [one for one in dict.fromkeys(symbols) if one not in self.at_hand]
        if len(unknown) > 1:
            if self._patience() >= PATIENCE:
                self._take(self._source.instruments(unknown))
            else:
                self.wanted.update(unknown)
        return [self.get(symbol) for symbol in symbols]

    def known(self, symbol: str) -> Instrument | None:
        """A specification without waiting: None until an answer has come, which is requested."""
        if symbol not in self.at_hand and symbol not in self._absent:
            self.wanted.add(symbol)
        self.follow()
        return self.at_hand.get(symbol)

    def absent(self, symbol: str) -> bool:
        """Whether TianQin has answered today that there is no such contract."""
        return symbol in self._absent

    def ask(self) -> None:
        """Renew all specifications as soon as there is a session."""
        self.due = bool(self.at_hand)
        self._renewal.begin()
        self._question.begin()
        self.follow()

    def follow(self) -> None:
        """In every round, notice a new trading day, send requests, and take answers."""
        today = self._today()
        if today != self.day:
            self.day, self.due = today, bool(self.at_hand)
            self._renewal.begin()
            self._absent.clear()
            for symbol, one in self.at_hand.items():
                self.at_hand[symbol] = replace(one, upper_limit=NAN, lower_limit=NAN)
        if self.due:
            news = self._renewal.follow(self.at_hand)
            if news is not None:
                self.due = False
                self._take(news)
        if self.wanted:
            news = self._question.follow(self.wanted)
            if news is not None:
                self._absent |= self._question.asked - news.keys()
                self.wanted -= self._question.asked
                self._take(news)

    def _wait(self, symbol: str) -> None:
        """Run the client until the answer is there."""
        try:
            self._take({symbol: self._source.instrument(symbol)})
        except UnknownSymbol:
            self._absent.add(symbol)
            raise

    def _hurry(self, symbol: str, seconds: float) -> None:
        """Wait briefly for a contract that is requested during a run."""
        check_name(symbol)
        deadline = monotonic() + seconds
        while self.known(symbol) is None:
            left = deadline - monotonic()
            if symbol in self._absent:
                raise no_such_contract(symbol)
            if left <= 0 or not self._source.connected:
                raise LinkTimeout(
                    f"{symbol} is not known yet, and TianQin has not answered; it is asked again. "
                    "Contracts of feeds and positions are always known"
                )
            self._pump(left)

    def _take(self, news: dict[str, Instrument]) -> None:
        for symbol, instrument in news.items():
            # Equal values keep their identity, and so do values derived from them.
            if not _same(self.at_hand.get(symbol), instrument):
                self.at_hand[symbol] = instrument
                self._learn(instrument)


def _same(one: Instrument | None, other: Instrument) -> bool:
    """Whether two specifications are equal, with NaN equal to NaN.

    From Python 3.13 on dataclasses with NaN do not equal themselves.
    """
    if one is None:
        return False
    pairs = ((getattr(one, each.name), getattr(other, each.name)) for each in fields(Instrument))
    return all(a == b or (a != a and b != b) for a, b in pairs)


def check_name(symbol: object) -> None:
    """Check that a value can be the name of a contract.

    Raises:
        UnknownSymbol: It is not a str, or has no exchange.
    """
    text = f"{symbol!r} is not a symbol: write SHFE.cu2612 or the like"
    if not isinstance(symbol, str):
        raise UnknownSymbol(str(symbol), text)
    if "." not in symbol:
        raise UnknownSymbol(symbol, text + did_you_mean(symbol, CALENDAR.products))


def no_such_contract(symbol: str, words: str = "") -> UnknownSymbol:
    """The error for a contract that TianQin does not know."""
    return UnknownSymbol(
        symbol,
        f"TianQin knows no contract {symbol!r}"
        + (f" ({words})" if words else "")
        + "; expected EXCHANGE.contract, for example SHFE.cu2612, and mind the case"
        + did_you_mean(symbol, CALENDAR.products),
    )
