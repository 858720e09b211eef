"""Sizers that know what a contract costs."""

from __future__ import annotations

from typing import Any

import backtrader as bt


class MaxLots(bt.Sizer):
    """As many lots as a share of the available funds can open; to close, what is held.

    Margin and fees are counted at the bar's close (``MyBroker.max_lots``). 0 lots, where not even
    one can be paid, sends no order. Only for a ``MyStore``'s broker.

    Params:
        share: Of the available funds, 0 to 1.
        most: Lots at most, 0 for no limit.
    """

    params = (("share", 1.0), ("most", 0))

    def _getsizing(self, comminfo: Any, cash: float, data: Any, isbuy: bool) -> int:
        """What Backtrader asks for."""
        position = self.broker.getposition(data).size
        if position and (position < 0) == isbuy:
            return int(abs(position))
        lots = self.broker.max_lots(data._dataname, price=data.close[0], share=self.p.share)
        return min(lots, self.p.most) if self.p.most else lots
