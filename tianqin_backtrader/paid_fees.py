"""What a lot has cost at this account, by what was done with it."""

from __future__ import annotations

import math
from collections.abc import Iterable

from .lot_rules import LotFees
from .model import Fill, Instrument, Offset, OrderReport


class PaidFees:
    """Learned from the account's own trades: TianQin's specification names one fee for all.

    Where the exchange chooses which lots a close takes (all but SHFE and INE), a fee of today's
    lots cannot be told from one of older lots; there ``close_today`` is the specified one.
    """

    def __init__(self) -> None:
        self._paid: dict[tuple[str, Offset], float] = {}

    def learn(self, reports: Iterable[OrderReport | Fill]) -> None:
        """Look at trades as the account tells them."""
        for report in reports:
            if isinstance(report, Fill) and report.volume and math.isfinite(report.commission):
                self._paid[report.symbol, report.offset] = report.commission / report.volume

    def of(self, instrument: Instrument) -> LotFees:
        """Yuan a lot; where nothing was paid yet, what the specification says."""
        told = instrument.commission if math.isfinite(instrument.commission) else 0.0
        today, history, opens = (
            self._paid.get((instrument.symbol, offset), told)
            for offset in (Offset.CLOSETODAY, Offset.CLOSE, Offset.OPEN)
        )
        return LotFees(close_today=today, close_history=history, open=opens)
