"""Specifications of the contracts that a run deals with: at hand at once, renewed beside the run.

Only a contract that nobody has asked for yet is waited for. A new trading day, a market that opens
and a new session ask for all of them again without waiting: until the answer is there the last one
serves, without the price limits, which were another day's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import date
from typing import Protocol

from .clock import monotonic
from .model import NAN, Instrument

#: Seconds after which a question without an answer is asked again.
ASK_AGAIN = 10.0

Answer = Callable[[], "dict[str, Instrument] | None"]


class Source(Protocol):
    """What answers; the gateway."""

    @property
    def connected(self) -> bool: ...
    def instrument(self, symbol: str) -> Instrument: ...
    def ask_instruments(self, symbols: list[str]) -> Answer: ...


class Instruments:
    """Remembers specifications.

    Args:
        source: Answers questions.
        today: The trading day.
        learn: Told of each specification that has come.
    """

    def __init__(
        self, source: Source, today: Callable[[], date], learn: Callable[[Instrument], None]
    ) -> None:
        self._source, self._today, self._learn = source, today, learn
        self._known: dict[str, Instrument] = {}
        self._day: date | None = None
        self._due = False
        self._asked_at = 0.0
        self._answer: Answer | None = None

    def get(self, symbol: str) -> Instrument:
        """A contract's specification.

        Raises:
            UnknownSymbol: There is no such contract.
            LinkError: It is asked for the first time, and there is no answer.
        """
        self.follow()
        found = self._known.get(symbol)
        if found is None:
            self._take({symbol: self._source.instrument(symbol)})
            found = self._known[symbol]
        return found

    def ask(self) -> None:
        """Have all specifications renewed, as soon as there is a session."""
        self._due, self._answer = bool(self._known), None
        self.follow()

    def follow(self) -> None:
        """Every round: notice a new trading day, ask, and take what has come."""
        today = self._today()
        if today != self._day:
            self._day, self._due, self._answer = today, bool(self._known), None
            self._known = {
                symbol: replace(one, upper_limit=NAN, lower_limit=NAN)
                for symbol, one in self._known.items()
            }
        if not self._due or not self._source.connected:
            return
        news = self._answer() if self._answer is not None else None
        if news is not None:
            self._due, self._answer = False, None
            self._take(news)
        elif self._answer is None or monotonic() - self._asked_at > ASK_AGAIN:
            self._asked_at = monotonic()
            self._answer = self._source.ask_instruments(list(self._known))

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
