"""``KillSwitch`` closes all that is held."""

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

#: Market time between two attempts to close a contract, and how many may come to nothing.
FLATTEN_AGAIN, FLATTEN_TRIES = 2 * SECOND, 30


@dataclass(slots=True)
class _Attempts:
    """To close one contract: how many are left, and what they have met."""

    day: date
    lots: tuple[int, int]
    left: int = FLATTEN_TRIES
    not_before: int = 0

    def follow(self, day: date, lots: tuple[int, int]) -> None:
        """A fill or another trading day begins the count anew, if it has not run out."""
        if self.left and (day, lots) != (self.day, self.lots):
            self.day, self.lots, self.left = day, lots, FLATTEN_TRIES


@dataclass(frozen=True, slots=True)
class Close:
    """Lots that are to be closed at the market.

    Attributes:
        symbol: The contract.
        direction: Of the order.
        lots: How many.
        stays: Whether the rest stays at the day's limit until the close.
    """

    symbol: str
    direction: Direction
    lots: int
    stays: bool


class KillSwitch:
    """Closes all that the account holds, one attempt after the other, until it is flat.

    An order that finds no other side, as in a market locked at its limit, stays there until the
    trading day ends; the next day has one of its own. Only attempts that come to nothing otherwise
    are counted, for each contract.

    Args:
        context: Time, calendar and notifications.
        link: To the exchange.
        account: What is held.

    Attributes:
        busy: Whether it is still at work.
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
        """From now on, until nothing is held."""
        self.busy = True
        self._attempts.clear()
        self.changes += 1

    def end(self) -> None:
        """Close nothing more; what is out stays out."""
        self.busy = False
        self.changes += 1

    def on_round(self, working: Collection[str]) -> list[Close]:
        """See what is left, and say what is to be closed now.

        Args:
            working: Contracts in which orders are still out; nothing is sent beside them.
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
        if not any(symbol not in self._attempts or self._attempts[symbol].left for symbol in held):
            self.end()
        return closes

    def _try(self, symbol: str, longs: int, shorts: int) -> list[Close]:
        context = self._context
        now, day = context.now_ns(), context.trading_day()
        attempts = self._attempts.setdefault(symbol, _Attempts(day, (longs, shorts)))
        attempts.follow(day, (longs, shorts))
        if not attempts.left or now < attempts.not_before:
            return []
        attempts.left, attempts.not_before = attempts.left - 1, now + FLATTEN_AGAIN
        if not attempts.left:
            text = f"flatten: given up, still held: {symbol}"
            logger.error("%s", text)
            context.notify(text)
            return []
        stays = not (longs and shorts)  # two that stay at the limits could trade with each other
        sides = ((Direction.SELL, longs), (Direction.BUY, shorts))
        return [Close(symbol, direction, lots, stays) for direction, lots in sides if lots]
