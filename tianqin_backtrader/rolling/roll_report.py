"""The result and the cost of a roll."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ..core.clock import from_ns
from .roll_state import RollFill, RollPhase, RollState


@dataclass(frozen=True, slots=True)
class RollReport:
    """A roll in numbers. Prices are quote units, money is yuan; NaN without trades.

    Attributes:
        old, new, side, lots: The lots to move.
        phase, reason: The phase, and why it is HALTED.
        closed, opened: Lots traded, by the known fills.
        close_price, open_price: Their averages.
        slippage: How much worse the fills were than the middles at the beginnings of their legs; it
            includes half the spread between bid and ask. Fills without a known middle count 0.
        fees: Commissions.
        exited: Lots that stops and targets have closed meanwhile.
        given_up: Lots that the roll has closed and not opened again, because an exit has fired.
        orders: The number of exchange orders sent.
        begun, ended: Naive Beijing time; ``ended`` None while it runs.
    """

    old: str
    new: str
    side: str
    lots: int
    phase: RollPhase
    reason: str
    closed: int
    opened: int
    close_price: float
    open_price: float
    slippage: float
    fees: float
    orders: int
    begun: datetime
    ended: datetime | None
    exited: int = 0
    given_up: int = 0

    @property
    def spread(self) -> float:
        """New price less old price: what the curve costs a long, or pays a short."""
        return self.open_price - self.close_price

    @property
    def cost(self) -> float:
        """Slippage and fees, yuan. The spread is not a cost: the new lots are worth it."""
        return self.slippage + self.fees

    def __str__(self) -> str:
        exits = f"{self.exited} closed by exits, " if self.exited else ""
        if self.given_up:
            exits += f"{self.given_up} not opened again because an exit has fired, "
        until = f" to {self.ended}" if self.ended else ""
        words = f" ({self.reason})" if self.reason else ""
        return (
            f"roll of {self.lots} lots {self.side} {self.old} -> {self.new}: {self.phase}{words}, "
            f"closed {self.closed} at {self.close_price:.6g}, opened {self.opened} at "
            f"{self.open_price:.6g}, {exits}spread {self.spread:.6g}; "
            f"slippage {self.slippage:.2f} yuan, "
            f"fees {self.fees:.2f} yuan, {self.orders} orders, {self.begun}{until}"
        )


def make_report(state: RollState, volume_multiple: int) -> RollReport:
    """The report of a roll in its present state."""
    plan, fills = state.plan, state.fills.values()
    closed = [fill for fill in fills if fill.symbol == plan.old]
    opened = [fill for fill in fills if fill.symbol == plan.new]
    slippage = sum(
        fill.direction.sign * (fill.price - fill.reference) * fill.volume * volume_multiple
        for fill in fills
        if not math.isnan(fill.reference)
    )
    return RollReport(
        plan.old, plan.new, str(plan.side), plan.lots, state.phase, state.reason,
        sum(fill.volume for fill in closed), sum(fill.volume for fill in opened),
        _average(closed), _average(opened), round(slippage, 2),
        round(sum(fill.commission for fill in fills), 2), len(state.order_ids),
        from_ns(state.begun_ns), from_ns(state.ended_ns) if state.ended_ns else None,
        state.exited(plan.old) + state.exited(plan.new), state.given_up,
    )  # fmt: skip


def _average(fills: Iterable[RollFill]) -> float:
    fills = list(fills)
    lots = sum(fill.volume for fill in fills)
    return sum(fill.price * fill.volume for fill in fills) / lots if lots else math.nan
