"""Trade to net positions: carry out the actions of ``target`` with orders."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import backtrader as bt

from ..account.ledger import SIDES
from ..core.model import Direction, Fill, Offset
from ..core.ports import MarketDataPort
from ..errors import LinkError, OrderError
from ..orders.pegged import ChaseRules, Quote, Style
from ..orders.target import (
    Cancel,
    Ended,
    Event,
    Filled,
    Lots,
    Moved,
    NewTarget,
    Place,
    TargetState,
    step,
)
from ..orders.ticket import Ticket
from ..orders.ticket_codec import owner_name
from .order_manager import OrderManager

logger = logging.getLogger(__name__)

#: No target of an earlier run: its fields, its owner and its orders.
NOTHING: tuple[dict[str, Any], Any, list[Ticket]] = ({}, None, [])


class PositionTarget:
    """A target net position, as the strategy sees it.

    Attributes:
        symbol: The contract.
        orders: The ``bt.Order``s sent for it so far.
        resumed: Whether an earlier run began it; it then needs no bar.
        reason: Why it is ``stalled``; "" if it is not.
    """

    kind = "target"

    def __init__(self, symbol: str, state: TargetState) -> None:
        self.symbol, self.state = symbol, state
        self.owner: Any = None
        self.orders: list[Any] = []
        self.events: list[Event] = []
        self.dropped = self.resumed = False
        self.reason = ""

    @property
    def key(self) -> str:
        """Its name in the records."""
        return self.symbol

    def plan(self) -> tuple[dict[str, Any], bool]:
        """Return the row for the journal, and whether the target is over."""
        wanted = [event.target for event in self.events if isinstance(event, NewTarget)]
        fields = {
            "symbol": self.symbol,
            "target": wanted[-1] if wanted else self.target,
            "rules": asdict(self.state.rules),
            "owner": owner_name(self.owner),
        }
        return fields, self.reached or self.dropped

    @property
    def target(self) -> int:
        """The wanted net lots."""
        return self.state.target

    @property
    def net(self) -> int:
        """Net lots by the fills so far."""
        return self.state.net

    @property
    def reached(self) -> bool:
        """Whether the target is reached and no order is alive."""
        return self.state.reached and not self.events

    @property
    def stalled(self) -> bool:
        """Whether it has stopped, for ``reason``, until a new target is set.

        It stops after too many rejections, or if too few lots are missing to be opened.
        """
        return self.state.stalled


class TargetPositions:
    """Advances every target in every round.

    Args:
        manager: Sends and cancels orders.
        market: Has the quotes.
        place: Makes an order (symbol, direction, lots, limit price, owner, whether an earlier run
            began the target).

    Attributes:
        targets: Targets of this run, by contract.
        recalled: Targets of an earlier run that wait for their strategies, with their orders.
        returning: Targets of an earlier run whose orders have not ended yet, by contract.
    """

    def __init__(
        self,
        manager: OrderManager,
        market: MarketDataPort,
        place: Callable[[str, Direction, int, float, Any, bool], Ticket],
    ) -> None:
        self._manager, self._context, self._market, self._place = (
            manager,
            manager.context,
            market,
            place,
        )
        self.targets: dict[str, PositionTarget] = {}
        self._sent: dict[int, tuple[PositionTarget, str, Ticket]] = {}
        self._working: set[int] = set()
        self._leaving: dict[str, list[Ticket]] = defaultdict(list)
        self.recalled: list[tuple[dict[str, Any], list[Ticket]]] = []
        self.returning: dict[str, tuple[dict[str, Any], Any, list[Ticket]]] = {}

    def set(self, symbol: str, net: int, rules: ChaseRules | None, owner: Any) -> PositionTarget:
        """Set the target of a contract."""
        self._note_ends()
        self._adopt_recalled(symbol)
        for ticket in self.returning.get(symbol, NOTHING)[2]:
            self._cancel(ticket)  # an earlier run's order, for another target
        found = self.targets.get(symbol)
        if found is None or (found.reached and self._held(symbol) != found.net):
            state = TargetState(symbol, net, net=self._held(symbol))
            found = self.targets[symbol] = PositionTarget(symbol, state)
        if rules is not None:
            found.state = replace(found.state, rules=rules)
        found.owner = owner
        found.events.append(NewTarget(net))
        self._manager.write_ahead.touch_plan(found)
        return found

    def begin_again(self) -> None:
        """Begin another run: targets lose their owners, so its first strategy is notified."""
        for target in self.targets.values():
            target.owner = None

    def drop(self, symbol: str) -> None:
        """Stop a contract's target and cancel its order."""
        self._adopt_recalled(symbol)
        target = self.targets.pop(symbol, None)
        fields, owner, working = self.returning.pop(symbol, NOTHING)
        if fields and target is None:
            target = PositionTarget(symbol, TargetState(symbol, fields["target"]))
            target.owner = owner
        if target is not None:
            target.dropped = True
            self._manager.write_ahead.touch_plan(target)
        out = [ticket for found, _, ticket in self._sent.values() if found is target]
        for ticket in (*out, *working):
            self._cancel(ticket)
            self._leaving[symbol].append(ticket)

    def _cancel(self, ticket: Ticket) -> None:
        """Cancel an order once."""
        if not ticket.over and not self._manager.is_leaving(ticket.order.ref):
            self._manager.cancel(ticket)

    def _waits(self, symbol: str) -> bool:
        """Return whether an order for another target of a contract may still trade."""
        self._leaving[symbol] = [one for one in self._leaving[symbol] if not one.over]
        earlier = self.returning.get(symbol, NOTHING)[2]
        return bool(self._leaving[symbol]) or any(not one.over for one in earlier)

    def drop_all(self) -> None:
        """Stop all targets, also those of an earlier run."""
        recalled = (fields["symbol"] for fields, _ in self.recalled)
        for symbol in (*self.targets, *self.returning, *recalled):
            self.drop(symbol)

    def _held(self, symbol: str) -> int:
        return int(self._manager.account.position(symbol).size)

    def _lots(self, symbol: str) -> Lots:
        account = self._manager.account
        longs, shorts = (abs(int(account.position(symbol, side).size)) for side in SIDES)
        least = self._context.instrument(symbol).open_min_limit_order_volume
        return Lots(longs, shorts, max(least, 1))

    def take_fill(self, ticket: Ticket, fill: Fill) -> None:
        """Apply a fill of any of our orders to the contract's target."""
        found = self._sent.get(ticket.order.ref)
        if found is None or found[0] is not self.targets.get(fill.symbol):
            self.take_other(fill)
        else:
            target, order_id, _ = found
            target.events.append(Filled(order_id, fill.trade_id, fill.direction, fill.volume))

    def take_other(self, fill: Fill) -> None:
        """Apply a fill of an order that is not the target's."""
        target = self.targets.get(fill.symbol)
        if target is not None and not target.reached:
            target.events.append(Moved(fill.direction.sign * fill.volume))

    def _note_ends(self) -> None:
        """Tell targets which of their orders are over."""
        for number in sorted(self._working):
            target, order_id, ticket = self._sent[number]
            if ticket.over:
                self._working.remove(number)
                rejected = ticket.order.status in (bt.Order.Rejected, bt.Order.Margin)
                target.events.append(Ended(order_id, ticket.filled, rejected))

    def on_round(self) -> None:
        """Advance each target."""
        self._note_ends()
        self._tend_returning()
        for target in list(self.targets.values()):
            if target.reached or self._waits(target.symbol):
                continue
            self._step(target)
            if target.reached:
                self._manager.write_ahead.touch_plan(target)

    # -- after a restart ----------------------------------------------------------------------

    def recall(self, fields: dict[str, Any], working: list[Ticket]) -> None:
        """Keep a target of an earlier run and its live orders until strategies exist."""
        self.recalled.append((fields, working))

    def hand_over(self, owner: Callable[[Any], Any]) -> None:
        """Continue targets of an earlier run, as strategies exist now.

        Args:
            owner: Returns the strategy of a name.
        """
        while self.recalled:
            fields, working = self.recalled.pop()
            self._adopt(fields, owner(fields["owner"]), working)

    def _adopt_recalled(self, symbol: str) -> None:
        """Take over a contract's target of an earlier run before its strategy is there."""
        for fields, tickets in self.recalled:
            if fields["symbol"] == symbol:
                self._adopt(fields, None, tickets)
        self.recalled = [one for one in self.recalled if one[0]["symbol"] != symbol]

    def _adopt(self, fields: dict[str, Any], owner: Any, working: list[Ticket]) -> None:
        """Cancel the live orders of an earlier run's target, before it continues.

        An order with too few lots left to be opened again stays, and its end is waited for.
        """
        symbol = fields["symbol"]
        self.returning[symbol] = (fields, owner, working)
        least = self._lots(symbol).open_least
        for ticket in working:
            opens = bool(ticket.live_legs) and all(
                leg.offset is Offset.OPEN for leg in ticket.live_legs
            )
            if not opens or ticket.left >= least:
                self._manager.cancel(ticket)

    def _tend_returning(self) -> None:
        for symbol, (fields, owner, working) in list(self.returning.items()):
            if all(ticket.over for ticket in working):
                del self.returning[symbol]
                if symbol not in self.targets:
                    rules = fields["rules"] | {"style": Style(fields["rules"]["style"])}
                    self.set(symbol, fields["target"], ChaseRules(**rules), owner).resumed = True

    def _step(self, target: PositionTarget) -> None:
        events, target.events = target.events, []
        now = self._context.now_ns()
        lots, quote = self._lots(target.symbol), self._quote(target)
        target.state, action = step(target.state, events, now, quote, lots)
        if isinstance(action, Place):
            ticket = self._place(
                target.symbol, action.direction, action.volume, action.price, target.owner,
                target.resumed,
            )  # fmt: skip
            self._sent[ticket.order.ref] = (target, action.order_id, ticket)
            self._working.add(ticket.order.ref)
            target.orders.append(ticket.order)
        elif isinstance(action, Cancel):
            for found, order_id, ticket in self._sent.values():
                if found is target and order_id == action.order_id and not ticket.over:
                    self._manager.cancel(ticket)
                    break
        self._tell_stalled(target, lots)

    def _tell_stalled(self, target: PositionTarget, lots: Lots) -> None:
        """Report once that a target has stopped, and why."""
        before, target.reason = target.reason, self._why_stalled(target, lots)
        if target.reason and target.reason != before:
            text = f"{target.symbol}: the target of {target.target} lots stalls: {target.reason}"
            logger.warning("%s", text)
            self._context.notify(text, target=target)

    def _why_stalled(self, target: PositionTarget, lots: Lots) -> str:
        state = target.state
        if not state.stalled:
            return ""
        if state.refused:
            words = target.orders[-1].info.get("reason", "") if target.orders else ""
            return f"{state.rejections} orders in a row were rejected ({words})"
        most = state.rules.max_order_volume
        at_most = f", {most} of them in an order by max_order_volume" if most else ""
        return (
            f"{state.short} lots are missing{at_most}, and an order opens {lots.open_least} at "
            "least"
        )

    def _quote(self, target: PositionTarget) -> Quote | None:
        """Return the quote; None if an order would be refused now, which is not a rejection."""
        symbol, pre_trade = target.symbol, self._manager.pre_trade
        if not pre_trade.open(symbol):
            return None
        try:
            pre_trade.admit(symbol, early=target.resumed)
            quote = self._market.quote(symbol)
        except (LinkError, OrderError):
            return None
        if math.isnan(quote.last_price):
            return None
        return Quote(quote.bid_price1, quote.ask_price1, quote.upper_limit, quote.lower_limit)
