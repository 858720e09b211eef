"""Specifications of the contracts that a run deals with: at hand at once, renewed beside the run.

A contract that nobody has asked for yet is waited for before a run begins, and a moment at most
while it goes on. A new trading day, a market that opens and a new session ask for all of them again
without waiting: until the answer is there the last one serves, without the price limits, which were
another day's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import fields, replace
from datetime import date
from typing import Protocol

from ..calendars.products import did_you_mean
from ..core.clock import monotonic
from ..core.model import NAN, Instrument
from ..errors import LinkTimeout, UnknownSymbol
from ..session_calendar import CALENDAR

#: Seconds after which a question without an answer is asked again.
ASK_AGAIN = 10.0
#: Seconds that a contract is waited for outside of a run, and inside of one while market data is
#: up: there an answer takes some tens of milliseconds.
PATIENCE, HURRIED = 60.0, 0.5

Answer = Callable[[], "dict[str, Instrument] | None"]


class Source(Protocol):
    """What answers; the gateway's ``Queries``."""

    @property
    def connected(self) -> bool: ...
    def instrument(self, symbol: str) -> Instrument: ...
    def ask_instruments(self, symbols: list[str]) -> Answer: ...


class Question:
    """Specifications asked for without waiting, and again while no answer comes.

    Attributes:
        asked: The contracts of the last question.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.asked: frozenset[str] = frozenset()
        self._asked_at = 0.0
        self._answer: Answer | None = None

    def begin(self) -> None:
        """What was asked before is of no interest any more."""
        self._answer = None

    def follow(self, symbols: Collection[str]) -> dict[str, Instrument] | None:
        """Ask if it is time to, and give what has come: the answer to what was asked last."""
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
    """Remembers specifications.

    Args:
        source: Answers questions.
        pump: Waits so many seconds for the server.
        today: The trading day.
        learn: Told of each specification that has come.
        patience: Gives the seconds for which a contract may be waited for now.
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
        self._known: dict[str, Instrument] = {}
        self._wanted: set[str] = set()
        self._absent: set[str] = set()
        self._day: date | None = None
        self._due = False
        self._renewal, self._question = Question(source), Question(source)

    def get(self, symbol: str, patience: float | None = None) -> Instrument:
        """A contract's specification.

        Args:
            symbol: The contract.
            patience: Seconds to wait for one that is not known; default as the moment is.

        Raises:
            UnknownSymbol: There is no such contract.
            LinkError: It is asked for the first time, and there is no answer.
        """
        self.follow()
        found = self._known.get(symbol)
        if found is None:
            seconds = self._patience() if patience is None else patience
            if seconds >= PATIENCE:
                self._wait(symbol)
            else:
                self._hurry(symbol, seconds)
            found = self._known[symbol]
        return found

    def known(self, symbol: str) -> Instrument | None:
        """The same without waiting: None until an answer has come; it is asked for."""
        if symbol not in self._known and symbol not in self._absent:
            self._wanted.add(symbol)
        self.follow()
        return self._known.get(symbol)

    def absent(self, symbol: str) -> bool:
        """Whether TianQin has said today that there is no such contract."""
        return symbol in self._absent

    def ask(self) -> None:
        """Have all specifications renewed, as soon as there is a session."""
        self._due = bool(self._known)
        self._renewal.begin()
        self._question.begin()
        self.follow()

    def follow(self) -> None:
        """Every round: notice a new trading day, ask, and take what has come."""
        today = self._today()
        if today != self._day:
            self._day, self._due = today, bool(self._known)
            self._renewal.begin()
            self._absent.clear()
            self._known = {
                symbol: replace(one, upper_limit=NAN, lower_limit=NAN)
                for symbol, one in self._known.items()
            }
        if self._due:
            news = self._renewal.follow(self._known)
            if news is not None:
                self._due = False
                self._take(news)
        if self._wanted:
            news = self._question.follow(self._wanted)
            if news is not None:
                self._absent |= self._question.asked - news.keys()
                self._wanted -= self._question.asked
                self._take(news)

    def _wait(self, symbol: str) -> None:
        """Let the client run until it has the answer."""
        try:
            self._take({symbol: self._source.instrument(symbol)})
        except UnknownSymbol:
            self._absent.add(symbol)
            raise

    def _hurry(self, symbol: str, seconds: float) -> None:
        """Wait a moment for a contract that is asked for inside of a run."""
        check_name(symbol)
        deadline = monotonic() + seconds
        while self.known(symbol) is None:
            left = deadline - monotonic()
            if symbol in self._absent:
                raise no_such_contract(symbol)
            if left <= 0 or not self._source.connected:
                raise LinkTimeout(
                    f"what {symbol} is was not known, and TianQin has not said so yet: it is asked "
                    "on; a contract that a feed was made of, or that is held, is always known"
                )
            self._pump(left)

    def _take(self, news: dict[str, Instrument]) -> None:
        for symbol, instrument in news.items():
            # The same value keeps its identity: what is derived from it is kept, too.
            if not _same(self._known.get(symbol), instrument):
                self._known[symbol] = instrument
                self._learn(instrument)


def _same(one: Instrument | None, other: Instrument) -> bool:
    """Whether two specifications say the same; what TianQin does not give is nan in both.

    From Python 3.13 on dataclasses that hold nan do not equal themselves.
    """
    if one is None:
        return False
    pairs = ((getattr(one, each.name), getattr(other, each.name)) for each in fields(Instrument))
    return all(a == b or (a != a and b != b) for a, b in pairs)


def check_name(symbol: object) -> None:
    """Refuse what cannot be the name of a contract.

    Raises:
        UnknownSymbol: It is no text, or has no exchange.
    """
    text = f"{symbol!r} is no symbol: write SHFE.cu2612 or the like"
    if not isinstance(symbol, str):
        raise UnknownSymbol(str(symbol), text)
    if "." not in symbol:
        raise UnknownSymbol(symbol, text + did_you_mean(symbol, CALENDAR.products))


def no_such_contract(symbol: str, words: str = "") -> UnknownSymbol:
    """What is said of a contract that TianQin does not know."""
    return UnknownSymbol(
        symbol,
        f"TianQin knows no contract {symbol!r}"
        + (f" ({words})" if words else "")
        + "; expected EXCHANGE.contract, for example SHFE.cu2612, and mind the case"
        + did_you_mean(symbol, CALENDAR.products),
    )
