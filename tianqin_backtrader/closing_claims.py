"""Which living orders are to close which lots: our own legs, and orders of others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from .exits import Claim
from .model import Direction, Offset
from .offset import Leg
from .order_state import OrderLeg
from .ticket import Ticket


class ClosingClaims:
    """The closing orders of the account, by contract.

    Attributes:
        foreign: Orders of the account that this program has not sent, by id.
    """

    def __init__(self) -> None:
        self.foreign: dict[str, OrderLeg] = {}
        self._own: dict[str, list[tuple[Ticket, OrderLeg]]] = defaultdict(list)

    def note(self, ticket: Ticket, leg: OrderLeg) -> None:
        """A leg is about to be sent, or an earlier run has sent it."""
        if leg.offset is not Offset.OPEN:
            self._own[leg.symbol].append((ticket, leg))

    def of(self, symbol: str, direction: Direction, but: Ticket | None = None) -> list[Claim]:
        """What is claimed of the lots that an order of a direction can close, oldest first."""
        claims: dict[int, Claim] = {}
        for ticket, leg in self._living(symbol):
            if leg.direction is not direction or ticket is but:
                continue
            number = 0 if ticket is None else ticket.order.ref
            before = claims.get(number, Claim(number, 0))
            claims[number] = Claim(
                number,
                before.lots + leg.open_lots,
                rests=ticket is not None and ticket.rests,
                leaves=ticket is not None and bool(ticket.ending),
            )
        return list(claims.values())

    def legs(self, symbol: str, direction: Direction) -> list[Leg]:
        """The same, leg by leg with its offset."""
        return [
            Leg(leg.offset, leg.open_lots)
            for _, leg in self._living(symbol)
            if leg.direction is direction and leg.open_lots
        ]

    def _living(self, symbol: str) -> Iterator[tuple[Ticket | None, OrderLeg]]:
        """Legs that close and are not over; own ones that are, are forgotten here."""
        own = [(ticket, leg) for ticket, leg in self._own[symbol] if not leg.over]
        self._own[symbol] = own
        yield from own
        for leg in self.foreign.values():
            if leg.symbol == symbol and leg.offset is not Offset.OPEN and not leg.over:
                yield None, leg
