"""Funds that orders on their way bind before the account says so (pure).

Two orders of one ``next()`` are sized by the same figure of available funds; behind a futures
company it is seconds old besides.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..core.clock import SECOND, Instants
from ..orders.leg import UNCONFIRMED, OrderLeg

#: After so long without a change the account's figure holds the order all the same; nanoseconds.
SETTLED = 5 * SECOND


@dataclass(frozen=True, slots=True)
class Binding:
    """What an order binds.

    Attributes:
        leg: An order that opens.
        a_lot: Margin and fee, yuan.
        figures: The account's margin and frozen margin as it was sent.
        since: When that was.
    """

    leg: OrderLeg
    a_lot: float
    figures: tuple[float, ...]
    since: Instants

    @property
    def yuan(self) -> float:
        """For the lots that are, or may be, opened."""
        return self.a_lot * (self.leg.filled if self.leg.over else self.leg.volume)

    def is_told(self, figures: tuple[float, ...], at: Instants) -> bool:
        """Whether the account's figure of available funds can hold it."""
        if self.leg.state in UNCONFIRMED:
            return False
        return figures != self.figures or at.since(self.since) > SETTLED


class BoundFunds:
    """Orders of ours that open, until the account's figures have moved with them."""

    def __init__(self) -> None:
        self._bound: list[Binding] = []

    def bind(self, binding: Binding) -> None:
        """An order is being sent."""
        self._bound.append(binding)

    def yuan(self, figures: tuple[float, ...], at: Instants) -> float:
        """What is to be taken off the account's available funds.

        Args:
            figures: The account's margin and frozen margin now.
            at: Now.
        """
        self._bound = [one for one in self._bound if one.yuan and not one.is_told(figures, at)]
        return sum(one.yuan for one in self._bound)
