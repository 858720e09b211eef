"""What a lot has cost at this account, by what was done with it."""

from __future__ import annotations

import math

from ..core.model import Fill, Instrument, Offset
from .lots import LotFees


class PaidFees:
    """Learned from the account: TianQin's specification names one fee for all.

    Where the exchange chooses which lots a close takes (all but SHFE and INE), a fee of today's
    lots cannot be told from one of older lots; there ``close_today`` is the specified one. A
    futures company's counter asks today's fee there, as long as lots were opened today, though it
    takes the oldest lots first.
    """

    def __init__(self) -> None:
        self._paid: dict[tuple[str, str], float] = {}

    def learn(self, fill: Fill) -> None:
        """Look at a trade that names its fee."""
        if fill.volume:
            self.put(fill.symbol, fill.offset, fill.commission / fill.volume)

    def put(self, symbol: str, offset: str, fee: float) -> None:
        """A lot has cost so many yuan."""
        self._paid[symbol, str(offset)] = fee

    def a_lot(self, instrument: Instrument, offset: Offset) -> float:
        """Yuan; where nothing was paid yet, what the specification says."""
        told = instrument.commission if math.isfinite(instrument.commission) else 0.0
        return self._paid.get((instrument.symbol, str(offset)), told)

    def of(self, instrument: Instrument) -> LotFees:
        """Yuan a lot, for each way of closing and for opening."""
        today, history, opens = (
            self.a_lot(instrument, offset)
            for offset in (Offset.CLOSETODAY, Offset.CLOSE, Offset.OPEN)
        )
        return LotFees(close_today=today, close_history=history, open=opens)
