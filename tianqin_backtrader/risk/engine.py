"""Rules that an order must pass before it is sent. Each is off until its limit is given.

Orders and cancels are counted per contract and trading day, like the exchanges count them.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Mapping
from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from ..core.clock import SECOND
from ..errors import RiskRefused
from .limits import GuardState, OrderIntent, RiskContext, RiskLimits, reduces


class GuardEvent(StrEnum):
    """What changes the state."""

    REDUCE = "REDUCE"
    HALT = "HALT"
    RESUME = "RESUME"


S, E = GuardState, GuardEvent

#: state -> event -> next state, every pair. Only ``RESUME`` leads back.
TRANSITIONS: Mapping[GuardState, Mapping[GuardEvent, GuardState]] = MappingProxyType(
    {
        S.ACTIVE: {E.REDUCE: S.REDUCING, E.HALT: S.HALTED, E.RESUME: S.ACTIVE},
        S.REDUCING: {E.REDUCE: S.REDUCING, E.HALT: S.HALTED, E.RESUME: S.ACTIVE},
        S.HALTED: {E.REDUCE: S.HALTED, E.HALT: S.HALTED, E.RESUME: S.ACTIVE},
    }
)


class RiskEngine:
    """Checks every order before it is sent.

    Attributes:
        limits: A ``RiskLimits``.
        state: A ``GuardState``. Only ``resume`` leads back to ACTIVE, not another day.
        reason: Why it is not ACTIVE.
        changes: How often something has changed that a restart must know.
        loss_met: Whether ``max_daily_loss`` has changed the state, until ``answered_loss``.
        keeps_exits: Whether exits that were accepted before a halt continue: a loss or unwritable
            records have halted trading, not its owner.
        would_reduce: Why it would be REDUCING if it were not HALTED; "" if it would not.
    """

    def __init__(self, limits: RiskLimits | None = None) -> None:
        self.limits = limits or RiskLimits()
        self.state = GuardState.ACTIVE
        self.reason = ""
        self._day: date | None = None
        self._orders: Counter[str] = Counter()
        self._cancels: Counter[str] = Counter()
        self._last_second: deque[int] = deque()
        self._sent_at: dict[OrderIntent, int] = {}
        self._profit = 0.0
        self._forgiven = 0.0  # the day's profit at the last ``resume`` if negative
        self.changes = 0
        self.loss_met = self.keeps_exits = False
        self.would_reduce = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the state and the day's counts as plain values for the journal."""
        return {
            "state": str(self.state),
            "reason": self.reason,
            "day": self._day and self._day.isoformat(),
            "orders": dict(self._orders),
            "cancels": dict(self._cancels),
            "profit": self._profit,
            "forgiven": self._forgiven,
            "loss_met": self.loss_met,
            "keeps_exits": self.keeps_exits,
        }

    def recall(self, found: Mapping[str, Any]) -> None:
        """Restore what ``to_dict`` returned in an earlier run."""
        self.state, self.reason = GuardState(found["state"]), found["reason"]
        self._day = found["day"] and date.fromisoformat(found["day"])
        self._orders, self._cancels = Counter(found["orders"]), Counter(found["cancels"])
        self._profit, self._forgiven = found["profit"], found["forgiven"]
        self.loss_met = found["loss_met"]
        self.keeps_exits = found.get("keeps_exits", False)  # version 0.1.0 did not write it

    def check(self, intent: OrderIntent, context: RiskContext) -> None:
        """Check an order, and count it as sent.

        Raises:
            RiskRefused: It exceeds a limit; it is not counted.
        """
        self.watch(context)
        for rule in _RULES:
            rule(self, intent, context)
        if self.limits.orders_per_second is not None:
            self._last_second += [context.now] * intent.orders
        self._count(intent.symbol, intent.orders)
        if self.limits.no_repeat_within is not None:
            self._sent_at[intent] = context.now

    def admit(self, volume: int) -> None:
        """Check the lots of an order that may wait for long before it is sent.

        Raises:
            RiskRefused: It has too many lots and could never be sent.
        """
        _refuse_above(self.limits, "max_order_size", volume, "the order has {} lots")

    def passed_by(self, symbol: str, orders: int, context: RiskContext) -> None:
        """Count exchange orders that are sent without a check."""
        self.watch(context)
        self._count(symbol, orders)

    def _count(self, symbol: str, orders: int) -> None:
        self._orders[symbol] += orders
        self.changes += 1

    def cancelled(self, symbol: str, context: RiskContext) -> None:
        """Count a cancel that is sent."""
        self.watch(context)
        self._cancels[symbol] += 1
        self.changes += 1

    def watch(self, context: RiskContext) -> GuardState:
        """Update the day and its loss, without an order; return the state."""
        if context.trading_day != self._day:
            self._begin_day(context.trading_day)
        if not math.isnan(context.day_profit):
            self._profit = context.day_profit
        most, loss = self.limits.max_daily_loss, self._forgiven - self._profit
        if most is not None and loss >= most:
            before = self.state
            words = f"max_daily_loss is {most:.2f} yuan, the loss is {loss:.2f}"
            if self.limits.on_loss is S.HALTED:
                self.halt(words, keeps_exits=True)
            else:
                self.reduce(words)
            self.loss_met |= self.state is not before
        return self.state

    def answered_loss(self) -> None:
        """Note that the consequences of ``loss_met`` are done."""
        self.loss_met = False
        self.changes += 1

    def reduce(self, reason: str) -> None:
        """Allow only orders that reduce the position from now on."""
        if self.state is S.HALTED and not self.would_reduce:
            self.would_reduce = reason
            self.changes += 1
        self._apply(E.REDUCE, reason)

    def halt(self, reason: str, *, keeps_exits: bool = False) -> None:
        """Allow no orders from now on, or with ``keeps_exits`` only exits accepted before.

        A halt by the owner replaces an earlier one, and no later halt relaxes it.
        """
        keeps = keeps_exits and (self.keeps_exits or self.state is not S.HALTED)
        if keeps is not self.keeps_exits:
            self.keeps_exits = keeps
            self.changes += 1
        self._apply(E.HALT, reason)
        if not keeps_exits and reason != self.reason:
            self.reason = reason
            self.changes += 1

    def resume(self) -> None:
        """Resume; the limit of the loss counts from the latest known loss."""
        self._apply(E.RESUME, "")
        self.keeps_exits, self.would_reduce = False, ""
        self._forgiven, self.loss_met = min(self._profit, 0.0), False
        self.changes += 1

    def _begin_day(self, day: date) -> None:
        self._day = day
        self._profit = self._forgiven = 0.0
        self._orders.clear()
        self._cancels.clear()
        self._sent_at.clear()

    def _apply(self, event: GuardEvent, reason: str) -> None:
        following = TRANSITIONS[self.state][event]
        if following is not self.state or not reason:
            self.state, self.reason = following, reason
            self.changes += 1

    # -- the rules, in the order of ``_RULES`` -------------------------------------------------

    def _state_allows(self, intent: OrderIntent, context: RiskContext) -> None:
        goes_on = self.keeps_exits and intent.closes and intent.taken
        if self.state is S.HALTED and not goes_on:
            raise RiskRefused("state", self.state, intent.volume, f"no orders ({self.reason})")
        held = -context.position * intent.direction.sign
        stops = intent.taken and intent.volume <= held  # a stop is sent: it bounds the loss
        if self.state is S.REDUCING and not (stops or reduces(intent, context)):
            text = f"only orders that reduce ({self.reason})"
            raise RiskRefused("state", self.state, intent.volume, text)

    def _loss_known(self, _: OrderIntent, context: RiskContext) -> None:
        if self.limits.max_daily_loss is not None and math.isnan(context.day_profit):
            text = "the profit of the day is not known"
            raise RiskRefused("max_daily_loss", self.limits.max_daily_loss, math.nan, text)

    def _order_size(self, intent: OrderIntent, _: RiskContext) -> None:
        self.admit(intent.volume)

    def _position(self, intent: OrderIntent, context: RiskContext) -> None:
        if reduces(intent, context):
            return
        held = context.position * intent.direction.sign
        most = held + context.works(intent.direction) + intent.volume
        _refuse_above(self.limits, "max_position", most, "the position could become {} lots")

    def _price_distance(self, intent: OrderIntent, context: RiskContext) -> None:
        if self.limits.max_price_distance is None or intent.price is None:
            return
        last = context.last_price
        distance = abs(intent.price - last) / abs(last) if last else math.nan
        text = f"the price {intent.price} is {{:.4g}} away from the last, {last}"
        _refuse_above(self.limits, "max_price_distance", distance, text)

    def _per_second(self, intent: OrderIntent, context: RiskContext) -> None:
        while self._last_second and self._last_second[0] <= context.now - SECOND:
            self._last_second.popleft()
        if intent.taken and not self._last_second:
            return  # an order of more legs than the limit would wait for ever
        count = len(self._last_second) + intent.orders
        _refuse_above(self.limits, "orders_per_second", count, "this is number {} in a second")

    def _per_day(self, intent: OrderIntent, _: RiskContext) -> None:
        count = self._orders[intent.symbol] + intent.orders
        text = f"this is number {{}} of the day on {intent.symbol}"
        _refuse_above(self.limits, "orders_per_day", count, text)

    def _cancels_left(self, intent: OrderIntent, context: RiskContext) -> None:
        if not reduces(intent, context):
            count = self._cancels[intent.symbol] + 1
            text = f"a cancel of this order would be number {{}} of the day on {intent.symbol}"
            _refuse_above(self.limits, "cancels_per_day", count, text)

    def _self_trade(self, intent: OrderIntent, context: RiskContext) -> None:
        if not self.limits.no_self_trade:
            return
        for own in context.working:
            if own.direction is not intent.direction and _cross(intent, own.price):
                text = f"it would trade with an own {own.direction} at {own.price}"
                raise RiskRefused("no_self_trade", True, own.price, text)

    def _repeat(self, intent: OrderIntent, context: RiskContext) -> None:
        within, before = self.limits.no_repeat_within, self._sent_at.get(intent)
        if within is None or before is None or intent.taken:
            return
        seconds = (context.now - before) / SECOND
        if seconds < within:
            text = f"the same order was sent {seconds:.3g} seconds ago"
            raise RiskRefused("no_repeat_within", within, seconds, text)


Rule = Callable[[RiskEngine, OrderIntent, RiskContext], None]
_RULES: tuple[Rule, ...] = (
    RiskEngine._state_allows, RiskEngine._loss_known, RiskEngine._order_size, RiskEngine._position,
    RiskEngine._price_distance, RiskEngine._self_trade, RiskEngine._repeat,
    RiskEngine._cancels_left, RiskEngine._per_day, RiskEngine._per_second,
)  # fmt: skip


def _cross(intent: OrderIntent, price: float | None) -> bool:
    if intent.price is None or price is None:
        return True
    return (intent.price - price) * intent.direction.sign >= 0


def _refuse_above(limits: RiskLimits, name: str, value: Any, text: str) -> None:
    """Refuse a value that is not within a limit; nan is not."""
    most = getattr(limits, name)
    if most is not None and not value <= most:
        raise RiskRefused(name, most, value, text.format(value))
