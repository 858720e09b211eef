"""A contract's margin and commission, as Backtrader's ``CommissionInfo``."""

from __future__ import annotations

import math

import backtrader as bt

from ..core.model import Instrument

#: Lots by which a quotient of floats may fall short of a whole number.
_ROUNDING = 1e-9


class ContractCosts(bt.CommissionInfo):
    """Margin and commission in yuan per lot, and the multiplier."""

    def getsize(self, price: float, cash: float) -> int:
        """Return the lots that a sum can open, despite rounding errors of floats."""
        return int(cash / self.get_margin(price) + _ROUNDING)


def costs_of(instrument: Instrument) -> ContractCosts:
    """Return the costs of a contract today."""
    known = instrument.margin > 0  # nan is not
    return ContractCosts(
        commission=instrument.commission if math.isfinite(instrument.commission) else 0.0,
        mult=instrument.volume_multiple,
        margin=instrument.margin if known else 1.0,
        # Without a margin per lot: the contract's whole value, which is never too little.
        automargin=False if known else float(instrument.volume_multiple),
        commtype=bt.CommissionInfo.COMM_FIXED,
        stocklike=False,
    )
