"""The library's own books: what the fills it has seen come to, apart from the account's figures."""

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
        """What is there now."""
        return round(self.start + self.profit - self.fees, 2)


class ProfitAndLoss:
    """Profit and fees of fills, in yuan, to the fen.

    Profit needs no matching of lots: it is what was received for everything sold, less what was
    paid for everything bought, and what the rest would bring at the mark price.
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
            equity: Yuan, the positions marked at the prices given here.
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
        """Book what trades have cost beside the fees that they were booked with."""
        self.fees = round(self.fees + fee, 2)

    def adjust(self, symbol: str, lots: int, price: float, volume_multiple: int) -> None:
        """Lots that came or went without a fill and a fee: at an expiry, or for no known reason."""
        self._book(symbol, lots, price, volume_multiple)

    def _book(self, symbol: str, lots: int, price: float, volume_multiple: int) -> None:
        self._cash = round(self._cash - round(lots * price * volume_multiple, 2), 2)
        self._multiplier[symbol] = volume_multiple
        self.lots[symbol] += lots

    def balance(self, mark_prices: Mapping[str, float]) -> Balance:
        """Where we stand.

        Args:
            mark_prices: symbol -> price, for every symbol with open lots.
        """
        held = sum(
            round(lots * mark_prices[symbol] * self._multiplier[symbol], 2)
            for symbol, lots in self.lots.items()
            if lots
        )
        return Balance(self.start, round(self._cash + held, 2), self.fees)
