"""The library's own books: profit and fees of the fills, independent of the account's figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from ..core.model import Fill


@dataclass(frozen=True, slots=True)
class Balance:
    """Yuan. ``equity`` = ``start`` + ``profit`` - ``fees``."""

    start: float
    profit: float
    fees: float

    @property
    def equity(self) -> float:
        """The present equity."""
        return round(self.start + self.profit - self.fees, 2)


class ProfitAndLoss:
    """Profit and fees of fills, in yuan, to the fen.

    Profit needs no matching of lots: it is the proceeds of all sales, less the cost of all
    purchases, plus the value of the open lots at the mark price.
    """

    def __init__(self) -> None:
        self.start = 0.0
        self.fees = 0.0
        self.fills = 0
        self.lots: dict[str, int] = defaultdict(int)
        self._cash = 0.0
        self._multiplier: dict[str, int] = {}

    def begin(
        self, equity: float, positions: Mapping[str, tuple[int, float, int]] | None = None
    ) -> None:
        """Start with an account's equity and its open positions.

        Args:
            equity: Yuan, with the positions at the mark prices given here.
            positions: symbol -> (net lots, mark price, volume_multiple).
        """
        self.start = equity
        for symbol, (lots, price, multiplier) in (positions or {}).items():
            self._book(symbol, lots, price, multiplier)

    def take(self, fill: Fill, volume_multiple: int) -> None:
        """Book one execution."""
        self.fills += 1
        self.fees = round(self.fees + fill.commission, 2)
        self._book(fill.symbol, fill.direction.sign * fill.volume, fill.price, volume_multiple)

    def charge(self, fee: float) -> None:
        """Book fees of trades beyond those that they were booked with."""
        self.fees = round(self.fees + fee, 2)

    def adjust(self, symbol: str, lots: int, price: float, volume_multiple: int) -> None:
        """Book lots that came or went without a fill: at an expiry, or unexplained."""
        self._book(symbol, lots, price, volume_multiple)

    def _book(self, symbol: str, lots: int, price: float, volume_multiple: int) -> None:
        self._cash = round(self._cash - round(lots * price * volume_multiple, 2), 2)
        self._multiplier[symbol] = volume_multiple
        self.lots[symbol] += lots

    def balance(self, mark_prices: Mapping[str, float]) -> Balance:
        """Return the present balance.

        Args:
            mark_prices: symbol -> price, for every symbol with open lots.
        """
        held = sum(
            round(lots * mark_prices[symbol] * self._multiplier[symbol], 2)
            for symbol, lots in self.lots.items()
            if lots
        )
        return Balance(self.start, round(self._cash + held, 2), self.fees)
