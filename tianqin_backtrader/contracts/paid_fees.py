"""The fees per lot that this account has paid, by kind of trade."""

from __future__ import annotations

import math

from ..core.model import Fill, Instrument, Offset
from .lots import LotFees


class PaidFees:
    """Learns fees from the account: TianQin's specification has the same fee for everybody.

    Where the exchange chooses which lots a close takes (all but SHFE and INE), the fee of closing
    today's lots cannot be told from that of older lots; ``close_today`` is the specified fee there.
    A futures company's counter charges today's fee there as long as lots were opened today, though
    it takes the oldest lots first.
    """

    def __init__(self) -> None:
        self._paid: dict[tuple[str, str], float] = {}

    def learn(self, fill: Fill) -> None:
        """Learn from a trade that states its fee."""
        if fill.volume:
            self.put(fill.symbol, fill.offset, fill.commission / fill.volume)

    def put(self, symbol: str, offset: str, fee: float) -> None:
        """Store the fee of one lot, yuan."""
        self._paid[symbol, str(offset)] = fee

    def a_lot(self, instrument: Instrument, offset: Offset) -> float:
        """Yuan per lot; the specified fee if nothing has been paid yet."""
        told = instrument.commission if math.isfinite(instrument.commission) else 0.0
        return self._paid.get((instrument.symbol, str(offset)), told)

    def of(self, instrument: Instrument) -> LotFees:
        """Yuan per lot for opening and for each way of closing."""
        today, history, opens = (
            self.a_lot(instrument, offset)
            for offset in (Offset.CLOSETODAY, Offset.CLOSE, Offset.OPEN)
        )
        return LotFees(close_today=today, close_history=history, open=opens)
