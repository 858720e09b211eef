"""``KillSwitch`` closes all positions."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from ..account.ledger import PositionLedger
from ..core.clock import SECOND
from ..core.context import Context
from ..core.model import Direction
from ..core.ports import LinkPort

logger = logging.getLogger(__name__)

#: Market time between two attempts to close a contract, nanoseconds, and how many may fail.
FLATTEN_AGAIN, FLATTEN_TRIES = 2 * SECOND, 30


@dataclass(slots=True)
class _Attempts:
    """The attempts to close one contract: how many are left, for which day and lots."""

    day: date
    lots: tuple[int, int]
    left: int = FLATTEN_TRIES
    not_before: int = 0
    given_up: bool = False

    def follow(self, day: date, lots: tuple[int, int]) -> None:
        """Begin the count anew after a fill or on another day, unless it was given up."""
        if not self.given_up and (day, lots) != (self.day, self.lots):
            self.day, self.lots, self.left = day, lots, FLATTEN_TRIES


@dataclass(frozen=True, slots=True)
class Close:
    """Lots to close at the market.

    Attributes:
        symbol: The contract.
        direction: The order's direction.
        lots: Number of lots.
        stays: Whether the rest stays at the day's limit until the close.
    """

    symbol: str
    direction: Direction
    lots: int
    stays: bool


class KillSwitch:
    """Closes all positions of the account, attempt by attempt, until it is flat.

    An order without a counterparty, as in a market locked at its limit, stays at the exchange until
    the trading day ends; on the next day a new one is sent. Attempts are counted per contract;
    after a fill or on another day the count begins anew.

    Args:
        context: Time, calendar and notifications.
        link: The connection to the exchange.
        account: Positions.

    Attributes:
        busy: Whether it is active.
        changes: How often it has begun and ended.
    """

    def __init__(
        self,
        context: Context,
        link: LinkPort,
        account: PositionLedger,
    ) -> None:
        self._context, self._link, self._account = context, link, account
        self._attempts: dict[str, _Attempts] = {}
        self.busy = False
        self.changes = 0

    def begin(self) -> None:
        """Begin to close all positions."""
        self.busy = True
        self._attempts.clear()
        self.changes += 1

    def end(self) -> None:
        """End; orders that are out stay out."""
        self.busy = False
        self.changes += 1

    def on_round(self, working: Collection[str]) -> list[Close]:
        """Return the lots to close now.

        Args:
            working: Contracts with orders that are still out; nothing is sent for these.
        """
        if not self.busy or not self._link.trading_up:
            return []
        held = self._account.account_positions()
        if not held:
            if not working:
                self.end()
                self._context.notify("flatten: nothing is held any more")
            return []
        closes: list[Close] = []
        for symbol, position in held.items():
            if symbol not in working and self._context.takes_orders(symbol):
                closes += self._try(symbol, int(position["pos_long"]), int(position["pos_short"]))
        attempts = [self._attempts.get(symbol) for symbol in held]
        if all(one is not None and one.given_up for one in attempts):
            self.end()
        return closes

    def _try(self, symbol: str, longs: int, shorts: int) -> list[Close]:
        context = self._context
        now, day = context.now_ns(), context.trading_day()
        attempts = self._attempts.setdefault(symbol, _Attempts(day, (longs, shorts)))
        attempts.follow(day, (longs, shorts))
        if attempts.given_up or now < attempts.not_before:
            return []
        if not attempts.left:
            attempts.given_up = True
            text = f"flatten: given up, still held: {symbol}"
            logger.error("%s", text)
            context.notify(text)
            return []
        attempts.left, attempts.not_before = attempts.left - 1, now + FLATTEN_AGAIN
        stays = not (longs and shorts)  # two orders at the limits could trade with each other
        sides = ((Direction.SELL, longs), (Direction.BUY, shorts))
        return [Close(symbol, direction, lots, stays) for direction, lots in sides if lots]
