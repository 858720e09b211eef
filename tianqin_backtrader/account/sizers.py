"""Sizers that take a contract's costs into account."""

from __future__ import annotations

from typing import Any

import backtrader as bt


class MaxLots(bt.Sizer):
    """As many lots as a share of the available funds can open; to close, all held lots.

    Margin and fees are calculated at the bar's close (``MyBroker.max_lots``). If the funds do not
    suffice for one lot, no order is sent. Only for a ``MyStore``'s broker.

    Params:
        share: Share of the available funds, 0 to 1.
        most: Maximum lots, 0 for no limit.
    """

    params = (("share", 1.0), ("most", 0))

    def _getsizing(self, comminfo: Any, cash: float, data: Any, isbuy: bool) -> int:
        """Return the lots; called by Backtrader."""
        position = self.broker.getposition(data).size
        if position and (position < 0) == isbuy:
            return int(abs(position))
        lots = self.broker.max_lots(data._dataname, price=data.close[0], share=self.p.share)
        return min(lots, self.p.most) if self.p.most else lots
