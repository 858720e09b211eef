"""What must not leave now: orders in history, while the link is down, in a closed market."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from ..core.context import Context
from ..core.model import MarketPhase
from ..core.ports import Feeds, LinkPort
from ..errors import ConfigError, OrderError


class WhenClosed(StrEnum):
    """What becomes of an order that the market cannot take now."""

    REJECT = "reject"
    HOLD = "hold"  # until the market opens


def choice(value: Any, name: str) -> WhenClosed:
    """A parameter of the broker.

    Raises:
        ConfigError: It is neither.
    """
    try:
        return WhenClosed(value)
    except ValueError as error:
        raise ConfigError(f'{name} is "reject" or "hold", not {value!r}') from error


class PreTradeChecks:
    """Looks at the moment before an order is taken, and before it is sent.

    Args:
        context: Time and calendar.
        link: To the exchange.
        feeds: Of the run.
        closed: What becomes of orders outside sessions.
        auction: What becomes of orders in call auctions.
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
        #: Contracts that somebody has for himself, and why.
        self.reserved: dict[str, str] = {}

    def admit(
        self, symbol: str, *, bars: int = 0, early: bool = False, waits: bool = False
    ) -> None:
        """Refuse what comes at the wrong time of a run.

        Args:
            symbol: The contract of the order's feed.
            bars: Bars that this feed has delivered, as far as that is known.
            early: It needs no bar: its owner has decided already.
            waits: It waits with us, and needs no link now.

        Raises:
            OrderError: In history, before the account is known, while trading is cut off.
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
            OrderError: It is.
        """
        if symbol in self.reserved:
            raise OrderError(f"no other orders on {symbol}: {self.reserved[symbol]}")

    def holds(self, symbol: str) -> bool:
        """Whether an order must wait for the market.

        Raises:
            OrderError: It must not even wait, by the owner's choice.
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
        """Whether the exchange would take an order now."""
        return self._link.trading_up and self._context.takes_orders(symbol)
