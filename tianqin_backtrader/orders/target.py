"""Reaches a net position with one order at a time.

``step`` takes the events, the time and the quote, and returns the next action. It withdraws an
order that is no longer useful, waits until its end and all its fills are known, and only then sends
the lots that are still missing. So nothing is traded twice if a cancel and a fill cross, and the
target is never exceeded because of an order whose state was unknown.

Some contracts have a smallest opening order. If the rest of an order could not be sent again, it
stays at the exchange, whatever the price. Lots that are too few to be opened are reported as
``short``.

Lots are net and signed, prices in quote units, times in nanoseconds since 1970 UTC.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ..core.model import Direction
from ..errors import OrderError
from .pegged import ChaseRules, Phase, PhaseEvent, Quote, WorkingOrder

E = PhaseEvent


@dataclass(frozen=True, slots=True)
class NewTarget:
    """The owner wants another net position."""

    target: int


@dataclass(frozen=True, slots=True)
class Filled:
    """A fill of one of the target's orders; it may come again, late, or after the order's end."""

    order_id: str
    trade_id: str
    direction: Direction
    volume: int


@dataclass(frozen=True, slots=True)
class Moved:
    """Signed lots of the contract that another order has traded."""

    volume: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The exchange has reported an order's end, with ``filled`` lots in all."""

    order_id: str
    filled: int
    rejected: bool = False


@dataclass(frozen=True, slots=True)
class CancelRefused:
    """The exchange did not withdraw an order."""

    order_id: str


@dataclass(frozen=True, slots=True)
class Place:
    """Send this order."""

    order_id: str
    direction: Direction
    volume: int
    price: float


@dataclass(frozen=True, slots=True)
class Cancel:
    """Withdraw this order."""

    order_id: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing before ``until``; with None until there is an event or another quote."""

    until: int | None = None


@dataclass(frozen=True, slots=True)
class Lots:
    """Held lots of both sides, which an order closes first, and the smallest opening order."""

    longs: int = 0
    shorts: int = 0
    open_least: int = 1

    def opens(self, direction: Direction, volume: int) -> int:
        """Return how many of an order's lots open; the others close.

        >>> Lots(shorts=2).opens(Direction.BUY, 5)
        3
        """
        return max(0, volume - (self.shorts if direction is Direction.BUY else self.longs))


NO_LEAST = Lots()
Event = NewTarget | Filled | Moved | Ended | CancelRefused
Action = Place | Cancel | Wait


@dataclass(frozen=True, slots=True)
class TargetState:
    """The state of a target. The ids of its orders, and of no others, begin with ``name``.

    ``short`` is the number of missing lots that are too few to be opened.
    """

    name: str
    target: int
    net: int = 0
    rules: ChaseRules = field(default_factory=ChaseRules)
    working: WorkingOrder | None = None
    sent: int = 0
    rejections: int = 0
    rest_until_ns: int | None = None
    trade_ids: frozenset[str] = frozenset()
    short: int = 0

    @property
    def reached(self) -> bool:
        """Whether the net position is the target and no order is out."""
        return self.working is None and self.net == self.target

    @property
    def refused(self) -> bool:
        """Whether too many orders in a row have been rejected."""
        return self.rejections >= self.rules.max_rejections

    @property
    def stalled(self) -> bool:
        """Whether it has stopped, after too many rejections or with too few lots to open.

        It continues with a new target.
        """
        return self.refused or bool(self.short and not self.reached)


def step(
    state: TargetState,
    events: Iterable[Event],
    now: int,
    quote: Quote | None,
    lots: Lots = NO_LEAST,
) -> tuple[TargetState, Action]:
    """Apply events, and return the next action.

    Args:
        state: As returned by the last step.
        events: The events since then, in order of arrival.
        now: Nanoseconds since 1970 UTC.
        quote: The quote; None while the market is closed.
        lots: Held lots of the contract, and its smallest opening order.

    Returns:
        The new state and one action. The order of a ``Place`` counts as sent.

    Raises:
        OrderError: An event belongs to an order of another target.

    >>> state = TargetState("cu", target=2)
    >>> state, action = step(state, [], 0, Quote(bid_price1=99.0, ask_price1=100.0))
    >>> action.order_id, str(action.direction), action.volume, action.price
    ('cu-1', 'BUY', 2, 100.0)
    """
    for event in events:
        state = _take(state, event, now)
    if state.working is None:
        return _next_order(state, now, quote, lots)
    return _tend(state, state.working, now, quote, lots)


def _take(state: TargetState, event: Event, now: int) -> TargetState:
    if isinstance(event, NewTarget):
        return replace(state, target=event.target, rejections=0, rest_until_ns=None, short=0)
    if isinstance(event, Moved):
        return replace(state, net=state.net + event.volume)
    if not event.order_id.startswith(f"{state.name}-"):
        raise OrderError(f"{event.order_id} is no order of the target {state.name}")
    if isinstance(event, Filled):
        return _take_fill(state, event)
    order = state.working
    if order is None or order.order_id != event.order_id:
        return state  # reported late or again
    if isinstance(event, CancelRefused):
        return replace(state, working=replace(order, phase=order.after(E.CANCEL_REFUSED)))
    return _take_end(state, order, event, now)


def _take_fill(state: TargetState, fill: Filled) -> TargetState:
    if fill.trade_id in state.trade_ids:
        return state
    state = replace(
        state,
        net=state.net + fill.direction.sign * fill.volume,
        trade_ids=state.trade_ids | {fill.trade_id},
        rejections=0,
    )
    order = state.working
    if order is None or order.order_id != fill.order_id:
        return state  # a fill after the order's end: it counts
    filled = order.filled + fill.volume
    expected = order.volume if order.ended_filled is None else order.ended_filled
    phase = order.after(E.LAST_FILL if filled >= expected else E.FILL)
    return _with(state, replace(order, filled=filled, phase=phase))


def _take_end(state: TargetState, order: WorkingOrder, end: Ended, now: int) -> TargetState:
    if end.rejected:
        state = replace(state, rejections=state.rejections + 1)
    if order.cancel_ns is None and end.filled < order.volume:
        # The exchange has ended it: a new order sent at once could end the same way.
        state = replace(state, rest_until_ns=now + state.rules.retry_after_ns)
    phase = order.after(E.END_FILLS_MISSING if end.filled > order.filled else E.END)
    return _with(state, replace(order, phase=phase, ended_filled=end.filled))


def _with(state: TargetState, order: WorkingOrder) -> TargetState:
    return replace(state, working=None if order.phase is Phase.OVER else order)


def _next_order(
    state: TargetState, now: int, quote: Quote | None, lots: Lots
) -> tuple[TargetState, Action]:
    missing = state.target - state.net
    if not missing or state.refused or quote is None:
        return state, Wait()
    volume = _order_volume(state, lots)
    if not volume:
        return replace(state, short=abs(missing)), Wait()
    if state.rest_until_ns is not None and now < state.rest_until_ns:
        return state, Wait(state.rest_until_ns)
    direction = Direction.BUY if missing > 0 else Direction.SELL
    price = quote.price(direction, state.rules)
    if math.isnan(price):
        return state, Wait()
    order_id = f"{state.name}-{state.sent + 1}"
    order = WorkingOrder(order_id, direction, volume, price, now)
    state = replace(state, working=order, sent=state.sent + 1, rest_until_ns=None, short=0)
    return state, Place(order_id, direction, volume, price)


def _order_volume(state: TargetState, lots: Lots) -> int:
    """Return the lots of an order that would be sent now; 0 if they are too few."""
    missing, least = state.target - state.net, lots.open_least
    direction = Direction.BUY if missing > 0 else Direction.SELL
    whole = abs(missing)
    most = min(whole, state.rules.max_order_volume or whole)
    opens = lots.opens(direction, whole)
    if not opens or least <= 1:
        return most
    now = lots.opens(direction, most)
    if not now or now >= least:
        rest = opens - now
        if not 0 < rest < least:
            return most
        if opens - least >= least:
            return whole - least  # so that enough lots are left for the next order
        if now:
            return most
    return min(most, whole - opens)


def _tend(
    state: TargetState, order: WorkingOrder, now: int, quote: Quote | None, lots: Lots
) -> tuple[TargetState, Action]:
    """Return the next action on the order at the exchange."""
    if order.phase is Phase.SETTLING:
        return state, Wait()
    useless = (state.target - state.net) * order.direction.sign < order.left
    due = order.placed_ns + state.rules.requote_after_ns
    if order.phase is Phase.WORKING and not useless:
        if now < due:
            return state, Wait(due)
        if not _outdated(state, order, quote, lots):
            return state, Wait()
    if order.cancel_ns is not None:
        again = order.cancel_ns + state.rules.cancel_again_after_ns
        if now < again:
            return state, Wait(again)
    asked = replace(order, phase=order.after(E.ASK_CANCEL), cancel_ns=now)
    return replace(state, working=asked), Cancel(order.order_id)


def _outdated(state: TargetState, order: WorkingOrder, quote: Quote | None, lots: Lots) -> bool:
    """Whether an order sent now would have another price or more lots."""
    if quote is None or not _order_volume(state, lots):
        return False
    price = quote.price(order.direction, state.rules)
    if math.isnan(price):
        return False
    return price != order.price or _order_volume(state, lots) > order.left
