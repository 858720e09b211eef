"""Refuse orders that must not be sent now: in history, without a link, in a closed market."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from ..core.context import Context
from ..core.model import MarketPhase
from ..core.ports import Feeds, LinkPort
from ..errors import ConfigError, OrderError


class WhenClosed(StrEnum):
    """What happens to an order that the market cannot take now."""

    REJECT = "reject"
    HOLD = "hold"  # until the market opens


def choice(value: Any, name: str) -> WhenClosed:
    """Parse a parameter of the broker.

    Raises:
        ConfigError: It is neither ``"reject"`` nor ``"hold"``.
    """
    try:
        return WhenClosed(value)
    except ValueError as error:
        raise ConfigError(f'{name} is "reject" or "hold", not {value!r}') from error


class PreTradeChecks:
    """Checks whether an order may be accepted, and whether it may be sent, now.

    Args:
        context: Time and calendar.
        link: The connection to the exchange.
        feeds: The feeds of the run.
        closed: What happens to orders outside sessions.
        auction: What happens to orders in call auctions.

    Attributes:
        reconciled: Whether the account's positions have been taken over.
    """

    def __init__(
        self,
        context: Context,
        link: LinkPort,
        feeds: Feeds,
        closed: WhenClosed,
        auction: WhenClosed,
    ) -> None:
        self._context, self._link, self._feeds = context, link, feeds
        self._closed, self._auction = closed, auction
        self.reconciled = False
        #: Contracts on which other orders are refused, with the reason.
        self.reserved: dict[str, str] = {}

    def admit(
        self, symbol: str, *, bars: int = 0, early: bool = False, waits: bool = False
    ) -> None:
        """Refuse an order at the wrong time of a run.

        Args:
            symbol: The contract of the order's feed.
            bars: Bars that this feed has delivered, as far as known.
            early: Whether it needs no bar, as its owner has decided already.
            waits: Whether it waits on our side, so that it needs no link now.

        Raises:
            OrderError: In history, before the account is known, or while trading is impossible.
        """
        no_trading = self._link.no_trading
        if no_trading and not (waits and self.reconciled):
            raise OrderError(f"no orders while {no_trading}")
        if self._feeds.in_history:
            raise OrderError("no orders while history is being delivered (history_phase)")
        if not early and bars <= 1 and self._feeds.has_no_bar(symbol):
            raise OrderError(f"no orders on {symbol} before its feed has delivered a bar")
        if not self.reconciled:
            raise OrderError("no orders before the account's positions have been taken over")

    def must_be_free(self, symbol: str) -> None:
        """Refuse orders on a contract that is being rolled.

        Raises:
            OrderError: The contract is reserved.
        """
        if symbol in self.reserved:
            raise OrderError(f"no other orders on {symbol}: {self.reserved[symbol]}")

    def holds(self, symbol: str) -> bool:
        """Return whether an order must wait for the market.

        Raises:
            OrderError: The market is closed, and the broker's setting is to reject.
        """
        phase = self._context.phase(symbol)
        if phase is MarketPhase.TRADING:
            return False
        auction, now = phase is MarketPhase.AUCTION, self._context.now()
        if (self._auction if auction else self._closed) is WhenClosed.HOLD:
            return True
        if auction:
            raise OrderError(f"{symbol} is in a call auction at {now}")
        opens = self._context.calendar.next_session_boundary(symbol, now)
        raise OrderError(f"{symbol} does not trade at {now}; it opens at {opens}")

    def open(self, symbol: str) -> bool:
        """Return whether the exchange would take an order now."""
        return self._link.trading_up and self._context.takes_orders(symbol)
