"""Observers of a store: alerts, monitoring, the live page.

They are called in the store's own thread and change nothing. An observer that raises is logged and
not called again: observing must never disturb trading.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..core.model import Bar
from ..feeds.live_bars import Difference
from .ports import OrderView

logger = logging.getLogger(__name__)


class Observer:
    """Override the methods of interest. They must return at once and keep no live objects."""

    def round(self) -> None:
        """A wait for the server has ended, and its news has been processed."""

    def bar(self, name: str, bar: Bar) -> None:
        """A feed has delivered a bar."""

    def order(self, order: OrderView) -> None:
        """Strategies are about to be notified of an order; read it now, it changes later."""

    def exposed(self, symbol: str, lots: int, text: str) -> None:
        """Held lots have lost their stop; see ``alerts.facts.Exposed``."""

    def difference(self, found: Difference) -> None:
        """A delivered bar differs from the official one."""

    def said(self, text: str) -> None:
        """``notify_store`` is about to be called with this text."""

    def failed(self, error: Exception) -> None:
        """The program ends with an error; the store is about to be closed."""

    def stopped(self, by: str) -> None:
        """A signal ends the program, ``"Ctrl-C"`` or ``"SIGTERM"``; otherwise like ``failed``."""

    def closed(self) -> None:
        """The store has been closed."""


class Observers:
    """The observers of one store; calls each of them in order of addition.

    Attributes:
        listening: The observers.
    """

    def __init__(self) -> None:
        self.listening: tuple[Observer, ...] = ()

    def add(self, observer: Observer) -> None:
        """Add an observer."""
        self.listening = (*self.listening, observer)

    def remove(self, observer: Observer) -> None:
        """Remove an observer, if it is there."""
        self.listening = tuple(one for one in self.listening if one is not observer)

    def round(self) -> None:
        """See ``Observer``, as for the other methods."""
        if self.listening:
            self._tell(lambda one: one.round())

    def bar(self, name: str, bar: Bar) -> None:
        if self.listening:
            self._tell(lambda one: one.bar(name, bar))

    def order(self, order: OrderView) -> None:
        if self.listening:
            self._tell(lambda one: one.order(order))

    def exposed(self, symbol: str, lots: int, text: str) -> None:
        self._tell(lambda one: one.exposed(symbol, lots, text))

    def difference(self, found: Difference) -> None:
        self._tell(lambda one: one.difference(found))

    def said(self, text: str) -> None:
        self._tell(lambda one: one.said(text))

    def failed(self, error: Exception) -> None:
        self._tell(lambda one: one.failed(error))

    def stopped(self, by: str) -> None:
        self._tell(lambda one: one.stopped(by))

    def closed(self) -> None:
        self._tell(lambda one: one.closed())

    def _tell(self, what: Callable[[Observer], None]) -> None:
        for one in self.listening:
            try:
                what(one)
            except Exception:
                self.remove(one)
                logger.exception("%s has failed and is switched off", type(one).__name__)
