"""Who listens to a store without taking part: alerts, monitoring, the live page.

They are called in the store's own thread, are shown what happens, and change nothing. One that
fails is written to the log and not called again: watching never disturbs trading.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..core.model import Bar
from ..feeds.live_bars import Difference
from .ports import OrderView

logger = logging.getLogger(__name__)


class Observer:
    """Listens to what it overrides. It must return at once, and keep nothing that lives."""

    def round(self) -> None:
        """A wait for the server is over, and what it brought is where it belongs."""

    def bar(self, name: str, bar: Bar) -> None:
        """A feed has delivered a bar."""

    def order(self, order: OrderView) -> None:
        """Strategies are about to be told of an order; look at it now, it goes on changing."""

    def exposed(self, symbol: str, lots: int, text: str) -> None:
        """Lots that are held have lost their protection; see ``alerts.facts.Exposed``."""

    def difference(self, found: Difference) -> None:
        """A delivered bar is not the official one."""

    def said(self, text: str) -> None:
        """``notify_store`` is about to be told something."""

    def failed(self, error: Exception) -> None:
        """The program ends with an error; the store is about to be closed."""

    def stopped(self, by: str) -> None:
        """A signal ends the program, ``"Ctrl-C"`` or ``"SIGTERM"``; as ``failed`` otherwise."""

    def closed(self) -> None:
        """The store has been closed."""


class Observers:
    """The observers of one store; calls each of them, in the order they came."""

    def __init__(self) -> None:
        self._all: tuple[Observer, ...] = ()

    def add(self, observer: Observer) -> None:
        """From the next call on."""
        self._all = (*self._all, observer)

    def remove(self, observer: Observer) -> None:
        """No more; twice does no harm."""
        self._all = tuple(one for one in self._all if one is not observer)

    def round(self) -> None:
        """As of ``Observer``; so are the others."""
        if self._all:
            self._tell(lambda one: one.round())

    def bar(self, name: str, bar: Bar) -> None:
        if self._all:
            self._tell(lambda one: one.bar(name, bar))

    def order(self, order: OrderView) -> None:
        if self._all:
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
        for one in self._all:
            try:
                what(one)
            except Exception:
                self.remove(one)
                logger.exception("%s has failed and is off from here on", type(one).__name__)
