"""Which living orders are to close which lots: our own legs, and orders of others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import date

from ..contracts.offsets import Leg
from ..core.model import Direction, Offset
from .exits import Claim
from .leg import OrderLeg
from .ticket import Ticket


class ClosingClaims:
    """The closing orders of the account, by contract.

    Args:
        day_is_over: Says whether a trading day of a contract has had its last close.

    Attributes:
        foreign: Orders of the account that this program has not sent, by id.
    """

    def __init__(self, day_is_over: Callable[[str, date], bool]) -> None:
        self._day_is_over = day_is_over
        self.foreign: dict[str, OrderLeg] = {}
        self._days: dict[str, date] = {}
        self._own: dict[str, dict[str, tuple[Ticket, OrderLeg]]] = defaultdict(dict)

    def note(self, ticket: Ticket, leg: OrderLeg) -> None:
        """A leg is about to be sent, was sent by an earlier run, or lives after it was given up.

        An exit may open the other side instead of closing: no other exit is for these lots then.
        """
        if leg.offset is not Offset.OPEN or ticket.may_open == 0:
            self._own[leg.symbol][leg.order_id] = ticket, leg

    def meet(self, leg: OrderLeg, day: date) -> None:
        """Another terminal has an order; it claims nothing beyond its trading day."""
        self.foreign[leg.order_id], self._days[leg.order_id] = leg, day

    def of(
        self,
        symbol: str,
        direction: Direction,
        but: Ticket | None = None,
        *,
        spares_today: bool = False,
    ) -> list[Claim]:
        """What other orders are to close of the lots that one of this direction can close.

        The oldest comes first; what ``but`` itself is to close does not count, nor, for an order
        that ``spares_today``, what is sure to close today's lots.
        """
        claims: dict[int, Claim] = {}
        for ticket, leg in self._living(symbol):
            if leg.direction is not direction or ticket is but:
                continue
            if spares_today and leg.offset is Offset.CLOSETODAY:
                continue
            number = 0 if ticket is None else ticket.order.ref
            before = claims.get(number, Claim(number, 0))
            claims[number] = Claim(
                number,
                before.lots + leg.open_lots,
                rests=ticket is not None and ticket.rests,
                leaves=ticket is not None and leg in ticket.leaving,
            )
        return list(claims.values())

    def legs(self, symbol: str, direction: Direction) -> list[Leg]:
        """Legs that are to close lots which an order of this direction can close; all of them."""
        return [
            Leg(leg.offset, leg.open_lots)
            for _, leg in self._living(symbol)
            if leg.direction is direction and leg.offset is not Offset.OPEN and leg.open_lots
        ]

    def _living(self, symbol: str) -> Iterator[tuple[Ticket | None, OrderLeg]]:
        """Legs that close and are not over; own ones that are, are forgotten here."""
        own = {key: found for key, found in self._own[symbol].items() if not found[1].over}
        self._own[symbol] = own
        yield from own.values()
        for order_id, leg in self.foreign.items():
            closes = leg.symbol == symbol and leg.offset is not Offset.OPEN and not leg.over
            if closes and not self._day_is_over(symbol, self._days[order_id]):
                yield None, leg
